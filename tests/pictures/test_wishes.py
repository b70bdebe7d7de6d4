"""What is kept and set at the user's wish: nothing but colours, a resolution, a modification time."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from making import natural
from making_metadata import GEO_TAGS, IPTC, camera_exif, jpeg, photoshop, resource, save_tiff, with_segment, xmp
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from espcn_cli.files import modified, replacing
from espcn_cli.pictures import exif, reading, writing
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.raster import from_array
from espcn_cli.pictures.wishes import Wishes

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RESOLUTION_TEXT = 'tiff:XResolution="72/1" tiff:YResolution="72/1" tiff:ResolutionUnit="3"'


def through(source: Path, output: Path, wishes: Wishes) -> tuple[Document, tuple[str, ...]]:
    """A picture read, wished for and written: what is in the file then, and the warnings."""
    document = wishes.applied(reading.read_document(source), writing.format_of(output))
    said = writing.write_document(document, output).warnings
    return reading.read_document(output), said


def everything(path: Path) -> Path:
    """A JPEG with all that one can have."""
    data = jpeg(exif=camera_exif(), icc_profile=PROFILE, comment=b"hello", dpi=(72, 72), xmp=xmp('dc:source="here"'))
    path.write_bytes(with_segment(data, 0xED, photoshop(resource(1028, IPTC))))
    return path


# --- nothing but colours ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "avif"])
def test_of_all_that_a_photo_holds_only_its_profile_is_left(tmp_path: Path, suffix: str) -> None:
    source = everything(tmp_path / "in.jpg")
    assert len(reading.read_document(source).info) >= 6
    after, said = through(source, tmp_path / f"out.{suffix}", Wishes(strip=True))
    assert said == ()
    assert after.info == {"icc_profile": PROFILE}
    data = (tmp_path / f"out.{suffix}").read_bytes()
    assert not [word for word in (b"Maker", b"hello", b"here", b"caption", b"Exif\0\0") if word in data]


def test_texts_of_pngs_and_tags_of_tiffs_too(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "a cat, detailed")
    Image.fromarray(natural(24, 18)).save(tmp_path / "in.png", pnginfo=text, dpi=(300, 300))
    save_tiff(tmp_path / "in.tif", GEO_TAGS | {270: (2, "a place")})
    for name in ("in.png", "in.tif"):
        assert reading.read_document(tmp_path / name).info
        after, said = through(tmp_path / name, tmp_path / f"out_{name}", Wishes(strip=True))
        assert (after.info, said) == ({}, ())


def test_a_gamma_without_a_profile_stays(tmp_path: Path) -> None:
    """Without it the levels would mean other colours."""
    document = Document((from_array(natural(24, 18)),), {"colour": {"gAMA": (100_000).to_bytes(4)}, "comment": b"x"})
    assert set(Wishes(strip=True).applied(document, "PNG").info) == {"colour"}


# --- dots per inch ---------------------------------------------------------------------------------------------------


def dots(document: Document) -> list[int]:
    return [round(value) for value in document.info["dpi"]]


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "bmp", "pcx", "webp", "avif"])
@pytest.mark.parametrize("source", ["camera", "plain"])
def test_a_resolution_is_set_wherever_a_format_has_a_place(tmp_path: Path, suffix: str, source: str) -> None:
    if source == "camera":
        everything(tmp_path / "in.jpg")
    else:
        (tmp_path / "in.jpg").write_bytes(jpeg())
    after, said = through(tmp_path / "in.jpg", tmp_path / f"out.{suffix}", Wishes(dpi=240))
    assert dots(after) == [240, 240]
    assert not [line for line in said if "dpi" in line]
    if "exif" in after.info and suffix != "tif":
        assert exif.resolution(after.info["exif"]) == (240, 240)


@pytest.mark.parametrize("suffix", ["gif", "jp2", "ppm", "tga"])
def test_where_there_is_no_place_that_is_reported(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "in.jpg").write_bytes(jpeg())
    kind = writing.format_of(tmp_path / f"out.{suffix}")
    _, said = through(tmp_path / "in.jpg", tmp_path / f"out.{suffix}", Wishes(dpi=72))
    assert f"{kind} has no place for the resolution in dpi" in said


def test_it_goes_with_a_clean_file(tmp_path: Path) -> None:
    after, _ = through(everything(tmp_path / "in.jpg"), tmp_path / "out.jpg", Wishes(strip=True, dpi=600))
    assert set(after.info) == {"icc_profile", "dpi"} and dots(after) == [600, 600]


def test_xmp_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "in.jpg").write_bytes(jpeg(xmp=xmp(RESOLUTION_TEXT)))
    after, _ = through(tmp_path / "in.jpg", tmp_path / "out.jpg", Wishes(dpi=300))
    for words in (b'XResolution="300/1"', b'YResolution="300/1"', b'ResolutionUnit="2"'):
        assert words in after.info["xmp"]


@pytest.mark.parametrize("order", ["<", ">"])
def test_nothing_else_in_exif_changes_its_place(order: str) -> None:
    """The makers' notes count bytes from the start; the thumbnail is found as before."""
    before = camera_exif(order)
    after = exif.with_resolution(before, 1200)
    assert after[14 : len(before)] == before[14:]  # behind the header, which says where the first directory is
    assert exif.resolution(after) == (1200, 1200)
    assert exif.has_thumbnail(after)
    old, new = Image.Exif(), Image.Exif()
    old.load(before)
    new.load(after)
    resolution = (ExifTags.Base.XResolution, ExifTags.Base.YResolution, ExifTags.Base.ResolutionUnit)
    assert {tag: value for tag, value in new.items() if tag not in resolution} == {
        tag: value for tag, value in old.items() if tag not in resolution
    }
    assert new.get_ifd(ExifTags.IFD.Exif) == old.get_ifd(ExifTags.IFD.Exif)


def test_exif_that_says_nothing_of_it_gets_it() -> None:
    stored = Image.Exif()
    stored[ExifTags.Base.Artist] = "me"
    for data in (b"", stored.tobytes()):
        found = Image.Exif()
        found.load(exif.with_resolution(data, 96))
        assert [found[tag] for tag in (0x011A, 0x011B, 0x0128)] == [96, 96, 2]
        assert found.get(ExifTags.Base.Artist) == ("me" if data else None)


# --- times -----------------------------------------------------------------------------------------------------------


def test_a_file_is_as_old_as_wanted_from_its_first_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    whole = Path.replace

    def replace(self: Path, target: Any) -> Any:
        seen.append(self.stat().st_mtime_ns)
        return whole(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with replacing(tmp_path / "a", modified=10**18 + 7) as temporary:
        temporary.write_bytes(b"x")
    assert seen == [10**18 + 7] == [modified(tmp_path / "a")]


def test_what_is_no_file_has_no_time(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert [modified(path) for path in (Path("-"), tmp_path, tmp_path / "missing", tmp_path / "pipe")] == [None] * 4


def test_bytes_in_memory_need_no_file() -> None:
    document = Document((from_array(natural(24, 18)),), {"dpi": (300.0, 300.0)})
    out = BytesIO()
    writing.encode(Wishes(dpi=150).applied(document, "PNG"), "PNG", out, "out.png", writing.Encoding())
    out.seek(0)
    with Image.open(out) as image:
        assert [round(value) for value in image.info["dpi"]] == [150, 150]
