"""What goes in comes out, upscaled: frames, pages, timing, profiles, EXIF, XMP, text, transparency, depth, size."""

from __future__ import annotations

import itertools
import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from making import natural, save_picture
from PIL import ExifTags, Image, ImageCms, ImageDraw, PngImagePlugin

from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.network.espcn import ESPCN
from espcn_cli.pictures import animation, reading, writing
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.raster import Raster
from espcn_cli.pictures.writing import Encoding
from espcn_cli.settings import ModelSettings
from espcn_cli.upscaling import sizes
from espcn_cli.upscaling.upscaler import Upscaler

TINY = ModelSettings(widths=(4,), kernels=(3, 3))
DURATIONS = [40, 120, 80, 200]


@pytest.fixture(scope="module")
def bicubic() -> Upscaler:
    """An untrained network with the bicubic skip is bicubic upsampling."""
    return Upscaler(TorchEngine(ESPCN(TINY)))


def through(upscaler: Upscaler, source: Path, output: Path) -> tuple[str, ...]:
    """File to file; returns the warnings."""
    return writing.write_document(upscaler.document(reading.read_document(source)), output).warnings


def disc(index: int, background: tuple[int, ...] = (0, 0, 0, 0)) -> Image.Image:
    """A red disc that moves to the right."""
    image = Image.new("RGBA" if len(background) == 4 else "RGB", (32, 20), background)
    ImageDraw.Draw(image).ellipse((2 + 5 * index, 4, 12 + 5 * index, 14), fill=(220, 30 * index, 20, 255))
    return image


def save_animation(path: Path, background: tuple[int, ...] = (0, 0, 0, 0), **options: Any) -> Path:
    frames = [disc(index, background) for index in range(4)]
    lossless: dict[str, Any] = {"lossless": True} if path.suffix == ".webp" else {}
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=DURATIONS, **lossless, **{"loop": 0} | options
    )
    return path


def frames_of(path: Path) -> list[tuple[Image.Image, float]]:
    found = []
    with Image.open(path) as image:
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            image.load()
            found.append((image.convert("RGBA"), float(image.info.get("duration", 0))))
    return found


# --- animations and pages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["gif", "png", "webp"])
@pytest.mark.parametrize("source", ["gif", "png", "webp"])
@pytest.mark.parametrize("background", [(0, 0, 0, 0), (20, 90, 200)], ids=["clear", "opaque"])
def test_an_animation_keeps_every_frame_its_time_and_place(
    tmp_path: Path, bicubic: Upscaler, source: str, target: str, background: tuple[int, ...]
) -> None:
    path = save_animation(tmp_path / f"in.{source}", background, disposal=2 if source == "gif" else 0)
    through(bicubic, path, tmp_path / f"out.{target}")
    before, after = frames_of(path), frames_of(tmp_path / f"out.{target}")
    assert [time for _, time in after] == DURATIONS
    for (small, _), (large, _) in zip(before, after, strict=True):
        assert large.size == (64, 40)
        back = np.asarray(large.resize(small.size, Image.Resampling.BOX)).astype(int)
        there = np.asarray(small).astype(int)
        off = np.abs(back[..., 3] - there[..., 3]).mean() + np.abs(back - there)[there[..., 3] == 255].mean()
        assert off < 12, off


@pytest.mark.parametrize(("plays", "gif_loop"), [(0, 0), (1, None), (4, 3)])
def test_an_animation_runs_as_often_as_before(
    tmp_path: Path, bicubic: Upscaler, plays: int, gif_loop: int | None
) -> None:
    """A GIF counts the repeats after the first run and says nothing for one; APNG and WebP count runs."""
    path = save_animation(tmp_path / "in.png", loop=plays)
    for suffix, expected in ((".gif", gif_loop), (".webp", plays), (".png", plays)):
        through(bicubic, path, tmp_path / f"out{suffix}")
        with Image.open(tmp_path / f"out{suffix}") as image:
            assert image.info.get("loop") == expected
        through(bicubic, tmp_path / f"out{suffix}", tmp_path / f"again{suffix}.png")
        with Image.open(tmp_path / f"again{suffix}.png") as image:
            assert image.info.get("loop") == plays


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_equal_frames_in_a_row_stay_apart_in_png_or_are_said(tmp_path: Path, mode: str) -> None:
    """Pillow would merge them, libwebp does."""
    frames = [Raster(disc(index).convert(mode)) for index in (0, 0, 0, 1)]
    document = Document(tuple(frames), durations=tuple(map(float, DURATIONS)), plays=0)
    assert writing.write_document(document, tmp_path / "out.png").warnings == ()
    after = frames_of(tmp_path / "out.png")
    assert [time for _, time in after] == DURATIONS
    for (image, _), frame in zip(after, frames, strict=True):
        assert np.array_equal(np.asarray(image), np.asarray(frame.image().convert("RGBA")))
    for suffix, kind in (("gif", "GIF"), ("webp", "WEBP")):
        notes = writing.write_document(document, tmp_path / f"out.{suffix}").warnings
        assert f"2 frames equal to those before them: {kind} shows these longer instead" in notes
        assert [time for _, time in frames_of(tmp_path / f"out.{suffix}")] == [sum(DURATIONS[:3]), DURATIONS[3]]


def test_times_and_runs_that_a_format_cannot_hold_are_said(tmp_path: Path) -> None:
    frames = tuple(Raster(disc(index)) for index in range(4))
    document = Document(frames, durations=(5.0, 33.3, 33.3, 33.4), plays=3)
    said = writing.write_document(document, tmp_path / "out.gif").warnings
    assert "GIF counts in hundredths of a second: times were rounded" in said
    assert [time for _, time in frames_of(tmp_path / "out.gif")] == [10, 30, 30, 30]
    said = writing.write_document(document, tmp_path / "out.avif").warnings
    assert said == ("AVIF has no place for the number of runs: it runs for ever",)


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=50))
def test_hundredths_keep_the_pace(durations: list[float]) -> None:
    times = animation.in_hundredths(tuple(durations))
    assert all(time % 10 == 0 and (time > 0) == (wanted > 0) for time, wanted in zip(times, durations, strict=True))
    if all(wanted >= 10 for wanted in durations):
        assert abs(sum(times) - sum(durations)) <= 5


def test_frames_that_hang_over_the_screen_are_cut_off(tmp_path: Path) -> None:
    """Pillow lets the screen grow with them, and no format takes frames of several sizes."""
    image = Image.fromarray(natural(16, 12)).quantize(8)
    image.save(tmp_path / "in.gif", save_all=True, append_images=[image.rotate(90), image.rotate(180)], duration=80)
    data = bytearray((tmp_path / "in.gif").read_bytes())
    place = data.index(b"\x2c", data.index(b"\x2c\0\0\0\0\x10\0\x0c") + 9)
    while data[place + 5 : place + 9] != b"\x10\0\x0c\0":
        place = data.index(b"\x2c", place + 1)
    data[place + 1] = 5  # the second frame begins 5 pixels to the right
    (tmp_path / "in.gif").write_bytes(data)
    document = reading.read_document(tmp_path / "in.gif")
    assert {frame.size for frame in document.frames} == {(16, 12)}
    for suffix in ("gif", "png", "webp", "avif"):
        writing.write_document(document, tmp_path / f"out.{suffix}")
        assert len(frames_of(tmp_path / f"out.{suffix}")) == 3


def test_a_cover_picture_stays_one(tmp_path: Path, bicubic: Upscaler) -> None:
    cover = Image.new("RGBA", (32, 20), "blue")
    cover.save(
        tmp_path / "in.png",
        save_all=True,
        append_images=[disc(0), disc(1)],
        default_image=True,
        duration=[50, 60],
    )
    through(bicubic, tmp_path / "in.png", tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert image.info["default_image"] is True
    assert [time for _, time in frames_of(tmp_path / "out.png")][1:] == [50, 60]
    assert "cover" in through(bicubic, tmp_path / "in.png", tmp_path / "out.webp")[0]
    assert [time for _, time in frames_of(tmp_path / "out.webp")] == [50, 60]


def test_pages_of_a_tiff_keep_number_size_and_mode(tmp_path: Path, bicubic: Upscaler) -> None:
    pages = [Image.fromarray(natural(20, 14)), Image.fromarray(natural(9, 11)).convert("L"), disc(1)]
    pages[0].save(tmp_path / "in.tif", save_all=True, append_images=pages[1:])
    assert through(bicubic, tmp_path / "in.tif", tmp_path / "out.tif") == ()
    with Image.open(tmp_path / "out.tif") as image:
        found = []
        for index in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(index)
            found.append((image.mode, image.size))
    assert found == [("RGB", (40, 28)), ("L", (18, 22)), ("RGBA", (64, 40))]


def test_formats_without_frames_say_what_is_lost(tmp_path: Path, bicubic: Upscaler) -> None:
    path = save_animation(tmp_path / "in.webp", (1, 2, 3))
    assert through(bicubic, path, tmp_path / "a.jpg") == (
        "JPEG cannot hold frames like these: only the first of 4 is kept",
    )
    assert through(bicubic, path, tmp_path / "a.tif") == ("TIFF keeps frames as pages, without their timing",)
    with Image.open(tmp_path / "a.tif") as image:
        assert image.n_frames == 4  # type: ignore[attr-defined]
    pages = [Image.fromarray(natural(20, 14)), Image.fromarray(natural(9, 11))]
    pages[0].save(tmp_path / "in.tif", save_all=True, append_images=pages[1:])
    assert through(bicubic, tmp_path / "in.tif", tmp_path / "b.webp") == (
        "WEBP cannot hold pages like these: only the first of 2 is kept",
    )


# --- metadata --------------------------------------------------------------------------------------------------------

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


def test_broken_exif_costs_a_warning_not_the_picture(tmp_path: Path, bicubic: Upscaler) -> None:
    Image.fromarray(natural(8, 8)).save(tmp_path / "in.jpg", exif=b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x05\x01")
    through(bicubic, tmp_path / "in.jpg", tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.size == (16, 16)


# --- colour ----------------------------------------------------------------------------------------------------------


def profile(name: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()  # type: ignore[arg-type]


@pytest.mark.parametrize("target", ["png", "jpg", "webp", "tif", "avif"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_profile_is_carried_byte_by_byte(tmp_path: Path, bicubic: Upscaler, mode: str, target: str) -> None:
    icc = profile("sRGB")
    Image.fromarray(natural(8, 8)).convert(mode).save(tmp_path / "in.png", icc_profile=icc)
    through(bicubic, tmp_path / "in.png", tmp_path / f"out.{target}")
    with Image.open(tmp_path / f"out.{target}") as image:
        assert image.info["icc_profile"] == icc


def test_lab_comes_back_as_the_colours_it_was_made_from(tmp_path: Path, bicubic: Upscaler) -> None:
    rgb = Image.fromarray(natural(16, 16))
    lab = ImageCms.profileToProfile(
        rgb, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    lab.save(tmp_path / "in.tif")
    notes = through(bicubic, tmp_path / "in.tif", tmp_path / "out.png")
    assert notes == ("LAB was converted to sRGB",)
    with Image.open(tmp_path / "out.png") as image:
        assert np.abs(np.asarray(image).astype(int) - np.asarray(bicubic(rgb))).mean() < 3


def cmyk_profile() -> bytes:
    """A press whose inks are not those of the usual formula: its black is a dark red, its cyan a dull green.

    ICC.1, lut8Type: Lab for each of the 16 overprints, cyan varying slowest, linear between them.
    """
    cyan, magenta, yellow, key = (-30, -20, 10), (-30, 60, 0), (-5, 0, 70), (-80, 20, 10)
    grid = []
    for inks in itertools.product((0, 1), repeat=4):
        added = [
            sum(on * ink[axis] for on, ink in zip(inks, (cyan, magenta, yellow, key), strict=True)) for axis in range(3)
        ]
        grid += [round(max(100 + added[0], 0) * 2.55), added[1] + 128, added[2] + 128]
    identity = struct.pack(">9i", *(65536 if place % 4 == 0 else 0 for place in range(9)))
    ramp = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + identity + 4 * ramp + bytes(min(v, 255) for v in grid) + 3 * ramp
    text = b"desc\0\0\0\0" + struct.pack(">I", 6) + b"press\0" + bytes(78)
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    tags, data = [], b""
    for name, content in ((b"desc", text), (b"wtpt", white), (b"A2B0", table), (b"cprt", b"text\0\0\0\0none\0")):
        tags.append(name + struct.pack(">II", 132 + 4 * 12 + len(data), len(content)))
        data += content + bytes(-len(content) % 4)
    body = struct.pack(">I", len(tags)) + b"".join(tags) + data
    head = struct.pack(
        ">I4sI4s4s4s12s4s", 128 + len(body), b"test", 0x02400000, b"prtr", b"CMYK", b"Lab ", bytes(12), b"acsp"
    )
    return head.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061) + bytes(48) + body


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_cmyk_goes_through_its_profile(tmp_path: Path, bicubic: Upscaler, suffix: str) -> None:
    image = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    image.save(tmp_path / f"in.{suffix}", icc_profile=cmyk_profile())
    assert through(bicubic, tmp_path / f"in.{suffix}", tmp_path / "out.png") == ("CMYK was converted to sRGB",)
    with Image.open(tmp_path / "out.png") as result:
        assert result.mode == "RGB" and "icc_profile" not in result.info
        lab = np.asarray(result.getpixel((8, 8)))
    expected = np.array([139, 179, 154])  # Lab 70, -20, 10 in sRGB by the formulas of CIE and IEC 61966-2-1
    assert np.abs(lab - expected).max() <= 6
    assert np.abs(lab - np.array([0, 255, 255])).max() > 60  # what the usual formula makes of cyan


def test_a_profile_of_another_colour_space_is_not_taken_for_cmyk_s(tmp_path: Path, bicubic: Upscaler) -> None:
    Image.new("CMYK", (8, 8), (255, 0, 0, 0)).save(tmp_path / "in.tif", icc_profile=profile("sRGB"))
    [note] = through(bicubic, tmp_path / "in.tif", tmp_path / "out.png")
    assert "CMYK without a usable profile" in note


def test_cmyk_without_a_profile_is_said(tmp_path: Path, bicubic: Upscaler) -> None:
    save_picture(tmp_path / "in.jpg", mode="CMYK")
    [note] = through(bicubic, tmp_path / "in.jpg", tmp_path / "out.jpg")
    assert "CMYK without a usable profile" in note
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.mode == "RGB" and "icc_profile" not in image.info


# --- transparency, depth ---------------------------------------------------------------------------------------------


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


def test_strips_of_a_transparent_picture_are_the_whole(tmp_path: Path) -> None:
    """Colours bleed and the network reads beyond a tile: no seam shows in any of the four channels."""
    torch.manual_seed(3)
    network = ESPCN(TINY)
    torch.nn.init.normal_(list(network.parameters())[-2], std=0.1)
    rgba = np.dstack([natural(50, 40), natural(50, 40, 1)[..., 0]])
    rgba[10:30, 5:45, 3] = 0
    image = Raster(Image.fromarray(rgba))
    whole, _ = Upscaler(TorchEngine(network), 0).raster(image)
    for tile in (7, 16):
        tiled, _ = Upscaler(TorchEngine(network), tile).raster(image)
        assert np.array_equal(np.asarray(tiled.data), np.asarray(whole.data))


def test_a_mask_is_interpolated_and_a_soft_edge_goes_through_the_network() -> None:
    torch.manual_seed(3)
    network = ESPCN(TINY)
    torch.nn.init.normal_(list(network.parameters())[-2], std=0.1)
    trained, plain = Upscaler(TorchEngine(network)), Upscaler(TorchEngine(ESPCN(TINY)))
    mask = disc(1)
    soft = mask.copy()
    soft.putpixel((0, 0), (0, 0, 0, 7))
    for image, same in ((mask, True), (soft, False)):
        by_network, by_bicubic = (np.asarray(u(image))[..., 3] for u in (trained, plain))
        assert np.array_equal(by_network, by_bicubic) is same
        strips, _ = trained.raster(Raster(image))
        assert np.array_equal(np.asarray(strips.data), np.asarray(trained(image)))


def test_16_bit_colour_stays_16_bit(tmp_path: Path, bicubic: Upscaler) -> None:
    imagecodecs, tifffile = pytest.importorskip("imagecodecs"), pytest.importorskip("tifffile")
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
    imagecodecs = pytest.importorskip("imagecodecs")
    pytest.importorskip("tifffile")
    icc = profile("sRGB")
    document = Document(
        (Raster(np.zeros((4, 5, 3), np.uint16)),),
        {"icc_profile": icc, "dpi": (300.0, 300.0), "text": {"Title": "Boat"}},
    )
    writing.write_document(document, tmp_path / "in.png")
    through(bicubic, tmp_path / "in.png", tmp_path / "out.png")
    through(bicubic, tmp_path / "in.png", tmp_path / "out.tif")
    assert imagecodecs.png_decode((tmp_path / "out.png").read_bytes()).dtype == np.uint16
    with Image.open(tmp_path / "out.png") as image:
        image.load()
        assert image.info["icc_profile"] == icc
        assert image.text == {"Title": "Boat"}  # type: ignore[attr-defined]
    with Image.open(tmp_path / "out.tif") as image:
        assert (image.info["icc_profile"], image.info["dpi"]) == (icc, pytest.approx((300, 300), abs=0.1))


def test_16_bit_colour_without_the_extra_is_refused_or_cut_down_knowingly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    values = np.full((4, 5, 3), 51400, np.uint16)
    (tmp_path / "in.png").write_bytes(imagecodecs.png_encode(values))
    monkeypatch.setitem(__import__("sys").modules, "imagecodecs", None)
    with pytest.raises(EspcnError, match=r"in\.png: more than 8 bits .* 'espcn\[deep\]'.*--depth 8"):
        reading.read_document(tmp_path / "in.png")
    document = reading.read_document(tmp_path / "in.png", depth=8)
    assert document.frames[0].depth == 8
    assert "cut down to 8" in document.warnings[0]


# --- sizes, ensemble, trouble ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"), [("800x600", (800, 600)), ("800x", (800, 400)), ("x600", (1200, 600)), ("150%", (300, 150))]
)
def test_sizes_as_they_are_typed(text: str, expected: tuple[int, int]) -> None:
    assert sizes.parse(text).of((200, 100)) == expected


@pytest.mark.parametrize("text", ["", "x", "0x5", "5", "0%", "-5x5", "5x5x5", "big", "9999999x1"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--size"):
        sizes.parse(text)


def test_the_smallest_scale_that_reaches() -> None:
    scales = (2, 3, 4)
    targets = (80, 50), (101, 50), (200, 101), (301, 1), (999, 1)
    assert [sizes.reach((100, 50), target, scales) for target in targets] == [1, 2, 3, 4, 4]


def test_quality_and_level_are_obeyed(tmp_path: Path) -> None:
    document = Document((Raster(Image.fromarray(natural(64, 64))),))
    for suffix, low, high in (
        ("jpg", Encoding(quality=10), Encoding(quality=99)),
        ("webp", Encoding(quality=10), Encoding()),
        ("png", Encoding(png_level=9), Encoding(png_level=0)),
    ):
        bytes_of = []
        for encoding in (low, high):
            out = BytesIO()
            writing.encode(document, writing.format_of(Path(f"a.{suffix}")), out, "a", encoding)
            bytes_of.append(len(out.getvalue()))
        assert bytes_of[0] < bytes_of[1]


def test_a_bomb_is_refused_with_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    save_picture(tmp_path / "big.png", 30, 20)
    with pytest.raises(EspcnError, match=r"big\.png: 600 pixels are more than 400: .*--max-pixels 600"):
        reading.read_document(tmp_path / "big.png")
    save_picture(tmp_path / "huge.png", 100, 20)
    with pytest.raises(EspcnError, match="2,000 pixels"):
        reading.read_document(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(EspcnError, match="2,560 pixels"):
        reading.read_document(save_animation(tmp_path / "many.gif"))


def test_a_side_too_long_for_a_format_is_said(tmp_path: Path) -> None:
    document = Document((Raster(Image.new("L", (20000, 1))),))
    with pytest.raises(EspcnError, match="20000 x 1 is too large for WEBP"):
        writing.write_document(document, tmp_path / "a.webp")
