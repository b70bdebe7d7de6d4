"""TensorFlow's frozen graphs (.pb), as OpenCV's networks for super-resolution are stored.

The messages are GraphDef, NodeDef, AttrValue and TensorProto of tensorflow/core/framework; numbers below are theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from espcn_cli.errors import EspcnError
from espcn_cli.exchange import protobuf
from espcn_cli.exchange.chain import Chain, form_of
from espcn_cli.exchange.foreign import Array, Foreign, Layer, relu
from espcn_cli.settings import MOST_PARAMETERS

DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}
"""float, double, int32, int64 and half."""

VALUES = {"<f4": 5, "<f8": 6, "<i4": 7, "<i8": 10}
"""The field of a TensorProto in which few values stand."""

TO_CHANNELS_FIRST = [0, 3, 1, 2]

MOST_NODES = 10_000

Step = Callable[[], None]
"""Adds an operation to the chain."""


@dataclass
class Node:
    name: str = ""
    op: str = ""
    inputs: list[str] = field(default_factory=list)
    attributes: dict[str, bytes] = field(default_factory=dict)


def read(path: Path) -> Foreign:
    """The network of a frozen graph.

    Raises EspcnError, without the file's name, for what cannot be read or is of another form, OSError for no file.
    """
    if path.stat().st_size > 5 * MOST_PARAMETERS:
        raise EspcnError("it is larger than any network of this form")
    try:
        return _Graph(_nodes(path.read_bytes())).network()
    except (ValueError, UnicodeDecodeError, KeyError, RecursionError) as error:
        raise EspcnError(f"it is no frozen graph of TensorFlow, or damaged ({error})") from None


def _nodes(data: bytes) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for number, message in protobuf.fields(data):
        if number != 1:
            continue
        if not isinstance(message, bytes) or len(nodes) == MOST_NODES:
            raise ValueError("no such graph")
        node = Node()
        for part, value in protobuf.fields(message):
            if part == 1:
                node.name = value.decode()
            elif part == 2:
                node.op = value.decode()
            elif part == 3:
                node.inputs.append(value.decode().removesuffix(":0"))
            elif part == 5:
                entry = dict(protobuf.fields(value))
                node.attributes[entry[1].decode()] = entry[2]
        nodes[node.name] = node
    if not nodes:
        raise ValueError("it has no operations")
    return nodes


class _Graph:
    """The operations by name, put into a chain from the output back to the input."""

    def __init__(self, nodes: dict[str, Node]) -> None:
        self.nodes = nodes
        self.chain = Chain()

    def network(self) -> Foreign:
        used = {name for node in self.nodes.values() for name in node.inputs}
        [output, *others] = [node for node in self.nodes.values() if self._is_output(node, used)] or [Node()]
        if others:
            raise EspcnError(f"it has {1 + len(others)} outputs: it is of another form")
        for step in reversed(list(self._back_from(output))):
            step()
        network = self.chain.finished("")
        return Foreign(form_of(network), network.layers, network.scale)

    @staticmethod
    def _is_output(node: Node, used: set[str]) -> bool:
        return node.name not in used and node.op not in ("Const", "Placeholder", "NoOp")

    def _back_from(self, node: Node) -> Iterator[Step]:
        """The steps of a chain, the last one first."""
        seen = 0
        while node.op != "Placeholder":
            seen += 1
            if seen > MOST_NODES:
                raise ValueError("it goes round in circles")
            source, step = self._step(node)
            if step is not None:
                yield step
            node = source

    def _step(self, node: Node) -> tuple[Node, Step | None]:
        """The operation before one, and what that one adds to the chain."""
        sources = [self._of(name) for name in node.inputs]
        constants = [source for source in sources if source.op == "Const"]
        others = [source for source in sources if source.op != "Const"]
        chain = self.chain
        if node.op in ("Add", "AddV2") and len(others) == 2:
            return self._prelu(others)
        if len(others) != 1:
            raise EspcnError(f"its operation {node.name} ({node.op}) is none that this family has")
        [source] = others
        if node.op == "Identity":
            return source, None
        if node.op == "Transpose" and self._array(constants[0]).tolist() == TO_CHANNELS_FIRST:
            return source, None
        if node.op in ("Add", "AddV2", "BiasAdd") and len(constants) == 1:
            bias = self._floats(constants[0])
            return source, lambda: chain.add_bias(bias.reshape(-1))
        if node.op in ("Tanh", "Sigmoid"):
            return source, lambda: chain.activate("tanh" if node.op == "Tanh" else "sigmoid")
        if node.op == "Relu":
            return source, lambda: chain.activate("prelu", relu())
        if node.op == "LeakyRelu":
            slope = dict(protobuf.fields(node.attributes["alpha"])).get(4, b"\xcd\xcc\x4c\x3e")
            return source, lambda: chain.activate("prelu", relu(float(np.frombuffer(slope, "<f4")[0])))
        if node.op == "DepthToSpace":
            self._check(node, "data_format", b"NHWC")
            scale = dict(protobuf.fields(node.attributes["block_size"]))[3]
            return source, lambda: chain.shift(scale, plane_fastest=True)
        if node.op == "Conv2D":
            layer = self._convolution(node, constants[0])
            return source, lambda: chain.convolve(layer)
        raise EspcnError(f"its operation {node.name} ({node.op}) is none that this family has")

    def _convolution(self, node: Node, kernel: Node) -> Layer:
        self._check(node, "data_format", b"NHWC")
        for name in ("strides", "dilations"):
            if name in node.attributes and set(_whole_numbers(node.attributes[name])) != {1}:
                raise EspcnError(f"its convolution {node.name} has {name}: this family has not")
        padding = dict(protobuf.fields(node.attributes["padding"])).get(2)
        weight = self._floats(kernel)
        if weight.ndim != 4 or padding not in (b"SAME", b"VALID"):
            raise EspcnError(f"its convolution {node.name} is of another form")
        ours = np.ascontiguousarray(weight.transpose(3, 2, 0, 1))  # rows, columns, inputs, outputs -> O, I, k, k
        return Layer(ours, pads=(ours.shape[-1] - 1) // 2 if padding == b"SAME" else 0)

    def _prelu(self, others: list[Node]) -> tuple[Node, Step]:
        """relu(x) + slopes·(x - |x|)/2, as those write it whose TensorFlow has no such operation."""
        [positive] = [node for node in others if node.op == "Relu"] or [Node()]
        [negative] = [node for node in others if node.op == "Mul"] or [Node()]
        factor, difference = np.ones(1, np.float32), Node()
        parts = [self._of(name) for name in negative.inputs]
        while parts:
            part = parts.pop()
            if part.op == "Const":
                factor = factor * self._floats(part).reshape(-1)
            elif part.op == "Mul":
                parts += [self._of(name) for name in part.inputs]
            else:
                difference = part
        source = self._of(positive.inputs[0]) if positive.inputs else Node()
        absolute = self._of(difference.inputs[1]) if difference.op == "Sub" else Node()
        fits = absolute.op == "Abs" and absolute.inputs == [source.name] == difference.inputs[:1]
        if not fits:
            raise EspcnError("it adds two paths that are no PReLU: it is of another form")
        slopes = 2 * factor  # x - |x| is 2x where x is negative
        return source, lambda: self.chain.activate("prelu", slopes.astype(np.float32))

    def _of(self, name: str) -> Node:
        node = self.nodes.get(name)
        if node is None:
            raise ValueError(f"operation {name} is not there")
        return node

    def _floats(self, node: Node) -> Array:
        return self._array(node).astype(np.float32)

    def _array(self, node: Node) -> NDArray[Any]:
        """A constant's values; one value stands for all."""
        parts: dict[int, list[bytes]] = {}
        for number, value in protobuf.fields(dict(protobuf.fields(node.attributes["value"]))[8]):
            parts.setdefault(number, []).append(value)
        dtype = DTYPES.get(parts[1][0])  # type: ignore[call-overload]
        shape = _shape(parts[2][0]) if 2 in parts else []
        count = prod(shape)
        if dtype is None or not 0 <= count <= MOST_PARAMETERS:
            raise ValueError(f"constant {node.name} is of another type or too large")
        if 4 in parts:
            values = np.frombuffer(parts[4][0], dtype)
        elif dtype in VALUES and (few := parts.get(VALUES[dtype])):
            values = np.array([v for each in few for v in _values(each, dtype)], dtype)
        else:
            values = np.zeros(1, dtype)
        if values.size not in (1, count):
            raise ValueError(f"constant {node.name} holds {values.size} values, not {count}")
        return values.reshape(shape) if values.size == count else np.full(shape, values[0])

    def _check(self, node: Node, name: str, expected: bytes) -> None:
        found = dict(protobuf.fields(node.attributes[name])).get(2) if name in node.attributes else expected
        if found != expected:
            raise EspcnError(f"its operation {node.name} has {name} {found!r}: only {expected.decode()} can be read")


def _values(part: bytes | int, dtype: str) -> list[float]:
    if isinstance(part, int):
        return [part]
    if dtype.startswith("<f"):
        return list(map(float, np.frombuffer(part, dtype)))
    return list(_packed(part))


def _packed(data: bytes) -> list[int]:
    """Whole numbers, one after the other."""
    return [value for _, value in protobuf.fields(b"".join(b"\x08" + number for number in _split(data)))]


def _split(data: bytes) -> list[bytes]:
    numbers, start = [], 0
    for place, byte in enumerate(data):
        if byte < 128:
            numbers.append(data[start : place + 1])
            start = place + 1
    return numbers


def _whole_numbers(attribute: bytes) -> list[int]:
    """An attribute that is a list of whole numbers."""
    parts = dict(protobuf.fields(attribute)).get(1, b"")
    found: list[int] = []
    for number, value in protobuf.fields(parts):
        if number == 3:
            found += [value] if isinstance(value, int) else _packed(value)
    return found


def _shape(message: bytes) -> list[int]:
    """A TensorShapeProto: a dimension's size that is left out is 0."""
    return [dict(protobuf.fields(size)).get(1, 0) for number, size in protobuf.fields(message) if number == 2]
