"""A trained network as the start of another training: as it is, at another scale, or with more planes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from espcn_cli import checkpoint
from espcn_cli.errors import EspcnError
from espcn_cli.linear_path import follows, linear_path
from espcn_cli.models import ESPCN
from espcn_cli.settings import ModelSettings


def warm_start(path: Path, settings: ModelSettings, seed: int) -> ESPCN:
    """The network in a checkpoint, brought to these settings; what it lacks is drawn from the seed.

    Raises EspcnError if the checkpoint cannot be read, or its network differs in more than its scale and fewer planes
    in the hidden layers.
    """
    trained, card = checkpoint.load(path)
    if not fits_into(card.settings, settings):
        raise EspcnError(
            f"{path} is another kind of network ({card.name}): start from one with the same layers, and at most as wide"
        )
    torch.manual_seed(seed)
    return rescaled(widened(trained, settings.widths), settings.scale).requires_grad_(True)


def fits_into(narrow: ModelSettings, wide: ModelSettings) -> bool:
    if len(narrow.widths) != len(wide.widths):
        return False
    no_wider = all(n <= w for n, w in zip(narrow.widths, wide.widths, strict=True))
    return no_wider and replace(narrow, widths=wide.widths, scale=wide.scale) == wide


def widened(network: ESPCN, widths: tuple[int, ...]) -> ESPCN:
    """A network with so many planes in its hidden layers that does the same (Net2Net, Chen et al. 2016, 1511.05641).

    The new planes' kernels are drawn at random; the old ones do not listen to them yet, nor does the last layer.
    """
    if network.settings.widths == widths:
        return network
    wide = ESPCN(replace(network.settings, widths=widths))
    with torch.no_grad():
        for name, values in network.state_dict().items():
            parameter = wide.get_parameter(name)
            old = parameter[: len(values)]
            old.zero_()
            old[tuple(slice(length) for length in values.shape)] = values
    return wide


def rescaled(network: ESPCN, scale: int) -> ESPCN:
    """The network with a new last layer for another scale: with it, the start is bicubic again where it can be."""
    if network.settings.scale == scale:
        return network
    settings = replace(network.settings, scale=scale)
    other = ESPCN(settings)
    tail = {f"body.{len(other.body) - 1}.{name}" for name in ("weight", "bias")}
    other.load_state_dict({k: v for k, v in network.state_dict().items() if k not in tail}, strict=False)
    if not follows(other.state_dict(), linear_path(settings)):
        other.tail.draw_(settings.activation)  # its start as bicubic is for units that are not there
    return other
