"""JPEGs and PNGs that were cut short, as by a broken transfer: their bytes completed, so that any decoder takes them.

What is missing becomes grey. No decoder is switched for that: other pictures and threads see nothing of it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

START, SCAN, END = 0xD8, 0xDA, 0xD9
ALONE = (0x01, *range(0xD0, 0xD9))
"""Markers of a JPEG: its start, a scan, its end, and those that nothing belongs to."""

PNG = b"\x89PNG\r\n\x1a\n"
GREY = 128
NEAR_GREY = (127, 129)
"""What decoders make of missing blocks, in grey, RGB or CMYK."""

SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Of a pixel, by a PNG's kind of colour."""

PALETTE, GREY_ALPHA, RGB_ALPHA = 3, 4, 6

OF_ANIMATION = (b"acTL", b"fcTL")
"""Chunks of a PNG that count frames which are not there."""


@dataclass(frozen=True)
class Completed:
    """A file's bytes with an end, and how many rows of its picture are missing; None where only pixels show that."""

    data: bytes
    rows: int | None = None

    def note(self, image: Image.Image) -> str:
        """What to say of the picture that was decoded from it: how much of it is missing, as far as that shows."""
        missing = (_grey_rows(image) if self.rows is None else self.rows) / image.height
        if not missing:
            return "the file is cut short: its end is missing, or coarser than the rest"
        percent = max(round(100 * missing), 1)
        return f"the file is cut short: {percent} % of the picture is missing, and grey"


def completed(data: bytes) -> Completed | None:
    """A JPEG or PNG that was cut short; None of one that is whole, and where no pixels have begun.

    Interlaced PNGs are not completed: each part of those is everywhere in the picture.
    """
    ways: dict[bytes, Callable[[bytes], Completed | None]] = {b"\xff\xd8\xff": _jpeg, PNG: _png}
    way = next((way for start, way in ways.items() if data.startswith(start)), None)
    return way(data) if way else None


def _grey_rows(image: Image.Image) -> int:
    """How many rows at the bottom of a JPEG, as it is stored, are nothing but the grey of missing blocks."""
    levels = np.asarray(image).reshape(image.height, -1)
    whole: NDArray[np.bool_] = np.asarray(((levels >= NEAR_GREY[0]) & (levels <= NEAR_GREY[1])).all(axis=1))
    return int(len(whole) if whole.all() else np.argmin(whole[::-1]))


# --- JPEG ------------------------------------------------------------------------------------------------------------


def _jpeg(data: bytes) -> Completed | None:
    """Up to the last segment that is whole, or the last byte of a scan, and a mark of the end."""
    place, has_scan = 2, False
    while place + 1 < len(data):
        if data[place] != 0xFF:
            place += 1  # stray bytes between segments, which decoders pass over
            continue
        marker = data[place + 1]
        if marker == END:
            return None
        if marker in ALONE or marker == 0xFF:
            place += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[place + 2 : place + 4])
        if place + 4 > len(data) or place + 2 + length > len(data):
            break
        following = place + 2 + length
        if marker == SCAN:
            has_scan = True
            following = _end_of_scan(data, following)
        place = following
    return Completed(data[:place] + bytes((0xFF, END))) if has_scan else None


def _end_of_scan(data: bytes, place: int) -> int:
    """Where the next marker stands that does not belong to the scan."""
    while (place := data.find(b"\xff", place)) >= 0:
        if place + 1 >= len(data):
            return place
        if data[place + 1] not in (0, 0xFF) and data[place + 1] not in ALONE:
            return place
        place += 1 if data[place + 1] == 0xFF else 2
    return len(data)


# --- PNG -------------------------------------------------------------------------------------------------------------


def _png(data: bytes) -> Completed | None:
    """All whole chunks before the pixels, and the pixels that can be unpacked, with grey for the others."""
    before, packed, palette = [], b"", b""
    place, has_end = len(PNG), False
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        content = data[place + 8 : place + 8 + length]
        if name == b"IDAT":
            packed += content
        elif len(content) == length and not packed and name not in OF_ANIMATION:
            before.append(data[place : place + 12 + length])
            palette = content if name == b"PLTE" else palette
        has_end |= name == b"IEND"
        place += 12 + length
    if has_end or not packed or not before or before[0][4:8] != b"IHDR":
        return None
    width, height, bits, kind, _, _, interlaced = struct.unpack_from(">2I5B", before[0], 8)
    if interlaced or kind not in SAMPLES:
        return None
    row = (width * SAMPLES[kind] * bits + 7) // 8
    pixels = _unpacked(packed, height * (1 + row))
    done = len(pixels) // (1 + row)
    grey = b"\0" + (_grey_pixels(bits, kind, palette) * width)[:row]
    pixels = pixels[: done * (1 + row)] + grey * (height - done)
    whole = PNG + b"".join(before) + _chunk(b"IDAT", zlib.compress(pixels, 1)) + _chunk(b"IEND", b"")
    return Completed(whole, height - done)


def _unpacked(packed: bytes, most: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, most)
    except zlib.error:  # damaged too
        return b""


def _grey_pixels(bits: int, kind: int, palette: bytes) -> bytes:
    """Bytes of one or more pixels that are grey and opaque, or as near to it as a palette is; 1 bit gives stripes."""
    if kind == PALETTE:
        colours = np.frombuffer(palette[: len(palette) // 3 * 3], np.uint8).reshape(-1, 3).astype(int)[: 1 << bits]
        nearest = int(np.abs(colours - GREY).sum(axis=1).argmin()) if len(colours) else 0
        return bytes([sum(nearest << shift for shift in range(0, 8, bits))])
    if bits < 8:
        return {1: b"\x55", 2: b"\xaa", 4: b"\x88"}.get(bits, b"\0")
    grey, opaque = (bytes([value]) * (bits // 8) for value in (GREY, 255))
    has_alpha = kind in (GREY_ALPHA, RGB_ALPHA)
    return grey * (SAMPLES[kind] - has_alpha) + opaque * has_alpha


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
