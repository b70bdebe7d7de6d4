"""ncnn's files: the layers of a network as text (.param), and their weights one after the other (.bin).

https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure and operators.md there describe them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from espcn_cli.errors import EspcnError
from espcn_cli.exchange.chain import Chain, form_of
from espcn_cli.exchange.foreign import Array, Foreign, Layer, relu
from espcn_cli.settings import MOST_PARAMETERS

MAGIC = "7767517"

HALVES = 0x01306B47
"""A flag before weights that stand there in 16 bits; 0 before those in 32."""

LARGEST_TEXT = 1_000_000

REPLICATE = 1
"""How a Padding layer that goes on with the edge pixels is marked."""

NEAREST = 1
"""How an Interp layer that repeats pixels is marked."""


@dataclass(frozen=True)
class Operation:
    kind: str
    name: str
    sources: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: dict[int, str]

    def whole(self, key: int, default: int = 0) -> int:
        return int(self.parameters.get(key, default))

    def numbers(self, key: int) -> list[float]:
        """An array: its key is written as -23300 - key, and its length comes first."""
        count, *values = self.parameters.get(-23300 - key, "0").split(",")
        if int(count) != len(values):
            raise ValueError(f"{count} values, but {len(values)} are there")
        return [float(value) for value in values]


class Bin:
    """The weights of a .bin file, taken in the order of the layers."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    def flagged(self, count: int) -> Array:
        """A kernel: a flag of 32 bits says whether it stands there in 16 bits or in 32."""
        flag = int.from_bytes(self._bytes(4), "little")
        if flag == HALVES:
            values = np.frombuffer(self._bytes((2 * count + 3) // 4 * 4), "<f2")[:count]
            return values.astype(np.float32)
        if flag:
            raise EspcnError("its weights are compressed to 8 bits: give the fp32 or fp16 file")
        return self.plain(count)

    def plain(self, count: int) -> Array:
        return np.frombuffer(self._bytes(4 * count), "<f4").copy()

    def _bytes(self, count: int) -> bytes:
        if not 0 <= count <= len(self.data) - self.place:
            raise EspcnError("its .bin file is too short for its .param file: do they belong together?")
        self.place += count
        return self.data[self.place - count : self.place]


def files_of(path: Path) -> tuple[Path, Path]:
    """The .param and the .bin file of a network, by either of them."""
    return path.with_suffix(".param"), path.with_suffix(".bin")


def read(path: Path) -> Foreign:
    """The network of a .param file and the .bin file beside it.

    Raises EspcnError, without the file's name, for what cannot be read or is of another form, OSError for no file.
    """
    param, binary = files_of(path)
    if param.stat().st_size > LARGEST_TEXT or binary.stat().st_size > 4 * MOST_PARAMETERS:
        raise EspcnError("it is larger than any network of this form")
    try:
        text = param.read_text(encoding="ascii")
    except UnicodeDecodeError:
        raise EspcnError(f"{param.name} is no .param file of text (a .param.bin cannot be read)") from None
    weights = Bin(binary.read_bytes())
    try:
        network = _network(_operations(text), weights)
    except (ValueError, IndexError) as error:
        raise EspcnError(f"its .param file is damaged ({error})") from None
    if weights.place != len(weights.data):
        raise EspcnError("its .bin file is too long for its .param file: do they belong together?")
    return network


def _operations(text: str) -> list[Operation]:
    first, _, *lines = text.split("\n")
    if first.strip() != MAGIC:
        raise EspcnError(f"its .param file does not begin with {MAGIC}: it is not ncnn's, or of an old version")
    return [_operation(line.split()) for line in lines if line.strip()]


def _operation(words: list[str]) -> Operation:
    kind, name, inputs, outputs = words[0], words[1], int(words[2]), int(words[3])
    if inputs < 0 or outputs < 0 or len(words) < 4 + inputs + outputs:
        raise ValueError(f"layer {name} is cut short")
    names = words[4 : 4 + inputs + outputs]
    values = (word.partition("=") for word in words[4 + inputs + outputs :])
    return Operation(
        kind, name, tuple(names[:inputs]), tuple(names[inputs:]), {int(key): value for key, _, value in values}
    )


def _network(operations: list[Operation], weights: Bin) -> Foreign:
    """The chain of layers from the input to the output; a Split leads past it to a nearest skip."""
    chain, current, edge = Chain(), "", 0
    around: dict[str, int] = {}  # copies of the input, and by how much they were enlarged
    for operation in operations:
        kind, sources = operation.kind, operation.sources
        if kind == "Input":
            current = operation.outputs[0]
        elif kind == "Padding" and sources == (current,) and not chain.layers:
            edge, current = _edge(operation), operation.outputs[0]
        elif kind == "Split" and sources == (current,) and not chain.layers:
            around = dict.fromkeys(operation.outputs, 1)
        elif kind == "Interp" and around.get(sources[0]) == 1:
            around[operation.outputs[0]] = _enlarged(operation)
        elif kind == "BinaryOp" and _adds(operation, current, around):
            [other] = [source for source in sources if source != current]
            chain.add_nearest(around[other])
            current = operation.outputs[0]
        elif len(sources) == 1 and (sources[0] == current or (around.get(sources[0]) == 1 and not chain.layers)):
            _append(operation, chain, weights)
            current = operation.outputs[0]
        else:
            raise EspcnError(f"its layer {operation.name} ({kind}) is none that this family has")
    network = chain.finished("")
    if edge and (edge != sum(layer.kernel // 2 for layer in network.layers) or any(x.pads for x in network.layers)):
        raise EspcnError(f"it goes on {edge} pixels beyond the border: its layers reach another way")
    return Foreign(form_of(network), network.layers, network.scale, network.skip)


def _edge(operation: Operation) -> int:
    """By how many of its edge pixels a picture goes on."""
    sides = {operation.whole(side) for side in range(4)}
    if len(sides) != 1 or operation.whole(4) != REPLICATE or min(sides) < 0:
        raise EspcnError(f"its layer {operation.name} pads pictures in a way that this family has not")
    return sides.pop()


def _enlarged(operation: Operation) -> int:
    factor = float(operation.parameters.get(1, "0"))
    if operation.whole(0) != NEAREST or factor != float(operation.parameters.get(2, "0")) or factor % 1 or factor < 1:
        raise EspcnError("the skip around its layers is not nearest-neighbour")
    return int(factor)


def _adds(operation: Operation, current: str, around: dict[str, int]) -> bool:
    others = [source for source in operation.sources if source != current]
    return operation.whole(0) == 0 and len(operation.sources) == 2 and len(others) == 1 and others[0] in around


def _append(operation: Operation, chain: Chain, weights: Bin) -> None:
    """Put one layer at the end of a chain."""
    kind = operation.kind
    if kind in ("Convolution", "Deconvolution"):
        _convolution(operation, chain, weights)
    elif kind == "PReLU":
        chain.activate("prelu", weights.plain(_bounded(operation.whole(0))))
    elif kind == "ReLU":
        chain.activate("prelu", relu(float(operation.parameters.get(0, "0"))))
    elif kind in ("TanH", "Sigmoid"):
        chain.activate("tanh" if kind == "TanH" else "sigmoid")
    elif kind == "HardSwish":
        alpha, beta = (float(operation.parameters.get(key, default)) for key, default in ((0, "0.2"), (1, "0.5")))
        _check_hardswish(operation, (alpha, beta))
        chain.activate("hardswish")
    elif kind == "PixelShuffle":
        chain.shift(operation.whole(0, 1), plane_fastest=operation.whole(1) == 1)
    elif kind == "Interp":
        raise EspcnError("it resizes its result once more behind the network: that is no network of this form")
    else:
        raise EspcnError(f"its layer {operation.name} ({kind}) is none that this family has")


def _convolution(operation: Operation, chain: Chain, weights: Bin) -> None:
    """Of a .param file's convolution: outputs 0, kernel 1, dilation 2, stride 3, padding 4, bias 5, weights 6,
    activation 9; padding at the end 15, kernel 11 and stride 13 of columns, where they are others; extra rows of a
    transposed one 18 and 19."""
    outputs, kernel, stride = operation.whole(0), operation.whole(1), operation.whole(3, 1)
    count = _bounded(operation.whole(6))
    pads, transposed = operation.whole(4), operation.kind == "Deconvolution"
    odd = {
        "dilation": operation.whole(2, 1) != 1,
        "kernels that are not square": operation.whole(11, kernel) != kernel or operation.whole(13, stride) != stride,
        "a stride": not transposed and stride != 1,
        "padding that differs from side to side": any(operation.whole(key, pads) != pads for key in (14, 15, 16)),
        "padding other than zeros": float(operation.parameters.get(18, "0")) != 0 and not transposed,
        "weights in 8 bits": operation.whole(8) != 0,
        "an output of a size of its own": transposed and operation.whole(20) != 0,
    }
    for what, found in odd.items():
        if found:
            raise EspcnError(f"its layer {operation.name} has {what}: this family has not")
    if min(outputs, kernel) < 1 or count % (outputs * kernel**2):
        raise EspcnError(f"its layer {operation.name} has {count} weights: they do not fit its size")
    inputs = count // (outputs * kernel**2)
    values = weights.flagged(count).reshape(outputs, inputs, kernel, kernel)
    bias = weights.plain(outputs) if operation.whole(5) else None
    extra = operation.whole(18) if transposed else 0
    weight = np.ascontiguousarray(values.transpose(1, 0, 2, 3)) if transposed else values
    chain.convolve(Layer(weight, bias, pads=pads, stride=stride if transposed else 1, extra=extra))
    _activate(operation, chain)


def _activate(operation: Operation, chain: Chain) -> None:
    """What a convolution does with its result itself: 1 ReLU, 2 leaky ReLU, 4 sigmoid, 6 hardswish."""
    kind, values = operation.whole(9), operation.numbers(10)
    if kind == 1:
        chain.activate("prelu", relu())
    elif kind == 2 and len(values) == 1:
        chain.activate("prelu", relu(values[0]))
    elif kind == 4:
        chain.activate("sigmoid")
    elif kind == 6:
        _check_hardswish(operation, values)
        chain.activate("hardswish")
    elif kind:
        raise EspcnError(f"its layer {operation.name} has an activation that this family has not")


def _check_hardswish(operation: Operation, values: Sequence[float]) -> None:
    """x·clip(alpha·x + beta, 0, 1) is the one that this family has if alpha is a sixth and beta a half."""
    if len(values) != 2 or not np.allclose(values, (1 / 6, 0.5)):
        raise EspcnError(f"its layer {operation.name} is a hardswish with other constants")


def _bounded(count: int) -> int:
    if not 0 <= count <= MOST_PARAMETERS:
        raise EspcnError(f"a layer has {count:,} weights: it is larger than any network of this form")
    return count
