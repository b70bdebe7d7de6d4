"""How colours go with luma: worked examples, and what holds for any picture."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from espcn_cli.maths.colour import SLOPE_REACH, STEEPEST, luma
from espcn_cli.maths.resize import interpolate
from espcn_cli.network.slopes import ColourSlopes, slopes
from espcn_cli.network.subpixel import phase_shift
from espcn_cli.settings import SCALES

RED, GREEN, BLUE = range(3)


def noise(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def edge(colour: int) -> Tensor:
    """5×5 pixels: two black columns, three of a pure colour."""
    x = torch.zeros(1, 3, 5, 5)
    x[:, colour, :, 2:] = 1
    return x


def test_a_red_edge_by_hand() -> None:
    """In the middle a third of the window is black: var(Y) = 0.299² · 2/9, cov(R, Y) = 0.299 · 2/9, the others 0.

    (0.0664444 + 0.003)/(0.0198669 + 0.003) = 3.03690, and 0.003/0.0228669 = 0.13119.
    """
    found = slopes(edge(RED))[0, :, 2, 2]
    torch.testing.assert_close(found, torch.tensor([3.03690, 0.13119, 0.13119]), atol=1e-5, rtol=0)


def test_a_blue_edge_is_bounded_by_hand() -> None:
    """4.81202 is cut to 4; the others are 0.50951. Weighted that is 0.90743: 0.09257 are added to each."""
    found = slopes(edge(BLUE))[0, :, 2, 2]
    torch.testing.assert_close(found, torch.tensor([0.60208, 0.60208, 4.09257]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("colour", [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.2, 0.9, 0.4), (0.0, 0.0, 1.0)])
def test_flat_places_have_slope_1(colour: tuple[float, ...]) -> None:
    x = torch.tensor(colour).view(1, 3, 1, 1).expand(-1, -1, 6, 7)
    torch.testing.assert_close(slopes(x), torch.ones(1, 3, 6, 7), atol=1e-4, rtol=0)


@given(seed=st.integers(0, 100))
def test_grey_has_slope_1_and_the_same_for_all(seed: int) -> None:
    found = slopes(noise(seed, 1, 1, 6, 7).expand(-1, 3, -1, -1))
    torch.testing.assert_close(found, torch.ones(1, 3, 6, 7), atol=1e-5, rtol=0)
    assert torch.equal(found[:, RED], found[:, GREEN]) and torch.equal(found[:, RED], found[:, BLUE])


@given(seed=st.integers(0, 100), height=st.integers(1, 9), width=st.integers(1, 9))
def test_weighted_as_in_luma_they_are_1_and_none_is_far_from_it(seed: int, height: int, width: int) -> None:
    found = slopes(noise(seed, 1, 3, height, width).round())
    torch.testing.assert_close(luma(found), torch.ones(1, 1, height, width), atol=1e-5, rtol=0)
    assert (found - 1).abs().max() <= 2 * STEEPEST


def test_between_red_and_blue_they_go_against_each_other() -> None:
    x = torch.zeros(1, 3, 5, 6)
    x[:, BLUE, :, :3], x[:, RED, :, 3:] = 1, 1
    found = slopes(x)[0, :, 2, 2]
    assert found[RED] > 2 and found[BLUE] < -0.5


@pytest.mark.parametrize("scale", SCALES)
def test_in_hr_they_are_linear_between_pixels(scale: int) -> None:
    x = noise(1, 2, 3, 7, 9)
    expected = interpolate(slopes(x), scale, "bilinear")
    torch.testing.assert_close(phase_shift(ColourSlopes(scale)(x), scale), expected, atol=1e-5, rtol=0)


def test_how_far_they_reach() -> None:
    x, other = noise(2, 1, 3, 11, 11), noise(3, 1, 3, 11, 11)
    r = SLOPE_REACH
    other[..., 5 - r : 6 + r, 5 - r : 6 + r] = x[..., 5 - r : 6 + r, 5 - r : 6 + r]
    layer = ColourSlopes(2)
    assert torch.equal(layer(x)[..., 5, 5], layer(other)[..., 5, 5])
    other[..., 5 - r, 5] += 0.5
    assert not torch.equal(layer(x)[..., 5, 5], layer(other)[..., 5, 5])
