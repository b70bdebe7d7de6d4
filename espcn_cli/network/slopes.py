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

from espcn_cli.maths.colour import EVENNESS, MIDDLE, STEEPEST, luma
from espcn_cli.network.layers import convolve_by_onednn, wants_onednn
from espcn_cli.network.subpixel import bilinear_kernel


def slopes(x: Tensor) -> Tensor:
    """RGB in [0, 1] -> each colour's slope on luma in the 3×3 pixels around, (N, 3, H, W) -> (N, 3, H, W).

    (cov(C, Y) + e)/(var(Y) + e), which is 1 + cov(C - Y, Y)/(var(Y) + e): 1 where the picture is flat or grey. It is
    at most STEEPEST from 1, and then the three are shifted so that weighted as in luma they are 1: luma's detail is
    what they add up to. The picture goes on beyond its border with the edge pixel.
    """
    y = luma(x)
    other, y = x - y, y - MIDDLE
    values = F.pad(torch.cat([y, y * y, other, other * y], dim=1), [1] * 4, mode="replicate")
    means = F.avg_pool2d(values, 3, stride=1)
    mean, square, others, products = torch.split(means, [1, 1, 3, 3], dim=1)
    change = (products - others * mean) / (square - mean * mean + EVENNESS)
    change = change.clamp(-STEEPEST, STEEPEST)
    return 1 + change - luma(change)


class ColourSlopes(nn.Module):
    """`slopes` in HR, linear between LR pixels, before the phase shift: (N, 3, H, W) -> (N, 3·scale², H, W)."""

    kernel: Tensor

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.register_buffer("kernel", bilinear_kernel(scale).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        padded = F.pad(slopes(x).reshape(n * c, 1, h, w), [1] * 4, mode="replicate")
        if wants_onednn(padded):
            out = convolve_by_onednn(padded, self.kernel, None, 0)
        else:
            out = F.conv2d(padded, self.kernel)
        return out.reshape(n, -1, h, w)
