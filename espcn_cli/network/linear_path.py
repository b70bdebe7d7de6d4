"""A way for the picture through a network that has no skip: a few of its units carry it on and enlarge it.

Shi et al.'s network (arXiv 1609.05158) has no skip: it must learn to interpolate before anything else, with tanh, and
is slow at it. Here it starts as bicubic upsampling. That is a 5×5 kernel for each phase, and 3×3 after 3×3 reaches as
far: the first unit takes the picture, small enough for tanh's straight part; four units of the last hidden layer shift
it by a pixel along each diagonal; the last layer holds, for each of them, the bicubic kernel's part on that side. While
these weights are held, the others train as they would beside a skip, and what is stored is still the plain network.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from espcn_cli.network.subpixel import bicubic_kernel
from espcn_cli.settings import BICUBIC_REACH, ModelSettings

GAIN = 0.1
"""tanh gets 0.1·(x - 1/2), at most 0.05 from zero: it bends that by less than a thousandth."""

GREY = 0.5
"""The pixel value that is zero inside, and so beyond the border."""

SIDES = (-1, 1)
DIAGONALS = [(dy, dx) for dy in SIDES for dx in SIDES]


class Held(NamedTuple):
    """Part of a parameter, and its values there: two tensors of the parameter's shape, the first bool."""

    where: Tensor
    values: Tensor


def linear_path(settings: ModelSettings) -> dict[str, Held]:
    """The path's weights and biases by the network's names for them.

    Empty for a network that has a skip, another activation than tanh, more planes than luma, or no room: it takes two
    hidden layers, five units in the last one, and 3×3 kernels or larger in the last two layers.
    """
    widths, kernels, channels = settings.widths, settings.kernels, settings.channels
    roomy = len(widths) > 1 and widths[-1] > len(DIAGONALS) and min(kernels[-2:]) > 1
    if settings.skip != "none" or settings.activation != "tanh" or settings.planes > 1 or settings.is_new or not roomy:
        return {}
    path = {}
    for layer, (inputs, outputs, kernel) in enumerate(zip(channels[:-1], channels[1:], kernels, strict=True)):
        weight, bias = torch.zeros(outputs, inputs, kernel, kernel), torch.zeros(outputs)
        last, centre = layer == len(widths), kernel // 2
        if last:
            units = slice(0)  # every output has something else besides
            weight[:, : len(DIAGONALS)] = _quarters(settings.scale, kernel) / GAIN
        elif layer == len(widths) - 1:
            units = slice(len(DIAGONALS))
            for unit, (dy, dx) in enumerate(DIAGONALS):
                weight[unit, 0, centre + dy, centre + dx] = 1.0
        else:
            units = slice(1)
            weight[0, 0, centre, centre] = 1.0 if layer else GAIN
            bias[0] = 0.0 if layer else -GAIN * GREY
        weights_held, biases_held = torch.zeros_like(weight, dtype=torch.bool), torch.zeros_like(bias, dtype=torch.bool)
        weights_held[units] = biases_held[units] = True
        if last:
            weights_held[:, : len(DIAGONALS)] = True
        path[f"body.{2 * layer}.weight"] = Held(weights_held, weight)
        path[f"body.{2 * layer}.bias"] = Held(biases_held, bias)
    return path


def follows(parameters: dict[str, Tensor], path: dict[str, Held]) -> bool:
    """Whether a network has this path, to the bit: then it was trained around it, and can be further."""
    return all(torch.equal(parameters[name][where], values[where]) for name, (where, values) in path.items())


def _quarters(scale: int, kernel: int) -> Tensor:
    """The bicubic kernel in four parts, (scale², 4, k, k), each for the picture that comes from one diagonal."""
    whole = bicubic_kernel(scale)[:, 0].float()  # (scale², 5, 5)
    parts = torch.zeros(len(whole), len(DIAGONALS), kernel, kernel)
    offsets = range(-BICUBIC_REACH, BICUBIC_REACH + 1)
    for y, x in ((y, x) for y in offsets for x in offsets):
        dy, dx = (SIDES[offset > 0] for offset in (y, x))
        at = kernel // 2 + y - dy, kernel // 2 + x - dx
        parts[:, DIAGONALS.index((dy, dx)), *at] = whole[:, y + BICUBIC_REACH, x + BICUBIC_REACH]
    return parts
