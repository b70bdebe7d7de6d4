"""A small checkpoint and a few photographs for the commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from making import save_checkpoint, save_picture


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("model") / "tiny.safetensors")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for index in range(3):
        save_picture(tmp_path / "photos" / f"{index}.png", 48, 40, index)
    return tmp_path / "photos"
