"""PSNR by hand, SSIM against scikit-image, and the border that is left out."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import structural_similarity
from torch import Tensor

from espcn_cli.scoring.metrics import HIGHEST_PSNR, brightness_error, psnr, shave, ssim


def noise(seed: int, height: int = 16, width: int = 19) -> Tensor:
    return torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(seed))


# --- PSNR ------------------------------------------------------------------------------------------------------------


def test_one_level_everywhere_is_48_13_db() -> None:
    """20 log10(255) = 48.1308."""
    a = torch.full((1, 1, 8, 8), 100 / 255)
    assert psnr(a, a + 1 / 255) == pytest.approx(48.1308, abs=1e-3)
    assert psnr(a, a + 1 / 255) == pytest.approx(20 * math.log10(255), abs=1e-3)


def test_one_level_in_one_pixel_of_a_hundred_is_20_db_more() -> None:
    a, b = torch.zeros(1, 1, 10, 10), torch.zeros(1, 1, 10, 10)
    b[0, 0, 3, 4] = 1 / 255
    assert psnr(a, b) == pytest.approx(20 * math.log10(255) + 20, abs=1e-4)


def test_black_against_white_is_0_db_and_not_minus_0() -> None:
    assert str(psnr(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4))) == "0.0"


def test_what_8_bits_can_tell_is_58_92_db() -> None:
    """Rounding moves a value by up to half a level, each way as often: the mean of x² over [-1/2, 1/2] is 1/12."""
    assert pytest.approx(20 * math.log10(255) + 10 * math.log10(12), abs=1e-9) == HIGHEST_PSNR
    fine = torch.rand(1, 1, 1000, 1000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert psnr(fine, (fine * 255).round() / 255) == pytest.approx(HIGHEST_PSNR, abs=0.01)


def test_squares_are_averaged_over_all_planes_and_pictures() -> None:
    a, b = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    b[0, 0] = 0.5  # one plane of six: a mean square of 1/24
    assert psnr(a, b) == pytest.approx(10 * math.log10(24))


@given(seed=st.integers(0, 1000))
def test_a_picture_with_itself_is_infinite(seed: int) -> None:
    assert psnr(noise(seed), noise(seed)) == math.inf


@given(seed=st.integers(0, 1000))
def test_psnr_does_not_depend_on_the_order(seed: int) -> None:
    assert psnr(noise(seed), noise(seed + 1)) == psnr(noise(seed + 1), noise(seed))


def test_sums_are_float64() -> None:
    """The smallest step of float32 near 1 still counts: 2^-24, squared 2^-48."""
    a = torch.ones(1, 1, 8, 8)
    assert psnr(a, a - 2**-24) == pytest.approx(480 * math.log10(2), abs=1e-6)


def test_nan_never_scores_well() -> None:
    """A network that has diverged must not look perfect."""
    assert math.isnan(psnr(torch.full((1, 1, 4, 4), math.nan), torch.zeros(1, 1, 4, 4)))


def test_psnr_of_different_shapes_is_refused_not_broadcast() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        psnr(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 1))


# --- SSIM ------------------------------------------------------------------------------------------------------------


def independent_ssim(a: Tensor, b: Tensor) -> float:
    """scikit-image's map with Wang's window, the mean over windows that lie inside (5 pixels from the border)."""
    _, full = structural_similarity(  # type: ignore[no-untyped-call]
        a[0, 0].double().numpy(),
        b[0, 0].double().numpy(),
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    return float(full[5:-5, 5:-5].mean())


@given(seed=st.integers(0, 1000), height=st.integers(11, 30), width=st.integers(11, 30), strength=st.floats(0, 1))
def test_ssim_is_scikit_images(seed: int, height: int, width: int, strength: float) -> None:
    a = noise(seed, height, width)
    b = (1 - strength) * a + strength * noise(seed + 1, height, width)
    assert ssim(a, b) == pytest.approx(independent_ssim(a, b), abs=1e-9)


def test_ssim_of_a_blurred_photograph_is_scikit_images(photo: Tensor) -> None:
    sharp = photo[:, 1:2]
    blurred = torch.nn.functional.avg_pool2d(sharp, 3, stride=1, padding=1, count_include_pad=False)
    assert 0.2 < ssim(sharp, blurred) < 0.95
    assert ssim(sharp, blurred) == pytest.approx(independent_ssim(sharp, blurred), abs=1e-9)


@given(seed=st.integers(0, 1000))
def test_ssim_of_a_picture_with_itself_is_one(seed: int) -> None:
    assert ssim(noise(seed), noise(seed)) == pytest.approx(1, abs=1e-12)


def test_ssim_of_two_flat_pictures_is_the_luminance_term_alone() -> None:
    """(2ab + c1)/(a² + b² + c1), c1 = 0.01²: variances and covariance are 0, so the other factor is c2/c2."""
    a, b, c1 = 0.25, 0.75, 1e-4
    expected = (2 * a * b + c1) / (a**2 + b**2 + c1)
    assert ssim(torch.full((1, 1, 12, 12), a), torch.full((1, 1, 12, 12), b)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", [(1, 1, 10, 20), (1, 1, 20, 10), (1, 3, 20, 20), (1, 20, 20), (20, 20)])
def test_ssim_needs_one_plane_at_least_as_large_as_its_window(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="SSIM needs one plane of at least 11 x 11"):
        ssim(torch.zeros(shape), torch.zeros(shape))


def test_ssim_of_different_shapes_is_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        ssim(torch.zeros(1, 1, 12, 12), torch.zeros(1, 1, 12, 13))


# --- the border ------------------------------------------------------------------------------------------------------


def test_shaving_nothing_returns_the_picture_whole() -> None:
    """The classic slip is x[0:-0], which is empty."""
    x = noise(0)
    assert torch.equal(shave(x, 0), x)


def test_shave_leaves_out_each_side() -> None:
    x = torch.arange(30).view(1, 1, 5, 6)
    assert shave(x, 1).tolist() == [[[[7, 8, 9, 10], [13, 14, 15, 16], [19, 20, 21, 22]]]]
    assert shave(x, 2).tolist() == [[[[14, 15]]]]


@pytest.mark.parametrize("border", [-1, 3, 100])
def test_shaving_all_or_less_than_nothing_is_refused(border: int) -> None:
    with pytest.raises(ValueError, match=f"cannot shave {border} pixels off each side of 6 x 5"):
        shave(torch.zeros(1, 1, 5, 6), border)


# --- brightness ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("planes", [1, 3])
def test_repeated_pixels_are_as_bright_as_before(scale: int, planes: int) -> None:
    lr = noise(3).expand(1, planes, -1, -1)
    sr = lr.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    assert brightness_error(sr, lr, scale) == pytest.approx(0, abs=1e-5)
    assert brightness_error(sr - 3 / 255, lr, scale) == pytest.approx(3 / 255, abs=1e-5)


def test_what_is_darker_here_and_lighter_there_does_not_cancel_but_within_a_window_it_does() -> None:
    lr = torch.full((1, 1, 8, 16), 0.5)
    sr = torch.full((1, 1, 16, 32), 0.5)
    sr[..., :16] += 0.1
    sr[..., 16:] -= 0.1
    assert brightness_error(sr, lr, 2) == pytest.approx(0.1, abs=1e-5)
    sr = torch.full((1, 1, 16, 32), 0.5)
    sr[..., ::2] += 0.1
    sr[..., 1::2] -= 0.1
    assert brightness_error(sr, lr, 2) == pytest.approx(0, abs=1e-5)


def test_brightness_takes_grey_and_colours_side_by_side() -> None:
    """Green at full is 0.587 bright."""
    green = torch.zeros(1, 3, 16, 16)
    green[:, 1] = 1
    assert brightness_error(green, torch.full((1, 1, 8, 8), 0.587), 2) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("shape", [(16, 16, 8, 7), (17, 16, 8, 8), (14, 16, 7, 8)])
def test_brightness_of_sizes_that_do_not_fit_is_refused(shape: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="times 2"):
        brightness_error(torch.zeros(1, 1, *shape[:2]), torch.zeros(1, 1, *shape[2:]), 2)
