"""A picture brought to an exact size: band by band, so that a huge one never exists in floats, nor whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from espcn_cli.maths.levels import Floats, Levels, Pixels, rounded, white_of
from espcn_cli.maths.resize import BEYOND, contributions, resize
from espcn_cli.maths.tiling import spans
from espcn_cli.pictures.raster import Raster
from espcn_cli.settings import Alpha
from espcn_cli.upscaling.alpha import premultiplied, straight

ROWS = 64
"""Rows of a band of the result."""

ROUNDING = 1e-6
"""A weight that is no more than this is 0."""

Taps = tuple[Floats, NDArray[np.int64]]
"""Weights and indices (n, taps) of what makes up each pixel of an axis, as `contributions` gives them."""


class Source(Protocol):
    """A picture of which windows are taken."""

    @property
    def size(self) -> Pixels: ...

    @property
    def has_alpha(self) -> bool: ...

    def window(self, rows: slice, columns: slice) -> Levels: ...


class Rising:
    """An upscaled picture as `fit` reads it: rows are made when they are asked for, downwards, and then forgotten."""

    def __init__(self, picture: Source, scale: int, strips: Iterator[Levels]) -> None:
        width, height = picture.size
        self.size = (width * scale, height * scale)
        self.has_alpha = picture.has_alpha
        self._strips = strips
        self._held: list[tuple[int, Levels]] = []
        self._made = 0

    def window(self, rows: slice, columns: slice) -> Levels:
        """The levels (h, w, C) of a rectangle that begins no higher than the last one."""
        while self._made < rows.stop:
            strip = next(self._strips)
            self._held.append((self._made, strip))
            self._made += len(strip)
        self._held = [(first, strip) for first, strip in self._held if first + len(strip) > rows.start]
        parts = [
            strip[max(rows.start - first, 0) : rows.stop - first, columns]
            for first, strip in self._held
            if first < rows.stop
        ]
        return np.concatenate(parts)


def fit(picture: Raster, width: int, height: int, treatment: Alpha = "blend") -> Raster:
    """Bring a picture to an exact size, as `fitted` does."""
    if picture.size == (width, height):
        return picture
    return picture.filled(width, height, fitted(picture, width, height, treatment))


def fitted(picture: Source, width: int, height: int, treatment: Alpha = "blend", margin: int = 0) -> Iterator[Levels]:
    """A picture in an exact size: bicubic, antialiased, in bands (n, W, C) from top to bottom.

    Colours are weighted with their alpha, and alpha stays between the pixels that it is made of, so that it does not
    ring; unless it is `separate`, one more grey picture. A `margin` of pixels lies around the picture, which are those
    of its opposite side, as `wrap` makes it.
    """
    blend = picture.has_alpha and treatment == "blend"
    columns, rows = (side - 2 * margin for side in picture.size)
    border = "wrap" if margin else "clamp"
    weights, indices = contributions(rows, height, border=BEYOND if margin else border)
    indices, across = indices + margin, contributions(columns, width, border=border)
    for band in spans(height, ROWS, 0):
        taps = indices[band.start : band.stop]
        first, last = int(taps.min()), int(taps.max()) + 1
        levels = picture.window(slice(first, last), slice(margin, margin + columns))
        down = weights[band.start : band.stop], taps - first
        x: Floats = levels.astype(np.float32)
        x /= white_of(levels)
        x = premultiplied(x) if blend else x
        part = _across(_down(x, *down), width, border)
        part = straight(part) if blend else part
        large = rounded(part * white_of(levels), levels.dtype)
        if blend:
            large[..., -1] = large[..., -1].clip(*_bounds(levels[..., -1], down, across))
        yield large


def _bounds(plane: Levels, down: Taps, across: Taps) -> Iterator[Levels]:
    """The least and the greatest of the pixels that make up each of the resized plane; (H, W) -> (height, width)."""
    for choose in (np.minimum, np.maximum):
        yield _over_taps(choose, _over_taps(choose, plane, *down).T, *across).T


def _over_taps(choose: np.ufunc, x: Levels, weights: Floats, rows: NDArray[np.int64]) -> Levels:
    """Rows (n, W), each over those of x (H, W) that it is made of: not those that the kernel subtracts."""
    nearest = rows[np.arange(len(rows)), weights.argmax(axis=1)]
    bound: Levels = x[nearest]
    for weight, row in zip(weights.T, rows.T, strict=True):
        bound = choose(bound, x[np.where(weight > ROUNDING, row, nearest)])
    return bound


def _down(x: Floats, weights: Floats, rows: NDArray[np.int64]) -> Floats:
    """Rows (n, W, C) that are weighted sums of those of x (H, W, C): weights and indices are (n, taps)."""
    total: Floats = np.zeros((len(weights), *x.shape[1:]), np.float32)
    for weight, row in zip(weights.T, rows.T, strict=True):
        total += x[row] * weight.astype(np.float32)[:, None, None]
    return total


def _across(x: Floats, width: int, border: str) -> Floats:
    """(H, W, C) -> (H, width, C)."""
    return np.moveaxis(resize(np.moveaxis(x, 2, 0)[None], x.shape[0], width, border=border)[0], 0, 2)
