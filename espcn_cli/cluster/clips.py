"""Long videos on a cluster: looked at and joined here, their parts made by the workers."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from espcn_cli import cores
from espcn_cli.cluster.head import Head, Order
from espcn_cli.errors import EspcnError
from espcn_cli.pictures.containers import Y4M, muxer_of
from espcn_cli.pictures.parts import Part, length_of
from espcn_cli.pictures.video import open_video
from espcn_cli.upscaling import film, pieces, wrap
from espcn_cli.upscaling.film import FilmOptions, Footage, Progress
from espcn_cli.upscaling.outcome import Task
from espcn_cli.upscaling.pieces import Made, Piece
from espcn_cli.upscaling.upscaler import Upscaler

AT_ONCE = 2
"""Videos that are looked at or joined at the same time."""

AHEAD = 2
"""Parts for each worker that are looked at before they are due."""

FEW = 2
"""Videos for each worker, or fewer, are worth being taken apart; of more each is done by one worker."""

LONG = 300
"""Frames of a video that is taken apart, at least: two parts of the longest kind."""


def taken_apart(tasks: Sequence[Task], workers: int) -> list[Task]:
    """Those of the tasks that are long videos, unless there are so many that all workers have one of their own."""
    videos = [task for task in tasks if task.video is not None]
    return [task for task in videos if _is_long(task)] if len(videos) <= FEW * workers else []


def _is_long(task: Task) -> bool:
    assert task.video is not None
    try:
        if Y4M in (task.video, muxer_of(task.output)):  # streams have no parts
            return False
        video = open_video(task.source, task.source_name, task.video, deinterlace=True)
    except EspcnError:  # whoever does it will tell
        return False
    video.close()
    return video.clip.count is None or video.clip.count > LONG


class Studio:
    """Does videos with the help of a cluster's workers, in threads of its own; outcomes are told to the head."""

    def __init__(self, head: Head, upscaler: Upscaler, options: FilmOptions, workers: int, alone: bool) -> None:
        self._head = head
        self._upscaler = upscaler
        self._options = replace(options, progress=None)
        self._progress = options.progress if alone else None
        self._alone = alone
        self._room = AHEAD * max(workers, 1)
        self._threads = ThreadPoolExecutor(AT_ONCE, "espcn-clips")

    def begin(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            self._threads.submit(self._do, task)

    def close(self) -> None:
        """Begin no more of them."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _do(self, task: Task) -> None:
        try:
            outcome = wrap.refused(self._upscaler, task) or film.upscale(
                self._upscaler, task, self._options, self._alone, self._make_parts
            )
            self._head.settle(outcome.noting(self._options.size))
        except BaseException as error:
            self._head.fail(error)

    def _make_parts(self, footage: Footage) -> int:
        footage = replace(footage, encoder=replace(footage.encoder, threads=cores.count()))
        return _Making(self._head, footage, self._room, self._progress).run()


class _Making:
    """The parts of one video on their way."""

    def __init__(self, head: Head, footage: Footage, room: int, progress: object) -> None:
        self._head = head
        self._footage = footage
        self._progress = progress
        self._free = threading.Semaphore(room)
        self._changed = threading.Condition()
        self._made = footage.parts.found(length_of(footage.encoder))
        self._underway = 0
        self._failed: EspcnError | None = None
        self._started = time.monotonic()
        self._before = self._frames
        self._note_done()

    @property
    def _frames(self) -> int:
        return sum(len(part.pts) for part in self._made.values())

    def run(self) -> int:
        """Have them made. Raises EspcnError if one of them cannot be, InterruptedError if the work ends before."""
        frames = 0
        for piece in pieces.pieces(self._footage):
            frames += len(piece.frames)
            there = self._made.get(piece.number)
            if there is not None and there.pts == [seen.pts for seen in piece.frames]:
                continue
            self._wait_for_room()
            with self._changed:
                self._underway += 1
            name = str(self._footage.task.source)
            self._head.submit(Order("part", piece, name, partial(self._done, piece), self._fail))
        with self._changed:
            while self._underway and not self._failed:
                self._changed.wait(0.5)
                self._check()
        self._check()
        parts = self._footage.parts
        parts.done = [self._made[number] for number in sorted(self._made)]
        return frames

    def _wait_for_room(self) -> None:
        while not self._free.acquire(timeout=0.5):
            self._check()
        self._check()

    def _check(self) -> None:
        if self._failed is not None:
            raise self._failed
        if self._head.stopping:
            raise InterruptedError("the work ends before this video")

    def _done(self, piece: Piece, made: Made) -> None:
        with self._changed:
            self._made[piece.number] = made.part
            self._footage.notes.extend(made.notes)
            self._underway -= 1
            self._note_done()
            self._changed.notify_all()
        self._free.release()
        if callable(self._progress):
            self._tell(made.part)

    def _tell(self, part: Part) -> None:
        done, clip = self._frames, self._footage.video.clip
        rate = (done - self._before) / max(time.monotonic() - self._started, 1e-9)
        total = film.wanted(clip, self._footage.span)
        for number in range(done - len(part.pts), done):
            assert callable(self._progress)
            self._progress(Progress(number + 1, total, rate / float(clip.rate)))

    def _fail(self, error: EspcnError) -> None:
        with self._changed:
            self._underway -= 1
            self._failed = error
            self._changed.notify_all()

    def _note_done(self) -> None:
        """If the work ends now, these are kept."""
        self._footage.parts.done = [self._made[number] for number in sorted(self._made)]
