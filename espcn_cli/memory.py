"""Main memory: how much is free, and whether an error says that it ran out."""

from __future__ import annotations

import os
from pathlib import Path

WORDS = ("out of memory", "can't allocate memory", "not enough memory")
"""How a RuntimeError of a library or of a device's driver says that memory ran out."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory of the machine or of the device ran out."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's own, whatever it says
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in WORDS)


def available_memory() -> int | None:
    """Bytes of main memory that this process may still take without pushing others out; None if nobody says."""
    known = [_meminfo_available(), _control_group_left()]
    left = [count for count in known if count is not None]
    if not left and "SC_AVPHYS_PAGES" in getattr(os, "sysconf_names", ()):  # not on Windows
        left = [os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    return min(left, default=None)


def _meminfo_available(file: Path = Path("/proc/meminfo")) -> int | None:
    try:
        lines = file.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def _control_group_left(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a container's limit leaves."""
    try:
        return int((folder / "memory.max").read_text()) - int((folder / "memory.current").read_text())
    except (OSError, ValueError):
        return None


def peak_memory(status: Path = Path("/proc/self/status")) -> float | None:
    """Megabytes that this process held at most; None if nobody says."""
    try:
        lines = status.read_text().splitlines()
        return next(int(line.split()[1]) / 1000 * 1.024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration, ValueError):
        return _peak_by_resource()


def _peak_by_resource() -> float | None:
    if os.name == "nt":
        return None
    import resource
    import sys

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6
