"""Luma and chroma after ITU-R BT.601, in the two ranges in use, and the step to 8 bits.

*Full range* (JPEG): Y, Cb, Cr in [0, 1], grey stays grey: the networks run on this. *Studio range* (MATLAB's
rgb2ycbcr): Y in [16, 235]/255: quality is scored on this. RGB is in [0, 1] everywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""BT.601's weights of R, G and B in full-range luma."""

STUDIO_LUMA = (65.481 / 255, 128.553 / 255, 24.966 / 255)
STUDIO_BLACK = 16 / 255


def _weighted(rgb: Tensor, weights: tuple[float, float, float]) -> Tensor:
    if rgb.shape[-3] != 3:
        raise ValueError(f"RGB needs three planes, not {tuple(rgb.shape)}")
    r, g, b = rgb.unbind(-3)
    return (weights[0] * r + weights[1] * g + weights[2] * b).unsqueeze(-3)


def luma(x: Tensor) -> Tensor:
    """Full-range luma in [0, 1]: (..., 3, H, W) -> (..., 1, H, W); a single plane is its own luma."""
    return x if x.shape[-3] == 1 else _weighted(x, LUMA)


def studio_luma(x: Tensor) -> Tensor:
    """Luma as it is scored: Y = (16 + 65.481 R + 128.553 G + 24.966 B)/255; a single plane is its own luma."""
    return x if x.shape[-3] == 1 else _weighted(x, STUDIO_LUMA) + STUDIO_BLACK


def to_studio(y: Tensor) -> Tensor:
    """Full-range luma -> studio range: 0 -> 16/255, 1 -> 235/255."""
    return y * (sum(STUDIO_LUMA)) + STUDIO_BLACK


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """Full-range BT.601 (as JPEG): (..., 3, H, W) -> Y, Cb, Cr in [0, 1], with grey at Cb = Cr = 1/2."""
    y = _weighted(rgb, LUMA)
    cb = (rgb[..., 2:3, :, :] - y) / (2 * (1 - LUMA[2])) + 0.5
    cr = (rgb[..., 0:1, :, :] - y) / (2 * (1 - LUMA[0])) + 0.5
    return torch.cat([y, cb, cr], dim=-3)


def ycbcr_to_rgb(ycbcr: Tensor) -> Tensor:
    """Inverse of `rgb_to_ycbcr`; not clipped."""
    y, cb, cr = ycbcr.unbind(-3)
    r = y + 2 * (1 - LUMA[0]) * (cr - 0.5)
    b = y + 2 * (1 - LUMA[2]) * (cb - 0.5)
    g = (y - LUMA[0] * r - LUMA[2] * b) / LUMA[1]
    return torch.stack([r, g, b], dim=-3)


def quantise(x: Tensor, levels: int = 255) -> Tensor:
    """Round to the nearest of `levels` + 1 steps in [0, 1] (halves up) and clip, as a picture file would hold it."""
    return (x * levels).add_(0.5).floor_().clamp_(0, levels).div_(levels)
