"""From a word to a device and a precision; no hardware is needed to test it."""

from __future__ import annotations

import pytest
import torch

from espcn_cli.engines import device
from espcn_cli.engines.device import choose_device, choose_precision, has_native_bf16
from espcn_cli.errors import EspcnError, UsageError

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda"), torch.device("mps")


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture(params=[False, True])
def native_bf16(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    has = bool(request.param)
    monkeypatch.setattr(device, "has_native_bf16", lambda: has)
    return has


# --- devices ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_gpu")
def test_auto_is_the_cpu_without_a_gpu() -> None:
    assert choose_device() == choose_device("auto") == choose_device("cpu") == CPU


@pytest.mark.usefixtures("two_gpus")
def test_auto_is_cuda_where_there_is_one() -> None:
    assert choose_device() == CUDA
    assert choose_device("cpu") == CPU


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_can_be_chosen_by_number() -> None:
    assert choose_device("cuda:1") == torch.device("cuda", 1)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize("name", ["cuda:2", "mps"])
def test_a_gpu_that_is_not_there_is_an_error(name: str) -> None:
    with pytest.raises(EspcnError, match=f"device '{name}' is not available here: use --device cpu"):
        choose_device(name)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps", "meta"])
def test_nothing_but_the_cpu_is_available_without_a_gpu(name: str) -> None:
    with pytest.raises(EspcnError, match="is not available here: use --device cpu") as caught:
        choose_device(name)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "cuda:-1", "CPU "])
def test_a_word_that_is_no_device_is_misuse(name: str) -> None:
    with pytest.raises(UsageError, match="use auto, cpu, cuda, cuda:N or mps") as caught:
        choose_device(name)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


# --- precisions ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("native_bf16")
def test_auto_keeps_fp32_for_pictures_on_a_cpu() -> None:
    assert choose_precision("auto", CPU) == torch.float32


@pytest.mark.parametrize("faster", [False, True])
def test_auto_trains_in_bf16_on_a_cpu_that_has_it_and_gains_by_it(
    native_bf16: bool, faster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "bf16_trains_faster", lambda: faster)
    expected = torch.bfloat16 if native_bf16 and faster else torch.float32
    assert choose_precision("auto", CPU, training=True) == expected


@pytest.mark.parametrize(("bf16", "faster"), [(0.5, True), (0.95, False), (1.5, False)])
def test_bf16_has_to_be_clearly_faster(bf16: float, faster: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {torch.bfloat16: bf16, torch.float32: 1.0}
    monkeypatch.setattr(device, "measure_convolution", seconds.__getitem__)
    assert device.bf16_trains_faster.__wrapped__() is faster


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_measuring_takes_time_and_no_random_numbers(dtype: torch.dtype) -> None:
    before = torch.random.get_rng_state()
    assert device.measure_convolution(dtype) > 0
    assert torch.equal(torch.random.get_rng_state(), before)


def test_auto_on_cuda_is_fp16_for_pictures_and_bf16_for_training() -> None:
    assert choose_precision("auto", CUDA) == torch.float16
    assert choose_precision("auto", CUDA, training=True) == torch.bfloat16


@pytest.mark.parametrize("training", [False, True])
def test_auto_is_fp32_elsewhere(training: bool) -> None:
    assert choose_precision("auto", MPS, training) == torch.float32


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("name", "where", "dtype"),
    [
        ("fp32", CPU, torch.float32),
        ("fp32", CUDA, torch.float32),
        ("bf16", CPU, torch.bfloat16),
        ("bf16", CUDA, torch.bfloat16),
        ("fp16", CUDA, torch.float16),
    ],
)
def test_what_is_asked_for_is_what_is_given(name: str, where: torch.device, dtype: torch.dtype, training: bool) -> None:
    assert choose_precision(name, where, training) == dtype


def test_fp16_on_a_cpu_is_misuse() -> None:
    with pytest.raises(UsageError, match="fp16 needs a GPU: use --precision bf16 or fp32 on a CPU"):
        choose_precision("fp16", CPU)


@pytest.mark.parametrize("name", ["fp64", "", "half", "AUTO"])
def test_a_word_that_is_no_precision_is_misuse(name: str) -> None:
    with pytest.raises(UsageError, match="use auto, fp32, bf16, fp16"):
        choose_precision(name, CPU)


@pytest.mark.parametrize(
    ("capabilities", "native"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"amx_bf16": True}, True),
        ({"bf16": True}, True),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False}, False),
        ({}, False),
    ],
)
def test_native_bf16_is_what_the_processor_says(
    capabilities: dict[str, bool], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert has_native_bf16() is native


def test_the_processor_answers_at_all() -> None:
    assert has_native_bf16() in (True, False)
