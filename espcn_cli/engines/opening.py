"""From a checkpoint to an engine: the one place that knows which engines there are."""

from __future__ import annotations

from pathlib import Path

from espcn_cli.engines.engine import Engine


def open_engine(path: Path, device: str = "auto", precision: str = "auto", ensemble: bool = False) -> Engine:
    """A checkpoint's engine. Raises EspcnError if the file cannot be used, or the device or precision is not there."""
    from espcn_cli.engines.device import choose_device, choose_precision
    from espcn_cli.engines.torch_engine import TorchEngine
    from espcn_cli.network import espcn

    network, _ = espcn.load(path)
    chosen = choose_device(device)
    return TorchEngine(network, chosen, choose_precision(precision, chosen), ensemble)
