"""Where two pictures differ."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

STEP = 8


def most_different(a: Tensor, b: Tensor, width: int, height: int, count: int = 1) -> list[tuple[int, int, int, int]]:
    """The places of at most that size in which two pictures (1, C, H, W) differ most, and which do not overlap.

    Left, top, width and height in pixels; the most different first, fewer than `count` where there is no room.
    """
    error = (a - b).square().mean(dim=1, keepdim=True)
    height, width = min(height, error.shape[-2]), min(width, error.shape[-1])
    sums = F.avg_pool2d(error, (height, width), stride=STEP)[0, 0]
    found: list[tuple[int, int, int, int]] = []
    for _ in range(count):
        index = int(sums.argmax())
        row, column = divmod(index, sums.shape[1])
        if sums[row, column] < 0:
            break
        found.append((STEP * column, STEP * row, width, height))
        high, wide = -(-height // STEP), -(-width // STEP)
        sums[max(0, row - high + 1) : row + high, max(0, column - wide + 1) : column + wide] = -1
    return found
