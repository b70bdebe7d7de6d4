"""Photoshop's resources, in which JPEG, TIFF and PSD keep IPTC's captions: bytes in, bytes out."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

SIGNATURE = b"8BIM"
IPTC, DIGEST, SHAPE = 1028, 1061, 1064
PATHS = range(2000, 3000)
"""Numbers of outlines, each with a name, and at the end which of them clips the picture."""

SEGMENT_NAME = b"Photoshop 3.0\0"
SEGMENT = 65533 - len(SEGMENT_NAME)
"""Bytes of resources that a JPEG's segment holds."""


RAW_PROFILE = "Raw profile type "
"""How a PNG's keywords begin under which many programs keep IPTC and XMP in hexadecimal digits."""


class Resource(NamedTuple):
    """A number that says what it is, a name that is mostly empty, and what Photoshop put there."""

    number: int
    name: bytes
    data: bytes


def parse(block: bytes) -> list[Resource]:
    """All resources of a block; a damaged one gives those before the damage."""
    found: list[Resource] = []
    place = 0
    while block[place : place + 4] == SIGNATURE and len(block) >= place + 12:
        number, length = struct.unpack_from(">HB", block, place + 4)
        name = block[place + 7 : place + 7 + length]
        place += 7 + length + (length + 1) % 2
        if len(block) < place + 4:
            break
        (size,) = struct.unpack_from(">I", block, place)
        data = block[place + 4 : place + 4 + size]
        if len(data) < size:
            break
        found.append(Resource(number, name, data))
        place += 4 + size + size % 2
    return found


def build(resources: Iterable[Resource]) -> bytes:
    """A block of these resources."""
    return b"".join(
        SIGNATURE
        + struct.pack(">HB", number, len(name))
        + name
        + bytes((len(name) + 1) % 2)
        + struct.pack(">I", len(data))
        + data
        + bytes(len(data) % 2)
        for number, name, data in resources
    )


def segments(block: bytes) -> bytes:
    """A block in as many segments of a JPEG as it takes."""
    parts = (block[start : start + SEGMENT] for start in range(0, len(block), SEGMENT))
    return b"".join(
        b"\xff\xed" + struct.pack(">H", 2 + len(SEGMENT_NAME) + len(part)) + SEGMENT_NAME + part for part in parts
    )


def resolution(data: bytes) -> tuple[float, float] | None:
    """Dots per inch in the resource of that name."""
    if len(data) < 16:
        return None
    across, _, _, down = struct.unpack_from(">IHHI", data)
    return across / 65536, down / 65536


def guides(data: bytes) -> int:
    """How many lines are in the resource of guides."""
    return int(struct.unpack_from(">I", data, 12)[0]) if len(data) >= 16 else 0


def slices(data: bytes) -> int:
    """How many pieces the picture is cut into; one is the whole."""
    count = data.find(b"slicesVlLs") + 10
    if count < 10:  # versions before 7 have the count behind a name in UTF-16
        count = 24 + 2 * int.from_bytes(data[20:24])
    return int.from_bytes(data[count : count + 4])


def says_something(resource: Resource) -> bool:
    """Whether anybody misses it: not the digest of captions, square pixels, or what is empty."""
    number, _, data = resource
    if number == SHAPE:
        return len(data) >= 12 and struct.unpack_from(">d", data, 4)[0] != 1.0
    return number != DIGEST and any(data)
