"""A trained network as the start of another training: as it is, at another scale, with more planes or with fewer."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import torch

from espcn_cli.errors import EspcnError
from espcn_cli.network import espcn
from espcn_cli.network.espcn import ESPCN
from espcn_cli.network.linear_path import follows, linear_path
from espcn_cli.settings import ModelSettings

kind = attrgetter("kernels", "activation", "skip", "planes", "last_activation", "slopes", "value_range", "border")
"""What a network of other widths or another scale has in common with the one that it starts from."""


def warm_start(path: Path, settings: ModelSettings, seed: int) -> ESPCN:
    """The network in a checkpoint, brought to these settings; what it lacks is drawn from the seed.

    Raises EspcnError if the checkpoint cannot be read, or its network differs in more than its scale and the planes of
    its hidden layers.
    """
    trained, card = espcn.load(path)
    if kind(card.settings) != kind(settings):
        raise EspcnError(f"{path} is another kind of network ({card.name}): start from one with the same layers")
    torch.manual_seed(seed)
    resized = widened(narrowed(trained, settings.widths), settings.widths)
    return rescaled(resized, settings.scale).requires_grad_(True)


@torch.no_grad()
def narrowed(network: ESPCN, widths: tuple[int, ...]) -> ESPCN:
    """A network with at most so many planes in its hidden layers, without those whose kernels are the weakest.

    A plane is as strong as the norms of the kernels that make it and of those that read it, multiplied; the units of a
    `linear_path` stay. It no longer does the same, but is a better start than random weights: see weights/README.md.
    """
    fewer = tuple(map(min, network.settings.widths, widths))
    if fewer == network.settings.widths:
        return network
    path, state = linear_path(network.settings), network.state_dict()
    for layer, width in enumerate(fewer):
        weight, bias, reader = f"body.{2 * layer}.weight", f"body.{2 * layer}.bias", f"body.{2 * layer + 2}.weight"
        strength = state[weight].flatten(1).norm(dim=1) * state[reader].transpose(0, 1).flatten(1).norm(dim=1)
        if path:
            strength[path[bias].where] = torch.inf
        kept = strength.topk(width).indices.sort().values
        state[weight], state[bias], state[reader] = state[weight][kept], state[bias][kept], state[reader][:, kept]
    narrow = ESPCN(replace(network.settings, widths=fewer))
    narrow.load_state_dict(state)
    return narrow


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
    last = 2 * len(settings.widths)
    tail = {f"body.{last}.weight", f"body.{last}.bias", f"body.{last + 1}.weight"}
    other.load_state_dict({k: v for k, v in network.state_dict().items() if k not in tail}, strict=False)
    if not follows(other.state_dict(), linear_path(settings)):
        other.tail.draw_(settings.activation)  # its start as bicubic is for units that are not there
    return other
