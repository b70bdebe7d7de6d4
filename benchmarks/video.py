"""Videos from file to file: frames a second beside the script that one would write with OpenCV, and memory by length.

    python benchmarks/video.py CLIP [--espcn FILE.pb] [--model espcn-s] [--sizes 640x360 960x540] [--seconds 10]
                               [--repeat 3] [--memory SECONDS SECONDS]

CLIP: any video; from it clips of each size are made with PyAV, played forwards and again for as long as --seconds.
--espcn: OpenCV's ESPCN (x2), for which `opencv-contrib-python-headless` must be installed. All sides start from nothing
and take turns; medians are shown. Time nothing while anything else runs.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av

from espcn_cli import cores

HERE = Path(__file__).parents[1]

OPENCV = """
import sys
import cv2
network = cv2.dnn_superres.DnnSuperResImpl_create()
network.readModel(sys.argv[1])
network.setModel("espcn", 2)
source = cv2.VideoCapture(sys.argv[2])
rate = source.get(cv2.CAP_PROP_FPS)
writer = None
while True:
    there, frame = source.read()
    if not there:
        break
    large = network.upsample(frame)
    if writer is None:
        writer = cv2.VideoWriter(sys.argv[3], cv2.VideoWriter_fourcc(*"mp4v"), rate, (large.shape[1], large.shape[0]))
    writer.write(large)
writer.release()
"""

REPORTING = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


@dataclass(frozen=True)
class Run:
    """Seconds by the clock, and of all processors together."""

    wall: float
    cpu: float


def make_clip(source: Path, size: tuple[int, int], frames: int, path: Path) -> Path:
    """A clip of a size and a length, in H.264 at crf 20, with the frames of another over and over."""
    with av.open(str(source)) as clip:
        some = islice(clip.decode(video=0), frames)
        small: list[Any] = [frame.reformat(*size, "yuv420p", interpolation="AREA") for frame in some]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", 30, {"crf": "20", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(frames):
            frame = small[number % len(small)]
            frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, 30), 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def measure(command: list[str]) -> Run:
    environment = os.environ | {"PYTHONPATH": str(HERE)}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Run(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def ours(model: str, source: Path, output: Path, *options: str) -> list[str]:
    command = [sys.executable, "-m", "espcn_cli", "upscale", str(source), str(output), "-m", model, "-s", "2"]
    return [*command, "--overwrite", "--quiet", *options]


def compare(clip: Path, frames: int, sides: dict[str, list[str]], repeat: int) -> None:
    """All sides on one clip, in turns."""
    runs: dict[str, list[Run]] = {name: [] for name in sides}
    for _ in range(repeat):
        for name, command in sides.items():
            runs[name].append(measure(command))
    for name, found in runs.items():
        wall = statistics.median(run.wall for run in found)
        cpu = statistics.median(run.cpu for run in found)
        busy = cpu / cores.count()
        print(
            f"{clip.stem:>10}  {name:<28} {frames / wall:7.1f} frames/s  {wall:6.1f} s, {wall / busy:.2f} x CPU/cores"
        )


def peak(command: list[str]) -> float:
    """Megabytes that a command held at most."""
    environment = os.environ | {"PYTHONPATH": str(HERE)}
    result = subprocess.run(
        [sys.executable, "-c", REPORTING, *command], check=True, env=environment, capture_output=True, text=True
    )
    return int(result.stdout.split()[-1]) * 1024 / 1e6


def parse_size(text: str) -> tuple[int, int]:
    width, height = map(int, text.split("x"))
    return width, height


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--espcn", type=Path)
    parser.add_argument("--model", default="espcn-s")
    parser.add_argument("--sizes", nargs="+", type=parse_size, default=[(640, 360), (960, 540)])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument(
        "--memory", nargs=2, type=float, metavar="SECONDS", help="peaks for clips of two lengths; alone with --repeat 0"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place, frames = Path(folder), round(options.seconds * 30)
        for width, height in options.sizes if options.repeat else []:
            clip = make_clip(options.clip, (width, height), frames, place / f"{width}x{height}.mp4")
            sides = {
                f"{options.model}, ultrafast": ours(options.model, clip, place / "a.mp4", "--preset", "ultrafast"),
                f"{options.model}, default": ours(options.model, clip, place / "b.mp4"),
            }
            if options.espcn:
                script = [sys.executable, "-c", OPENCV, str(options.espcn), str(clip), str(place / "c.mp4")]
                sides["OpenCV's script"] = script
            compare(clip, frames, sides, options.repeat)
        for seconds in options.memory or []:
            clip = make_clip(options.clip, options.sizes[0], round(seconds * 30), place / f"{seconds:g}s.mp4")
            print(f"{clip.stem:>10}  {peak(ours(options.model, clip, place / 'd.mp4')):7.0f} MB at most")


if __name__ == "__main__":
    main()
