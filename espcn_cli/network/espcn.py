"""The network family: plain convolutions on low-resolution planes, plus a linear skip, then one phase shift.

One `ModelSettings` describes each member completely. Shi et al. 2016 (arXiv 1609.05158), Section 3.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from espcn_cli.maths.quantisation import Range, grid
from espcn_cli.network import checkpoint
from espcn_cli.network.checkpoint import ModelCard, Weights
from espcn_cli.network.layers import BicubicSkip, Convolution, NearestSkip, activation, channels_last, without_questions
from espcn_cli.network.linear_path import GREY, linear_path
from espcn_cli.network.subpixel import phase_shift
from espcn_cli.settings import ModelSettings


class ESPCN(nn.Module):
    """(N, planes, H, W) in [0, 1] -> (N, planes, H·scale, W·scale), not clipped.

    Freshly made, a network with the bicubic skip *is* bicubic upsampling: its last layer starts at zero. So is one
    without that has a `linear_path`, as nearly as tanh is straight. The hidden layers start with the variance that
    their activation asks for, without which a deep narrow stack does not start at all.
    """

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.settings = settings
        channels = settings.channels
        layers: list[nn.Module] = []
        kinds = zip(channels[:-1], channels[1:], settings.kernels, settings.activations, strict=True)
        for inputs, outputs, kernel, name in kinds:
            layers.append(Convolution(inputs, outputs, kernel, padded=settings.border == "zeros"))
            if name != "none":
                layers.append(activation(name, outputs, settings.slopes))
        self.body = nn.Sequential(*layers)
        skips = {"none": None, "bicubic": BicubicSkip, "nearest": NearestSkip}
        skip = skips[settings.skip]
        self.skip = skip(settings.scale) if skip else None
        self._initialise_()

    def _initialise_(self) -> None:
        convolutions = [layer for layer in self.body if isinstance(layer, Convolution)]
        for layer in convolutions:
            layer.draw_(self.settings.activation)
        path = linear_path(self.settings)
        if self.skip is not None or path:
            nn.init.zeros_(self.tail.weight)
        if path:
            assert self.tail.bias is not None
            nn.init.constant_(self.tail.bias, GREY)
        with torch.no_grad():
            for name, (where, values) in path.items():
                self.get_parameter(name)[where] = values[where]

    def quantise_(self, ranges: Sequence[Range]) -> Self:
        """Round what goes into each layer, and its weights, to eight bits from now on; no ranges: to none.

        `ranges` are the least and the greatest value into each layer. Raises ValueError if they are not one per layer.
        """
        convolutions = [layer for layer in self.body if isinstance(layer, Convolution)]
        if len(ranges) not in (0, len(convolutions)):
            raise ValueError(f"{len(convolutions)} layers need as many ranges, not {len(ranges)}")
        for index, layer in enumerate(convolutions):
            layer.grid = grid(ranges[index]) if ranges else None
        return self

    @property
    def tail(self) -> Convolution:
        """The last convolution, whose planes the phase shift interleaves."""
        layer = self.body[self._last]
        assert isinstance(layer, Convolution)
        return layer

    @property
    def _last(self) -> int:
        return 2 * len(self.settings.widths)

    def forward(self, x: Tensor) -> Tensor:
        return phase_shift(self.phases(x), self.settings.scale)

    def phases(self, x: Tensor) -> Tensor:
        """The result before the phase shift: (N, planes, H, W) -> (N, planes·scale², H, W)."""
        black, white = self.settings.value_range
        plain = (black, white) == (0, 1)
        x = x if plain else x * (white - black) + black
        planes = self._stack(x)
        with torch.autocast(x.device.type, enabled=False):
            if self.skip is not None:
                planes = planes + self.skip(x)
            return planes if plain else (planes - black) / (white - black)

    def detail(self, x: Tensor) -> Tensor:
        """What the stack adds to its skip, before the phase shift: (N, planes, H, W) -> (N, planes·scale², H, W)."""
        black, white = self.settings.value_range
        plain = (black, white) == (0, 1)
        planes = self._stack(x if plain else x * (white - black) + black)
        return planes if plain else planes / (white - black)

    def _stack(self, x: Tensor) -> Tensor:
        """All layers: hidden ones in the precision of their weights or of autocast, the last in that of its own."""
        hidden = self.body[: self._last](channels_last(self._with_border(x).to(self.precision)))
        with torch.autocast(x.device.type, enabled=False):  # 8 significant bits are too few for what is shown
            planes: Tensor = self.body[self._last :](hidden.to(self.tail.weight.dtype))
        return planes.to(x.dtype)

    @property
    def precision(self) -> torch.dtype:
        """That of the hidden layers' weights."""
        first = self.body[0]
        assert isinstance(first, Convolution)
        return first.weight.dtype

    def lowered(self, precision: torch.dtype) -> ESPCN:
        """A copy for inference alone on a GPU, its layers in half precision.

        The last stays in float32, unless it has a skip to correct and 11 significant bits for that: in float32 it takes
        five times as long as a hidden one.
        """
        twin = copy.deepcopy(self)
        shown = precision == torch.float16 and self.skip is not None
        for index in range(len(twin.body) if shown else self._last):
            twin.body[index] = without_questions(twin.body[index]).to(precision)
        return twin

    def _with_border(self, x: Tensor) -> Tensor:
        if self.settings.border == "zeros":
            return x
        return F.pad(x, [self.settings.reach] * 4, mode="replicate")


@torch.no_grad()
def ripple(network: ESPCN) -> float:
    """The checkerboard that a network does print on flat pictures: the largest difference between output pixels.

    All 256 flat greys are tried, away from the border; the result is in [0, 1]-units like the pixels.
    """
    settings = network.settings
    side = 2 * settings.halo + 1
    greys = torch.linspace(0, 1, 256).view(-1, 1, 1, 1).expand(-1, settings.planes, side, side)
    centre = slice(settings.halo * settings.scale, (settings.halo + 1) * settings.scale)
    phases = network(greys)[..., centre, centre].flatten(2)
    return float((phases.amax(dim=2) - phases.amin(dim=2)).max())


def load(path: Path) -> tuple[ESPCN, ModelCard]:
    """Rebuild the network from a checkpoint, on the CPU, ready for inference.

    Raises EspcnError if the file is not ours, is damaged, or a tensor is missing, superfluous, misshapen or not finite.
    """
    card, arrays = checkpoint.read(path)
    return build(card.settings, arrays), card


def build(settings: ModelSettings, arrays: Weights) -> ESPCN:
    """The network of these settings and weights, on the CPU, ready for inference."""
    network = ESPCN(settings)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return network.eval().requires_grad_(False)
