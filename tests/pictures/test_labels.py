"""Words on pictures."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from espcn_cli.pictures.labels import GAP, LINE, PAPER, below, beside, boxed, captioned, shortened


def test_text_is_shortened_to_what_fits() -> None:
    assert shortened("bicubic", 200) == "bicubic"
    short = shortened("a name that is far too long", 80)
    assert short.endswith("…") and short.startswith("a nam") and len(short) < 14
    assert shortened("anything", 0) == ""


def test_names_that_are_no_text_can_be_drawn() -> None:
    assert captioned(Image.new("L", (60, 10)), os.fsdecode(b"\xff.png")).size == (60, 10 + LINE)


def test_a_caption_stands_below_the_picture_which_stays_as_it_is() -> None:
    for mode in ("L", "RGB"):
        image = Image.new(mode, (50, 30), "#808080")
        sheet = captioned(image, "one", "two", width=90)
        assert (sheet.mode, sheet.size) == ("RGB", (90, 30 + 2 * LINE))
        assert (np.asarray(sheet)[:30, :50] == 128).all()
        words = np.asarray(sheet)[30:]
        assert words.min() < 60 and (words[:LINE] != words[LINE:]).any(), "legible, and two lines"


def test_pictures_beside_and_below_each_other() -> None:
    row = beside([Image.new("RGB", (10, 20)), Image.new("RGB", (30, 5))])
    assert row.size == (40 + GAP, 20) and row.getpixel((39 + GAP, 19)) == PAPER
    assert below([row, row]).size == (row.width + 2 * GAP, 40 + 3 * GAP)


def test_a_box_is_drawn_around_a_place() -> None:
    for colour in ("black", "white"):
        image = Image.new("RGB", (40, 40), colour)
        marked = np.asarray(boxed(image, [("A", (10, 10, 20, 20))])).astype(int)
        assert abs(marked[9, 15] - np.asarray(image)[9, 15]).max() > 100
        assert (marked[35, 35] == np.asarray(image)[35, 35]).all()


def test_words_are_drawn_whatever_the_limit_for_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow holds its own letters to it."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    captioned(boxed(Image.new("RGB", (90, 40)), [("A", (5, 5, 60, 20))]), "a long caption")
    assert Image.MAX_IMAGE_PIXELS == 100
