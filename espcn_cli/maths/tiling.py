"""Where tiles lie, and how much context each needs: whole numbers only, no pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

STRIP_PIXELS = 96 * 1024
"""LR pixels of a window when the tile size is `auto`: its 16 planes of 4 bytes stay near the last-level cache."""


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
    """Cut [0, length) into pieces of at most `size`, each with `halo` around it as far as the picture reaches.

    spans(10, 4, 1) fills [0, 4), [4, 8), [8, 10) from the windows [0, 5), [3, 9), [7, 10).
    """
    if length < 1 or size < 1 or halo < 0:
        raise ValueError(f"cannot cut {length} pixels into pieces of {size} with a halo of {halo}")
    return [span(start, min(start + size, length), length, halo) for start in range(0, length, size)]


def span(start: int, stop: int, length: int, halo: int) -> Span:
    """[start, stop) of [0, length) with `halo` around it as far as that reaches."""
    return Span(start, stop, max(start - halo, 0), min(stop + halo, length))


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
    widest = max(2 * math.isqrt(pixels), 1)
    return -(-width // -(-width // widest))


def strip_height(width: int, halo: int, pixels: int) -> int:
    """Rows of a full-width strip that holds about `pixels` LR pixels, halo included; at least two halos high.

    A strip much flatter than its halo would compute mostly what is thrown away.
    """
    return max(pixels // max(width, 1) - 2 * halo, 2 * halo, 1)


def choose_tile(tile: int | None, height: int, width: int, halo: int, pixels: int = STRIP_PIXELS) -> tuple[int, int]:
    """Height and width of the tiles in LR pixels: 0 takes the picture whole, None cuts it to windows of `pixels`."""
    if tile is None:
        columns = column_width(width, pixels)
        window = columns if columns == width else columns + 2 * halo
        return min(strip_height(window, halo, pixels), height), columns
    return (tile, tile) if tile else (height, width)
