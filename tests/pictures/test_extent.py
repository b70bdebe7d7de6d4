"""What a file will hold, by its headers: what reading it whole makes of it, at most."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from making import mutations, natural, save_picture
from PIL import Image

from espcn_cli.errors import EspcnError
from espcn_cli.pictures import extent, reading
from espcn_cli.pictures.raster import Raster

PICTURE = Image.fromarray(natural(16, 12))


def held(raster: Raster) -> int:
    """Bytes per pixel: an array's are its own, Pillow's are 1 or 2 for one band and 4 for more."""
    if not isinstance(raster.data, Image.Image):
        return int(raster.array()[0, 0].nbytes)
    return {"L": 1, "I;16": 2}.get(raster.data.mode, 4)


def check(path: Path, depth: int | None = None) -> extent.Extent:
    """The extent of a file, the same as that of what is read from it."""
    found, frames = extent.extent_of(path, depth), reading.read_document(path, depth).frames
    assert found.frames == tuple(frame.size for frame in frames)
    assert found.bytes_per_pixel == max(held(frame) for frame in frames)
    return found


@pytest.mark.parametrize("orientation", [1, 6])
def test_the_size_by_the_header_is_the_size(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for suffix in ("tif", "jpg", "png", "webp", "avif"):
        PICTURE.save(tmp_path / f"in.{suffix}", exif=exif)
        assert check(tmp_path / f"in.{suffix}").size == ((16, 12) if orientation == 1 else (12, 16))


@pytest.mark.parametrize("late", [False, True])
def test_a_png_s_pixels_are_not_decoded_for_it(tmp_path: Path, late: bool) -> None:
    """Pillow's own `getexif` decodes the whole picture, and so did every batch to find its large ones."""
    exif = Image.Exif()
    exif[0x0112] = 6
    out = BytesIO()
    PICTURE.save(out, "PNG", exif=exif)
    data = out.getvalue()
    if late:
        start = data.index(b"eXIf") - 4
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        data = data[:start] + data[end:-12] + data[start:end] + data[-12:]
    (tmp_path / "in.png").write_bytes(data)
    assert check(tmp_path / "in.png").size == (12, 16)
    pixels = data.index(b"IDAT")
    (tmp_path / "in.png").write_bytes(data[: pixels + 4] + bytes(8) + data[pixels + 12 :])
    assert extent.extent_of(tmp_path / "in.png").size == (12, 16)
    with pytest.raises(EspcnError, match="cannot be decoded"):
        reading.read_document(tmp_path / "in.png")


@pytest.mark.parametrize(
    ("mode", "per_pixel"), [("1", 1), ("L", 1), ("LA", 4), ("P", 4), ("RGB", 4), ("RGBA", 4), ("I;16", 2)]
)
def test_bytes_of_a_pixel(tmp_path: Path, mode: str, per_pixel: int) -> None:
    image = Image.fromarray(natural(16, 12)[..., 0].astype(np.uint16) * 257) if mode == "I;16" else PICTURE
    image.convert(mode).save(tmp_path / "in.png")
    assert check(tmp_path / "in.png").bytes_per_pixel == per_pixel
    assert check(tmp_path / "in.png", depth=8).bytes_per_pixel == (1 if mode == "I;16" else per_pixel)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_a_transparent_value_takes_more(tmp_path: Path, mode: str) -> None:
    PICTURE.convert(mode).save(tmp_path / "in.png", transparency=7)
    assert check(tmp_path / "in.png").bytes_per_pixel == 4


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_every_frame_of_an_animation_counts(tmp_path: Path, suffix: str) -> None:
    others = [Image.fromarray(natural(16, 12, seed)) for seed in (1, 2)]
    PICTURE.save(tmp_path / f"in.{suffix}", save_all=True, append_images=others, duration=100)
    assert check(tmp_path / f"in.{suffix}").pixels == 3 * 16 * 12


def test_an_animation_that_turns_to_colour(tmp_path: Path) -> None:
    grey = Image.new("L", (16, 12), 90)
    grey.save(tmp_path / "in.gif", save_all=True, append_images=[PICTURE], duration=100)
    assert check(tmp_path / "in.gif").bytes_per_pixel == 4


def test_every_page_counts_with_its_own_size_but_for_reduced_copies(tmp_path: Path) -> None:
    reduced = PICTURE.resize((8, 6))
    reduced.encoderinfo = {"tiffinfo": {254: 1}}
    PICTURE.save(tmp_path / "in.tif", save_all=True, append_images=[reduced, Image.new("RGB", (40, 30))])
    assert check(tmp_path / "in.tif").frames == ((16, 12), (40, 30))


def test_only_one_picture_of_an_icon_counts(tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "in.ico", sizes=[(16, 16), (8, 8)])
    assert len(check(tmp_path / "in.ico").frames) == 1


def test_samples_of_16_bits(tmp_path: Path) -> None:
    imagecodecs, tifffile = pytest.importorskip("imagecodecs"), pytest.importorskip("tifffile")
    rgba = np.dstack([natural(16, 12), natural(16, 12)[..., 0]]).astype(np.uint16) * 257
    for channels, per_pixel in ((3, 6), (4, 8)):
        values = np.ascontiguousarray(rgba[..., :channels])
        (tmp_path / "in.png").write_bytes(imagecodecs.png_encode(values))
        extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
        tifffile.imwrite(tmp_path / "in.tif", values, photometric="rgb", **extra)
        for name in ("in.png", "in.tif"):
            assert check(tmp_path / name).bytes_per_pixel == per_pixel
            assert check(tmp_path / name, depth=8).bytes_per_pixel == 4


def test_a_tiff_that_pillow_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run called it an error where the run itself read it."""
    tifffile = pytest.importorskip("tifffile")
    with tifffile.TiffWriter(tmp_path / "in.tif") as writer:
        for side in (16, 24):
            values = natural(side, 12)[..., :2].astype(np.uint16)
            writer.write(values, photometric="minisblack", extrasamples=["unassalpha"], planarconfig="contig")
    assert check(tmp_path / "in.tif").frames == ((16, 12), (24, 12))
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(EspcnError, match=r"in\.tif: .*'espcn\[deep\]' reads more kinds"):
        extent.extent_of(tmp_path / "in.tif")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "in.png").write_text("no picture")
    with pytest.raises(EspcnError, match=r"in\.png: not a picture"):
        extent.extent_of(tmp_path / "in.png")
    with pytest.raises(EspcnError, match="no such file"):
        extent.extent_of(tmp_path / "gone.png")


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "GIF"])
def test_a_damaged_file_is_named_if_anything_is_said(tmp_path: Path, kind: str) -> None:
    out = BytesIO()
    PICTURE.save(out, kind)
    for changed in mutations(out.getvalue(), seed=1, rounds=150):
        (tmp_path / "damaged").write_bytes(changed)
        try:
            extent.extent_of(tmp_path / "damaged")
        except EspcnError as error:
            assert str(error).startswith(str(tmp_path / "damaged")), error


def test_too_many_pixels_in_all_frames_are_refused_as_when_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_picture(tmp_path / "one.png", 16, 12)
    others = [Image.fromarray(natural(16, 12, seed)) for seed in (1, 2)]
    PICTURE.save(tmp_path / "in.gif", save_all=True, append_images=others, duration=100)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    assert extent.extent_of(tmp_path / "one.png").pixels == 192
    with pytest.raises(EspcnError, match=r"in\.gif: 576 pixels are more than 300: allow them with --max-pixels 576"):
        extent.extent_of(tmp_path / "in.gif")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a device")
def test_a_device_is_no_picture() -> None:
    for read in (extent.extent_of, reading.read_document):
        with pytest.raises(EspcnError, match="/dev/zero: a device, not a picture"):
            read(Path("/dev/zero"))
