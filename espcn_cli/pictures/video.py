"""Reading a video with PyAV, the extra `video`: its frames as planes, and what is known of them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from espcn_cli import cores
from espcn_cli.errors import EspcnError
from espcn_cli.maths.sited import Plane
from espcn_cli.pictures.containers import need_av
from espcn_cli.pictures.planes import Clip, Colours, Frame, Layout, Siting, layout_of
from espcn_cli.pictures.spool import Spool

PROTOCOLS = "file,pipe"
"""What a container may lead to: no network, no other kind of place."""

SEQUENTIAL = ("matroska", "mpegts")
"""Demuxers that need not seek: what comes through a pipe is read as it comes."""

Place = Path | Spool
"""Where a video is: a file, or what comes through a pipe."""

INTERLACED_ORDERS = (2, 3, 4, 5)
"""The orders of fields that a codec names, of which 1 is none: whole frames."""

CENTRED = ("mjpeg", "mpeg1video")
"""Codecs whose chroma lies amid the four luma samples; that of the others is on the left."""

LOSSLESS = frozenset(
    (
        *("ffv1", "ffvhuff", "huffyuv", "hymt", "utvideo", "magicyuv", "rawvideo", "qtrle", "png", "apng", "lagarith"),
        *(
            "zmbv",
            "flashsv",
            "cscd",
            "v210",
            "v308",
            "v408",
            "v410",
            "r210",
            "r10k",
            "snow",
            "rle",
            "gif",
            "bmp",
            "tiff",
        ),
        *("dirac_lossless", "screenpresso", "msrle", "8bps", "vble", "zerocodec", "fraps", "wrapped_avframe", "y41p"),
    )
)
"""Codecs that keep every level."""

DROPPED_WORDS = ("_STATISTICS_", "BPS", "NUMBER_OF_", "DURATION", "ENCODER", "encoder", "rotate", "SOURCE_ID")
"""What a stream's metadata say of how it was stored: no longer true."""


@dataclass
class Damage:
    """What a decoder got over, counted."""

    packets: int = 0
    frames: int = 0
    breaks_off: bool = False


@dataclass(frozen=True)
class Span:
    """The part of a video that is wanted: seconds from its start, and at most so many frames."""

    start: float = 0.0
    end: float | None = None
    frames: int | None = None

    @property
    def whole(self) -> bool:
        return not self.start and self.end is None and self.frames is None


@dataclass
class Light:
    """HDR10's static metadata, in the units of the codecs' own parameters; and what else hangs on the frames."""

    mastering: tuple[int, ...] | None = None
    """x and y of red, green, blue and white in 1/50000, then the greatest and the least light in 1/10000 cd/m²."""

    content: tuple[int, int] | None = None
    dropped: tuple[str, ...] = ()


@dataclass
class Video:
    """An open video. `frames` can be asked for once; `clip` and `light` are known before."""

    place: Place
    name: str
    container: Any
    stream: Any
    clip: Clip
    light: Light
    matrix: tuple[int, ...] | None
    lossless: bool
    notes: tuple[str, ...] = ()
    """What this library cannot read of it."""

    damage: Damage = field(default_factory=Damage)
    deinterlaced: bool = False

    def close(self) -> None:
        self.container.close()

    def again(self) -> Any:
        """The container once more, from its beginning, for what is copied. Whoever asks closes it."""
        return container_at(self.place, self.name, self.container.format.name.split(",")[0])

    @property
    def path(self) -> Path:
        return path_of(self.place)

    @property
    def comes(self) -> bool:
        """Whether it comes through a pipe and is read in one direction."""
        return isinstance(self.place, Spool) and self.container.format.name.split(",")[0] in SEQUENTIAL

    def end(self) -> None:
        """Take no more of what comes through a pipe: the frames are done, and what belongs to them is there."""
        if isinstance(self.place, Spool):
            self.place.stop()

    @property
    def in_avi(self) -> bool:
        """Whether the container tells when frames are decoded, and when they are shown is guessed."""
        return "avi" in str(self.container.format.name)

    @property
    def bits(self) -> float | None:
        """About how many a pixel was stored in; None if nothing tells."""
        rate = self.stream.codec_context.bit_rate or self.container.bit_rate
        width, height = self.clip.size
        return float(rate / (self.clip.rate * width * height)) if rate else None

    @property
    def codec(self) -> str:
        name: str = self.stream.codec_context.name
        return name

    def frames(self, span: Span | None = None) -> Iterator[Frame]:
        """The frames of a part, numbered from 0, with timestamps that rise.

        Raises EspcnError if the size changes, it turns out to be interlaced, or nothing can be decoded.
        """
        span = span or Span()
        origin = self.stream.start_time or 0
        first = origin + _ticks(span.start, self.clip.time_base)
        last = None if span.end is None else origin + _ticks(span.end, self.clip.time_base)
        number, before = 0, None
        if span.frames is not None and span.frames < 1:
            return
        for frame, pts in self._timed(first if span.start else None):
            if span.start and pts < first:
                continue
            if last is not None and pts >= last:
                break
            pts = pts if before is None else max(pts, before + 1)
            yield self._planes(frame, number, pts)
            number, before = number + 1, pts
            if span.frames is not None and number >= span.frames:
                return
        if not number:
            where = "no frames in that part of it" if not span.whole else "no frames can be decoded: is it complete?"
            raise EspcnError(f"{self.name}: {where}", self.path)
        missing = (self.stream.frames or 0) - number
        self.damage.breaks_off = self.damage.breaks_off or (span.whole and missing > 1 and not self.damage.packets)

    def part(self, first: int, pts: Sequence[int], early: int) -> Iterator[Frame]:
        """The frames that are shown at these moments, numbered from `first`, without what comes before them.

        Decoding begins at a key frame `early` ticks before them. Ends where a frame is not at its moment.
        """
        number = 0
        for frame, at in self._timed(pts[0] - early):
            if at < pts[number]:
                continue
            if at > pts[number]:
                return
            yield self._planes(frame, first + number, at)
            number += 1
            if number == len(pts):
                return

    def _timed(self, start: int | None) -> Iterator[tuple[Any, int]]:
        """Frames as PyAV has them, with their moments in the clip's time base."""
        step = max(round(1 / (self.clip.rate * self.clip.time_base)), 1)
        before: int | None = None
        for frame in self._filtered(start):
            moment = frame.dts if self.in_avi or frame.pts is None else frame.pts
            if moment is None:
                moment = 0 if before is None else before + step
            elif frame.time_base and frame.time_base != self.clip.time_base:
                moment = round(moment * frame.time_base / self.clip.time_base)
            before = moment
            yield frame, moment

    def _filtered(self, start: int | None) -> Iterator[Any]:
        """The same, each checked; as whole frames where the fields of two moments lay in one."""
        graph: Any = None
        for index, frame in enumerate(self._decoded(start)):
            self._check(frame, index)
            if not self.deinterlaced:
                yield frame
                continue
            graph = graph or _deinterlacer(self.stream, frame)
            graph.vpush(frame)
            yield from _pulled(graph)
        if graph is not None:
            graph.vpush(None)
            yield from _pulled(graph)

    def _check(self, frame: Any, index: int) -> None:
        if (frame.width, frame.height) != self.clip.size or planar(frame.format) != self.clip.layout:
            what = f"{frame.width} x {frame.height} {frame.format.name}"
            raise EspcnError(f"{self.name}: changes to {what} at frame {index}: cut it there, or use --end", self.path)
        if frame.interlaced_frame and not self.deinterlaced:
            raise _interlaced(self.path, self.name)
        self.damage.frames += bool(frame.is_corrupt)

    def _decoded(self, start: int | None) -> Iterator[Any]:
        import av

        if start is not None and not self.comes:
            try:
                self.container.seek(start, stream=self.stream)
            except (av.FFmpegError, OSError):  # it is decoded from its beginning then
                self.container.seek(0)
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError):
                self.damage.breaks_off = True
                yield from _flushed(self.stream)
                return
            try:
                frames = packet.decode()
            except (av.InvalidDataError, av.PatchWelcomeError):
                self.damage.packets += 1
                continue
            except av.FFmpegError:
                self.damage.packets += packet.size > 0
                continue
            yield from frames

    def _planes(self, frame: Any, number: int, pts: int) -> Frame:
        planes = planes_of(frame, self.clip.layout)
        duration = frame.duration or 0
        if duration and frame.time_base and frame.time_base != self.clip.time_base:
            duration = round(duration * frame.time_base / self.clip.time_base)
        carrier = frame if _has_captions(frame) else None
        return Frame(number, planes, pts, duration, _quantiser(frame), carrier)


def open_video(place: Place, name: str, demuxer: str, deinterlace: bool = False) -> Video:
    """Open a video and decode its first frame. Raises EspcnError, in one line, for all that can be wrong with it."""
    path = path_of(place)
    need_av(path, name)
    import av

    av.logging.set_level(None)
    with container_at(place, name, demuxer) as container:
        stream = _usable_stream(path, name, container, deinterlace)
        frame = _first(path, name, container, stream)
        if frame.interlaced_frame and not deinterlace:
            raise _interlaced(path, name)
    container = container_at(place, name, demuxer)  # again, as not every container can be wound back
    try:
        return _described(place, name, container, frame, deinterlace)
    except BaseException:
        container.close()
        raise


def path_of(place: Place) -> Path:
    return place.path if isinstance(place, Spool) else place


def container_at(place: Place, name: str, demuxer: str) -> Any:
    """PyAV's container; of a pipe that may still be coming. Raises EspcnError if it is none."""
    import av

    source = place.reader(demuxer not in SEQUENTIAL) if isinstance(place, Spool) else f"file:{place}"
    try:
        return av.open(source, format=demuxer, options={"protocol_whitelist": PROTOCOLS}, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise EspcnError(f"{name}: cannot be opened ({reason}): is it complete?", path_of(place)) from None


def _usable_stream(path: Path, name: str, container: Any, deinterlace: bool) -> Any:
    """The stream of frames, its decoder set up."""
    stream = main_stream(container)
    if stream is None:
        raise EspcnError(f"{name}: there is no video in it", path)
    context = stream.codec_context
    if context is None:
        raise EspcnError(f"{name}: its video is encrypted, or of a kind that this PyAV does not know", path)
    if context.codec_tag in ("encv", "drmi"):
        raise EspcnError(f"{name}: its video is encrypted: remove the protection first", path)
    if getattr(context, "field_order", 1) in INTERLACED_ORDERS and not deinterlace:
        raise _interlaced(path, name)
    context.thread_type = "AUTO"
    context.thread_count = cores.count()
    context.options = {**context.options, "export_side_data": "venc_params"}
    return stream


def _described(place: Place, name: str, container: Any, frame: Any, deinterlace: bool) -> Video:
    stream = _usable_stream(path_of(place), name, container, deinterlace)
    context, layout = stream.codec_context, planar(frame.format)
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    clip = Clip(
        (frame.width, frame.height),
        layout,
        stream.time_base,
        rate,
        _colours(frame, layout),
        stream.sample_aspect_ratio,
        _siting(context.name, frame),
        _count(container, stream, rate),
    )
    lossless = context.name in LOSSLESS or _says_lossless(context)
    light, matrix = _light(frame), _matrix(frame)
    notes = [f"{word} is lost: no encoder here takes it" for word in light.dropped]
    if stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) == "1" and not layout.alpha:
        notes.append("transparency is lost: the decoder does not read it")
    return Video(place, name, container, stream, clip, light, matrix, lossless, tuple(notes), deinterlaced=deinterlace)


def main_stream(container: Any) -> Any:
    """The video stream that is meant: the default one, and no picture of a cover; None if there is none."""
    attached = 1 << 10
    streams = [stream for stream in container.streams.video if not int(stream.disposition) & attached]
    return next((stream for stream in streams if int(stream.disposition) & 1), streams[0] if streams else None)


def _first(path: Path, name: str, container: Any, stream: Any) -> Any:
    """The first frame. Raises EspcnError if there is none."""
    import av

    with suppress(av.FFmpegError, OSError):
        for packet in container.demux(stream):
            with suppress(av.FFmpegError):
                if frames := packet.decode():
                    return frames[0]
    raise EspcnError(f"{name}: no frames can be decoded: is it complete, and not encrypted?", path)


def _flushed(stream: Any) -> list[Any]:
    import av

    try:
        frames: list[Any] = stream.codec_context.decode(None)
    except av.FFmpegError:
        return []
    return frames


def _interlaced(path: Path, name: str) -> EspcnError:
    return EspcnError(f"{name}: is interlaced, two moments in each frame: take them apart with --deinterlace", path)


def _deinterlacer(stream: Any, frame: Any) -> Any:
    """FFmpeg's own filter: one frame for each, at its moment."""
    import av

    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or stream.time_base
    )
    graph.link_nodes(source, graph.add("bwdif", "mode=send_frame:deint=all"), graph.add("buffersink")).configure()
    return graph


def _pulled(graph: Any) -> Iterator[Any]:
    import av

    while True:
        try:
            yield graph.vpull()
        except (BlockingIOError, av.EOFError, EOFError):
            return


# --- what a frame is -------------------------------------------------------------------------------------------------


def planes_of(frame: Any, layout: Layout) -> tuple[Plane, ...]:
    """A frame's planes, which may share its memory."""
    if layout_of(frame.format.name) != layout:
        frame = frame.reformat(format=layout.name)
    shapes = layout.shapes((frame.width, frame.height))
    return tuple(view(plane, shape, layout) for plane, shape in zip(frame.planes, shapes, strict=False))


def view(plane: Any, shape: tuple[int, int], layout: Layout) -> Plane:
    """The samples of one of PyAV's planes, without what fills its rows."""
    dtype = np.dtype(layout.dtype)
    rows = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)
    samples: Plane = rows[: shape[0], : shape[1]]
    return samples


def planar(kind: Any) -> Layout:
    """The planes that hold all that a pixel format does."""
    if layout := layout_of(kind.name):
        return layout
    parts = kind.components
    depth = next(bits for bits in (8, 9, 10, 12, 14, 16) if bits >= min(max(part.bits for part in parts), 16))
    alpha = any(part.is_alpha for part in parts) or kind.has_palette
    colours = sum(not part.is_alpha for part in parts)
    if kind.is_rgb or kind.has_palette or (colours == 1 and alpha):
        return _existing(Layout("rgb", depth, 1, 1, alpha))
    if colours == 1:
        return _existing(Layout("grey", depth))
    width, height = (max(-(-64 // side), 1) for side in (kind.chroma_width(64), kind.chroma_height(64)))
    return _existing(Layout("yuv", depth, width, height, alpha))


def _existing(layout: Layout) -> Layout:
    """The same in 16 bits where FFmpeg has none of this depth."""
    import av

    try:
        av.VideoFormat(layout.name)
    except ValueError:
        return replace(layout, depth=16)
    return layout


def _colours(frame: Any, layout: Layout) -> Colours:
    said = int(frame.color_range)
    full = said == 2 or frame.format.name.startswith("yuvj") or layout.colour == "rgb"
    tagged = said in (1, 2)
    return Colours(full, int(frame.color_primaries), int(frame.color_trc), int(frame.colorspace), tagged)


def _siting(codec: str, frame: Any) -> Siting:
    """Where chroma is by the codec's rules, as PyAV does not tell what the file says; wide gamut has its own place."""
    if codec in CENTRED:
        return "centre"
    return "topleft" if int(frame.color_primaries) == 9 and codec in ("hevc", "libdav1d", "av1") else "left"


def _count(container: Any, stream: Any, rate: Fraction) -> int | None:
    if stream.frames:
        return int(stream.frames)
    if stream.duration:
        return max(int(stream.duration * stream.time_base * rate + Fraction(1, 2)), 1)
    return max(round(container.duration / 1_000_000 * rate), 1) if container.duration else None


def _says_lossless(context: Any) -> bool:
    return "lossless" in str(getattr(context, "profile", "") or "").lower()


def _light(frame: Any) -> Light:
    found = {data.type.name: bytes(data) for data in frame.side_data}
    names = {"DOVI_METADATA": "Dolby Vision", "DOVI_RPU_BUFFER": "Dolby Vision", "DYNAMIC_HDR_PLUS": "HDR10+"}
    dropped = tuple(dict.fromkeys(word for key, word in names.items() if key in found))
    return Light(
        _mastering(found.get("MASTERING_DISPLAY_METADATA")), _content(found.get("CONTENT_LIGHT_LEVEL")), dropped
    )


def _mastering(data: bytes | None) -> tuple[int, ...] | None:
    """AVMasteringDisplayMetadata: ten fractions (r, g, b, white, least, greatest light) and two flags."""
    if data is None or len(data) < 88:
        return None
    numbers = struct.unpack_from("22i", data)
    if not (numbers[20] and numbers[21]) or not all(numbers[1:20:2]):
        return None
    values = [Fraction(above, below) for above, below in zip(numbers[:20:2], numbers[1:20:2], strict=True)]
    places = tuple(round(value * 50_000) for value in values[:8])
    return (*places, round(values[9] * 10_000), round(values[8] * 10_000))


def _content(data: bytes | None) -> tuple[int, int] | None:
    if data is None or len(data) < 8:
        return None
    most, average = struct.unpack_from("2I", data)
    return most, average


def _matrix(frame: Any) -> tuple[int, ...] | None:
    """How the picture is turned for display: nine numbers, None for not at all."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX" and len(bytes(data)) >= 36:
            return tuple(struct.unpack_from("9i", bytes(data)))
    return None


def _has_captions(frame: Any) -> bool:
    return any(data.type.name == "A53_CC" for data in frame.side_data)


def _quantiser(frame: Any) -> Callable[[], float | None]:
    """How coarsely a frame is stored, when it is asked for: in H.264's steps, None where the library does not tell."""

    def measure() -> float | None:
        for data in frame.side_data:
            if data.type.name == "VIDEO_ENC_PARAMS" and data.codec_type.name == "H264":
                return float(data.qp + _mean_delta(data))
        return None

    return measure


def _mean_delta(data: Any) -> float:
    count = data.nb_blocks
    picked = range(0, count, max(count // 64, 1))
    return float(np.mean([data.block_params(index).delta_qp for index in picked])) if count else 0.0


def _ticks(seconds: float, time_base: Fraction) -> int:
    return round(Fraction(seconds).limit_denominator(1_000_000) / time_base)
