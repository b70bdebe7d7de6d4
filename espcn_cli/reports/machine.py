"""Processor, threads and memory of this machine, as far as they matter here."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from espcn_cli import cores, memory

FEATURES = (
    *("sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni"),
    *("avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8"),
    *("asimd", "asimdhp", "asimddp", "bf16", "i8mm", "sve", "sve2"),
)
"""What makes convolutions faster, as Linux calls it."""


@dataclass(frozen=True)
class Processor:
    """What it is called, and which of FEATURES it has; None where the system does not say."""

    name: str
    features: tuple[str, ...] | None


@dataclass(frozen=True)
class Threads:
    """How many threads the work gets, and what decides it.

    `cores` may be used by this process, of `all` that there are; `quota` is what a container grants, `asked` what
    OMP_NUM_THREADS says; None where there is no such thing.
    """

    used: int
    cores: int
    all: int
    quota: float | None
    asked: int | None

    @property
    def reason(self) -> str:
        if self.asked:
            return "by OMP_NUM_THREADS"
        parts = [f"{self.cores} of {self.all} cores may be used"]
        return ", ".join([*parts, f"a container grants {self.quota:g}" if self.quota else "no container's quota"])


@dataclass(frozen=True)
class Memory:
    """Bytes of main memory: all of it, what is free, and what a container allows; None where nobody says."""

    total: int | None
    free: int | None
    limit: int | None


def processor(info: Path = Path("/proc/cpuinfo")) -> Processor:
    """By Linux's own page; elsewhere by what Python knows."""
    try:
        text = info.read_text(errors="replace")
    except OSError:
        return Processor(platform.processor() or platform.machine(), None)
    fields: dict[str, str] = dict(re.findall(r"^(model name|flags|Features)\s*:\s*(.*)$", text, re.M))
    words = fields.get("flags", fields.get("Features", "")).split()
    found = tuple(name for name in FEATURES if name in words) if words else None
    return Processor(fields.get("model name", platform.processor() or platform.machine()), found)


def threads() -> Threads:
    return Threads(cores.count(), cores.available(), os.cpu_count() or 1, cores.quota(), cores.asked())


def main_memory(limit: Path = Path("/sys/fs/cgroup/memory.max")) -> Memory:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not on Windows
        total = None
    try:
        allowed = int(limit.read_text())
    except (OSError, ValueError):  # "max" is no number
        allowed = None
    return Memory(total, memory.available_memory(), allowed)
