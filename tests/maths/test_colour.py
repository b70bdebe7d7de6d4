"""Colour against published values: BT.601 in studio range and in JPEG's full range, and the step to 8 bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.color import rgb2ycbcr
from torch import Tensor

from espcn_cli.maths.colour import LUMA, STUDIO_LUMA, luma, rgb_to_ycbcr, studio_luma, to_studio, ycbcr_to_rgb
from espcn_cli.scoring.tensors import quantise

PRIMARIES = {"black": (0, 0, 0), "red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "white": (1, 1, 1)}


def pixel(*values: float) -> Tensor:
    return torch.tensor(values).view(1, -1, 1, 1)


def random_picture(seed: int) -> Tensor:
    return torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(seed))


# --- published values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("colour", "y"), [("black", 16), ("red", 81.481), ("green", 144.553), ("blue", 40.966), ("white", 235)]
)
def test_studio_luma_of_the_primaries(colour: str, y: float) -> None:
    """MATLAB's rgb2ycbcr: Y = 16 + 65.481 R + 128.553 G + 24.966 B, so white is 16 + 219 = 235."""
    assert studio_luma(pixel(*PRIMARIES[colour])).item() * 255 == pytest.approx(y, abs=1e-4)


@pytest.mark.parametrize(
    ("colour", "y", "cb", "cr"),
    [
        ("black", 0, 0, 0),
        ("white", 1, 0, 0),
        ("red", 0.299, -0.1687, 0.5),
        ("green", 0.587, -0.3313, -0.4187),
        ("blue", 0.114, 0.5, -0.0813),
    ],
)
def test_full_range_of_the_primaries(colour: str, y: float, cb: float, cr: float) -> None:
    """JFIF 1.02: Cb = -0.1687 R - 0.3313 G + 0.5 B and Cr = 0.5 R - 0.4187 G - 0.0813 B, about the middle."""
    result = rgb_to_ycbcr(pixel(*PRIMARIES[colour])).flatten().tolist()
    assert result == pytest.approx([y, cb + 0.5, cr + 0.5], abs=5e-5)


def test_studio_luma_is_scikit_images(photo: Tensor) -> None:
    theirs = rgb2ycbcr(photo[0].permute(1, 2, 0).double().numpy())[..., 0]
    assert np.abs(studio_luma(photo)[0, 0].numpy() * 255 - theirs).max() < 1e-4


def test_full_range_luma_is_pillows_within_rounding(photo: Tensor) -> None:
    image = Image.fromarray((photo[0] * 255).round().byte().permute(1, 2, 0).numpy())
    theirs = torch.from_numpy(np.array(image.convert("L"))).float()
    assert (luma(photo)[0, 0] * 255 - theirs).abs().max() <= 0.51


def test_weights_add_up_to_the_ranges() -> None:
    assert sum(LUMA) == pytest.approx(1)
    assert sum(STUDIO_LUMA) * 255 == pytest.approx(219)


def test_to_studio_maps_full_range_onto_16_to_235() -> None:
    assert (to_studio(torch.tensor([0.0, 1.0])) * 255).tolist() == pytest.approx([16, 235])


def test_studio_range_of_full_luma_is_studio_luma_up_to_the_published_digits(photo: Tensor) -> None:
    """219 × 0.299 = 65.481, 219 × 0.587 = 128.553, 219 × 0.114 = 24.966: the two standards are one."""
    torch.testing.assert_close(to_studio(luma(photo)), studio_luma(photo), atol=1e-6, rtol=0)


# --- properties ------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 1000))
def test_round_trip(seed: int) -> None:
    rgb = random_picture(seed)
    torch.testing.assert_close(ycbcr_to_rgb(rgb_to_ycbcr(rgb)), rgb, atol=1e-6, rtol=0)


@given(seed=st.integers(0, 1000), amount=st.floats(-1, 1))
def test_the_same_amount_added_to_r_g_b_changes_y_alone(seed: int, amount: float) -> None:
    """This is why bicubic(RGB) + (network(Y) - bicubic(Y)) leaves chroma to bicubic without leaving RGB."""
    rgb = random_picture(seed)
    change = rgb_to_ycbcr(rgb + amount) - rgb_to_ycbcr(rgb)
    torch.testing.assert_close(change[:, :1], torch.full_like(change[:, :1], amount), atol=1e-6, rtol=0)
    torch.testing.assert_close(change[:, 1:], torch.zeros_like(change[:, 1:]), atol=1e-6, rtol=0)


@given(value=st.floats(0, 1))
def test_grey_has_no_chroma(value: float) -> None:
    assert rgb_to_ycbcr(pixel(value, value, value)).flatten().tolist() == pytest.approx([value, 0.5, 0.5], abs=1e-6)


def test_luma_is_the_first_plane_of_ycbcr(photo: Tensor) -> None:
    assert torch.equal(luma(photo), rgb_to_ycbcr(photo)[:, :1])


@pytest.mark.parametrize("function", [luma, studio_luma])
def test_a_single_plane_is_its_own_luma(function: object, photo: Tensor) -> None:
    assert callable(function)
    grey = photo[:, 1:2]
    assert function(grey) is grey


@pytest.mark.parametrize("function", [luma, studio_luma, rgb_to_ycbcr])
@pytest.mark.parametrize("planes", [2, 4])
def test_other_numbers_of_planes_are_refused(function: object, planes: int) -> None:
    assert callable(function)
    with pytest.raises(ValueError, match="RGB needs three planes"):
        function(torch.zeros(1, planes, 2, 2))


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 3, 4, 5), (2, 6, 3, 4, 5)])
def test_leading_dimensions_are_free(shape: tuple[int, ...]) -> None:
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    assert luma(x).shape == (*shape[:-3], 1, 4, 5)
    torch.testing.assert_close(ycbcr_to_rgb(rgb_to_ycbcr(x)), x, atol=1e-6, rtol=0)


# --- 8 bits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [1, 255, 65535])
def test_what_lies_on_the_grid_stays(levels: int) -> None:
    grid = torch.arange(levels + 1).float() / levels
    assert torch.equal(quantise(grid, levels), grid)


def test_halves_go_up_and_never_to_even() -> None:
    """With a power of two for levels, where floating point holds a half exactly."""
    assert (quantise(torch.tensor([0.5, 1.5, 2.5, 3.5, 6.5]) / 8, levels=8) * 8).tolist() == [1, 2, 3, 4, 7]


def test_rounding_is_to_the_nearest_level_not_down() -> None:
    levels = torch.tensor([0.49, 0.51, 99.4, 99.6, 254.6]) / 255
    assert (quantise(levels) * 255).round().tolist() == [0, 1, 99, 100, 255]


def test_what_lies_outside_is_clipped() -> None:
    assert quantise(torch.tensor([-7.0, -0.001, 1.001, 7.0])).tolist() == [0, 0, 1, 1]


def test_quantise_leaves_its_argument_alone(photo: Tensor) -> None:
    x = photo * 0.99
    before = x.clone()
    quantise(x)
    assert torch.equal(x, before)
