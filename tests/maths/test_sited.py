"""Planes of samples to other sizes: where the samples lie counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import natural

from espcn_cli.maths.resize import resize
from espcn_cli.maths.sited import Step, resample, weights_of


@pytest.mark.parametrize(("height", "width"), [(54, 40), (20, 70), (13, 17), (81, 93)])
def test_at_the_centres_it_is_matlabs_bicubic(height: int, width: int) -> None:
    plane = natural(31, 27)[..., 1]
    down, across = Step(height / 27), Step(width / 31)
    reference = resize(plane[None, None].astype(float), height, width)[0, 0]
    assert np.abs(resample(plane, (height, width), down, across, 255) - np.clip(reference, 0, 255)).max() <= 0.51


@pytest.mark.parametrize("offset", [0.25, 0.5, 0.125])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_ramp_lies_where_its_samples_say(offset: float, factor: int) -> None:
    """Bicubic keeps straight lines: sample j shows what lies at (j + offset)/factor - offset, worked out by hand.

    Chroma on every second luma sample, twice as large: sample 5 lies at (5 + 1/4)/2 - 1/4 = 2.375.
    """
    plane = np.tile(np.arange(20, dtype=np.uint16) * 1000, (8, 1))
    step = Step(factor, offset, offset)
    large = resample(plane, (8 * factor, 20 * factor), Step(factor), step, 65535)
    expected = ((np.arange(20 * factor) + offset) / factor - offset) * 1000
    inner = slice(3 * factor, -3 * factor)
    assert np.abs(large[8, inner] - expected[inner]).max() <= 0.51
    if (offset, factor) == (0.25, 2):
        assert large[8, 8] == round(((8 + 0.25) / 2 - 0.25) * 1000)


def test_from_one_siting_to_another() -> None:
    """Chroma amid its pixels (1/2) to chroma at their left (1/4), of the same size: a quarter of a sample."""
    plane = np.tile(np.arange(20, dtype=np.uint16) * 1000, (4, 1))
    moved = resample(plane, (4, 20), Step(1), Step(1, 0.5, 0.25), 65535)
    assert (moved[0, 3:-3] == plane[0, 3:-3] - 250).all()


@given(st.integers(1, 40), st.integers(1, 80), st.sampled_from([0.125, 0.25, 0.5]))
def test_a_constant_stays(length: int, target: int, offset: float) -> None:
    plane = np.full((length, 3), 77, np.uint8)
    step = Step(target / length, offset, offset)
    assert (resample(plane, (target, 3), step, Step(1), 255) == 77).all()
    assert np.allclose(weights_of(length, target, step)[0].sum(axis=1), 1)


def test_results_stay_in_the_depth() -> None:
    plane = np.zeros((8, 8), np.uint16)
    plane[:, 4:] = 1023
    large = resample(plane, (16, 16), Step(2), Step(2), 1023)
    assert (large.min(), large.max()) == (0, 1023)


def test_nothing_cannot_be_resampled() -> None:
    with pytest.raises(ValueError, match="0 samples"):
        weights_of(0, 4, Step(2))
