"""What is left of main memory, as Linux and containers say it, and errors that say that nothing is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from espcn_cli.memory import _control_group_left, _meminfo_available, available_memory, out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 1.00 GB)"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("Not enough memory: you tried to allocate 9 bytes"),
    ],
)
def test_errors_that_say_that_memory_ran_out(error: Exception) -> None:
    assert out_of_memory(error)


def test_torch_s_own_error_has_the_words() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55)
    assert out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes do not match"), ValueError("out of memory"), KeyboardInterrupt()]
)
def test_other_errors(error: BaseException) -> None:
    assert not out_of_memory(error)


def test_some_memory_is_left_here() -> None:
    left = available_memory()
    assert left is None or left > 0


def test_linux_says_what_is_available(tmp_path: Path) -> None:
    file = tmp_path / "meminfo"
    file.write_text("MemTotal:       16384 kB\nMemFree:         1024 kB\nMemAvailable:    4096 kB\n")
    assert _meminfo_available(file) == 4096 * 1024
    for text in ("MemTotal: 16384 kB\n", "MemAvailable: much\n"):
        file.write_text(text)
        assert _meminfo_available(file) is None
    assert _meminfo_available(tmp_path / "nowhere") is None


def test_a_container_s_limit_less_what_it_holds(tmp_path: Path) -> None:
    assert _control_group_left(tmp_path) is None
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert _control_group_left(tmp_path) is None
    (tmp_path / "memory.max").write_text("5000\n")
    assert _control_group_left(tmp_path) == 4000
