"""MATLAB's `imresize`, in named stages, and the exact degradation HR -> LR that is made from it.

When shrinking, the kernel is widened by the scale (antialiasing). Pixel centres lie at half-integers. Weights and
sums are float64. A picture of 8-bit values is resized rows first, then columns, rounded and clipped after each pass:
this reproduces the canonical LR files of Set5 and Set14 bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from espcn_cli.network.subpixel import cubic, triangle


def lanczos3(t: Tensor) -> Tensor:
    """Lanczos kernel with three lobes at distances `t` (in pixels)."""
    return torch.where(t.abs() < 3, torch.sinc(t) * torch.sinc(t / 3), torch.zeros_like(t))


def box(t: Tensor) -> Tensor:
    """Nearest neighbour's kernel; widened by the scale it is the area average."""
    return ((t >= -0.5) & (t < 0.5)).to(t.dtype)


KERNELS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "bicubic": (cubic, 4.0),
    "lanczos": (lanczos3, 6.0),
    "bilinear": (triangle, 2.0),
    "area": (box, 1.0),
}
"""Name -> (kernel, its whole width in pixels)."""

BORDERS = ("clamp", "mirror")


def contributions(
    length: int, target: int, method: str = "bicubic", border: str = "clamp", antialias: bool = True
) -> tuple[Tensor, Tensor]:
    """Which input pixels make each output pixel of one axis, and with what weight.

    Returns weights (target, taps), float64, each row summing to 1, and indices (target, taps), int64, in
    [0, length). `border` says what lies outside: the edge pixel again (`clamp`), or the picture mirrored at its edge.
    """
    if length < 1 or target < 1:
        raise ValueError(f"cannot resize {length} pixels to {target}")
    if method not in KERNELS or border not in BORDERS:
        raise ValueError(f"unknown method {method!r} or border {border!r}")
    kernel, width = KERNELS[method]
    factor = target / length
    shrink = min(factor, 1.0) if antialias else 1.0
    centre = (torch.arange(1, target + 1, dtype=torch.float64)) / factor + 0.5 * (1 - 1 / factor)  # 1-based, as MATLAB
    left = torch.floor(centre - width / shrink / 2)
    taps = math.ceil(width / shrink) + 2
    position = left[:, None] + torch.arange(taps, dtype=torch.float64)
    weights = shrink * kernel(shrink * (centre[:, None] - position))
    weights = weights / weights.sum(dim=1, keepdim=True)
    indices = position.long() - 1
    if border == "clamp":
        indices = indices.clamp(0, length - 1)
    else:
        indices = indices.remainder(2 * length)
        indices = torch.where(indices < length, indices, 2 * length - 1 - indices)
    used = (weights != 0).any(dim=0)
    return weights[:, used], indices[:, used]


def _resize_axis(x: Tensor, axis: int, weights: Tensor, indices: Tensor) -> Tensor:
    """Weighted sum of the contributing pixels along one axis, tap by tap, so that memory stays at one picture."""
    shape = [1] * x.ndim
    shape[axis] = -1
    total = x.index_select(axis, indices[:, 0]) * weights[:, 0].view(shape)
    for tap in range(1, weights.shape[1]):
        total.addcmul_(x.index_select(axis, indices[:, tap]), weights[:, tap].view(shape))
    return total


def resize(
    x: Tensor,
    height: int,
    width: int,
    method: str = "bicubic",
    *,
    border: str = "clamp",
    antialias: bool = True,
    levels: int | None = None,
) -> Tensor:
    """Resize (N, C, H, W) to height × width, rows first; dtype and value range are kept.

    `levels` = 255 treats the values (in [0, 1]) as an 8-bit picture's, rounding and clipping after each pass as
    MATLAB does for uint8; None leaves them unrounded and unclipped.
    """
    if x.ndim != 4:
        raise ValueError(f"resize needs (N, C, H, W), not {tuple(x.shape)}")
    out = x.double()
    if levels:
        out = (out * levels).round_()  # whole numbers, so that sums are as exact as MATLAB's
    for axis, target in ((2, height), (3, width)):
        weights, indices = contributions(out.shape[axis], target, method, border, antialias)
        out = _resize_axis(out, axis, weights.to(x.device), indices.to(x.device))
        if levels:
            out = out.add_(0.5).floor_().clamp_(0, levels)
    return (out / levels if levels else out).to(x.dtype)


def crop_to_multiple(x: Tensor, scale: int) -> Tensor:
    """Cut (..., H, W) at the right and bottom to multiples of the scale."""
    height, width = x.shape[-2:]
    return x[..., : height - height % scale, : width - width % scale]


def degrade(hr: Tensor, scale: int, border: str = "clamp") -> Tensor:
    """LR from HR as super-resolution benchmarks make it: MATLAB bicubic on 8-bit values.

    (N, C, H, W) in [0, 1] -> (N, C, H/scale, W/scale) in [0, 1] on the 8-bit grid. Raises ValueError if the size
    does not divide by the scale: crop first, so that nobody scores shifted pixels.
    """
    height, width = hr.shape[-2:]
    if height % scale or width % scale:
        raise ValueError(f"{width} x {height} does not divide by {scale}: crop first")
    return resize(hr, height // scale, width // scale, border=border, levels=255)


def interpolate(lr: Tensor, scale: int, method: str = "bicubic") -> Tensor:
    """Upscale (N, C, H, W) by an exact factor, unrounded: the baseline that every network is held against."""
    height, width = lr.shape[-2:]
    return resize(lr, height * scale, width * scale, method)
