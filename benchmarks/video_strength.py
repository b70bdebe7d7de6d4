"""What `--strength auto` costs on videos: python benchmarks/video_strength.py CLIP... [--codecs h264 vp9] [--crf 18 23]

Each CLIP is halved by FFmpeg's scaler, stored by each codec at each crf, and upscaled again at strengths 0 to 1 and at
the one that `auto` takes. Figures are dB of luma against the clip, the mean of some frames. A row tells Lanczos' and
the strengths' dB, what auto took, and what that lost against the best. `lossless` is FFV1, `mpeg4` takes a quantiser
for its crf.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np

from espcn_cli.maths.levels import Floats, Levels
from espcn_cli.maths.resize import interpolate
from espcn_cli.pictures.video import open_video
from espcn_cli.upscaling.scenes import Origin, Scenes
from espcn_cli.upscaling.upscaler import Upscaler, load

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)

ENCODERS = {
    "h264": ("libx264", {"preset": "medium"}),
    "hevc": ("libx265", {"preset": "medium", "x265-params": "log-level=none"}),
    "av1": ("libsvtav1", {"preset": "8"}),
    "vp9": ("libvpx-vp9", {"b": "0", "cpu-used": "4", "row-mt": "1"}),
    "mpeg4": ("mpeg4", {}),
    "lossless": ("ffv1", {}),
}

QUANTISERS = {18: 2, 23: 4, 28: 8, 33: 16}
"""What MPEG-4 takes, about as coarse as a crf of H.264."""

CRFS = {"hevc": 2, "av1": 10, "vp9": 10}
"""So much more is about as coarse as a crf of H.264 in other codecs."""


@dataclass(frozen=True)
class Stored:
    """A clip in half its size as a codec keeps it, and the luma of the frames that it was made from."""

    path: Path
    large: list[Levels]


def halved(clip: Path, path: Path, codec: str, crf: int, count: int, interpolation: str) -> Stored:
    """The first `count` frames of a clip, halved and encoded."""
    name, options = ENCODERS[codec]
    options = dict(options)
    if codec not in ("lossless", "mpeg4"):
        options["crf"] = str(crf + CRFS.get(codec, 0))
    if codec == "mpeg4":
        options |= {"qmin": str(QUANTISERS[crf]), "qmax": str(QUANTISERS[crf])}
    large = []
    with av.open(str(path), "w") as container, av.open(str(clip)) as source:
        stream: Any = container.add_stream(name, 30, options)
        for number, frame in enumerate(islice(source.decode(video=0), count)):
            width, height = frame.width // 4 * 4, frame.height // 4 * 4
            large.append(luma(frame)[:height, :width])
            small: Any = frame.reformat(width // 2, height // 2, "yuv420p", interpolation=interpolation)
            small.pts, small.time_base, small.pict_type = number, Fraction(1, 30), 0
            if not number:
                stream.width, stream.height, stream.pix_fmt = small.width, small.height, "yuv420p"
            container.mux(stream.encode(small))
        container.mux(stream.encode(None))
    return Stored(path, large)


def luma(frame: Any) -> Levels:
    plane = frame.planes[0]
    rows: Levels = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width].copy()
    return rows


def opened(upscaler: Upscaler, stored: Stored, every: int) -> tuple[float, float | None, list[tuple[Levels, Levels]]]:
    """The strength that auto takes, the quantiser that it goes by, and frames with what they were made from."""
    video = open_video(stored.path, stored.path.name, "matroska")
    try:
        origin = Origin(video.lossless, video.codec, video.bits)
        strength, quantiser, pairs = 1.0, origin.quantiser(), []
        for frame in video.frames():
            if not frame.number:
                strength = Scenes(upscaler, video.clip, origin).strength(frame) or 0.0
                known = frame.quantiser()
                quantiser = quantiser if known is None else known
            if frame.number % every == every // 2:
                pairs.append((frame.planes[0].copy(), stored.large[frame.number]))
        return strength, quantiser, pairs
    finally:
        video.close()


def decibels(upscaler: Upscaler, strength: float, pairs: list[tuple[Levels, Levels]]) -> float:
    engine = upscaler.engine_at(strength)
    return mean_psnr((engine.upscale([small[..., None]], 16, 235)[0][..., 0], large) for small, large in pairs)


def by_lanczos(pairs: list[tuple[Levels, Levels]]) -> float:
    return mean_psnr(
        (interpolate(small[None, None].astype(np.float32), 2, "lanczos")[0, 0], large) for small, large in pairs
    )


def mean_psnr(pairs: Iterable[tuple[Levels | Floats, Levels]]) -> float:
    errors = [float(np.mean((made.astype(np.float32) - large) ** 2)) for made, large in pairs]
    return sum(10 * math.log10(255**2 / error) for error in errors) / len(errors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--codecs", nargs="+", choices=ENCODERS, default=["lossless", "h264", "vp9"])
    parser.add_argument("--crf", nargs="+", type=int, default=[18, 23, 28, 33])
    parser.add_argument("--model", default="espcn-m-real")
    parser.add_argument("--frames", type=int, default=60, help="how many are stored")
    parser.add_argument("--every", type=int, default=6, help="every so many are scored")
    parser.add_argument("--halved-by", default="BICUBIC", help="FFmpeg's name of a kernel")
    options = parser.parse_args()
    upscaler = load(options.model, 2)
    columns = "".join(f"{strength:>8g}" for strength in STRENGTHS)
    print(f"{'clip':<12}{'codec':<10}{'crf':>4}{'q':>6}{'Lanczos':>9}{columns}{'auto':>8}{'dB':>8}{'lost':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for clip in options.clips:
            for codec in options.codecs:
                for crf in options.crf if codec != "lossless" else [0]:
                    stored = halved(clip, Path(folder, "a.mkv"), codec, crf, options.frames, options.halved_by)
                    strength, quantiser, pairs = opened(upscaler, stored, options.every)
                    found = {each: decibels(upscaler, each, pairs) for each in STRENGTHS}
                    auto = found.get(strength) or decibels(upscaler, strength, pairs)
                    figures = "".join(f"{value:8.2f}" for value in found.values())
                    q = "" if quantiser is None or codec == "lossless" else f"{quantiser:.1f}"
                    lost = max(*found.values(), auto) - auto
                    print(
                        f"{clip.stem:<12}{codec:<10}{crf:>4}{q:>6}{by_lanczos(pairs):9.2f}{figures}{strength:8g}{auto:8.2f}{lost:7.2f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
