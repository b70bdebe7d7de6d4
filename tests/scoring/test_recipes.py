"""Which rows there are, and how they are chosen."""

import re
from pathlib import Path

import pytest

from espcn_cli.errors import UsageError
from espcn_cli.scoring.recipes import ROWS, choose

PAGE = Path(__file__).parents[2] / "docs" / "real-pictures.md"


def test_the_page_names_every_row_and_no_other() -> None:
    tables = [line.split("|")[1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert re.findall(r"`([^`]+)`", "".join(tables)) == list(ROWS)


def test_a_row_is_chosen_by_name_beginning_or_pattern_in_the_order_of_the_suite() -> None:
    assert choose(["webp-60"]) == ("webp-60",)
    assert choose(["webp"]) == ("webp-80", "webp-60", "webp-30")
    assert choose(["text-drawn", "h264", "jpeg-75"]) == (
        *("jpeg-75", "jpeg-75-444", "jpeg-75-90", "jpeg-75-png", "jpeg-75-cropped"),
        *("h264-18", "h264-23", "h264-28", "h264-33", "text-drawn"),
    )
    assert choose(["*-lanczos", "lanczos"]) == ("lanczos", "text-lanczos", "interface-lanczos")
    assert choose(["*"]) == ROWS


@pytest.mark.parametrize("word", ["jpg", "jpeg-7", "", "JPEG"])
def test_a_word_without_rows_is_refused_and_they_are_named(word: str) -> None:
    with pytest.raises(UsageError, match=f"no row is called '{word}'.*bicubic, area, .*pixels-dither"):
        choose(["area", word])
