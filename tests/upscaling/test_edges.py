"""Soft and hard edges: told apart place by place and without seams, and no upscaled value beyond its neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from espcn_cli.maths.levels import Levels
from espcn_cli.maths.resize import resize
from espcn_cli.upscaling.edges import REACH, linear, softness_around, within_neighbours


def levels(rows: Any, dtype: type = np.uint8) -> Levels:
    result: Levels = np.array(rows, dtype)[..., None]
    return result


def step(*row: int) -> Levels:
    """The same row 9 times."""
    return levels([row] * 9)


@pytest.mark.parametrize("pair", [(0, 255), (0, 254), (3, 128), (0, 1), (0, 65535), (40000, 65535)])
def test_two_levels_part_at_a_hard_edge_whatever_they_are(pair: tuple[int, int]) -> None:
    y, x = np.mgrid[0:24, 0:24]
    disc = (x - 12) ** 2 + (y - 11) ** 2 < 50
    plane = levels(np.where(disc, *pair[::-1]), np.uint16 if pair[1] > 255 else np.uint8)
    assert not softness_around(plane).any()
    lone = levels(np.where((x == 3) & (y == 4), *pair[::-1]), plane.dtype.type)
    assert not softness_around(lone).any()


@pytest.mark.parametrize("between", [43, 128, 212])
def test_a_level_between_makes_an_edge_soft_up_to_its_reach(between: int) -> None:
    row = softness_around(step(*[0] * 10, between, *[255] * 10))[4, :, 0]
    expected = np.interp(np.arange(21), [10 - 4, 10 - 1, 10 + 1, 10 + 4], [0, 1, 1, 0])
    assert np.allclose(row, expected)
    assert REACH > 4  # made larger, one more


def test_what_is_hardly_between_makes_an_edge_hardly_soft() -> None:
    """So that one level more or less, or one pixel, never turns one way into the other."""
    by_level = [softness_around(step(0, 0, 0, between, 255, 255, 255)).max() for between in range(256)]
    assert by_level[0] == by_level[255] == 0 and by_level[128] == 1
    assert np.abs(np.diff(by_level)).max() < 0.03


def test_a_hard_edge_outweighs_what_is_softer_but_fainter_beside_it() -> None:
    shadow = softness_around(step(*[255] * 6, 60, 58, 55, 52, 48, 43, 38, 33, 27, 20, 13, 6, 2, 0, 0))[4, :, 0]
    assert shadow[4:8].max() < 0.2
    assert shadow[12:16].min() > 0.99


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([2, 3, 4]), st.integers(0, 99))
def test_there_is_no_seam(width: int, height: int, scale: int, seed: int) -> None:
    """From one upscaled pixel to the next at most a third of an LR pixel's share of the way."""
    rng = np.random.default_rng(seed)
    plane = levels(rng.choice([0, 0, 0, 255, 255, 255, 128], (height, width)))
    share = linear(softness_around(plane), scale)[..., 0]
    assert share.min() >= 0 and share.max() <= 1 + 1e-6
    for axis in (0, 1):
        assert np.abs(np.diff(share, axis=axis)).max(initial=0) <= 1 / 3 / scale + 1e-6


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([2, 3, 4]), st.integers(0, 99))
def test_linear_is_the_bilinear_resize(width: int, height: int, scale: int, seed: int) -> None:
    x = np.random.default_rng(seed).random((height, width, 1))
    expected = resize(x[None, ..., 0][None], height * scale, width * scale, "bilinear")[0, 0]
    assert np.allclose(linear(x, scale)[..., 0], expected)


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([2, 3, 4]), st.integers(0, 99), st.booleans())
def test_no_upscaled_value_leaves_the_range_of_its_neighbours(
    width: int, height: int, scale: int, seed: int, hard: bool
) -> None:
    """In a hard edge the pixels that it lies between, less than one away; in a soft one the 3×3 around its own."""
    rng = np.random.default_rng(seed)
    small = levels(rng.choice([0, 255] if hard else range(256), (height, width)))
    wild = rng.integers(0, 256, (height * scale, width * scale, 1), np.uint8)
    held = within_neighbours(wild, small, scale)
    assert held.dtype == np.uint8
    for y in range(height * scale):
        for x in range(width * scale):
            wide, near = around(small, y, x, scale, 1.5), around(small, y, x, scale, 1)
            assert wide.min() <= held[y, x, 0] <= wide.max()
            if small[y // scale, x // scale, 0] in (wide.min(), wide.max()):
                assert held[y, x, 0] == wild[y, x, 0].clip(near.min(), near.max())


def around(small: Levels, y: int, x: int, scale: int, reach: float) -> NDArray[np.unsignedinteger[Any]]:
    """LR pixels less than `reach` from an upscaled one, or from its own LR pixel where `reach` is more than 1."""
    centres = [(place + 0.5) / scale - 0.5 if reach <= 1 else place // scale for place in (y, x)]
    rows, columns = (
        [place for place in range(length) if abs(place - centre) < reach - 1e-9]
        for length, centre in zip(small.shape, centres, strict=False)
    )
    return small[rows][:, columns]


def test_whole_or_not_and_16_bits() -> None:
    small = levels([[0, 65535]], np.uint16)
    held = within_neighbours(np.array([[[-5.0], [0.5], [40000.4], [70000.0]]] * 2), small, 2)
    assert held.dtype == np.uint16
    assert held[0, :, 0].tolist() == [0, 1, 40000, 65535]
