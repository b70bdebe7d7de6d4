"""Finding and reading pictures: every mode becomes pixels in [0, 1] and alpha, and is written back as it was."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from making import natural, save_picture
from making_animations import disc, through
from making_png import PICTURE, PIXELS, chunk, png, read
from PIL import ExifTags, Image, ImageCms

from espcn_cli.errors import EspcnError
from espcn_cli.pictures import reading
from espcn_cli.scoring import tensors
from espcn_cli.upscaling.upscaler import Upscaler


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
    exif[ExifTags.Base.Orientation] = 6  # the camera was turned: rotate clockwise to see it upright
    Image.fromarray(natural(24, 18)).save(tmp_path / "r.jpg", exif=exif)
    picture = tensors.read(tmp_path / "r.jpg")
    assert picture.size == (18, 24)
    tensors.write(picture, tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.size == (18, 24)
        assert image.getexif().get(ExifTags.Base.Orientation, 1) == 1


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


@pytest.mark.parametrize(("mode", "out"), [("PA", "RGBA"), ("LA", "LA"), ("RGBA", "RGBA"), ("1", "L"), ("P", "RGB")])
def test_modes_come_out_as_they_are_or_resolved(tmp_path: Path, bicubic: Upscaler, mode: str, out: str) -> None:
    image = disc(1, (9, 9, 9)) if mode in ("1", "P") else disc(1)
    image = image.convert("P").convert("PA") if mode == "PA" else image.convert(mode)
    image.save(tmp_path / "in.tif" if mode in ("PA", "LA") else tmp_path / "in.png")
    path = next(tmp_path.glob("in.*"))
    through(bicubic, path, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as result:
        assert (result.mode, result.size) == (out, (64, 40))


@pytest.mark.parametrize("suffix", ["png", "gif"])
@pytest.mark.parametrize("transparent", [False, True])
def test_a_grey_palette_is_grey(tmp_path: Path, suffix: str, transparent: bool) -> None:
    image = Image.fromarray(natural(16, 16)).convert("L").quantize(16)
    options: dict[str, Any] = {"transparency": 3} if transparent else {}
    image.save(tmp_path / f"in.{suffix}", **options)
    [frame] = reading.read_document(tmp_path / f"in.{suffix}").frames
    assert isinstance(frame.data, Image.Image)
    assert frame.data.mode == ("LA" if transparent else "L")
    expected = np.asarray(image.convert("L"))
    assert np.array_equal(np.asarray(frame.data.getchannel(0)), expected)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("clear", [None, "least", "most"])
def test_few_bits_of_grey_with_a_transparent_value(tmp_path: Path, depth: int, clear: str | None) -> None:
    values = PIXELS[..., 0] >> (8 - depth)
    rows = (np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - depth :].ravel()).tobytes() for row in values)
    value = int(values.min() if clear == "least" else values.max())
    transparent = [chunk(b"tRNS", struct.pack(">H", value))] if clear else []
    [frame] = read(tmp_path / "in.png", png(rows, (16, 12), depth, 0, *transparent)).frames
    assert frame.channels == (2 if clear else 1)
    assert np.array_equal(frame.array()[..., 0], np.rint(values * (255 / (2**depth - 1))))
    if clear:
        assert np.array_equal(frame.array()[..., 1] == 0, values == value)


def test_an_interlaced_png_is_the_plain_one(tmp_path: Path) -> None:
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = [row.tobytes() for top, left, down, right in passes for row in PIXELS[top::down, left::right].copy()]
    [frame] = read(tmp_path / "in.png", png(rows, (16, 12), 8, 2, adam7=1)).frames
    assert np.array_equal(frame.array(), PIXELS)


def test_a_partly_transparent_palette(tmp_path: Path) -> None:
    indices = (np.arange(192) % 4).astype(np.uint8).reshape(12, 16)
    palette, alpha = bytes((255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9)), bytes((0, 128))
    data = png((row.tobytes() for row in indices), (16, 12), 8, 3, chunk(b"PLTE", palette), chunk(b"tRNS", alpha))
    [frame] = read(tmp_path / "in.png", data).frames
    assert frame.array()[0, :4].tolist() == [[255, 0, 0, 0], [0, 255, 0, 128], [0, 0, 255, 255], [9, 9, 9, 255]]


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "tiff_lzw"},
        {"compression": "group4", "mode": "1"},
        {"compression": "packbits", "mode": "P"},
        {"compression": "jpeg", "quality": 100},
        {"big_tiff": True},
    ],
    ids=str,
)
def test_tiffs_of_every_kind(tmp_path: Path, options: dict[str, Any]) -> None:
    mode = options.pop("mode", "RGB")
    PICTURE.convert(mode).save(tmp_path / "in.tif", **options)
    [frame] = reading.read_document(tmp_path / "in.tif").frames
    expected = np.asarray(PICTURE.convert(mode).convert("L" if mode == "1" else "RGB")).astype(int)
    assert np.abs(frame.array().squeeze() - expected).max() <= (12 if options.get("compression") == "jpeg" else 0)


def test_an_icon_s_smaller_pictures_are_said(tmp_path: Path) -> None:
    PICTURE.resize((64, 64)).save(tmp_path / "in.ico", sizes=[(16, 16), (32, 32), (64, 64)])
    document = reading.read_document(tmp_path / "in.ico")
    assert document.size == (64, 64)
    assert document.warnings == ("only the largest of 3 pictures in the file is used",)


def test_reduced_copies_in_a_tiff_are_no_pages(tmp_path: Path) -> None:
    small = PICTURE.resize((8, 6))
    PICTURE.save(tmp_path / "in.tif", save_all=True, append_images=[marked(small)])
    document = reading.read_document(tmp_path / "in.tif")
    assert [frame.size for frame in document.frames] == [(16, 12)]
    assert document.warnings == ("1 reduced copy of the picture left out",)
    PICTURE.save(tmp_path / "in.tif", tiffinfo={254: 1})
    assert "reduced copy of a picture that cannot be read" in reading.read_document(tmp_path / "in.tif").warnings[0]


def marked(image: Image.Image) -> Image.Image:
    """As a page that calls itself a reduced copy."""
    image.encoderinfo = {"tiffinfo": {254: 1}}
    return image
