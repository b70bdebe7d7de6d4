"""Pictures through the autoencoder: the contact sheet, the codes, and what is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from digits import save_mnist, strokes
from PIL import Image
from safetensors.torch import load_file

from espcn_cli.autoencoder.mnist import read_pictures, to_unit
from espcn_cli.autoencoder.network import find, load, read_card
from espcn_cli.autoencoder.reconstruction import contact_sheet, reconstruct
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.network import weights

REAL = Path(__file__).parents[3] / "shared" / "data" / "mnist"


def test_the_sheet_holds_originals_over_reconstructions() -> None:
    originals = to_unit(torch.from_numpy(strokes(19))[:, None])
    sheet = contact_sheet(originals, 1 - originals)
    # 16 columns of 28 pixels with 17 gaps; two pairs of rows: 1 + 28 + 1 + 28 + 1, 2 more between them; all doubled.
    assert sheet.shape == (1, 1, 2 * (2 * 59 + 2 - 1), 2 * (16 * 28 + 17))
    small = sheet[0, 0, ::2, ::2]
    assert torch.equal(small[1:29, 1:29], originals[0, 0]) and torch.equal(small[30:58, 1:29], 1 - originals[0, 0])
    assert torch.equal(small[61:89, 30:58], originals[17, 0])
    assert small[61:, 1 + 3 * 29 :].eq(1).all(), "after the last picture the ground is white"


def test_an_autoencoder_that_gives_no_numbers_writes_nothing(tmp_path: Path, trained: Path) -> None:
    net, card = load(trained)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(1e30)
    weights.save(trained, net, card)
    with pytest.raises(EspcnError, match=r"net\.safetensors gives NaN or infinity on these pictures: train it again"):
        reconstruct(trained, save_mnist(tmp_path / "data"), tmp_path / "sheet.png", tmp_path / "codes.npy")
    assert not (tmp_path / "sheet.png").exists() and not (tmp_path / "codes.npy").exists()


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".safetensors"])
def test_reconstruct_writes_sheet_and_codes(tmp_path: Path, trained: Path, suffix: str) -> None:
    data = save_mnist(tmp_path / "data")
    sheet, codes = tmp_path / "sheet.png", tmp_path / f"codes{suffix}"
    result = reconstruct(trained, data, sheet, codes, count=5)
    assert (result.pictures, result.shown, result.skipped) == (12, 5, [])
    net, _ = load(trained)
    x = to_unit(read_pictures(data).pixels)
    expected, decoded = net.encode(x), net(x)
    assert result.mse == pytest.approx((decoded - x).square().mean().item(), rel=1e-5)
    with Image.open(sheet) as image:
        assert image.mode == "L" and image.size == (2 * (5 * 29 + 1), 2 * 59)
        assert np.array_equal(np.asarray(image)[2:58:2, 2:58:2], strokes(12, 2)[0])
    if suffix == ".npy":
        found = torch.from_numpy(np.load(codes))
    elif suffix == ".safetensors":
        found = load_file(codes)["codes"]
    else:
        with codes.open(newline="") as file:
            rows = list(csv.reader(file))
        assert rows[0] == ["picture", "c0", "c1", "c2", "c3"] and [row[0] for row in rows[1:]] == list(
            map(str, range(12))
        )
        found = torch.tensor([[float(value) for value in row[1:]] for row in rows[1:]])
    torch.testing.assert_close(found, expected)


def test_pictures_are_reconstructed_by_name(tmp_path: Path, trained: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.new("L", (50, 20), 90).save(folder / "a.png")
    (folder / "b.png").write_bytes(b"nothing")
    result = reconstruct(trained, folder, tmp_path / "sheet.png", tmp_path / "c.csv")
    assert (result.pictures, result.shown) == (1, 1) and "b.png" in result.skipped[0]
    assert (tmp_path / "c.csv").read_text().splitlines()[1].startswith("a.png,")
    assert reconstruct(trained, folder / "a.png", tmp_path / "one.png").pictures == 1


def test_other_code_files_and_counts_are_misuse(tmp_path: Path, trained: Path) -> None:
    data = save_mnist(tmp_path / "data")
    with pytest.raises(UsageError, match=r"codes\.txt.*\.npy"):
        reconstruct(trained, data, tmp_path / "sheet.png", tmp_path / "codes.txt")
    with pytest.raises(UsageError, match="at least one"):
        reconstruct(trained, data, tmp_path / "sheet.png", count=0)
    with pytest.raises(UsageError, match="cannot write"):
        reconstruct(trained, data, tmp_path / "sheet.xyz")
    assert not (tmp_path / "sheet.png").exists()


def test_no_input_is_overwritten(tmp_path: Path, trained: Path) -> None:
    picture = tmp_path / "in.png"
    Image.new("L", (28, 28), 50).save(picture)
    before = picture.read_bytes(), trained.read_bytes()
    with pytest.raises(EspcnError, match="would be overwritten"):
        reconstruct(trained, picture, picture)
    with pytest.raises(EspcnError, match="would be overwritten"):
        reconstruct(trained, picture, tmp_path / "sheet.png", trained)
    assert (picture.read_bytes(), trained.read_bytes()) == before


@pytest.mark.skipif(not REAL.is_dir(), reason="needs MNIST in ../shared/data/mnist")
def test_the_shipped_checkpoint_reaches_it(tmp_path: Path) -> None:
    path = find("autoencoder")
    result = reconstruct(path, REAL, tmp_path / "sheet.png")
    assert result.pictures == 10_000
    assert result.mse == pytest.approx(read_card(path).metrics["test"]["mse"], abs=2e-6)
