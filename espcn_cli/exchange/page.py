"""One HTML page that upscales pictures and video in a browser: networks, code and an example, and nothing fetched."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Any

import numpy as np

from espcn_cli.exchange.exported import Files, Network
from espcn_cli.exchange.texels import Layer, check, layers
from espcn_cli.maths.levels import Floats
from espcn_cli.maths.resize import cubic, phase_taps, triangle
from espcn_cli.network import mixing
from espcn_cli.network.checkpoint import Weights
from espcn_cli.pictures.traces import STANDARD
from espcn_cli.settings import BICUBIC_REACH, ModelSettings

TILE_PLANES = 2**23
"""Values of one layer in a tile: in half floats, two layers of them take 32 MB of the card's memory."""

LARGEST_TILE = 1024

SCRIPTS = ("engine.js", "alpha.js", "png.js", "live.js")

CHOICE = {
    "mean": "mean",
    "deviation": "deviation",
    "hidden": "hidden.weight",
    "bias": "hidden.bias",
    "output": "output.weight",
    "last": "output.bias",
}
"""What the page calls the weights that choose a strength."""

TITLE = "espcn live"


def page(networks: Sequence[Network]) -> Files:
    """The page, with a choice of networks. Raises EspcnError for one that graphics cards cannot compute."""
    for network in networks:
        check(network, "a page")
    data: dict[str, Any] = {"models": [described(network) for network in networks]}
    chooses = any(network.pair is not None for network in networks)
    if chooses:
        data["choice"] = choice()
    names = ("strength.js", *SCRIPTS) if chooses else SCRIPTS
    script = "\n".join(['"use strict";', f"const PAGE = {_json(data)};", *map(_asset, names)])
    style, facts = _asset("live.css"), [network.facts for network in networks]
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src blob: data:; "
        "media-src blob: mediastream:"
    )
    head = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="generator" content="espcn">',
        f"<title>{TITLE}</title>",
        f"<style>{style}</style></head>",
    ]
    about = "".join(
        f"<dl>{''.join(f'<dt>{name}</dt><dd>{escape(value)}</dd>' for name, value in each.items())}</dl>"
        for each in facts
    )
    body = _asset("live.html").replace("<!-- models -->", about)
    text = "\n".join([*head, body, f"<script>{script}</script></html>\n"])
    return {".html": text.encode("utf-8", "backslashreplace")}


def described(network: Network) -> dict[str, Any]:
    """A network as the page's code takes it."""
    settings = network.settings
    stack = [*layers(settings, network.weights)]
    described = {
        "title": network.title if network.pair is None else f"{network.card.name} x{settings.scale}",
        "scale": settings.scale,
        "planes": settings.planes,
        "skip": settings.skip,
        "range": settings.value_range,
        "halo": settings.halo,
        "tile": tile(settings),
        "cubic": phase_taps(settings.scale, BICUBIC_REACH, cubic).ravel().tolist(),
        "linear": phase_taps(settings.scale, 1, triangle).ravel().tolist(),
        "layers": [
            {
                "outputs": len(layer.matrices),
                "inputs": layer.matrices.shape[1],
                "kernel": layer.kernel,
                "activation": layer.activation,
            }
            for layer in stack
        ],
        "strength": network.strength,
    }
    if network.pair is None:
        return described | {"weights": packed(stack)}
    ends = {"clean": network.pair.clean, "weights": network.pair.real}
    return described | {name: _packed(settings, weights) for name, weights in ends.items()}


def choice() -> dict[str, Any]:
    """What chooses a strength for a picture: the small network's weights, part by part, and JPEG's standard table."""
    weights = mixing.chooser()
    parts = {name: weights[of].ravel() for name, of in CHOICE.items()}
    sizes = [(name, part.size) for name, part in parts.items()]
    return {"sizes": sizes, "weights": _base64(np.concatenate([*parts.values()])), "standard": np.ravel(STANDARD)}


def tile(settings: ModelSettings) -> int:
    """LR pixels of a tile's side."""
    return min(LARGEST_TILE, int((TILE_PLANES / max(settings.channels)) ** 0.5))


def _packed(settings: ModelSettings, weights: Weights) -> str:
    return packed([*layers(settings, weights)])


def packed(stack: Sequence[Layer]) -> str:
    """Weights in base64: of each layer biases, slopes and matrices."""
    parts = [x.ravel() for layer in stack for x in (layer.biases, layer.slopes, layer.matrices)]
    return _base64(np.concatenate(parts))


def _base64(values: Floats) -> str:
    """Floats in three bytes each, a float32's upper ones: half floats would move one sample in fifty by a level."""
    bits = values.astype("<f4").view("<u4") + np.uint32(0x80)
    return base64.b64encode(bits.astype("<u4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()).decode()


def _json(data: dict[str, Any]) -> str:
    """JSON that no browser takes for the end of a script."""
    return json.dumps(data, separators=(",", ":"), default=np.ndarray.tolist).replace("<", "\\u003c")


def _hash(text: str) -> str:
    """What a content security policy names a script or a style by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return resources.files("espcn_cli.exchange").joinpath(name).read_text(encoding="utf-8")
