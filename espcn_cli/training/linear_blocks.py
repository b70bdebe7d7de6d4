"""Collapsible linear blocks: more weights while training, the same plain convolutions afterwards.

Each k×k convolution is trained as the sum of its own kernel and the product of a k×k convolution to `width` channels
and a 1×1 convolution back, after SESR (Bhardwaj et al. 2022, arXiv 2103.09404). Both are linear, so the product is
one k×k kernel. It is merged before each convolution: a training step costs hardly more than a plain one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from espcn_cli.network.espcn import ESPCN
from espcn_cli.network.linear_path import Held
from espcn_cli.settings import ModelSettings

BRANCH_GAIN = 0.9
"""Variance that the product adds to an identity, so that a leaky ReLU's output keeps its scale through the stack."""

SOFT_GAIN = 1.2
"""Both times this in a network with hardswish, which halves small values: without it they fade on their way, how much
is chance, and a stack of 32 planes dies within 1,000 steps at a learning rate of 1e-3."""


class LinearBlock(nn.Module):
    """A product of two linear maps: squeeze (O, M) · expand (M, I, k, k) -> one kernel (O, I, k, k)."""

    def __init__(self, shape: torch.Size, width: int, gain: float) -> None:
        super().__init__()
        outputs, inputs, height, kernel = shape
        self.shape = shape
        self.expand = nn.Parameter(torch.randn(width, inputs * height * kernel) / math.sqrt(inputs * height * kernel))
        self.squeeze = nn.Parameter(torch.randn(outputs, width) * math.sqrt(gain / width))

    def forward(self) -> Tensor:
        return (self.squeeze @ self.expand).view(self.shape)


class TrainingForm(nn.Module):
    """A network with a linear block of `width` channels beside each convolution (0: none).

    In an untrained one, square layers start as the identity plus their block, somewhat larger if there is a hardswish,
    and a layer of zeros keeps its output at zero. A trained one starts as it is: its blocks' products are zero. Weights
    that are `held` stay as they are.
    """

    def __init__(self, network: nn.Module, width: int, trained: bool = False, held: Mapping[str, Held] = {}) -> None:
        super().__init__()
        self.network = network
        self.held_names = list(held)
        for index, (where, values) in enumerate(held.values()):
            self.register_buffer(f"where_{index}", where, persistent=False)
            self.register_buffer(f"values_{index}", values, persistent=False)
        self.names: list[str] = []
        self.blocks = nn.ModuleList()
        gain = SOFT_GAIN if any(isinstance(layer, nn.Hardswish) for layer in network.modules()) else 1.0
        for name, layer in network.named_modules():
            if width and isinstance(layer, nn.Conv2d):
                weight = f"{name}.weight"
                self.names.append(weight)
                free = layer.weight[~held[weight].where] if weight in held else layer.weight
                self.blocks.append(
                    LinearBlock(layer.weight.shape, width, 0.0)
                    if trained
                    else _block_for_(layer, width, gain, zero=not free.any())
                )

    def merged(self) -> dict[str, Tensor]:
        """The plain network's parameters, each block added to its kernel; differentiable."""
        parameters: dict[str, Tensor] = dict(self.network.named_parameters())
        for name, block in zip(self.names, self.blocks, strict=True):
            parameters[name] = parameters[name] + block()
        for index, name in enumerate(self.held_names):
            where, values = self.get_buffer(f"where_{index}"), self.get_buffer(f"values_{index}")
            parameters[name] = torch.where(where, values, parameters[name])
        return parameters

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = functional_call(self.network, self.merged(), (x,))
        return result


def plain_network(form: TrainingForm, settings: ModelSettings) -> ESPCN:
    """A copy in inference form: linear blocks merged into plain convolutions."""
    plain = ESPCN(settings)
    plain.load_state_dict(form.merged())
    return plain


def _block_for_(layer: nn.Conv2d, width: int, gain: float, zero: bool) -> LinearBlock:
    outputs, inputs = layer.weight.shape[:2]
    square = outputs == inputs and not zero
    with torch.no_grad():
        layer.weight.zero_()
        if square:
            nn.init.dirac_(layer.weight)
            layer.weight.mul_(gain)
    variance = 0.0 if zero else BRANCH_GAIN * gain**2 if square else 2 * BRANCH_GAIN
    return LinearBlock(layer.weight.shape, width, variance)
