"""A user shader for mpv and everything with libplacebo: fragment passes of four planes, from a checkpoint. No torch.

The passes of a layer read the textures of the layer before it, each made by a pass of its own. What lies beyond the
border is zero to them, as in training, and the edge pixel to the skip. The last layer's planes are kept as differences
from their LR pixel, small numbers that half floats hold well; the phase shift puts them onto that pixel.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from espcn_cli.errors import EspcnError
from espcn_cli.exchange.exported import Files, Network
from espcn_cli.exchange.texels import PLANES, Layer, check, layers, textures
from espcn_cli.maths.resize import cubic, phase_kernels
from espcn_cli.settings import BICUBIC_REACH, ModelSettings

TEXTURES = 16
"""That one pass can read, in mpv and in libplacebo."""

PASSES = 256
"""More than that take players minutes to compile, and no card in time to compute."""

WORTH = 1.2
"""The shader runs where the output is at least this many times as large as the source."""

SOURCE = {1: "LUMA", 3: "MAIN"}
"""What is upscaled, by planes."""

ACTIVATIONS = {
    "none": "",
    "tanh": "v = tanh(v);",
    "sigmoid": "v = 1.0 / (1.0 + exp(-v));",
    "hardswish": "v *= clamp(v + 3.0, 0.0, 6.0) / 6.0;",
    "prelu": "v = max(v, vec4(0.0)) + {slopes} * min(v, vec4(0.0));",
}


def shader(network: Network) -> Files:
    """The text of the shader. Raises EspcnError for a network that players cannot run."""
    check(network, "a shader")
    _check_size(network)
    settings = network.settings
    head = ["// A network made by espcn, for mpv (glsl-shaders) and libplacebo (custom_shader_path)."]
    head += [f"// {name}: {' '.join(value.split())}" for name, value in network.facts.items()]
    parts = ["\n".join(head), *_passes(settings, [*layers(settings, network.weights)]), _phase_shift(settings)]
    return {".glsl": ("\n\n".join(parts) + "\n").encode()}


def _check_size(network: Network) -> None:
    settings = network.settings
    most = max(textures(width) for width in settings.widths)
    needed = max(most, textures(settings.widths[-1]) + 1, textures(settings.channels[-1]) + 1)
    passes = 1 + sum(textures(width) for width in settings.channels[1:])
    if needed <= TEXTURES and passes <= PASSES:
        return
    wide = f"wide for a player: a pass would read {needed} textures of at most {TEXTURES}"
    deep = f"deep for a player: it takes {passes} passes of at most {PASSES}"
    raise EspcnError(
        f"{network.card.name} is too {wide if needed > TEXTURES else deep}, and a picture of 1280 x 720 "
        f"{gigaflop(settings, 1280, 720):,.0f} GFLOP; choose a smaller network"
    )


def gigaflop(settings: ModelSettings, width: int, height: int) -> float:
    """What a frame of that size costs, two operations a multiply-add."""
    return 2 * settings.macs * width * height / 1e9


def _passes(settings: ModelSettings, stack: list[Layer]) -> Iterator[str]:
    """A pass for each texture of each layer; layers write to two sets of textures in turn."""
    taken = ["HOOKED"]
    for depth, layer in enumerate(stack):
        last = depth == len(stack) - 1
        given = [f"ESPCN{'P' if last else 'AB'[depth % 2]}{index}" for index in range(len(layer.matrices))]
        for index, name in enumerate(given):
            yield _layer(settings, layer, index, taken, name, last)
        taken = given


def _layer(settings: ModelSettings, layer: Layer, index: int, taken: list[str], name: str, last: bool) -> str:
    """A pass that computes four planes of a layer."""
    what = f"espcn {'last layer' if last else 'layer'} {layer.matrices.shape[1] * PLANES}->{PLANES} {name}"
    binds = taken if "HOOKED" in taken or not last else [*taken, "HOOKED"]
    lines = [*_head(settings, what, binds), f"//!SAVE {name}", "//!COMPONENTS 4", "vec4 hook() {"]
    lines += _inside(taken[0], layer.kernel)
    lines.append(f"    vec4 v = {_vector(layer.biases[index])};")
    reach = layer.kernel // 2
    for matrices, texture in zip(layer.matrices[index], taken, strict=True):
        for y, x in np.ndindex(matrices.shape[:2]):
            if matrices[y, x].any():
                dy, dx = y - reach, x - reach
                value = _input(settings, dx, dy) if texture == "HOOKED" else f"{texture}_texOff(vec2({dx}, {dy}))"
                lines.append(
                    f"    v += {_product(matrices[y, x], value, texture == 'HOOKED', settings)}{_mask(dx, dy)};"
                )
    lines.append(f"    {ACTIVATIONS[layer.activation].format(slopes=_vector(layer.slopes[index]))}".rstrip())
    if last:
        lines += _onto_pixel(settings, index)
    return "\n".join([*(line for line in lines if line), "    return v;", "}"])


def _head(settings: ModelSettings, what: str, binds: list[str]) -> list[str]:
    source = SOURCE[settings.planes]
    least = [f"OUTPUT.{side} HOOKED.{side} {WORTH} * < !" for side in "wh"]
    return [
        f"//!HOOK {source}",
        *(f"//!BIND {bind}" for bind in binds),
        f"//!DESC {what}",
        f"//!WHEN {' '.join(least)} *",
    ]


def _inside(texture: str, kernel: int) -> list[str]:
    """Where the pixel is, and which columns and rows around it lie in the picture: 1 or 0 by offset."""
    lines = [f"    vec2 at = floor({texture}_pos * {texture}_size), size = floor({texture}_size + 0.5);"]
    for axis in "xy":
        for offset in range(1, kernel // 2 + 1):
            before, after = f"step({offset}.0, at.{axis})", f"step(at.{axis}, size.{axis} - {offset + 1}.0)"
            lines.append(f"    float {axis}m{offset} = {before}, {axis}p{offset} = {after};")
    return lines


def _mask(dx: int, dy: int) -> str:
    names = [f"{axis}{'m' if offset < 0 else 'p'}{abs(offset)}" for axis, offset in (("x", dx), ("y", dy)) if offset]
    return "".join(f" * {name}" for name in names)


def _input(settings: ModelSettings, dx: int, dy: int) -> str:
    """The picture at an offset, in the range that the network takes."""
    black, white = settings.value_range
    value = f"HOOKED_texOff(vec2({dx}, {dy})).{'x' if settings.planes == 1 else 'xyz'}"
    return value if (black, white) == (0, 1) else f"({value} * {_number(white - black)} + {_number(black)})"


def _product(matrix: NDArray[np.float32], value: str, source: bool, settings: ModelSettings) -> str:
    """A matrix (4 in, 4 out) times four planes, or times the one or three of the picture."""
    if not source:
        return f"mat4({_numbers(matrix.ravel())}) * {value}"
    if settings.planes == 1:
        return f"{_vector(matrix[0])} * {value}"
    return f"mat4({_numbers(matrix.ravel())}) * vec4({value}, 0.0)"


def _onto_pixel(settings: ModelSettings, index: int) -> list[str]:
    """Lines that turn the last layer's planes into what is added to the LR pixel: skip added, pixel taken away."""
    black, white = settings.value_range
    lines = [f"    v = v / {_number(white - black)};"] if (black, white) != (0, 1) else []
    channels = np.arange(index * PLANES, (index + 1) * PLANES)
    planes = (channels // settings.scale**2).clip(max=settings.planes - 1)
    if settings.skip == "none":
        pixel = "".join("xyz"[plane] for plane in planes)
        return [*lines, f"    v -= HOOKED_texOff(vec2(0, 0)).{pixel} + {_number(black / (white - black))};"]
    if settings.skip == "nearest":
        return lines
    kernels = phase_kernels(settings.scale, BICUBIC_REACH, cubic)[channels % settings.scale**2, 0]
    kernels[:, BICUBIC_REACH, BICUBIC_REACH] -= 1
    for y, x in np.ndindex(kernels.shape[1:]):
        taps = kernels[:, y, x]
        if np.abs(taps).max() > 1e-9:
            offset = f"clamp(vec2({x - BICUBIC_REACH}, {y - BICUBIC_REACH}), -at, size - 1.0 - at)"
            pixel = "".join("xyz"[plane] for plane in planes)
            lines.append(f"    v += {_vector(taps)} * HOOKED_texOff({offset}).{pixel};")
    return lines


def _phase_shift(settings: ModelSettings) -> str:
    """The pass that is scale times larger: each pixel takes its phase, and is put onto the LR pixel that it lies in."""
    scale, count = settings.scale, textures(settings.channels[-1])
    names = [f"ESPCNP{index}" for index in range(count)]
    lines = _head(settings, f"espcn phase shift x{scale}", ["HOOKED", *names])
    lines += [f"//!WIDTH HOOKED.w {scale} *", f"//!HEIGHT HOOKED.h {scale} *"]
    if settings.planes == 1:
        lines.append("//!COMPONENTS 1")
    lines += [
        "vec4 hook() {",
        "    vec2 p = HOOKED_pos * HOOKED_size, pixel = floor(p);",
        f"    ivec2 phase = ivec2((p - pixel) * {scale}.0);",
        f"    int channel = phase.y * {scale} + phase.x;",
        "    vec2 at = (pixel + 0.5) / HOOKED_size;",
        "    vec4 v = HOOKED_tex(at);",
    ]
    if settings.planes == 3:
        lines.append("    v.w = HOOKED_tex(HOOKED_pos).w;")
    for plane in range(settings.planes):
        shift = f" + {plane * scale**2}" if plane else ""
        lines += [f"    int c{plane} = channel{shift};"]
        value = f"{names[-1]}_tex(at)[c{plane} % 4]"
        for index in reversed(range(count - 1)):
            value = f"c{plane} < {PLANES * (index + 1)} ? {names[index]}_tex(at)[c{plane} % 4] : {value}"
        lines.append(f"    v.{'xyz'[plane]} += {value};")
    return "\n".join([*lines, "    return v;", "}"])


def _numbers(values: NDArray[np.floating]) -> str:
    return ", ".join(_number(float(value)) for value in values)


def _vector(values: NDArray[np.floating]) -> str:
    return f"vec4({_numbers(values)})"


def _number(value: float) -> str:
    """A literal that GLSL takes for a float, to seven digits."""
    text = f"{value:.7g}"
    return text if any(sign in text for sign in ".e") else f"{text}.0"
