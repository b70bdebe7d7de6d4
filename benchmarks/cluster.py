"""What a Ray cluster gains and costs: python benchmarks/cluster.py [--simulate] [--pictures N] [--size SIDE]

Without --simulate: one process on two cores, and one and two workers of one core each, on the same pictures; the time
that N more pictures take, so that starting up does not count. Then how long a share of nothing takes there and back.
With --simulate: what the head would give out to 10 to 1,000 workers, with service times as they were measured.
"""

from __future__ import annotations

import argparse
import heapq
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from espcn_cli.cluster.batches import LEAST, OVERHEAD, Batches, Item
from espcn_cli.cluster.crew import AT_ONCE
from espcn_cli.upscaling.outcome import Task

SECONDS_PER_PIXEL = 0.9e-6
"""Twice as fast as espcn-m-real at x2 into PNG on one core of a plain CPU, which took 2.0 µs of its time, everything
included (November 2026): so there is more for the head to do. `--pace` sets another."""

ROUND_TRIP = LEAST
"""Seconds that the head spends on a share: to send it, to hear of it and to report it; `main` measures it."""


def save_pictures(folder: Path, count: int, side: int) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, 8, 8, 3), np.uint8)
    for index, levels in enumerate(coarse):
        Image.fromarray(levels).resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{index:05d}.png")


def seconds(source: Path, *options: str, cores: int = 2) -> float:
    """That the command takes, from start to end."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "espcn_cli", "upscale", str(source), f"{out}/", "-q", *options]
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": str(cores)})
        return time.perf_counter() - started


def compare(count: int, side: int) -> None:
    """Pictures a second, one way beside the others."""
    ways = {
        "one process, two cores": (["--threads", "2"], 2),
        "one worker of one core": (["--cluster", "local", "--cores-per-worker", "1", "--threads", "1"], 1),
        "two workers of one core": (["--cluster", "local", "--cores-per-worker", "1", "--threads", "2"], 2),
    }
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder, "few"), Path(folder, "many")
        for path, number in ((few, count // 4), (many, count // 4 + count)):
            path.mkdir()
            save_pictures(path, number, side)
        for name, (options, cores) in ways.items():
            short, long = (seconds(path, *options, cores=cores) for path in (few, many))
            each = (long - short) / count
            print(
                f"{name}: {1 / each:.1f} pictures of {side} x {side} a second, "
                f"{short - count / 4 * each:.1f} s to start"
            )


def round_trip() -> float:
    """Seconds of a share of nothing, there and back."""
    from espcn_cli.cluster.connection import LOCAL, connected

    with connected(LOCAL):
        import ray

        class Idle:
            def nothing(self, share: object) -> object:
                return share

        idle = ray.remote(Idle).remote()
        tasks = tuple(Task(Path(f"/data/in/{index}.png"), Path(f"/data/out/{index}.png")) for index in range(16))
        ray.get(idle.nothing.remote(tasks))
        started = time.perf_counter()
        for _ in range(300):
            idle.nothing.remote(tasks).future().result()
        return (time.perf_counter() - started) / 300


# --- as it would be --------------------------------------------------------------------------------------------------


def simulate(workers: int, weights: list[float], pace: float, head: float) -> tuple[float, float, int]:
    """Share of the workers' time that is used, seconds from the first idle worker to the end, and shares given out.

    Workers take what `Batches` gives them, two at a time; the head handles one share after the other.
    """
    queue = Batches(len(weights))
    queue.add(Item(index, Task(Path("a"), Path("b")), weight) for index, weight in enumerate(weights))
    rng = np.random.default_rng(1)
    free = [0.0] * workers  # when each worker has done all that it has
    events: list[tuple[float, int, float]] = [(0.0, worker, 0.0) for worker in range(workers) for _ in range(AT_ONCE)]
    heapq.heapify(events)
    clock = used = end = 0.0
    held = [0] * workers
    idle: dict[int, float] = {}
    shares = 0
    while events:
        at, worker, took = heapq.heappop(events)
        clock = max(clock, at) + head
        held[worker] -= took > 0
        if took:
            queue.learn(took / pace, took)
        batch = queue.next(workers, idle=held[worker] == 0)
        if batch is None:
            if held[worker] == 0:
                idle.setdefault(worker, free[worker])
            continue
        work = batch.weight * pace * rng.lognormal(0, 0.2)
        begin = max(free[worker], clock)
        free[worker] = begin + work
        used += work
        held[worker] += 1
        shares += 1
        end = max(end, free[worker])
        heapq.heappush(events, (free[worker], worker, work))
    return used / (workers * end), end - min(idle.values(), default=end), shares


def show_simulation(pace: float, head: float) -> None:
    rng = np.random.default_rng(0)
    print(f"{pace * 1e6:.2f} µs a pixel, {head * 1e3:.1f} ms of the head for each share")
    for name, median, spread, each in (("photographs", 2e6, 0.8, 100), ("thumbnails", 2e4, 0.5, 2000)):
        print(f"\n| workers | {name} | used | s | tail, s | shares | head |\n|---|---|---|---|---|---|---|")
        for workers in (10, 30, 100, 300, 1000):
            count = min(each * workers, 200_000)
            weights = [float(value) + OVERHEAD for value in median * rng.lognormal(0, spread, count)]
            used, tail, shares = simulate(workers, weights, pace, head)
            total = sum(weights) * pace / workers / used
            print(
                f"| {workers:,} | {count:,} | {used:.1%} | {total:.0f} | {tail:.1f} | {shares:,} "
                f"| {shares * head / total:.1%} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulate", action="store_true")
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--pace", type=float, default=SECONDS_PER_PIXEL, help="seconds a pixel of one worker")
    parser.add_argument("--head", type=float, default=ROUND_TRIP, help="seconds a share of the head")
    arguments = parser.parse_args()
    if arguments.simulate:
        show_simulation(arguments.pace, arguments.head)
        return
    compare(arguments.pictures, arguments.size)
    print(f"a share there and back: {1e3 * round_trip():.2f} ms")


if __name__ == "__main__":
    main()
