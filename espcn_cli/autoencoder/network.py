"""The sub-pixel autoencoder's network: 28×28 grey pictures through a narrow code and back; and its checkpoint.

The decoder grows 7×7 planes twice by a 2×2 convolution and a phase shift. `upsampler` swaps these two steps for a
deconvolution, or for nearest-neighbour resizing and a convolution, at the same multiply-adds, so that the question of
Shi et al. 2016b (arXiv 1609.07009), what the sub-pixel form is good for, can be answered by measuring.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from espcn_cli.autoencoder.mnist import SIZE
from espcn_cli.errors import UsageError
from espcn_cli.files import is_there
from espcn_cli.network import checkpoint, weights
from espcn_cli.network.subpixel import SubpixelConvolution, phase_shift
from espcn_cli.paths import file_of
from espcn_cli.settings import AutoencoderSettings

Card = checkpoint.Card[AutoencoderSettings]

PLANES = 32
"""Planes of 7×7 pixels between the dense layers and the convolutions, on either side of the code."""

SCALE = 2
"""Each of the decoder's two steps doubles the size."""

OUTPUT_GAIN = 0.1
"""What the last layer's weights are shrunk by at the start, so that its bias decides which pixels are open."""

SHIPPED = "autoencoder"
"""The name of the checkpoint that comes with the tool."""


class SubpixelUpsampling(nn.Module):
    """2×2 convolution to four times the planes, ReLU, phase shift: (N, I, H, W) -> (N, O, 2H, 2W).

    Output pixels of LR pixel (h, w) see x at h, h + 1 and w, w + 1; beyond the last row and column there are zeros.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs * SCALE**2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return phase_shift(F.relu(self.convolution(pad_end(x))), SCALE)


class DeconvolutionUpsampling(nn.Module):
    """Transposed 4×4 convolution with stride 2, then ReLU: (N, I, H, W) -> (N, O, 2H, 2W).

    Every input pixel meets 4·4·I·O weights, as many as in `SubpixelUpsampling`, so parameters (but for the biases: one
    per plane, not one per phase) and multiply-adds are the same. With the first two rows and columns cut off it is
    the same map, as `SubpixelConvolution.to_deconvolution` says with pads (0, 1).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose2d(inputs, outputs, 2 * SCALE, stride=SCALE)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.convolution(x)[:, :, SCALE:, SCALE:])  # 2H + 2 rows, the first two cut


class ResizeUpsampling(nn.Module):
    """Nearest-neighbour doubling, 2×2 convolution, ReLU: (N, I, H, W) -> (N, O, 2H, 2W).

    The convolution has a quarter of the outputs at four times the pixels: the same multiply-adds as
    `SubpixelUpsampling` with a quarter of the weights. Its maps are those sub-pixel convolutions whose phases share
    them: along one axis the weights (p, q) are (p + q, 0) in phase 0 and (p, q) in phase 1.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 2)

    def forward(self, x: Tensor) -> Tensor:
        grown = F.interpolate(x, scale_factor=SCALE, mode="nearest")
        return F.relu(self.convolution(pad_end(grown)))


def pad_end(x: Tensor) -> Tensor:
    """One row and one column of zeros at the end: what keeps the size under a 2×2 kernel ('same' padding)."""
    return F.pad(x, (0, 1, 0, 1))


Upsampling = SubpixelUpsampling | DeconvolutionUpsampling | ResizeUpsampling

UPSAMPLINGS: dict[str, Callable[[int, int], Upsampling]] = {
    "subpixel": SubpixelUpsampling,
    "deconvolution": DeconvolutionUpsampling,
    "resize": ResizeUpsampling,
}


class Autoencoder(nn.Module):
    """(N, 1, 28, 28) in [0, 1] -> (N, 1, 28, 28), at least 0, not clipped at 1.

    28×28×1, 3×3 to 16, pool, 14×14×16, 3×3 to 32, pool, 7×7×32, code, 7×7×32, upsampling, 14×14×32, upsampling,
    28×28×1. ReLU after every layer but the code. Freshly made, it draws almost flat grey.
    """

    def __init__(self, settings: AutoencoderSettings, brightness: float = 0.5) -> None:
        super().__init__()
        self.settings = settings
        features = PLANES * (SIZE // 4) ** 2
        upsampling = UPSAMPLINGS[settings.upsampler]
        with torch.random.fork_rng(devices=[]):  # their own initialisation is replaced: it shall not use up the seed
            self.first = nn.Conv2d(1, 16, 3, padding=1)
            self.second = nn.Conv2d(16, PLANES, 3, padding=1)
            self.code = nn.Linear(features, settings.code)
            self.spread = nn.Linear(settings.code, features)
            self.grow = upsampling(PLANES, PLANES)
            self.draw = upsampling(PLANES, 1)
        self._initialise_(brightness)

    @torch.no_grad()
    def _initialise_(self, brightness: float) -> None:
        """He's normal initialisation before each ReLU; the last layer starts as almost flat grey of `brightness`.

        Its ReLU could die: the gradient first moves all of the output towards the pictures' mean, and Adam
        overshoots. Begun at that mean, it does not have to move, and nearly every output pixel is open. The
        deconvolution begins as the sub-pixel layer of the same seed: the same map, written the other way.
        """
        for layer in (self.first, self.second, self.code, self.spread, self.grow.convolution, self.draw.convolution):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
            if isinstance(layer, nn.ConvTranspose2d):
                weight = nn.init.kaiming_normal_(torch.empty(layer.out_channels * SCALE**2, layer.in_channels, 2, 2))
                layer.weight.copy_(SubpixelConvolution(weight, None, SCALE, pads=(0, 1)).to_deconvolution().weight)
            else:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="linear" if layer is self.code else "relu")
        assert self.draw.convolution.bias is not None
        self.draw.convolution.weight.mul_(OUTPUT_GAIN)
        nn.init.constant_(self.draw.convolution.bias, brightness)

    def encode(self, x: Tensor) -> Tensor:
        """Pictures (N, 1, 28, 28) in [0, 1] -> codes (N, code), any real numbers."""
        x = F.max_pool2d(F.relu(self.first(x)), 2)
        x = F.max_pool2d(F.relu(self.second(x)), 2)
        codes: Tensor = self.code(x.flatten(1))
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (N, code) -> pictures (N, 1, 28, 28), at least 0."""
        x = F.relu(self.spread(codes)).view(-1, PLANES, SIZE // 4, SIZE // 4)
        picture: Tensor = self.draw(self.grow(x.contiguous(memory_format=torch.channels_last)))
        return picture

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


def find(name: str) -> Path:
    """A checkpoint's path: as given, or the shipped one's if the name is `autoencoder` and no such file is there.

    Raises UsageError for another name, or a path that means a folder.
    """
    path = file_of(name)
    if path.suffix or is_there(path) or os.path.dirname(name):  # noqa: PTH120
        return path
    if name != SHIPPED:
        raise UsageError(f"unknown checkpoint {name!r}: there is {SHIPPED}, or give a .safetensors file")
    return checkpoint.weights_folder() / f"{SHIPPED}.safetensors"


def read_card(path: Path) -> Card:
    """Read a checkpoint's metadata. Raises EspcnError if the file is not an autoencoder's checkpoint of ours."""
    return checkpoint.read_card_of(AutoencoderSettings, path)


def load(path: Path) -> tuple[Autoencoder, Card]:
    """Rebuild an autoencoder on the CPU. Raises EspcnError if the file is not one's, is damaged, or does not fit."""
    card = read_card(path)
    network = Autoencoder(card.settings)
    weights.fill_(network, path)
    return network.eval().requires_grad_(False), card
