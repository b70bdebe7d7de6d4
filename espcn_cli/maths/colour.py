"""Luma and chroma after ITU-R BT.601, in the two ranges in use.

*Full range* (JPEG): Y, Cb, Cr in [0, 1], grey stays grey: the networks run on this. *Studio range* (MATLAB's
rgb2ycbcr): Y in [16, 235]/255: quality is scored on this. RGB is in [0, 1] everywhere. Planes (..., C, H, W) are
arrays or tensors, of any float dtype.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Planes = TypeVar("Planes", NDArray[np.floating[Any]], "Tensor")

LUMA = (0.299, 0.587, 0.114)
"""BT.601's weights of R, G and B in full-range luma."""

EVENNESS = 0.003
"""What is added to covariance and variance, of values in [0, 1], before a colour's slope on luma is their quotient:
where both are smaller, noise decides, and the slope is near 1."""

MIDDLE = 0.5
"""What is taken from values in [0, 1] before their moments are: in float32, small ones lose least."""

STEEPEST = 3.0
"""How far a colour's slope on luma may be from 1: a quotient of small numbers must not become a colour of its own."""

SLOPE_REACH, HALVED_REACH = 2, 4
"""LR pixels to each side that a slope depends on in HR: 1 of its 3×3 window, and 1 between pixels. Where colours were
held at half the resolution the window is 5×5, and of luma that is smoothed by 1 more."""

STUDIO_LUMA = (65.481 / 255, 128.553 / 255, 24.966 / 255)
STUDIO_BLACK = 16 / 255


def split(x: Planes) -> tuple[Planes, Planes, Planes]:
    """(..., 3, H, W) -> three of (..., 1, H, W). Raises ValueError for another number of planes."""
    if x.shape[-3] != 3:
        raise ValueError(f"RGB needs three planes, not {tuple(x.shape)}")
    return x[..., 0:1, :, :], x[..., 1:2, :, :], x[..., 2:3, :, :]


def luma(x: Planes) -> Planes:
    """Full-range luma in [0, 1]: (..., 3, H, W) -> (..., 1, H, W); a single plane is its own luma."""
    return x if x.shape[-3] == 1 else _weighted(x, LUMA)


def studio_luma(x: Planes) -> Planes:
    """Luma as it is scored: Y = (16 + 65.481 R + 128.553 G + 24.966 B)/255; a single plane is its own luma."""
    return x if x.shape[-3] == 1 else _weighted(x, STUDIO_LUMA) + STUDIO_BLACK


def to_studio(y: Planes) -> Planes:
    """Full-range luma -> studio range: 0 -> 16/255, 1 -> 235/255."""
    return y * sum(STUDIO_LUMA) + STUDIO_BLACK


def rgb_to_ycbcr(rgb: Planes) -> Planes:
    """Full-range BT.601 (as JPEG): (..., 3, H, W) -> Y, Cb, Cr in [0, 1], with grey at Cb = Cr = 1/2."""
    r, _, b = split(rgb)
    y = luma(rgb)
    return _joined(y, (b - y) / (2 * (1 - LUMA[2])) + 0.5, (r - y) / (2 * (1 - LUMA[0])) + 0.5)


def ycbcr_to_rgb(ycbcr: Planes) -> Planes:
    """Inverse of `rgb_to_ycbcr`; not clipped."""
    y, cb, cr = split(ycbcr)
    r = y + 2 * (1 - LUMA[0]) * (cr - 0.5)
    b = y + 2 * (1 - LUMA[2]) * (cb - 0.5)
    return _joined(r, (y - LUMA[0] * r - LUMA[2] * b) / LUMA[1], b)


def _weighted(rgb: Planes, weights: tuple[float, float, float]) -> Planes:
    r, g, b = split(rgb)
    y: Planes = weights[0] * r + weights[1] * g + weights[2] * b
    return y


def _joined(*planes: Planes) -> Planes:
    """Put planes (..., 1, H, W) together to (..., 3, H, W)."""
    if isinstance(planes[0], np.ndarray):
        joined: Planes = np.concatenate(planes, axis=-3)
        return joined
    from torch import cat

    return cat(planes, dim=-3)
