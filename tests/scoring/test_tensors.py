"""The door between levels and tensors: rounded to the nearest, clipped, and the same picture back."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from making import natural, save_picture
from PIL import Image
from torch import Tensor

from espcn_cli.errors import EspcnError
from espcn_cli.maths.levels import Levels
from espcn_cli.scoring import tensors
from espcn_cli.scoring.tensors import quantise, to_bytes


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_levels_come_back_as_they_were(channels: int, deep: bool) -> None:
    rgb = natural(9, 7)
    levels: Levels = np.concatenate([rgb, rgb[..., :1]], axis=2)[..., :channels]
    levels = levels.astype(np.uint16) * 257 + 3 if deep else levels
    there = tensors.from_levels(levels)
    assert (there.shape, there.dtype) == ((1, channels, 7, 9), torch.float32)
    assert there.min() >= 0 and there.max() <= 1
    back = tensors.to_depth(there, 16 if deep else 8)
    assert back.dtype == levels.dtype
    assert np.array_equal(back, levels)


def test_a_file_is_read_as_floats_with_alpha_apart(tmp_path: Path) -> None:
    path = save_picture(tmp_path / "a.png", 12, 9, mode="LA")
    picture = tensors.read(path)
    assert (picture.size, picture.pixels.shape, picture.depth) == ((12, 9), (1, 1, 9, 12), 8)
    assert picture.alpha is not None
    with Image.open(path) as image:
        both = torch.cat([picture.pixels, picture.alpha], dim=1)
        assert np.array_equal(tensors.to_depth(both), np.asarray(image))


def test_a_tiff_that_only_tifffile_reads_is_read_for_training_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples of 10 bits, which `espcn upscale` reads; without the extra, the line names it."""
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("imagecodecs")
    values = (natural(12, 9).astype(np.uint16) * 4).clip(0, 1023)
    tifffile.imwrite(tmp_path / "in.tif", values, photometric="rgb", bitspersample=10)
    picture = tensors.read(tmp_path / "in.tif")
    assert (picture.size, picture.depth) == ((12, 9), 16)
    assert torch.allclose(picture.pixels, torch.from_numpy(values / 1023).permute(2, 0, 1)[None].float(), atol=1e-4)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(EspcnError, match=r"in\.tif: .*'espcn\[deep\]' reads more kinds"):
        tensors.read(tmp_path / "in.tif")


def test_bytes_are_rounded_and_clipped() -> None:
    x = torch.tensor([-1.0, 0.4, 0.5, 99.6, 255.4, 300.0]) / 255
    assert to_bytes(x).tolist() == [0, 0, 1, 100, 255, 255]
    assert to_bytes(x).dtype == torch.uint8


@pytest.mark.parametrize("levels", [1, 255, 65535])
def test_what_lies_on_the_grid_stays(levels: int) -> None:
    grid = torch.arange(levels + 1).float() / levels
    assert torch.equal(quantise(grid, levels), grid)


def test_halves_go_up_and_never_to_even() -> None:
    """With a power of two for levels, where floating point holds a half exactly."""
    assert (quantise(torch.tensor([0.5, 1.5, 2.5, 3.5, 6.5]) / 8, levels=8) * 8).tolist() == [1, 2, 3, 4, 7]


def test_rounding_is_to_the_nearest_level_not_down() -> None:
    levels = torch.tensor([0.49, 0.51, 99.4, 99.6, 254.6]) / 255
    assert (quantise(levels) * 255).round().tolist() == [0, 1, 99, 100, 255]


def test_what_lies_outside_is_clipped() -> None:
    assert quantise(torch.tensor([-7.0, -0.001, 1.001, 7.0])).tolist() == [0, 0, 1, 1]


def test_quantise_leaves_its_argument_alone(photo: Tensor) -> None:
    x = photo * 0.99
    before = x.clone()
    quantise(x)
    assert torch.equal(x, before)
