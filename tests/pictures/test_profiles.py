"""Colour profiles are carried along, and CMYK and Lab go through theirs."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path

import numpy as np
import pytest
from making import natural, save_picture
from making_animations import through
from PIL import Image, ImageCms

from espcn_cli.upscaling.upscaler import Upscaler


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
