"""JPEG XL: its header before its pixels, all that it holds, JPEGs inside it, and how it is written."""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making import natural
from making_animations import through
from making_metadata import camera_exif, jpeg, xmp
from making_phones import deep_jxl, gradients, jxl_of_jpeg, saved, turned_jxl
from making_phones import jxl as made
from PIL import ExifTags, Image, ImageCms

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.maths.levels import Levels
from espcn_cli.pictures import deep_reading, jxl, reading, writing
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.extent import extent_of
from espcn_cli.pictures.raster import from_array
from espcn_cli.pictures.writing import Encoding
from espcn_cli.upscaling.upscaler import Upscaler

pytest.importorskip("pillow_jxl", reason="needs the extra 'formats'")


def write(path: Path, levels: Levels, quality: int | None = None, **info: Any) -> tuple[str, ...]:
    """The warnings."""
    return writing.write_document(Document((from_array(levels),), info), path, Encoding(quality)).warnings


def levels_of(path: Path) -> Levels:
    return reading.read_document(path).frames[0].array()


# --- the header ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (24, 18), (256, 256), (257, 3), (640, 480), (1, 600), (1920, 1080)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_it_says_how_large_the_picture_is(size: tuple[int, int], channels: int) -> None:
    header = jxl.header(BytesIO(made(np.zeros((size[1], size[0], channels), np.uint8))))
    assert header == jxl.Header(size, channels=channels)


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_it_says_how_many_bits_there_are(bits: int) -> None:
    header = jxl.header(BytesIO(deep_jxl((gradients() >> (16 - bits)).astype(np.uint16), bits)))
    assert (header.bits, header.channels, header.is_srgb) == (bits, 3, False)  # the encoder calls it linear


@pytest.mark.parametrize("end", [0, 1, 3, 4])
def test_one_that_breaks_off_is_damaged(end: int) -> None:
    with pytest.raises(SyntaxError):
        jxl.header(BytesIO(made()[:end]))


def test_pixels_are_counted_before_they_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    monkeypatch.setattr(jxl, "_decoded", lambda data: pytest.fail("it was decoded"))
    for name, data in {"a.jxl": made(), "b.jxl": jxl_of_jpeg(jpeg(), 24, 18)}.items():
        with pytest.raises(EspcnError, match=rf"{name}: 432 pixels are more than 400: .*--max-pixels 432"):
            reading.read_document(saved(tmp_path / name, data))


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["in.jxl", "in.png", "in"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_it_is_read_whatever_it_is_called(tmp_path: Path, name: str, channels: int) -> None:
    levels = (gradients(channels=channels) // 257).astype(np.uint8)
    document = reading.read_document(saved(tmp_path / name, made(levels)))
    assert (document.warnings, document.info) == ((), {})
    assert np.array_equal(document.frames[0].array(), levels)
    assert extent_of(tmp_path / name).bytes_per_pixel == (1 if channels == 1 else 4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_comes_upright_and_is_turned_once(tmp_path: Path, orientation: int) -> None:
    """The header has a mark of its own, by which the library turns it; EXIF's orientation says nothing."""
    levels = natural(24, 18)
    path = saved(tmp_path / "in.jxl", turned_jxl(levels, orientation))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(levels).save(tmp_path / "same.png", exif=exif)
    assert np.array_equal(levels_of(path), levels_of(tmp_path / "same.png"))
    assert extent_of(path).size == reading.read_document(path).size


def test_the_orientation_in_exif_alone_turns_nothing(tmp_path: Path) -> None:
    path = saved(tmp_path / "in.jxl", made(exif=camera_exif(orientation=6)[6:]))
    assert reading.read_document(path).size == extent_of(path).size == (24, 18)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("before", [b"", bytes(4), b"\0\0\0\6Exif\0\0"])
def test_exif_and_xmp_are_kept_packed_or_not(tmp_path: Path, compress: bool, before: bytes) -> None:
    """Where EXIF starts stands before it, but for encoders that forget it."""
    data = made(exif=before + camera_exif()[6:], xmp=xmp('dc:source="here"'), compress=compress)
    document = reading.read_document(saved(tmp_path / "in.jxl", data))
    assert document.warnings == ()
    assert b"Maker" in document.info["exif"] and b"here" in document.info["xmp"]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [10, 12, 16])
def test_more_than_eight_bits_become_sixteen(tmp_path: Path, channels: int, bits: int) -> None:
    levels = (gradients(channels=channels) >> (16 - bits)).astype(np.uint16)
    path = saved(tmp_path / "in.jxl", deep_jxl(levels, bits))
    document = reading.read_document(path)
    frame = document.frames[0]
    assert (frame.depth, frame.channels) == (16, channels)
    assert np.abs(frame.array() / 65535 - levels / ((1 << bits) - 1)).max() <= 1 / 65535
    assert extent_of(path).bytes_per_pixel == 2 * channels
    assert "icc_profile" in document.info  # it calls itself linear


def test_the_jpeg_that_it_was_made_from_is_had_again(tmp_path: Path) -> None:
    """With its quality, its chroma, its EXIF and its orientation."""
    stored = jpeg(40, 24, quality=80, exif=camera_exif(orientation=6))
    before = reading.read_document(saved(tmp_path / "in.jpg", stored))
    path = saved(tmp_path / "in.jxl", jxl_of_jpeg(stored, 40, 24))
    after = reading.read_document(path)
    assert np.array_equal(after.frames[0].array(), before.frames[0].array())
    assert (after.traces, after.info) == (before.traces, before.info)
    assert after.traces.jpeg == 80
    assert extent_of(path).size == (24, 40)


def test_of_an_animation_one_frame_is_used(tmp_path: Path) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    frames = np.stack([natural(24, 18, seed) for seed in (1, 2)])
    path = saved(tmp_path / "in.jxl", bytes(imagecodecs.jpegxl_encode(frames, lossless=True)))
    document = reading.read_document(path)
    assert document.warnings == ("JPEG XL's animations are not read: only the last frame is used",)
    assert np.array_equal(document.frames[0].array(), frames[-1])


@pytest.mark.parametrize("end", [12, 60, -20])
def test_a_damaged_one_is_one_line(tmp_path: Path, end: int) -> None:
    data = made(exif=camera_exif()[6:])
    with pytest.raises(EspcnError, match=r"in\.jxl: cannot be decoded \(.*\): is it complete\?$"):
        reading.read_document(saved(tmp_path / "in.jxl", data[:end]))


# --- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("deep", [False, True])
def test_it_is_written_without_loss(tmp_path: Path, channels: int, deep: bool) -> None:
    if deep:
        pytest.importorskip("imagecodecs", reason="needs the extra 'deep'")
    levels = gradients(channels=channels)
    levels = levels if deep else (levels // 257).astype(np.uint8)
    assert write(tmp_path / "out.jxl", levels) == ()
    document = reading.read_document(tmp_path / "out.jxl")
    assert np.array_equal(document.frames[0].array(), levels)
    assert (document.warnings, document.info) == ((), {})  # in sRGB, whatever the encoder calls 16 bits
    assert jxl.header(BytesIO((tmp_path / "out.jxl").read_bytes())).is_srgb


def test_what_is_true_is_kept_from_file_to_file(tmp_path: Path, bicubic: Upscaler) -> None:
    source = saved(tmp_path / "in.jxl", made(exif=camera_exif()[6:], xmp=xmp('dc:source="here"'), compress=False))
    assert through(bicubic, source, tmp_path / "out.jxl") == ()
    after = reading.read_document(tmp_path / "out.jxl")
    assert (after.size, after.warnings) == ((48, 36), ())
    exif = Image.Exif()
    exif.load(after.info["exif"])
    assert exif[ExifTags.Base.Make] == "Maker"
    assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExifImageWidth] == 48
    assert b"here" in after.info["xmp"]


def test_a_quality_makes_it_lossy_and_small_and_100_does_not(tmp_path: Path) -> None:
    levels = natural(120, 90)
    for name, quality in {"whole": None, "best": 100, "good": 90, "small": 30}.items():
        write(tmp_path / f"{name}.jxl", levels, quality)
    sizes = {path.stem: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes["whole"] == sizes["best"] > sizes["good"] > sizes["small"]
    assert np.array_equal(levels_of(tmp_path / "best.jxl"), levels)
    assert 0 < np.abs(levels_of(tmp_path / "good.jxl").astype(int) - levels).mean() < 4


def test_sixteen_bits_with_a_loss_are_rounded_to_eight(tmp_path: Path) -> None:
    said = write(tmp_path / "out.jxl", gradients(), 90)
    assert said == ("JXL is written with 8 bits per sample: the picture was rounded to them",)
    assert reading.read_document(tmp_path / "out.jxl").frames[0].depth == 8


def test_colours_of_another_profile_are_converted_with_a_word(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    document = Document((from_array(natural(24, 18)),), {"icc_profile": profile, "dpi": (300.0, 300.0)})
    assert writing.write_document(document, tmp_path / "out.jxl").warnings == (
        "JXL has no place for the colour profile",
        "JXL has no place for the resolution in dpi",
    )


# --- without the libraries -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", ["pillow_jxl", "brotli"])
def test_without_the_extra_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    path = saved(tmp_path / "in.jxl", made())
    monkeypatch.setitem(sys.modules, package, None)
    remedy = r"JPEG XL needs pillow-jxl-plugin: pip install 'espcn\[formats\]'$"
    for look in (reading.read_document, extent_of):
        with pytest.raises(EspcnError, match=rf"in\.jxl: {remedy}"):
            look(path)
    with pytest.raises(UsageError, match=rf"out\.jxl: to write \.jxl, {remedy}"):
        writing.format_of(tmp_path / "out.jxl")


def test_without_deep_colour_of_16_bits_is_refused_unless_it_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "in.jxl", deep_jxl(gradients()))
    monkeypatch.setattr(deep_reading, "is_there", lambda: False)
    with pytest.raises(EspcnError, match="more than 8 bits per sample: install 'espcn\\[deep\\]'"):
        reading.read_document(path)
    cut = reading.read_document(path, depth=8)
    assert (cut.frames[0].depth, cut.warnings) == (8, (reading.CUT,))
