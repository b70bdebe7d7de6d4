"""A video into a pipe: encoded frames and all other streams of the source in one container, as they are made."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from io import BytesIO
from typing import IO, Any

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.maths.sited import Plane
from espcn_cli.pictures.encoders import Encoder
from espcn_cli.pictures.joining import FROM_ZERO, Extra, broken_off, copied, lost_words, options_of, outline
from espcn_cli.pictures.video import Span, Video, main_stream

KEPT = 2**20
"""Bytes of the beginning that are kept, to see in the end what the container has not taken."""

FRAGMENTS = "frag_keyframe+delay_moov+default_base_moof"
"""MP4 that needs no way back: a piece for each key frame."""


def check_muxer(muxer: str) -> None:
    """Raise UsageError for containers that are corrected in the end, which no pipe allows."""
    if muxer == "avi":
        raise UsageError("AVI cannot go into a pipe: add -f mkv, -f ts or -f mp4, or name a file")


class _Out:
    """What PyAV writes to: a pipe, which it must neither wind back nor close."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.start = bytearray()
        self.left = False

    def write(self, data: bytes) -> int:
        if not self.left:
            self.start += data[: KEPT - len(self.start)]
            self._file.write(data)
            self._file.flush()
        return len(data)


class Stream:
    """Takes frames, in order; `notes` tell in the end what the container cannot hold.

    Raises EspcnError if the encoder gives up, OSError as the pipe does.
    """

    def __init__(
        self,
        file: IO[bytes],
        encoder: Encoder,
        video: Video | None,
        time_base: Fraction,
        muxer: str,
        span: Span,
        strip: bool = False,
    ) -> None:
        self.notes: list[str] = []
        self._out = _Out(file)
        self._encoder, self._video, self._base, self._muxer, self._span = encoder, video, time_base, muxer, span
        self._strip = strip
        self._context = encoder.context()
        self._source: Any = None
        self._container: Any = None
        self._stream: Any = None
        self._extras: dict[int, Extra] = {}
        self._others: Iterator[tuple[Fraction, Any]] = iter(())
        self._other: tuple[Fraction, Any] | None = None
        self._frames = self._packets = 0
        self._moments: dict[int, int] = {}
        self._waiting: deque[Any] = deque()
        self._first = self._step = self._reach = self._origin = self._last = 0

    def write(self, planes: tuple[Plane, ...], pts: int, duration: int, carrier: Any) -> None:
        self._moments[self._frames] = pts
        self._last = pts + (duration or max(round(1 / (self._encoder.rate * self._base)), 1))
        self._encode(self._encoder.frame(planes, self._frames, carrier))
        self._frames += 1
        while self._waiting and self._waiting[0].pts + 1 < self._frames:
            self._put(self._waiting.popleft())

    def finish(self) -> None:
        self._encode(None)
        self._moments[self._frames] = self._last  # where the next one would be
        while self._waiting:
            self._put(self._waiting.popleft())
        if self._container is None:
            return
        if self._video is not None:
            self._video.end()
        self._copy((self._last - self._origin) * self._base if not self._span.whole else None)
        self._container.close()
        self.notes += broken_off(self._extras, self._muxer)
        if self._video is not None:
            self.notes += self._lost(self._video)
        self._leave()

    def abandon(self) -> None:
        import av

        self._out.left = True
        if self._container is not None:
            with suppress(av.FFmpegError, OSError, ValueError):
                self._container.close()
        self._leave()

    def _leave(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None

    def _encode(self, frame: Any) -> None:
        import av

        try:
            self._waiting.extend(self._context.encode(frame))
        except (av.FFmpegError, ValueError) as error:
            what = getattr(error, "strerror", None) or str(error)
            raise EspcnError(f"{self._encoder.name} gave up ({what})") from None

    def _put(self, packet: Any) -> None:
        """A packet whose next frame is known; what comes before it of the other streams goes first."""
        if self._container is None:
            self._open(packet)
        number, index, moments = packet.pts, self._packets, self._moments
        due = index - self._reach
        packet.stream, packet.time_base = self._stream, self._base
        packet.pts = moments[number] - self._origin
        packet.dts = (moments[due] if due >= 0 else self._first + due * self._step) - self._origin
        packet.duration = moments[number + 1] - moments[number]
        if due >= 0:
            moments.pop(due - 1, None)
        self._packets += 1
        self._copy(packet.dts * self._base)
        self._container.mux(packet)

    def _open(self, packet: Any) -> None:
        """Begin the container, now that it is known how many frames before its turn one is decoded."""
        import av

        self._reach = max(-(packet.dts or 0), 0)
        self._first = self._moments[0]
        self._step = max(self._moments[1] - self._first, 1)
        origin = self._origin = self._first if self._span.start else 0
        source = self._source = self._video.again() if self._video else None
        options = options_of(self._muxer, source) | {"max_interleave_delta": "1"}  # in microseconds: nothing waits
        if self._muxer in ("mp4", "mov"):
            options["movflags"] = "+".join([FRAGMENTS, *filter(None, [options.get("movflags")])])
        self._container = av.open(self._out, "w", format=self._muxer, options=options)
        end = None if self._span.end is None else Fraction(self._span.end).limit_denominator(1_000_000)
        self._stream, self._extras, notes = outline(
            self._container,
            self._video,
            source,
            self._encoder,
            self._base,
            self._muxer,
            origin * self._base,
            end,
            self._strip,
        )
        self.notes += notes
        if self._muxer in FROM_ZERO:
            self._origin -= max(self._reach * self._step - (self._first - origin), 0)
        if source is not None:
            window = None if self._span.whole else (self._first * self._base, None)
            beside = main_stream(source)
            self._others = copied(source, self._extras, self._origin * self._base, window, beside)
            self._other = next(self._others, None)

    def _copy(self, until: Fraction | None) -> None:
        """What the other streams have until a moment; None for all."""
        import av

        while self._other is not None and (until is None or self._other[0] < until):
            packet = self._other[1]
            if packet is not None:
                try:
                    self._container.mux(packet)
                except av.ArgumentError:
                    next(each for each in self._extras.values() if each.target is packet.stream).lost = True
            self._other = next(self._others, None)

    def _lost(self, video: Video) -> list[str]:
        """What is not in the beginning, where all of this stands."""
        import av

        try:
            return lost_words(video, BytesIO(bytes(self._out.start)), self._muxer, not self._span.whole, self._strip)
        except (av.FFmpegError, OSError, ValueError):
            return []
