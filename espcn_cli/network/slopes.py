"""How each colour goes with luma nearby: the share of luma's detail that it takes.

A network that sharpens luma knows nothing of colours. Added to red, green and blue alike, its detail is a ghost in
those that do not change there, and too little for one that does: between red and blue luma hardly changes, and the edge
stays soft. So each takes it in proportion to its own slope on luma, the idea of predicting chroma from luma (Trudeau,
Egge and Barr 2017, arXiv 1711.03951, for AV1).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from espcn_cli.maths.colour import EVENNESS, HALVED_REACH, MIDDLE, SLOPE_REACH, STEEPEST, luma
from espcn_cli.network.layers import convolve_by_onednn, wants_onednn
from espcn_cli.network.subpixel import bilinear_kernel


def slopes(around: Tensor, halved: bool = False) -> Tensor:
    """RGB in [0, 1] -> each colour's slope on luma in the pixels around it, (N, 3, H + 2, W + 2) -> (N, 3, H, W).

    (cov(C, Y) + e)/(var(Y) + e) over 3×3 pixels, which is 1 + cov(C - Y, Y)/(var(Y) + e): 1 where the picture is flat
    or grey. It is at most STEEPEST from 1, and then the three are shifted so that weighted as in luma they are 1:
    luma's detail is what they add up to.

    `halved`: chroma was held at half the resolution. Then it is luma as smooth as chroma is that it goes with, over 5×5
    pixels: (N, 3, H + 6, W + 6) -> (N, 3, H, W).
    """
    y = luma(around)
    other, y = around - y, y - MIDDLE
    if halved:
        other, y = other[..., 1:-1, 1:-1], smoothed(y)
    values = torch.cat([y, y * y, other, other * y], dim=1)
    means = F.avg_pool2d(values, 5 if halved else 3, stride=1)
    mean, square, others, products = torch.split(means, [1, 1, 3, 3], dim=1)
    change = (products - others * mean) / (square - mean * mean + EVENNESS)
    change = change.clamp(-STEEPEST, STEEPEST)
    return 1 + change - luma(change)


def smoothed(around: Tensor) -> Tensor:
    """Planes (N, C, H + 2, W + 2) -> (N, C, H, W), by 1, 2, 1 over 4 in both directions.

    Twice that, 1, 4, 6, 4, 1 over 16, is what halving and a triangle make of a plane, in the mean over where the pairs
    begin: what is left of chroma in a JPEG 4:2:0.
    """
    return F.avg_pool2d(F.avg_pool2d(around, 2, stride=1), 2, stride=1)


def softened(x: Tensor) -> Tensor:
    """RGB with luma as soft as chroma is that was held at half the resolution: smoothed twice. (N, 3, H, W)."""
    y = luma(x)
    return x - y + smoothed(smoothed(F.pad(y, [2] * 4, mode="replicate")))


class ColourSlopes(nn.Module):
    """`slopes` in HR, linear between LR pixels, before the phase shift: (N, 3, H, W) -> (N, 3·scale², H, W).

    Beyond its border the picture goes on with the edge pixel, and so do its slopes.
    """

    kernel: Tensor

    def __init__(self, scale: int, halved: bool = False) -> None:
        super().__init__()
        self.halved = halved
        self.register_buffer("kernel", bilinear_kernel(scale).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        reach = (HALVED_REACH if self.halved else SLOPE_REACH) - 1
        around = slopes(F.pad(x, [reach] * 4, mode="replicate"), self.halved)
        found = F.pad(around, [1] * 4, mode="replicate").reshape(n * c, 1, h + 2, w + 2)
        out = convolve_by_onednn(found, self.kernel, None, 0) if wants_onednn(found) else F.conv2d(found, self.kernel)
        return out.reshape(n, -1, h, w)
