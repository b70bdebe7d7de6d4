"""EXIF, XMP, text, comments, resolution and colour beside the pixels: kept, upright and up to date, or said."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from making import natural
from making_animations import through
from making_png import ICC, PICTURE, chunk, chunks_of, read, rgb_png
from PIL import ExifTags, Image, PngImagePlugin

from espcn_cli.maths.levels import Levels
from espcn_cli.pictures import reading, writing
from espcn_cli.upscaling.upscaler import Upscaler

# --- EXIF and XMP ----------------------------------------------------------------------------------------------------

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" tiff:Orientation="6" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


def camera_exif(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Orientation] = orientation
    own = exif.get_ifd(ExifTags.IFD.Exif)
    own[ExifTags.Base.ExifImageWidth], own[ExifTags.Base.ExifImageHeight] = 24, 18
    own[ExifTags.Base.FNumber] = 2.8
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return exif


@pytest.mark.parametrize("target", ["png", "jpg", "webp", "tif", "avif"])
def test_exif_is_kept_upright_and_up_to_date(tmp_path: Path, bicubic: Upscaler, target: str) -> None:
    Image.fromarray(natural(24, 18)).save(tmp_path / "in.jpg", exif=camera_exif(6), xmp=XMP, dpi=(300, 300), quality=95)
    through(bicubic, tmp_path / "in.jpg", tmp_path / f"out.{target}")
    with Image.open(tmp_path / f"out.{target}") as image:
        image.load()
        exif = image.getexif()
        assert image.size == (36, 48)
        assert exif.get(ExifTags.Base.Orientation, 1) == 1
        assert exif[ExifTags.Base.Make] == "Maker"
        own = exif.get_ifd(ExifTags.IFD.Exif)
        assert (own[ExifTags.Base.ExifImageWidth], own[ExifTags.Base.ExifImageHeight]) == (36, 48)
        assert float(own[ExifTags.Base.FNumber]) == pytest.approx(2.8)
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
        assert not exif.get_ifd(ExifTags.IFD.IFD1)
        assert image.info["xmp"] == XMP.replace(b'"6"', b'"1"')
        if target not in ("webp", "avif"):
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize(("description", "kept"), [("A cat", True), ('{"shape": [18, 24, 3]}', False)])
def test_a_description_is_kept_unless_it_states_the_old_size(
    tmp_path: Path, bicubic: Upscaler, description: str, kept: bool
) -> None:
    """Scientific writers note the array's shape there, and complain of files in which it is not true."""
    source = tmp_path / "in.tif"
    Image.fromarray(natural(24, 18)).save(source, tiffinfo={270: description})
    through(bicubic, source, tmp_path / "out.tif")
    with Image.open(tmp_path / "out.tif") as image:
        assert (image.getexif().get(270) == description) == kept


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(tmp_path: Path, bicubic: Upscaler, orientation: int) -> None:
    """Against Pillow's own turning of the upscaled picture."""
    from PIL import ImageOps

    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = Image.fromarray(natural(7, 5))
    image.save(tmp_path / "in.png", exif=exif)
    through(bicubic, tmp_path / "in.png", tmp_path / "out.png")
    large = bicubic(image)
    large.getexif()[ExifTags.Base.Orientation] = orientation
    with Image.open(tmp_path / "out.png") as result:
        expected = np.asarray(ImageOps.exif_transpose(large)).astype(int)
        assert np.abs(np.asarray(result) - expected).max() <= 1


def test_exif_of_a_tiff_does_not_carry_its_storage_along(tmp_path: Path, bicubic: Upscaler) -> None:
    Image.fromarray(natural(24, 18)).save(
        tmp_path / "in.tif", exif=camera_exif(), compression="tiff_lzw", dpi=(200, 200)
    )
    through(bicubic, tmp_path / "in.tif", tmp_path / "out.tif")
    through(bicubic, tmp_path / "in.tif", tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.tif") as image:
        image.load()
        assert (image.size, image.getexif()[ExifTags.Base.Make]) == ((48, 36), "Maker")
        assert image.info["dpi"] == (200, 200)
    with Image.open(tmp_path / "out.jpg") as image:
        assert 273 not in image.getexif()  # strip offsets
        assert image.getexif()[ExifTags.Base.Make] == "Maker"


def test_broken_exif_costs_a_warning_not_the_picture(tmp_path: Path, bicubic: Upscaler) -> None:
    Image.fromarray(natural(8, 8)).save(tmp_path / "in.jpg", exif=b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x05\x01")
    through(bicubic, tmp_path / "in.jpg", tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.size == (16, 16)


# --- text and comments -----------------------------------------------------------------------------------------------


def test_text_of_a_png_is_kept_and_its_loss_is_said(tmp_path: Path, bicubic: Upscaler) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "Boat")
    text.add_itxt("Author", "Zoë", "de", "Autor")
    text.add_text("Comment", "long " * 50, zip=True)
    Image.fromarray(natural(8, 8)).save(tmp_path / "in.png", pnginfo=text)
    assert through(bicubic, tmp_path / "in.png", tmp_path / "out.png") == ()
    with Image.open(tmp_path / "out.png") as image:
        image.load()
        assert image.text == {"Title": "Boat", "Author": "Zoë", "Comment": "long " * 50}  # type: ignore[attr-defined]
        assert image.text["Author"].lang == "de"  # type: ignore[attr-defined]
    assert through(bicubic, tmp_path / "in.png", tmp_path / "out.jpg") == ("JPEG has no place for text",)


@pytest.mark.parametrize("suffix", ["jpg", "gif", "jp2"])
def test_a_comment_is_kept(tmp_path: Path, bicubic: Upscaler, suffix: str) -> None:
    Image.fromarray(natural(16, 16)).convert("L").save(tmp_path / f"in.{suffix}", comment=b"from the attic")
    notes = through(bicubic, tmp_path / f"in.{suffix}", tmp_path / f"out.{suffix}")
    assert not any("comment" in note for note in notes)
    with Image.open(tmp_path / f"out.{suffix}") as image:
        assert image.info["comment"] == b"from the attic"


@pytest.mark.parametrize("suffix", ["jpg", "gif", "jp2"])
def test_a_comment_becomes_a_png_s_text(tmp_path: Path, suffix: str) -> None:
    PICTURE.convert("L").save(tmp_path / f"in.{suffix}", comment="from Zoë's attic".encode())
    document = reading.read_document(tmp_path / f"in.{suffix}")
    assert writing.write_document(document, tmp_path / "out.png").warnings == ()
    with Image.open(tmp_path / "out.png") as image:
        image.load()
        assert image.text["Comment"] == "from Zoë's attic"  # type: ignore[attr-defined]


def test_a_comment_of_any_bytes_and_xmp_that_is_no_text(tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "in.jpg", comment=b"caf\xe9\0bar\0", xmp=b"<x>\xe9</x>")
    document = reading.read_document(tmp_path / "in.jpg")
    assert writing.write_document(document, tmp_path / "out.jpg").warnings == ()
    assert writing.write_document(document, tmp_path / "out.png").warnings == ("XMP that is not UTF-8 was left out",)
    with Image.open(tmp_path / "out.png") as image:
        image.load()
        assert image.text == {"Comment": "café bar"}  # type: ignore[attr-defined]


def test_text_survives_a_second_time(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "mine")
    PICTURE.save(tmp_path / "in.png", pnginfo=text)
    document = reading.read_document(tmp_path / "in.png")
    document.info["comment"] = b"another"
    writing.write_document(document, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        image.load()
        assert image.text["Comment"] == "mine"  # type: ignore[attr-defined]


def test_much_text_is_no_bomb(tmp_path: Path) -> None:
    document = read(tmp_path / "in.png", rgb_png(chunk(b"zTXt", b"Workflow\0\0" + zlib.compress(b"x" * 5_000_000))))
    writing.write_document(document, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        image.load()
        assert len(image.text["Workflow"]) == 5_000_000  # type: ignore[attr-defined]


# --- colour and shape ------------------------------------------------------------------------------------------------

LINEAR = chunk(b"gAMA", struct.pack(">I", 100000))

USUAL = chunk(b"gAMA", struct.pack(">I", 45455))

SRGB_PRIMARIES = chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))

P3_PRIMARIES = chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))

HDR = chunk(b"cICP", bytes((9, 16, 0, 1)))


@pytest.mark.parametrize(
    ("chunks", "kept"),
    [
        ((LINEAR,), {"gAMA"}),
        ((USUAL, P3_PRIMARIES), {"gAMA", "cHRM"}),
        ((HDR,), {"cICP"}),
        ((USUAL,), set()),
        ((USUAL, SRGB_PRIMARIES), set()),
        ((chunk(b"sRGB", b"\0"), USUAL), set()),
    ],
)
def test_unusual_colour_without_a_profile_is_kept_in_png_and_its_loss_said(
    tmp_path: Path, chunks: tuple[bytes, ...], kept: set[str]
) -> None:
    document = read(tmp_path / "in.png", rgb_png(*chunks))
    assert writing.write_document(document, tmp_path / "out.png").warnings == ()
    assert set(chunks_of(tmp_path / "out.png")) == kept
    said = writing.write_document(document, tmp_path / "out.jpg").warnings
    assert said == (("JPEG has no place for the gamma and primaries",) if kept else ())


def test_a_profile_rules_over_gamma(tmp_path: Path) -> None:
    profile = chunk(b"iCCP", b"P\0\0" + zlib.compress(ICC))
    document = read(tmp_path / "in.png", rgb_png(profile, LINEAR))
    assert document.info["icc_profile"] == ICC and "colour" not in document.info


NOT_SQUARE = ("the pixels are not square, and are taken for square",)


def test_pixels_that_are_not_square_are_said(tmp_path: Path) -> None:
    document = read(tmp_path / "in.png", rgb_png(chunk(b"pHYs", struct.pack(">IIB", 1, 2, 0))))
    assert document.warnings == NOT_SQUARE


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("sides", "unit", "said"), [((1, 2), 1, NOT_SQUARE), ((3, 3), 1, ()), ((1, 2), 2, ())])
def test_so_are_those_of_a_tiff_unless_its_resolution_is_kept(
    tmp_path: Path, dtype: type, sides: tuple[int, int], unit: int, said: tuple[str, ...]
) -> None:
    tifffile = pytest.importorskip("tifffile")
    levels: Levels = natural(24, 18).astype(dtype)
    path = tmp_path / "in.tif"
    tifffile.imwrite(path, levels, photometric="rgb", metadata=None, resolution=sides, resolutionunit=unit)
    document = reading.read_document(path)
    assert document.warnings == said
    assert document.info.get("dpi") == (sides if unit == 2 else None)
