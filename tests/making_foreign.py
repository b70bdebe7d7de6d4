"""Networks as others write them, at toy size, each beside a function that runs it as its makers do."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from espcn_cli.exchange.protobuf import field

Run = Callable[[Tensor], Tensor]
"""(N, planes, H, W) as the network has it -> (N, planes, H·scale, W·scale)."""

Pair = tuple[Tensor, Tensor]
"""A kernel and its biases."""


@dataclass(frozen=True, eq=False)
class Made:
    tensors: dict[str, Tensor]
    run: Run


def stack(
    widths: Sequence[int], kernels: Sequence[int], phases: int, planes: int = 1, gain: float = 1.0, seed: int = 0
) -> list[Pair]:
    """Random convolutions through which the picture passes on: flat grey comes out about as it went in.

    Channels 0 to planes - 1 carry it, `gain` times as large so that a tanh does not bend it.
    """
    generator = torch.Generator().manual_seed(seed)
    channels = (planes, *widths, planes * phases)
    layers = []
    for index, kernel in enumerate(kernels):
        inputs, outputs = channels[index], channels[index + 1]
        weight = torch.randn(outputs, inputs, kernel, kernel, generator=generator) * 0.02 / (kernel * inputs**0.5)
        bias = torch.randn(outputs, generator=generator) * 0.002 * gain
        first, last = index == 0, index == len(kernels) - 1
        for output in range(outputs if last else planes):
            plane = output // phases if last else output
            weight[output] *= 0.1 * gain if first else 0.1
            weight[output, plane, kernel // 2, kernel // 2] += gain if first else 1 / gain if last else 1
        layers.append((weight, bias))
    return layers


def named(layers: Sequence[Pair], names: Sequence[str]) -> dict[str, Tensor]:
    parts = zip(names, layers, strict=True)
    return {
        f"{name}.{part}": tensor for name, pair in parts for part, tensor in zip(("weight", "bias"), pair, strict=True)
    }


def same(x: Tensor, pair: Pair) -> Tensor:
    return F.conv2d(x, *pair, padding=pair[0].shape[-1] // 2)


def espcn(names: Sequence[str], scale: int = 2, hidden: str = "tanh", last: str = "none", planes: int = 1) -> Made:
    """An ESPCN with these names of its convolutions; it ends in `none`, tanh or sigmoid."""
    widths = (8, 6, 5)[: len(names) - 1]
    kernels = (5, 3, 3, 3)[: len(names)]
    layers = stack(widths, kernels, scale**2, planes, gain=0.1 if hidden == "tanh" else 1.0)
    weight, bias = layers[-1]
    steep, shift = {"none": (1.0, 0.0), "tanh": (1.4, -0.08), "sigmoid": (5.0, -2.5)}[last]  # about their inverse
    layers[-1] = weight * steep, bias * steep + shift
    acts: dict[str, Run] = {"tanh": torch.tanh, "relu": F.relu}
    ends: dict[str, Run] = {"none": lambda x: x, "tanh": torch.tanh, "sigmoid": torch.sigmoid}

    def run(x: Tensor) -> Tensor:
        for pair in layers[:-1]:
            x = acts[hidden](same(x, pair))
        return ends[last](F.pixel_shuffle(same(x, layers[-1]), scale))

    return Made(named(layers, names), run)


YJN870 = ("first_part.0", "first_part.2", "last_part.0")
LORNATANG = ("feature_maps.0", "feature_maps.2", "sub_pixel.0")
LEFTTHOMAS = ("conv1", "conv2", "conv3", "conv4")


def fsrcnn(scale: int = 3) -> Made:
    """yjn870's: 5×5, 1×1, two 3×3, 1×1, then a transposed 9×9 whose taps add up to scale² for what passes on."""
    layers = stack((6, 4, 4, 4), (5, 1, 3, 3, 1), 6)
    layers[-1] = stack((4,), (1, 1), 6)[-1]
    slopes = [torch.linspace(-0.1, 0.3, len(bias)) for _, bias in layers]
    generator = torch.Generator().manual_seed(5)
    head = torch.randn(6, 1, 9, 9, generator=generator) * 0.005
    head += scale**2 / 6 / 81
    bias = torch.tensor([0.01])
    names = ("first_part.0", "mid_part.0", "mid_part.2", "mid_part.4", "mid_part.6")
    act_names = ("first_part.1", "mid_part.1", "mid_part.3", "mid_part.5", "mid_part.7")
    tensors = named(layers, names) | {f"{name}.weight": s for name, s in zip(act_names, slopes, strict=True)}

    def run(x: Tensor) -> Tensor:
        for pair, slope in zip(layers, slopes, strict=True):
            x = F.prelu(same(x, pair), slope)
        return F.conv_transpose2d(x, head, bias, scale, 4, scale - 1)

    return Made(tensors | {"last_part.weight": head, "last_part.bias": bias}, run)


def compact(scale: int = 2, width: int = 6, depth: int = 3, slope: float | None = None) -> Made:
    """An SRVGGNetCompact; `slope` is that of all its activations, else each channel has its own."""
    generator = torch.Generator().manual_seed(2)
    channels = (3, *(width,) * (depth + 1), 3 * scale**2)
    kernels = [torch.randn(o, i, 3, 3, generator=generator) * 0.3 / (3 * i**0.5) for i, o in pairwise(channels)]
    layers = [(kernel, torch.randn(len(kernel), generator=generator) * 0.01) for kernel in kernels]
    layers[-1] = layers[-1][0] * 0.1, layers[-1][1] * 0.1
    slopes = [torch.randn(width, generator=generator) * 0.3 for _ in range(depth + 1)]
    tensors = named(layers, [f"body.{2 * index}" for index in range(depth + 2)])
    if slope is None:
        tensors |= {f"body.{2 * index + 1}.weight": each for index, each in enumerate(slopes)}
    else:
        slopes = [torch.full((width,), slope)] * (depth + 1)

    def run(x: Tensor) -> Tensor:
        out = x
        for pair, each in zip(layers[:-1], slopes, strict=True):
            out = F.prelu(same(out, pair), each)
        return F.pixel_shuffle(same(out, layers[-1]), scale) + F.interpolate(x, scale_factor=scale, mode="nearest")

    return Made(tensors, run)


def upconv_7() -> Made:
    """waifu2x's, as nunif writes it, with few planes: nothing is padded, the picture goes on with its edge pixels."""
    widths = (4, 4, 6, 6, 6, 8)
    layers = stack((*widths, 3), (3,) * 7, 1, 3)[:6]
    generator = torch.Generator().manual_seed(3)
    head = torch.randn(8, 3, 4, 4, generator=generator) * 0.02
    for plane in range(3):
        head[plane, plane] += 0.25
    bias = torch.tensor([0.01, -0.02, 0.03])
    tensors = named(layers, [f"net.{index}" for index in range(0, 12, 2)])

    def run(x: Tensor) -> Tensor:
        x = F.pad(x, [7] * 4, mode="replicate")
        for pair in layers:
            x = F.leaky_relu(F.conv2d(x, *pair), 0.1)
        return F.conv_transpose2d(x, head, bias, 2, 3)

    return Made(tensors | {"net.12.weight": head, "net.12.bias": bias}, run)


# --- ncnn ------------------------------------------------------------------------------------------------------------


def save_ncnn(path: Path, lines: Sequence[str], parts: Sequence[NDArray[Any] | bytes]) -> Path:
    """A .param file of these layers, whose counts are put before them, and a .bin file of these parts."""
    blobs = sum(int(line.split()[3]) for line in lines)
    path.write_text("\n".join(["7767517", f"{len(lines)} {blobs}", *lines]) + "\n")
    path.with_suffix(".bin").write_bytes(
        b"".join(p if isinstance(p, bytes) else p.astype("<f4").tobytes() for p in parts)
    )
    return path


def kernel_of(weight: Tensor, half: bool = False) -> bytes:
    """A kernel as it stands in a .bin file: a flag, then its numbers in 32 or 16 bits."""
    values = weight.detach().numpy()
    if not half:
        return struct.pack("<I", 0) + values.astype("<f4").tobytes()
    data = values.astype("<f2").tobytes()
    return struct.pack("<I", 0x01306B47) + data + bytes(-len(data) % 4)


def save_ncnn_compact(path: Path, made: Made, scale: int, half: bool = False, reduced: bool = False) -> Path:
    """`compact` as ncnn has it; `reduced` adds a resize behind it, as animevideov3 has at x2 and x3."""
    lines = ["Input in 0 1 data", "Split split 1 2 data a b"]
    parts: list[NDArray[Any] | bytes] = []
    last, index = "b", 0
    while (weight := made.tensors.get(f"body.{index}.weight")) is not None:
        outputs, inputs = weight.shape[:2]
        lines.append(f"Convolution c{index} 1 1 {last} x{index} 0={outputs} 1=3 4=1 5=1 6={outputs * inputs * 9}")
        parts += [kernel_of(weight, half), made.tensors[f"body.{index}.bias"].numpy()]
        last = f"x{index}"
        if (slopes := made.tensors.get(f"body.{index + 1}.weight")) is not None:
            lines.append(f"PReLU p{index} 1 1 {last} y{index} 0={len(slopes)}")
            parts.append(slopes.numpy())
            last = f"y{index}"
        index += 2
    lines += [
        f"PixelShuffle shift 1 1 {last} large 0={scale}",
        f"Interp near 1 1 a repeated 0=1 1={scale}.0 2={scale}.0",
        f"BinaryOp add 2 1 large repeated {'sum' if reduced else 'output'} 0=0",
    ]
    if reduced:
        lines.append("Interp less 1 1 sum output 0=3 1=5.0e-01 2=5.0e-01")
    return save_ncnn(path, lines, parts)


def save_ncnn_upconv_7(path: Path, made: Made) -> Path:
    lines = ["Input in 0 1 data 0=156 1=156 2=3"]
    parts: list[NDArray[Any] | bytes] = []
    last = "data"
    for index in range(0, 12, 2):
        weight = made.tensors[f"net.{index}.weight"]
        outputs = len(weight)
        counts = f"0={outputs} 1=3 5=1 6={weight.numel()} 9=2 -23310=1,0.100000"
        lines.append(f"Convolution c{index} 1 1 {last} x{index} {counts}")
        parts += [kernel_of(weight), made.tensors[f"net.{index}.bias"].numpy()]
        last = f"x{index}"
    head = made.tensors["net.12.weight"]
    lines.append(f"Deconvolution d 1 1 {last} output 0=3 1=4 3=2 4=3 5=1 6={head.numel()}")
    parts += [kernel_of(head.transpose(0, 1).contiguous()), made.tensors["net.12.bias"].numpy()]
    return save_ncnn(path, lines, parts)


# --- TensorFlow ------------------------------------------------------------------------------------------------------


def attribute(name: str, value: bytes) -> bytes:
    return field(5, field(1, name) + field(2, value))


def node(name: str, op: str, *inputs: str, attributes: bytes = b"") -> bytes:
    parts = field(1, name) + field(2, op) + b"".join(field(3, each) for each in inputs)
    return field(1, parts + attributes)


def constant(name: str, values: NDArray[Any], dtype: int = 1) -> bytes:
    shape = b"".join(field(2, field(1, size)) for size in values.shape)
    tensor = field(1, dtype) + field(2, shape) + field(4, values.tobytes())
    return node(name, "Const", attributes=attribute("value", field(8, tensor)))


def convolution(name: str, source: str, kernel: str, padding: str = "SAME", stride: int = 1) -> bytes:
    strides = field(1, field(3, b"".join(bytes([each]) for each in (1, stride, stride, 1))))
    attributes = attribute("padding", field(2, padding)) + attribute("strides", strides)
    return node(name, "Conv2D", source, kernel, attributes=attributes)


def save_graph(path: Path, layers: Sequence[Pair], scale: int, hidden: str = "relu", last: str = "Tanh") -> Path:
    """A frozen graph as OpenCV's are: each PReLU of five operations, if it has any."""
    data = node("data", "Placeholder")
    current = "data"
    for index, (weight, bias) in enumerate(layers):
        data += constant(f"f{index}", np.ascontiguousarray(weight.numpy().transpose(2, 3, 1, 0)))
        data += convolution(f"conv{index}", current, f"f{index}")
        data += constant(f"b{index}", bias.numpy())
        data += node(f"add{index}", "Add", f"conv{index}", f"b{index}")
        current = f"add{index}"
        if index == len(layers) - 1:
            break
        data += node(f"relu{index}", "Relu", current)
        if hidden == "prelu":
            data += constant(f"alpha{index}", np.linspace(-0.2, 0.4, len(bias), dtype=np.float32))
            data += constant(f"half{index}", np.array(0.5, np.float32))
            data += node(f"abs{index}", "Abs", current)
            data += node(f"sub{index}", "Sub", current, f"abs{index}")
            data += node(f"mul{index}", "Mul", f"alpha{index}", f"sub{index}")
            data += node(f"mulhalf{index}", "Mul", f"mul{index}", f"half{index}")
            data += node(f"prelu{index}", "Add", f"relu{index}", f"mulhalf{index}")
        current = f"{hidden}{index}"
    data += node("shift", "DepthToSpace", current, attributes=attribute("block_size", field(3, scale)))
    current = "shift"
    if last:
        data += node("end", last, current)
        current = "end"
    data += constant("order", np.array([0, 3, 1, 2], np.int32), dtype=3)
    data += node("out", "Transpose", current, "order")
    path.write_bytes(data)
    return path
