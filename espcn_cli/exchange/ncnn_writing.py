"""A network as ncnn's files, .param and .bin: planes of floats in and out, as ncnn's users have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from espcn_cli.exchange.exported import Files, Network
from espcn_cli.exchange.ncnn import MAGIC, NEAREST, REPLICATE
from espcn_cli.maths.levels import Floats
from espcn_cli.maths.resize import cubic, phase_kernels
from espcn_cli.settings import BICUBIC_REACH, LastActivation

SOURCE, RESULT = "in0", "out0"
"""What goes in, (planes, H, W) in [0, 1], and what comes out; ncnn's own converter gives these names."""

ADD, MULTIPLY = 0, 2
"""What a BinaryOp does."""

ACTIVATIONS: dict[LastActivation, tuple[str, str]] = {
    "tanh": ("TanH", ""),
    "sigmoid": ("Sigmoid", ""),
    "hardswish": ("HardSwish", f"0={1 / 6:.9g} 1=0.5"),
}


class Text:
    """Layers and their weights, one after the other; every method gives the name of its result."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.data: list[bytes] = []
        self.blobs = 0

    def add(self, kind: str, sources: Sequence[str], parameters: str = "", results: Sequence[str] = ()) -> str:
        names = results or [f"x{self.blobs}"]
        self.blobs += len(names)
        counts = f"{len(sources)} {len(names)}"
        words = [kind, f"layer{len(self.lines)}", counts, *sources, *names, parameters]
        self.lines.append(" ".join(word for word in words if word))
        return names[0]

    def weights(self, values: NDArray[Any], flagged: bool = False) -> None:
        """Kernels have a flag before them: 0, for 32 bits."""
        self.data.append((bytes(4) if flagged else b"") + np.ascontiguousarray(values, "<f4").tobytes())

    def convolution(self, x: str, weight: Floats, bias: Floats | None = None, groups: int = 1, pads: int = 0) -> str:
        kind = "Convolution" if groups == 1 else "ConvolutionDepthWise"
        shape = f"0={len(weight)} 1={weight.shape[-1]} 4={pads} 5={int(bias is not None)} 6={weight.size}"
        result = self.add(kind, [x], shape if groups == 1 else f"{shape} 7={groups}")
        self.weights(weight, flagged=True)
        if bias is not None:
            self.weights(bias)
        return result

    def affine(self, x: str, factor: float, offset: float) -> str:
        x = self.add("BinaryOp", [x], f"0={MULTIPLY} 1=1 2={factor:.9g}") if factor != 1 else x
        return self.add("BinaryOp", [x], f"0={ADD} 1=1 2={offset:.9g}") if offset else x

    def with_edge(self, x: str, pixels: int) -> str:
        sides = " ".join(f"{side}={pixels}" for side in range(4))
        return self.add("Padding", [x], f"{sides} 4={REPLICATE}") if pixels else x

    def files(self) -> Files:
        text = "\n".join([MAGIC, f"{len(self.lines)} {self.blobs}", *self.lines]) + "\n"
        return {".param": text.encode(), ".bin": b"".join(self.data)}


def ncnn(network: Network) -> Files:
    """The .param file of a network and the .bin file that belongs to it, with weights in 32 bits."""
    settings, weights, text = network.settings, network.weights, Text()
    (black, white), scale, skip = settings.value_range, settings.scale, settings.skip
    x = text.add("Input", [], results=[SOURCE])
    around = ""
    if skip != "none":
        text.add("Split", [x], results=["skip", "layers"])
        around, x = "skip", "layers"
    x = text.affine(x, white - black, black)
    edge = settings.border == "edge"
    x = text.with_edge(x, settings.reach if edge else 0)
    for layer, activation in enumerate(settings.activations):
        weight = weights[f"body.{2 * layer}.weight"]
        x = text.convolution(x, weight, weights[f"body.{2 * layer}.bias"], pads=0 if edge else weight.shape[2] // 2)
        if activation == "prelu":
            slopes = weights[f"body.{2 * layer + 1}.weight"]
            x = text.add("PReLU", [x], f"0={len(slopes)}")
            text.weights(slopes)
        elif activation != "none":
            kind, parameters = ACTIVATIONS[activation]
            x = text.add(kind, [x], parameters)
    x = text.affine(x, 1 / (white - black), -black / (white - black) if skip == "none" else 0)
    if skip == "bicubic":
        kernels = np.tile(phase_kernels(scale, BICUBIC_REACH, cubic), (settings.planes, 1, 1, 1))
        large = text.convolution(text.with_edge(around, BICUBIC_REACH), kernels, groups=settings.planes)
        x = text.add("BinaryOp", [x, large], f"0={ADD}")
    if skip == "nearest":
        x = text.add("PixelShuffle", [x], f"0={scale}")
        large = text.add("Interp", [around], f"0={NEAREST} 1={scale}.0 2={scale}.0")
        text.add("BinaryOp", [x, large], f"0={ADD}", [RESULT])
    else:
        text.add("PixelShuffle", [x], f"0={scale}", [RESULT])
    return text.files()
