"""From weights to an engine: the one place that knows which engines there are."""

from __future__ import annotations

from espcn_cli import cores
from espcn_cli.engines.engine import Engine
from espcn_cli.network.checkpoint import Weights
from espcn_cli.settings import ModelSettings


def open_engine(
    settings: ModelSettings, weights: Weights, device: str = "auto", precision: str = "auto", ensemble: bool = False
) -> Engine:
    """A network's engine. Raises EspcnError if the device or precision is not there."""
    cores.wait_passively()
    from espcn_cli.engines.device import choose_device, choose_precision
    from espcn_cli.engines.torch_engine import TorchEngine
    from espcn_cli.network import espcn

    chosen = choose_device(device)
    return TorchEngine(espcn.build(settings, weights), chosen, choose_precision(precision, chosen), ensemble)
