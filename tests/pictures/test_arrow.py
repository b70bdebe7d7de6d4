"""Pillow's memory as an array and back: the same bytes, held as long as anybody needs them."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from making import natural
from PIL import Image

from espcn_cli.maths.levels import Levels, is_padded, padded
from espcn_cli.pictures import arrow, raster
from espcn_cli.pictures.raster import Raster

pytestmark = pytest.mark.skipif(not arrow.OWN_LAYOUT, reason="this Pillow does not share its memory")


def wide(width: int, height: int) -> Levels:
    """Padded levels (H, W, 3)."""
    whole = np.full((height, width, 4), 255, np.uint8)
    whole[..., :3] = natural(width, height)
    return whole[..., :3]


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1), (61, 33)])
def test_an_image_s_own_memory(size: tuple[int, int]) -> None:
    image = Image.fromarray(natural(*size))
    levels = arrow.levels_of(image)
    assert levels is not None and is_padded(levels) and not levels.flags.writeable
    assert np.array_equal(levels, np.asarray(image))
    image.putpixel((0, 0), (1, 2, 3))
    assert levels[0, 0].tolist() == [1, 2, 3]


def test_the_memory_outlives_the_image() -> None:
    image = Image.fromarray(natural(200, 300))
    levels = arrow.levels_of(image)
    assert levels is not None
    before = levels.copy()
    del image
    gc.collect()
    others = [Image.new("RGB", (200, 300), "white") for _ in range(20)]
    assert np.array_equal(levels, before) and others


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "I;16", "P"])
def test_other_modes_are_not_padded(mode: str) -> None:
    assert arrow.levels_of(Image.new(mode, (3, 2))) is None


def test_an_image_in_several_blocks_is_copied() -> None:
    """Pillow takes memory in blocks of 16 MB."""
    image = Image.new("RGB", (2400, 2400), (1, 2, 3))
    assert arrow.levels_of(image) is None
    assert Raster(image).lent()[0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1), (61, 33)])
def test_an_image_of_levels(size: tuple[int, int]) -> None:
    levels = wide(*size)
    image = arrow.image_of(levels)
    assert (image.mode, image.size) == ("RGB", size)
    assert np.array_equal(np.asarray(image), levels)
    assert np.asarray(image.convert("RGBA"))[..., 3].min() == 255
    assert np.array_equal(np.asarray(image.copy()), levels)


def test_an_image_keeps_its_levels_and_lets_go_of_them() -> None:
    whole = np.full((40, 50, 4), 255, np.uint8)
    alive = weakref.ref(whole)
    image = arrow.image_of(whole[..., :3])
    del whole
    gc.collect()
    assert alive() is not None and image.getpixel((49, 39)) == (255, 255, 255)
    del image
    gc.collect()
    assert alive() is None


def test_whoever_changes_an_image_does_not_change_the_levels() -> None:
    levels = wide(9, 7)
    before = levels.copy()
    image = arrow.image_of(levels)
    image.putpixel((0, 0), (1, 2, 3))
    image.paste("red", (2, 2, 5, 5))
    assert image.getpixel((0, 0)) == (1, 2, 3)
    assert np.array_equal(levels, before)


def test_an_older_pillow_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow, "OWN_LAYOUT", False)
    levels = wide(21, 13)
    image = arrow.image_of(levels)
    assert image.mode == "RGB" and np.array_equal(np.asarray(image), levels)
    assert arrow.levels_of(image) is None


def test_what_is_padded() -> None:
    levels = wide(6, 5)
    assert is_padded(levels) and padded(levels).shape == (5, 6, 4) and padded(levels)[..., 3].min() == 255
    assert not any(map(is_padded, (natural(6, 5), levels[:, :4], levels[..., :1], levels.astype(np.uint16))))
    assert is_padded(levels[1:3])


def test_a_result_becomes_a_raster_of_its_own_memory() -> None:
    levels = wide(6, 5)
    shared = raster.made(levels)
    levels[0, 0] = 9
    assert shared.image().getpixel((0, 0)) == (9, 9, 9)
    assert np.array_equal(raster.made(natural(6, 5)).array(), natural(6, 5))
    deep = natural(6, 5).astype(np.uint16) * 257
    assert raster.made(deep).data is deep
