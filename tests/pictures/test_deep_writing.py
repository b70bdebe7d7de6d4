"""More than 8 bits per sample: written where a format holds them, with all that stands beside the pixels."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from making_animations import through
from making_deep import colours, imagecodecs, tiff, tifffile
from making_png import ICC
from PIL import ExifTags, Image, ImageCms

from espcn_cli.pictures import deep_writing, reading, writing
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.raster import Raster
from espcn_cli.upscaling.upscaler import Upscaler


@pytest.mark.parametrize("target", ["png", "tif", "ppm", "jp2", "j2k"])
def test_what_holds_16_bits_gets_16_bits(tmp_path: Path, bicubic: Upscaler, target: str) -> None:
    (tmp_path / "in.png").write_bytes(imagecodecs.png_encode(colours()))
    document = bicubic.document(reading.read_document(tmp_path / "in.png"))
    written = writing.write_document(document, tmp_path / f"out.{target}")
    assert written.warnings == ()
    again = reading.read_document(tmp_path / f"out.{target}")
    assert np.array_equal(again.frames[0].array(), document.frames[0].array())
    container = (tmp_path / f"out.{target}").read_bytes()[4:8] == b"jP  "
    assert container is (target == "jp2")


@pytest.mark.parametrize("target", ["jpg", "webp", "avif", "bmp", "gif"])
def test_what_holds_8_bits_says_so(tmp_path: Path, target: str) -> None:
    written = writing.write_document(Document((Raster(colours()),)), tmp_path / f"a.{target}")
    assert "is written with 8 bits per sample" in written.warnings[0]


def test_16_bit_colour_stays_16_bit(tmp_path: Path, bicubic: Upscaler) -> None:
    for channels in (3, 4):
        values = np.random.default_rng(0).integers(0, 65536, (9, 12, 1), dtype=np.uint16).repeat(channels, axis=2)
        values[..., -1] = 65535
        (tmp_path / "in.png").write_bytes(imagecodecs.png_encode(values))
        extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
        tifffile.imwrite(tmp_path / "in.tif", values, photometric="rgb", compression="lzw", **extra)
        expected = np.asarray(bicubic.raster(Raster(values))[0].data)
        for suffix in ("png", "tif"):
            through(bicubic, tmp_path / f"in.{suffix}", tmp_path / f"out.{suffix}")
        assert np.array_equal(imagecodecs.png_decode((tmp_path / "out.png").read_bytes()), expected)
        assert np.array_equal(tifffile.imread(tmp_path / "out.tif"), expected)
        assert len(np.unique(expected)) > 256


def test_16_bit_colour_keeps_what_stands_beside_it(tmp_path: Path, bicubic: Upscaler) -> None:
    document = Document(
        (Raster(np.zeros((4, 5, 3), np.uint16)),),
        {"icc_profile": ICC, "dpi": (300.0, 300.0), "text": {"Title": "Boat"}},
    )
    writing.write_document(document, tmp_path / "in.png")
    through(bicubic, tmp_path / "in.png", tmp_path / "out.png")
    through(bicubic, tmp_path / "in.png", tmp_path / "out.tif")
    assert imagecodecs.png_decode((tmp_path / "out.png").read_bytes()).dtype == np.uint16
    with Image.open(tmp_path / "out.png") as image:
        image.load()
        assert image.info["icc_profile"] == ICC
        assert image.text == {"Title": "Boat"}  # type: ignore[attr-defined]
    with Image.open(tmp_path / "out.tif") as image:
        assert (image.info["icc_profile"], image.info["dpi"]) == (ICC, pytest.approx((300, 300), abs=0.1))


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'


def a_photograph() -> Document:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Artist] = "Zoe"
    own = exif.get_ifd(ExifTags.IFD.Exif)
    own[ExifTags.Base.FNumber] = 2.8
    own[ExifTags.Base.ISOSpeedRatings] = 400
    own[ExifTags.Base.MakerNote] = bytes(range(40))
    own[ExifTags.Base.ExifImageWidth], own[ExifTags.Base.ExifImageHeight] = 8, 6
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (48.0, 12.5, 0.0)
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    info = {"exif": exif.tobytes(), "xmp": XMP, "icc_profile": icc, "dpi": (300.0, 300.0)}
    return Document((Raster(colours()),), info)


@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_of_more_than_4_gigabytes_is_a_big_one(
    tmp_path: Path, big: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deep_writing, "MAX_CLASSIC", 100 if big else 10_000)
    deep_one = a_photograph()
    plain = replace(deep_one, frames=(Raster(Image.fromarray((colours() >> 8).astype(np.uint8))),))
    for document in (deep_one, plain, replace(deep_one, frames=deep_one.frames * 2)):
        assert writing.write_document(document, tmp_path / "a.tif").warnings == ()
        assert (tmp_path / "a.tif").read_bytes()[:3] == (b"II+" if big else b"II*")
        again = reading.read_document(tmp_path / "a.tif")
        for before, after in zip(document.frames, again.frames, strict=True):
            assert np.array_equal(before.array(), after.array())
        with Image.open(tmp_path / "a.tif") as image:
            assert image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 400


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_everything_beside_16_bit_colour_is_kept(tmp_path: Path, suffix: str) -> None:
    document = a_photograph()
    assert writing.write_document(document, tmp_path / f"a.{suffix}").warnings == ()
    writing.write_document(reading.read_document(tmp_path / f"a.{suffix}"), tmp_path / f"b.{suffix}")
    with Image.open(tmp_path / f"b.{suffix}") as image:
        exif = image.getexif()
        own = exif.get_ifd(ExifTags.IFD.Exif)
        assert (exif[ExifTags.Base.Make], exif[ExifTags.Base.Artist]) == ("Maker", "Zoe")
        assert float(own[ExifTags.Base.FNumber]) == pytest.approx(2.8)
        assert own[ExifTags.Base.ISOSpeedRatings] == 400
        assert own[ExifTags.Base.MakerNote] == bytes(range(40))
        assert (own[ExifTags.Base.ExifImageWidth], own[ExifTags.Base.ExifImageHeight]) == (16, 12)
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] == (48.0, 12.5, 0.0)
        assert image.info["icc_profile"] == document.info["icc_profile"]
        assert image.info["xmp"] == XMP
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    again = reading.read_document(tmp_path / f"b.{suffix}")
    assert np.array_equal(again.frames[0].array(), colours())


def test_a_stream_of_16_bit_tiff_is_the_file(tmp_path: Path) -> None:
    writing.write_document(a_photograph(), tmp_path / "a.tif")
    out = BytesIO()
    writing.encode(a_photograph(), "TIFF", out, "-", writing.Encoding())
    with Image.open(out) as image:
        assert image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 400
    assert len(out.getvalue()) == (tmp_path / "a.tif").stat().st_size


def test_exif_of_a_big_tiff_is_kept(tmp_path: Path) -> None:
    (tmp_path / "in.tif").write_bytes(tiff(colours(), bigtiff=True, software="Scanner"))
    writing.write_document(reading.read_document(tmp_path / "in.tif"), tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert image.getexif()[ExifTags.Base.Software] == "Scanner"
