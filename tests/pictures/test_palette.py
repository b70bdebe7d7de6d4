"""One palette for many pictures: nothing is lost while colours are few, and little of what is flat or small."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import natural
from PIL import Image

from espcn_cli.pictures.palette import MOST, Colours, Nearest, nearest, packed, unpacked


def test_packed_and_back() -> None:
    assert packed(np.array([1, 2, 3], np.uint8)) == 0x010203
    colours = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    assert np.array_equal(unpacked(packed(colours)), colours)


@pytest.mark.parametrize("count", [0, 1, 2, 255, 256])
def test_few_colours_are_all_taken(count: int) -> None:
    pixels = np.arange(count, dtype=np.int32) * 65_000 + 7
    table = Colours.of(pixels.repeat(3)).palette(MOST)
    assert packed(table).tolist() == pixels.tolist()


def test_more_than_that_are_chosen_from() -> None:
    colours = Colours.of(np.arange(257, dtype=np.int32) * 65_000)
    assert colours.exact
    assert 200 < len(colours.palette(255)) <= 255


@given(st.integers(0, 6000), st.integers(0, 6000), st.integers(0, 99))
def test_colours_of_two_pictures_are_those_of_both(first: int, second: int, seed: int) -> None:
    """Counted one by one while there are no more than 4096."""
    pixels = np.random.default_rng(seed).integers(0, 2**24, first + second, np.int32)
    both, joined = Colours.of(pixels), Colours.of(pixels[:first]) | Colours.of(pixels[first:])
    assert both.exact == joined.exact == (len(np.unique(pixels)) <= 4096)
    assert np.array_equal(both.keys, joined.keys)
    assert np.array_equal(both.totals, joined.totals)
    assert both.totals.sum(axis=0).tolist() == [len(pixels), *unpacked(pixels).sum(axis=0, dtype=float)]


def test_flat_colours_stay_and_small_ones_are_not_forgotten() -> None:
    """A sky of many blues, a flat sign, and a red dot in one of a hundred pictures."""
    y, x = np.mgrid[0:200, 0:200]
    sky = np.dstack([40 + x // 8, 90 + (x + y) // 5, 150 + y // 2]).astype(np.uint8)
    sky[120:160, 30:90] = (251, 249, 7)
    spotted = sky.copy()
    spotted[3:6, 3:6] = (230, 20, 25)
    colours = Colours.of(packed(spotted).ravel())
    for _ in range(99):
        colours |= Colours.of(packed(sky).ravel())
    table = colours.palette(255)
    assert [251, 249, 7] in table.tolist()
    assert np.abs(table.astype(int) - (230, 20, 25)).sum(axis=1).min() <= 6


def test_a_fine_gradient_has_its_shades() -> None:
    """Colours that differ by a level or two are told apart while they are few."""
    shades = np.arange(60, 60 + 64)
    picture = np.stack(np.meshgrid(shades, shades[:5]), axis=-1)[..., [0, 1, 0]].astype(np.uint8)
    table = Colours.of(packed(picture).ravel()).palette(255)
    assert np.abs(table[nearest(picture.reshape(-1, 3), table)].astype(int) - picture.reshape(-1, 3)).max() <= 1


def test_it_is_no_worse_than_pillow_s_for_one_picture() -> None:
    picture = natural(160, 120)
    table = Colours.of(packed(picture).ravel()).palette(255)
    ours = table[nearest(picture.reshape(-1, 3), table)].reshape(picture.shape)
    pillow = np.asarray(
        Image.fromarray(picture).quantize(255, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")
    )
    errors = [np.square(result.astype(float) - picture).mean() for result in (ours, pillow)]
    assert errors[0] < errors[1]


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 99))
def test_nearest_is_the_nearest(colours: int, entries: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    wanted, table = (rng.integers(0, 256, (count, 3), np.uint8) for count in (colours, entries))
    distances = np.square(wanted[:, None].astype(int) - table).sum(axis=2)
    assert nearest(wanted, table).tolist() == distances.argmin(axis=1).tolist()
    lookup = Nearest(table)
    for _ in range(2):
        assert lookup(packed(wanted)).tolist() == distances.argmin(axis=1).tolist()
