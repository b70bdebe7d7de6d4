"""The eight ways in which a picture can lie: which of them EXIF names how, and arrays turned so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from espcn_cli.maths.levels import Pixels

if TYPE_CHECKING:
    from torch import Tensor


class Turn(NamedTuple):
    """Quarter turns to the left, and after them a flip from left to right, or none."""

    quarters: int
    flipped: bool

    @property
    def swaps_sides(self) -> bool:
        """Whether width and height change places."""
        return self.quarters % 2 == 1


TURNS = tuple(Turn(quarters, flipped) for flipped in (False, True) for quarters in range(4))
"""All of them; the first leaves a picture as it is."""

BY_ORIENTATION = {
    1: Turn(0, False),
    2: Turn(0, True),
    3: Turn(2, False),
    4: Turn(2, True),
    5: Turn(3, True),
    6: Turn(3, False),
    7: Turn(1, True),
    8: Turn(1, False),
}
"""EXIF's orientation of a stored picture -> the turn that makes it upright."""


def turned_planes(x: Tensor, turn: Turn) -> Tensor:
    """(..., H, W) -> the same turned."""
    x = x.rot90(turn.quarters, (-2, -1))
    return x.flip(-1) if turn.flipped else x


def turned_back(x: Tensor, turn: Turn) -> Tensor:
    """What `turned_planes` gave -> (..., H, W) as it was."""
    return (x.flip(-1) if turn.flipped else x).rot90(-turn.quarters, (-2, -1))


def turned(levels: NDArray[Any], turn: Turn) -> NDArray[Any]:
    """(H, W, ...) -> the same turned, contiguous."""
    levels = np.rot90(levels, turn.quarters)
    return np.ascontiguousarray(np.fliplr(levels) if turn.flipped else levels)


def turned_point(x: float, y: float, size: Pixels, turn: Turn) -> tuple[float, float]:
    """Where a point of a picture of this width and height comes to lie; (0, 0) is the top left corner of both."""
    width, height = size
    for _ in range(turn.quarters):
        x, y, width, height = y, width - x, height, width
    return (width - x if turn.flipped else x), y
