"""Odd pictures that people have: nothing of them is lost in silence, and none comes out wrong."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making import natural
from PIL import Image, ImageCms, PngImagePlugin

from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.errors import EspcnError
from espcn_cli.network.espcn import ESPCN
from espcn_cli.pictures import boxes, reading, writing
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.raster import Raster
from espcn_cli.settings import ModelSettings
from espcn_cli.upscaling import upscaler

PIXELS = natural(16, 12)
PICTURE = Image.fromarray(PIXELS)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="module")
def bicubic() -> upscaler.Upscaler:
    return upscaler.Upscaler(TorchEngine(ESPCN(ModelSettings(widths=(4,), kernels=(3, 3)))))


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(rows: Iterable[bytes], size: tuple[int, int], depth: int, colour: int, *chunks: bytes, adam7: int = 0) -> bytes:
    """A PNG by hand; `rows` without their filter bytes."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, adam7)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def rgb_png(*chunks: bytes) -> bytes:
    return png((row.tobytes() for row in PIXELS), (16, 12), 8, 2, *chunks)


def read(path: Path, data: bytes) -> Document:
    path.write_bytes(data)
    return reading.read_document(path)


def chunks_of(path: Path) -> dict[str, bytes]:
    with path.open("rb") as file:
        return boxes.fields(file, "PNG")


# --- PNG -------------------------------------------------------------------------------------------------------------

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


def test_pixels_that_are_not_square_are_said(tmp_path: Path) -> None:
    document = read(tmp_path / "in.png", rgb_png(chunk(b"pHYs", struct.pack(">IIB", 1, 2, 0))))
    assert document.warnings == ("the pixels are not square, and are taken for square",)


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


def test_much_text_is_no_bomb(tmp_path: Path) -> None:
    document = read(tmp_path / "in.png", rgb_png(chunk(b"zTXt", b"Workflow\0\0" + zlib.compress(b"x" * 5_000_000))))
    writing.write_document(document, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        image.load()
        assert len(image.text["Workflow"]) == 5_000_000  # type: ignore[attr-defined]


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


# --- several pictures in a file --------------------------------------------------------------------------------------


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


def test_pages_count_together_against_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PICTURE.save(tmp_path / "in.tif", save_all=True, append_images=[Image.new("L", (40, 40))])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(EspcnError, match="--max-pixels"):
        reading.read_document(tmp_path / "in.tif")


# --- JPEG 2000, AVIF, TIFF -------------------------------------------------------------------------------------------


def test_a_profile_in_jpeg_2000_is_found(tmp_path: Path, bicubic: upscaler.Upscaler) -> None:
    out = BytesIO()
    PICTURE.save(out, "JPEG2000")
    data = out.getvalue()
    place = data.index(b"colr") - 4
    (old,) = struct.unpack_from(">I", data, place)
    box = struct.pack(">I", 11 + len(ICC)) + b"colr\2\0\0" + ICC
    header = data.index(b"jp2h") - 4
    (length,) = struct.unpack_from(">I", data, header)
    longer = struct.pack(">I", length + len(box) - old)
    data = data[:header] + longer + data[header + 4 : place] + box + data[place + old :]
    document = read(tmp_path / "in.jp2", data)
    assert document.info["icc_profile"] == ICC
    assert np.array_equal(document.frames[0].array(), PIXELS)


def test_code_points_of_an_hdr_avif_are_kept_in_png(tmp_path: Path) -> None:
    out = BytesIO()
    PICTURE.save(out, "AVIF")
    data = out.getvalue()
    assert "colour" not in read(tmp_path / "in.avif", data).info
    place = data.index(b"nclx") + 4
    hdr = data[:place] + struct.pack(">HH", 9, 16) + data[place + 4 :]
    writing.write_document(read(tmp_path / "in.avif", hdr), tmp_path / "out.png")
    assert chunks_of(tmp_path / "out.png") == {"cICP": bytes((9, 16, 0, 1))}


def test_grey_avif_stays_grey(tmp_path: Path) -> None:
    writing.write_document(Document((Raster(PICTURE.convert("L")),)), tmp_path / "a.avif")
    assert reading.read_document(tmp_path / "a.avif").frames[0].channels == 1


@pytest.mark.parametrize("orientation", [1, 6])
def test_the_size_by_the_header_is_the_size(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for suffix in ("tif", "jpg", "png", "webp", "avif"):
        path = tmp_path / f"in.{suffix}"
        PICTURE.save(path, exif=exif)
        assert reading.size_of(path) == reading.read_document(path).size == ((16, 12) if orientation == 1 else (12, 16))


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


# --- what is no picture for us ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC is not a format that Pillow reads: make it a PNG"),
        (b"#?RADIANCE\n", "Radiance HDR is not a format"),
        (b"\xff\x0a\xfa\x1f", "JPEG XL is not a format"),
        (b"\xff\xd8\xff\xc3\0\0", "a damaged JPEG file, or a kind of JPEG that Pillow does not read"),
        (b"8BPS\0\1", "a damaged PSD file"),
        (b"hello", "not a picture in a format that Pillow knows"),
        (b"", "the file is empty"),
    ],
)
def test_what_cannot_be_read_is_called_by_its_name(tmp_path: Path, start: bytes, words: str) -> None:
    with pytest.raises(EspcnError, match=rf"odd\.bin: {words}"):
        read(tmp_path / "odd.bin", start)


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
