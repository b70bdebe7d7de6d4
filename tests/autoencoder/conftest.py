"""What the autoencoder's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from digits import fresh

from espcn_cli.autoencoder.network import Card
from espcn_cli.network import weights


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A network's checkpoint; fresh is enough."""
    net = fresh("subpixel", 4)
    weights.save(tmp_path / "net.safetensors", net, Card(net.settings, "net"))
    return tmp_path / "net.safetensors"
