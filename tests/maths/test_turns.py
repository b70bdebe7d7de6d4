"""The eight turns, against Pillow's own and against a corner that is followed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageOps

from espcn_cli.maths.turns import BY_ORIENTATION, TURNS, Turn, turned, turned_back, turned_planes
from espcn_cli.pictures import change, metadata

LEVELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def test_the_eight_are_all_and_each_of_them_once() -> None:
    assert len(TURNS) == len({turned(LEVELS, turn).tobytes() for turn in TURNS}) == 8
    assert sorted(BY_ORIENTATION.values()) == sorted(TURNS)
    assert np.array_equal(turned(LEVELS, TURNS[0]), LEVELS)


def test_a_corner_goes_where_it_belongs() -> None:
    """EXIF 2.3, table of orientations: what row 0 and column 0 of the stored picture are when it is shown."""
    first_row = {1: "top", 2: "top", 3: "bottom", 4: "bottom", 5: "left", 6: "right", 7: "right", 8: "left"}
    first_column = {1: "left", 2: "right", 3: "right", 4: "left", 5: "top", 6: "top", 7: "bottom", 8: "bottom"}
    sides: dict[str, Any] = {"top": np.s_[0], "bottom": np.s_[-1], "left": np.s_[:, 0], "right": np.s_[:, -1]}
    stored = np.arange(6).reshape(2, 3)
    for orientation, turn in BY_ORIENTATION.items():
        shown = turned(stored, turn)
        assert set(shown[sides[first_row[orientation]]]) == set(stored[0])
        assert set(shown[sides[first_column[orientation]]]) == set(stored[:, 0])
        assert turn.swaps_sides == (shown.shape == (3, 2))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_arrays_and_images_turn_alike_and_as_pillow_does(orientation: int) -> None:
    turn = BY_ORIENTATION[orientation]
    image = Image.fromarray(LEVELS)
    image.getexif()[ExifTags.Base.Orientation] = orientation
    assert metadata.turn_of(image.getexif()) == turn
    expected = np.asarray(ImageOps.exif_transpose(image))
    result = turned(LEVELS, turn)
    assert np.array_equal(result, expected) and result.flags.c_contiguous
    assert np.array_equal(np.asarray(change.upright(image, turn)), expected)


@pytest.mark.parametrize("turn", TURNS)
def test_planes_turn_as_pictures_do_and_back(turn: Turn) -> None:
    planes = torch.from_numpy(LEVELS).permute(2, 0, 1)[None]
    there = turned_planes(planes, turn)
    assert np.array_equal(there[0].permute(1, 2, 0).numpy(), turned(LEVELS, turn))
    assert torch.equal(turned_back(there, turn), planes)


@pytest.mark.parametrize("value", [0, 9, -1, "6", (6,), b"\6", None])
def test_what_is_no_orientation_leaves_the_picture_as_it_is(value: object) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    assert metadata.turn_of(exif) == TURNS[0]
