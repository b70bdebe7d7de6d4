"""From `auto` to a device, a precision and a thread count: nobody else asks what hardware is there."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import torch

from espcn_cli import cores
from espcn_cli.engines.precision import CLEARLY
from espcn_cli.errors import EspcnError, UsageError

TRIES = 20

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PRECISION_NAMES = {dtype: name for name, dtype in PRECISIONS.items()}


@cache
def survive_forks() -> None:
    """From now on a forked process computes on one thread.

    Of a process only the thread that forks goes on in the child. GNU OpenMP does not notice that its others are gone:
    the first operation that is shared out would wait for them for ever.
    """
    if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
        os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))
        os.register_at_fork(after_in_child=side_by_side.cache_clear)


def settle_threads() -> None:
    """Let PyTorch compute with as many threads as were chosen, or no more than a container's quota can keep busy."""
    if threads := cores.chosen() or cores.granted():
        torch.set_num_threads(threads if cores.chosen() else min(threads, torch.get_num_threads()))


@cache
def side_by_side(threads: int) -> ThreadPoolExecutor:
    """Threads each of which computes alone, for windows so small that sharing one out would take longer."""
    return ThreadPoolExecutor(threads, "espcn-window", initializer=partial(torch.set_num_threads, 1))


def choose_device(name: str = "auto") -> torch.device:
    """`auto` is CUDA when there is one, else the CPU. Raises EspcnError for a device that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"unknown device {name!r}: use auto, cpu, cuda, cuda:N or mps") from None
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(device.type, False):
        raise EspcnError(f"device {name!r} is not available here: use --device cpu")
    if device.type == "cuda":
        keep_to_the_bit()
    return device


def keep_to_the_bit() -> None:
    """From now on fp32 is fp32 on a GPU, and the same work gives the same bits.

    Otherwise cuDNN rounds a convolution's inputs to TF32's ten bits, and sums gradients in the order of chance.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True


def choose_precision(name: str, device: torch.device, training: bool = False) -> torch.dtype:
    """The arithmetic of the convolutions. `auto` is fp32 for pictures on a CPU, whose bits it keeps everywhere.

    On CUDA `auto` is fp16 (training: bf16); training on a CPU takes bf16 where the processor has it natively and is
    faster with it.
    """
    if name == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if training else torch.float16
        on_cpu = training and device.type == "cpu"
        return torch.bfloat16 if on_cpu and has_native_bf16() and bf16_trains_faster() else torch.float32
    if name not in PRECISIONS:
        raise UsageError(f"unknown precision {name!r}: use auto, {', '.join(PRECISIONS)}")
    if name == "fp16" and device.type == "cpu":
        raise UsageError("fp16 needs a GPU: use --precision bf16 or fp32 on a CPU")
    return PRECISIONS[name]


def has_native_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AVX-512 BF16, AMX or Arm's BF16)."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


@cache
def bf16_trains_faster() -> bool:
    """Whether a convolution and its gradients take clearly less time in bfloat16 than in float32, measured here.

    That a processor has it does not say so: on a Xeon with AVX-512 BF16 but no AMX, espcn-m trained 0.75 times as fast.
    """
    return measure_convolution(torch.bfloat16) < CLEARLY * measure_convolution(torch.float32)


def measure_convolution(dtype: torch.dtype) -> float:
    """Seconds that a 3×3 convolution of 16 planes takes forward and backward: the least of a few tries."""
    x, weight = torch.ones(4, 16, 48, 48), torch.ones(16, 16, 3, 3, requires_grad=True)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    times = []
    for _ in range(TRIES):
        started = time.perf_counter()
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            out = torch.nn.functional.conv2d(x, weight, padding=1)
        torch.autograd.grad(out.float().sum(), [x, weight])
        times.append(time.perf_counter() - started)
    return min(times)
