"""Writing pictures: what is rounded, what a format cannot hold, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.scoring import tensors
from espcn_cli.scoring.tensors import Picture


def test_values_are_rounded_and_clipped_when_written() -> None:
    pixels = torch.tensor([-0.2, 0.4 / 255, 0.6 / 255, 1.3]).view(1, 1, 2, 2)
    assert list(np.asarray(tensors.to_pil(Picture(pixels))).flat) == [0, 0, 1, 255]


def test_what_a_format_cannot_hold_is_said(tmp_path: Path) -> None:
    clear = Picture(torch.zeros(1, 3, 4, 4), alpha=torch.zeros(1, 1, 4, 4))
    written = tensors.write(clear, tmp_path / "a.jpg")
    assert "JPEG holds no transparency" in written.warnings[0]
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.getpixel((0, 0)) == (255, 255, 255)
    assert "8 bits" in tensors.write(Picture(torch.zeros(1, 1, 4, 4), depth=16), tmp_path / "b.jpg").warnings[0]


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"old")
    broken = Picture(torch.zeros(1, 3, 4, 4), info={"icc_profile": "not bytes"})
    with pytest.raises(EspcnError, match="cannot be written"):
        tensors.write(broken, tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"old"


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    for suffix in (".xyz", ".ico", ".pdf"):  # an icon would be cut down to its fixed sizes
        with pytest.raises(UsageError, match=rf"cannot write \{suffix}"):
            tensors.write(Picture(torch.zeros(1, 1, 2, 2)), tmp_path / f"a{suffix}")
