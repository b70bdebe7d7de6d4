"""Every format that `espcn export` writes, by the suffix that asks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from espcn_cli.errors import UsageError
from espcn_cli.exchange.exported import Files, Network, Precision
from espcn_cli.exchange.ncnn_writing import ncnn
from espcn_cli.exchange.onnx import Input, onnx
from espcn_cli.exchange.openvino_ir import openvino_ir
from espcn_cli.exchange.page import page
from espcn_cli.exchange.shader import shader
from espcn_cli.exchange.state_dict import state_dict

Make = Callable[[Sequence[Network]], Files]


def alone(make: Callable[[Network], Files]) -> Make:
    """A format of one network at one strength. It raises UsageError for several."""

    def only(networks: Sequence[Network]) -> Files:
        if len(networks) != 1:
            raise UsageError(f"{len(networks)} models: only a page (.html) holds several, name one")
        if networks[0].pair is not None:
            raise UsageError("strength auto: only a page (.html) can choose, give a number from 0 to 1")
        return make(networks[0])

    return only


FORMATS: dict[str, Make] = {
    ".html": page,
    ".glsl": alone(shader),
    ".param": alone(ncnn),
    ".pth": alone(state_dict),
}

GRAPHS: dict[str, Callable[[Network, Input], Files]] = {".onnx": onnx, ".xml": openvino_ir}
"""Those that can take pictures as they are, or what the network itself sees; and those that can be in int8."""


def find(suffix: str, form: Input | None = None, precision: Precision = "fp32") -> Make:
    """What makes the files of a format; a graph takes rgb unless another form is named.

    Raises UsageError if there is none of that suffix, and for a form or precision of a format that has just one.
    """
    kind = suffix.lower()
    if kind in GRAPHS:
        write = GRAPHS[kind]
        return alone(lambda network: write(network, form or "rgb"))
    if kind not in FORMATS:
        there = ", ".join([*FORMATS, *GRAPHS])
        raise UsageError(f"{suffix or 'a name without a suffix'} is no format of export: use {there}")
    for option, is_given in (("--input", form is not None), ("--precision int8", precision != "fp32")):
        if is_given:
            raise UsageError(f"{option} is for {' and '.join(GRAPHS)}: leave it out")
    return FORMATS[kind]
