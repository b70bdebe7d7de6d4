"""Videos that the tests make for themselves, with all that can be in one; needs PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from making import natural

from espcn_cli.maths.sited import Plane
from espcn_cli.pictures.planes import Layout, layout_of
from espcn_cli.pictures.video import view

Planes = tuple[Plane, ...]


def moving_planes(count: int, width: int, height: int, layout: Layout, still: bool = False) -> list[Planes]:
    """Frames of a window that moves over a picture, or stays, in any layout; every plane another part of it."""
    whole = natural(4 * width + 2 * count + 8, 2 * height + count + 8).astype(np.uint32)
    frames: list[Planes] = []
    for index in range(count):
        step = 0 if still else index
        planes: list[Plane] = []
        for number, (rows, columns) in enumerate(layout.shapes((width, height))):
            top, left = step, 2 * step + number * width // 2
            part = whole[top : top + rows, left : left + columns, number % 3]
            levels = part * layout.most // 255
            planes.append((levels * 200 // 256 + layout.most // 12).astype(layout.dtype))
        frames.append(tuple(planes))
    return frames


@dataclass
class Film:
    """What to make; the defaults are lossless and plain."""

    frames: Sequence[Planes]
    format: str = "yuv420p"
    codec: str = "ffv1"
    options: dict[str, str] = field(default_factory=dict)
    rate: Fraction = Fraction(25)
    time_base: Fraction | None = None
    pts: Sequence[int] | None = None
    colours: tuple[int, int, int, int] = (1, 2, 2, 2)
    """Range, primaries, transfer, matrix."""

    aspect: Fraction | None = None
    rotation: int = 0
    sound: bool = False
    subtitles: bool = False
    attachment: bytes | None = None
    cover: bytes | None = None
    chapters: bool = False
    metadata: dict[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> Path:
        import av

        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream(self.codec, self.rate, {"threads": "1", **self.options})
            height, width = self.frames[0][0].shape
            stream.width, stream.height, stream.pix_fmt = width, height, self.format
            base = self.time_base or 1 / self.rate
            stream.time_base = base
            context = stream.codec_context
            context.time_base = base
            context.color_range, context.color_primaries, context.color_trc, context.colorspace = self.colours
            if self.aspect:
                context.sample_aspect_ratio = self.aspect
            if self.rotation:
                stream.set_display_rotation(self.rotation)
            container.metadata.update(self.metadata)
            sound = _add_sound(container) if self.sound else None
            subtitles: Any = None
            if self.subtitles:
                subtitles = container.add_mux_stream("subrip")
                subtitles.metadata["language"] = "fra"
                subtitles.disposition = 1 << 6
            if self.attachment is not None:
                container.add_attachment("letters.ttf", "font/ttf", self.attachment)
            cover: Any = None
            if self.cover is not None:
                cover = container.add_stream("mjpeg", rate=1, width=16, height=16, pix_fmt="yuvj420p")
                cover.disposition = 1 << 10
            if self.chapters:
                container.set_chapters([_chapter(1, 0, "One"), _chapter(2, 200, "Two")])
            container.start_encoding()
            if sound is not None:
                _write_sound(container, sound, len(self.frames) / self.rate)
            if subtitles is not None:
                packet = av.Packet(b"Bonjour")
                packet.stream, packet.time_base = subtitles, Fraction(1, 1000)
                packet.pts = packet.dts = 40
                packet.duration = 200
                container.mux(packet)
            if cover is not None:
                packet = av.Packet(self.cover)
                packet.stream, packet.time_base = cover, Fraction(1, 90000)
                packet.pts = packet.dts = 0
                container.mux(packet)
            for number, planes in enumerate(self.frames):
                container.mux(stream.encode(self._frame(planes, number, base)))
            container.mux(stream.encode(None))
        return path

    def _frame(self, planes: Planes, number: int, base: Fraction) -> Any:
        import av

        layout = layout_of(self.format)
        assert layout is not None
        frame: Any = av.VideoFrame(planes[0].shape[1], planes[0].shape[0], self.format)
        for plane, levels in zip(frame.planes, planes, strict=True):
            view(plane, levels.shape, layout)[...] = levels
        frame.pts, frame.time_base = (self.pts[number] if self.pts else number), base
        return frame


def _chapter(number: int, start: int, title: str) -> Any:
    base = Fraction(1, 1000)
    return {"id": number, "start": start, "end": start + 200, "time_base": base, "metadata": {"title": title}}


def _add_sound(container: Any) -> Any:
    sound = container.add_stream("aac" if "mp4" in container.format.name else "libopus", rate=48000)
    sound.layout = "mono"
    sound.metadata["language"] = "deu"
    sound.metadata["title"] = "Comment"
    sound.disposition = 1 << 3
    return sound


def _write_sound(container: Any, sound: Any, seconds: Fraction) -> None:
    import av

    total = int(seconds * 48000)
    wave = (np.sin(np.arange(total) * 440 * 2 * np.pi / 48000) * 0.2).astype(np.float32)
    for start in range(0, total, 960):
        frame: Any = av.AudioFrame.from_ndarray(wave[None, start : start + 960], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        container.mux(sound.encode(frame))
    container.mux(sound.encode(None))


def read_film(path: Path) -> tuple[list[Planes], list[Fraction]]:
    """All frames of a video, as planes, and their moments in seconds."""
    import av

    from espcn_cli.pictures.video import planar, planes_of

    frames, moments = [], []
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        for frame in container.decode(stream):
            layout = planar(frame.format)
            frames.append(tuple(plane.copy() for plane in planes_of(frame, layout)))
            moment = frame.dts if path.suffix == ".avi" else frame.pts
            assert moment is not None
            moments.append(moment * stream.time_base)
    return frames, moments


def packets_of(path: Path, kind: str) -> list[tuple[float, bytes]]:
    """The packets of the first stream of a kind, with their moments in seconds."""
    import av

    with av.open(str(path)) as container:
        stream: Any = next(stream for stream in container.streams if stream.type == kind)
        return [
            (float(packet.pts * packet.time_base), bytes(packet)) for packet in container.demux(stream) if packet.size
        ]
