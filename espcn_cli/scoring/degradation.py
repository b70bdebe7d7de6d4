"""How LR comes from HR: the benchmarks' clean bicubic, other kernels, and what cameras and the web do to pictures."""

from __future__ import annotations

import io
import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from espcn_cli.maths.resize import degrade, resize
from espcn_cli.scoring import damages
from espcn_cli.scoring.tensors import from_levels, quantise, to_depth

BLUR = (0.1, 0.7)
"""Standard deviation of `camera`'s Gaussian blur, in LR pixels."""

NOISE = (0.0, 6.0)
"""Standard deviation of `camera`'s Gaussian noise, in levels of 255."""

JPEG_QUALITY = (50, 95)
"""Range of `camera`'s JPEG quality."""

DESCRIPTIONS = {
    "bicubic": "LR by MATLAB bicubic on 8 bits",
    "area": "LR by area average on 8 bits",
    "lanczos": "LR by Lanczos (3 lobes) on 8 bits",
    "aliased": "LR by bicubic without antialiasing on 8 bits",
    "camera": f"LR by blur ({BLUR[0]}-{BLUR[1]} LR px), bicubic, noise (up to {NOISE[1]:g} of 255) "
    f"and JPEG (quality {JPEG_QUALITY[0]}-{JPEG_QUALITY[1]}), drawn per picture",
    "real": "LR by bicubic, area, Lanczos or every n-th pixel, then sharpening, noise, JPEG, WebP or a palette, drawn "
    "per picture",
}


def make_lr(hr: Tensor, scale: int, name: str = "bicubic", generator: torch.Generator | None = None) -> Tensor:
    """LR from HR: (1, C, H, W) in [0, 1] -> (1, C, H/scale, W/scale) in [0, 1] on the 8-bit grid.

    `camera` and `real` draw what they do from the generator. Raises ValueError for an unknown name or a size that does
    not divide by the scale.
    """
    if name == "bicubic":
        return degrade(hr, scale)
    if name == "camera":
        return camera(hr, scale, generator)
    if name == "real":
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        return from_levels(damages.any_damage(rng).levels(to_depth(hr), scale, rng))
    height, width = hr.shape[-2] // scale, hr.shape[-1] // scale
    if name == "aliased":
        return resize(hr, height, width, antialias=False, levels=255)
    if name in ("area", "lanczos"):
        return resize(hr, height, width, name, levels=255)
    raise ValueError(f"unknown degradation {name!r}; there are {', '.join(DESCRIPTIONS)}")


def camera(hr: Tensor, scale: int, generator: torch.Generator | None = None) -> Tensor:
    """Blur, shrink, noise, JPEG: what a picture off the web is. (N, C, H, W) in [0, 1] -> LR on the 8-bit grid.

    The strength of each is drawn uniformly from its range, for each picture of the batch by itself.
    """
    blur, noise, quality = torch.rand(3, len(hr), generator=generator)
    lr = degrade(quantise(gaussian(hr, scale * _between(BLUR, blur))), scale)
    deviations = (_between(NOISE, noise) / 255).view(-1, 1, 1, 1)
    lr = lr + torch.randn(lr.shape, generator=generator) * deviations
    qualities = _between(JPEG_QUALITY, quality).round().int().tolist()
    return torch.cat([jpeg(picture[None], quality) for picture, quality in zip(lr, qualities, strict=True)])


def _between(bounds: tuple[float, float], share: Tensor) -> Tensor:
    return bounds[0] + share * (bounds[1] - bounds[0])


def gaussian(x: Tensor, sigma: Tensor) -> Tensor:
    """Blur each of (N, C, H, W) by a Gaussian of its own `sigma` (N,) in pixels, cut at four of the widest.

    The edge pixels go on beyond the edge.
    """
    reach = max(1, math.ceil(4 * float(sigma.max())))
    t = torch.arange(-reach, reach + 1, dtype=x.dtype)
    n, c, h, w = x.shape
    kernels = torch.softmax(-(t**2) / (2 * sigma[:, None] ** 2), dim=1).to(x.dtype).repeat_interleave(c, dim=0)
    padded = F.pad(x.reshape(1, n * c, h, w), [reach] * 4, mode="replicate")
    rows = F.conv2d(padded, kernels.view(n * c, 1, 1, -1), groups=n * c)
    return F.conv2d(rows, kernels.view(n * c, 1, -1, 1), groups=n * c).view(n, c, h, w)


def jpeg(x: Tensor, quality: int) -> Tensor:
    """Through a JPEG file and back: (1, 1 or 3, H, W) in [0, 1], rounded to 8 bits."""
    levels = to_depth(x)
    file = io.BytesIO()
    Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels).save(file, "JPEG", quality=quality)
    with Image.open(file) as image:
        return from_levels(np.atleast_3d(np.array(image))).to(x.dtype)
