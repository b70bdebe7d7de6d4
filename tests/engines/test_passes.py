"""Two networks one after the other: an engine like any other, whose result is what both give by hand."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from making import natural

from espcn_cli.engines.engine import Engine, PlaneEngine
from espcn_cli.engines.passes import Passes
from espcn_cli.engines.torch_engine import TorchEngine, upscale_planes
from espcn_cli.maths.levels import Levels, white_of
from espcn_cli.maths.tiling import tiles
from espcn_cli.network.espcn import ESPCN
from espcn_cli.network.weights import to_arrays
from espcn_cli.settings import PASSES, SCALES, ModelSettings

Make = Callable[..., ESPCN]
SMALL = ModelSettings(widths=(4, 4), kernels=(3, 5, 3))


def open_openvino(network: ESPCN) -> Engine:
    openvino_engine = pytest.importorskip("espcn_cli.engines.openvino_engine")
    engine: Engine = openvino_engine.OpenVinoEngine(network.settings, to_arrays(network.state_dict()))
    return engine


@pytest.fixture(params=[TorchEngine, open_openvino])
def make_passes(request: pytest.FixtureRequest, make_network: Make) -> Callable[[int, int], Passes]:
    def make(first: int, second: int) -> Passes:
        return Passes(*(request.param(make_network(replace(SMALL, scale=each), tail=0.1)) for each in (first, second)))

    return make


def picture(channels: int = 3, deep: bool = False) -> Levels:
    levels: Levels = natural(61, 47)[..., :channels]
    return levels.astype(np.uint16) * 257 if deep else levels


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("deep", [False, True])
def test_the_result_is_what_both_give_one_after_the_other(
    make_passes: Callable[[int, int], Passes], channels: int, deep: bool
) -> None:
    engine, levels = make_passes(2, 3), picture(channels, deep)
    between = engine.first.upscale([levels], 0, white_of(levels))
    [large] = engine.upscale([levels], 0, white_of(levels))
    assert (large.dtype, large.shape) == (levels.dtype, (6 * 47, 6 * 61, channels))
    assert np.array_equal(large, engine.second.upscale(between, 0, white_of(levels))[0])


@pytest.mark.parametrize(("first", "second"), [(2, 3), (3, 2), (2, 4), (4, 4)])
def test_a_window_with_its_halo_is_the_whole_s(
    make_passes: Callable[[int, int], Passes], first: int, second: int
) -> None:
    engine, levels = make_passes(first, second), picture()
    [whole] = engine.upscale([levels], 0, 255)
    scale = engine.settings.scale
    for tile in tiles(47, 61, 9, 13, engine.halo):
        [part] = engine.upscale([levels[tile.rows.window, tile.columns.window]], 0, 255)
        expected = whole[tile.rows.output(scale), tile.columns.output(scale)]
        assert np.array_equal(part[tile.rows.inner(scale), tile.columns.inner(scale)], expected)


def test_the_second_takes_windows_that_suit_it(
    make_passes: Callable[[int, int], Passes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So memory is bounded as it is with one pass, and the result is the same."""
    engine, levels = make_passes(2, 3), picture()
    [whole] = engine.upscale([levels], 0, 255)
    monkeypatch.setattr(type(engine.second), "window", 3000)
    seen: list[int] = []
    real = type(engine.second).upscale

    def upscale(self: Engine, windows: Sequence[Levels], black: int, white: int) -> list[Levels]:
        seen.extend(levels.shape[0] * levels.shape[1] for levels in windows)
        return real(self, windows, black, white)

    monkeypatch.setattr(type(engine.second), "upscale", upscale)
    [again] = engine.upscale([levels], 0, 255)
    assert len(seen) > 2 and max(seen[1:]) < 2 * 47 * 2 * 61
    assert np.array_equal(again, whole)


def test_planes_are_clipped_but_not_rounded_between(make_passes: Callable[[int, int], Passes]) -> None:
    engine = make_passes(2, 3)
    assert isinstance(engine, PlaneEngine)
    assert isinstance(engine.first, PlaneEngine)
    assert isinstance(engine.second, PlaneEngine)
    x = torch.from_numpy(picture().astype(np.float32) / 255).permute(2, 0, 1)[None]
    between = upscale_planes(engine.first, x)
    assert torch.equal(upscale_planes(engine, x), upscale_planes(engine.second, between))
    assert torch.equal(upscale_planes(engine, x, 16), upscale_planes(engine, x, 0))


def test_only_the_first_pass_finds_halved_chroma(make_passes: Callable[[int, int], Passes]) -> None:
    engine = make_passes(2, 3)
    halved = engine.halved()
    assert halved is engine.halved()
    assert (halved.first, halved.second) == (engine.first.halved(), engine.second)


def test_bicubic_alone_goes_in_two_passes_too(make_passes: Callable[[int, int], Passes]) -> None:
    engine, alpha = make_passes(2, 3), picture(1)
    expected = engine.second.interpolate(engine.first.interpolate(alpha, 0, 255), 0, 255)
    assert np.array_equal(engine.interpolate(alpha, 0, 255), expected)


def test_in_fp32_where_both_are(make_network: Make) -> None:
    first, second = (make_network(replace(SMALL, scale=each)) for each in (2, 3))
    exact = Passes(TorchEngine(first), TorchEngine(second))
    assert exact.exact() is exact
    low = Passes(TorchEngine(first, precision=torch.bfloat16), TorchEngine(second))
    assert (low.arithmetic, low.exact().arithmetic) == ("bf16; fp32", "fp32; fp32")


def test_its_settings_tell_both_networks_apart(make_passes: Callable[[int, int], Passes]) -> None:
    engine = make_passes(2, 4)
    assert (engine.settings.scale, engine.settings.planes) == (8, 1)
    assert repr(engine.settings) != repr(make_passes(2, 3).settings)
    assert repr(engine.settings) != repr(Passes(engine.second, engine.first).settings)
    copy = pickle.loads(pickle.dumps(engine))
    assert np.array_equal(copy.upscale([picture()], 0, 255)[0], engine.upscale([picture()], 0, 255)[0])


def test_passes_are_of_scales_that_there_are() -> None:
    for scale, (first, second) in PASSES.items():
        assert first * second == scale
        assert {first, second} <= {*SCALES} and scale not in SCALES
