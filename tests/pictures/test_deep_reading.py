"""More than 8 bits per sample: read with all of them, refused without the extra, never cut in silence."""

from __future__ import annotations

import struct
import sys
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making import mutations, natural
from making_deep import FILES, Samples, colours, imagecodecs, spread, tiff, tifffile
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from espcn_cli.errors import EspcnError
from espcn_cli.pictures import deep_reading, reading, writing
from espcn_cli.upscaling.upscaler import Upscaler

# --- read ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_all_its_bits(tmp_path: Path, name: str) -> None:
    make, bits = FILES[name]
    (tmp_path / f"in.{name}").write_bytes(make())
    document = reading.read_document(tmp_path / f"in.{name}")
    [frame] = document.frames
    assert frame.depth == 16
    assert np.array_equal(frame.array(), spread(colours(bits), 2**bits - 1))


def test_avif_gives_all_its_bits(tmp_path: Path) -> None:
    """Its colours are made from Y'CbCr: a few of 1023 levels may go."""
    for bits in (10, 12):
        (tmp_path / "in.avif").write_bytes(imagecodecs.avif_encode(colours(bits), level=100, bitspersample=bits))
        [frame] = reading.read_document(tmp_path / "in.avif").frames
        white = 2**bits - 1
        assert frame.depth == 16
        assert np.abs(frame.array().astype(int) - spread(colours(bits), white)).max() <= 4 * 65535 / white
    grey = colours(10)[..., 0]
    (tmp_path / "in.avif").write_bytes(imagecodecs.avif_encode(grey, level=100, bitspersample=10))
    [frame] = reading.read_document(tmp_path / "in.avif").frames
    assert (frame.depth, frame.channels) == (16, 1)


def test_white_is_what_the_file_says(tmp_path: Path) -> None:
    for name, (make, bits) in FILES.items():
        (tmp_path / f"in.{name}").write_bytes(make())
        if name != "10.tif":
            with Image.open(tmp_path / f"in.{name}") as image:
                assert deep_reading.white(image) == 2**bits - 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_16_bits_comes_out_upright(tmp_path: Path, orientation: int) -> None:
    (tmp_path / "in.tif").write_bytes(tiff(colours(), extratags=[(274, 3, 1, orientation, True)]))
    exact = reading.read_document(tmp_path / "in.tif").frames[0].array()
    small = Image.fromarray((colours() >> 8).astype(np.uint8))
    small.getexif()[ExifTags.Base.Orientation] = orientation
    small.save(tmp_path / "small.png", exif=small.getexif())
    assert np.array_equal(exact >> 8, reading.read_document(tmp_path / "small.png").frames[0].array())


def test_premultiplied_colours_are_made_straight(tmp_path: Path) -> None:
    straight = colours(16, 4)
    straight[..., 3] = np.linspace(20000, 65535, 16).astype(np.uint16)
    alpha = straight[..., 3:].astype(np.uint64)
    multiplied = np.dstack([(straight[..., :3] * alpha + 32767) // 65535, alpha]).astype(np.uint16)
    (tmp_path / "in.tif").write_bytes(tiff(multiplied, extrasamples=["assocalpha"]))
    [frame] = reading.read_document(tmp_path / "in.tif").frames
    assert np.abs(frame.array().astype(int) - straight).max() <= 3
    assert np.array_equal(frame.array()[..., 3], straight[..., 3])


def test_a_transparent_value_becomes_alpha(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """tRNS of 16-bit grey and colour, which Pillow reads as opaque."""

    def with_chunk(png: bytes, value: Samples) -> bytes:
        data = value.astype(">u2").tobytes()
        return png[:33] + struct.pack(">I", len(data)) + b"tRNS" + data + bytes(4) + png[33:]

    monkeypatch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)  # passes over the missing checksum
    for values in (colours(), colours()[..., :1]):
        png = bytes(imagecodecs.png_encode(values if values.shape[2] == 3 else values[..., 0].copy()))
        (tmp_path / "in.png").write_bytes(_checked(with_chunk(png, values[2, 3])))
        [frame] = reading.read_document(tmp_path / "in.png").frames
        clear = (values == values[2, 3]).all(axis=2)
        assert np.array_equal(frame.array()[..., :-1], values)
        assert np.array_equal(frame.array()[..., -1] == 0, clear)
        assert set(np.unique(frame.array()[..., -1])) == {0, 65535}


def _checked(png: bytes) -> bytes:
    """The same PNG with every checksum right."""

    out, position = png[:8], 8
    while position < len(png):
        (length,) = struct.unpack_from(">I", png, position)
        body = png[position + 4 : position + 8 + length]
        out += struct.pack(">I", length) + body + struct.pack(">I", zlib.crc32(body))
        position += 12 + length
    return out


def test_a_fourth_channel_that_is_no_alpha_is_said(tmp_path: Path) -> None:
    for values in (colours(16, 4), (colours(16, 4) >> 8).astype(np.uint8)):
        (tmp_path / "in.tif").write_bytes(tiff(values, extrasamples=["unspecified"]))
        document = reading.read_document(tmp_path / "in.tif")
        assert document.frames[0].channels == 3
        assert document.warnings == ("a channel that the file does not call transparency was left out",)


def test_grey_of_12_bits_and_black_on_white(tmp_path: Path) -> None:
    """Pillow leaves 12 bits as dark as they lie in 16, and 16-bit scans of film as negatives."""
    grey = colours(12)[..., 0]
    (tmp_path / "in.tif").write_bytes(tiff(grey, photometric="minisblack", bitspersample=12))
    assert np.array_equal(reading.read_document(tmp_path / "in.tif").frames[0].array()[..., 0], spread(grey, 4095))
    (tmp_path / "in.jp2").write_bytes(imagecodecs.jpeg2k_encode(grey, level=0, bitspersample=12))
    assert np.array_equal(reading.read_document(tmp_path / "in.jp2").frames[0].array()[..., 0], spread(grey, 4095))
    scan = colours()[..., 0]
    (tmp_path / "in.tif").write_bytes(tiff(scan, photometric="miniswhite"))
    assert np.array_equal(reading.read_document(tmp_path / "in.tif").frames[0].array()[..., 0], 65535 - scan)


def test_pages_may_differ_in_depth(tmp_path: Path, bicubic: Upscaler) -> None:
    small = (colours() >> 8).astype(np.uint8)
    for first, second in ((small, colours()), (colours(), small)):
        with tifffile.TiffWriter(tmp_path / "in.tif") as writer:
            writer.write(first, photometric="rgb", metadata=None)
            writer.write(second, photometric="rgb", metadata=None)
        document = bicubic.document(reading.read_document(tmp_path / "in.tif"))
        writing.write_document(document, tmp_path / "out.tif")
        again = reading.read_document(tmp_path / "out.tif")
        for before, after in zip(document.frames, again.frames, strict=True):
            assert before.depth == after.depth
            assert np.array_equal(before.array(), after.array())


@pytest.mark.parametrize("compression", ["lerc", "jpeg2000", "png"])
def test_tiffs_that_pillow_does_not_know_are_read(tmp_path: Path, compression: str) -> None:
    values = (colours() >> 8).astype(np.uint8)
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    (tmp_path / "in.tif").write_bytes(
        tiff(
            values, compression=compression, iccprofile=icc, resolution=(200, 200), resolutionunit="INCH", software="S"
        )
    )
    document = reading.read_document(tmp_path / "in.tif")
    assert np.array_equal(document.frames[0].array(), values)
    assert document.info["icc_profile"] == icc
    assert document.info["dpi"] == (200, 200)


# --- refused or cut --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*FILES, "avif"])
def test_without_the_extra_they_are_refused_or_cut_down_knowingly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / f"in.{name}"
    avif = imagecodecs.avif_encode(colours(10), level=100, bitspersample=10) if name == "avif" else b""
    path.write_bytes(avif or FILES[name][0]())
    exact = (reading.read_document(path).frames[0].array().astype(int) + 128) // 257
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(EspcnError, match=r"in\..*'espcn\[deep\]'"):
        reading.read_document(path)
    if name in ("planes.tif", "10.tif"):  # Pillow makes noise of the one and does not know the other
        with pytest.raises(EspcnError, match=r"'espcn\[deep\]'"):
            reading.read_document(path, depth=8)
        return
    document = reading.read_document(path, depth=8)
    assert document.frames[0].depth == 8
    assert document.warnings == ("more than 8 bits per sample were cut down to 8",)
    assert np.abs(document.frames[0].array() - exact).max() <= 1 + 2 * (name == "avif")


def test_16_bit_colour_without_the_extra_is_refused_or_cut_down_knowingly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.full((4, 5, 3), 51400, np.uint16)
    (tmp_path / "in.png").write_bytes(imagecodecs.png_encode(values))
    monkeypatch.setitem(__import__("sys").modules, "imagecodecs", None)
    with pytest.raises(EspcnError, match=r"in\.png: more than 8 bits .* 'espcn\[deep\]'.*--depth 8"):
        reading.read_document(tmp_path / "in.png")
    document = reading.read_document(tmp_path / "in.png", depth=8)
    assert document.frames[0].depth == 8
    assert "cut down to 8" in document.warnings[0]


@pytest.mark.parametrize("name", FILES)
def test_cut_down_with_the_extra_they_are_rounded(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"in.{name}"
    path.write_bytes(FILES[name][0]())
    exact = (reading.read_document(path).frames[0].array().astype(int) + 128) // 257
    document = reading.read_document(path, depth=8)
    assert document.warnings == ("more than 8 bits per sample were cut down to 8",)
    assert np.array_equal(document.frames[0].array(), exact)


def test_samples_that_are_no_whole_numbers_are_refused_by_name(tmp_path: Path) -> None:
    cases: dict[str, list[NDArray[Any]]] = {
        "floating-point": [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 3), np.float16)],
        "signed": [np.zeros((4, 4), np.int16), np.zeros((4, 4), np.int8)],
        "32-bit": [np.zeros((4, 4), np.uint32), np.zeros((4, 4, 3), np.uint32)],
    }
    for word, arrays in cases.items():
        for array in arrays:
            (tmp_path / "in.tif").write_bytes(tiff(array, photometric="rgb" if array.ndim == 3 else "minisblack"))
            with pytest.raises(EspcnError, match=rf"in\.tif: {word} samples are not supported"):
                reading.read_document(tmp_path / "in.tif")


def test_16_bits_in_cmyk_are_cut_down_knowingly(tmp_path: Path) -> None:
    (tmp_path / "in.tif").write_bytes(tiff(colours(16, 4), photometric="separated"))
    with pytest.raises(EspcnError, match=r"not in CMYK: cut them down to 8 with --depth 8"):
        reading.read_document(tmp_path / "in.tif")
    assert "cut down" in reading.read_document(tmp_path / "in.tif", depth=8).warnings[0]


def test_sgi_of_16_bits_is_cut_down_knowingly(tmp_path: Path) -> None:
    Image.fromarray(natural(16, 12)).convert("L").save(tmp_path / "in.sgi", bpc=2)
    with pytest.raises(EspcnError, match="16 bits per sample are not kept in SGI"):
        reading.read_document(tmp_path / "in.sgi")
    assert reading.read_document(tmp_path / "in.sgi", depth=8).frames[0].depth == 8


@pytest.mark.parametrize("name", ["png", "ppm", "plain.ppm", "jp2", "planes.tif", "tiled.tif", "10.tif"])
def test_every_damaged_deep_file_is_a_picture_or_one_line(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    path = tmp_path / "odd.bin"
    for data in mutations(FILES[name][0](), list(FILES).index(name), 30):
        path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert reading.read_document(path).frames
            except EspcnError as error:
                assert "\n" not in str(error) and "odd.bin" in str(error), error
