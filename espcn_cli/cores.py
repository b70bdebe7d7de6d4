"""How many processor cores this process may keep busy: no more threads than that, and none that wait by spinning."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

_chosen: int | None = None

LASTING = 10.0
"""Seconds for which a quota is taken to stay: to read it takes half a millisecond, as long as a small picture does."""


def limit(threads: int | None) -> None:
    """Let all work of this process use this many threads; None for as many as it is allowed."""
    global _chosen
    _chosen = threads


def chosen() -> int | None:
    """What `limit` said."""
    return _chosen


def count() -> int:
    """Threads that the work may use: what was chosen, else OMP_NUM_THREADS, else the cores that are ours.

    Those are the cores that this process may run on, and no more than a container's CPU quota lets it use.
    """
    if _chosen or asked():
        return _chosen or asked() or 1
    return min(available(), granted() or available())


def granted() -> int | None:
    """Threads that a container's CPU quota can keep busy; None where there is none."""
    share = _lately(quota, int(time.monotonic() / LASTING))
    return math.ceil(share) if share else None


@lru_cache(maxsize=1)
def _lately(find: Callable[[], float | None], when: int) -> float | None:
    return find()


def wait_passively() -> None:
    """From now on OpenMP's threads sleep while they wait for each other, unless the user has said otherwise.

    They would spin, on cores that others could use: beside a busy process, two threads were slower than one. Only
    before a library with OpenMP is loaded.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("KMP_BLOCKTIME", "0")


def asked() -> int | None:
    """Threads by OMP_NUM_THREADS; None where it says nothing."""
    words = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(words) if words.isdecimal() and int(words) else None


def available() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def quota(root: Path = Path("/sys/fs/cgroup"), groups: Path = Path("/proc/self/cgroup")) -> float | None:
    """Cores' worth of time that control groups (version 2 or 1) grant, the least on the way up; None if unlimited."""
    try:
        lines = [line.split(":", 2) for line in groups.read_text().splitlines()]
    except OSError:
        return None
    shares: list[float] = []
    for _, controllers, path in (line for line in lines if len(line) == 3):
        if controllers and "cpu" not in controllers.split(","):
            continue
        tops = [root / controllers, root / "cpu"] if controllers else [root, root / "unified"]
        for top in tops:
            place = top / path.lstrip("/")
            ways = [folder for folder in (place, *place.parents) if folder.is_relative_to(top)]
            shares += [share for share in map(_share, ways) if share]
    return min(shares, default=None)


def _share(folder: Path) -> float | None:
    """The quota of one control group over its period."""
    try:
        if (folder / "cpu.max").exists():
            share, period = (folder / "cpu.max").read_text().split()
        else:
            share, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return int(share) / int(period) if int(share) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # "max" is no number
        return None
