"""Which arithmetic OpenVINO's hidden layers are done in, and why: `auto` takes the fastest that nobody sees.

The rule: at most 0.02 dB less than fp32, and on average 99.8 % of a photograph's samples within a level of 255. By
`benchmarks/precision.py`, networks with a bicubic skip keep to it (0.003 dB; 99.80 to 99.95 %), but for wide ones at x4
(99.78 %). A network without a skip has to bring the whole picture through 8 significant bits: too few (99.2 to 99.7 %).

int8 is taken where there is no bf16, by a rule of its own, which real weights keep to at the strengths that they are
used at: at most 0.05 dB less than fp32 on photographs, and patterns as bright as they were. Clean weights answer
patterns with values far beyond their ranges.
"""

from __future__ import annotations

import time
from functools import cache
from math import inf

from espcn_cli.engines.remembered import remembered
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.settings import ModelSettings, architecture

CLEARLY = 0.9
"""What is less than this share of another time is not so by chance."""

WIDE = 16
"""Planes of the widest networks that keep to the rule at every scale."""

TRIES = 9

PROBE = (1, 3, 96, 256)
"""The RGB planes that arithmetics are compared on: they take a few milliseconds, and overhead does not count yet."""


def choose_for_openvino(name: str, device: str, settings: ModelSettings, in_bytes: bool = False) -> tuple[str, str]:
    """fp32, bf16, fp16 or int8, and the reason in a few words. `device` is OpenVINO's name of one.

    `in_bytes`: whether auto may take int8 for this network.

    Raises UsageError for what the device does not multiply by its own hardware: it would be done in fp32 in silence.
    """
    from espcn_cli.engines import openvino_runtime as runtime

    if name == "auto":
        return _auto(device, settings, in_bytes)
    if name == "int8":
        if int8_ratio() == inf:
            reason = "overflows in int8, as it has no VNNI"
            raise UsageError(f"{runtime.name_of(device)} {reason}: use --precision auto or fp32, or --engine torch")
        return name, "asked for"
    if name == "fp16" and device == "CPU":
        raise UsageError("fp16 needs a GPU: use --precision bf16 or fp32 on a CPU")
    if not runtime.has(device, name):
        raise UsageError(f"{runtime.name_of(device)} has no {name}: use --precision auto or fp32, or --engine torch")
    return name, "asked for"


def _auto(device: str, settings: ModelSettings, in_bytes: bool) -> tuple[str, str]:
    from espcn_cli.engines import openvino_runtime as runtime

    half = "bf16" if device == "CPU" else "fp16"
    if not runtime.has(device, half):
        if in_bytes and device == "CPU" and (ratio := int8_ratio()) < CLEARLY:
            return "int8", f"it takes {ratio:.2f} of fp32's time here, and hardly anybody sees it"
        return "fp32", f"the processor has no {half}"
    if reason := _shows(settings):
        return "fp32", f"{reason}, {half} would show"
    if device != "CPU":
        return half, "a GPU's own"
    ratio = bf16_ratio()
    if ratio == inf:
        return "fp32", f"OpenVINO {runtime.ov.__version__} fails in bf16 here"
    times = f"bf16 takes {ratio:.2f} of its time here"
    return ("bf16", f"{times}, and nobody sees it") if ratio < CLEARLY else ("fp32", times)


def _shows(settings: ModelSettings) -> str | None:
    """What makes half precision break the rule, if anything does."""
    if settings.skip != "bicubic":
        return "without a bicubic skip"
    if settings.scale == 4 and max(settings.widths) > WIDE:
        return "in a wide network at x4"
    return None


@cache
def bf16_ratio() -> float:
    """The time that bf16 takes here, as a share of fp32's: measured once, and remembered in the user's cache folder.

    It is infinite where OpenVINO fails at it.

    It has to be remembered: where it is a close thing, the same picture would come out differently from day to day.
    """
    from espcn_cli.engines import openvino_runtime as runtime

    return remembered("bf16-rgb", runtime.here(), lambda: measure("bf16"))


@cache
def int8_ratio() -> float:
    """Likewise of int8. Infinite where a processor adds products of bytes in 16 bits, which overflow: without VNNI."""
    from espcn_cli.engines import openvino_runtime as runtime

    def find() -> float:
        return measure("int8") if runtime.adds_bytes_exactly() else inf

    return remembered("int8", runtime.here(), find)


def measure(precision: str) -> float:
    """The time that `espcn-m` takes for a few thousand pixels on this processor, as a share of its time in fp32.

    Both take turns, so that other work slows both, and the least of a few tries counts. Infinite where a graph of this
    precision can't be made: what a processor says it has, the library may still fail at.
    """
    import numpy as np

    from espcn_cli.engines.openvino_engine import OpenVinoEngine

    settings = architecture("espcn-m")
    weights = {name: np.full(shape, 0.01, np.float32) for name, shape in settings.shapes.items()}
    ranges = ((0.0, 1.0),) * len(settings.kernels) if precision == "int8" else ()
    both = OpenVinoEngine(settings, weights, precision=precision, ranges=ranges), OpenVinoEngine(settings, weights)
    x = np.full(PROBE, 0.5, np.float32)
    times: tuple[list[float], ...] = ([], [])
    try:
        for _ in range(1 + TRIES):  # in the first they are compiled
            for engine, seconds in zip(both, times, strict=True):
                started = time.perf_counter()
                engine.planes(x)
                seconds.append(time.perf_counter() - started)
    except EspcnError:
        return inf
    return round(min(times[0]) / min(times[1]), 3)
