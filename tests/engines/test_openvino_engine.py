"""How the light engine shares out the processor; what it computes is in `test_contract`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import NoReturn

import numpy as np
import pytest
import torch
from making import natural

from espcn_cli import cores
from espcn_cli.engines.engine import NotFiniteError
from espcn_cli.errors import EspcnError
from espcn_cli.maths.levels import Levels
from espcn_cli.network.espcn import ESPCN
from espcn_cli.network.weights import to_arrays
from espcn_cli.settings import ModelSettings

pytest.importorskip("openvino")

from espcn_cli.engines import openvino_runtime
from espcn_cli.engines.openvino_engine import OpenVinoEngine

TINY = ModelSettings(widths=(4, 4), kernels=(3, 3, 3))

Make = Callable[..., ESPCN]


@pytest.fixture
def limit() -> Iterator[Callable[[int], None]]:
    """What `--threads` does; afterwards it is as before."""
    before = cores.chosen()
    yield cores.limit
    cores.limit(before)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Of each graph that is compiled: threads, and how many pictures go through it at a time."""
    found = list[tuple[int, int]]()
    compile = openvino_runtime._compiled

    def watching(*arguments: object) -> object:
        model = compile(*arguments)  # type: ignore[arg-type]
        found.append((model.get_property("INFERENCE_NUM_THREADS"), model.get_property("NUM_STREAMS")))
        return model

    monkeypatch.setattr(openvino_runtime, "_compiled", watching)
    return found


def engine_of(network: ESPCN) -> OpenVinoEngine:
    return OpenVinoEngine(network.settings, to_arrays(network.state_dict()))


def windows() -> list[Levels]:
    """Of several sizes and kinds, and more than can go side by side."""
    return [natural(20 + 3 * index, 15, index)[..., : 1 if index % 3 == 0 else 3] for index in range(11)]


@pytest.mark.parametrize("threads", [1, 2])
def test_it_takes_the_threads_that_it_may(
    make_network: Make, limit: Callable[[int], None], compiled: list[tuple[int, int]], threads: int
) -> None:
    limit(threads)
    engine_of(make_network(TINY)).upscale([natural(20, 15)], 0, 255)
    assert compiled == [(threads, 1)]


def test_small_windows_of_a_call_go_side_by_side(
    make_network: Make, limit: Callable[[int], None], compiled: list[tuple[int, int]]
) -> None:
    limit(2)
    engine = engine_of(make_network(TINY))
    alone = [engine.upscale([levels], 0, 255)[0] for levels in windows()]
    compiled.clear()
    together = engine.upscale(windows(), 0, 255)
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))
    assert compiled and set(compiled) == {(2, 2)}


def test_large_windows_and_a_single_thread_do_not(
    make_network: Make, limit: Callable[[int], None], compiled: list[tuple[int, int]]
) -> None:
    limit(2)
    engine_of(make_network(TINY)).upscale([natural(160, 120), natural(20, 15)], 0, 255)
    limit(1)
    engine_of(make_network(TINY)).upscale(windows(), 0, 255)
    assert {streams for _, streams in compiled} == {1}


def test_one_that_overflows_among_many_leaves_the_engine_as_it_was(
    make_network: Make, limit: Callable[[int], None]
) -> None:
    """White becomes infinite, black does not."""
    limit(2)
    network = make_network(ModelSettings(widths=(1,), kernels=(1, 1), activation="prelu", skip="none"))
    torch.nn.init.constant_(network.body[0].weight, 3e38)  # type: ignore[arg-type]
    torch.nn.init.constant_(network.tail.weight, 1e3)
    engine, dark = engine_of(network), np.zeros((9, 8, 1), np.uint8)
    before = engine.upscale([dark] * 3, 0, 255)
    for at in range(5):
        several = [dark] * 5
        several[at] = np.full((9, 8, 1), 255, np.uint8)
        with pytest.raises(NotFiniteError):
            engine.upscale(several, 0, 255)
    assert all(
        np.array_equal(one, other) for one, other in zip(before, engine.upscale([dark] * 3, 0, 255), strict=True)
    )


@pytest.mark.parametrize(
    ("text", "said"), [("Exception from core.cpp:109:\n[CPU] no AVX2\n", "[CPU] no AVX2"), ("", "RuntimeError")]
)
def test_why_it_does_not_work_is_in_one_line_and_names_no_remedy(
    text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for it adds one."""

    def fails(*_: object) -> NoReturn:
        raise RuntimeError(text)

    monkeypatch.setattr(openvino_runtime, "core", lambda: SimpleNamespace(compile_model=fails))
    assert openvino_runtime.fault.__wrapped__() == said
    with pytest.raises(EspcnError, match=f"{re.escape(f'({said})')}: use --engine torch$"):
        openvino_runtime.request(None, "CPU", "fp32")


MANY_SIZES = """
import resource
import numpy as np
from espcn_cli.engines.openvino_engine import OpenVinoEngine
from espcn_cli.network import checkpoint, named

card, weights = checkpoint.read(named.find("espcn-s", 2))
engine = OpenVinoEngine(card.settings, weights)

def peak(sizes):
    for size in sizes:
        engine.upscale([np.full((8 + size % 20, 8 + size // 20, 3), size % 256, np.uint8)], 0, 255)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

before = peak(range(100))
print(peak(range(100, 500)) - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is counted in kB on Linux")
def test_memory_does_not_grow_with_the_sizes_that_were_seen() -> None:
    """OpenVINO would keep what it prepares for each: half a megabyte here, ten for a photograph."""
    result = subprocess.run([sys.executable, "-c", MANY_SIZES], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < 50_000
