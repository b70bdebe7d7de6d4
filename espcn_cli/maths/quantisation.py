"""Eight bits for convolutions: which grid values are rounded to.

What goes into a layer is an unsigned byte on a grid between the least and the greatest value that was seen there, of
which 0 is a point: beyond the border there are zeros. Weights are signed bytes, each output channel on a grid of its
own, symmetric about 0 (Krishnamoorthi 2018, arXiv 1806.08342, sections 2.1 and 3.1.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVELS = 256
"""Of what goes into a layer."""

LARGEST = 127
"""Of a weight: -128 is left out, so that the grid is symmetric."""

LEAST = 1e-6
"""The finest step: a range of nothing, or a channel of zeros, has one too."""

Range = tuple[float, float]
"""The least and the greatest value that goes into a layer."""

Ranges = tuple[Range, ...]
"""Of all layers; none where nobody has measured them."""


@dataclass(frozen=True)
class Grid:
    """Values step·(n - zero) for n from 0 to 255."""

    step: float
    zero: int

    @property
    def ends(self) -> Range:
        return -self.zero * self.step, (LEVELS - 1 - self.zero) * self.step


def grid(values: Range) -> Grid:
    """The grid of a range, widened to hold 0. Its step is a float32's value."""
    least, greatest = min(values[0], 0.0), max(values[1], 0.0)
    step = float(np.float32(max((greatest - least) / (LEVELS - 1), LEAST)))
    return Grid(step, round(-least / step))


def weight_steps(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """The step of each output channel's grid: weights (O, I, k, k) -> (O,)."""
    steps = np.abs(weight).max(axis=(1, 2, 3)) / LARGEST
    return np.asarray(np.maximum(steps, LEAST), np.float32)


def weight_bytes(weight: NDArray[np.float32]) -> NDArray[np.int8]:
    """Where weights (O, I, k, k) stand on their channels' grids: the nearest point, of two as near the even one."""
    factors = 1 / weight_steps(weight)  # as PyTorch does it: a quotient may round to the other side
    return np.rint(weight * factors[:, None, None, None]).astype(np.int8)
