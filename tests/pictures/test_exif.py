"""EXIF: what speaks of pixels is changed in its place, the rest keeps its bytes and its places."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from making import mutations
from making_metadata import THUMBNAIL, camera_exif
from PIL import ExifTags, Image, ImageOps

from espcn_cli.maths.turns import BY_ORIENTATION, TURNS
from espcn_cli.pictures import exif
from espcn_cli.pictures.change import AS_IT_IS, Change
from espcn_cli.pictures.metadata import UNREADABLE

TWICE = Change((24, 18), (48, 36))

RIGHT = BY_ORIENTATION[6]


def read(data: bytes) -> Image.Exif:
    found = Image.Exif()
    found.load(data)
    return found


@pytest.mark.parametrize("order", "<>")
def test_what_speaks_of_pixels_follows_them(order: str) -> None:
    found = read(exif.moved(exif.cleaned(camera_exif(order), AS_IT_IS)[0], TWICE))
    own = found.get_ifd(ExifTags.IFD.Exif)
    assert (found[0x0100], found[0x0101]) == (own[0xA002], own[0xA003]) == (48, 36)
    assert (own[0x9214], own[0xA214]) == ((20, 10, 8, 4), (20, 10))
    assert [float(own[tag]) for tag in (0xA20E, 0xA20F)] == pytest.approx([11456.354, 11616.806])


@pytest.mark.parametrize("order", "<>")
def test_a_quarter_turn_swaps_sides_and_moves_the_subject(order: str) -> None:
    """Pixel (10, 5) of 24 x 18 is (12, 10) of 18 x 24: the 18 rows are columns now, from right to left."""
    clean, gone = exif.cleaned(camera_exif(order, orientation=6), RIGHT)
    found = read(exif.moved(clean, Change((24, 18), (18, 24), RIGHT)))
    own = found.get_ifd(ExifTags.IFD.Exif)
    assert gone == [] and 0x0112 not in found
    assert (own[0xA002], own[0xA003]) == (18, 24)
    assert (own[0x9214], own[0xA214]) == ((12, 10, 2, 4), (12, 10))
    assert [float(own[tag]) for tag in (0xA20E, 0xA20F)] == pytest.approx([5808.403, 5728.177])


@pytest.mark.parametrize("order", "<>")
def test_the_rest_keeps_its_bytes_and_the_maker_s_notes_their_place(order: str) -> None:
    before = camera_exif(order)
    after = exif.moved(exif.cleaned(before, AS_IT_IS)[0], TWICE)
    assert len(after) == len(before)
    assert after.index(b"MAKER") == before.index(b"MAKER")
    assert after.index("Zoë".encode()) == before.index("Zoë".encode())
    found = read(after)
    assert found.get_ifd(ExifTags.IFD.GPSInfo)[2] == (48.0, 12.0, 0.0)
    assert 0x0115 not in found and 0x9102 not in found.get_ifd(ExifTags.IFD.Exif)  # how the old file stored pixels
    assert exif.resolution(after) == (300, 300)


def thumbnail_of(data: bytes) -> Image.Image:
    second = read(data).get_ifd(ExifTags.IFD.IFD1)
    start = 6 + second[0x0201]
    return Image.open(BytesIO(data[start : start + second[0x0202]]))


def test_a_thumbnail_stays_and_turns_with_the_picture() -> None:
    upright = ImageOps.exif_transpose(thumbnail_of(camera_exif()))
    assert np.array_equal(np.asarray(thumbnail_of(exif.cleaned(camera_exif(), AS_IT_IS)[0])), np.asarray(upright))
    for turn in TURNS[1:]:
        data, gone = exif.cleaned(camera_exif(), turn)
        expected = np.rot90(np.asarray(upright).astype(int), turn.quarters)
        expected = expected[:, ::-1] if turn.flipped else expected
        assert gone == [] and np.abs(np.asarray(thumbnail_of(data)).astype(int) - expected).mean() < 6


@pytest.mark.parametrize("thumbnail", [b"no JPEG", THUMBNAIL[:200]])
def test_a_thumbnail_that_cannot_turn_goes_under_its_name(thumbnail: bytes) -> None:
    data, gone = exif.cleaned(camera_exif(thumbnail=thumbnail), RIGHT)
    assert gone == ["the thumbnail"] and not read(data).get_ifd(ExifTags.IFD.IFD1)


def test_a_size_beyond_16_bits_gets_room() -> None:
    found = read(exif.moved(camera_exif(), Change((24, 18), (70_000, 52_500))))
    assert found.get_ifd(ExifTags.IFD.Exif)[0xA002] == 70_000


def test_no_resolution_is_none() -> None:
    plain = Image.Exif()
    plain[0x010F] = "Maker"
    assert exif.resolution(plain.tobytes()) is None
    plain[0x011A], plain[0x011B], plain[0x0128] = 118.0, 118.0, 3
    assert exif.resolution(plain.tobytes()) == pytest.approx((299.72, 299.72))


@pytest.mark.parametrize("order", "<>")
def test_damage_is_told_and_raises_nothing_else(order: str) -> None:
    for data in mutations(camera_exif(order, orientation=6), 3, 300):
        try:
            clean, _ = exif.cleaned(data, RIGHT)
            if clean:
                exif.moved(clean, Change((24, 18), (18, 24), RIGHT))
                exif.resolution(clean)
        except UNREADABLE:
            continue
