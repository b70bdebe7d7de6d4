"""A video's parts made apart from each other: one process looks at all frames, others make some of them each.

Only the first sees scenes begin, so it tells the strengths; and what a frame looks like, so that a part that is decoded
from the middle is known to be what it would be from the beginning.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from espcn_cli.errors import EspcnError
from espcn_cli.pictures.encoders import Encoder
from espcn_cli.pictures.parts import Lone, Part, length_of
from espcn_cli.pictures.planes import Clip, Frame
from espcn_cli.pictures.video import Span, Video, open_video
from espcn_cli.upscaling.film import Footage, flow
from espcn_cli.upscaling.upscaler import Upscaler

ROWS = 8
"""Every so many rows of a frame count for its checksum: some of each block that a decoder can get wrong."""

EARLIER = (0.0, 10.0)
"""Seconds before a part at which decoding begins; if its frames do not come out the same, at the video's beginning."""


@dataclass(frozen=True)
class Seen:
    """A frame as it was seen: its moment, its checksum, and the strength that it gets."""

    pts: int
    checksum: int
    strength: float | None


@dataclass(frozen=True)
class Piece:
    """What it takes to make one part. `scale`: of the network, None where none is needed."""

    source: Path
    output: Path
    kind: str
    deinterlaced: bool
    span: Span
    encoder: Encoder
    scale: int | None
    number: int
    first: int
    frames: tuple[Seen, ...]


@dataclass(frozen=True)
class Made:
    """A part, and what is to be told of it."""

    part: Part
    notes: tuple[str, ...]


class _OtherFramesError(Exception):
    """A decoder gives others than those that were seen."""


def pieces(footage: Footage) -> Iterator[Piece]:
    """All parts of a video, from the first on, as soon as their frames were looked at."""
    length, seen, first = length_of(footage.encoder), list[Seen](), 0
    assert footage.task.video is not None
    for frame in footage.video.frames(footage.span):
        seen.append(Seen(frame.pts, checksum(frame), footage.scenes.strength(frame)))
        if len(seen) == length:
            yield _piece(footage, first, tuple(seen))
            first += length
            seen.clear()
    if seen:
        yield _piece(footage, first, tuple(seen))


def _piece(footage: Footage, first: int, seen: tuple[Seen, ...]) -> Piece:
    task, used = footage.task, footage.used
    return Piece(
        task.source,
        task.output,
        task.video or "",
        footage.video.deinterlaced,
        footage.span,
        footage.encoder,
        used.scale if used else None,
        first // length_of(footage.encoder),
        first,
        seen,
    )


def checksum(frame: Frame) -> int:
    """Of what a frame shows, as good as certainly its own."""
    value = 0
    for plane in frame.planes:
        value = zlib.crc32(plane[::ROWS].tobytes(), value)
    return value


def make(upscaler: Upscaler, piece: Piece) -> Made:
    """Make one part, where it belongs. Raises EspcnError, as `film.upscale` reports it."""
    used = None if piece.scale is None else upscaler.at(piece.scale)
    for early in (*EARLIER, None):
        video = open_video(piece.source, str(piece.source), piece.kind, piece.deinterlaced)
        lone, notes = Lone(piece.output, piece.number, piece.first), list[str]()
        writer = lone.writer(piece.encoder)
        try:
            source = _Excerpt(video, piece, early)
            flow(source, used, piece.encoder.clip, source, writer, piece.first, notes)
            return Made(lone.settle(), tuple(dict.fromkeys(notes)))
        except _OtherFramesError:
            writer.abandon()
        finally:
            video.close()
    raise EspcnError(f"{piece.source}: its frames differ from machine to machine: install one version of PyAV on all")


class _Excerpt:
    """The frames of a piece, and their strengths. Raises _OtherFramesError for others than were seen."""

    def __init__(self, video: Video, piece: Piece, early: float | None) -> None:
        self._video = video
        self._piece = piece
        self._early = early

    @property
    def clip(self) -> Clip:
        return self._video.clip

    def strength(self, frame: Frame) -> float | None:
        return self._piece.frames[frame.number - self._piece.first].strength

    def frames(self) -> Iterator[Frame]:
        count = 0
        for frame, seen in zip(self._decoded(), self._piece.frames, strict=False):
            if (frame.pts, checksum(frame)) != (seen.pts, seen.checksum):
                raise _OtherFramesError
            yield frame
            count += 1
        if count < len(self._piece.frames):
            raise _OtherFramesError

    def _decoded(self) -> Iterator[Frame]:
        first, frames = self._piece.first, self._piece.frames
        if self._early is None or not first:
            all_frames = self._video.frames(self._piece.span)
            yield from (frame for frame in all_frames if frame.number >= first)
            return
        early = round(self._early / self._video.clip.time_base)
        yield from self._video.part(first, [seen.pts for seen in frames], early)
