"""Whole levels: 16 bits to 8 by the nearest, halves up, and nothing beyond the ends."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from espcn_cli.maths.levels import BAND, rounded, to_8_bits, white_of


def test_white_is_the_largest_level() -> None:
    assert (white_of(np.zeros(1, np.uint8)), white_of(np.zeros(1, np.uint16))) == (255, 65535)


def test_every_level_of_16_bits_goes_to_the_nearest_of_8() -> None:
    """255/65535 = 1/257: each of the 65,536 levels against exact fractions, in more rows than a band has."""
    levels = np.arange(65536, dtype=np.uint16).reshape(512, 128, 1)
    assert len(levels) > BAND
    expected = [int(Fraction(level, 257) + Fraction(1, 2)) for level in range(65536)]
    assert to_8_bits(levels).ravel().tolist() == expected


def test_8_bits_stay_as_they_are() -> None:
    levels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert to_8_bits(levels) is levels
    assert np.array_equal(to_8_bits(levels.astype(np.uint16) * 257), levels)


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535)])
def test_halves_go_up_and_the_ends_hold(dtype: type, white: int) -> None:
    values = np.array([-7.0, -0.5, 0.49, 0.5, 1.5, 2.5, white - 0.5, white + 9])
    result = rounded(values, dtype)
    assert result.dtype == dtype
    assert result.tolist() == [0, 0, 0, 1, 2, 3, white, white]
