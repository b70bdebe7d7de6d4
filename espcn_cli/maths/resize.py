"""MATLAB's `imresize`, in named stages, and the exact degradation HR -> LR that is made from it.

When shrinking, the kernel is widened by the scale (antialiasing). Pixel centres lie at half-integers. Weights and
sums are float64. A picture of 8-bit values is resized rows first, then columns, rounded and clipped after each pass:
this reproduces the canonical LR files of Set5 and Set14 bit for bit.

All work is done on NumPy arrays; the public functions take CPU tensors as well, and give back what they were given.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from espcn_cli.maths.levels import Floats, white_of

if TYPE_CHECKING:
    from torch import Tensor

Planes = TypeVar("Planes", NDArray[Any], "Tensor")
"""Values (..., H, W), an array or a CPU tensor."""


def cubic(t: Floats) -> Floats:
    """Keys' cubic convolution kernel with a = -0.5 at distances `t` (in pixels), zero beyond 2."""
    t = np.abs(t)
    near = (1.5 * t - 2.5) * t**2 + 1
    far = ((-0.5 * t + 2.5) * t - 4) * t + 2
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def triangle(t: Floats) -> Floats:
    """Linear interpolation's kernel at distances `t` (in pixels)."""
    return (1 - np.abs(t)).clip(min=0)


def lanczos3(t: Floats) -> Floats:
    """Lanczos kernel with three lobes at distances `t` (in pixels)."""
    return np.where(np.abs(t) < 3, np.sinc(t) * np.sinc(t / 3), 0.0)


def box(t: Floats) -> Floats:
    """Nearest neighbour's kernel; widened by the scale it is the area average."""
    return ((t >= -0.5) & (t < 0.5)).astype(t.dtype)


KERNELS: dict[str, tuple[Callable[[Floats], Floats], float]] = {
    "bicubic": (cubic, 4.0),
    "lanczos": (lanczos3, 6.0),
    "bilinear": (triangle, 2.0),
    "area": (box, 1.0),
}
"""Name -> (kernel, its whole width in pixels)."""

BORDERS = ("clamp", "mirror", "wrap")

BEYOND = "beyond"
"""A border of `contributions` alone: who asks has pixels there."""


def contributions(
    length: int, target: int, method: str = "bicubic", border: str = "clamp", antialias: bool = True
) -> tuple[Floats, NDArray[np.int64]]:
    """Which input pixels make each output pixel of one axis, and with what weight.

    Returns weights (target, taps), float64, each row summing to 1, and indices (target, taps), int64, in
    [0, length). `border` says what lies outside: the edge pixel again (`clamp`), the picture mirrored at its edge, or
    the opposite side (`wrap`); with `beyond`, indices stay outside of the range.
    """
    if length < 1 or target < 1:
        raise ValueError(f"cannot resize {length} pixels to {target}")
    if method not in KERNELS or border not in (*BORDERS, BEYOND):
        raise ValueError(f"unknown method {method!r} or border {border!r}")
    kernel, width = KERNELS[method]
    factor = target / length
    shrink = min(factor, 1.0) if antialias else 1.0
    centre = np.arange(1, target + 1, dtype=np.float64) / factor + 0.5 * (1 - 1 / factor)  # 1-based, as MATLAB
    left = np.floor(centre - width / shrink / 2)
    position = left[:, None] + np.arange(math.ceil(width / shrink) + 2, dtype=np.float64)
    weights = shrink * kernel(shrink * (centre[:, None] - position))
    weights /= weights.sum(axis=1, keepdims=True)
    indices = position.astype(np.int64) - 1
    if border == "clamp":
        indices = indices.clip(0, length - 1)
    elif border == "wrap":
        indices %= length
    elif border == "mirror":
        indices %= 2 * length
        indices = np.where(indices < length, indices, 2 * length - 1 - indices)
    used = (weights != 0).any(axis=0)
    return weights[:, used], indices[:, used]


def _resize_axis(x: Floats, axis: int, weights: Floats, indices: NDArray[np.int64]) -> Floats:
    """Weighted sum of the contributing pixels along one axis, tap by tap, so that memory stays at one picture."""
    shape = [1] * x.ndim
    shape[axis] = -1
    total: Floats | None = None
    part: Floats | None = None
    for weight, index in zip(weights.T, indices.T, strict=True):
        part = np.take(x, index, axis, out=part, mode="clip")  # the other modes copy `out` first
        part *= weight.reshape(shape)
        if total is None:
            total, part = part, None
        else:
            total += part
    assert total is not None
    return total


def resize(
    x: Planes,
    height: int,
    width: int,
    method: str = "bicubic",
    *,
    border: str = "clamp",
    antialias: bool = True,
    levels: int | None = None,
) -> Planes:
    """Resize (N, C, H, W) to height × width, rows first; kind, dtype and value range are kept.

    `levels` = 255 treats float values (in [0, 1]) as an 8-bit picture's, rounding and clipping after each pass as
    MATLAB does for uint8; None leaves them unrounded and unclipped. Whole levels, uint8 or uint16, are always rounded
    and clipped after each pass. Tensors are on the CPU and want no gradient. Raises ValueError for other shapes and
    dtypes.
    """
    if not isinstance(x, np.ndarray):
        from torch import from_numpy

        wide = (x.double() if x.is_floating_point() else x).numpy()
        resized = resize(wide, height, width, method, border=border, antialias=antialias, levels=levels)
        return from_numpy(resized).to(x.dtype)
    if border not in BORDERS:
        raise ValueError(f"unknown border {border!r}")
    if x.ndim != 4:
        raise ValueError(f"resize needs (N, C, H, W), not {tuple(x.shape)}")
    whole = x.dtype in (np.uint8, np.uint16)
    if not whole and not np.issubdtype(x.dtype, np.floating):
        raise ValueError(f"resize needs floats, uint8 or uint16, not {x.dtype}")
    most = white_of(x) if whole else levels
    out: Floats = x.astype(np.float64)
    if most and not whole:
        np.rint(np.multiply(out, most, out=out), out=out)  # whole numbers, so that sums are as exact as MATLAB's
    for axis, target in ((2, height), (3, width)):
        out = _resize_axis(out, axis, *contributions(out.shape[axis], target, method, border, antialias))
        if most:
            np.floor(np.add(out, 0.5, out=out), out=out).clip(0, most, out=out)
    if most and not whole:
        out /= most
    return out.astype(x.dtype, copy=False)


def crop_to_multiple(x: Planes, scale: int) -> Planes:
    """Cut (..., H, W) at the right and bottom to multiples of the scale."""
    height, width = x.shape[-2:]
    return x[..., : height - height % scale, : width - width % scale]


def degrade(hr: Planes, scale: int, border: str = "clamp") -> Planes:
    """LR from HR as super-resolution benchmarks make it: MATLAB bicubic on 8-bit values.

    (N, C, H, W) in [0, 1] -> (N, C, H/scale, W/scale) in [0, 1] on the 8-bit grid; whole levels stay whole levels.
    Raises ValueError if the size does not divide by the scale: crop first, so that nobody scores shifted pixels.
    """
    height, width = hr.shape[-2:]
    if height % scale or width % scale:
        raise ValueError(f"{width} x {height} does not divide by {scale}: crop first")
    return resize(hr, height // scale, width // scale, border=border, levels=255)


def interpolate(lr: Planes, scale: int, method: str = "bicubic") -> Planes:
    """Upscale (N, C, H, W) by an exact factor, unrounded: the baseline that every network is held against."""
    height, width = lr.shape[-2:]
    return resize(lr, height * scale, width * scale, method)


def phase_kernels(scale: int, reach: int, kernel: Callable[[Floats], Floats]) -> Floats:
    """An even interpolation kernel as a sub-pixel convolution: (scale², 1, 2·reach + 1, 2·reach + 1).

    `phase_taps` of both axes, multiplied. The input goes on beyond its border with the edge pixel, where the result
    is to be the clamped resize's.
    """
    taps, size = phase_taps(scale, reach, kernel), 2 * reach + 1
    return (taps[:, None, :, None] * taps[:, None, :]).reshape(scale**2, 1, size, size)


def phase_taps(scale: int, reach: int, kernel: Callable[[Floats], Floats]) -> Floats:
    """One axis of `phase_kernels`: (scale, 2·reach + 1).

    Phase a of a row lies (a + 1/2)/scale - 1/2 LR pixels from its LR pixel's centre (half-pixel centres); its taps
    are the kernel's values there, within `reach` LR pixels over all phases.
    """
    offset = (np.arange(scale) + 0.5) / scale - 0.5
    return kernel(offset[:, None] - np.arange(-reach, reach + 1))
