"""How colours go with luma: worked examples, and what holds for any picture."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from espcn_cli.maths.colour import EVENNESS, HALVED_REACH, SLOPE_REACH, STEEPEST, luma
from espcn_cli.maths.resize import interpolate
from espcn_cli.network.slopes import ColourSlopes, slopes, smoothed
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
    found = slopes(edge(RED))[0, :, 1, 1]
    torch.testing.assert_close(found, torch.tensor([3.03690, 0.13119, 0.13119]), atol=1e-5, rtol=0)


def test_a_blue_edge_is_bounded_by_hand() -> None:
    """4.81202 is cut to 4; the others are 0.50951. Weighted that is 0.90743: 0.09257 are added to each."""
    found = slopes(edge(BLUE))[0, :, 1, 1]
    torch.testing.assert_close(found, torch.tensor([0.60208, 0.60208, 4.09257]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("colour", [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.2, 0.9, 0.4), (0.0, 0.0, 1.0)])
def test_flat_places_have_slope_1(colour: tuple[float, ...]) -> None:
    x = torch.tensor(colour).view(1, 3, 1, 1).expand(-1, -1, 8, 9)
    torch.testing.assert_close(slopes(x), torch.ones(1, 3, 6, 7), atol=1e-4, rtol=0)
    torch.testing.assert_close(slopes(x, halved=True), torch.ones(1, 3, 2, 3), atol=1e-4, rtol=0)


@given(seed=st.integers(0, 100))
def test_grey_has_slope_1_and_the_same_for_all(seed: int) -> None:
    for halved in (False, True):
        found = slopes(noise(seed, 1, 1, 8, 9).expand(-1, 3, -1, -1), halved)
        torch.testing.assert_close(found, torch.ones_like(found), atol=1e-5, rtol=0)
        assert torch.equal(found[:, RED], found[:, GREEN]) and torch.equal(found[:, RED], found[:, BLUE])


@given(seed=st.integers(0, 100), height=st.integers(1, 9), width=st.integers(1, 9), halved=st.booleans())
def test_weighted_as_in_luma_they_are_1_and_none_is_far_from_it(
    seed: int, height: int, width: int, halved: bool
) -> None:
    reach = 6 if halved else 2
    found = slopes(noise(seed, 1, 3, height + reach, width + reach).round(), halved)
    torch.testing.assert_close(luma(found), torch.ones(1, 1, height, width), atol=1e-5, rtol=0)
    assert (found - 1).abs().max() <= 2 * STEEPEST


def test_between_red_and_blue_they_go_against_each_other() -> None:
    x = torch.zeros(1, 3, 5, 6)
    x[:, BLUE, :, :3], x[:, RED, :, 3:] = 1, 1
    found = slopes(x)[0, :, 1, 1]
    assert found[RED] > 2 and found[BLUE] < -0.5


def test_where_chroma_was_halved_luma_is_smoothed_before_by_hand() -> None:
    """Two black columns, then red: by 1, 2, 1 the red of luma rises as 0, 1/4, 3/4, 1, 1 from column to column."""
    x = torch.zeros(1, 3, 7, 7)
    x[:, RED, :, 3:] = 1
    y = 0.299 * torch.tensor([0, 1, 3, 4, 4]) / 4
    red = 0.701 * torch.tensor([0, 0, 1, 1, 1])  # R - Y, as it is
    slope = 1 + ((red * y).mean() - red.mean() * y.mean()) / ((y * y).mean() - y.mean() ** 2 + EVENNESS)
    torch.testing.assert_close(slopes(x, halved=True)[0, RED, 0, 0], slope, atol=1e-5, rtol=0)


def test_smoothed_twice_is_a_halved_plane_enlarged_by_triangles() -> None:
    """In the mean over the two places at which pairs can begin; along one direction, of an impulse."""
    impulse = torch.zeros(1, 1, 1, 12)
    impulse[..., 6] = 1
    ways = []
    for start in (0, 1):
        halved = F.avg_pool1d(impulse[0, ..., start : start + 10], 2)
        ways.append(F.pad(F.interpolate(halved, scale_factor=2, mode="linear"), (start, 2 - start)))
    twice = smoothed(smoothed(F.pad(impulse, [2] * 4, mode="replicate")))
    torch.testing.assert_close(twice[0, 0, 0, 4:9], torch.stack(ways).mean(dim=0)[0, 0, 4:9])


def surrounded(x: Tensor, reach: int) -> Tensor:
    return F.pad(x, [reach] * 4, mode="replicate")


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("halved", [False, True])
def test_in_hr_they_are_linear_between_pixels(scale: int, halved: bool) -> None:
    x = noise(1, 2, 3, 7, 9)
    expected = interpolate(slopes(surrounded(x, 3 if halved else 1), halved), scale, "bilinear")
    torch.testing.assert_close(phase_shift(ColourSlopes(scale, halved)(x), scale), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("halved", "r"), [(False, SLOPE_REACH), (True, HALVED_REACH)])
def test_how_far_they_reach(halved: bool, r: int) -> None:
    x, other = noise(2, 1, 3, 11, 11), noise(3, 1, 3, 11, 11)
    other[..., 5 - r : 6 + r, 5 - r : 6 + r] = x[..., 5 - r : 6 + r, 5 - r : 6 + r]
    layer = ColourSlopes(2, halved)
    assert torch.equal(layer(x)[..., 5, 5], layer(other)[..., 5, 5])
    other[..., 5 - r, 5] += 0.5
    assert not torch.equal(layer(x)[..., 5, 5], layer(other)[..., 5, 5])
