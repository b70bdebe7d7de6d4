"""One picture: its mode, depth and transparency are kept, whatever the network does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from making import natural
from PIL import Image

from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.errors import EspcnError
from espcn_cli.maths.resize import interpolate
from espcn_cli.network.espcn import ESPCN
from espcn_cli.pictures.raster import Raster
from espcn_cli.settings import ModelSettings
from espcn_cli.upscaling.alpha import bleed
from espcn_cli.upscaling.upscaler import Upscaler

TINY = ModelSettings(widths=(4,), kernels=(3, 3))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_mode_in_is_mode_out(bicubic: Upscaler, mode: str) -> None:
    image = Image.fromarray(natural(13, 9)).convert(mode)
    result = bicubic(image)
    assert result.mode == mode
    assert result.size == (26, 18)


def test_16_bit_grey_stays_so(bicubic: Upscaler) -> None:
    values = natural(13, 9)[..., 0].astype(np.uint16) * 257 + 5
    result = bicubic(Image.fromarray(values))
    assert result.mode == "I;16"
    assert len(np.unique(np.asarray(result))) > 256


def test_the_library_call_warns_of_what_it_does_not_keep(tmp_path: Path, bicubic: Upscaler) -> None:
    frames = [Image.fromarray(natural(8, 8, seed)) for seed in (0, 1)]
    frames[0].save(tmp_path / "in.gif", save_all=True, append_images=frames[1:])
    with (
        Image.open(tmp_path / "in.gif") as image,
        pytest.warns(UserWarning, match="only the first of 2 frames is used"),
    ):
        assert bicubic(image).size == (16, 16)


def test_a_single_pixel_becomes_a_flat_square(bicubic: Upscaler) -> None:
    result = bicubic(Image.new("RGB", (1, 1), (200, 100, 7)))
    assert list(result.get_flattened_data()) == [(200, 100, 7)] * 4


def test_grey_in_rgb_stays_grey() -> None:
    torch.manual_seed(1)
    network = ESPCN(TINY)
    with torch.no_grad():
        list(network.parameters())[-2].normal_(0, 0.05)
    grey = Image.fromarray(natural(20, 20)).convert("L")
    upscaler = Upscaler(TorchEngine(network))
    as_grey, as_rgb = np.asarray(upscaler(grey)), np.asarray(upscaler(grey.convert("RGB")))
    assert np.ptp(as_rgb, axis=2).max() == 0
    assert np.abs(as_rgb[..., 0].astype(int) - as_grey).max() <= 1


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_fully_opaque_alpha_stays_opaque(width: int, height: int, seed: int) -> None:
    torch.manual_seed(seed)
    network = ESPCN(TINY)
    with torch.no_grad():
        list(network.parameters())[-2].normal_(0, 0.5)
    image = Image.fromarray(natural(width, height, seed)).convert("RGBA")
    assert Upscaler(TorchEngine(network))(image).getchannel("A").getextrema() == (255, 255)


def test_colours_under_transparency_do_not_fringe(bicubic: Upscaler) -> None:
    """A white disc whose transparent surroundings are black: what is visible of the result is white."""
    y, x = np.mgrid[0:24, 0:24]
    disc = ((x - 12) ** 2 + (y - 12) ** 2 < 64)[..., None]
    image = Image.fromarray(np.where(disc, [255, 255, 255, 255], [0, 0, 0, 0]).astype(np.uint8))
    result = np.asarray(bicubic(image))
    visible = result[..., 3] > 0
    assert visible.sum() > disc.sum()
    assert result[visible][:, :3].min() == 255


def test_bleed_reaches_as_far_as_asked() -> None:
    alpha = np.array([255, 0, 0, 0, 0, 0, 0], np.uint8).reshape(1, 7, 1)
    assert bleed(alpha.repeat(3, axis=2), alpha, 3)[0, :, 0].tolist() == [255, 255, 255, 255, 0, 0, 0]


def test_tensors_in_tensors_out(bicubic: Upscaler) -> None:
    x = torch.rand(2, 3, 7, 5)
    assert (bicubic.upscale(x) - interpolate(x, 2).clamp(0, 1)).abs().max() < 1e-6


def test_strips_of_a_transparent_picture_are_the_whole(tmp_path: Path) -> None:
    """Colours bleed and the network reads beyond a tile: no seam shows in any of the four channels."""
    torch.manual_seed(3)
    network = ESPCN(TINY)
    torch.nn.init.normal_(list(network.parameters())[-2], std=0.1)
    rgba = np.dstack([natural(50, 40), natural(50, 40, 1)[..., 0]])
    rgba[10:30, 5:45, 3] = 0
    image = Raster(Image.fromarray(rgba))
    whole, _ = Upscaler(TorchEngine(network), 0).raster(image)
    for tile in (7, 16):
        tiled, _ = Upscaler(TorchEngine(network), tile).raster(image)
        assert np.array_equal(np.asarray(tiled.data), np.asarray(whole.data))


@pytest.mark.parametrize(
    "x",
    [
        *(torch.zeros(3, 5, 5), torch.zeros(1, 2, 5, 5), torch.zeros(0, 1, 5, 5)),
        *(torch.zeros(1, 1, 5, 5, dtype=dtype) for dtype in (torch.uint8, torch.int16, torch.int64, torch.bool)),
    ],
    ids=lambda x: f"{x.dtype} {tuple(x.shape)}",
)
def test_tensors_that_are_no_pictures_are_refused(bicubic: Upscaler, x: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"upscale needs floats \(N, 1 or 3, H, W\)"):
        bicubic.upscale(x)


@pytest.mark.parametrize("value", [255.0, 1.51, -0.51, -1.0, float("nan"), float("inf"), float("-inf")])
def test_tensors_on_another_scale_are_refused(bicubic: Upscaler, value: float) -> None:
    """One value is enough: 0 to 255 would become white, and -1 to 1 half of it black."""
    x = torch.full((2, 3, 5, 5), 0.5)
    x[1, 2, 4, 3] = value
    with pytest.raises(ValueError, match=r"upscale needs values in \[0, 1\], not .* to .*: divide 8-bit levels by 255"):
        bicubic.upscale(x)


def test_tensors_may_ring_beyond_0_and_1(bicubic: Upscaler) -> None:
    x = torch.tensor([-0.5, 0.0, 1.0, 1.5]).reshape(1, 1, 2, 2)
    large = bicubic.upscale(x)
    assert [bound.item() for bound in large.aminmax()] == [0, 1]


def test_double_precision_is_taken_and_an_empty_image_refused(bicubic: Upscaler) -> None:
    assert bicubic.upscale(torch.rand(1, 1, 4, 4).double()).dtype == torch.float32
    with pytest.raises(EspcnError, match="no pixels: 0 x 5"):
        bicubic(Image.new("RGB", (0, 5)))


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 2), (5, 7, 3), (5, 7, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_array_of_levels_gives_one(bicubic: Upscaler, shape: tuple[int, ...], dtype: type) -> None:
    levels: Any = np.full(shape, 77, dtype)
    large = bicubic(levels)
    assert large.shape == (10, 14, *shape[2:])
    assert large.dtype == dtype
    assert (large == 77).all()


def test_an_array_is_the_picture_that_an_image_of_it_is(bicubic: Upscaler) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    assert np.array_equal(bicubic(levels), np.asarray(bicubic(Image.fromarray(levels))))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((5, 5, 5), np.uint8),
        np.zeros(5, np.uint8),
        np.zeros((5, 5), np.float32),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((1, 5, 5, 3), np.uint8),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_that_are_no_pictures_are_refused(bicubic: Upscaler, array: Any) -> None:
    with pytest.raises(ValueError, match=r"a picture is uint8 or uint16|has no pixels"):
        bicubic(array)
