"""How fast pictures are made: python benchmarks/speed.py [PEERS] [--rounds 7] [--large] [--only WORD]

One run, side by side, on a machine that does nothing else: what is compared takes turns, and medians are shown. PEERS
is a folder with ESPCN_x2.pb (fannymonori/TF-ESPCN), for OpenCV's `dnn_superres` (opencv-contrib-python-headless);
without either those rows are left out. Prints the table of the docs:

- a small picture by the whole command, with OpenVINO and with PyTorch
- 540p to 1080p, RGB in memory: `espcn-s` and `-m` against OpenCV's ESPCN, in each precision that the processor has
- the same against the bare network in OpenVINO, luma in and luma out, in floats
- the same with colours that do not follow luma
- --large: 1 to 64 megapixels, each in a process of its own, with the memory that it takes beyond input and output
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from espcn_cli.engines import openvino_graph, openvino_runtime
from espcn_cli.engines.openvino_engine import OpenVinoEngine
from espcn_cli.maths.levels import Levels
from espcn_cli.network import checkpoint, named
from espcn_cli.pictures.raster import Raster, from_array
from espcn_cli.upscaling.upscaler import Upscaler

EXAMPLE = Path(__file__).parent.parent / "examples" / "cat.png"
WIDTH, HEIGHT = 960, 540
PRECISIONS = ("fp32", "bf16")
INT8 = {"fp32": 0.5, "bf16": 1.0}
"""The share of their time that int8 may take with `espcn-m`."""

BEST = {("espcn-s", "fp32"): 3.5, ("espcn-s", "bf16"): 5.5, ("espcn-m", "fp32"): 1.8, ("espcn-m", "bf16"): 3.2}
"""How many times OpenCV's speed is wanted."""

SIDES = (1000, 2000, 4000, 8000)

Row = tuple[str, str, str, str]
Work = Callable[[], object]


def medians(works: dict[str, Work], rounds: int) -> dict[str, float]:
    """Milliseconds that each takes: they take turns, after one turn that does not count."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            if turn:
                times[name].append(1e3 * (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in times.items()}


def row(what: str, ms: float, other: float, target: float, at_least: bool = False) -> Row:
    """Time and its ratio to another, or that one's to it; and what is wanted."""
    ratio = other / ms if at_least else ms / other
    kept = ratio >= target if at_least else ratio <= target
    sign = "≥" if at_least else "≤"
    return (
        what,
        f"{ms:.1f} ms",
        f"{ratio:.2f} (against {other:.1f} ms)",
        f"{sign} {target:g}{'' if kept else ' MISSED'}",
    )


def photograph(width: int, height: int) -> Levels:
    with Image.open(EXAMPLE) as image:
        return np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC))


def engine(name: str, precision: str) -> OpenVinoEngine:
    card, weights = checkpoint.read(named.find(name, 2))
    return OpenVinoEngine(
        card.settings, weights, precision=precision, ranges=card.ranges if precision == "int8" else ()
    )


# --- what is measured ------------------------------------------------------------------------------------------------


def whole_command(rounds: int, peers: Path | None) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:

        def command(by: str) -> Work:
            words = [
                sys.executable,
                "-m",
                "espcn_cli",
                "upscale",
                EXAMPLE,
                Path(folder) / "out.png",
                "-q",
                "--overwrite",
            ]
            return lambda: subprocess.run([*map(str, words), "--engine", by], check=True)

        found = medians({by: command(by) for by in ("openvino", "torch")}, rounds)
    yield row("one small picture, whole command, against PyTorch", found["openvino"], found["torch"], 0.3)
    late = "" if found["openvino"] <= 500 else " MISSED"
    yield "one small picture, whole command", f"{found['openvino']:.0f} ms", "", f"≤ 500 ms{late}"


def in_memory(rounds: int, peers: Path | None) -> Iterator[Row]:
    levels = photograph(WIDTH, HEIGHT)
    picture = from_array(levels)
    works: dict[str, Work] = {}
    if other := opencv(peers):
        works["opencv"] = lambda: other(levels[..., ::-1])
    keys = [(name, p) for name in ("espcn-s", "espcn-m") for p in PRECISIONS if openvino_runtime.has("CPU", p)]
    for name, precision in keys:
        works[f"{name} {precision}"] = by(engine(name, precision), picture)
    found = medians(works, rounds)
    for name, precision in keys:
        ms, what = found[f"{name} {precision}"], f"{name} 540p to 1080p RGB, {precision}"
        if "opencv" in found:
            yield row(f"{what}, against OpenCV's ESPCN", ms, found["opencv"], BEST[name, precision], at_least=True)
        else:
            yield what, f"{ms:.1f} ms", "", ""


def by(engine: OpenVinoEngine, picture: Raster) -> Work:
    upscaler = Upscaler(engine)
    return lambda: upscaler.raster(picture)


def opencv(peers: Path | None) -> Callable[[Levels], Any] | None:
    """OpenCV's ESPCN, BGR in and out; None, and the reason on stderr, where it is not there."""
    try:
        import cv2

        if peers is None or not (peers / "ESPCN_x2.pb").is_file():
            raise FileNotFoundError("no folder with ESPCN_x2.pb was given")
        network = cv2.dnn_superres.DnnSuperResImpl.create()
        network.readModel(str(peers / "ESPCN_x2.pb"))
        network.setModel("espcn", 2)
    except (ImportError, AttributeError, FileNotFoundError) as error:
        print(f"without OpenCV: {error}", file=sys.stderr)
        return None
    return lambda bgr: network.upsample(np.ascontiguousarray(bgr))


def against_bare(rounds: int, peers: Path | None) -> Iterator[Row]:
    levels = photograph(WIDTH, HEIGHT)
    picture = from_array(levels)
    y = np.ascontiguousarray(levels[None, None, ..., 1], np.float32) / 255
    for name in ("espcn-s", "espcn-m"):
        for precision in PRECISIONS:
            if openvino_runtime.has("CPU", precision):
                whole, bare = engine(name, precision), engine(name, precision)
                works: dict[str, Work] = {"whole": by(whole, picture), "bare": lambda bare=bare: bare.planes(y)}  # type: ignore[misc]
                found = medians(works, rounds)
                yield row(f"{name} 540p RGB, {precision}, against the bare network", found["whole"], found["bare"], 1.4)


def in_bytes(rounds: int, peers: Path | None) -> Iterator[Row]:
    """The graph alone, from RGB to RGB."""
    levels = photograph(WIDTH, HEIGHT)
    if not openvino_runtime.adds_bytes_exactly():
        return
    others = [each for each in PRECISIONS if openvino_runtime.has("CPU", each)]

    def once(name: str, precision: str) -> Work:
        opened = engine(name, precision)
        return lambda: opened.upscale([levels], 0, 255)

    for name in ("espcn-s", "espcn-m"):
        found = medians({each: once(name, each) for each in (*others, "int8")}, rounds)
        for other in others:
            wanted = INT8[other] if name == "espcn-m" else 1.0
            yield row(f"{name} 540p RGB, int8 against {other}", found["int8"], found[other], wanted)


def colours(rounds: int, peers: Path | None) -> Iterator[Row]:
    picture = from_array(photograph(WIDTH, HEIGHT))
    following, alike = engine("espcn-s", "fp32"), engine("espcn-s", "fp32")
    slopes = openvino_graph._slopes
    openvino_graph._slopes = lambda around, scale, blueprint: openvino_graph._number(1)
    by(alike, picture)()  # its graph is compiled
    openvino_graph._slopes = slopes
    found = medians({"following": by(following, picture), "alike": by(alike, picture)}, rounds)
    yield row("espcn-s 540p RGB, fp32, against colours alike", found["following"], found["alike"], 1.06)


def large() -> Iterator[Row]:
    """Each size in a process of its own, whose greatest memory is its own too."""
    first: float | None = None
    for side in SIDES:
        words = [sys.executable, __file__, "--side", str(side)]
        seconds, beyond = map(float, subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())
        speed = side * side / seconds / 1e6
        first = first or speed
        missed = "" if beyond <= 300 and speed > 0.85 * first else " MISSED"
        what = f"{side}² ×2, espcn-s"
        yield (
            what,
            f"{seconds:.1f} s, {speed:.2f} Mpx/s",
            f"{beyond:.0f} MB beyond in and out",
            f"≤ 300 MB, linear{missed}",
        )


def one_large(side: int) -> None:
    """Prints seconds, and megabytes beyond the process before, the picture and its output."""
    upscaler = Upscaler(engine("espcn-s", "fp32"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    tile = photograph(500, 500)
    picture = from_array(np.tile(tile, (side // 500, side // 500, 1)))
    started = time.perf_counter()
    upscaler.raster(picture)
    seconds = time.perf_counter() - started
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(seconds, most - before - 15 * side * side / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--large", action="store_true", help="1 to 64 megapixels too: minutes")
    parser.add_argument("--only", choices=["command", "memory", "bare", "int8", "colours"], help="one part alone")
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        one_large(arguments.side)
        return
    parts = {
        "command": whole_command,
        "memory": in_memory,
        "bare": against_bare,
        "int8": in_bytes,
        "colours": colours,
    }
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    name = openvino_runtime.name_of("CPU")
    print(f"{name}, {os.cpu_count()} threads{load}, Python {platform.python_version()}, OpenVINO ", end="")
    print(f"{openvino_runtime.ov.__version__.split('-')[0]}; medians of {arguments.rounds}\n")
    print("| work | time | ratio | wanted |\n|---|---|---|---|")
    for word, part in parts.items():
        if arguments.only in (None, word):
            for cells in part(arguments.rounds, arguments.peers):
                print(f"| {' | '.join(cells)} |", flush=True)
    if arguments.large:
        for cells in large():
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
