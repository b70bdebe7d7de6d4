"""Whole levels: pictures as files hold them, and what is done to them without leaving them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.unsignedinteger[Any]]
"""A picture or a window of one: uint8 or uint16 (H, W, C), from black at 0 to white at `white_of`."""

Pixels = tuple[int, int]
"""Width and height of a picture."""

Floats = NDArray[np.floating[Any]]

BAND = 256
"""Rows at a time where arithmetic needs wider numbers."""


def white_of(levels: NDArray[Any]) -> int:
    """The level of white: 255 or 65535."""
    return int(np.iinfo(levels.dtype).max)


def to_8_bits(levels: Levels) -> Levels:
    """The same picture in 8 bits per sample, rounded to the nearest level; 8 bits stay as they are."""
    if levels.dtype == np.uint8:
        return levels
    result = np.empty(levels.shape, np.uint8)
    for start in range(0, len(levels), BAND):
        result[start : start + BAND] = (levels[start : start + BAND].astype(np.uint32) + 128) // 257
    return result


def rounded(values: NDArray[np.floating[Any]], dtype: Any) -> Levels:
    """Levels that are not whole (any shape) -> whole ones, to the nearest (halves up), clipped to the dtype's."""
    result: Levels = np.floor(values + 0.5).clip(0, np.iinfo(dtype).max).astype(dtype)
    return result


def is_padded(levels: NDArray[Any]) -> bool:
    """Whether RGB of 8 bits (H, W, 3) lies in memory as Pillow keeps it: with a fourth byte after each pixel."""
    return levels.dtype == np.uint8 and levels.shape[2] == 3 and levels.strides == (4 * levels.shape[1], 4, 1)


def padded(levels: Levels) -> Levels:
    """Levels that are padded, with their fourth bytes: (H, W, 3) -> (H, W, 4), the same memory."""
    height, width, _ = levels.shape
    return np.lib.stride_tricks.as_strided(levels, (height, width, 4), levels.strides)


def unlocked(levels: Levels) -> Levels:
    """The same memory without its protection, for a library that only reads but wants to be allowed to write."""
    return levels if levels.flags.writeable else np.asarray(_Open(levels))


class _Open:
    def __init__(self, levels: Levels) -> None:
        self.levels = levels
        interface = levels.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}
