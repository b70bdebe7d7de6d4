"""A network as a state dict of PyTorch in the key names that others' programs load."""

from __future__ import annotations

import io

import numpy as np

from espcn_cli.errors import EspcnError
from espcn_cli.exchange.exported import Files, Network
from espcn_cli.exchange.foreign import RANGES
from espcn_cli.network.checkpoint import Weights
from espcn_cli.settings import ModelSettings

ESPCN = ("first_part.0", "first_part.2", "last_part.0")
"""The convolutions of yjn870's ESPCN-pytorch. It works on luma in studio range."""


def state_dict(network: Network) -> Files:
    """The .pth file of an ESPCN (yjn870's keys) or of a Compact (SRVGGNetCompact's, in `params`).

    Raises EspcnError for a network that neither program has.
    """
    import torch

    settings = network.settings
    if _is_espcn(settings):
        found = _espcn(settings, network.weights)
    elif _is_compact(settings):
        found = network.weights  # whose keys are ours
    else:
        raise EspcnError(
            f"{network.title} has no twin in PyTorch: .pth is for espcn and for imported Compacts, use .onnx"
        )
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in found.items()}
    file = io.BytesIO()
    torch.save({"params": tensors} if _is_compact(settings) else tensors, file)
    return {".pth": file.getvalue()}


def _is_espcn(settings: ModelSettings) -> bool:
    """5×5, 3×3, 3×3 with tanh between, and nothing else."""
    plain = settings.skip == "none" and settings.last_activation == "none" and settings.border == "zeros"
    return plain and settings.kernels == (5, 3, 3) and settings.activation == "tanh"


def _is_compact(settings: ModelSettings) -> bool:
    plain = settings.last_activation == "none" and settings.border == "zeros" and settings.value_range == (0, 1)
    layers = set(settings.kernels) == {3} and settings.activation == "prelu" and settings.slopes == "channel"
    return plain and layers and settings.skip == "nearest" and settings.planes == 3


def _espcn(settings: ModelSettings, weights: Weights) -> Weights:
    """The weights on studio range: the first layer takes it back to the network's own, the last one gives it again.

    Beyond the border there are the zeros of that range: black is not among them, so the outermost pixels differ.
    """
    (black, white), (dark, light) = settings.value_range, RANGES["studio"]
    factor = (white - black) / (light - dark)
    found = {}
    for name, index in zip(ESPCN, (0, 2, 4), strict=True):
        weight, bias = weights[f"body.{index}.weight"].astype(float), weights[f"body.{index}.bias"].astype(float)
        if index == 0:
            bias = bias + (black - dark * factor) * weight.sum(axis=(1, 2, 3))
            weight = weight * factor
        if index == 4:
            weight, bias = weight / factor, (bias - black) / factor + dark
        found[f"{name}.weight"], found[f"{name}.bias"] = weight.astype(np.float32), bias.astype(np.float32)
    return found
