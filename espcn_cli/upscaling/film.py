"""A video from file to file: decoded, through the network and encoded side by side, a few frames at a time."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Protocol

from espcn_cli import cores
from espcn_cli.errors import BusyError, EspcnError, UsageError
from espcn_cli.files import claimed, clean, is_stream, modified, replacing
from espcn_cli.interruption import READER, WRITER
from espcn_cli.maths.sited import Plane
from espcn_cli.memory import available_memory, out_of_memory
from espcn_cli.paths import STREAM
from espcn_cli.pictures import containers, pipes, y4m
from espcn_cli.pictures.containers import Y4M
from espcn_cli.pictures.encoders import Coding, Encoder, check, choose
from espcn_cli.pictures.joining import join, lost_words
from espcn_cli.pictures.opening import check_pixels
from espcn_cli.pictures.parts import Parts, folder_of
from espcn_cli.pictures.planes import Clip, Frame, Layout, layout_of
from espcn_cli.pictures.spool import Spool
from espcn_cli.pictures.streaming import Stream, check_muxer
from espcn_cli.pictures.video import Place, Span, Video, open_video
from espcn_cli.upscaling.frames import Enlargement, Prepared
from espcn_cli.upscaling.handover import Handover
from espcn_cli.upscaling.outcome import Outcome, Task
from espcn_cli.upscaling.scenes import Origin, Scenes
from espcn_cli.upscaling.sizes import Size
from espcn_cli.upscaling.upscaler import Upscaler

FEWEST, MOST = 2, 8
"""Frames that wait before the network, and as many behind it."""

SHARE = 16
"""They take no more than this part of the memory that was free."""

PATIENCE = 10.0
"""Seconds that a thread may take to finish its frame when the work ends early."""

STAGES = 3
"""Decoding, network and encoding go side by side: no faster than the slowest, which takes at least so much of all."""

TRIAL = 8
"""Frames that a dry run does."""

WORKING_MEMORY = 500_000_000
"""Bytes that the program, its codecs and a frame in the network take, about."""

LATE = 0.5
"""Parts of a frame's time that a moment may be off the even ones before it counts as another rate."""


NO_TIME = "no modification time was kept: the source or the output is no file"


@dataclass(frozen=True)
class Progress:
    """How far a video is: frames done, of how many if that is known, and how many times as fast as it plays."""

    done: int
    total: int | None
    speed: float


@dataclass(frozen=True)
class FilmOptions:
    """How videos are done, as `pipeline.Options` says of pictures; `strip`: without tags, covers and data streams.

    `format` is FFmpeg's name of the container for what has no suffix; Y4M if it is no name.

    `progress` is called after each frame. `tidy`: remove what killed runs left beside the output. With `shares`, a
    video that another process makes is skipped.
    """

    coding: Coding = field(default_factory=Coding)
    span: Span = field(default_factory=Span)
    deinterlace: bool = False
    resume: bool = False
    format: str = Y4M
    size: Size | None = None
    overwrite: bool = True
    max_output: int = 2**32
    strip: bool = False
    keep_time: bool = False
    progress: Callable[[Progress], None] | None = None
    shares: bool = False
    tidy: bool = True


class Source(Protocol):
    """What frames come from: a container, or a stream of Y4M."""

    @property
    def clip(self) -> Clip:
        """What is known before."""

    def frames(self) -> Iterator[Frame]:
        """All that are wanted, numbered from 0."""


class Sink(Protocol):
    """Where frames go."""

    def write(self, planes: tuple[Plane, ...], pts: int, duration: int, carrier: Any) -> None:
        """The next one."""

    def finish(self) -> None:
        """There are no more."""

    def abandon(self) -> None:
        """It will not be finished."""


@dataclass(frozen=True)
class Footage:
    """A video that is being made in parts: what its frames come from and become. `notes` takes what is to be told."""

    task: Task
    video: Video
    span: Span
    used: Upscaler | None
    encoder: Encoder
    parts: Parts
    scenes: Scenes
    notes: list[str]


MakeParts = Callable[[Footage], int]
"""Makes all parts of a video that are not done yet, and returns how many frames it has."""


def upscale(
    upscaler: Upscaler, task: Task, options: FilmOptions, alone: bool = False, make_parts: MakeParts | None = None
) -> Outcome:
    """Do a video, and tell what became of it. `make_parts`: others do the work between its start and its end.

    Only an interruption and a closed standard output are raised; and UsageError, if it is `alone` in its command.
    """
    started = time.monotonic()
    try:
        return _Film(upscaler, task, options, make_parts).run(started)
    except BrokenPipeError:
        raise
    except EspcnError as error:
        if options.shares and isinstance(error, BusyError):
            return Outcome(task, skipped=True, reason=f"being made by {error.holder}")
        error = error.about(task.source, task.source_name)
        if alone and isinstance(error, UsageError):
            raise error from None
        return Outcome(task, error=str(error))
    except OSError as error:
        return Outcome(task, error=f"cannot write {task.output_name} ({error.strerror or error})")
    except Exception as error:
        if not out_of_memory(error):
            raise
        return Outcome(task, error=f"{task.source_name}: not enough memory for its frames")


def preview(upscaler: Upscaler, task: Task, options: FilmOptions, alone: bool = False) -> Outcome:
    """What `upscale` would do, and how long that takes: by doing a few frames."""
    try:
        return _Film(upscaler, task, options).trial()
    except EspcnError as error:
        error = error.about(task.source, task.source_name)
        if alone and isinstance(error, UsageError):
            raise error from None
        return Outcome(task, error=str(error))


def is_kept(output: Path) -> bool:
    """Whether parts of a video lie beside where it is to be."""
    return folder_of(output).is_dir()


class _Left(Exception):  # noqa: N818 - ends two loops, and is no error
    """Nobody takes frames any more."""


# --- where frames come from ------------------------------------------------------------------------------------------


@dataclass
class _FromVideo:
    video: Video
    span: Span

    @property
    def clip(self) -> Clip:
        return self.video.clip

    def frames(self) -> Iterator[Frame]:
        return self.video.frames(self.span)


@dataclass
class _FromY4m:
    reader: y4m.Reader
    span: Span
    broken: EspcnError | None = None
    """Where it breaks off."""

    @property
    def clip(self) -> Clip:
        return self.reader.clip

    def frames(self) -> Iterator[Frame]:
        rate, number = self.clip.rate, 0
        for frame in self._whole():
            if self.span.frames is not None and number >= self.span.frames:
                return
            if self.span.end is not None and frame.number >= self.span.end * rate:
                break
            if frame.number >= self.span.start * rate:
                yield replace(frame, number=number)
                number += 1
        if self.broken is not None and not number:
            raise self.broken
        if not number:
            raise EspcnError(
                "there are no frames in that part of it" if not self.span.whole else "there are no frames in it"
            )

    def _whole(self) -> Iterator[Frame]:
        """The frames until it ends or breaks off."""
        frames = self.reader.frames()
        while True:
            try:
                yield next(frames)
            except StopIteration:
                return
            except EspcnError as error:
                self.broken = error
                return


# --- where they go ---------------------------------------------------------------------------------------------------


class _ToY4m:
    """A stream of Y4M, which has one rate; `notes` tell if the source has not."""

    def __init__(self, file: IO[bytes], clip: Clip) -> None:
        self._writer = y4m.Writer(file, clip)
        self._clip = clip
        self._first: int | None = None
        self._count = 0
        self.notes: list[str] = []

    def write(self, planes: tuple[Plane, ...], pts: int, duration: int, carrier: Any) -> None:
        self._first = pts if self._first is None else self._first
        due = self._first + self._count / (self._clip.rate * self._clip.time_base)
        if abs(pts - due) * self._clip.time_base * self._clip.rate > LATE and not self.notes:
            self.notes.append("its frames do not come at one rate: Y4M has only one, and their moments are lost")
        self._count += 1
        self._writer.write(planes)

    def finish(self) -> None:
        self._writer.finish()

    def abandon(self) -> None:
        pass


class _Film:
    """One video on its way."""

    def __init__(
        self, upscaler: Upscaler, task: Task, options: FilmOptions, make_parts: MakeParts | None = None
    ) -> None:
        self.upscaler = upscaler
        self.make_parts = make_parts
        self.task = task
        self.options = options
        streamed = options.format if options.format in containers.MUXERS.values() else Y4M
        self.muxer: str = streamed if task.streams else containers.muxer_of(task.output)
        self.notes: list[str] = []

    # --- before the first frame

    @contextmanager
    def _opened(self) -> Iterator[tuple[Source, Video | None]]:
        """The source; what comes through a pipe and is no Y4M goes to the disk beside, since it is read twice."""
        task, name = self.task, self.task.source_name
        assert task.video is not None
        if task.video == Y4M:
            if self.options.deinterlace:
                raise UsageError("--deinterlace is for files; ffmpeg -vf bwdif does it in a pipe of Y4M")
            if not pipes.reads_once(task.source):
                with task.source.open("rb") as file:
                    yield _FromY4m(y4m.Reader(file), self.options.span), None
                return
            pipe = pipes.taken(task.source)
            yield _FromY4m(y4m.Reader(pipe), self.options.span), None
            pipe.close()  # not if anything was raised: a thread may wait for it, and hold it
            return
        containers.need_av(task.source, name)
        with ExitStack() as ending:
            place: Place = task.source
            if pipes.reads_once(task.source):
                folder = ending.enter_context(TemporaryDirectory(ignore_cleanup_errors=True))
                place = Spool(pipes.taken(task.source), Path(folder, "input"))
                ending.callback(place.close)
            video = open_video(place, name, task.video, self.options.deinterlace)
            ending.callback(video.close)
            yield _FromVideo(video, self.options.span), video

    def _target(self, clip: Clip) -> tuple[Upscaler | None, Clip]:
        """The model for it, and what its frames become. Raises EspcnError if they are too large."""
        check_pixels(clip.size[0] * clip.size[1])
        used = self.upscaler.reaching(clip.size, self.options.size)
        size = self.upscaler.output_size(clip.size, self.options.size)
        if size[0] * size[1] > self.options.max_output:
            raise EspcnError(
                f"{size[0]:,} x {size[1]:,} pixels would be more than {self.options.max_output:,}: "
                "use a smaller --scale or --size"
            )
        if used is not None:
            reached = used.output_size(clip.size)
            if reached[0] < size[0] or reached[1] < size[1]:
                self.notes.append(f"the network reaches x{used.scale}: the rest of the way is interpolated")
        return used, clip.like(size)

    def _planes(self, target: Clip) -> Clip:
        """What a stream of Y4M will hold."""
        coding = self.options.coding
        if coding != Coding(pixel_format=coding.pixel_format):
            raise UsageError("--codec, --crf and --preset are for videos that are compressed: Y4M is not")
        layout = target.layout
        if coding.pixel_format is not None:
            asked = layout_of(coding.pixel_format)
            if asked is None or not y4m.holds(asked):
                raise UsageError(
                    f"--pixel-format {coding.pixel_format!r}: Y4M takes gray, yuv420p, yuv444p10le and the like"
                )
            layout = asked
        elif layout.colour == "rgb":
            self.notes.append("RGB becomes Y'CbCr: Y4M holds nothing else")
            layout = Layout("yuv", layout.depth, 1, 1, layout.alpha and layout.depth == 8)
        elif not y4m.holds(layout):
            self.notes.append("transparency is lost: Y4M holds it in 4:4:4 of 8 bits alone")
            layout = replace(layout, alpha=False)
        colours = target.colours
        if target.layout.colour == "rgb":
            colours = replace(colours, full=False, matrix=1, tagged=True)
        return replace(target, layout=layout, colours=colours)

    # --- the work

    def run(self, started: float) -> Outcome:
        with self._opened() as (source, video):
            used, target = self._target(source.clip)
            done = Outcome(self.task, source.clip.size, target.size, model=used.name if used else None)
            if self.muxer == Y4M:
                frames, scenes = self._to_y4m(source, video, used, self._planes(target))
            elif self.task.streams:
                frames, scenes = self._to_pipe(source, video, used, target)
            else:
                frames, scenes = self._to_container(source, video, used, target)
            if video is not None:
                self.notes += [*video.notes, *_damage(video)]
            elif isinstance(source, _FromY4m) and source.broken is not None:
                self.notes.append(f"{source.broken}: what came before is done")
            strengths = list(dict.fromkeys(scenes.found))
            strength = scenes.found[0] if scenes.found else used.fixed_strength if used else None
            if len(strengths) > 1:
                self.notes.append(f"strengths of its scenes: {', '.join(f'{value:g}' for value in scenes.found[:20])}")
        seconds = time.monotonic() - started
        return replace(
            done, seconds=seconds, frames=frames, strength=strength, warnings=tuple(dict.fromkeys(self.notes))
        )

    def _to_y4m(self, source: Source, video: Video | None, used: Upscaler | None, target: Clip) -> tuple[int, Scenes]:
        if self.options.resume:
            raise UsageError("--resume is for videos in containers: Y4M is one stream", self.task.output)
        if video is not None and len(video.container.streams) > 1:
            self.notes.append("sound, subtitles and all else are lost: Y4M holds frames alone")
        scenes = self._scenes(source.clip, video, used)
        with _writable(self.task.output, self.options.overwrite, self._modified()) as file:
            sink = _ToY4m(file, target)
            frames = self._flow(source, used, target, scenes, sink, 0)
        self.notes += sink.notes
        return frames, scenes

    def _to_pipe(self, source: Source, video: Video | None, used: Upscaler | None, target: Clip) -> tuple[int, Scenes]:
        if self.options.resume:
            raise UsageError("--resume is for files: what went into a pipe is gone", self.task.output)
        check_muxer(self.muxer)
        containers.need_av(self.task.output, self.task.output_name)
        encoder, notes = choose(self.options.coding, target, video, self.muxer)
        check(encoder, self.muxer, self.task.output_name)
        self.notes += notes
        scenes = self._scenes(source.clip, video, used)
        with _writable(self.task.output, self.options.overwrite, self._modified()) as file:
            base, options = source.clip.time_base, self.options
            sink = Stream(file, encoder, video, base, self.muxer, options.span, options.strip)
            frames = self._flow(source, used, encoder.clip, scenes, sink, 0)
        self.notes += sink.notes
        return frames, scenes

    def _to_container(
        self, source: Source, video: Video | None, used: Upscaler | None, target: Clip
    ) -> tuple[int, Scenes]:
        task, output, muxer = self.task, self.task.output, self.muxer
        lasting = not pipes.reads_once(task.source)
        if self.options.resume and not lasting:
            raise UsageError("--resume needs a file to go on with: what came through a pipe is gone")
        containers.need_av(output, task.output_name)
        encoder, notes = choose(self.options.coding, target, video, muxer)
        check(encoder, muxer, str(output))
        self.notes += notes
        output.parent.mkdir(parents=True, exist_ok=True)
        if self.options.tidy:
            clean(output.parent)
        with claimed(output), ExitStack() as leaving:
            parts = Parts(output, self._identity(encoder, used), self.options.resume, lasting)
            if not lasting:
                leaving.callback(parts.remove)
            scenes = self._scenes(source.clip, video, used)
            try:
                if self.make_parts and video is not None:
                    span = self.options.span
                    frames = self.make_parts(Footage(task, video, span, used, encoder, parts, scenes, self.notes))
                else:
                    frames = self._flow(source, used, encoder.clip, scenes, parts.writer(encoder), parts.frames)
                if video is not None:
                    video.end()
            except BaseException as error:
                again = isinstance(error, EspcnError) and error.path != output  # it would fail again
                if again or not parts.done:
                    parts.remove()
                raise
            with replacing(output, self.options.overwrite, self._modified()) as temporary:
                shift = bool(self.options.span.start)
                cut = not self.options.span.whole
                how = muxer, temporary, shift, cut, self.options.strip
                self.notes += join(parts, encoder, video, source.clip.time_base, *how)
                if video is not None:
                    self.notes += lost_words(video, temporary, muxer, cut, self.options.strip)
            parts.remove()
        return frames, scenes

    def _modified(self) -> int | None:
        """When the output is to have been changed last; a note if that cannot be."""
        if not self.options.keep_time:
            return None
        when = None if self.task.streams else modified(self.task.source)
        self.notes += [NO_TIME] if when is None else []
        return when

    def _scenes(self, clip: Clip, video: Video | None, used: Upscaler | None) -> Scenes:
        origin = Origin(True) if video is None else Origin(video.lossless, video.codec, video.bits)
        return Scenes(used, clip, origin)

    def _identity(self, encoder: Encoder, used: Upscaler | None) -> dict[str, Any]:
        """All that the bytes of the frames depend on."""
        source = self.task.source
        stat = None if pipes.reads_once(source) else source.stat()
        return {
            "source": [os.path.realpath(source), stat.st_size, stat.st_mtime_ns] if stat else None,
            "model": [used.name, used.scale, str(used.strength)] if used else None,
            "settings": repr(used.engine.settings) if used else None,
            "arithmetic": used.engine.arithmetic if used else None,
            "encoder": [encoder.name, encoder.options, encoder.format, str(encoder.clip), str(encoder.rate)],
            "span": repr(self.options.span),
            "deinterlace": self.options.deinterlace,
        }

    def _flow(
        self, source: Source, used: Upscaler | None, target: Clip, scenes: Scenes, sink: Sink, finished: int
    ) -> int:
        total, started = wanted(source.clip, self.options.span), time.monotonic()

        def count(done: int) -> None:
            if self.options.progress:
                rate = (done - finished) / max(time.monotonic() - started, 1e-9)
                self.options.progress(Progress(done, total, rate / float(source.clip.rate)))

        return flow(source, used, target, scenes, sink, finished, self.notes, count)

    # --- a dry run

    def trial(self) -> Outcome:
        if pipes.reads_once(self.task.source):
            raise EspcnError(f"a dry run cannot look into {self.task.source_name}: name a file")
        with self._opened() as (source, video):
            used, target = self._target(source.clip)
            clip, encoder = (self._planes(target), None) if self.muxer == Y4M else (target, None)
            if self.muxer != Y4M:
                encoder, notes = choose(self.options.coding, target, video, self.muxer)
                check(encoder, self.muxer, str(self.task.output))
                clip, self.notes = encoder.clip, self.notes + notes
            scenes = self._scenes(source.clip, video, used)
            seconds, strength = self._measured(source, used, clip, encoder, scenes)
        frames = wanted(source.clip, self.options.span)
        memory = WORKING_MEMORY + 2 * _room(source.clip, clip) * _bytes(source.clip, clip)
        return Outcome(
            self.task,
            source.clip.size,
            clip.size,
            seconds=(frames or 0) * seconds,
            memory=memory,
            model=used.name if used else None,
            strength=strength,
            frames=frames,
            warnings=tuple(dict.fromkeys(self.notes)),
        )

    def _measured(
        self, source: Source, used: Upscaler | None, clip: Clip, encoder: Encoder | None, scenes: Scenes
    ) -> tuple[float, float | None]:
        """Seconds of a frame where all stages run side by side, by a few frames; and the strength of the first."""
        enlargement = _enlargement(source.clip, used, clip)
        context = encoder.context() if encoder else None
        cpu, wall, strength = 0.0, 0.0, None
        frames = source.frames()
        for index in range(TRIAL):
            before, busy = time.monotonic(), time.process_time()
            frame = next(frames, None)
            if frame is None:
                break
            strength = scenes.strength(frame)
            planes, _ = enlargement.complete(enlargement.prepare(frame), used.engine_at(strength) if used else None)
            if context is not None and encoder is not None:
                context.encode(encoder.frame(planes, index))
            if index:  # the first pays for starting up
                wall += time.monotonic() - before
                cpu += time.process_time() - busy
        if context is not None:
            context.encode(None)
        done = max(index, 1)
        return max(cpu / cores.count(), wall / STAGES) / done, strength


# --- the frames ------------------------------------------------------------------------------------------------------


class Strengths(Protocol):
    """Which strength each frame gets."""

    def strength(self, frame: Frame) -> float | None:
        """Of the next frame; None where nothing is mixed."""


def flow(
    source: Source,
    used: Upscaler | None,
    target: Clip,
    strengths: Strengths,
    sink: Sink,
    finished: int,
    notes: list[str],
    count: Callable[[int], object] = lambda done: None,
) -> int:
    """All frames through the network but those that are finished, read and written by threads of their own.

    Returns how many there are then, which `count` is told of after each.
    """
    enlargement = _enlargement(source.clip, used, target)
    room = _room(source.clip, target)
    ahead: Handover[tuple[Prepared, float | None]] = Handover(room)
    behind: Handover[tuple[Frame, tuple[Plane, ...]]] = Handover(room)
    reader = threading.Thread(
        target=_read, args=(source, strengths, enlargement, ahead, finished), name=f"{READER}-video", daemon=True
    )
    failed: list[BaseException] = []
    writer = threading.Thread(target=_write, args=(sink, behind, failed), name=f"{WRITER}-video", daemon=True)
    reader.start()
    writer.start()
    done = finished
    try:
        for group in ahead.several(min(used.engine.together, room) if used else 1):
            for strength, some in groupby(group, key=itemgetter(1)):
                prepared = [each for each, _ in some]
                larges, said = enlargement.complete_all(prepared, used.engine_at(strength) if used else None)
                notes += said
                for each, planes in zip(prepared, larges, strict=True):
                    if not behind.put((each.frame, planes)):
                        raise _Left
                    done += 1
                    count(done)
    except _Left:  # the other side tells why
        pass
    except BaseException as error:
        behind.end(error)
        writer.join(PATIENCE)
        raise
    finally:
        ahead.leave()
        reader.join(PATIENCE)  # it may wait for a pipe for ever
    behind.end()
    writer.join()
    if failed:
        raise failed[0]
    return done


def _enlargement(clip: Clip, used: Upscaler | None, target: Clip) -> Enlargement:
    colours = used is not None and used.engine.settings.planes == 3
    return Enlargement(clip, target, colours, used.tile if used else None)


# --- the threads -----------------------------------------------------------------------------------------------------


def _read(
    source: Source,
    strengths: Strengths,
    enlargement: Enlargement,
    ahead: Handover[tuple[Prepared, float | None]],
    finished: int,
) -> None:
    """Decode, choose strengths and enlarge chroma. Every frame is looked at, or scenes would not be the same."""
    try:
        for frame in source.frames():
            strength = strengths.strength(frame)
            if frame.number >= finished and not ahead.put((enlargement.prepare(frame), strength)):
                return
        ahead.end()
    except BaseException as error:
        ahead.end(error)


def _write(sink: Sink, behind: Handover[tuple[Frame, tuple[Plane, ...]]], failed: list[BaseException]) -> None:
    try:
        for frame, planes in behind:
            sink.write(planes, frame.pts, frame.duration, frame.carrier)
        sink.finish()
    except BaseException as error:
        failed.append(error)
        sink.abandon()
    finally:
        behind.leave()


def _bytes(clip: Clip, target: Clip) -> int:
    """Of a frame before and after."""
    return sum(
        height * width * (1 if each.layout.depth == 8 else 2)
        for each in (clip, target)
        for height, width in each.layout.shapes(each.size)
    )


def _room(clip: Clip, target: Clip) -> int:
    """Frames that may wait."""
    free = available_memory()
    return MOST if free is None else min(max(free // SHARE // _bytes(clip, target), FEWEST), MOST)


def wanted(clip: Clip, span: Span) -> int | None:
    """About how many frames of a clip are in a part of it."""
    most = clip.count
    if most is not None:
        last = most if span.end is None else min(round(span.end * clip.rate), most)
        most = max(last - round(span.start * clip.rate), 0)
    return span.frames if most is None else most if span.frames is None else min(most, span.frames)


def _damage(video: Video) -> list[str]:
    found = video.damage
    notes = []
    if found.packets or found.frames:
        parts = [f"{found.packets} that could not be decoded"] * bool(found.packets)
        parts += [f"{found.frames} that were concealed"] * bool(found.frames)
        notes.append(f"damaged frames: {' and '.join(parts)}")
    if found.breaks_off:
        notes.append("it breaks off before its end: what was there is done")
    return notes


@contextmanager
def _writable(output: Path, overwrite: bool, modified: int | None) -> Iterator[IO[bytes]]:
    """Where a stream of bytes goes: standard output, a pipe, or a file that appears when it is complete."""
    if output == STREAM:
        try:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # what is left in the buffer must not be tried again at the end of the process
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise
    elif is_stream(output):
        with output.open("wb") as file:
            yield file
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        with replacing(output, overwrite, modified) as temporary, temporary.open("wb") as file:
            yield file
