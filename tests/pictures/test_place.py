"""Every point of a picture stays where it is on earth, whatever becomes of its pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from making_metadata import GEO_TAGS

from espcn_cli.maths.turns import BY_ORIENTATION
from espcn_cli.pictures import place
from espcn_cli.pictures.change import Change
from espcn_cli.pictures.place import Tags

MIDDLES: Tags = {**GEO_TAGS, 34735: (3, (1, 1, 0, 2, 1025, 0, 1, 2, 3072, 0, 1, 32632))}
"""GTRasterType 2: whole numbers are the middles of pixels."""


def on_earth(tags: Tags, column: float, row: float) -> np.ndarray[Any, Any]:
    """GeoTIFF 1.1, chapter 7: easting and northing of a point of the raster."""
    if 34264 in tags:
        return (np.array(tags[34264][1]).reshape(4, 4) @ (column, row, 0, 1))[:2]
    i, j, _, x, y, _ = tags[33922][1]
    return np.array([x + (column - i) * tags[33550][1][0], y - (row - j) * tags[33550][1][1]])


def test_pixels_half_as_wide_have_half_the_scale() -> None:
    moved = place.moved(GEO_TAGS, Change((24, 18), (48, 36)))
    assert moved[33550] == (12, (5.0, 5.0, 0.0))
    assert moved[33922] == GEO_TAGS[33922]
    assert moved[34735] == GEO_TAGS[34735]


def test_tie_points_move_with_their_pixels() -> None:
    points = (12, (0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 24.0, 9.0, 0.0, 3.0, 4.0, 0.0))
    moved = place.moved({33922: points}, Change((24, 18), (36, 36)))
    assert moved == {33922: (12, (0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 36.0, 18.0, 0.0, 3.0, 4.0, 0.0))}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("tags", [GEO_TAGS, MIDDLES], ids=["corners", "middles"])
@pytest.mark.parametrize("as_matrix", [False, True])
def test_a_corner_and_the_middle_stay_where_they_are(orientation: int, tags: Tags, as_matrix: bool) -> None:
    turn = BY_ORIENTATION[orientation]
    half = 0.5 if tags is MIDDLES else 0.0
    if as_matrix:
        matrix = (10.0, 0.0, 0.0, 600000.0, 0.0, -10.0, 0.0, 5400000.0, *(0.0,) * 7, 1.0)
        tags = {34735: tags[34735], 34264: (12, matrix)}
    change = Change((24, 18), (54, 72) if turn.swaps_sides else (72, 54), turn)
    moved = place.moved(tags, change)
    for x, y in ((0.0, 0.0), (12.0, 9.0), (24.0, 0.0)):
        column, row = change.point(x, y)
        before, after = on_earth(tags, x - half, y - half), on_earth(moved, column - half, row - half)
        assert np.allclose(before, after, rtol=0, atol=1e-6)


def test_a_camera_s_model_counts_middles() -> None:
    """The middle of the first of 10 pixels, 0, is at 0.5 when they are 20: between the first two."""
    model = (-1.0, -1.0, 0.0, 9.0, *(0.0,) * 3, 4.0, 5.0, *(0.0,) * 83)
    moved = place.moved({50844: (12, model)}, Change((10, 10), (20, 20)))[50844][1]
    assert moved[2:4] == (0.5, 18.5) and moved[7:9] == (8.0, 10.0)


def test_a_place_on_the_page_grows_with_the_picture() -> None:
    assert place.moved({286: (5, 1.5), 287: (5, 2.0)}, Change((10, 10), (20, 30))) == {286: (5, 3.0), 287: (5, 6.0)}
