"""A network of others as it runs, layer by layer, and the checkpoint that it becomes.

Whoever reads a file says what stands in it; here it is brought into the one form of this family: plain convolutions
at low resolution, a skip, a phase shift. Where that cannot be done exactly it is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from espcn_cli.errors import EspcnError
from espcn_cli.network.checkpoint import Weights
from espcn_cli.settings import SCALES, Activation, Border, LastActivation, ModelSettings, Skip

Array = NDArray[np.float32]

Range = Literal["full", "studio"]

RANGES: dict[Range, tuple[float, float]] = {"full": (0.0, 1.0), "studio": (16 / 255, 235 / 255)}
"""Where black and white lie for a network: luma as JPEG has it, or as MATLAB's rgb2ycbcr has it."""

GREYS = np.linspace(0.1, 0.9, 9, dtype=np.float64)
"""Flat pictures that tell what a file leaves out: each should come out as it went in."""

CLOSE = 0.08
"""How far from them a trained network's answers may lie; those of a wrong reading are several times as far."""


CLEARLY = 0.5
"""The best reading's distance is less than this share of the second best's, or it is not known to be the right one."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution and what follows it.

    `weight` is (O, I, k, k), or of a transposed convolution (I, O, k, k), whose `stride` is the scale. `pads` rows and
    columns of zeros lie around the input (a transposed one's output is cut by as many instead, and gets `extra` more
    at the end). `slopes` are a prelu's, one or one per channel.
    """

    weight: Array
    bias: Array | None = None
    activation: LastActivation = "none"
    slopes: Array | None = None
    pads: int = 0
    stride: int = 1
    extra: int = 0

    @property
    def is_transposed(self) -> bool:
        return self.stride > 1

    @property
    def outputs(self) -> int:
        return int(self.weight.shape[1 if self.is_transposed else 0])

    @property
    def inputs(self) -> int:
        return int(self.weight.shape[0 if self.is_transposed else 1])

    @property
    def kernel(self) -> int:
        return int(self.weight.shape[-1])


@dataclass(frozen=True, eq=False)
class Foreign:
    """A network of others: `form` is what it is called, `scale` that of its phase shift or transposed convolution.

    The last layer's channels are in PyTorch's order. `range` is of the values that it works on.
    """

    form: str
    layers: tuple[Layer, ...]
    scale: int
    skip: Skip = "none"
    range: Range = "full"

    @property
    def planes(self) -> int:
        return self.layers[0].inputs


def relu(slope: float = 0.0) -> Array:
    """The slopes of a ReLU, or of a leaky one whose slope is fixed: a prelu with this one."""
    return np.array([slope], np.float32)


def to_checkpoint(network: Foreign) -> tuple[ModelSettings, Weights]:
    """The settings and weights of ours that do the same. Raises EspcnError, without a file's name, if none do."""
    if network.scale not in SCALES:
        raise EspcnError(f"it upscales by {network.scale}: only {', '.join(map(str, SCALES))} can be imported")
    layers = list(network.layers)
    border = _border(layers, network.scale)
    if layers[-1].is_transposed:
        layers[-1] = _subpixel(layers[-1], network.scale)
    hidden, last = layers[:-1], layers[-1]
    if last.outputs != network.planes * network.scale**2:
        raise EspcnError(
            f"its last layer has {last.outputs} channels, not {network.planes} x {network.scale**2}: it is no such form"
        )
    for before, after in pairwise(layers):
        if before.outputs != after.inputs:
            raise EspcnError(f"a layer gives {before.outputs} planes and the next takes {after.inputs}: it is damaged")
    slopes = [layer.slopes for layer in layers if layer.activation == "prelu"]
    per_channel = any(each is not None and len(each) > 1 for each in slopes)
    try:
        settings = ModelSettings(
            scale=network.scale,
            widths=tuple(layer.outputs for layer in hidden),
            kernels=tuple(layer.kernel for layer in layers),
            activation=_hidden_activation(hidden),
            skip=network.skip,
            planes=network.planes,
            last_activation=last.activation,
            slopes="channel" if per_channel else "layer",
            value_range=RANGES[network.range],
            border=border,
        )
    except ValueError as error:
        raise EspcnError(f"it is of another form: {error}") from None
    weights: Weights = {}
    for index, layer in enumerate(layers):
        weights[f"body.{2 * index}.weight"] = layer.weight
        weights[f"body.{2 * index}.bias"] = _zeros(layer.outputs) if layer.bias is None else layer.bias
        if layer.slopes is not None:
            weights[f"body.{2 * index + 1}.weight"] = np.broadcast_to(
                layer.slopes, layer.outputs if per_channel else 1
            ).copy()
    return settings, _checked(settings, weights)


def choose(candidates: Sequence[Foreign], what: str) -> int:
    """Which reading of a file gives flat grey pictures back; the first if there is just one.

    Raises EspcnError, without a file's name, if none does, or two do: `what` says what cannot be told, and
    how to name it.
    """
    if len(candidates) == 1:
        return 0
    faults = [_fault_on_grey(network) for network in candidates]
    best, second = np.argsort(faults)[:2]
    if not (faults[best] < CLOSE and faults[best] < CLEARLY * faults[second]):
        raise EspcnError(f"the file does not tell {what}")
    return int(best)


def _fault_on_grey(network: Foreign) -> float:
    """How far a network's answer to flat greys is from them, far from the border: each layer is a matrix there."""
    black, white = RANGES[network.range]
    greys = GREYS * (white - black) + black
    x = np.repeat(greys[None], network.planes, axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        for layer in network.layers:
            sums = layer.weight.astype(np.float64).sum(axis=(2, 3))
            matrix = sums.T / layer.stride**2 if layer.is_transposed else sums
            x = matrix @ x + (0 if layer.bias is None else layer.bias[:, None].astype(np.float64))
            x = _activated(x, layer)
        x = x + (0 if network.skip == "none" else greys)
        return float(np.nan_to_num(np.abs(x - greys).mean(axis=0).max() / (white - black), nan=np.inf))


def _activated(x: NDArray[np.float64], layer: Layer) -> NDArray[np.float64]:
    if layer.activation == "prelu":
        assert layer.slopes is not None
        return np.maximum(x, 0) + layer.slopes[:, None] * np.minimum(x, 0)
    if layer.activation == "tanh":
        return np.tanh(x)
    if layer.activation == "sigmoid":
        result: NDArray[np.float64] = 1 / (1 + np.exp(-x))
        return result
    return x * np.clip(x + 3, 0, 6) / 6 if layer.activation == "hardswish" else x


def _border(layers: Sequence[Layer], scale: int) -> Border:
    """What lies beyond the border: zeros for each layer, or, for layers without padding, what whoever runs it adds.

    The makers of waifu2x add the picture's edge pixels, which is the only way that is known here.
    """
    plain = [layer for layer in layers if not layer.is_transposed]
    padded = all(layer.pads == (layer.kernel - 1) // 2 and layer.kernel % 2 for layer in plain)
    unpadded = all(layer.pads == 0 for layer in plain)
    last = layers[-1]
    if any(layer.is_transposed for layer in layers[:-1]):
        raise EspcnError("it makes pictures larger before its last layer: it is of another form")
    if last.is_transposed:
        grown = scale + 2 * last.pads - last.kernel  # what would be added at the end to keep H·scale
        if last.extra == grown and padded:
            return "zeros"
        if unpadded and last.extra == 0 and grown % (2 * scale) == 0:
            return "edge"
    elif padded:
        return "zeros"
    elif unpadded:
        return "edge"
    raise EspcnError("its layers are padded in a way that this family has not")


def _subpixel(layer: Layer, scale: int) -> Layer:
    """A transposed convolution as a convolution before a phase shift, of an odd size and padded alike on both sides."""
    import torch

    from espcn_cli.network.subpixel import Deconvolution

    if layer.stride != scale or layer.activation not in ("none", "tanh", "sigmoid"):
        raise EspcnError("its transposed convolution is of another form")
    consumed = max(0, (scale + 2 * layer.pads - layer.kernel - layer.extra) // 2)  # by a layer without padding
    weight = torch.from_numpy(layer.weight)
    bias = None if layer.bias is None else torch.from_numpy(layer.bias)
    try:
        same = Deconvolution(weight, bias, scale, layer.pads - consumed).to_subpixel()
    except ValueError as error:
        raise EspcnError(f"its transposed convolution is of another form: {error}") from None
    reach = max(same.pads)
    sides = reach - same.pads[0], reach - same.pads[1]
    kernel = np.pad(same.weight.numpy(), ((0, 0), (0, 0), sides, sides))
    return Layer(kernel, None if same.bias is None else same.bias.numpy(), layer.activation, pads=reach)


def _hidden_activation(hidden: Sequence[Layer]) -> Activation:
    kinds = {layer.activation for layer in hidden}
    if len(kinds) != 1 or not kinds <= {"tanh", "prelu", "hardswish"}:
        raise EspcnError(f"its hidden layers end in {', '.join(sorted(kinds)) or 'nothing'}: this family has one kind")
    return kinds.pop()  # type: ignore[return-value]


def _checked(settings: ModelSettings, weights: Weights) -> Weights:
    """The weights as float32, strictly those of the settings. Raises EspcnError for anything else, and for NaN."""
    for name in sorted(weights.keys() | settings.shapes.keys()):
        if name not in weights or weights[name].shape != settings.shapes.get(name):
            shape = weights[name].shape if name in weights else "nothing"
            raise EspcnError(f"its tensor for {name} is {shape}, not {settings.shapes.get(name, 'there')}")
    found = {name: np.ascontiguousarray(array, np.float32) for name, array in weights.items()}
    if not all(np.isfinite(array).all() for array in found.values()):
        raise EspcnError("its weights hold NaN or infinity: the training that made it went wrong")
    return found


def _zeros(count: int) -> Array:
    return np.zeros(count, np.float32)
