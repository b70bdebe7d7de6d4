"""ICNR, the meter and the projection: Aitken et al. 2017 (arXiv 1707.02937), and what a flat picture shows."""

from __future__ import annotations

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from exact import close, random
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from espcn_cli.maths.resize import interpolate
from espcn_cli.network.checkerboard import checkerboard, icnr_, remove_checkerboard
from espcn_cli.network.subpixel import SubpixelConvolution, reorder
from espcn_cli.settings import SCALES


def starts_as_nearest(weight: Tensor, scale: int) -> bool:
    """Does the layer's output consist of flat scale × scale blocks, for an input that is anything but flat?"""
    k = weight.shape[-1]
    sr = SubpixelConvolution(weight, None, scale, ((k - 1) // 2, k // 2))(random(1, weight.shape[1], 5, 4))
    return close(sr, interpolate(sr[..., ::scale, ::scale], scale, "area"))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("planes", [1, 2, 3])
def test_icnr_starts_as_nearest_neighbour(planes: int, scale: int) -> None:
    torch.manual_seed(0)
    weight = torch.empty(planes * scale**2, 4, 3, 3, dtype=torch.float64)
    assert icnr_(weight, scale) is weight
    assert starts_as_nearest(weight, scale)
    kernels = weight[:: scale**2]
    x = random(1, 4, 5, 6)
    expected = interpolate(F.conv2d(x, kernels, padding=1), scale, "area")
    assert close(SubpixelConvolution(weight, None, scale, (1, 1))(x), expected)
    assert checkerboard(weight, None, scale) == 0
    assert len(set(weight[:, 0, 0, 0].tolist())) == planes  # the planes themselves do differ


@pytest.mark.parametrize("scale", SCALES)
def test_the_wrong_repeat_is_noticed(scale: int) -> None:
    """Tiling the kernels suits TensorFlow's order; in PyTorch's it mixes the planes as soon as there are two."""
    kernels = random(2, 4, 3, 3)
    assert starts_as_nearest(kernels.repeat_interleave(scale**2, dim=0), scale)
    tiled = kernels.repeat(scale**2, 1, 1, 1)
    assert not starts_as_nearest(tiled, scale)
    assert checkerboard(tiled, None, scale) > 0.1
    assert starts_as_nearest(reorder(tiled, scale, source="tensorflow"), scale)


def test_icnr_fills_with_the_given_initialiser_and_wants_no_gradient() -> None:
    layer = nn.Conv2d(2, 8, 3)
    icnr_(layer.weight, 2, nn.init.ones_)
    assert layer.weight.eq(1).all()
    assert layer.weight.requires_grad
    assert layer.weight.is_leaf


def test_icnr_keeps_the_variance_of_its_initialiser() -> None:
    """Fan-in counts the inputs alone, so that the start is as strong as an ordinary convolution's: 2/(64·9)."""
    torch.manual_seed(0)
    weight = icnr_(torch.empty(64 * 4, 64, 3, 3), 2)
    assert weight.var().item() == pytest.approx(2 / (64 * 9), rel=0.02)


@pytest.mark.parametrize(
    ("sums", "bias", "expected"),
    [
        ([[1], [1], [1], [1]], None, 0),
        ([[1], [2], [3], [5]], None, 4),
        ([[1], [1], [1], [1]], [0, 0, 0.5, 0], 0.5),
        ([[1], [2], [1], [1]], [0, 0, 0.5, 0], 1.5),  # phases 1 and 2 differ in both; a level of -1 adds them up
        ([[1, 0], [0, 1], [0, 0], [1, 1]], None, 2),  # levels (1, -1) tell phase 0 from 1; the sums alone are equal
    ],
)
def test_checkerboard_by_example(sums: list[list[float]], bias: list[float] | None, expected: float) -> None:
    """r = 2, one plane, 1×1 kernels: by hand, the largest L1 distance between two phases' rows."""
    weight = torch.tensor(sums, dtype=torch.float32)[:, :, None, None]
    assert checkerboard(weight, None if bias is None else torch.tensor(bias), 2) == expected


@given(st.integers(1, 3), st.integers(1, 2), st.integers(2, 4), st.booleans(), st.integers(0, 2**16))
@settings(deadline=None, max_examples=40)
def test_checkerboard_is_the_worst_a_flat_input_shows(
    inputs: int, planes: int, scale: int, biased: bool, seed: int
) -> None:
    """Measured on pictures: flat channels at every corner of [-1, 1]^I, where a convex function is largest."""
    weight = random(planes * scale**2, inputs, 3, 3, seed=seed)
    bias = random(planes * scale**2, seed=seed + 1) if biased else None
    layer = SubpixelConvolution(weight, bias, scale, (1, 1))
    corners = torch.tensor(list(product((-1.0, 1.0), repeat=inputs)), dtype=torch.float64)
    sr = layer(corners[:, :, None, None].expand(-1, -1, 3, 3))[..., scale : 2 * scale, scale : 2 * scale]
    measured = (sr.amax(dim=(2, 3)) - sr.amin(dim=(2, 3))).max().item()
    assert checkerboard(weight, bias, scale) == pytest.approx(measured, rel=1e-12)


@given(st.integers(1, 3), st.integers(1, 2), st.integers(2, 4), st.integers(1, 4), st.integers(0, 2**16))
@settings(deadline=None, max_examples=40)
def test_the_projection_is_orthogonal_and_removes_it(inputs: int, planes: int, scale: int, k: int, seed: int) -> None:
    weight, bias = random(planes * scale**2, inputs, k, k, seed=seed), random(planes * scale**2, seed=seed + 1)
    assert checkerboard(weight, bias, scale) > 0.01
    flat, level = remove_checkerboard(weight, bias, scale)
    assert level is not None
    assert checkerboard(flat, level, scale) < 1e-12
    again, level_again = remove_checkerboard(flat, level, scale)
    assert close(again, flat)
    assert level_again is not None
    assert close(level_again, level)
    noise = random(*weight.shape, seed=seed + 2)
    sums = random(planes, inputs, seed=seed + 3).repeat_interleave(scale**2, dim=0)[:, :, None, None]
    other = noise - noise.mean(dim=(2, 3), keepdim=True) + sums / k**2
    other_level = random(planes, seed=seed + 4).repeat_interleave(scale**2)
    kept, kept_level = remove_checkerboard(other, other_level, scale)
    assert close(kept, other)
    assert kept_level is not None
    assert close(kept_level, other_level)
    what_went = torch.cat([(weight - flat).flatten(), bias - level])
    what_may_stay = torch.cat([(other - flat).flatten(), other_level - level])
    assert abs(what_went @ what_may_stay) < 1e-10  # so no kernel without a checkerboard is nearer


def test_the_projection_shows_in_a_picture() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 9, 3)  # PyTorch's own start prints a pattern on a flat input
    grey = torch.full((1, 4, 5, 5), 0.5)

    def spread(weight: Tensor, bias: Tensor | None) -> float:
        inside = SubpixelConvolution(weight, bias, 3, (1, 1))(grey)[..., 3:-3, 3:-3]
        return (inside.max() - inside.min()).item()

    assert spread(layer.weight, layer.bias) > 0.1
    assert spread(*remove_checkerboard(layer.weight, layer.bias, 3)) < 1e-6
    assert remove_checkerboard(layer.weight, None, 3)[1] is None
