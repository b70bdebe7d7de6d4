"""Planes as graphics cards hold them, four to a texel, and convolutions as matrices from four planes to four. No torch.

A layer of 16 planes is four textures. What an output texel gets from an input texel at one tap is a 4×4 matrix times a
vector, which is what shaders are quickest at; where planes are missing to four, the matrices hold zeros.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from espcn_cli.errors import EspcnError
from espcn_cli.exchange.exported import Network
from espcn_cli.network.checkpoint import Weights
from espcn_cli.settings import ModelSettings

PLANES = 4
"""In a texel."""

KNOWN = {"last_activation", "slopes", "value_range"}
"""Settings beyond those of the first format that graphics cards are given."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution between textures, and the activation behind it.

    `matrices` (textures out, textures in, k, k, 4 in, 4 out): a texel is multiplied from the left. `biases` and
    `slopes` (textures out, 4): a prelu's slopes, zeros behind any other activation.
    """

    matrices: NDArray[np.float32]
    biases: NDArray[np.float32]
    slopes: NDArray[np.float32]
    activation: str

    @property
    def kernel(self) -> int:
        return int(self.matrices.shape[2])


def textures(planes: int) -> int:
    """How many hold so many planes."""
    return math.ceil(planes / PLANES)


def layers(settings: ModelSettings, weights: Weights) -> Iterator[Layer]:
    """A network's layers from first to last."""
    for index, activation in enumerate(settings.activations):
        kernel, bias = weights[f"body.{2 * index}.weight"], weights[f"body.{2 * index}.bias"]
        slopes = weights[f"body.{2 * index + 1}.weight"] if activation == "prelu" else np.zeros(1, np.float32)
        slopes = np.broadcast_to(slopes, bias.shape)
        yield Layer(_matrices(kernel), _in_fours(bias), _in_fours(slopes), activation)


def check(network: Network, what: str) -> None:
    """Raise EspcnError for a form of network that shaders do not compute."""
    new = network.settings.to_dict().keys() - ModelSettings().to_dict().keys() - KNOWN
    if new:
        form = ", ".join(sorted(new))
        raise EspcnError(f"{network.card.name} has {form} of its own, which {what} cannot compute: export it as .onnx")


def _in_fours(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, ...) -> (textures, 4, ...), with zeros at the end."""
    missing = -len(values) % PLANES
    whole = np.concatenate([values, np.zeros((missing, *values.shape[1:]), np.float32)])
    return whole.reshape(-1, PLANES, *values.shape[1:])


def _matrices(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """(O, I, k, k) -> (textures out, textures in, k, k, 4 in, 4 out)."""
    outputs = _in_fours(kernel)  # (textures out, 4, I, k, k)
    both = _in_fours(np.moveaxis(outputs, 2, 0))  # (textures in, 4 in, textures out, 4 out, k, k)
    return np.ascontiguousarray(both.transpose(2, 0, 4, 5, 1, 3))
