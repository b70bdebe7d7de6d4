"""Which engine, device and precision a few words mean; no GPU is needed, and neither library has to be missing."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from espcn_cli.engines import opening
from espcn_cli.engines.engine import Engine
from espcn_cli.engines.opening import choose, hint, open_engine
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.settings import ModelSettings

SMALL = ModelSettings(widths=(2,), kernels=(3, 3))
WEIGHTS = {name: np.full(shape, 0.1, np.float32) for name, shape in SMALL.shapes.items()}


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both are installed, OpenVINO works, and there is no GPU; nothing is remembered."""
    opening._works.cache_clear()
    monkeypatch.setattr(opening, "is_installed", lambda module: True)
    monkeypatch.setattr(opening, "_fault", lambda: None)
    monkeypatch.setattr(opening, "has_cuda", lambda: False)
    monkeypatch.setattr(opening, "_has_bf16", lambda: False)
    yield
    opening._works.cache_clear()


def without(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "is_installed", lambda name: name != module)


def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_fault", lambda: "no AVX2")


def test_auto_takes_openvino_on_a_cpu() -> None:
    assert choose() == choose("auto", "cpu") == choose("openvino") == choose("openvino", "cpu") == "openvino"
    assert choose("torch") == choose("torch", "cpu") == "torch"


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_other_devices_are_pytorch_s(device: str) -> None:
    assert choose("auto", device) == choose("torch", device) == "torch"
    with pytest.raises(UsageError, match=f"OpenVINO does not run on '{device}': use --device auto, cpu or gpu"):
        choose("openvino", device)


@pytest.mark.parametrize("device", ["gpu", "gpu.1"])
def test_gpus_of_openvino_are_its_own(device: str) -> None:
    assert choose("auto", device) == choose("openvino", device) == "openvino"
    with pytest.raises(UsageError, match="use --engine openvino"):
        choose("torch", device)


def test_auto_takes_pytorch_where_that_has_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "has_cuda", lambda: True)
    assert choose() == "torch"
    assert choose("auto", "cpu") == choose("openvino") == "openvino"


def test_without_the_extra_it_is_pytorch_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hint("auto", "auto") is None
    without("openvino", monkeypatch)
    assert choose() == "torch"
    line = hint("auto", "auto")
    assert line is not None and "pip install 'espcn[fast]'" in line
    assert hint("torch", "auto") is hint("auto", "cuda") is None
    with pytest.raises(EspcnError, match=r"OpenVINO is not installed: pip install 'espcn\[fast\]'"):
        choose("openvino")


@pytest.mark.parametrize(("engine", "device"), [("torch", "auto"), ("auto", "cuda")])
def test_without_pytorch_what_needs_it_says_so(engine: str, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without("torch", monkeypatch)
    assert choose() == "openvino"
    with pytest.raises(EspcnError, match="PyTorch is not installed, and this needs it: pip install torch"):
        choose(engine, device)


def test_an_openvino_that_does_not_work_is_an_error_or_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch)
    with pytest.raises(EspcnError, match=r"OpenVINO does not work here \(no AVX2\): use --engine torch"):
        choose("openvino")
    with pytest.warns(UserWarning, match=r"OpenVINO does not work here \(no AVX2\): PyTorch is used") as caught:
        assert [choose(), choose()] == ["torch", "torch"]
    assert len(caught) == 1


def test_bf16_is_emulated_by_pytorch_where_the_processor_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO would do it in fp32 in silence."""
    assert choose("auto", "cpu", "bf16") == "torch"
    monkeypatch.setattr(opening, "_has_bf16", lambda: True)
    assert choose("auto", "cpu", "bf16") == "openvino"


@pytest.mark.parametrize(
    ("engine", "device", "precision", "said"),
    [
        ("onnx", "auto", "auto", "unknown engine 'onnx': use auto, torch, openvino"),
        ("auto", "auto", "fp8", "unknown precision 'fp8': use auto, fp32, bf16, fp16, int8"),
        ("auto", "cuda", "int8", "int8 is for CPUs: use --device cpu, or --precision fp16 on a GPU"),
        ("auto", "cpu", "fp16", "fp16 needs a GPU: use --precision bf16 or fp32 on a CPU"),
        ("openvino", "fpga", "auto", "OpenVINO does not run on 'fpga'"),
    ],
)
def test_words_that_are_none_are_misuse(engine: str, device: str, precision: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        choose(engine, device, precision)


def test_a_gpu_that_is_not_there_is_an_error() -> None:
    with pytest.raises(EspcnError, match=r"device 'gpu.63' is not available here: OpenVINO finds cpu"):
        open_engine(SMALL, WEIGHTS, "gpu.63")


def test_what_is_chosen_is_what_is_opened() -> None:
    def kind(engine: Engine) -> str:
        return type(engine).__name__

    assert kind(open_engine(SMALL, WEIGHTS, "cpu")) == "OpenVinoEngine"
    assert kind(open_engine(SMALL, WEIGHTS, "cpu", engine="torch")) == "TorchEngine"


def test_fp16_is_not_done_on_a_cpu_by_openvino_either() -> None:
    with pytest.raises(UsageError, match="fp16 needs a GPU"):
        open_engine(SMALL, WEIGHTS, "auto", "fp16")


def test_a_driver_without_a_gpu_or_no_driver_is_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    opening.driver_finds_gpu.cache_clear()

    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert opening.driver_finds_gpu() is False
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert opening.has_cuda() is False
    assert "torch" not in sys.modules  # it was not even asked
    opening.driver_finds_gpu.cache_clear()
