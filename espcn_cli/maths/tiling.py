"""Where tiles lie, and how much context each needs: whole numbers only, no pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

STRIP_PIXELS = 96 * 1024
"""LR pixels of a window when the tile size is `auto` and the engine wants no other: its 16 planes of 4 bytes stay near
the last-level cache."""


@dataclass(frozen=True)
class Span:
    """One axis of a tile, in LR pixels: it fills [start, stop) from a window [first, last) that adds the halo."""

    start: int
    stop: int
    first: int
    last: int

    @property
    def window(self) -> slice:
        return slice(self.first, self.last)

    def output(self, scale: int) -> slice:
        """Where the tile's pixels go in the whole output."""
        return slice(self.start * scale, self.stop * scale)

    def inner(self, scale: int) -> slice:
        """Where the tile's pixels lie in the window's own output."""
        return slice((self.start - self.first) * scale, (self.stop - self.first) * scale)


@dataclass(frozen=True)
class Tile:
    rows: Span
    columns: Span


def spans(length: int, size: int, halo: int) -> list[Span]:
    """Cut [0, length) into pieces of at most `size`, each with at least `halo` around it, or all that there is.

    All windows are equally long. spans(10, 4, 1) fills [0, 4), [4, 8), [8, 10) from [0, 6), [3, 9), [4, 10).
    """
    if length < 1 or size < 1 or halo < 0:
        raise ValueError(f"cannot cut {length} pixels into pieces of {size} with a halo of {halo}")
    return [span(start, size, length, halo) for start in range(0, length, size)]


def span(start: int, size: int, length: int, halo: int) -> Span:
    """The piece of at most `size` from `start` on of [0, length), in a window of size + 2·halo or all that there is.

    At an end the window slides inwards, so that it is as long as the others: engines like one shape best.
    """
    window = min(size + 2 * halo, length)
    first = min(max(start - halo, 0), length - window)
    return Span(start, min(start + size, length), first, first + window)


def tiles(height: int, width: int, tile_height: int, tile_width: int, halo: int) -> Iterator[Tile]:
    """Cover height × width row by row; each pixel belongs to exactly one tile."""
    columns = spans(width, tile_width, halo)
    for rows in spans(height, tile_height, halo):
        for column in columns:
            yield Tile(rows, column)


def column_width(width: int, pixels: int) -> int:
    """Width of the columns that strips of about `pixels` are cut into: between one and two sides of such a square.

    A strip across a very wide picture would be all halo, and its windows would outgrow `pixels`.
    """
    return _evenly(width, max(2 * math.isqrt(pixels), 1))


def strip_height(width: int, halo: int, pixels: int) -> int:
    """Rows of a full-width strip that holds about `pixels` LR pixels, halo included; at least two halos high.

    A strip much flatter than its halo would compute mostly what is thrown away.
    """
    return max(pixels // max(width, 1) - 2 * halo, 2 * halo, 1)


def choose_tile(tile: int | None, height: int, width: int, halo: int, pixels: int = STRIP_PIXELS) -> tuple[int, int]:
    """Height and width of the tiles in LR pixels: 0 takes the picture whole, None makes windows of about `pixels`.

    These are equally high too, but for what does not divide.
    """
    if tile is None:
        columns = column_width(width, pixels)
        window = columns if columns == width else columns + 2 * halo
        if height * window <= pixels:
            return height, columns
        return _evenly(height, strip_height(window, halo, pixels)), columns
    return (tile, tile) if tile else (height, width)


def _evenly(length: int, most: int) -> int:
    """The size of as many equal pieces as pieces of `most` would be: 10 in pieces of at most 6 -> 5."""
    return -(-length // -(-length // most))
