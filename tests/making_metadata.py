"""What stands beside pixels, made by hand: EXIF as cameras write it, XMP, IPTC, profiles, a JPEG's segments."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path
from typing import Any

from making import natural
from PIL import Image, TiffImagePlugin

XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"

# --- JPEG ------------------------------------------------------------------------------------------------------------


def jpeg(width: int = 24, height: int = 18, **options: Any) -> bytes:
    out = BytesIO()
    Image.fromarray(natural(width, height)).save(out, "JPEG", **{"quality": 95} | options)
    return out.getvalue()


def with_segment(data: bytes, marker: int, content: bytes) -> bytes:
    """One more segment at the start of a JPEG."""
    return data[:2] + b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content + data[2:]


def segments_of(path: Path) -> list[bytes]:
    with Image.open(path) as image:
        return [data for name, data in image.applist if name != "APP0"]  # type: ignore[attr-defined]


# --- IPTC and Photoshop ----------------------------------------------------------------------------------------------


def record(dataset: int, text: bytes) -> bytes:
    return b"\x1c\x02" + bytes([dataset]) + struct.pack(">H", len(text)) + text


IPTC = record(120, b"A caption") + record(25, b"garden") + record(80, b"A. Photographer")


def resource(number: int, data: bytes, name: bytes = b"") -> bytes:
    """One of Photoshop's, after its file format's specification."""
    head = b"8BIM" + struct.pack(">HB", number, len(name)) + name + b"\0" * (1 - len(name) % 2)
    return head + struct.pack(">I", len(data)) + data + b"\0" * (len(data) % 2)


def photoshop(*resources: bytes) -> bytes:
    """What stands in APP13."""
    return b"Photoshop 3.0\0" + b"".join(resources)


# --- XMP -------------------------------------------------------------------------------------------------------------

SPACES = {
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
    "GPano": "http://ns.google.com/photos/1.0/panorama/",
    "GCamera": "http://ns.google.com/photos/1.0/camera/",
    "GDepth": "http://ns.google.com/photos/1.0/depthmap/",
    "Container": "http://ns.google.com/photos/1.0/container/",
    "Item": "http://ns.google.com/photos/1.0/container/item/",
    "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "stArea": "http://ns.adobe.com/xmp/sType/Area#",
    "stDim": "http://ns.adobe.com/xap/1.0/sType/Dimensions#",
    "MPReg": "http://ns.microsoft.com/photo/1.2/t/Region#",
    "ext": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}


def xmp(attributes: str = "", inside: str = "") -> bytes:
    """A packet with one description; those namespaces are declared whose prefixes occur."""
    used = " ".join(f'xmlns:{name}="{space}"' for name, space in SPACES.items() if f"{name}:" in attributes + inside)
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {used} {attributes}>{inside}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


# --- EXIF ------------------------------------------------------------------------------------------------------------

Entry = tuple[int, int, int, bytes]
"""Tag, type, number of values, and these."""

THUMBNAIL = jpeg(16, 12)


def directory(order: str, entries: list[Entry], place: int, following: int = 0) -> bytes:
    """A directory of TIFF 6.0 that starts there, with the values that do not fit into their entries behind it."""
    out, values = struct.pack(order + "H", len(entries)), b""
    behind = place + 2 + 12 * len(entries) + 4
    for tag, kind, count, value in sorted(entries):
        out += struct.pack(order + "HHL", tag, kind, count)
        if len(value) <= 4:
            out += value.ljust(4, b"\0")
        else:
            out += struct.pack(order + "L", behind + len(values))
            values += value + b"\0" * (len(value) % 2)
    return out + struct.pack(order + "L", following) + values


def camera_exif(order: str = "<", orientation: int = 1, thumbnail: bytes = THUMBNAIL) -> bytes:
    """EXIF of a picture of 24x18: own directory, GPS, notes of the maker, text in UTF-8, and a thumbnail at the end."""

    def pack(form: str, *values: int) -> bytes:
        return struct.pack(order + form, *values)

    first: list[Entry] = [
        (0x0100, 3, 1, pack("H", 24)),
        (0x0101, 3, 1, pack("H", 18)),
        (0x010F, 2, 6, b"Maker\0"),
        (0x0112, 3, 1, pack("H", orientation)),
        (0x0115, 3, 1, pack("H", 4)),
        (0x011A, 5, 1, pack("LL", 300, 1)),
        (0x011B, 5, 1, pack("LL", 300, 1)),
        (0x0128, 3, 1, pack("H", 2)),
        (0x013B, 2, 5, "Zoë\0".encode()),
    ]
    own: list[Entry] = [
        (0x9102, 5, 1, pack("LL", 4, 1)),
        (0x9214, 3, 4, pack("4H", 10, 5, 4, 2)),
        (0x927C, 7, 20, b"MAKER".ljust(20, b"\1")),
        (0xA002, 3, 1, pack("H", 24)),
        (0xA003, 3, 1, pack("H", 18)),
        (0xA20E, 5, 1, pack("LL", 5_728_177, 1000)),
        (0xA20F, 5, 1, pack("LL", 5_808_403, 1000)),
        (0xA214, 3, 2, pack("2H", 10, 5)),
    ]
    place_on_earth: list[Entry] = [(1, 2, 2, b"N\0"), (2, 5, 3, pack("6L", 48, 1, 12, 1, 0, 1))]
    pointers = [(0x8769, 4, 1, b"0000"), (0x8825, 4, 1, b"0000")]
    at_own = 8 + len(directory(order, first + pointers, 8))
    at_gps = at_own + len(directory(order, own, at_own))
    at_thumbnail = at_gps + len(directory(order, place_on_earth, at_gps))
    pointers = [(0x8769, 4, 1, pack("L", at_own)), (0x8825, 4, 1, pack("L", at_gps))]
    second: list[Entry] = [(0x0103, 3, 1, pack("H", 6)), (0x0202, 4, 1, pack("L", len(thumbnail)))]
    at_pixels = at_thumbnail + len(directory(order, [*second, (0x0201, 4, 1, b"0000")], at_thumbnail))
    second.append((0x0201, 4, 1, pack("L", at_pixels)))
    return (
        b"Exif\0\0"
        + {"<": b"II*\0", ">": b"MM\0*"}[order]
        + pack("L", 8)
        + directory(order, first + pointers, 8, at_thumbnail if thumbnail else 0)
        + directory(order, own, at_own)
        + directory(order, place_on_earth, at_gps)
        + (directory(order, second, at_thumbnail) + thumbnail if thumbnail else b"")
    )


# --- TIFF ------------------------------------------------------------------------------------------------------------

GEO_TAGS: dict[int, tuple[int, Any]] = {
    33550: (12, (10.0, 10.0, 0.0)),
    33922: (12, (0.0, 0.0, 0.0, 600000.0, 5400000.0, 0.0)),
    34735: (3, (1, 1, 0, 1, 3072, 0, 1, 32632)),
}
"""Pixels of ten metres, and where on earth (UTM 32) the corner of the first one is."""


def save_tiff(path: Path, tags: dict[int, tuple[int, Any]], size: tuple[int, int] = (24, 18), **options: Any) -> Path:
    """A TIFF with these tags: number -> type, value."""
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for number, (kind, value) in tags.items():
        directory.tagtype[number] = kind
        directory[number] = value
    Image.fromarray(natural(*size)).save(path, tiffinfo=directory, **options)
    return path


def tags_of(path: Path) -> dict[int, Any]:
    with Image.open(path) as image:
        return dict(image.tag_v2)  # type: ignore[attr-defined]


# --- profiles --------------------------------------------------------------------------------------------------------


def grey_profile(gamma: float = 1.8) -> bytes:
    """ICC.1: a monochrome display whose levels follow a power."""
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"grey\0" + bytes(78)
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    tags, data = [], b""
    for name, content in ((b"desc", text), (b"wtpt", white), (b"kTRC", curve), (b"cprt", b"text\0\0\0\0none\0")):
        tags.append(name + struct.pack(">II", 132 + 4 * 12 + len(data), len(content)))
        data += content + bytes(-len(content) % 4)
    body = struct.pack(">I", len(tags)) + b"".join(tags) + data
    head = struct.pack(
        ">I4sI4s4s4s12s4s", 128 + len(body), b"test", 0x02400000, b"mntr", b"GRAY", b"XYZ ", bytes(12), b"acsp"
    )
    return head.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061) + bytes(48) + body
