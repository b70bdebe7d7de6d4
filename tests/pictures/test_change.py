"""Pixels that are turned and then resized, followed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from espcn_cli.maths.turns import BY_ORIENTATION, turned
from espcn_cli.pictures.change import Change


def test_points_and_sides_grow_with_the_picture() -> None:
    change = Change((20, 10), (30, 20))
    assert change.point(4, 3) == (6, 6)
    assert change.sides(4, 3) == (6, 6)
    assert change.spot([4, 3]) == [6, 6]
    assert change.spot([4, 3, 5]) == [6, 6, 8]
    assert change.spot([4, 3, 5, 2]) == [6, 6, 8, 4]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_pixel_is_found_where_arrays_have_it(orientation: int) -> None:
    turn = BY_ORIENTATION[orientation]
    stored = np.arange(15).reshape(3, 5)
    shown = turned(stored, turn)
    change = Change((5, 3), (shown.shape[1], shown.shape[0]), turn)
    for row, column in np.ndindex(3, 5):
        x, y = change.spot([column, row])
        assert shown[y, x] == stored[row, column]
        assert change.point(column + 0.5, row + 0.5) == (x + 0.5, y + 0.5)
