"""OpenVINO as this process has it: imported lightly, asked what it can do, and out of the way when the process forks.

One lock is held by whoever compiles or runs: an inference takes all cores anyway, and the graphs must not be in use
when they are dropped before a fork.
"""

from __future__ import annotations

import os
import sys
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

import numpy as np

from espcn_cli import cores
from espcn_cli.errors import EspcnError

CONVERTER = "openvino.tools.ovc"
"""Converts other frameworks' models. It takes longer to import than all else of OpenVINO, which goes without it."""

HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "f32"}

HALVES = ("bf16", "fp16")
"""Precisions of which an operation has to be kept out."""

CAPABILITIES = {"fp32": "FP32", "bf16": "BF16", "fp16": "FP16"}
"""What a device says that it has."""

IN_MEMORY = "/dev/shm"
"""The folder of files that lie in memory, on Linux."""

PREPARED = 128
"""Operations that a graph for any size keeps prepared, each for a size: those of about ten sizes. Of OpenVINO's own
5,000, a folder of photographs takes gigabytes."""

LOCK = threading.RLock()


def _import_lightly() -> Any:
    """OpenVINO without its converter, unless somebody has imported it already; who asks for that gets it later."""
    if "openvino" in sys.modules:
        return import_module("openvino")
    sys.modules[CONVERTER] = None  # type: ignore[assignment]
    try:
        module = import_module("openvino")
    finally:
        del sys.modules[CONVERTER]

    def find(name: str) -> Any:
        if name != "convert_model":
            raise AttributeError(f"module 'openvino' has no attribute {name!r}")
        return import_module(CONVERTER).convert_model

    module.__getattr__ = find  # type: ignore[method-assign]
    return module


ov = _import_lightly()
op, opset1 = import_module("openvino.opset13"), import_module("openvino.opset1")


@cache
def core() -> Any:
    return ov.Core()


def devices() -> tuple[str, ...]:
    """What OpenVINO finds here: CPU, GPU, GPU.0 ..."""
    with LOCK:
        return tuple(core().available_devices)


@cache
def has(device: str, precision: str) -> bool:
    """Whether a device multiplies in a precision by its own hardware."""
    with LOCK:
        return CAPABILITIES[precision] in core().get_property(device, "OPTIMIZATION_CAPABILITIES")


def name_of(device: str) -> str:
    """What the hardware is called."""
    with LOCK:
        return str(core().get_property(device, "FULL_DEVICE_NAME"))


def here() -> str:
    """The processor and the software: what was found out with them holds as long as they stay."""
    return f"{name_of('CPU')}, {os.cpu_count()} threads, OpenVINO {ov.__version__}"


def request(model: Any, device: str, precision: str, rough: str = "") -> Any:
    """Compile a model; what is called `rough`/... in the given precision, all else in fp32. Returns what runs it.

    On a CPU it takes as many threads as this process may use. Raises EspcnError where OpenVINO fails at it.
    """
    return _compiled(model, device, precision, rough, {"PERFORMANCE_HINT": "LATENCY"}).create_infer_request()


def requests(model: Any, precision: str, rough: str = "") -> list[Any]:
    """What runs a model on a CPU side by side, each on a thread of its own."""
    count = cores.count()
    compiled = _compiled(model, "CPU", precision, rough, {"NUM_STREAMS": count})
    return [compiled.create_infer_request() for _ in range(count)]


def _compiled(model: Any, device: str, precision: str, rough: str, options: dict[str, Any]) -> Any:
    ours = {"INFERENCE_NUM_THREADS": cores.count(), "CPU_RUNTIME_CACHE_CAPACITY": PREPARED} if device == "CPU" else {}
    with LOCK:
        if precision in HALVES:
            model = keep_in_fp32(model, rough)
        options = {**options, **ours, "INFERENCE_PRECISION_HINT": HINTS[precision]}
        try:
            return core().compile_model(model, device, options)
        except RuntimeError as error:
            other = "--engine torch" if precision == "fp32" else "--precision fp32 or --engine torch"
            raise EspcnError(
                f"OpenVINO fails at this network in {precision} here ({_last_line(error)}): use {other}"
            ) from error


def keep_in_fp32(model: Any, rough: str) -> Any:
    """Mark all operations but those called `rough`/...: OpenVINO heeds the mark where it reads a file, and only there.

    Set on the model itself, from Python, it has no effect.
    """
    text, data = _written(model)
    tree = ElementTree.fromstring(text)
    for layer in tree.iter("layer"):
        if layer.get("type") not in ("Const", "Parameter", "Result") and not layer.get("name", "").startswith(rough):
            marks = layer.find("rt_info")
            marks = ElementTree.SubElement(layer, "rt_info") if marks is None else marks
            ElementTree.SubElement(marks, "attribute", name="precise", version="0")
    return core().read_model(ElementTree.tostring(tree), data)


def _written(model: Any) -> tuple[bytes, bytes]:
    """What a model's two files hold: in memory if the system keeps files there, since a disk may be full."""
    for place in (IN_MEMORY, None):
        with suppress(OSError, RuntimeError), TemporaryDirectory(dir=place) as folder:
            text, weights = Path(folder) / "model.xml", Path(folder) / "model.bin"
            ov.serialize(model, text, weights)
            return text.read_bytes(), weights.read_bytes()
    raise EspcnError(f"cannot write to {gettempdir()}, which half precision needs: make room, or use --precision fp32")


@cache
def fault() -> str | None:
    """Why OpenVINO does not work here, in one line; None where it does: the smallest of convolutions is tried."""
    try:
        x = op.parameter(ov.PartialShape([1, 1, 1, 1]), ov.Type.f32)
        kernel = op.constant(np.full((1, 1, 1, 1), 2, np.float32))
        model = ov.Model([op.convolution(x, kernel, [1, 1], [0, 0], [0, 0], [1, 1])], [x])
        tried = request(model, "CPU", "fp32")
        tried.infer([np.full((1, 1, 1, 1), 3, np.float32)])
        result = float(tried.get_output_tensor(0).data.item())
    except Exception as error:  # whatever its library throws: nothing else is tried in here
        return _last_line(error.__cause__ or error)  # without our own remedy: who asks has one
    return None if result == 6 else f"2 times 3 are {result:g}"


def _last_line(error: BaseException) -> str:
    """What an error of the library says: it begins with the places in its source that it went through."""
    lines = str(error).strip().splitlines()
    return lines[-1][:200] if lines else type(error).__name__


def adds_bytes_exactly() -> bool:
    """Whether sums of products of bytes come out right here: without VNNI two such products overflow 16 bits."""
    width = 32
    x = op.parameter(ov.PartialShape([1, width, 8, 8]), ov.Type.f32)
    bytes_ = op.fake_quantize(x, *[op.constant(np.float32(end)) for end in (0, 1, 0, 1)], 256)
    kernel = op.constant(np.ones((width, width, 3, 3), np.float32))
    kernel = op.fake_quantize(kernel, *[op.constant(np.float32(end)) for end in (-1, 1, -1, 1)], 255)
    y = op.convolution(bytes_, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    tried = request(ov.Model([y], [x]), "CPU", "fp32")
    with LOCK:
        tried.infer([np.ones((1, width, 8, 8), np.float32)])
        return bool(np.allclose(tried.get_output_tensor(0).data, width * 9, rtol=1e-3))


def before_forks(drop: Callable[[], None]) -> None:
    """Have everything dropped that OpenVINO made before this process forks, and made again after it when needed.

    Its threads do not come along into the child, and whoever waits for them there waits for ever.
    """

    def prepare() -> None:
        LOCK.acquire()
        drop()
        core.cache_clear()

    if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
        os.register_at_fork(before=prepare, after_in_parent=LOCK.release, after_in_child=LOCK.release)
