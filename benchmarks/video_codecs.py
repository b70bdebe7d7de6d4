"""What codecs, presets and crf keep of upscaled frames, and cost: python benchmarks/video_codecs.py CLIP... [options]

The first frames of each CLIP are made --size large, upscaled x2 by --model, and given to each encoder at each preset
and crf. Lines tell dB and SSIM of luma against the frames before encoding, the worst frame's dB, kilobytes a frame, and
processor seconds a frame: those of encoding, of decoding the source with the network, and the part that encoding takes
of both. Processor time, not the clock: other work on the machine changes it little.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from video import make_clip, parse_size

from espcn_cli.engines.torch_engine import to_planes
from espcn_cli.maths.sited import Plane
from espcn_cli.pictures.encoders import KINDS, Coding, Encoder, choose
from espcn_cli.pictures.planes import Clip
from espcn_cli.pictures.video import open_video, planes_of
from espcn_cli.scoring.metrics import ssim
from espcn_cli.upscaling.frames import Enlargement
from espcn_cli.upscaling.scenes import Origin, Scenes
from espcn_cli.upscaling.upscaler import load

Planes = tuple[Plane, ...]

PRESETS = {
    "h264": ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium"),
    "hevc": ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium"),
    "av1": ("12", "11", "10", "9", "8", "7"),
    "vp9": ("8", "7", "6", "5", "4"),
}

NEARBY = (-6, -3, 3, 6)
"""How far from a codec's own crf others are tried, at its own preset."""

SCORED = 6
"""Every so many frames are scored."""


@dataclass(frozen=True)
class Made:
    """Upscaled frames, and the processor seconds that each took until here."""

    clip: Clip
    frames: list[Planes]
    cost: float


@dataclass(frozen=True)
class Found:
    """What an encoder made of them: of each frame dB and SSIM of luma, the worst dB, bytes and processor seconds."""

    psnr: float
    ssim: float
    worst: float
    size: float
    cost: float


def upscaled(path: Path, model: str, count: int) -> Made:
    upscaler = load(model, 2)
    video = open_video(path, path.name, "mov")
    target = video.clip.like((video.clip.size[0] * 2, video.clip.size[1] * 2))
    enlargement = Enlargement(video.clip, target)
    scenes = Scenes(upscaler, video.clip, Origin(video.lossless, video.codec, video.bits))
    frames: list[Planes] = []
    started = time.process_time()
    for frame in islice(video.frames(), count):
        engine = upscaler.engine_at(scenes.strength(frame))
        planes, _ = enlargement.complete(enlargement.prepare(frame), engine)
        if not frames:  # the first pays for starting up
            started = time.process_time()
        frames.append(planes)
    cost = (time.process_time() - started) / max(len(frames) - 1, 1)
    video.close()
    return Made(target, frames, cost)


def encoded(made: Made, encoder: Encoder) -> tuple[list[Any], float]:
    """Packets, and processor seconds a frame."""
    context, started = encoder.context(), time.process_time()
    packets = [packet for n, planes in enumerate(made.frames) for packet in context.encode(encoder.frame(planes, n))]
    packets += context.encode(None)
    return packets, (time.process_time() - started) / len(made.frames)


def score(made: Made, encoder: Encoder, path: Path) -> Found:
    packets, cost = encoded(made, encoder)
    with av.open(str(path), "w", format="matroska") as container:
        stream = encoder.stream(container)
        for packet in packets:
            packet.stream = stream
            container.mux(packet)
    decibels, similar = [], []
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % SCORED:
                continue
            after, before = planes_of(frame, encoder.clip.layout)[0], made.frames[number][0]
            error = float(np.mean((after.astype(np.float32) - before) ** 2))
            decibels.append(10 * math.log10(255**2 / max(error, 1e-9)))
            one, other = (to_planes(np.ascontiguousarray(plane)[..., None], 0, 255) for plane in (before, after))
            similar.append(ssim(one, other))
    size = sum(packet.size for packet in packets) / len(made.frames)
    return Found(_mean(decibels), _mean(similar), min(decibels), size, cost)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def settings(codec: str, presets: Sequence[str] | None, crfs: Sequence[int] | None) -> list[tuple[str, int]]:
    """Pairs of a preset and a crf: every preset at the codec's own crf, and other crf at its own preset."""
    kind = KINDS[codec]
    assert kind.preset is not None and kind.crf is not None
    if presets and crfs:
        return [(preset, crf) for preset in presets for crf in crfs]
    pairs = [(preset, kind.crf) for preset in presets or PRESETS[codec]]
    return pairs + [(kind.preset, crf) for crf in crfs or [kind.crf + step for step in NEARBY]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--codecs", nargs="+", choices=PRESETS, default=list(PRESETS))
    parser.add_argument("--presets", nargs="+")
    parser.add_argument("--crfs", nargs="+", type=int)
    parser.add_argument("--size", type=parse_size, default=(640, 360), help="of the frames before the network")
    parser.add_argument("--model", default="espcn-m-real")
    parser.add_argument("--frames", type=int, default=60)
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    print(f"{'codec':<6}{'preset':<10}{'crf':>4}{'dB':>8}{'worst':>8}{'SSIM':>8}{'kB':>8}{'s':>9}{'of all':>8}")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        clips = [
            make_clip(clip, options.size, options.frames, place / f"{number}.mp4")
            for number, clip in enumerate(options.clips)
        ]
        films = [upscaled(clip, options.model, options.frames) for clip in clips]
        print(f"decoding and network: {_mean([made.cost for made in films]):.3f} s a frame")
        for codec in options.codecs:
            for preset, crf in settings(codec, options.presets, options.crfs):
                found = []
                for made in films:
                    encoder, _ = choose(Coding(codec, crf, preset), made.clip, None, "matroska")
                    found.append((made, score(made, replace(encoder, header=False), place / "a.mkv")))
                means = [_mean([getattr(each, name) for _, each in found]) for name in ("psnr", "ssim", "size", "cost")]
                psnr, similarity, size, cost = means
                share = _mean([each.cost / (each.cost + made.cost) for made, each in found])
                worst = min(each.worst for _, each in found)
                line = f"{codec:<6}{preset:<10}{crf:>4}{psnr:8.2f}{worst:8.2f}{similarity:8.4f}"
                print(f"{line}{size / 1000:8.1f}{cost:9.3f}{share:8.0%}", flush=True)


if __name__ == "__main__":
    main()
