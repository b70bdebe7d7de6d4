"""idx files are read whole or refused with the reason; pictures are made grey and fitted to 28×28."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from digits import idx, save_idx, save_mnist, strokes
from PIL import Image

from espcn_cli.autoencoder import mnist
from espcn_cli.errors import EspcnError

REAL = Path(__file__).parents[3] / "shared" / "data" / "mnist"


def test_a_file_worked_out_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "two"
    # 00 00, type 08 = unsigned byte, 3 dimensions; 2 pictures of 1 row and 3 columns; six pixels.
    path.write_bytes(bytes.fromhex("00000803 00000002 00000001 00000003 00 01 02 fd fe ff"))
    assert mnist.read_images(path).tolist() == [[[[0, 1, 2]]], [[[253, 254, 255]]]]


@pytest.mark.parametrize("name", ["a-idx3-ubyte", "a-idx3-ubyte.gz"])
def test_plain_and_gzipped_are_the_same(tmp_path: Path, name: str) -> None:
    values = strokes(5)
    assert np.array_equal(mnist.read_images(save_idx(tmp_path / name, values))[:, 0].numpy(), values)


def test_a_gzipped_file_is_told_by_its_content(tmp_path: Path) -> None:
    values = strokes(3)
    (tmp_path / "plain.gz").write_bytes(idx(values))
    (tmp_path / "zipped").write_bytes(gzip.compress(idx(values)))
    assert torch.equal(mnist.read_images(tmp_path / "plain.gz"), mnist.read_images(tmp_path / "zipped"))


WHOLE = idx(strokes(4))
ZIPPED = gzip.compress(WHOLE)
DAMAGED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "two bytes": (WHOLE[:2], "not an idx file"),
    "a picture": (b"\x89PNG\r\n\x1a\n", "not an idx file"),
    "text": (b"<html>not found</html>", "not an idx file"),
    "no such type": (b"\0\0\x07\3" + WHOLE[4:], "not an idx file"),
    "floats": (b"\0\0\x0d\3" + WHOLE[4:], "32-bit floats, not unsigned bytes"),
    "labels": (idx(np.arange(9, dtype=np.uint8)), "labels, not pictures"),
    "colour": (idx(np.zeros((2, 4, 4, 3), np.uint8)), "4 dimensions"),
    "no pictures": (idx(np.zeros((0, 28, 28), np.uint8)), "no pictures"),
    "cut in the header": (WHOLE[:10], "cut short within its header"),
    "cut in the pixels": (WHOLE[:-1], "cut short (3135 of 3136 pixels"),
    "too long": (WHOLE + b"\0", "goes on after the 3136 pixels"),
    "absurd size": (b"\0\0\x08\3" + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1), "too many"),
    "gzip cut short": (ZIPPED[:-20], "gzip data is damaged or cut short"),
    "gzip without its sum": (ZIPPED[:-8], "gzip data is damaged or cut short"),
    "gzip with a wrong sum": (ZIPPED[:-8] + bytes(4) + ZIPPED[-4:], "gzip data is damaged or cut short"),
    "gzip corrupt": (ZIPPED[:12] + b"\xff\xff\xff\xff" + ZIPPED[16:], "gzip data is damaged or cut short"),
    "gzip of nothing": (gzip.compress(b""), "is empty"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_no_idx3_file_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    data, reason = DAMAGED[name]
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(data)
    with pytest.raises(EspcnError) as caught:
        mnist.read_images(path)
    message = str(caught.value)
    assert str(path) in message and reason in message and "\n" not in message


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(EspcnError, match=r"gone.*no such file"):
        mnist.read_pictures(tmp_path / "gone")
    with pytest.raises(EspcnError, match="is a folder"):
        mnist.read_images(tmp_path)
    with pytest.raises(EspcnError, match=r"neither pictures nor MNIST's idx files"):
        mnist.read_pictures(tmp_path)


def test_mnists_folder_gives_its_two_parts(tmp_path: Path) -> None:
    save_mnist(tmp_path, train=7, test=3)
    train, test = mnist.read_training_data(tmp_path)
    assert (len(train.pixels), len(test.pixels)) == (7, 3)
    assert train.files != test.files
    assert np.array_equal(mnist.read_pictures(tmp_path).pixels[:, 0].numpy(), strokes(3, 2)), "the test pictures"


def test_names_with_a_dot_are_found_too(tmp_path: Path) -> None:
    path = save_idx(tmp_path / "train-images.idx3-ubyte", strokes(2))
    assert mnist.find_idx(tmp_path, "train") == path
    assert mnist.find_idx(tmp_path, "t10k") is None


def test_every_tenth_is_held_out_of_a_single_file(tmp_path: Path) -> None:
    values = strokes(25)
    train, test = mnist.read_training_data(save_idx(tmp_path / "set", values))
    assert np.array_equal(test.pixels[:, 0].numpy(), values[[9, 19]])
    assert len(train.pixels) == 23 and test.names == ["9", "19"]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: save_idx(folder / "t10k-images-idx3-ubyte", strokes(3)), "test pictures only"),
        (lambda folder: save_idx(folder / "train-images-idx3-ubyte", strokes(1)), "one picture"),
    ],
)
def test_a_set_that_cannot_be_trained_on_is_refused(tmp_path: Path, make: Callable[[Path], Path], reason: str) -> None:
    make(tmp_path)
    with pytest.raises(EspcnError, match=reason):
        mnist.read_training_data(tmp_path)


def test_pictures_become_grey_and_unreadable_ones_are_named(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), (255, 0, 0)).save(tmp_path / "a.png")
    Image.new("RGBA", (5, 5), (0, 0, 0, 0)).save(tmp_path / "b.png")
    Image.new("L", (28, 28), 7).save(tmp_path / "c.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.fromarray(np.zeros((5, 5), np.float32)).save(tmp_path / "float.tif")
    pictures = mnist.read_pictures(tmp_path)
    assert pictures.names == ["a.png", "b.png", "c.png"]
    assert [int(p.unique()) for p in pictures.pixels] == [76, 255, 7], "0.299·255; transparent is laid on white"
    assert len(pictures.skipped) == 2
    assert str(tmp_path / "broken.png") in pictures.skipped[0] and str(tmp_path / "float.tif") in pictures.skipped[1]


def test_a_folder_of_broken_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"")
    with pytest.raises(EspcnError, match=r"no usable picture among 1 file .* empty"):
        mnist.read_pictures(tmp_path)


def test_fitting_keeps_the_shape_and_goes_on_with_the_edge() -> None:
    x = torch.zeros(1, 1, 14, 28)
    x[:, :, 0], x[:, :, -1] = 0.2, 1.0
    y = mnist.fit(x)
    assert y.shape == (1, 1, 28, 28)
    assert torch.equal(y[:, :, 7:21], (x * 255).round() / 255), "14 rows in the middle of 28, unchanged"
    assert bool((y[:, :, :7] == y[0, 0, 7, 0]).all()) and bool((y[:, :, 21:] == 1).all())


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (300, 1), (28, 28), (57, 31), (5, 9)])
def test_any_size_fits(height: int, width: int) -> None:
    y = mnist.fit(torch.full((2, 1, height, width), 0.6))
    assert y.shape == (2, 1, 28, 28)
    torch.testing.assert_close(y, torch.full_like(y, 0.6))


def test_an_idx_file_of_another_size_is_fitted(tmp_path: Path) -> None:
    path = save_idx(tmp_path / "small", np.full((3, 14, 14), 90, np.uint8))
    assert mnist.read_pictures(path).pixels.eq(90).all()


@pytest.mark.skipif(not REAL.is_dir(), reason="needs MNIST in ../shared/data/mnist")
def test_mnist_itself() -> None:
    """60000 and 10000 pictures; mean and standard deviation of the training pixels, widely quoted: 0.1307, 0.3081."""
    train, test = mnist.read_training_data(REAL)
    assert train.pixels.shape == (60_000, 1, 28, 28) and test.pixels.shape == (10_000, 1, 28, 28)
    values = mnist.to_unit(train.pixels)
    assert values.mean().item() == pytest.approx(0.1307, abs=5e-5)
    assert values.std().item() == pytest.approx(0.3081, abs=5e-5)
    with pytest.raises(EspcnError, match="labels, not pictures"):
        mnist.read_images(REAL / "train-labels-idx1-ubyte.gz")
