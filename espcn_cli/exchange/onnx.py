"""A network as an ONNX graph, written operation by operation from its checkpoint; no PyTorch, no tracing.

Convolutions keep PyTorch's order of channels, plane by plane, so that the phase shift is DepthToSpace in mode CRD.
Height, width and batch are free. The messages are ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto and
ValueInfoProto of onnx.proto; numbers below are theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from espcn_cli.exchange.exported import Files, Network
from espcn_cli.exchange.protobuf import Value, field
from espcn_cli.maths.colour import EVENNESS, LUMA, MIDDLE, STEEPEST
from espcn_cli.maths.levels import Floats
from espcn_cli.maths.quantisation import Grid, Range, grid, weight_bytes, weight_steps
from espcn_cli.maths.resize import cubic, phase_kernels, triangle
from espcn_cli.settings import BICUBIC_REACH, LastActivation

Input = Literal["rgb", "plane"]
"""What goes in and comes out: `rgb`, pictures as they are, uint8 (N, H, W, 3), colours inside; or `plane`, what the
network itself sees, float32 (N, 1 or 3, H, W) in [0, 1], not clipped."""

OPSET, IR_VERSION = 17, 8
"""Old enough for OpenCV, TensorRT and ONNX Runtime of the last years, and with all that is needed."""

FLOAT, UINT8, INT8, INT64 = 1, 2, 3, 7
"""Types of values."""

DTYPES = {"float32": FLOAT, "uint8": UINT8, "int8": INT8, "int64": INT64}

ATTRIBUTES: dict[type, tuple[int, int]] = {float: (2, 1), int: (3, 2), str: (4, 3), list: (8, 7)}
"""Where an attribute of a type stands, and the number of the type; lists are of whole numbers."""

CHANNELS_FIRST, CHANNELS_LAST = [0, 3, 1, 2], [0, 2, 3, 1]

ACTIVATIONS: dict[LastActivation, str] = {"tanh": "Tanh", "sigmoid": "Sigmoid", "hardswish": "HardSwish"}


class Graph:
    """Operations, each named by the number at which it stands; every method gives the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[bytes] = []
        self.constants: list[bytes] = []

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self._append(kind, inputs, name, attributes)
        return name

    def result(self, kind: str, source: str, name: str, **attributes: Any) -> None:
        """The last operation, whose result has a name of its own."""
        self._append(kind, (source,), name, attributes)

    def _append(self, kind: str, inputs: Sequence[str], name: str, attributes: dict[str, Any]) -> None:
        message = b"".join(field(1, each) for each in inputs) + field(2, name) + field(3, name) + field(4, kind)
        for key, value in attributes.items():
            message += field(5, _attribute(key, value))
        self.nodes.append(message)

    def constant(self, values: NDArray[Any] | Sequence[int] | float) -> str:
        """Floats are stored in 32 bits, whole numbers in 64, and bytes as they are."""
        array = np.asarray(values)
        if array.itemsize > 1:
            array = array.astype(np.int64 if np.issubdtype(array.dtype, np.integer) else np.float32)
        name = f"constant_{len(self.constants)}"
        dims = b"".join(field(1, size) for size in array.shape)
        data = field(2, DTYPES[array.dtype.name]) + field(8, name) + field(9, array.tobytes())
        self.constants.append(dims + data)
        return name

    # --- what networks are made of -----------------------------------------------------------------------------------

    def affine(self, x: str, factor: float, offset: float) -> str:
        x = self.add("Mul", x, self.constant(float(factor))) if factor != 1 else x
        return self.add("Add", x, self.constant(float(offset))) if offset else x

    def convolution(
        self,
        x: str,
        weight: Floats,
        bias: Floats | None = None,
        groups: int = 1,
        pads: int = 0,
        values: Range | None = None,
    ) -> str:
        """`weight` (O, I, k, k), of each of the groups (O in all, 1, k, k); `pads` zeros on all sides.

        With the range of what goes in, that is rounded to bytes and weights are stored as bytes: whoever can multiplies
        those.
        """
        if values is None:
            kernel = self.constant(weight)
        else:
            x, kernel = self._in_bytes(x, grid(values)), self._kernel_in_bytes(weight)
        inputs = [x, kernel, *([] if bias is None else [self.constant(bias)])]
        return self.add("Conv", *inputs, kernel_shape=list(weight.shape[2:]), group=groups, pads=[pads] * 4)

    def _in_bytes(self, x: str, values: Grid) -> str:
        ends = self.constant(values.step), self.constant(np.array(values.zero, np.uint8))
        return self.add("DequantizeLinear", self.add("QuantizeLinear", x, *ends), *ends)

    def _kernel_in_bytes(self, weight: Floats) -> str:
        weight = weight.astype(np.float32)
        steps, zeros = self.constant(weight_steps(weight)), self.constant(np.zeros(len(weight), np.int8))
        return self.add("DequantizeLinear", self.constant(weight_bytes(weight)), steps, zeros, axis=0)

    def with_edge(self, x: str, pixels: int) -> str:
        """The picture goes on beyond its border with the edge pixel."""
        return self.add("Pad", x, self.constant([0, 0, pixels, pixels] * 2), mode="edge") if pixels else x

    def at_phases(self, x: str, kernels: Floats, planes: int) -> str:
        """Each plane through the kernels (phases, 1, k, k): (N, planes, H, W) -> (N, planes·phases, H, W)."""
        x = self.with_edge(x, kernels.shape[-1] // 2)
        return self.convolution(x, np.tile(kernels, (planes, 1, 1, 1)), groups=planes)

    def model(self, inputs: bytes, outputs: bytes, facts: dict[str, str]) -> bytes:
        """The whole file; `inputs` and `outputs` are by `_value`."""
        nodes = b"".join(field(1, node) for node in self.nodes)
        constants = b"".join(field(5, constant) for constant in self.constants)
        graph = nodes + field(2, "espcn") + constants + field(11, inputs) + field(12, outputs)
        about = b"".join(field(14, field(1, key) + field(2, value)) for key, value in facts.items())
        opset = field(8, field(1, "") + field(2, OPSET))
        return field(1, IR_VERSION) + field(2, "espcn") + field(7, graph) + opset + about


def onnx(network: Network, form: Input) -> Files:
    """The .onnx file of a network."""
    return {".onnx": _model(network, form)}


def facts_of(network: Network, form: Input) -> dict[str, str]:
    """What a graph says about itself: what it is, and what goes in and comes out."""
    if form == "rgb":
        values = "input: RGB, uint8 (N, H, W, 3), 0 black to 255 white; output: the same, scale times larger"
    else:
        values = "input: float32 (N, planes, H, W), 0 black to 1 white, of "
        values += "full-range BT.601 luma" if network.settings.planes == 1 else "RGB"
        values += "; output: the same, scale times larger, neither rounded nor clipped"
    return network.facts | {"scale": str(network.settings.scale), "values": values}


def _model(network: Network, form: Input) -> bytes:
    settings, graph = network.settings, Graph()
    facts, scale = facts_of(network, form), settings.scale
    if form == "plane":
        graph.result("DepthToSpace", _planes(graph, "input", network), "output", blocksize=scale, mode="CRD")
        ends = (_value(name, FLOAT, ("N", settings.planes, *sides)) for name, sides in _ENDS)
    else:
        x = graph.add("Transpose", graph.add("Cast", "input", to=FLOAT), perm=CHANNELS_FIRST)
        x = graph.add("Div", x, graph.constant(255.0))
        planes = _planes(graph, x, network) if settings.planes == 3 else _colours(graph, x, network)
        large = graph.add("DepthToSpace", planes, blocksize=scale, mode="CRD")
        levels = graph.affine(large, 255.0, 0.5)  # and cut off: rounded to the nearest
        levels = graph.add("Clip", levels, graph.constant(0.0), graph.constant(255.0))
        graph.result("Transpose", graph.add("Cast", levels, to=UINT8), "output", perm=CHANNELS_LAST)
        ends = (_value(name, UINT8, ("N", *sides, 3)) for name, sides in _ENDS)
    source, result = ends
    return graph.model(source, result, facts)


_ENDS = ("input", ("H", "W")), ("output", ("H_large", "W_large"))


def _planes(graph: Graph, x: str, network: Network) -> str:
    """The network with its skip, before the phase shift; values in [0, 1] go in and come out."""
    settings = network.settings
    (black, white), skip = settings.value_range, settings.skip
    found = _stack(graph, x, network)
    if skip == "none":
        return graph.affine(found, 1 / (white - black), -black / (white - black))
    found = graph.affine(found, 1 / (white - black), 0)
    if skip == "nearest":
        kernels = np.ones((settings.scale**2, 1, 1, 1), np.float32)
        return graph.add("Add", found, graph.at_phases(x, kernels, settings.planes))
    return graph.add("Add", found, _bicubic(graph, x, settings.planes, settings.scale))


def _stack(graph: Graph, x: str, network: Network) -> str:
    """The layers alone, in the network's own range."""
    settings, weights = network.settings, network.weights
    black, white = settings.value_range
    x = graph.affine(x, white - black, black)
    edge = settings.border == "edge"
    x = graph.with_edge(x, settings.reach) if edge else x
    for layer, activation in enumerate(settings.activations):
        weight, bias = weights[f"body.{2 * layer}.weight"], weights[f"body.{2 * layer}.bias"]
        values = network.ranges[layer] if network.ranges else None
        x = graph.convolution(x, weight, bias, pads=0 if edge else weight.shape[2] // 2, values=values)
        if activation == "prelu":
            x = graph.add("PRelu", x, graph.constant(weights[f"body.{2 * layer + 1}.weight"].reshape(-1, 1, 1)))
        elif activation != "none":
            x = graph.add(ACTIVATIONS[activation], x)
    return x


def _bicubic(graph: Graph, x: str, planes: int, scale: int) -> str:
    return graph.at_phases(x, phase_kernels(scale, BICUBIC_REACH, cubic), planes)


def _colours(graph: Graph, x: str, network: Network) -> str:
    """RGB by a network on luma: bicubic(C) + slope·(network(Y) - bicubic(Y)), before the phase shift.

    See `engines/torch_engine`.
    """
    settings, scale = network.settings, network.settings.scale
    y = _luma(graph, x)
    black, white = settings.value_range
    if settings.skip == "bicubic":
        change = graph.affine(_stack(graph, y, network), 1 / (white - black), 0)
    else:
        change = graph.add("Sub", _planes(graph, y, network), _bicubic(graph, y, 1, scale))
    for_each = graph.add("Concat", change, change, change, axis=1)
    slopes = graph.at_phases(_slopes(graph, x, y), phase_kernels(scale, 1, triangle), 3)
    return graph.add("Add", _bicubic(graph, x, 3, scale), graph.add("Mul", slopes, for_each))


def _slopes(graph: Graph, x: str, y: str) -> str:
    """Each colour's slope on luma, (N, 3, H, W); see `network/slopes`."""
    other, y = graph.add("Sub", x, y), graph.affine(y, 1, -MIDDLE)
    products = [graph.add("Mul", y, y), graph.add("Mul", other, y)]
    parts = graph.add("Concat", y, products[0], other, products[1], axis=1)
    means = graph.add("AveragePool", graph.with_edge(parts, 1), kernel_shape=[3, 3])
    mean, square, others, product = (_channels(graph, means, *ends) for ends in ((0, 1), (1, 2), (2, 5), (5, 8)))
    covariance = graph.add("Sub", product, graph.add("Mul", others, mean))
    variance = graph.affine(graph.add("Sub", square, graph.add("Mul", mean, mean)), 1, EVENNESS)
    change = graph.add("Div", covariance, variance)
    change = graph.add("Clip", change, graph.constant(-STEEPEST), graph.constant(STEEPEST))
    return graph.affine(graph.add("Sub", change, _luma(graph, change)), 1, 1)


def _luma(graph: Graph, x: str) -> str:
    return graph.convolution(x, np.array(LUMA).reshape(1, 3, 1, 1))


def _channels(graph: Graph, x: str, start: int, stop: int) -> str:
    return graph.add("Slice", x, *(graph.constant([value]) for value in (start, stop, 1)))


def _attribute(name: str, value: Value | list[int]) -> bytes:
    where, kind = ATTRIBUTES[type(value)]
    values = value if isinstance(value, list) else [value]
    return field(1, name) + b"".join(field(where, each) for each in values) + field(20, kind)


def _value(name: str, dtype: int, shape: Sequence[str | int]) -> bytes:
    """An input or output; sizes with a name are free."""
    sizes = b"".join(field(1, field(1 if isinstance(size, int) else 2, size)) for size in shape)
    return field(1, name) + field(2, field(1, field(1, dtype) + field(2, sizes)))
