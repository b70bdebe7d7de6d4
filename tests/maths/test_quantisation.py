"""Grids of eight bits: all that is in a range is near a point, and 0 is one."""

from __future__ import annotations

import numpy as np
import pytest

from espcn_cli.maths.quantisation import LEVELS, grid, weight_bytes, weight_steps


@pytest.mark.parametrize(
    "values", [(0.0, 1.0), (-0.375, 3.0), (-0.375, 2.99), (-2.0, 0.0), (0.5, 2.0), (-3.0, -1.0), (0.0, 0.0)]
)
def test_a_grid_has_0_and_reaches_to_both_ends(values: tuple[float, float]) -> None:
    found = grid(values)
    assert 0 <= found.zero < LEVELS
    least, greatest = found.ends
    assert least - found.step / 2 <= min(values[0], 0)
    assert greatest + found.step / 2 >= max(values[1], 0)


def test_known_values() -> None:
    """-0.375 is hardswish's least value, at x = -1.5."""
    found = grid((-0.375, 2.175))
    assert found.zero == 38  # 0.375 / 0.01 is 37.5, and even is nearest
    assert found.step == pytest.approx(0.01)


def test_weights_are_rounded_for_each_output_channel() -> None:
    weight = np.array([[1.27, -0.635], [0.0, 0.0], [-12.7, 0.1]], np.float32)[:, :, None, None]
    assert weight_steps(weight) == pytest.approx([0.01, 1e-6, 0.1])
    assert weight_bytes(weight).reshape(3, 2).tolist() == [[127, -64], [0, 0], [-127, 1]]
