"""Edges of a plane: how soft they are place by place, and what an upscaled value may be between those around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from espcn_cli.maths.levels import Floats, Levels, rounded

SOFT = 6
"""A level that lies a sixth of the way between the least and the greatest around it makes an edge wholly soft."""

REACH = 5
"""LR pixels to each side that `softness_around`, made larger, depends on: 1 + 2 + 1, and 1 between pixels."""


def softness_around(levels: Levels) -> Floats:
    """How soft the edges around each pixel are, 0 to 1: (H, W, 1) -> (H, W, 1), smooth in place and in value.

    A soft edge has levels between those that it parts. A hard one has none, whatever the two are, and it outweighs
    what is softer but fainter beside it: a cut out shape in front of its shadow.
    """
    depth, height = _depth_and_height(levels)
    for _ in range(2):
        depth, height = (over_neighbours(np.maximum, x) for x in (depth, height))
    softness = _softness(depth, height)
    return sum_of_neighbours(softness) / sum_of_neighbours(np.ones_like(softness))


def within_neighbours(large: NDArray[Any], small: Levels, scale: int) -> Levels:
    """Keep each upscaled value in the range of the LR pixels that it lies between; in a soft edge, of the 3×3 around.

    (H·scale, W·scale, 1), whole levels or not, and (H, W, 1) -> whole levels. What is all equal around stays so to the
    last digit, and beside a hard edge nothing rings.
    """
    softness = repeated(_softness(*_depth_and_height(small)), scale)
    least, greatest = (_bound(choose, small, softness) for choose in (np.minimum, np.maximum))
    return rounded(large.clip(least, greatest), small.dtype)


def _bound(choose: np.ufunc, small: Levels, softness: Floats) -> Floats:
    levels, scale = small.astype(np.float32), len(softness) // len(small)
    near = _grown(levels, scale, lambda x, beside, distance: choose(x, beside) if distance else x)
    return near + softness * (repeated(over_neighbours(choose, levels), scale) - near)


def _depth_and_height(levels: Levels) -> tuple[Floats, Floats]:
    """How far each level lies from both the least and the greatest of the 3×3 around it, and these from each other."""
    x = levels.astype(np.float32)
    least, greatest = (over_neighbours(choose, x) for choose in (np.minimum, np.maximum))
    return np.minimum(x - least, greatest - x), greatest - least


def _softness(depth: Floats, height: Floats) -> Floats:
    softness: Floats = (SOFT * depth / height.clip(min=1)).clip(max=1)
    return softness


def over_neighbours(choose: np.ufunc, x: Floats) -> Floats:
    """(H, W, C) -> the least or the greatest of the 3×3 pixels around each."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = choose(choose(padded[:-2], padded[1:-1]), padded[2:])
    chosen: Floats = choose(choose(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
    return chosen


def sum_of_neighbours(x: Floats) -> Floats:
    """(H, W, C) -> the sum over the 3×3 pixels around each; beyond the border there are zeros."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]


def repeated(x: Floats, scale: int) -> Floats:
    """(H, W, C) -> (H·scale, W·scale, C), each pixel a square."""
    return x.repeat(scale, axis=0).repeat(scale, axis=1)


def linear(x: Floats, scale: int) -> Floats:
    """(H, W, C) -> (H·scale, W·scale, C) by linear interpolation: the same sums wherever a tile begins."""
    return _grown(x, scale, lambda x, beside, distance: x + distance * (beside - x))


def _grown(x: Floats, scale: int, combine: Callable[[Floats, Floats, float], Floats]) -> Floats:
    """(H, W, C) -> (H·scale, W·scale, C), one axis after the other.

    `combine` takes for each new pixel the one in which it lies, the next one on its side, and its distance, in LR
    pixels, from the centre of the first.
    """
    for axis in (0, 1):
        places = np.arange(x.shape[axis])
        before, after = (x.take((places + step).clip(0, places[-1]), axis) for step in (-1, 1))
        offsets = [(phase + 0.5) / scale - 0.5 for phase in range(scale)]
        phases = [combine(x, before if offset < 0 else after, abs(offset)) for offset in offsets]
        shape = [length * scale if place == axis else length for place, length in enumerate(x.shape)]
        x = np.stack(phases, axis + 1).reshape(shape)
    return x
