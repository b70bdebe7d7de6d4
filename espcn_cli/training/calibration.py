"""Between which values the layers of a network in eight bits round what goes into them."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from espcn_cli.engines.engine import NotFiniteError
from espcn_cli.maths.quantisation import LEAST, Range, Ranges
from espcn_cli.network.espcn import ESPCN
from espcn_cli.network.layers import Convolution

EXTREME = 1e-4
"""The share of values at each end that a range leaves out: they are clipped, and all others rounded more finely."""

FACTORS = (0.7, 0.8, 0.9, 1.1, 1.2)
"""By which the greatest value is multiplied on trial."""

FAR = 0.5
"""How far a range is widened towards the extremes that patterns reach: all the way, photographs would lose too much."""

EVERY = 4
"""Of how many batches one is enough for the trials."""


@torch.no_grad()
def calibrate(network: ESPCN, batches: Sequence[Tensor]) -> Ranges:
    """A range for each layer, with which the network in eight bits differs little from itself on LR (N, C, H, W).

    They are first measured, and then each greatest value is moved to where the mean squared difference is least. The
    network stays as it is. Raises NotFiniteError if it gives NaN or infinity.
    """
    plain = copy.deepcopy(network).quantise_(())
    return refined(plain, measured(plain, batches), batches[::EVERY])


@torch.no_grad()
def widened(network: ESPCN, ranges: Ranges) -> Ranges:
    """Ranges with more room for patterns of single pixels, dither and text, whose values photographs do not have.

    Without it they come out too dark or too bright. The network stays as it is.
    """
    plain = copy.deepcopy(network).quantise_(())
    like = plain.tail.weight
    drawn = [pattern.expand(1, plain.settings.planes, -1, -1).to(like) for pattern in patterns()]
    found = []
    for (low, high), end in zip(ranges, looked_at(plain, drawn, [1] * len(ranges)), strict=True):
        least, greatest = end.range
        found.append((low + FAR * min(least - low, 0.0), high + FAR * max(greatest - high, 0.0)))
    return (ranges[0], *found[1:])


def measured(network: ESPCN, batches: Sequence[Tensor]) -> Ranges:
    """Between which values nearly all are that go into each layer; into the first, between black and white."""
    pixels = sum(len(lr) * lr[0, 0].numel() for lr in batches)
    counts = [math.ceil(EXTREME * pixels * layer.in_channels) for layer in convolutions(network)]
    return (network.settings.value_range, *(end.range for end in looked_at(network, batches, counts)[1:]))


def looked_at(network: ESPCN, batches: Sequence[Tensor], counts: Sequence[int]) -> list[Ends]:
    """The ends of what goes into each layer, so many values of each. Raises NotFiniteError if NaN or infinity is."""
    ends = [Ends(count) for count in counts]
    hooks = [layer.register_forward_pre_hook(end) for layer, end in zip(convolutions(network), ends, strict=True)]
    for lr in batches:
        if not network.detail(lr).sum().isfinite():
            raise NotFiniteError("the network gives NaN or infinity")
    for hook in hooks:
        hook.remove()
    return ends


def convolutions(network: ESPCN) -> list[Convolution]:
    return [layer for layer in network.body if isinstance(layer, Convolution)]


class Ends:
    """The least and the greatest of all values that go into a layer, `count` of each."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.least = self.greatest = torch.zeros(0)

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor]) -> None:
        values = inputs[0].flatten()
        self.least = self._first(self.least, values, largest=False)
        self.greatest = self._first(self.greatest, values, largest=True)

    @property
    def range(self) -> Range:
        """Without the others. It holds 0, and more than that."""
        return min(float(self.least[-1]), 0.0), max(float(self.greatest[-1]), LEAST)

    def _first(self, before: Tensor, values: Tensor, largest: bool) -> Tensor:
        both = torch.cat([before.to(values), values])
        return both.topk(min(self.count, len(both)), largest=largest).values


def patterns() -> Iterator[Tensor]:
    """Chequerboards, lines, noise, dots, dithered shades and text, black and white: (1, 1, H, W) in [0, 1]."""
    y, x = np.mgrid[0:64, 0:64]
    shades = np.random.default_rng(0).random((64, 64))
    drawn = [(x + y) % 2, x % 2, y % 2, (x // 2 + y // 2) % 2, x % 3 == 0, (x + y) % 3 == 0]
    drawn += [shades < 0.5, shades < 0.1, shades < 0.9, shades]
    ramp = Image.fromarray(np.tile(np.arange(0, 256, 2).astype(np.uint8), (64, 1)))
    drawn.append(np.asarray(ramp.convert("1")))
    page = Image.new("L", (128, 64), 255)
    for line in range(5):
        ImageDraw.Draw(page).text((2, 12 * line), "The quick brown fox 0123", fill=0)
    text = np.asarray(page) / 255
    for pattern in (*drawn, text, 1 - text):
        yield torch.from_numpy(np.asarray(pattern, np.float32))[None, None]


def refined(network: ESPCN, ranges: Sequence[Range], batches: Sequence[Tensor]) -> Ranges:
    """The ranges with each greatest value multiplied by that one of FACTORS, or 1, which makes the least difference."""
    wanted = [network.quantise_(()).detail(lr) for lr in batches]

    def difference(tried: Sequence[Range]) -> float:
        network.quantise_(tried)
        squares = [(network.detail(lr) - exact).square().sum() for lr, exact in zip(batches, wanted, strict=True)]
        return float(torch.stack(squares).sum())

    best = list(ranges)
    least = difference(best)
    for layer in range(1, len(best)):  # into the first go pixels: none of their levels is to be clipped
        low, high = best[layer]
        for factor in FACTORS:
            tried = [*best[:layer], (low, factor * high), *best[layer + 1 :]]
            if (squares := difference(tried)) < least:
                best, least = tried, squares
    return tuple(best)
