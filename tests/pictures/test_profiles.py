"""Colour profiles are carried along, and CMYK and Lab go through theirs."""

from __future__ import annotations

import itertools
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making import natural, save_picture
from making_animations import through
from making_metadata import grey_profile
from PIL import Image, ImageCms

from espcn_cli.pictures import profiles, reading, writing
from espcn_cli.pictures.raster import Raster
from espcn_cli.upscaling.upscaler import Upscaler


def profile(name: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()  # type: ignore[arg-type]


@pytest.mark.parametrize("target", ["png", "jpg", "webp", "tif", "avif"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_profile_is_carried_byte_by_byte(tmp_path: Path, bicubic: Upscaler, mode: str, target: str) -> None:
    if (mode, target) == ("L", "webp"):
        pytest.skip("has no grey: see below")
    icc = profile("sRGB") if mode == "RGB" else grey_profile()
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


# --- profile and colours agree ---------------------------------------------------------------------------------------


def in_srgb(level: int, gamma: float) -> int:
    """A level of a power's curve, in sRGB's: IEC 61966-2-1."""
    light = float((level / 255) ** gamma)
    return round(255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055))


def agrees(path: Path) -> bool:
    """What libpng, browsers and ICC.1 ask for: a profile for the colours that are there, or none."""
    with Image.open(path) as image:
        image.load()
        if "icc_profile" not in image.info:
            return True
        has = "GRAY" if image.mode in ("1", "L", "LA", "I;16") else "RGB"
        return profiles.space(image.info["icc_profile"]) == has


@pytest.mark.parametrize("target", ["png", "jpg", "webp", "tif", "avif", "gif", "bmp", "pgm", "jp2"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "grey palette"])
@pytest.mark.parametrize("kind", ["RGB", "GRAY", "CMYK", "Lab", "damaged"])
def test_profile_and_colours_agree_whatever_comes(
    tmp_path: Path, bicubic: Upscaler, kind: str, mode: str, target: str
) -> None:
    made = {"RGB": profile("sRGB"), "GRAY": grey_profile(), "CMYK": cmyk_profile(), "Lab": profile("LAB")}
    icc = made.get(kind, b"no profile")
    image = Image.fromarray(natural(8, 8))
    if mode == "grey palette":
        image = image.convert("L").quantize(16)
    else:
        image = image.convert("L").convert(mode) if mode in ("1", "I;16") else image.convert(mode)
    image.save(tmp_path / "in.tif", icc_profile=icc)
    notes = through(bicubic, tmp_path / "in.tif", tmp_path / f"out.{target}")
    assert agrees(tmp_path / f"out.{target}")
    is_grey = mode in ("1", "L", "LA", "I;16") or (mode == "grey palette" and kind != "RGB")
    with Image.open(tmp_path / f"out.{target}") as result:
        is_kept = result.info.get("icc_profile") == icc
    assert kind == ("GRAY" if is_grey else "RGB") or not is_kept
    assert is_kept or any("colour profile" in note for note in notes) or profiles.is_srgb(icc)


def test_greys_in_a_palette_keep_their_rgb_profile_in_rgb(tmp_path: Path, bicubic: Upscaler) -> None:
    grey = Image.fromarray(natural(16, 12)).convert("L").quantize(64)
    grey.save(tmp_path / "in.png", icc_profile=profile("sRGB"))
    assert through(bicubic, tmp_path / "in.png", tmp_path / "out.png") == ()
    with Image.open(tmp_path / "out.png") as image:
        assert image.mode == "RGB" and image.info["icc_profile"] == profile("sRGB")
        levels = np.asarray(image)
        assert np.array_equal(levels[..., 0], levels[..., 1]) and np.array_equal(levels[..., 0], levels[..., 2])
        assert np.array_equal(levels[..., 0], np.asarray(bicubic(grey.convert("L"))))


@pytest.mark.parametrize("target", ["webp", "gif", "bmp"])
def test_grey_goes_through_its_profile_where_that_has_no_place(tmp_path: Path, target: str) -> None:
    Image.new("L", (8, 8), 128).save(tmp_path / "in.png", icc_profile=grey_profile(1.8))
    written = writing.write_document(reading.read_document(tmp_path / "in.png"), tmp_path / f"out.{target}")
    kind = target.upper()
    assert written.warnings == (f"{kind} has no place for the colour profile: the colours were converted to sRGB",)
    with Image.open(tmp_path / f"out.{target}") as image:
        assert abs(image.convert("L").getpixel((4, 4)) - in_srgb(128, 1.8)) <= 1  # type: ignore[operator]


def test_a_moving_grey_png_with_alpha_stays_grey_and_keeps_its_profile(tmp_path: Path, bicubic: Upscaler) -> None:
    frames = [Image.new("LA", (8, 8), (level, 128)) for level in (40, 128)]
    options: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "duration": 50}
    frames[0].convert("RGBA").save(tmp_path / "in.webp", lossless=True, **options)
    document = reading.read_document(tmp_path / "in.webp")
    grey = tuple(Raster(frame.image().convert("LA")) for frame in document.frames)
    document = replace(document, frames=grey, info={"icc_profile": grey_profile()})
    written = writing.write_document(bicubic.document(document), tmp_path / "out.png")
    assert written.warnings == ()
    assert reading.read_document(tmp_path / "out.png").info["icc_profile"] == grey_profile()
    assert agrees(tmp_path / "out.png")


def test_pages_with_different_profiles_share_srgb(tmp_path: Path) -> None:
    pages = [Image.new("L", (8, 8), 128), Image.new("RGB", (8, 8), (200, 100, 50))]
    pages[1].encoderinfo = {"icc_profile": profile("sRGB")}
    pages[0].save(tmp_path / "in.tif", save_all=True, append_images=pages[1:], icc_profile=grey_profile(1.8))
    document = reading.read_document(tmp_path / "in.tif")
    assert document.warnings == ("the pages have different colour profiles: they were converted to sRGB",)
    assert "icc_profile" not in document.info
    assert abs(int(document.frames[0].array()[0, 0, 0]) - in_srgb(128, 1.8)) <= 1
    assert document.frames[1].array()[0, 0].tolist() == [200, 100, 50]


def test_a_profile_for_other_colours_is_left_out_by_name(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "in.jpg", icc_profile=profile("sRGB"))
    document = reading.read_document(tmp_path / "in.jpg")
    assert document.warnings == ("the colour profile is for RGB, not for GRAY: it was left out",)
    Image.new("RGB", (8, 8)).save(tmp_path / "in.jpg", icc_profile=b"no profile")
    document = reading.read_document(tmp_path / "in.jpg")
    assert document.warnings == ("the colour profile is damaged: it was left out",)


def test_a_bitmap_s_profile_is_read(tmp_path: Path, bicubic: Upscaler) -> None:
    """BITMAPV5HEADER: of the type MBED, the profile stands behind the pixels."""
    pixels, icc = bytes(range(12)) + bytes(4), profile("sRGB")
    head = struct.pack("<IiiHHIIiiII", 124, 2, 2, 1, 24, 0, 16, 0, 0, 0, 0).ljust(56, b"\0")
    head = (head + b"DEBM").ljust(108, b"\0") + struct.pack("<4I", 4, 124 + 16, len(icc), 0)
    start = 14 + len(head)
    data = b"BM" + struct.pack("<IHHI", start + 16 + len(icc), 0, 0, start) + head + pixels + icc
    (tmp_path / "in.bmp").write_bytes(data)
    assert through(bicubic, tmp_path / "in.bmp", tmp_path / "out.png") == ()
    with Image.open(tmp_path / "out.png") as image:
        assert image.info["icc_profile"] == icc
