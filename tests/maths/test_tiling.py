"""Tiles by exhaustion: whole numbers are few enough to try them all."""

from __future__ import annotations

from itertools import product

import pytest

from espcn_cli.maths.tiling import Span, Tile, column_width, spans, strip_height, tiles

LENGTHS = range(1, 24)
SIZES = range(1, 26)
HALOS = range(0, 8)


def test_the_worked_example() -> None:
    cut = spans(10, 4, 1)
    assert [(s.start, s.stop) for s in cut] == [(0, 4), (4, 8), (8, 10)]
    assert [(s.first, s.last) for s in cut] == [(0, 6), (3, 9), (4, 10)]


def test_every_pixel_belongs_to_exactly_one_span() -> None:
    for length, size, halo in product(LENGTHS, SIZES, HALOS):
        covered = [i for s in spans(length, size, halo) for i in range(s.start, s.stop)]
        assert covered == list(range(length))


def test_spans_are_full_but_for_the_last() -> None:
    for length, size, halo in product(LENGTHS, SIZES, HALOS):
        *full, last = (s.stop - s.start for s in spans(length, size, halo))
        assert all(n == size for n in full)
        assert 1 <= last <= size


def test_windows_reach_the_halo_or_the_pictures_edge() -> None:
    for length, size, halo in product(LENGTHS, SIZES, HALOS):
        for s in spans(length, size, halo):
            assert 0 <= s.first <= s.start < s.stop <= s.last <= length
            assert s.start - s.first >= halo or s.first == 0
            assert s.last - s.stop >= halo or s.last == length


def test_all_windows_are_equally_long() -> None:
    """Those at the ends slide inwards: an engine sees one shape."""
    for length, size, halo in product(LENGTHS, SIZES, HALOS):
        assert {s.last - s.first for s in spans(length, size, halo)} == {min(size + 2 * halo, length)}


def test_a_piece_as_large_as_the_picture_is_the_picture() -> None:
    for length, halo in product(LENGTHS, HALOS):
        assert spans(length, length, halo) == spans(length, 1000, halo) == [Span(0, length, 0, length)]


def test_slices_pick_the_same_pixels_from_the_window_and_for_the_output() -> None:
    """Upscaling by repetition stands for a network: cut, repeat, put together is to repeat the whole."""
    for length, size, halo, scale in product(range(1, 12), range(1, 13), range(0, 4), (1, 2, 3, 4)):
        line = list(range(length))
        out = [-1] * (length * scale)
        for s in spans(length, size, halo):
            window = [pixel for pixel in line[s.window] for _ in range(scale)]
            out[s.output(scale)] = window[s.inner(scale)]
        assert out == [pixel for pixel in line for _ in range(scale)]


def test_tiles_cover_each_pixel_of_a_picture_once_row_by_row() -> None:
    for height, width, tile_height, tile_width in product(range(1, 7), repeat=4):
        pieces = list(tiles(height, width, tile_height, tile_width, 1))
        corners = [(t.rows.start, t.columns.start) for t in pieces]
        assert corners == sorted(corners)
        covered = [
            (y, x)
            for t in pieces
            for y in range(t.rows.start, t.rows.stop)
            for x in range(t.columns.start, t.columns.stop)
        ]
        assert sorted(covered) == list(product(range(height), range(width)))


def test_a_tile_is_a_span_of_rows_by_a_span_of_columns() -> None:
    assert list(tiles(3, 5, 2, 5, 1)) == [
        Tile(Span(0, 2, 0, 3), Span(0, 5, 0, 5)),
        Tile(Span(2, 3, 0, 3), Span(0, 5, 0, 5)),
    ]


@pytest.mark.parametrize(("length", "size", "halo"), [(0, 4, 1), (10, 0, 1), (10, -1, 1), (10, 4, -1), (-1, 4, 1)])
def test_impossible_cuts_are_refused(length: int, size: int, halo: int) -> None:
    with pytest.raises(ValueError, match="cannot cut"):
        spans(length, size, halo)


def test_a_strip_holds_about_the_pixels_asked_for_halo_included() -> None:
    assert strip_height(960, 12, 96 * 1024) == 102 - 24  # 98,304 / 960 = 102 rows, 12 of halo above and below
    assert (strip_height(960, 12, 96 * 1024) + 24) * 960 <= 96 * 1024


def test_a_strip_is_never_flatter_than_its_halos_nor_empty() -> None:
    assert strip_height(1_000_000, 12, 96 * 1024) == 24
    for width, halo, pixels in product((0, 1, 7, 100, 5000), (0, 1, 12), (0, 1, 1000)):
        assert strip_height(width, halo, pixels) >= max(2 * halo, 1)


def test_columns_are_equal_and_between_one_and_two_sides_of_the_square() -> None:
    assert column_width(626, 313**2) == 626
    assert column_width(627, 313**2) == 314
    for width, pixels in product((1, 7, 100, 5000, 20_001), (1, 50, 10_000)):
        columns = column_width(width, pixels)
        assert columns <= max(2 * pixels**0.5, 1)
        assert columns == width or columns >= pixels**0.5 - 1
