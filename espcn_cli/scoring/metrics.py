"""PSNR, SSIM and brightness of planes in [0, 1], in float64. Small enough to check against the formulas by eye."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from espcn_cli.maths.colour import luma

HIGHEST_PSNR = 10 * math.log10(255**2 / (1 / 12))
"""58.92 dB: rounding to 8 bits alone errs by 1/12 in the mean square, so what is nearer counts as equal."""

SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
SSIM_K1 = 0.01
SSIM_K2 = 0.03

BRIGHTNESS_WINDOW = 8
"""Side in LR pixels: patterns of single pixels and dither are even in it, and so are the sharper edges of an answer."""


def shave(x: Tensor, border: int) -> Tensor:
    """Leave out `border` pixels at each side of (..., H, W); 0 returns the picture whole."""
    height, width = x.shape[-2:]
    if border < 0 or 2 * border >= min(height, width):
        raise ValueError(f"cannot shave {border} pixels off each side of {width} x {height}")
    return x[..., border : height - border, border : width - border]


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio in dB for peak 1: -10 log10(mean((a - b)²)); equal pictures give infinity."""
    _same_shape(a, b)
    error = (a.double() - b.double()).square().mean()
    return math.inf if error == 0 else float(0 - 10 * torch.log10(error))  # 0 dB is 0, not -0


def ssim(a: Tensor, b: Tensor) -> float:
    """Mean structural similarity of (N, 1, H, W) with peak 1, after Wang et al. 2004.

    11×11 Gaussian window with sigma 1.5, K1 = 0.01, K2 = 0.03, biased moments, only windows that lie inside.
    Raises ValueError if a side is shorter than the window.
    """
    _same_shape(a, b)
    if a.ndim != 4 or a.shape[1] != 1 or min(a.shape[-2:]) < SSIM_WINDOW:
        raise ValueError(f"SSIM needs one plane of at least {SSIM_WINDOW} x {SSIM_WINDOW}, not {tuple(a.shape)}")
    a, b = a.double(), b.double()
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a = _blur(a * a) - mean_a**2
    variance_b = _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    c1, c2 = SSIM_K1**2, SSIM_K2**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return float((luminance * structure).mean())


def brightness_error(sr: Tensor, lr: Tensor, scale: int) -> float:
    """How far a picture is from its enlargement in brightness, in [0, 1]; 0 for one whose pixels are just repeated.

    (1, 1 or 3, H·scale, W·scale) and (1, 1 or 3, H, W): the mean over windows of 8×8 LR pixels (what does not fill one
    is left out) of |mean luma there - mean luma of the same window of LR|. Raises ValueError if there is no window.
    """
    if tuple(sr.shape[-2:]) != (lr.shape[-2] * scale, lr.shape[-1] * scale) or min(lr.shape[-2:]) < BRIGHTNESS_WINDOW:
        raise ValueError(f"{tuple(sr.shape)} is not {tuple(lr.shape)} times {scale}, or smaller than a window")
    large = F.avg_pool2d(luma(sr), BRIGHTNESS_WINDOW * scale)
    return float((large - F.avg_pool2d(luma(lr), BRIGHTNESS_WINDOW)).double().abs().mean())


def _blur(x: Tensor) -> Tensor:
    """Gaussian-weighted local mean, one axis at a time: (N, 1, H, W) -> (N, 1, H - 10, W - 10)."""
    t = torch.arange(SSIM_WINDOW, dtype=x.dtype, device=x.device) - SSIM_WINDOW // 2
    window = torch.exp(-(t**2) / (2 * SSIM_SIGMA**2))
    window /= window.sum()
    return F.conv2d(F.conv2d(x, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))


def _same_shape(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape:
        raise ValueError(f"pictures differ in shape: {tuple(a.shape)} and {tuple(b.shape)}")
