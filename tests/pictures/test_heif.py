"""HEIC, the photos of phones: read with all that they hold, and written as phones read them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making import natural
from making_animations import through
from making_metadata import camera_exif, xmp
from making_phones import gradients, heic, saved
from PIL import ExifTags, Image, ImageCms

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.maths.levels import Levels
from espcn_cli.pictures import heif, reading, writing
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.extent import extent_of
from espcn_cli.pictures.raster import from_array
from espcn_cli.pictures.writing import Encoding
from espcn_cli.upscaling.upscaler import Upscaler

pytest.importorskip("pillow_heif", reason="needs the extra 'formats'")


def write(path: Path, levels: Levels, quality: int | None = None, **info: Any) -> tuple[str, ...]:
    """The warnings."""
    return writing.write_document(Document((from_array(levels),), info), path, Encoding(quality)).warnings


def off(found: Levels, levels: Levels) -> float:
    """The mean difference, as a part of white."""
    return float(np.abs(found.astype(float) - levels).mean() / np.iinfo(levels.dtype).max)


# --- reading ---------------------------------------------------------------------------------------------------------


def test_it_is_known_by_its_first_bytes_and_parted_from_avif() -> None:
    assert heif.is_one(heic()[:64])
    assert heif.is_one(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic")
    assert not heif.is_one(b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif")
    assert not heif.is_one(b"\0\0\0\x18ftypavif\0\0\0\0mif1miaf")


@pytest.mark.parametrize("name", ["in.heic", "in.png", "in"])
def test_it_is_read_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    levels = natural(40, 30)
    document = reading.read_document(saved(tmp_path / name, heic(levels)))
    assert (document.size, document.warnings) == ((40, 30), ())
    assert off(document.frames[0].array(), levels) < 0.02


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_comes_upright_and_is_turned_once(tmp_path: Path, orientation: int, deep: bool) -> None:
    """The file has a mark of its own, by which the library turns it; EXIF's orientation only tells the same again."""
    stored = gradients() if deep else (gradients() // 257).astype(np.uint8)
    path = saved(tmp_path / "in.heic", heic(stored, exif=camera_exif(orientation=orientation)))
    document = reading.read_document(path)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    flat = Image.fromarray((stored // (257 if deep else 1)).astype(np.uint8))
    flat.save(tmp_path / "same.png", exif=exif)
    upright = reading.read_document(tmp_path / "same.png").frames[0].array()
    assert document.size == extent_of(path).size == upright.shape[1::-1]
    assert off((document.frames[0].array() // (257 if deep else 1)).astype(np.uint8), upright) < 0.02


def test_what_exif_says_of_places_in_the_picture_is_turned_with_it(tmp_path: Path) -> None:
    def subject(data: bytes, name: str) -> Any:
        read = Image.Exif()
        read.load(reading.read_document(saved(tmp_path / name, data)).info["exif"])
        return read.get_ifd(ExifTags.IFD.Exif)[0x9214]

    stored = camera_exif(orientation=6)
    photo = Image.fromarray(natural(24, 18))
    photo.save(tmp_path / "same.jpg", exif=stored)
    assert subject(heic(exif=stored), "in.heic") == subject((tmp_path / "same.jpg").read_bytes(), "again.jpg")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_ten_bits_become_sixteen(tmp_path: Path, channels: int) -> None:
    """Without the extra `deep`; 8 bits if that is asked for."""
    levels = gradients(channels=channels)
    path = saved(tmp_path / "in.heic", heic(levels))
    frame = reading.read_document(path).frames[0]
    assert (frame.depth, frame.channels) == (16, channels)
    assert off(frame.array(), levels) < 1 / 500
    assert extent_of(path).bytes_per_pixel == 2 * channels
    cut = reading.read_document(path, depth=8)
    assert cut.frames[0].depth == 8 and cut.warnings == (reading.CUT,)


def test_transparency_profile_exif_and_xmp_are_kept(tmp_path: Path) -> None:
    alpha = np.zeros((18, 24, 1), np.uint8)
    alpha[:, 12:] = 255
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    said: dict[str, Any] = {"icc_profile": profile, "exif": camera_exif(), "xmp": xmp('dc:source="here"')}
    document = reading.read_document(saved(tmp_path / "in.heic", heic(np.dstack([natural(24, 18), alpha]), **said)))
    assert document.warnings == ()
    assert document.frames[0].channels == 4
    assert np.array_equal(document.frames[0].array()[..., 3:] > 127, alpha > 127)
    assert document.info["icc_profile"] == profile
    assert b"Maker" in document.info["exif"] and b"here" in document.info["xmp"]


def test_of_several_pictures_the_main_one_is_taken(tmp_path: Path) -> None:
    import pillow_heif

    file = pillow_heif.HeifFile()
    for shade, size in ((40, (24, 18)), (200, (32, 20))):
        file.add_from_pillow(Image.new("RGB", size, (shade,) * 3))
    file.save(tmp_path / "in.heic", primary_index=1)
    document = reading.read_document(tmp_path / "in.heic")
    assert (document.size, len(document.frames)) == ((32, 20), 1)
    assert document.warnings == ("only the main one of 2 pictures in the file is used",)


def test_pixels_are_counted_before_they_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "in.heic", heic())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    monkeypatch.setattr(heif, "opened", _never_loaded(heif.opened))
    with pytest.raises(EspcnError, match=r"in\.heic: 432 pixels are more than 400: .*--max-pixels 432"):
        reading.read_document(path)


def _never_loaded(open_: Any) -> Any:
    def opened(file: Any) -> Image.Image:
        image: Image.Image = open_(file)
        image.load = lambda: pytest.fail("it was decoded")  # type: ignore[method-assign]
        return image

    return opened


@pytest.mark.parametrize("end", [20, 300, -20])
def test_a_damaged_one_is_one_line(tmp_path: Path, end: int) -> None:
    with pytest.raises(EspcnError, match=r"in\.heic: cannot be decoded \(.*\): is it complete\?$"):
        reading.read_document(saved(tmp_path / "in.heic", heic()[:end]))


# --- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", heif.SUFFIXES)
def test_it_is_written_and_kept_as_it_is_from_file_to_file(tmp_path: Path, bicubic: Upscaler, suffix: str) -> None:
    source = saved(tmp_path / f"in{suffix}", heic(exif=camera_exif(orientation=6), xmp=xmp('dc:source="here"')))
    assert through(bicubic, source, tmp_path / f"out{suffix}") == ()
    after = reading.read_document(tmp_path / f"out{suffix}")
    assert after.size == (36, 48)
    exif = Image.Exif()
    exif.load(after.info["exif"])
    assert (exif[ExifTags.Base.Make], exif.get(ExifTags.Base.Orientation, 1)) == ("Maker", 1)
    assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExifImageWidth] == 36
    assert b"here" in after.info["xmp"]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_eight_bits_stay_eight(tmp_path: Path, channels: int) -> None:
    levels = (gradients(96, 72, channels) // 257).astype(np.uint8)
    assert write(tmp_path / "out.heic", levels) == ()
    frame = reading.read_document(tmp_path / "out.heic").frames[0]
    assert (frame.depth, frame.channels) == (8, channels)
    assert off(frame.array(), levels) < 0.01


def test_sixteen_bits_become_ten_with_a_word(tmp_path: Path) -> None:
    levels = gradients(96, 72)
    assert write(tmp_path / "out.heic", levels) == ("HEIF holds 10 bits per sample: the picture was rounded to them",)
    frame = reading.read_document(tmp_path / "out.heic").frames[0]
    assert frame.depth == 16
    assert off(frame.array(), levels) < 1 / 200


def test_a_lower_quality_is_a_smaller_file(tmp_path: Path) -> None:
    levels = natural(120, 90)
    write(tmp_path / "good.heic", levels)
    write(tmp_path / "small.heic", levels, quality=30)
    assert (tmp_path / "small.heic").stat().st_size < (tmp_path / "good.heic").stat().st_size / 2


def test_phones_read_it(tmp_path: Path) -> None:
    """Chroma at half the resolution: HEVC's main profile, which hardware decodes."""
    import pillow_heif

    write(tmp_path / "out.heic", natural(24, 18))
    assert pillow_heif.open_heif(tmp_path / "out.heic").info["chroma"] == 420


def test_what_it_cannot_hold_is_reported(tmp_path: Path) -> None:
    pages = tuple(from_array(natural(24, 18, seed)) for seed in (1, 2))
    document = Document(pages, {"dpi": (300.0, 300.0), "comment": b"hello"})
    assert writing.write_document(document, tmp_path / "out.heic").warnings == (
        "HEIF cannot hold pages like these: only the first of 2 is kept",
        "HEIF has no place for the resolution in dpi, the comment",
    )


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (17, 1)])
def test_a_tiny_one_keeps_its_size(tmp_path: Path, size: tuple[int, int]) -> None:
    write(tmp_path / "out.heic", natural(*size))
    assert reading.read_document(tmp_path / "out.heic").size == size


# --- without the library ---------------------------------------------------------------------------------------------


def test_without_the_extra_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "in.heic", heic())
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    remedy = r"HEIC needs pillow-heif: pip install 'espcn\[formats\]'$"
    for look in (reading.read_document, extent_of):
        with pytest.raises(EspcnError, match=rf"in\.heic: {remedy}"):
            look(path)
    with pytest.raises(UsageError, match=rf"out\.heic: to write \.heic, {remedy}"):
        writing.format_of(tmp_path / "out.heic")
