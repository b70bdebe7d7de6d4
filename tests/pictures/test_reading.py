"""Finding and reading pictures: every mode becomes pixels in [0, 1] and alpha, and is written back as it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from making import natural, save_picture
from PIL import Image, ImageCms

from espcn_cli.errors import EspcnError
from espcn_cli.pictures import folders, metadata, reading
from espcn_cli.scoring import tensors
from espcn_cli.settings import MAX_PIXELS


@pytest.mark.parametrize(("mode", "planes"), [("RGB", 3), ("L", 1), ("1", 1), ("P", 3), ("CMYK", 3), ("YCbCr", 3)])
def test_opaque_modes_become_grey_or_rgb(tmp_path: Path, mode: str, planes: int) -> None:
    path = save_picture(tmp_path / f"a.{'tif' if mode in ('CMYK', 'YCbCr') else 'png'}", mode=mode)
    picture = tensors.read(path)
    assert picture.pixels.shape == (1, planes, 18, 24)
    assert picture.pixels.dtype == torch.float32
    assert picture.pixels.min() >= 0 and picture.pixels.max() <= 1
    assert picture.alpha is None


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_reading_and_writing_keep_every_value(tmp_path: Path, mode: str) -> None:
    channels = len(mode)
    values = np.random.default_rng(1).integers(0, 256, (9, 7, channels), dtype=np.uint8)
    Image.fromarray(values[..., 0] if channels == 1 else values).save(tmp_path / "in.png")
    tensors.write(tensors.read(tmp_path / "in.png"), tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert image.mode == mode
        assert np.array_equal(np.asarray(image).reshape(values.shape), values)


def test_16_bit_grey_keeps_its_depth(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (9, 7), dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "in.png")
    picture = tensors.read(tmp_path / "in.png")
    assert picture.depth == 16
    tensors.write(picture, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert np.array_equal(np.asarray(image), values)


def test_a_palette_with_a_transparent_entry_gets_alpha(tmp_path: Path) -> None:
    image = Image.fromarray(natural(8, 8)).quantize(8)
    image.save(tmp_path / "p.png", transparency=0)
    picture = tensors.read(tmp_path / "p.png")
    assert picture.pixels.shape[1] == 3
    assert picture.alpha is not None
    assert torch.equal(picture.alpha[0, 0] == 0, torch.from_numpy(np.asarray(image) == 0))


def test_a_rotated_photograph_is_turned_upright_once(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[metadata.ORIENTATION] = 6  # the camera was turned: rotate clockwise to see it upright
    Image.fromarray(natural(24, 18)).save(tmp_path / "r.jpg", exif=exif)
    picture = tensors.read(tmp_path / "r.jpg")
    assert picture.size == (18, 24)
    tensors.write(picture, tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.size == (18, 24)
        assert image.getexif().get(metadata.ORIENTATION, 1) == 1


def test_profile_and_resolution_are_carried_over(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(natural(8, 8)).save(tmp_path / "in.png", icc_profile=profile, dpi=(300, 300))
    tensors.write(tensors.read(tmp_path / "in.png"), tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert image.info["icc_profile"] == profile
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    Image.fromarray(natural(8, 8)).save(
        tmp_path / "c.gif", save_all=True, append_images=[Image.fromarray(natural(8, 8, seed=2))]
    )
    assert tensors.read(tmp_path / "c.gif").warnings == ("only the first of 2 frames is used",)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    whole = save_picture(tmp_path / "whole.png", 64, 64).read_bytes()
    cases = {
        "empty.png": (b"", "empty"),
        "text.png": (b"not a picture\n", "not a picture"),
        "cut.png": (whole[: len(whole) // 2], "cannot be decoded"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(EspcnError, match=message) as caught:
            tensors.read(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(EspcnError, match="no such file"):
        tensors.read(tmp_path / "missing.png")
    with pytest.raises(EspcnError, match="is a folder"):
        tensors.read(tmp_path)
    Image.fromarray(np.zeros((4, 4), dtype=np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(EspcnError, match=r"float\.tif: floating-point samples are not supported"):
        tensors.read(tmp_path / "float.tif")


def test_a_folder_is_searched_in_order_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "sub/c.webp", ".hidden.png", ".dir/d.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in folders.find_images(tmp_path)]
    assert found == ["a.JPG", "b.png", "sub/c.webp"]
    assert [path.name for path in folders.find_images(tmp_path, recursive=False)] == ["a.JPG", "b.png"]


def test_the_limit_of_pixels_is_ours_for_all_who_read(tmp_path: Path) -> None:
    """Pillow's own, 89 million, would refuse a scanned page."""
    program = "from PIL import Image; {}; from espcn_cli.pictures import reading; print(Image.MAX_IMAGE_PIXELS)"
    for before, limit in (("pass", MAX_PIXELS), ("Image.MAX_IMAGE_PIXELS = 1000", 1000)):
        command = [sys.executable, "-c", program.format(before)]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"{limit}\n"
    Image.new("1", (10_000, 10_000)).save(tmp_path / "page.png")
    assert reading.size_of(tmp_path / "page.png") == (10_000, 10_000)
