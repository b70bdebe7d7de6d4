"""What stands beside the pixels of each format: kept, brought up to date, or left out by name; nothing in silence."""

from __future__ import annotations

import struct
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making import natural
from making_animations import through
from making_metadata import (
    GEO_TAGS,
    IPTC,
    XMP_NAME,
    camera_exif,
    jpeg,
    photoshop,
    resource,
    save_tiff,
    segments_of,
    tags_of,
    with_segment,
    xmp,
)
from making_png import PICTURE, chunk, rgb_png
from PIL import ExifTags, Image, IptcImagePlugin

from espcn_cli.pictures import inventory, reading, writing
from espcn_cli.pictures.raster import Raster
from espcn_cli.upscaling.sizes import parse
from espcn_cli.upscaling.upscaler import Upscaler


def save(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


# --- IPTC and Photoshop's resources ----------------------------------------------------------------------------------

CAPTION = {(2, 120): b"A caption", (2, 25): b"garden", (2, 80): b"A. Photographer"}


@pytest.mark.parametrize("first", ["jpg", "tif", "png"])
@pytest.mark.parametrize("second", ["jpg", "tif", "png"])
def test_iptc_goes_from_a_jpeg_by_any_format_to_any(tmp_path: Path, bicubic: Upscaler, first: str, second: str) -> None:
    source = save(tmp_path / "in.jpg", with_segment(jpeg(), 0xED, photoshop(resource(1028, IPTC))))
    assert through(bicubic, source, tmp_path / f"a.{first}") == ()
    assert through(bicubic, tmp_path / f"a.{first}", tmp_path / f"b.{second}") == ()
    assert reading.read_document(tmp_path / f"b.{second}").info["iptc"] == IPTC
    if second != "png":
        with Image.open(tmp_path / f"b.{second}") as image:
            assert IptcImagePlugin.getiptcinfo(image) == CAPTION


@pytest.mark.parametrize("suffix", ["webp", "avif", "gif", "bmp", "jp2"])
def test_where_iptc_has_no_place_it_is_named(tmp_path: Path, bicubic: Upscaler, suffix: str) -> None:
    source = save(tmp_path / "in.jpg", with_segment(jpeg(), 0xED, photoshop(resource(1028, IPTC))))
    [note] = [note for note in through(bicubic, source, tmp_path / f"a.{suffix}") if "IPTC" in note]
    assert note.endswith("has no place for IPTC")


def test_iptc_of_a_tiff_in_whole_numbers_and_beside_16_bits(tmp_path: Path, bicubic: Upscaler) -> None:
    tifffile = pytest.importorskip("tifffile")
    padded = IPTC + bytes(-len(IPTC) % 4)
    numbers = struct.unpack(f"<{len(padded) // 4}I", padded)
    tifffile.imwrite(
        tmp_path / "in.tif",
        natural(24, 18).astype(np.uint16) * 257,
        photometric="rgb",
        metadata=None,
        extratags=[(33723, 4, len(numbers), numbers, True)],
    )
    assert through(bicubic, tmp_path / "in.tif", tmp_path / "out.tif") == ()
    assert tags_of(tmp_path / "out.tif")[33723] == padded


def test_photoshop_s_paths_and_copyright_are_kept_and_what_is_in_pixels_is_named(
    tmp_path: Path, bicubic: Upscaler
) -> None:
    path, flag = resource(2000, bytes(26), b"Outline"), resource(1034, b"\1")
    settings = resource(1037, bytes(4)) + resource(1005, struct.pack(">IHHIHH", 300 << 16, 1, 1, 300 << 16, 1, 1))
    guides = resource(1032, struct.pack(">4I", 1, 576, 576, 1) + bytes(5))
    source = save(tmp_path / "in.jpg", with_segment(jpeg(), 0xED, photoshop(path, flag, settings, guides)))
    assert through(bicubic, source, tmp_path / "out.jpg") == ("left out: guides",)
    assert photoshop(path, flag) in segments_of(tmp_path / "out.jpg")
    assert through(bicubic, source, tmp_path / "out.tif") == ("left out: guides",)
    assert tags_of(tmp_path / "out.tif")[34377] == path + flag
    assert "PNG has no place for Photoshop's resources" in through(bicubic, source, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_a_turned_picture_loses_its_paths_by_name(tmp_path: Path, bicubic: Upscaler) -> None:
    data = with_segment(jpeg(exif=camera_exif(orientation=6)), 0xED, photoshop(resource(2000, bytes(26))))
    assert through(bicubic, save(tmp_path / "in.jpg", data), tmp_path / "out.jpg") == ("left out: paths",)


# --- JPEG ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("marker", "content", "word"),
    [
        (0xE0, b"JFXX\0\x10", "the thumbnail"),
        (0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(40), "the extension of XMP"),
        (0xE1, b"FLIR\0" + bytes(8), "thermal data"),
        (0xE2, b"urn:iso:std:iso:ts:21496:-1\0" + bytes(8), "the gain map"),
        (0xEB, b"JP\0\1\0\0\0\1" + bytes(8), "content credentials"),
        (0xE5, b"who knows", "APP5"),
        (0xEC, b"Ducky\0", None),
        (0xEE, b"Adobe\0\x64\0\0\0\0\1", None),
    ],
)
def test_segments_of_a_jpeg(tmp_path: Path, bicubic: Upscaler, marker: int, content: bytes, word: str | None) -> None:
    source = save(tmp_path / "in.jpg", with_segment(jpeg(), marker, content))
    assert through(bicubic, source, tmp_path / "out.jpg") == ((f"left out: {word}",) if word else ())


@pytest.mark.parametrize(
    ("tail", "word"),
    [
        (b"\0\0\0\x18ftypmp42" + bytes(99), "the motion photo's video"),
        (b"SEFHe\0\0\0", "data behind the picture"),
        (bytes(512), None),
    ],
)
def test_what_stands_behind_a_jpeg(tmp_path: Path, bicubic: Upscaler, tail: bytes, word: str | None) -> None:
    assert through(bicubic, save(tmp_path / "in.jpg", jpeg() + tail), tmp_path / "out.jpg") == (
        (f"left out: {word}",) if word else ()
    )


def ultra_hdr() -> bytes:
    """A picture and a gain map as Android writes them: XMP on both, and an index of pictures."""
    out = BytesIO()
    pictures = [Image.fromarray(natural(24, 18)), Image.fromarray(natural(12, 9))]
    pictures[0].save(out, "MPO", save_all=True, append_images=pictures[1:])
    return with_segment(out.getvalue(), 0xE1, XMP_NAME + xmp('dc:title="x" hdrgm:Version="1.0"'))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif", "tif"])
def test_a_gain_map_is_named_and_no_longer_claimed(tmp_path: Path, bicubic: Upscaler, suffix: str) -> None:
    source = save(tmp_path / "in.jpg", ultra_hdr())
    assert through(bicubic, source, tmp_path / f"out.{suffix}") == ("left out: the gain map",)
    left = reading.read_document(tmp_path / f"out.{suffix}").info["xmp"]
    assert b"hdrgm" not in left and b'dc:title="x"' in left
    assert b"MPF\0" not in (tmp_path / f"out.{suffix}").read_bytes()


def test_all_that_is_left_out_is_one_line(tmp_path: Path, bicubic: Upscaler) -> None:
    data = with_segment(with_segment(ultra_hdr(), 0xE5, b"a"), 0xE5, b"b")
    notes = through(bicubic, save(tmp_path / "in.jpg", data), tmp_path / "out.jpg")
    assert notes == ("left out: APP5, the gain map",)


def test_several_comments_are_kept(tmp_path: Path, bicubic: Upscaler) -> None:
    source = save(tmp_path / "in.jpg", with_segment(with_segment(jpeg(), 0xFE, b"two"), 0xFE, b"one"))
    through(bicubic, source, tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.info["comment"] == b"one\ntwo"


# --- XMP and EXIF through every format -------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif", "tif"])
def test_a_panorama_is_brought_up_to_date(tmp_path: Path, bicubic: Upscaler, suffix: str) -> None:
    size = 'GPano:FullPanoWidthPixels="{}" GPano:CroppedAreaLeftPixels="{}" tiff:ImageWidth="{}"'
    source = save(tmp_path / "in.jpg", jpeg(xmp=xmp(size.format(96, 12, 24))))
    assert through(bicubic, source, tmp_path / f"out.{suffix}") == ()
    assert reading.read_document(tmp_path / f"out.{suffix}").info["xmp"] == xmp(size.format(192, 24, 48))


def test_an_exact_size_counts_too(tmp_path: Path, bicubic: Upscaler) -> None:
    source = save(tmp_path / "in.jpg", jpeg(xmp=xmp('GPano:FullPanoWidthPixels="96"'), exif=camera_exif()))
    document = bicubic.document(reading.read_document(source), parse("36x45"))
    assert document.info["xmp"] == xmp('GPano:FullPanoWidthPixels="144"')
    writing.write_document(document, tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as image:
        own = image.getexif().get_ifd(ExifTags.IFD.Exif)
        assert (own[0xA002], own[0xA003]) == (36, 45)
        assert [float(own[tag]) for tag in (0xA20E, 0xA20F)] == pytest.approx([8592.2655, 14521.0075])


def test_the_library_s_pictures_are_up_to_date_too(bicubic: Upscaler) -> None:
    with Image.open(BytesIO(jpeg(xmp=xmp('tiff:ImageWidth="24"'), exif=camera_exif()))) as image:
        large = bicubic(image)
    assert large.info["xmp"] == xmp('tiff:ImageWidth="48"')
    found = Image.Exif()
    found.load(large.info["exif"])
    assert found.get_ifd(ExifTags.IFD.Exif)[0xA002] == 48


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif", "tif"])
def test_text_beyond_ascii_and_the_sensor_s_resolution_survive(tmp_path: Path, bicubic: Upscaler, suffix: str) -> None:
    source = save(tmp_path / "in.jpg", jpeg(exif=camera_exif()))
    notes = through(bicubic, source, tmp_path / f"out.{suffix}")
    assert notes == (("TIFF has no place for the thumbnail",) if suffix == "tif" else ())
    through(bicubic, tmp_path / f"out.{suffix}", tmp_path / "again.png")
    for path, factor in ((tmp_path / f"out.{suffix}", 2), (tmp_path / "again.png", 4)):
        with Image.open(path) as image:
            image.load()
            exif = image.getexif()
            own = exif.get_ifd(ExifTags.IFD.Exif)
            assert exif[0x013B].encode("latin-1") == "Zoë".encode()
            assert float(own[0xA20E]) == pytest.approx(5728.177 * factor)
            assert own[0x9214] == (10 * factor, 5 * factor, 4 * factor, 2 * factor)
            assert exif.get_ifd(ExifTags.IFD.GPSInfo)[2] == (48.0, 12.0, 0.0)


# --- TIFF ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deep", [False, True])
def test_geographic_tags_are_kept_and_up_to_date(tmp_path: Path, bicubic: Upscaler, deep: bool) -> None:
    source = save_tiff(tmp_path / "in.tif", GEO_TAGS | {34737: (2, b"UTM|"), 42113: (2, b"0"), 65000: (2, b"mine")})
    if deep:
        tifffile = pytest.importorskip("tifffile")
        extra = [(tag, kind, len(value), value, True) for tag, (kind, value) in GEO_TAGS.items()]
        extra += [(34737, 2, 0, "UTM|", True), (42113, 2, 0, "0", True), (65000, 2, 0, "mine", True)]
        pixels = natural(24, 18).astype(np.uint16) * 257
        tifffile.imwrite(source, pixels, photometric="rgb", metadata=None, extratags=extra)
    assert through(bicubic, source, tmp_path / "out.tif") == ()
    tags = tags_of(tmp_path / "out.tif")
    assert (tags[33550], tags[33922]) == ((5.0, 5.0, 0.0), (0.0, 0.0, 0.0, 600000.0, 5400000.0, 0.0))
    assert (tags[34735], tags[34737], tags[42113], tags[65000]) == (GEO_TAGS[34735][1], "UTM|", "0", "mine")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif"])
def test_where_geographic_tags_have_no_place_they_are_named(tmp_path: Path, bicubic: Upscaler, suffix: str) -> None:
    source = save_tiff(tmp_path / "in.tif", GEO_TAGS)
    kind = {"jpg": "JPEG"}.get(suffix, suffix.upper())
    assert f"{kind} has no place for geographic tags" in through(bicubic, source, tmp_path / f"out.{suffix}")


def test_a_turned_map_stays_on_its_place(tmp_path: Path, bicubic: Upscaler) -> None:
    source = save_tiff(tmp_path / "in.tif", GEO_TAGS | {274: (3, 6)})
    assert through(bicubic, source, tmp_path / "out.tif") == ()
    matrix = np.array(tags_of(tmp_path / "out.tif")[34264]).reshape(4, 4)
    assert np.allclose((matrix @ (36, 0, 0, 1))[:2], (600000, 5400000))  # the old first corner is at the right now
    assert np.allclose((matrix @ (0, 48, 0, 1))[:2], (600240, 5399820))


def test_other_tags_of_a_tiff_are_named(tmp_path: Path, bicubic: Upscaler) -> None:
    tags: dict[int, tuple[int, Any]] = {
        65001: (3, (1, 2)),
        65002: (12, 0.5),
        37724: (7, b"layers"),
        270: (2, "ImageJ=1.53\n"),
    }
    source = save_tiff(tmp_path / "in.tif", tags)
    [note] = through(bicubic, source, tmp_path / "out.tif")
    assert note == f"left out: Photoshop's layers, TIFF tags 65001, 65002, {inventory.ARRAY}"
    assert not tags_of(tmp_path / "out.tif").keys() & tags.keys()


def test_what_stands_beside_later_pages_is_named(tmp_path: Path, bicubic: Upscaler) -> None:
    pages = [Image.fromarray(natural(12, 9, seed)) for seed in (0, 1)]
    pages[1].encoderinfo = {"tiffinfo": {315: "Someone else"}}
    pages[0].save(tmp_path / "in.tif", save_all=True, append_images=pages[1:], tiffinfo={315: "Zoe"})
    notes = through(bicubic, tmp_path / "in.tif", tmp_path / "out.tif")
    assert notes == ("only the first page's own is kept: EXIF",)


def test_exif_of_pages_points_to_directories_that_are_there(tmp_path: Path, bicubic: Upscaler) -> None:
    pages = [Image.fromarray(natural(12, 9, seed)) for seed in (0, 1)]
    pages[0].save(tmp_path / "in.tif", save_all=True, append_images=pages[1:])
    document = reading.read_document(tmp_path / "in.tif")
    document.info["exif"] = camera_exif(thumbnail=b"")
    writing.write_document(document, tmp_path / "out.tif")
    with Image.open(tmp_path / "out.tif") as image:
        assert image.getexif().get_ifd(ExifTags.IFD.Exif)[0xA214] == (10, 5)
        image.seek(1)
        assert ExifTags.IFD.Exif not in image.getexif()


# --- PNG, WebP, GIF, and the rest ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "word"),
    [
        (b"caBX", "content credentials"),
        (b"oFFs", "the offset"),
        (b"sCAL", "the physical size of pixels"),
        (b"vpAg", "vpAg"),
        (b"bKGD", None),
        (b"tIME", None),
    ],
)
def test_chunks_of_a_png(tmp_path: Path, bicubic: Upscaler, name: bytes, word: str | None) -> None:
    source = save(tmp_path / "in.png", rgb_png(chunk(name, bytes(7))))
    assert through(bicubic, source, tmp_path / "out.png") == ((f"left out: {word}",) if word else ())


def test_words_that_pillow_mistakes_are_a_png_s_text(tmp_path: Path, bicubic: Upscaler) -> None:
    """Pillow files text under its keyword, beside what it has read itself."""
    words = {b"comment": b"a", b"xmp": b"b", b"icc_profile": b"c", b"dpi": b"d", b"aspect": b"e"}
    chunks = [chunk(b"tEXt", key + b"\0" + value) for key, value in words.items()]
    source = save(tmp_path / "in.png", rgb_png(*chunks))
    assert through(bicubic, source, tmp_path / "out.png") == ()
    info = reading.read_document(tmp_path / "out.png").info
    assert info == {"text": {key.decode(): value.decode() for key, value in words.items()}}


def test_a_webp_s_and_a_gif_s_own_blocks_are_named(tmp_path: Path, bicubic: Upscaler) -> None:
    out = BytesIO()
    PICTURE.save(out, "WEBP", exif=camera_exif(), lossless=True)
    data = out.getvalue() + b"C2PA\4\0\0\0abcd" + b"ours\1\0\0\0x\0"
    source = save(tmp_path / "in.webp", data[:4] + struct.pack("<I", len(data) - 8) + data[8:])
    assert through(bicubic, source, tmp_path / "out.png") == ("left out: content credentials, ours",)
    out = BytesIO()
    PICTURE.convert("L").save(out, "GIF", comment=b"first")
    data = out.getvalue()
    block = b"!\xff\x0bHOUSEKEEPER\3abc\0" + b"!\xfe\6second\0"
    source = save(tmp_path / "in.gif", data[:-1] + block + b";")
    notes = through(bicubic, source, tmp_path / "out.gif")
    assert notes == ("left out: HOUSEKEEPER",)
    with Image.open(tmp_path / "out.gif") as image:
        assert image.info["comment"] == b"first\nsecond"


def test_xmp_of_a_gif_is_kept_where_it_has_a_place(tmp_path: Path, bicubic: Upscaler) -> None:
    """XMP specification, part 3: the packet as it is, and behind it 1 and all bytes from 255 down to 0."""
    out = BytesIO()
    PICTURE.convert("L").save(out, "GIF")
    block = b"!\xff\x0bXMP DataXMP" + xmp('tiff:ImageWidth="16"') + b"\1" + bytes(range(255, -1, -1)) + b"\0"
    source = save(tmp_path / "in.gif", out.getvalue()[:-1] + block + b";")
    assert through(bicubic, source, tmp_path / "out.png") == ()
    assert reading.read_document(tmp_path / "out.png").info["xmp"] == xmp('tiff:ImageWidth="32"')
    assert "GIF has no place for XMP" in through(bicubic, source, tmp_path / "out.gif")


def test_a_gain_map_of_an_avif_is_named(tmp_path: Path, bicubic: Upscaler) -> None:
    out = BytesIO()
    PICTURE.save(out, "AVIF")
    data = out.getvalue()
    assert through(bicubic, save(tmp_path / "in.avif", data), tmp_path / "out.png") == ()
    credentials = struct.pack(">I", 32) + b"uuid" + bytes.fromhex("d8fec3d61b0e483c92975828877ec481") + bytes(8)
    source = save(tmp_path / "in.avif", data + credentials)
    assert through(bicubic, source, tmp_path / "out.png") == ("left out: content credentials",)
    gain_map = struct.pack(">I", 20) + b"iinf" + b"tmap".ljust(12, b"\0")
    source = save(tmp_path / "in.avif", data + gain_map)
    assert through(bicubic, source, tmp_path / "out.png") == ("left out: the gain map",)


def test_iptc_and_others_boxes_of_a_jpeg_2000(tmp_path: Path, bicubic: Upscaler) -> None:
    out = BytesIO()
    PICTURE.save(out, "JPEG2000")
    users = {"33c7a4d2b81d4723a0baf1a3e097ad38": IPTC, "b14bf8bd083d4b43a5ae8cd7d5a6ce03": b"II*\0", "0" * 32: b"x"}
    boxes = b"".join(
        struct.pack(">I", 24 + len(data)) + b"uuid" + bytes.fromhex(user) + data for user, data in users.items()
    )
    source = save(tmp_path / "in.jp2", out.getvalue() + boxes)
    assert through(bicubic, source, tmp_path / "out.jpg") == ("left out: geographic tags, a program's own data",)
    assert reading.read_document(tmp_path / "out.jpg").info["iptc"] == IPTC


@pytest.mark.parametrize("kind", ["P5", "P2"])
def test_a_netpbm_s_and_a_targa_s_comments(tmp_path: Path, bicubic: Upscaler, kind: str) -> None:
    pixels = b"#\n# #" if kind == "P5" else b"1 2\n3 4 5"
    source = save(tmp_path / "in.pgm", f"{kind} # made\n# by hand\n5 1\n255\n".encode() + pixels)
    assert through(bicubic, source, tmp_path / "out.pgm") == ("PGM has no place for the comment",)
    assert through(bicubic, source, tmp_path / "out.tga") == ()
    assert through(bicubic, tmp_path / "out.tga", tmp_path / "out.png") == ()
    assert reading.read_document(tmp_path / "out.png").info["text"] == {"Comment": "made\nby hand"}


def test_an_author_s_words_in_a_targa_are_named(tmp_path: Path, bicubic: Upscaler) -> None:
    out = BytesIO()
    PICTURE.save(out, "TGA")
    pixels = out.getvalue()[: -26 if out.getvalue().endswith(b"TRUEVISION-XFILE.\0") else None]
    area = struct.pack("<H", 495) + b"Zoe".ljust(493, b"\0")
    source = save(tmp_path / "in.tga", pixels + area + struct.pack("<2I", len(pixels), 0) + b"TRUEVISION-XFILE.\0")
    assert through(bicubic, source, tmp_path / "out.tga") == ("left out: the author's words",)


def test_a_psd_s_resources_are_read(tmp_path: Path, bicubic: Upscaler) -> None:
    resolution = struct.pack(">IHHIHH", 200 << 16, 1, 1, 200 << 16, 1, 1)
    resources = resource(1028, IPTC) + resource(1060, xmp('tiff:ImageWidth="4"')) + resource(1005, resolution)
    header = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 2, 4, 8, 3)
    parts = struct.pack(">I", 0) + struct.pack(">I", len(resources)) + resources + struct.pack(">I", 0)
    source = save(tmp_path / "in.psd", header + parts + b"\0\0" + bytes(range(24)))
    assert through(bicubic, source, tmp_path / "out.jpg") == ()
    info = reading.read_document(tmp_path / "out.jpg").info
    assert (info["iptc"], info["xmp"], info["dpi"]) == (IPTC, xmp('tiff:ImageWidth="8"'), (200, 200))


def test_a_comment_beside_16_bits_is_lost_by_name(tmp_path: Path, bicubic: Upscaler) -> None:
    pytest.importorskip("imagecodecs")
    document = reading.read_document(save(tmp_path / "in.jpg", with_segment(jpeg(), 0xFE, b"words")))
    deep = Raster(natural(8, 8).astype(np.uint16) * 257)
    assert writing.write_document(replace(document, frames=(deep,)), tmp_path / "a.jp2").warnings == (
        "JPEG2000 has no place for the comment",
    )
