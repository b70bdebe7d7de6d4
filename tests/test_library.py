"""The library: what `espcn_cli.__all__` names, and that naming it costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from making import save_checkpoint, save_picture
from PIL import Image

import espcn_cli
from espcn_cli.maths.levels import Levels


def test_the_public_names() -> None:
    assert set(espcn_cli.__all__) == {
        *("load", "Upscaler", "train", "benchmark", "resize", "degrade", "phase_shift", "psnr", "ssim"),
        *("ESPCN", "ModelSettings", "TrainSettings", "EspcnError", "__version__"),
    }
    assert dir(espcn_cli) == sorted(espcn_cli.__all__)


@pytest.mark.parametrize("name", espcn_cli.__all__)
def test_each_name_is_there_and_means_itself(name: str) -> None:
    found = getattr(espcn_cli, name)
    assert name == "__version__" or found.__name__ == name


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'upscale'"):
        _ = espcn_cli.upscale


def test_a_module_does_not_take_a_function_s_place() -> None:
    """After the rooms are imported, `espcn_cli.train` and the others are the functions still."""
    program = (
        "import espcn_cli; import espcn_cli.cli.app, espcn_cli.training.loop, espcn_cli.scoring.benchmark;"
        "print(all(callable(getattr(espcn_cli, name)) for name in ('train', 'benchmark', 'resize')))"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "True"


def test_a_picture_goes_in_and_comes_out(tmp_path: Path) -> None:
    upscaler = espcn_cli.load(str(save_checkpoint(tmp_path / "tiny.safetensors")))
    with Image.open(save_picture(tmp_path / "in.png", mode="L")) as image:
        large = upscaler(image)
    assert (large.mode, large.size) == ("L", (48, 36))
    assert upscaler.upscale(torch.rand(1, 3, 5, 6)).shape == (1, 3, 10, 12)


def test_alpha_that_is_data_is_asked_for_when_the_model_is_loaded(tmp_path: Path) -> None:
    path = str(save_checkpoint(tmp_path / "tiny.safetensors"))
    with Image.open(save_picture(tmp_path / "in.png")) as texture:
        gloss = texture.copy()
        gloss.putalpha(0)
        large = espcn_cli.load(path, alpha="separate")(gloss)
        assert large.convert("RGB").tobytes() == espcn_cli.load(path)(texture).tobytes()
    assert espcn_cli.load("espcn-s", alpha="separate", device="cpu").at(3).alpha == "separate"


def test_a_network_is_trained_and_measured(tmp_path: Path) -> None:
    for index in range(4):
        save_picture(tmp_path / "data" / f"{index}.png", 40, 32, index)
    model = espcn_cli.ModelSettings(widths=(4,), kernels=(3, 3))
    settings = espcn_cli.TrainSettings(steps=2, batch_size=2, patch_size=16, expansion=0)
    output = tmp_path / "mine.safetensors"
    data = str(tmp_path / "data")
    card = espcn_cli.train(data, str(output), model, settings, device="cpu", precision="fp32")
    assert (card.name, card.settings, card.training["step"]) == ("custom", model, 2)
    methods = {"mine": espcn_cli.load(str(output), device="cpu").upscale}
    table = espcn_cli.benchmark(data, methods, scale=2)
    assert [row.method for row in table.rows] == ["bicubic", "lanczos", "mine"]
    assert [len(row.images) for row in table.rows] == [4, 4, 4]
    with pytest.raises(ValueError, match=r"0: mine gives .* is it x4\?"):
        espcn_cli.benchmark([data], methods, scale=4)


def test_what_was_trained_is_not_replaced_unless_it_may_be(tmp_path: Path) -> None:
    for index in range(2):
        save_picture(tmp_path / "data" / f"{index}.png", 60, 48, index)
    settings = espcn_cli.TrainSettings(steps=1, batch_size=1, patch_size=24, expansion=0)
    data, output = f"{tmp_path}/data/", tmp_path / "s.safetensors"
    espcn_cli.train(data, output, "espcn-s", settings, device="cpu")
    with pytest.raises(espcn_cli.EspcnError, match="1 output exists already"):
        espcn_cli.train(data, output, "espcn-s", settings, device="cpu")
    espcn_cli.train(data, output, "espcn-s", settings, device="cpu", overwrite=True)
    with pytest.raises(espcn_cli.EspcnError, match="means a folder: name a file"):
        espcn_cli.train(data, f"{tmp_path}/new.safetensors/", "espcn-s", settings)
    with pytest.raises(espcn_cli.EspcnError, match="is no folder"):
        espcn_cli.benchmark(f"{tmp_path}/data/0.png/", {}, scale=2)


def test_a_named_network_is_trained_at_any_scale_and_from_a_shipped_one(tmp_path: Path) -> None:
    for index in range(2):
        save_picture(tmp_path / "data" / f"{index}.png", 60, 48, index)
    settings = espcn_cli.TrainSettings(steps=1, batch_size=1, patch_size=24, expansion=0)
    card = espcn_cli.train(
        [tmp_path / "data"], tmp_path / "s.safetensors", "espcn-s", settings, scale=3, init="espcn-s", device="cpu"
    )
    assert (card.name, card.settings.scale, card.training["init"]) == ("espcn-s", 3, "espcn-s_x3.safetensors")


def test_resize_and_degrade_give_back_the_kind_that_they_are_given() -> None:
    tensor = torch.rand(1, 3, 12, 8)
    array = tensor.numpy()
    pairs = (
        (espcn_cli.resize(tensor, 6, 4), espcn_cli.resize(array, 6, 4)),
        (espcn_cli.degrade(tensor, 2), espcn_cli.degrade(array, 2)),
    )
    for as_tensor, as_array in pairs:
        assert as_tensor.dtype == torch.float32
        assert as_array.dtype == np.float32
        assert np.array_equal(as_tensor.numpy(), as_array)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_whole_levels_are_rounded_and_clipped_when_resized(dtype: type) -> None:
    white = int(np.iinfo(dtype).max)
    step: Levels = np.zeros((1, 1, 6, 6), dtype)
    step[..., 3:] = white
    as_floats = espcn_cli.resize(step.astype(np.float64) / white, 12, 12, levels=white)
    large = espcn_cli.resize(step, 12, 12)
    assert large.dtype == dtype
    assert np.array_equal(large, (as_floats * white).round())
    assert (large.min(), large.max()) == (0, white)  # what rings beyond the ends is cut off
    lr = espcn_cli.degrade(step, 2)
    assert np.array_equal(espcn_cli.degrade(torch.from_numpy(step), 2).numpy(), lr)


def test_resize_takes_every_float_dtype_and_refuses_other_integers() -> None:
    x = torch.rand(1, 1, 6, 6)
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        assert espcn_cli.resize(x.to(dtype), 3, 3).dtype == dtype
    with pytest.raises(ValueError, match="floats, uint8 or uint16, not int64"):
        espcn_cli.resize(np.zeros((1, 1, 4, 4), np.int64), 2, 2)
