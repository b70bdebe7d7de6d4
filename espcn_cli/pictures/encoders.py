"""Writing a video's frames with PyAV: which encoder, with which settings, in which pixel format."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from importlib import import_module
from io import BytesIO
from typing import Any

import numpy as np

from espcn_cli import cores
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.maths.sited import Plane
from espcn_cli.pictures.planes import Clip, Layout, layout_of
from espcn_cli.pictures.video import Light, Video, view
from espcn_cli.settings import Codec

GLOBAL_HEADER = 1 << 22
"""The flag by which a codec's parameters come apart from the frames: all parts share them."""


@dataclass(frozen=True)
class Kind:
    """One of FFmpeg's encoders: how its quality and its pace are asked for, and what else it needs."""

    encoder: str
    crf: int | None = None
    highest: int = 51
    pace: str = "preset"
    preset: str | None = None
    others: dict[str, str] = field(default_factory=dict)
    even: bool = False
    """Whether subsampled sides must be even."""


KINDS = {
    "h264": Kind("libx264", 17, 51, preset="veryfast", even=True),
    "hevc": Kind("libx265", 19, 51, preset="veryfast", even=True),
    "av1": Kind("libsvtav1", 22, 63, preset="9", even=True),
    "vp9": Kind("libvpx-vp9", 20, 63, "cpu-used", "6", {"b": "0", "deadline": "realtime", "row-mt": "1"}),
    "ffv1": Kind("ffv1", others={"level": "3", "slicecrc": "1"}),
    "vp8": Kind("libvpx", 8, 63, "cpu-used", "6", {"b": "100M", "deadline": "realtime"}),
    "prores": Kind("prores_ks"),
}
"""What `--codec` can be, and what else a source may be in. Quality is chosen to be no loss to the eye."""

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")

PACKED = ("bgr0", "bgra", "rgb24", "rgba", "rgb48be", "rgba64be")
"""Pixel formats that are not planar, which the library makes of planes by itself."""

FIXED_QUALITY = 2
"""The quantiser of older codecs that have no constant rate factor: their best but one."""


@dataclass(frozen=True)
class Coding:
    """How frames are encoded, as users ask for it; None is the codec's default."""

    codec: Codec = "auto"
    crf: int | None = None
    preset: str | None = None
    pixel_format: str | None = None


@dataclass(frozen=True)
class Encoder:
    """A choice that makes any number of equal encoders. `clip` is what they take, `format` what they store."""

    name: str
    options: dict[str, str]
    clip: Clip
    format: str
    rate: Fraction
    padding: tuple[int, int] = (0, 0)
    fixed: bool = False
    header: bool = True
    """Whether the container has a place for the codec's parameters, apart from the frames."""

    threads: int | None = None
    """Some codecs' bytes depend on it; None for as many as this process may use."""

    def context(self) -> Any:
        """An encoder of its own, for one part. Raises EspcnError if the library refuses."""
        import av

        os.environ.setdefault("SVT_LOG", "1")  # or it tells of itself on standard error
        context: Any = av.CodecContext.create(self.name, "w")
        context.options = self.options | same_everywhere(self.name)
        context.time_base, context.framerate = 1 / self.rate, self.rate
        if self.header:
            context.flags |= GLOBAL_HEADER
        self._describe(context)
        return context

    def stream(self, container: Any) -> Any:
        """A stream for what such encoders have made."""
        os.environ.setdefault("SVT_LOG", "1")
        stream = container.add_stream(self.name, rate=self.rate, options=dict(self.options))
        stream.codec_context.time_base = 1 / self.rate
        self._describe(stream.codec_context)
        return stream

    def _describe(self, context: Any) -> None:
        width, height = self.clip.size
        context.width, context.height = width + self.padding[0], height + self.padding[1]
        context.pix_fmt = self.format
        context.thread_count = self.threads or cores.count()
        colours = self.clip.colours
        context.color_range = (2 if colours.full else 1) if colours.tagged or colours.full else 0
        context.color_primaries, context.color_trc = colours.primaries, colours.transfer
        context.colorspace = 0 if _is_rgb(self.format) else colours.matrix
        if self.clip.aspect:
            context.sample_aspect_ratio = self.clip.aspect
        if self.fixed:
            context.qscale, context.global_quality = True, FIXED_QUALITY * 118

    def frame(self, planes: Sequence[Plane], number: int, carrier: Any = None) -> Any:
        """Planes as the library has a frame; what hangs on `carrier` comes along."""
        import av

        width, height = self.clip.size[0] + self.padding[0], self.clip.size[1] + self.padding[1]
        layout = self.clip.layout
        if carrier is not None:
            frame = carrier.reformat(width, height, layout.name, interpolation="POINT")
        else:
            frame = av.VideoFrame(width, height, layout.name)
        for plane, source, shape in zip(frame.planes, planes, layout.shapes((width, height)), strict=False):
            missing = [(0, wanted - there) for wanted, there in zip(shape, source.shape, strict=True)]
            view(plane, shape, layout)[...] = np.pad(source, missing, mode="edge") if any(map(any, missing)) else source
        frame.pts, frame.time_base, frame.pict_type = number, 1 / self.rate, 0
        return frame


def choose(coding: Coding, target: Clip, video: Video | None, muxer: str) -> tuple[Encoder, list[str]]:
    """The encoder for frames of a size, and what it cannot keep.

    Raises UsageError for settings that do not go together, EspcnError if this PyAV lacks the encoder.
    """
    import av

    name = coding.codec
    if name == "auto":
        name = "vp9" if muxer == "webm" else "h264"
    kind = _of_source(video) if name == "source" else KINDS[name]
    try:
        formats = [each.name for each in av.Codec(kind.encoder, "w").video_formats or ()]
    except ValueError:
        raise EspcnError(f"this PyAV cannot write {kind.encoder}: choose another --codec") from None
    format, notes = _format(coding.pixel_format, target, formats, kind.encoder)
    layout = layout_of(format) or _stored(format)
    padding = (0, 0)
    if kind.even:
        padding = tuple(  # type: ignore[assignment]
            side % 2 if steps > 1 else 0 for side, steps in zip(target.size, (layout.across, layout.down), strict=True)
        )
    if any(padding):
        notes.append(f"{kind.encoder} needs even sides: the edge is repeated once")
    clip = replace(target, layout=layout)
    if clip.layout.colour == "yuv" and target.layout.colour == "rgb":
        clip = replace(clip, colours=replace(clip.colours, full=False, matrix=1, tagged=True))
    light = video.light if video else Light()
    options, fixed = _options(kind, coding, light, notes)
    if muxer == "avi" and kind.encoder == "libx264":
        options["bf"] = "0"  # frames that come in another order are not for AVI
    header = muxer not in ("avi", "mpegts")
    return Encoder(kind.encoder, options, clip, format, _rate(target.rate), padding, fixed, header), notes


def check(encoder: Encoder, muxer: str, destination: str) -> None:
    """Raise EspcnError if the encoder does not work here, or the container cannot hold what it makes."""
    import av

    try:
        with av.open(BytesIO(), "w", format=muxer) as container:
            encoder.stream(container)
            container.start_encoding()
    except ValueError:
        raise UsageError(
            f"{destination}: {muxer} cannot hold {encoder.name}: choose another --codec or suffix"
        ) from None
    except (av.FFmpegError, OSError) as error:
        width, height = encoder.clip.size
        what = f"{encoder.name} refuses {width} x {height} {encoder.format} ({getattr(error, 'strerror', error)})"
        raise EspcnError(f"{destination}: {what}: choose another --codec, --preset or --pixel-format") from None


def _of_source(video: Video | None) -> Kind:
    if video is None:
        raise UsageError("--codec source: Y4M is not compressed: name a codec")
    name = {"libdav1d": "av1", "libvpx-vp9": "vp9", "libvpx": "vp8"}.get(video.codec, video.codec)
    return KINDS.get(name, Kind(name))


def _rate(rate: Fraction) -> Fraction:
    """A rate that all encoders can count in."""
    return rate.limit_denominator(1001) if rate > 0 else Fraction(25)


def _options(kind: Kind, coding: Coding, light: Light, notes: list[str]) -> tuple[dict[str, str], bool]:
    """The encoder's options, and whether it gets a fixed quantiser as it knows nothing better."""
    options, fixed = dict(kind.others), False
    if kind.crf is not None:
        crf = kind.crf if coding.crf is None else coding.crf
        if crf > kind.highest:
            raise UsageError(f"--crf {crf}: {kind.encoder} takes 0 to {kind.highest}")
        options["crf"] = str(crf)
    elif coding.crf is not None:
        raise UsageError(f"--crf: {kind.encoder} has no such setting: leave it out")
    else:
        fixed = kind.encoder in ("mpeg4", "mpeg2video", "mpeg1video", "msmpeg4v3", "h263p", "flv", "mjpeg")
    if kind.preset is not None:
        options[kind.pace] = _preset(kind, coding.preset or kind.preset)
    elif coding.preset is not None:
        raise UsageError(f"--preset: {kind.encoder} has no such setting: leave it out")
    options |= _light_options(kind.encoder, light)
    if light.mastering and kind.encoder not in ("libx265", "libsvtav1"):
        notes.append(f"HDR10's description of the screen is lost: {kind.encoder} does not take it; --codec hevc does")
    return options, fixed


def _preset(kind: Kind, preset: str) -> str:
    words = (
        PRESETS
        if kind.encoder in ("libx264", "libx265")
        else tuple(map(str, range(14 if "svt" in kind.encoder else 9)))
    )
    if preset not in words:
        raise UsageError(f"--preset {preset!r}: {kind.encoder} takes {', '.join(words)}")
    return preset


def _light_options(encoder: str, light: Light) -> dict[str, str]:
    """HDR10's static metadata in the encoder's own words, and silence on the screen."""
    if encoder == "libx265":
        words = ["log-level=none", "info=0"]
        if light.mastering:
            rx, ry, gx, gy, bx, by, wx, wy, most, least = light.mastering
            words.append(f"master-display=G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({most},{least})")
        if light.content:
            words.append("max-cll={},{}".format(*light.content))
        return {"x265-params": ":".join([*words, "hdr10=1"] if light.mastering else words)}
    if encoder == "libsvtav1" and light.mastering:
        places = [f"{value / 50_000:g}" for value in light.mastering[:8]]
        red, green, blue, white = (",".join(places[index : index + 2]) for index in range(0, 8, 2))
        lights = ",".join(f"{value / 10_000:g}" for value in light.mastering[8:])
        screen = f"mastering-display=G({green})B({blue})R({red})WP({white})L({lights})"
        content = ":content-light={},{}".format(*light.content) if light.content else ""
        return {"svtav1-params": screen + content}
    return {}


def same_everywhere(encoder: str) -> dict[str, str]:
    """Options of this machine that keep an encoder from giving other bytes each time.

    x264's macroblock tree (as PyAV 18 has it) reads past its rows with AVX-512, unless they are of whole eights: the
    same frames of 720 × 480 were coded in two ways. Up to AVX2 it is one, which machines without AVX-512 give too.
    """
    return {"x264-params": "asm=avx2"} if encoder.startswith("libx264") and _has_avx512() else {}


@cache
def _has_avx512() -> bool:
    """As NumPy, which asks the processor itself, has found."""
    try:
        found = import_module("numpy._core._multiarray_umath").__cpu_features__
    except (ImportError, AttributeError):
        return False
    return bool(found.get("AVX512F"))


def _format(wanted: str | None, target: Clip, formats: list[str], encoder: str) -> tuple[str, list[str]]:
    """The pixel format that keeps most of a clip's planes, or the one that is asked for; and what is lost in it."""
    layout = target.layout
    if wanted is not None:
        if wanted not in formats or (layout_of(wanted) is None and layout.colour != "rgb"):
            known = ", ".join(name for name in formats if layout_of(name) and not name.startswith("yuvj"))
            raise UsageError(f"--pixel-format {wanted!r}: {encoder} takes {known}")
        best = wanted
    else:
        usable = [name for name in formats if _usable(name, layout)]
        best = min(usable, key=lambda name: _losses(layout, name), default="")
    if not best:
        raise EspcnError(f"{encoder} has no pixel format for {layout.name}: choose another --codec")
    kept = _stored(best)
    notes = []
    if layout.alpha and not kept.alpha:
        notes.append(f"transparency is lost: {encoder} does not keep it in {best}; --codec ffv1 does")
    if kept.depth < layout.depth:
        notes.append(f"{layout.depth} bits become {kept.depth}: {best} holds no more")
    if layout.colour != "grey" and kept.colour == "grey":
        notes.append("colour is lost: that was asked for")
    elif _is_coarser(kept, layout):
        notes.append(f"colour gets coarser: {encoder} stores it as {best}")
    return best, notes


def _usable(name: str, layout: Layout) -> bool:
    if name.startswith("yuvj"):
        return False
    return layout_of(name) is not None or (layout.colour == "rgb" and name in PACKED)


def _losses(layout: Layout, name: str) -> tuple[int, ...]:
    """What a format would lose, the worst first, and then what it would store for nothing."""
    kept = _stored(name)
    steps = max(layout.across * layout.down, 1)
    return (
        layout.colour != "grey" and kept.colour == "grey",
        _is_coarser(kept, layout),
        layout.alpha and not kept.alpha,
        kept.depth < layout.depth,
        kept.colour != layout.colour,
        abs(kept.across * kept.down - steps),
        abs(kept.across - layout.across),
        kept.alpha != layout.alpha,
        abs(kept.depth - layout.depth),
    )


def _stored(name: str) -> Layout:
    """What a pixel format keeps."""
    deep = name.endswith(("48be", "64be"))
    return layout_of(name) or Layout("rgb", 16 if deep else 8, 1, 1, "a" in name)


def _is_coarser(kept: Layout, layout: Layout) -> bool:
    """Whether colour has fewer samples."""
    if kept.colour != "yuv" or layout.colour == "grey":
        return False
    return kept.across * kept.down > max(layout.across * layout.down, 1)


def _is_rgb(name: str) -> bool:
    return name.startswith(("gbr", "rgb", "bgr", "argb", "abgr"))
