"""A network as one graph of OpenVINO's own operations: whole levels in, whole levels out.

Weights are read as arrays; neither PyTorch nor ONNX is on the way. Planes inside are (N, C, H, W). Before the phase
shift the planes of an LR pixel lie as its HR pixels will, row by row, their colours together: scale·scale·colours.

Subtractions are additions of the opposite here, divisions by a number are multiplications, and padding is the first
opset's: what OpenVINO rewrites before it compiles loses the mark that keeps it in fp32, or ends in "object is not
initialized" behind a convolution of single planes (2026.4, AVX-512 and bf16).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from espcn_cli.engines.engine import highest
from espcn_cli.engines.openvino_runtime import op, opset1, ov
from espcn_cli.maths.colour import EVENNESS, HALVED_REACH, LUMA, MIDDLE, SLOPE_REACH, STEEPEST
from espcn_cli.maths.levels import Floats
from espcn_cli.maths.quantisation import LARGEST, LEVELS, Grid, Range, Ranges, grid, weight_steps
from espcn_cli.maths.resize import cubic, phase_taps, triangle
from espcn_cli.maths.turns import TURNS
from espcn_cli.network.checkpoint import Weights
from espcn_cli.network.turning import turned_weights
from espcn_cli.settings import BICUBIC_REACH, LastActivation, ModelSettings

Node = Any
"""An output of an OpenVINO operation."""

Shape = tuple[int, ...]
"""Of what goes in; -1 is any length."""

HIDDEN = "hidden"
"""What the names of those operations begin with that may be done in half precision; all others are done in fp32."""

TO_LUMA = np.tile(LUMA, (3, 1))
"""RGB -> luma, three times."""

BINOMIALS = np.stack([np.outer((1, 2, 1), (1, 2, 1)) / 16] * 3)
"""See `network/slopes.smoothed`."""

CHANNELS_FIRST, CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


@dataclass(frozen=True)
class Form:
    """What goes through a graph: `levels` (N, H, W, channels) of a dtype, black and white at 0 and 1, or `planes`.

    Planes are float32 (N, channels, H, W) in [0, 1], neither rounded nor clipped. Without `network` it is bicubic
    interpolation alone, of any number of channels.
    """

    channels: int
    dtype: Literal["uint8", "uint16", "float32"] = "uint8"
    black: int = 0
    white: int = 255
    network: bool = True

    @property
    def is_planes(self) -> bool:
        return self.dtype == "float32"


@dataclass(frozen=True, eq=False)
class Blueprint:
    """A network, whether the mean over the eight flips and quarter turns is taken, and what colours it is for.

    `rough`: what is HIDDEN is to be in half precision, and all else has to be made of operations that stay in fp32.
    `ranges`: of what goes into each layer, which is then rounded to eight bits; none leaves it as it is.
    """

    settings: ModelSettings
    weights: Weights
    ensemble: bool = False
    halved: bool = False
    rough: bool = False
    ranges: Ranges = ()


Around = Callable[[int], Node]
"""A picture's planes with so many pixels more at each side, beyond its border: the edge pixel's."""


def build(blueprint: Blueprint, form: Form, shape: Shape) -> Any:
    """The graph of a form; `shape` is that of what goes in.

    Its outputs: the picture, scale times larger, and the sum of all that the network gave, which is not finite if
    anything in it is not; in bytes everything is.
    """
    source = op.parameter(ov.PartialShape(list(shape)), np.dtype(form.dtype))
    around = partial(_planes_around, source, form, bool(blueprint.ranges))
    if form.network:
        sr, found = _upscaled(around, blueprint, form)
        total = _number(0) if blueprint.ranges else op.reduce_sum(found, _whole([0, 1, 2, 3]), keep_dims=False)
    else:
        sr = _interpolated(around, form.channels, blueprint.settings.scale)
        total = _number(0)
    return ov.Model([_shifted(sr, blueprint.settings.scale, form), total], [source], "espcn")


# --- levels and planes -----------------------------------------------------------------------------------------------


def _planes_around(source: Node, form: Form, in_bytes: bool, edge: int) -> Node:
    """What goes in as float32 (N, C, H + 2·edge, W + 2·edge), 0 at black and 1 at white.

    Levels get their edge while they are levels, which are small, and are counted from black before they are turned into
    planes: that is one pass. For layers `in_bytes`, OpenVINO would take this for a byte's own scale and move it.
    """
    if form.is_planes:
        return _padded(source, edge)
    x = op.convert(_padded(source, edge, (1, 2)), "f32")
    x = op.clamp(x, 0, highest(form.white)) if in_bytes else x
    x = op.add(x, _number(-form.black)) if form.black else x
    return op.transpose(op.multiply(x, _number(1 / (form.white - form.black))), _whole(CHANNELS_FIRST))


def _padded(x: Node, edge: int, axes: tuple[int, int] = (2, 3)) -> Node:
    sides = _whole([edge if axis in axes else 0 for axis in range(4)])
    return opset1.pad(x, sides, sides, "edge") if edge else x


def _shifted(sr: Node, scale: int, form: Form) -> Node:
    """The phase shift, (N, scale·scale·C, H, W) -> what the form wants: levels rounded once, or planes as they are."""
    if not form.is_planes:
        sr = op.add(op.multiply(sr, _number(form.white - form.black)), _number(form.black + 0.5))
        most = highest(form.white) + 0.5  # behind layers in bytes OpenVINO may give a hair less: 254 of 255
        sr = op.convert(op.clamp(sr, 0, most), "u8" if form.dtype == "uint8" else "u16")
    pixels = op.transpose(sr, _whole(CHANNELS_LAST))  # as they lie in memory already
    count, rows, columns = (op.gather(op.shape_of(pixels), _whole(axis), _whole(0)) for axis in range(3))
    parted = op.concat([_one(count), _one(rows), _one(columns), _whole([scale, scale * form.channels])], 0)
    lines = op.transpose(op.reshape(pixels, parted, False), _whole((0, 1, 3, 2, 4)))
    tall, wide = (_one(op.multiply(side, _whole(scale))) for side in (rows, columns))
    large = op.reshape(lines, op.concat([_one(count), tall, wide, _whole([form.channels])], 0), False)
    return op.transpose(large, _whole(CHANNELS_FIRST)) if form.is_planes else large


# --- the network -----------------------------------------------------------------------------------------------------


def _upscaled(around: Around, blueprint: Blueprint, form: Form) -> tuple[Node, Node]:
    """The result before the phase shift, and what the network gave; see `TorchEngine` for the ways."""
    settings, scale = blueprint.settings, blueprint.settings.scale
    if form.channels == settings.planes:
        found = _mean_of_stacks(around(0), blueprint)
        return _with_skip(found, around, settings), found
    if settings.planes == 3:
        sr, found = _upscaled(lambda edge: _tripled(around(edge)), blueprint, replace(form, channels=3))
        return _luma_of_phases(sr, scale), found
    soft = partial(_padded, _softened(around)) if blueprint.halved else around
    if settings.skip == "bicubic" and not blueprint.halved:
        change = found = _mean_of_stacks(_luma(around(0)), blueprint, colours=3)
    else:
        found = _mean_of_stacks(_luma(around(0)), blueprint)
        sr = _with_skip(found, _luma_around(around), settings)
        minus = _interpolated(lambda edge: _mixed(soft(edge), -np.array([LUMA])), 1, scale)
        change = _for_each_colour(op.add(sr, minus), scale)
    taken = op.multiply(change, _slopes(around, scale, blueprint))
    return op.add(_interpolated(soft, 3, scale), taken), found


def _softened(around: Around) -> Node:
    """RGB with luma as soft as chroma is that was held at half the resolution; see `network/slopes`."""
    twice = np.outer((1, 4, 6, 4, 1), (1, 4, 6, 4, 1)) / 256
    sharp = np.pad([[1.0]], 2) - twice
    return op.add(around(0), _each(_mixed(around(2), TO_LUMA), np.stack([-sharp] * 3)))


def _with_skip(found: Node, around: Around, settings: ModelSettings) -> Node:
    if settings.skip == "bicubic":
        return op.add(found, _interpolated(around, settings.planes, settings.scale))
    if settings.skip == "nearest":
        return op.add(found, _mixed(around(0), np.tile(np.eye(settings.planes), (settings.scale**2, 1))))
    return found


def _mean_of_stacks(x: Node, blueprint: Blueprint, colours: int = 1) -> Node:
    """The network without its skip, in [0, 1]-units; skips are whole pictures and shift with the range.

    What it gives is there for each of so many `colours`: its last layer takes no longer to give it thrice.
    """
    turns = TURNS if blueprint.ensemble else TURNS[:1]
    settings = blueprint.settings
    (black, white), shift = settings.value_range, settings.value_range[0] if settings.skip == "none" else 0
    if (black, white) != (0, 1):
        wider = _mixed(
            x, np.eye(settings.planes) * (white - black)
        )  # a mere product rounds one way here, another there
        x = op.add(wider, op.constant(np.full((1, settings.planes, 1, 1), black, np.float32)))
    weights = [turned_weights(settings, blueprint.weights, turn) for turn in turns]
    stacks = [_stack(x, settings, each, blueprint.ranges, colours) for each in weights]
    total = stacks[0]
    for stack in stacks[1:]:
        total = op.add(total, stack)
    total = op.add(total, _number(-shift * len(turns))) if shift else total
    divisor = len(turns) * (white - black)
    return _mixed(total, np.eye(settings.planes * settings.scale**2 * colours) / divisor) if divisor != 1 else total


def _stack(x: Node, settings: ModelSettings, weights: Weights, ranges: Sequence[Range], colours: int) -> Node:
    """The convolutions, each with what follows it; the last planes in our order, each `colours` times."""
    last = len(settings.widths)
    x = _padded(x, settings.reach) if settings.border == "edge" else x
    for layer, kind in enumerate(settings.activations):
        name = HIDDEN if layer < last else ""
        channels = slice(None) if layer < last else _order(settings.planes, settings.scale).repeat(colours)
        weight, bias = weights[f"body.{2 * layer}.weight"], weights[f"body.{2 * layer}.bias"]
        values = ranges[layer] if ranges else None
        x = _convolution(x, weight[channels], bias[channels], name, settings.border == "zeros", values)
        slopes = weights.get(f"body.{2 * layer + 1}.weight")
        x = _named(_activation(x, kind, slopes if slopes is None or len(slopes) == 1 else slopes[channels]), name)
    return x


def _activation(x: Node, kind: LastActivation, slopes: NDArray[np.float32] | None) -> Node:
    if kind == "prelu":
        return op.prelu(x, op.constant(slopes))
    kinds: dict[LastActivation, Callable[[Node], Node]] = {
        "tanh": op.tanh,
        "hardswish": op.hswish,
        "sigmoid": op.sigmoid,
    }
    return kinds[kind](x) if kind in kinds else x


def _order(planes: int, scale: int) -> NDArray[np.int64]:
    """Where each channel is found in PyTorch's order, whose colours vary slowest: ours vary fastest."""
    return np.arange(planes * scale**2).reshape(planes, scale**2).T.ravel()


def _convolution(
    x: Node, weight: NDArray[np.float32], bias: NDArray[np.float32], name: str, padded: bool, values: Range | None
) -> Node:
    """A layer; with the range of what goes in, OpenVINO multiplies bytes."""
    pads = [size // 2 if padded else 0 for size in weight.shape[2:]]
    kernel = op.constant(weight)
    if values is not None:
        x, kernel = _in_bytes(x, grid(values)), _kernel_in_bytes(kernel, weight_steps(weight))
    x = _named(op.convolution(x, kernel, [1, 1], pads, pads, [1, 1]), name)
    return _named(op.add(x, op.constant(bias.reshape(1, -1, 1, 1))), name)


def _in_bytes(x: Node, values: Grid) -> Node:
    ends = [op.constant(np.full((1, 1, 1, 1), end, np.float32)) for end in values.ends]
    return op.fake_quantize(x, *ends, *ends, LEVELS)


def _kernel_in_bytes(kernel: Node, steps: NDArray[np.float32]) -> Node:
    ends = [op.constant((sign * LARGEST * steps).reshape(-1, 1, 1, 1).astype(np.float32)) for sign in (-1, 1)]
    return op.fake_quantize(kernel, *ends, *ends, 2 * LARGEST + 1)


# --- colours and interpolation ---------------------------------------------------------------------------------------


def _luma(x: Node) -> Node:
    return _mixed(x, np.array([LUMA]))


def _luma_around(around: Around) -> Around:
    return lambda edge: _luma(around(edge))


def _tripled(x: Node) -> Node:
    return op.concat([x, x, x], 1)


def _luma_of_phases(sr: Node, scale: int) -> Node:
    """(N, scale·scale·3, H, W) -> (N, scale·scale, H, W)."""
    return _mixed(sr, np.kron(np.eye(scale**2), np.array([LUMA])))


def _for_each_colour(phases: Node, scale: int) -> Node:
    """(N, scale·scale, H, W) -> (N, scale·scale·3, H, W)."""
    return _mixed(phases, np.eye(scale**2).repeat(3, axis=0))


def _mixed(x: Node, matrix: Floats) -> Node:
    """Sums of channels by the rows of a matrix."""
    weight = matrix.astype(np.float32)[:, :, None, None]
    return op.convolution(x, op.constant(weight), [1, 1], [0, 0], [0, 0], [1, 1])


def _slopes(around: Around, scale: int, blueprint: Blueprint) -> Node:
    """Each colour's slope on luma, linear between LR pixels; see `network/slopes`. (N, scale·scale·3, H, W)."""
    follows, variance = _moments_of_halved(around) if blueprint.halved else _moments(around)
    change = op.multiply(follows, _inverse(variance)) if blueprint.rough else op.divide(follows, variance)
    bounded = op.clamp(change, -STEEPEST, STEEPEST)
    even = np.eye(3) - TO_LUMA  # shifts the three so that weighted as in luma they are as before: 0
    taps = phase_taps(scale, 1, triangle)
    changes = _at_phases(_padded(bounded, 1), np.einsum("at,bu->abtu", taps, taps), even)
    return op.add(changes, op.constant(np.ones((1, 3 * scale**2, 1, 1), np.float32)))  # of this shape it is a bias


def _inverse(variance: Node) -> Node:
    """1 / variance, by the exponential of its logarithm; see the top of this file. Of one plane, and then for three."""
    one = _mixed(variance, np.eye(3)[:1])
    return _mixed(op.exp(op.multiply(op.log(one), _number(-1))), np.ones((3, 1)))


def _moments(around: Around) -> tuple[Node, Node]:
    """The covariance of C - Y with luma, and the variance of luma with EVENNESS: three planes each.

    What has one value for all colours is here three times: few channels cost this library as much as many, and taking
    them apart costs more.
    """
    box = partial(_each, kernels=np.full((3, 3, 3), 1 / 9))
    x = op.add(around(SLOPE_REACH - 1), _number(-MIDDLE))
    mean = box(x)
    covariance = op.add(box(op.multiply(x, _mixed(x, TO_LUMA))), op.multiply(mean, _mixed(mean, -TO_LUMA)))
    variance = _mixed(covariance, TO_LUMA)
    return op.add(covariance, _mixed(covariance, -TO_LUMA)), op.add(variance, _for_three(EVENNESS))


def _moments_of_halved(around: Around) -> tuple[Node, Node]:
    """The same with luma as smooth as chroma is, and over 5×5 pixels.

    MIDDLE is taken away after the convolutions: before them, graphs for one shape and for any would round otherwise.
    """
    box = partial(_each, kernels=np.full((3, 5, 5), 1 / 25))
    x = around(HALVED_REACH - 2)
    other = op.add(x, _mixed(x, -TO_LUMA))
    y = op.add(_each(_mixed(around(HALVED_REACH - 1), TO_LUMA), BINOMIALS), _number(-MIDDLE))
    mean = box(y)
    minus = _opposite(mean)
    covariance = op.add(box(op.multiply(other, y)), op.multiply(box(other), minus))
    variance = op.add(box(op.multiply(y, y)), op.multiply(mean, minus))
    return covariance, op.add(variance, _for_three(EVENNESS))


def _interpolated(around: Around, channels: int, scale: int) -> Node:
    """Bicubic upsampling before the phase shift: rows, then columns."""
    taps = phase_taps(scale, BICUBIC_REACH, cubic)
    rows = _at_phases(around(BICUBIC_REACH), taps[:, None, :, None], np.eye(channels))
    return _at_phases(rows, taps[None, :, None, :], np.eye(scale * channels), scale)


def _at_phases(x: Node, taps: Floats, matrix: Floats, groups: int = 1) -> Node:
    """Planes mixed by a matrix, each then through the kernels (a, b, t, u) of the phases that it is to have.

    The planes come in `groups`, the rows' phases, with as much of their surroundings as the kernels reach; the result
    is (N, groups·a·b·colours, H, W). A plane is repeated first and convolved by itself after: one convolution that does
    both takes twice as long.
    """
    phases, size = taps.shape[0] * taps.shape[1], taps.shape[2:]
    parts = matrix.reshape(groups, -1, matrix.shape[1])
    repeated = _mixed(x, np.concatenate([part for part in parts for _ in range(phases)]))
    each = taps.reshape(phases, 1, *size).repeat(parts.shape[1], axis=1).reshape(-1, *size)
    return _each(repeated, np.tile(each, (groups, 1, 1)))


def _each(x: Node, kernels: Floats) -> Node:
    """Every plane by its own kernel (t, u), without padding."""
    weight = op.constant(kernels.astype(np.float32)[:, None, None])
    return op.group_convolution(x, weight, [1, 1], [0, 0], [0, 0], [1, 1])


# --- small things ----------------------------------------------------------------------------------------------------


def _whole(values: Any) -> Node:
    return op.constant(np.array(values, np.int64))


def _number(value: float) -> Node:
    return op.constant(np.float32(value))


def _for_three(value: float) -> Node:
    """A number for three planes; for OpenVINO it is not a scalar."""
    return op.constant(np.full((1, 3, 1, 1), value, np.float32))


def _opposite(planes: Node) -> Node:
    return op.multiply(planes, _for_three(-1))


def _one(value: Node) -> Node:
    """A scalar as a list of one."""
    return op.unsqueeze(value, _whole(0))


def _named(node: Node, name: str) -> Node:
    if name:
        node.set_friendly_name(f"{name}/{node.get_friendly_name()}")
    return node
