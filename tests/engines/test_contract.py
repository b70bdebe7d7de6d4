"""What every engine keeps to: levels in, the same windows scale times larger out, in the same dtype."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from making import natural
from numpy.typing import NDArray

from espcn_cli.engines.engine import Engine, highest
from espcn_cli.engines.torch_engine import TorchEngine, upscale_planes
from espcn_cli.maths.levels import Levels
from espcn_cli.network.espcn import ESPCN
from espcn_cli.scoring import tensors
from espcn_cli.settings import ModelSettings

Make = Callable[..., ESPCN]
MakeEngine = Callable[..., Engine]

SMALL = ModelSettings(widths=(4, 4), kernels=(3, 3, 3))


@pytest.fixture(params=["torch"])
def make_engine(request: pytest.FixtureRequest, make_network: Make) -> MakeEngine:
    """Each engine, of a network as if trained."""

    def make(model: ModelSettings = SMALL, ensemble: bool = False) -> Engine:
        return TorchEngine(make_network(model), ensemble=ensemble)

    return make


def picture(channels: int = 3, width: int = 23, height: int = 17, deep: bool = False) -> Levels:
    levels: Levels = natural(width, height)[..., :channels]
    return levels.astype(np.uint16) * 257 if deep else levels


def white(levels: Levels) -> int:
    return int(np.iinfo(levels.dtype).max)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("deep", [False, True])
def test_the_same_window_scale_times_larger_in_the_same_dtype(
    make_engine: MakeEngine, scale: int, planes: int, channels: int, deep: bool
) -> None:
    engine = make_engine(replace(SMALL, scale=scale, planes=planes))
    levels = picture(channels, deep=deep)
    [large] = engine.upscale([levels], 0, white(levels))
    assert large.shape == (17 * scale, 23 * scale, channels)
    assert large.dtype == levels.dtype


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (2, 3)])
def test_windows_of_any_size(make_engine: MakeEngine, size: tuple[int, int]) -> None:
    [large] = make_engine().upscale([picture(3, *size)], 0, 255)
    assert large.shape == (2 * size[1], 2 * size[0], 3)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("ensemble", [False, True])
def test_levels_are_the_tensors_rounded_once(make_network: Make, channels: int, ensemble: bool) -> None:
    """The unrounded door and the contract's give one picture, halves up."""
    engine = TorchEngine(make_network(SMALL), ensemble=ensemble)
    levels = picture(channels)
    exact = upscale_planes(engine, tensors.from_levels(levels), 0)
    assert np.array_equal(engine.upscale([levels], 0, 255)[0], tensors.to_depth(exact))


def test_several_windows_are_the_same_one_by_one(make_engine: MakeEngine) -> None:
    engine = make_engine()
    windows = [picture(3), picture(1), picture(3, 9, 31)]
    together = engine.upscale(windows, 0, 255)
    assert [large.shape for large in together] == [(34, 46, 3), (34, 46, 1), (62, 18, 3)]
    for window, large in zip(windows, together, strict=True):
        assert np.array_equal(engine.upscale([window], 0, 255)[0], large)


def test_a_window_with_its_halo_is_the_whole_s(make_engine: MakeEngine) -> None:
    engine, levels = make_engine(), picture(3, 60, 50)
    [whole] = engine.upscale([levels], 0, 255)
    halo = engine.halo
    [part] = engine.upscale([levels[10 : 30 + halo, 20 - halo : 41]], 0, 255)
    inner = part[: 2 * (30 - 10), 2 * halo : 2 * halo + 2 * 10]
    assert np.array_equal(inner[2 * halo :], whole[20 + 2 * halo : 60, 40:60])


def test_the_same_input_gives_the_same_bytes(make_engine: MakeEngine) -> None:
    engine = make_engine()
    first, again = (engine.upscale([picture()], 0, 255)[0] for _ in range(2))
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize(
    ("black", "top", "dtype"), [(16, 235, np.uint8), (64, 940, np.uint16), (4096, 60160, np.uint16)]
)
def test_black_and_white_are_0_and_1(make_network: Make, black: int, top: int, dtype: type) -> None:
    """A video's plane: the same network output, spread from black to white."""
    engine = TorchEngine(make_network(SMALL))
    values = natural(20, 16)[..., :1].astype(np.float64) / 255
    levels: NDArray[np.unsignedinteger] = (black + values * (top - black)).round().astype(dtype)
    x = torch.from_numpy((levels.astype(np.float32) - black) / (top - black)).permute(2, 0, 1)[None]
    expected = engine.planes(x)[0, 0].numpy() * (top - black) + black
    [large] = engine.upscale([levels], black, top)
    assert large.dtype == dtype
    assert np.abs(large[..., 0] - expected.clip(0, highest(top))).max() <= 0.51


def test_results_are_clipped_to_the_bits_that_white_takes(make_network: Make) -> None:
    """10 bits of video have room above white, to 1023; whole levels end at white."""
    assert [highest(white) for white in (235, 255, 940, 1023, 65535)] == [255, 255, 1023, 1023, 65535]
    engine = TorchEngine(make_network(SMALL, tail=9.0))
    levels = picture(1, deep=True) // 64
    [large] = engine.upscale([levels], 64, 940)
    assert (large.min(), large.max()) == (0, 1023)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_interpolation_is_bicubic_for_any_number_of_channels(make_engine: MakeEngine, channels: int) -> None:
    levels = np.concatenate([picture(3), picture(1)], axis=2)[..., :channels]
    large = make_engine().interpolate(levels, 0, 255)
    [expected] = TorchEngine(ESPCN(SMALL)).upscale([levels[..., :1]], 0, 255)  # untrained it is bicubic
    assert large.shape == (34, 46, channels)
    assert np.array_equal(large[..., :1], expected)


def test_the_input_is_left_alone_and_may_be_read_only(make_engine: MakeEngine) -> None:
    levels = picture()
    before = levels.copy()
    levels.flags.writeable = False
    make_engine().upscale([levels], 0, 255)
    assert np.array_equal(levels, before)


def test_an_exact_engine_is_its_own_exact_twin(make_engine: MakeEngine) -> None:
    engine = make_engine()
    assert engine.exact() is engine
