"""Which pictures are taken: by their names, by their paths, by their sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
from making import save_picture

from espcn_cli.errors import UsageError
from espcn_cli.upscaling.choosing import Choosing, parse_box


@pytest.mark.parametrize(
    ("glob", "path", "excluded"),
    [
        ("raw", "raw", True),
        ("raw/", "2024/raw", True),
        ("2024/raw", "2024/raw", True),
        ("2024/raw", "2023/raw", False),
        ("*_small*", "a/b_small.png", True),
        ("*_small*", "a/b_SMALL.png", False),
        ("nothing", "@eaDir", True),
        ("nothing", "a/._b.png", True),
    ],
)
def test_globs_match_names_and_paths_below_the_source(glob: str, path: str, excluded: bool) -> None:
    assert Choosing([glob]).excludes(Path(path)) == excluded


def test_a_file_named_outright_is_excluded_by_what_was_asked_for_alone() -> None:
    assert not Choosing().excludes_named(Path("._b.png"))
    assert Choosing(["*.png"]).excludes_named(Path("._b.png"))


@pytest.mark.parametrize(
    ("larger", "smaller", "taken"),
    [
        ((30, 30), None, True),
        ((40, 10), None, True),
        ((40, 20), None, False),
        (None, (41, 21), True),
        (None, (40, 21), False),
        ((30, 30), (50, 50), True),
    ],
)
def test_a_box_is_compared_with_the_size_in_the_header(
    tmp_path: Path, larger: tuple[int, int] | None, smaller: tuple[int, int] | None, taken: bool
) -> None:
    """The picture is 40 x 20."""
    choosing = Choosing((), larger, smaller)
    assert choosing.fits(save_picture(tmp_path / "a.png", 40, 20)) == taken
    assert choosing.describe() == ("" if taken else "1 of another size")


def test_what_cannot_be_read_is_taken_so_that_it_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    assert Choosing((), (10, 10)).fits(tmp_path / "a.png")


def test_boxes_as_they_are_typed() -> None:
    assert parse_box("800x600", "--larger-than") == (800, 600)
    assert Choosing((), (800, 600), (801, 602))  # one of 800 x 601 is
    with pytest.raises(UsageError, match="no picture is larger than --larger-than and smaller than --smaller-than"):
        Choosing((), (800, 600), (801, 601))
    assert parse_box("800", "--larger-than") == (800, 800)
    for wrong in ("", "x", "800x", "-1", "1.5", "12345678"):
        with pytest.raises(UsageError, match="--larger-than"):
            parse_box(wrong, "--larger-than")
