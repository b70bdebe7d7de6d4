"""The layers of a graph, put together one operation after the other as they stand in its file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from espcn_cli.errors import EspcnError
from espcn_cli.exchange.foreign import Array, Foreign, Layer
from espcn_cli.settings import LastActivation, Skip


class Chain:
    """Operations in the order in which a network does them. Each raises EspcnError for what this family has not."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self.scale: int | None = None
        self.skip: Skip = "none"

    def convolve(self, layer: Layer) -> None:
        if self.scale is not None:
            raise EspcnError("it has layers after its phase shift, at high resolution: it is of another form")
        self.layers.append(layer)
        if layer.is_transposed:
            self.scale = layer.stride

    def add_bias(self, bias: Array) -> None:
        """One value per channel; after the phase shift, one per plane, which each of its phases gets."""
        layer = self._last("a bias")
        shifted = self.scale is not None and not layer.is_transposed
        values = bias.repeat(self.scale**2) if shifted and self.scale else bias
        if layer.activation != "none" or len(values) != layer.outputs:
            raise EspcnError("it adds values where this family adds none")
        self.layers[-1] = replace(layer, bias=values if layer.bias is None else layer.bias + values)

    def activate(self, activation: LastActivation, slopes: Array | None = None) -> None:
        layer = self._last(activation)
        if layer.activation != "none":
            raise EspcnError("it has one activation after another: it is of another form")
        if slopes is not None and len(slopes) not in (1, layer.outputs):
            raise EspcnError(f"it has {len(slopes)} slopes for {layer.outputs} channels")
        self.layers[-1] = replace(layer, activation=activation, slopes=slopes)

    def shift(self, scale: int, plane_fastest: bool = False) -> None:
        """The phase shift; `plane_fastest` is TensorFlow's order of channels."""
        layer = self._last("a phase shift")
        if self.scale is not None or scale < 1 or layer.outputs % scale**2:
            raise EspcnError(f"its phase shift by {scale} does not fit {layer.outputs} channels")
        self.scale = scale
        if plane_fastest:
            ours = np.arange(layer.outputs).reshape(scale**2, -1).T.ravel()
            self.layers[-1] = replace(
                layer,
                weight=layer.weight[ours],
                bias=None if layer.bias is None else layer.bias[ours],
                slopes=layer.slopes if layer.slopes is None or len(layer.slopes) == 1 else layer.slopes[ours],
            )

    def add_nearest(self, scale: int) -> None:
        if scale != self.scale or self.skip != "none":
            raise EspcnError("it adds its input at another size than its phase shift's")
        self.skip = "nearest"

    def finished(self, form: str) -> Foreign:
        self._last("an output")
        if self.scale is None:
            raise EspcnError("it neither shifts phases nor ends in a transposed convolution: it is of another form")
        return Foreign(form, tuple(self.layers), self.scale, self.skip)

    def _last(self, what: str) -> Layer:
        if not self.layers:
            raise EspcnError(f"it has {what} before any convolution: it is of another form")
        return self.layers[-1]


def form_of(network: Foreign) -> str:
    """What a network is called by its layers: FSRCNN, Compact, waifu2x upconv_7, or else ESPCN."""
    kernels = [layer.kernel for layer in network.layers]
    if network.skip == "nearest":
        return "Compact (SRVGGNetCompact)"
    if network.layers[-1].is_transposed and all(layer.pads == 0 for layer in network.layers[:-1]):
        return "waifu2x upconv_7"
    if kernels[0] == 5 and kernels[1] == 1 and kernels[-2] == 1:
        return "FSRCNN"
    return "ESPCN"
