"""XMP: what speaks of pixels follows them, what is untrue goes, and every other byte stays."""

from __future__ import annotations

import pytest
from making import mutations
from making_metadata import xmp

from espcn_cli.maths.turns import BY_ORIENTATION
from espcn_cli.pictures import xmp as ours
from espcn_cli.pictures.change import Change
from espcn_cli.pictures.metadata import UNREADABLE

TWICE = Change((200, 100), (400, 200))

UPRIGHT = Change((200, 100), (100, 200), BY_ORIENTATION[6])
"""A quarter turn to the right."""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (xmp('tiff:ImageWidth="200" tiff:ImageLength="100"'), xmp('tiff:ImageWidth="400" tiff:ImageLength="200"')),
        (xmp(inside="<tiff:ImageWidth>200</tiff:ImageWidth>"), xmp(inside="<tiff:ImageWidth>400</tiff:ImageWidth>")),
        (
            xmp("exif:PixelXDimension='9' exif:PixelYDimension='9'"),  # wrong before, right after
            xmp("exif:PixelXDimension='400' exif:PixelYDimension='200'"),
        ),
        (xmp('GPano:FullPanoWidthPixels="4000"'), xmp('GPano:FullPanoWidthPixels="8000"')),
        (
            xmp(inside="<GPano:CroppedAreaLeftPixels> 31 </GPano:CroppedAreaLeftPixels>"),
            xmp(inside="<GPano:CroppedAreaLeftPixels>62</GPano:CroppedAreaLeftPixels>"),
        ),
        (
            xmp('exif:FocalPlaneXResolution="3000/10" exif:FocalPlaneYResolution="290.5"'),
            xmp('exif:FocalPlaneXResolution="6000/10" exif:FocalPlaneYResolution="581"'),
        ),
        (
            xmp(
                inside="<exif:SubjectArea><rdf:Seq><rdf:li>10</rdf:li><rdf:li>20</rdf:li></rdf:Seq></exif:SubjectArea>"
            ),
            xmp(
                inside="<exif:SubjectArea><rdf:Seq><rdf:li>20</rdf:li><rdf:li>40</rdf:li></rdf:Seq></exif:SubjectArea>"
            ),
        ),
        (
            xmp(inside='<mwg-rs:AppliedToDimensions stDim:w="200" stDim:h="100" stDim:unit="pixel"/>'),
            xmp(inside='<mwg-rs:AppliedToDimensions stDim:w="400" stDim:h="200" stDim:unit="pixel"/>'),
        ),
        (
            xmp(inside='<mwg-rs:Area stArea:x="50" stArea:y="40" stArea:w="8" stArea:h="6" stArea:unit="pixel"/>'),
            xmp(inside='<mwg-rs:Area stArea:x="100" stArea:y="80" stArea:w="16" stArea:h="12" stArea:unit="pixel"/>'),
        ),
        (
            xmp(inside='<ext:RegionBoundary ext:rbUnit="pixel" ext:rbX="3" ext:rbW="8"/>'),
            xmp(inside='<ext:RegionBoundary ext:rbUnit="pixel" ext:rbX="6" ext:rbW="16"/>'),
        ),
    ],
)
def test_what_speaks_of_pixels_follows_them_in_both_forms(before: bytes, after: bytes) -> None:
    assert ours.moved(before, TWICE) == after


@pytest.mark.parametrize(
    "text",
    [
        xmp(
            inside='<mwg-rs:Area stArea:x="0.5" stArea:y="0.4" stArea:w="0.1" stArea:h="0.2" stArea:unit="normalized"/>'
        ),
        xmp(inside='<mwg-rs:AppliedToDimensions stDim:w="8" stDim:h="10" stDim:unit="inch"/>'),
        xmp(inside='<ext:RegionBoundary ext:rbUnit="relative" ext:rbX="0.3"/>'),
        xmp('MPReg:Rectangle="0.25, 0.5, 0.1, 0.2"'),
        xmp('tiff:XResolution="300/1" dc:ImageWidth="200" GPano:PoseHeadingDegrees="90"'),
        xmp('GPano:FullPanoWidthPixels="many"'),
        xmp('GPano:FullPanoWidthPixels="" exif:FocalPlaneXResolution="3/4/5"'),
    ],
)
def test_what_does_not_speak_of_pixels_stays_byte_by_byte(text: bytes) -> None:
    assert ours.moved(text, TWICE) == text


def test_prefixes_are_whatever_the_file_says_they_are() -> None:
    text = (
        xmp('tiff:ImageWidth="200" GPano:FullPanoWidthPixels="200"')
        .replace(b"GPano:", b"p:")
        .replace(b":GPano=", b":p=")
    )
    swapped = text.replace(b"tiff:", b"exif:").replace(b":tiff=", b":exif=")
    assert b'p:FullPanoWidthPixels="400"' in ours.moved(text, TWICE)
    assert b'exif:ImageWidth="400"' in ours.moved(swapped, TWICE)


def test_regions_turn_with_the_picture() -> None:
    """A face at the left, in the middle of the height, is at the top after a quarter turn to the right."""
    area = '<mwg-rs:Area stArea:x="0.125" stArea:y="0.5" stArea:w="0.25" stArea:h="0.5"/>'
    turned = '<mwg-rs:Area stArea:x="0.5" stArea:y="0.125" stArea:w="0.5" stArea:h="0.25"/>'
    assert ours.moved(xmp(inside=area), UPRIGHT) == xmp(inside=turned)
    rectangle, upright = 'MPReg:Rectangle="0, 0.25, 0.25, 0.5"', 'MPReg:Rectangle="0.25, 0, 0.5, 0.25"'
    assert ours.moved(xmp(rectangle), UPRIGHT) == xmp(upright)
    size = '<mwg-rs:AppliedToDimensions stDim:w="{}" stDim:h="{}"/>'
    assert ours.moved(xmp(inside=size.format(200, 100)), UPRIGHT) == xmp(inside=size.format(100, 200))
    subject = "<exif:SubjectLocation><rdf:Seq><rdf:li>{}</rdf:li><rdf:li>{}</rdf:li></rdf:Seq></exif:SubjectLocation>"
    assert ours.moved(xmp(inside=subject.format(10, 20)), UPRIGHT) == xmp(inside=subject.format(79, 10))


DIRECTORY = (
    "<Container:Directory><rdf:Seq>"
    '<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="Primary" Item:Mime="image/jpeg"/></rdf:li>'
    '<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="{}" Item:Length="999"/></rdf:li>'
    "</rdf:Seq></Container:Directory>"
)


@pytest.mark.parametrize(
    ("untrue", "words"),
    [
        (xmp('dc:title="x" hdrgm:Version="1.0"'), ["the gain map"]),
        (
            xmp('dc:title="x"', "<hdrgm:GainMapMax><rdf:Seq><rdf:li>1</rdf:li></rdf:Seq></hdrgm:GainMapMax>"),
            ["the gain map"],
        ),
        (xmp('dc:title="x"', DIRECTORY.format("GainMap")), ["the gain map"]),
        (xmp('dc:title="x"', DIRECTORY.format("MotionPhoto")), ["the motion photo's video"]),
        (xmp('dc:title="x" GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1"'), ["the motion photo's video"]),
        (xmp('dc:title="x" GCamera:MotionPhoto="0"'), []),
        (xmp('dc:title="x" GDepth:Format="RangeInverse" GDepth:Data="AAAA"'), ["the depth map"]),
        (xmp('dc:title="x" xmpNote:HasExtendedXMP="0123"'), []),
        (xmp('dc:title="x" tiff:BitsPerSample="16" dc:format="image/tiff"'), []),
    ],
)
def test_what_is_no_longer_true_goes_with_its_namespace_and_has_a_name(untrue: bytes, words: list[str]) -> None:
    left, named = ours.cleaned(untrue, False)
    assert named == words
    assert b'dc:title="x"' in left
    for word in (b"hdrgm", b"Container", b"Item:", b"GCamera", b"GDepth", b"xmpNote", b"BitsPerSample", b"dc:format"):
        assert word not in left


def test_a_packet_in_which_nothing_is_true_goes() -> None:
    assert ours.cleaned(xmp('hdrgm:Version="1.0"'), False) == (b"", ["the gain map"])
    assert ours.cleaned(xmp(), False) == (xmp(), [])


def test_orientation_is_upright_and_what_a_turn_makes_untrue_goes() -> None:
    text = xmp('tiff:Orientation="6" GPano:FullPanoWidthPixels="200"', "<xmp:Thumbnails><rdf:Alt/></xmp:Thumbnails>")
    assert ours.cleaned(text, False) == (text.replace(b'"6"', b'"1"'), [])
    left, words = ours.cleaned(text, True)
    assert b'tiff:Orientation="1"' in left and b"GPano" not in left and b"Thumbnails" not in left
    assert words == ["the panorama's place", "the thumbnail"]


def test_packets_in_utf_16_or_with_nuls_or_a_mark_are_read() -> None:
    text = xmp('tiff:ImageWidth="200"')
    for odd in (b"\xef\xbb\xbf" + text, text + b"\0\0", text.decode().encode("utf-16")):
        clean, _ = ours.cleaned(odd, False)
        assert b'tiff:ImageWidth="400"' in ours.moved(clean, TWICE)


@pytest.mark.parametrize(
    "hostile",
    [
        b'<!DOCTYPE x [<!ENTITY a "1"><!ENTITY b "&a;&a;">]><x>&b;</x>',
        '<!DOCTYPE x SYSTEM "file:///etc/hostname"><x/>'.encode("utf-16"),
        b"<x>" * (ours.MOST_TAGS + 1),
        b"<x><y></x>",
        b"<t:x/>",
        b"",
    ],
)
def test_hostile_and_broken_xml_is_refused(hostile: bytes) -> None:
    with pytest.raises(UNREADABLE):
        ours.cleaned(hostile, False)


def test_deep_nesting_costs_no_recursion() -> None:
    text = xmp(inside="<dc:a>" * 20_000 + "</dc:a>" * 20_000)
    assert ours.cleaned(text, False) == (text, [])


def test_damage_raises_nothing_else() -> None:
    text = xmp('tiff:Orientation="6" hdrgm:Version="1.0"', DIRECTORY.format("GainMap"))
    for data in mutations(text, 5, 300):
        try:
            clean, _ = ours.cleaned(data, True)
            ours.moved(clean, UPRIGHT)
        except UNREADABLE:
            continue
