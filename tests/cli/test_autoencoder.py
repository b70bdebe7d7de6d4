"""`espcn autoencoder train` and `reconstruct`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from command import one_line, run
from digits import save_mnist
from making import save_picture


def test_autoencoder_trains_and_reconstructs(tmp_path: Path) -> None:
    data, out = save_mnist(tmp_path / "data"), tmp_path / "net.safetensors"
    result = run("autoencoder", "train", data, "-o", out, "--epochs", 2, "--code", 8, "--device", "cpu", "--json")
    assert result.code == 0, result.stderr
    shown = json.loads(result.stdout)
    assert shown["code"] == 8 and shown["macs"] == 2_119_936 - 2 * 56 * 1568
    assert "epoch 2/2" in result.stderr
    sheet, codes = tmp_path / "sheet.png", tmp_path / "codes.npy"
    result = run("autoencoder", "reconstruct", out, data, sheet, "--codes", codes)
    assert result.code == 0 and "12 of 12 pictures" in result.stdout
    assert np.load(codes).shape == (12, 8) and sheet.is_file()


def test_the_two_kinds_of_checkpoint_are_told_apart(tmp_path: Path, tiny: Path) -> None:
    data, out = save_mnist(tmp_path / "data"), tmp_path / "net.safetensors"
    assert run("autoencoder", "train", data, "-o", out, "--epochs", 1, "-q").code == 0
    picture = save_picture(tmp_path / "in.png")
    one_line(run("upscale", picture, tmp_path / "big.png", "-m", out), 1, str(out), "autoencoder")
    one_line(run("autoencoder", "reconstruct", tiny, data, tmp_path / "s.png"), 1, str(tiny), "espcn upscale")


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (("--upsampler", "bilinear"), 2, "upsampler"),
        (("--code", "0"), 2, "code"),
        (("-o", "no/x.safetensors"), 1, "no folder"),
    ],
)
def test_autoencoder_misuse_is_one_line(tmp_path: Path, options: tuple[str, ...], code: int, reason: str) -> None:
    one_line(run("autoencoder", "train", save_mnist(tmp_path / "data"), *options, cwd=tmp_path), code, reason)


def test_a_name_that_is_no_text_is_shown_all_the_same(tmp_path: Path) -> None:
    """Bytes of a file's name that are no UTF-8."""
    name = os.fsdecode(b"\xff.png")
    try:
        save_picture(tmp_path / "in" / name)
    except OSError:
        pytest.skip("needs a file system that takes any bytes")
    result = run("autoencoder", "reconstruct", "autoencoder", "in", name, "--codes", "codes.csv", cwd=tmp_path)
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.startswith(r"\udcff.png: 1 of 1 picture;")
    assert b"\n\xff.png," in (tmp_path / "codes.csv").read_bytes()
