"""A small checkpoint for pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from making import save_checkpoint


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("model") / "tiny.safetensors", tail=0.1)
