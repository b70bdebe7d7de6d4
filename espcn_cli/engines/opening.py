"""From weights to an engine: the one place that knows which engines there are, and which is taken where."""

from __future__ import annotations

import ctypes
import re
import sys
import warnings
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Literal, get_args

from espcn_cli import cores
from espcn_cli.engines.engine import Engine
from espcn_cli.engines.remembered import remembered
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.maths.quantisation import Ranges
from espcn_cli.network.checkpoint import ModelCard, Weights
from espcn_cli.settings import EngineName, ModelSettings, Precision

Name = Literal["torch", "openvino"]

HINT = "pip install 'espcn[fast]' makes this start sooner and run faster on a CPU"


@dataclass(frozen=True)
class Choice:
    """What a network runs by; `device` is the engine's name of one, and `reason` tells why in that precision."""

    engine: Name
    device: str
    precision: str
    reason: str


def open_engine(
    settings: ModelSettings,
    weights: Weights,
    device: str = "auto",
    precision: str = "auto",
    ensemble: bool = False,
    engine: str = "auto",
    ranges: Ranges = (),
    steady: bool = False,
) -> Engine:
    """A network's engine. Raises EspcnError if the engine, the device or the precision is not there.

    int8 takes the `ranges` of what goes into its layers; `steady`: they hold for pictures of all kinds, and `auto` may
    take it.

    Where `auto` would take OpenVINO and that does not work here, PyTorch is taken, with a warning.
    """
    cores.wait_passively()
    choice = decide(settings, device, precision, engine, bool(ranges), steady)
    ranges = ranges if choice.precision == "int8" else ()
    if choice.engine == "openvino":
        from espcn_cli.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(settings, weights, choice.device, choice.precision, ensemble, ranges=ranges)
    from torch import float32

    from espcn_cli.engines.device import PRECISIONS, choose_device
    from espcn_cli.engines.torch_engine import TorchEngine
    from espcn_cli.network import espcn

    network = espcn.build(settings, weights).quantise_(ranges)
    return TorchEngine(network, choose_device(choice.device), PRECISIONS.get(choice.precision, float32), ensemble)


def decide(
    settings: ModelSettings,
    device: str = "auto",
    precision: str = "auto",
    engine: str = "auto",
    quantised: bool = False,
    steady: bool = False,
) -> Choice:
    """What `open_engine` takes, and why; `quantised`: it gets ranges for int8. Raises what it raises."""
    if precision == "int8" and not quantised:
        raise UsageError(
            "--precision int8 needs ranges, which this model has none of: espcn-s and espcn-m have them, and "
            "`espcn train --init MODEL --quantise` finds them"
        )
    if choose(engine, device, precision) == "openvino":
        from espcn_cli.engines.precision import choose_for_openvino

        place = openvino_device(device)
        return Choice("openvino", place, *choose_for_openvino(precision, place, settings, quantised and steady))
    from espcn_cli.engines.device import PRECISION_NAMES, choose_device, choose_precision

    chosen = choose_device(device)
    if precision == "int8":
        return Choice("torch", str(chosen), precision, "asked for; PyTorch simulates it in fp32")
    name = PRECISION_NAMES[choose_precision(precision, chosen)]
    reason = "asked for" if precision != "auto" else "PyTorch keeps the bits" if name == "fp32" else "the GPU's own"
    return Choice("torch", str(chosen), name, reason)


def decide_for(card: ModelCard) -> Choice:
    """What a checkpoint's network is taken for by itself; only real weights' ranges are steady."""
    return decide(card.settings, quantised=bool(card.ranges), steady=bool(card.sister))


def choose(engine: str = "auto", device: str = "auto", precision: str = "auto") -> Name:
    """Which engine runs on a device: `auto` takes OpenVINO on a CPU, where it is installed and works.

    Raises UsageError for a word that is none and for what an engine cannot do, EspcnError for what is not installed.
    """
    if engine not in get_args(EngineName):
        raise UsageError(f"unknown engine {engine!r}: use {', '.join(get_args(EngineName))}")
    if precision not in get_args(Precision):
        raise UsageError(f"unknown precision {precision!r}: use {', '.join(get_args(Precision))}")
    if device == "cpu" and precision == "fp16":
        raise UsageError("fp16 needs a GPU: use --precision bf16 or fp32 on a CPU")
    if precision == "int8" and not _is_cpu(device):
        raise UsageError("int8 is for CPUs: use --device cpu, or --precision fp16 on a GPU")
    if engine == "torch":
        return _torch(device)
    if engine == "openvino" or is_gpu_of_openvino(device):
        return _openvino(device)
    if _is_cpu(device) and _works() and (precision != "bf16" or _has_bf16()):
        return "openvino"
    return _torch(device)


def hint(engine: str, device: str) -> str | None:
    """What somebody may want to install who has not, in one line; None where there is nothing to gain."""
    return HINT if engine == "auto" and not is_installed("openvino") and _is_cpu(device) else None


def _is_cpu(device: str) -> bool:
    return device == "cpu" or (device == "auto" and not has_cuda())


def is_installed(module: str) -> bool:
    try:
        return module in sys.modules or find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def is_there(name: str, device: str) -> bool:
    """Whether an engine runs on a device here."""
    try:
        return choose(name, device) == name and (name == "openvino" or device == "cpu" or has_cuda() or device == "mps")
    except EspcnError:
        return False


def precisions(name: str, device: str) -> list[Precision]:
    """The arithmetic that an engine's device has natively."""
    if device != "cpu":
        return ["fp32", "fp16", "bf16"] if name == "torch" else ["fp32", "fp16"]
    if name == "openvino":
        from espcn_cli.engines.openvino_runtime import adds_bytes_exactly

        there = {"fp32": True, "bf16": _has_bf16(), "int8": adds_bytes_exactly()}
    else:
        from espcn_cli.engines.device import has_native_bf16

        there = {"fp32": True, "bf16": has_native_bf16()}
    return [name for name in get_args(Precision) if there.get(name)]


# --- OpenVINO --------------------------------------------------------------------------------------------------------


def is_gpu_of_openvino(device: str) -> bool:
    return re.fullmatch(r"gpu(\.\d+)?", device) is not None


def openvino_device(device: str) -> str:
    """OpenVINO's name of a device: auto and cpu -> CPU, gpu.1 -> GPU.1. Raises EspcnError if it is not there."""
    if device in ("auto", "cpu"):
        return "CPU"  # whether it works has been found out, and to look for others takes time
    from espcn_cli.engines import openvino_runtime

    name = device.upper()
    there = openvino_runtime.devices()
    if name not in there and not (name == "GPU" and "GPU.0" in there):
        raise EspcnError(f"device {device!r} is not available here: OpenVINO finds {', '.join(there).lower()}")
    return name


def _openvino(device: str) -> Name:
    """OpenVINO, which was asked for. Raises an error where it is not installed, or cannot have the device."""
    if device not in ("auto", "cpu") and not is_gpu_of_openvino(device):
        raise UsageError(f"OpenVINO does not run on {device!r}: use --device auto, cpu or gpu, or --engine torch")
    if not is_installed("openvino"):
        raise EspcnError("OpenVINO is not installed: pip install 'espcn[fast]', or use --engine torch")
    if reason := _fault():
        raise EspcnError(f"OpenVINO does not work here ({reason}): use --engine torch")
    return "openvino"


@cache
def _works() -> bool:
    """Whether OpenVINO is installed and works; a warning, once, if it is and does not."""
    if not is_installed("openvino"):
        return False
    if (reason := _fault()) is None:
        return True
    warnings.warn(f"OpenVINO does not work here ({reason}): PyTorch is used", stacklevel=2)
    return False


@cache
def _fault() -> str | None:
    """Why OpenVINO does not work here; None where it does."""
    try:
        from espcn_cli.engines import openvino_runtime

        works = remembered("openvino", openvino_runtime.here(), lambda: int(openvino_runtime.fault() is None))
    except Exception as error:  # a library of its own that is missing, or made for another processor
        return " ".join(str(error).split())[:200] or type(error).__name__
    return None if works else openvino_runtime.fault()


def _has_bf16() -> bool:
    from espcn_cli.engines import openvino_runtime

    return openvino_runtime.has("CPU", "bf16")


# --- PyTorch ---------------------------------------------------------------------------------------------------------


def _torch(device: str) -> Name:
    if is_gpu_of_openvino(device):
        raise UsageError(f"PyTorch does not run on {device!r}, a GPU of OpenVINO's: use --engine openvino")
    if not is_installed("torch"):
        instead = "" if is_installed("openvino") else ", or the light engine: pip install 'espcn[fast]'"
        raise EspcnError(f"PyTorch is not installed, and this needs it: pip install torch{instead}")
    return "torch"


def has_cuda() -> bool:
    """Whether PyTorch finds a GPU of NVIDIA's. It is asked only where the driver finds one: importing it takes long."""
    if not (is_installed("torch") and ("torch" in sys.modules or driver_finds_gpu())):
        return False
    import torch

    return torch.cuda.is_available()


@cache
def driver_finds_gpu() -> bool:
    """Whether NVIDIA's driver is there and finds a GPU."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int(0)
        return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    except (OSError, AttributeError):
        return False
