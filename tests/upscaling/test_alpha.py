"""Transparency in whole levels: no fringe under it, no ringing in it, and resized colours weighted with it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import natural

from espcn_cli.maths.levels import Levels
from espcn_cli.upscaling.alpha import bleed, premultiplied, straight, within_neighbours

RED, HIDDEN = (200, 0, 0), (0, 0, 77)


def row(*alphas: int, dtype: type = np.uint8) -> tuple[Levels, Levels]:
    """Colours and alpha of a row: red where anything is visible, else something hidden."""
    alpha: Levels = np.array(alphas, dtype).reshape(1, -1, 1)
    return np.where(alpha > 0, np.array(RED, dtype), np.array(HIDDEN, dtype)), alpha


@pytest.mark.parametrize("reach", [0, 1, 3, 9])
def test_colours_bleed_as_far_as_asked_and_no_further(reach: int) -> None:
    pixels, alpha = row(255, 0, 0, 0, 0, 0, 0)
    reds = min(1 + reach, 7)
    assert bleed(pixels, alpha, reach).tolist() == [[list(RED)] * reds + [list(HIDDEN)] * (7 - reds)]


def test_between_two_colours_they_mix() -> None:
    pixels = np.array([[[100], [0], [201]]], np.uint8)
    alpha = np.array([[[1], [0], [255]]], np.uint8)
    assert bleed(pixels, alpha, 1)[0, :, 0].tolist() == [100, 151, 201]  # 150.5, rounded up


@pytest.mark.parametrize("alphas", [(255, 1, 128), (0, 0, 0)])
def test_where_nothing_or_everything_is_hidden_nothing_bleeds(alphas: tuple[int, ...]) -> None:
    pixels, alpha = row(*alphas)
    assert bleed(pixels, alpha, 4) is pixels


def test_16_bits_bleed_too() -> None:
    pixels, alpha = row(65535, 0, dtype=np.uint16)
    result = bleed(pixels, alpha, 1)
    assert result.dtype == np.uint16
    assert result.tolist() == [[list(RED), list(RED)]]


@given(st.integers(2, 12), st.integers(2, 12), st.sampled_from([2, 3, 4]), st.integers(0, 99))
def test_no_upscaled_value_leaves_the_range_of_its_neighbours(width: int, height: int, scale: int, seed: int) -> None:
    small = natural(width, height, seed)[..., :1]
    wild = np.random.default_rng(seed).integers(0, 256, (height * scale, width * scale, 1), np.uint8)
    held = within_neighbours(wild, small, scale)
    padded = np.pad(small[..., 0], 1, mode="edge")
    for y in range(height):
        for x in range(width):
            around = padded[y : y + 3, x : x + 3]
            block = held[y * scale : (y + 1) * scale, x * scale : (x + 1) * scale]
            free = wild[y * scale : (y + 1) * scale, x * scale : (x + 1) * scale]
            assert np.array_equal(block, free.clip(around.min(), around.max()))


def test_premultiplied_and_back() -> None:
    x = np.random.default_rng(0).random((4, 5, 4)).astype(np.float32)
    assert np.allclose(straight(premultiplied(x)), x, atol=1e-6)


def test_where_alpha_vanishes_the_colours_are_kept() -> None:
    x = np.array([[[0.25, 0.5, 0.75, 0.0]]], np.float32)
    assert straight(premultiplied(x)).tolist() == x.tolist()
