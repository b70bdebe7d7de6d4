"""What a file tells of the losses that its picture went through: JPEG's tables, WebP's quantiser, a palette.

Only the file's own last compression is known; what the picture went through before can be seen at most.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from espcn_cli.pictures import boxes

STANDARD = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""The luma table of JPEG's standard, Annex K.1, which libjpeg scales by the quality."""

COARSE = np.add.outer(np.arange(8), np.arange(8)) < 7
"""The half of a table for coarse detail, which other encoders leave as they found it."""

ALIKE = 0.3
"""A table is of a quality if the logarithms of its coarse half are off by no more than this, in the mean.

Photoshop's tables and mozjpeg's are off by up to 0.2, flat ones by 0.4 and more.
"""

JPEG_TABLES, SUBSAMPLING = 347, 530
"""TIFF's tags for the tables that its JPEG strips share, and for how many pixels of luma there are to one of chroma."""

ONE_COLOUR_EACH = ("P", "1")
"""Modes whose pixels are one of a few colours."""


@dataclass(frozen=True)
class Traces:
    """Each is None where the file does not tell it.

    `jpeg`: quality from 1 to 100 after libjpeg's scale, by the luma table; `webp`: of a lossy WebP, the mean index of
    its segments' quantisers, from 0 (fine) to 127 (coarse); `colours`: how many a palette's picture uses. `halved`: the
    file held chroma at half the resolution in both directions, as most JPEGs and all lossy WebPs do.
    """

    jpeg: int | None = None
    webp: float | None = None
    colours: int | None = None
    halved: bool = False


def traces_of(image: Image.Image) -> Traces:
    """What the file of an opened image tells; nothing of an image that comes from no file, or not fresh from it.

    It goes by what Pillow found the file to be, whatever it is called. Loads the frame at hand if it has a palette.
    """
    webp = _webp(image)
    return Traces(_jpeg(image), webp, _colours(image), webp is not None or _is_halved(image))


def _is_halved(image: Image.Image) -> bool:
    """Of a JPEG, and of a TIFF whose strips are JPEGs."""
    try:
        if image.format == "TIFF":
            tags = image.tag_v2  # type: ignore[attr-defined]
            return tags.get(JPEG_TABLES) is not None and tuple(tags.get(SUBSAMPLING, ())) == (2, 2)
        layers = getattr(image, "layer", None) or []
        return len(layers) == 3 and [layer[1:3] for layer in layers] == [(2, 2), (1, 1), (1, 1)]
    except (TypeError, ValueError, IndexError):  # of damaged headers
        return False


def _jpeg(image: Image.Image) -> int | None:
    try:
        tables: dict[int, Any] = getattr(image, "quantization", None) or {}
        if image.format == "TIFF":
            tables = dict(_quantisers(image.tag_v2.get(JPEG_TABLES, b"")))  # type: ignore[attr-defined]
        layers = getattr(image, "layer", None) or [(1, 1, 1, 0)]
        table = tables.get(layers[0][3])
    except (TypeError, ValueError, IndexError, struct.error):  # of damaged headers
        return None
    return quality(table) if table is not None and len(table) == 64 else None


def quality(table: Any) -> int | None:
    """The quality from 1 to 100 at which libjpeg's luma table is like this one of 64 entries; None for another kind."""
    found = np.asarray(table, float).reshape(8, 8).clip(0.1, 255)
    off = np.abs(np.log(_tables() / found))
    coarse = off[:, COARSE].mean(axis=1)
    best = int((coarse + 0.01 * off.mean(axis=(1, 2))).argmin())  # of those that are alike there, by the rest
    return best + 1 if coarse[best] <= ALIKE else None


@cache
def _tables() -> NDArray[np.float64]:
    """(100, 8, 8): libjpeg's luma tables at quality 1, 2 ... 100."""
    qualities = np.arange(1, 101)[:, None, None]
    percent = np.where(qualities < 50, 5000 // qualities, 200 - 2 * qualities)
    return ((np.array(STANDARD) * percent + 50) // 100).clip(1, 255).astype(float)


ZIGZAG = sorted(range(64), key=lambda i: (i // 8 + i % 8, i // 8 if (i // 8 + i % 8) % 2 else i % 8))
"""Places in a table in the order in which a JPEG holds its entries."""


def _quantisers(data: bytes) -> Iterator[tuple[int, list[int]]]:
    """Number and entries of the quantisation tables in an abbreviated JPEG of tables alone."""
    position = 2
    while position + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, position)
        body = data[position + 4 : position + 2 + length]
        while marker == 0xFFDB and body:
            size = 2 if body[0] >> 4 else 1
            entries = struct.unpack_from(f">64{'H' if size == 2 else 'B'}", body, 1)
            table = [0] * 64
            for place, entry in zip(ZIGZAG, entries, strict=True):
                table[place] = entry
            yield body[0] & 15, table
            body = body[1 + 64 * size :]
        position += 2 + length


def _colours(image: Image.Image) -> int | None:
    if image.mode not in ONE_COLOUR_EACH and image.format != "GIF":
        return None
    colours = image.getcolors(256)
    return len(colours) if colours else None


def _webp(image: Image.Image) -> float | None:
    file = getattr(image, "fp", None)
    if image.format != "WEBP" or file is None:
        return None
    with boxes.at_start(file):
        frame = boxes.vp8_frame(file)
    return mean_quantiser(frame) if frame is not None else None


def mean_quantiser(frame: bytes) -> float | None:
    """The mean quantiser index of the segments of a VP8 key frame; None if its start is damaged (RFC 6386, 9.2-9.6)."""
    if len(frame) < 12 or frame[0] & 1 or frame[3:6] != b"\x9d\x01\x2a":
        return None
    header = _Bits(frame[10:])
    header.number(2)  # colour space, clamping
    absolute, changes = False, [0]
    if header.number(1):
        new_map, new_values = header.number(1), header.number(1)
        if new_values:
            absolute = bool(header.number(1))
            changes = [header.optional(7) for _ in range(4)]
            for _ in range(4):
                header.optional(6)  # the loop filter's
        for _ in range(3 if new_map else 0):
            if header.number(1):
                header.number(8)
    header.number(10)  # the loop filter's kind, level and sharpness
    if header.number(1) and header.number(1):
        for _ in range(8):
            header.optional(6)
    header.number(2)  # partitions
    base = header.number(7)
    indices = [change if absolute else base + change for change in changes] if any(changes) else [base]
    return sum(min(max(index, 0), 127) for index in indices) / len(indices)


class _Bits:
    """VP8's arithmetic decoder, for bits that are 0 or 1 equally often (RFC 6386, 7.3); zeros after the end."""

    def __init__(self, data: bytes) -> None:
        self._data = iter(data)
        self._value = next(self._data, 0) << 8 | next(self._data, 0)
        self._range, self._shifts = 255, 0

    def number(self, bits: int) -> int:
        """A whole number of so many bits, the highest first."""
        value = 0
        for _ in range(bits):
            value = value << 1 | self._bit()
        return value

    def optional(self, bits: int) -> int:
        """A number with a sign behind it, if a bit says that there is one; else 0."""
        if not self.number(1):
            return 0
        value = self.number(bits)
        return -value if self.number(1) else value

    def _bit(self) -> int:
        split = 1 + ((self._range - 1) * 128 >> 8)
        bit = self._value >= split << 8
        self._range = self._range - split if bit else split
        self._value -= (split << 8) * bit
        while self._range < 128:
            self._value, self._range, self._shifts = self._value << 1, self._range << 1, self._shifts + 1
            if self._shifts == 8:
                self._value, self._shifts = self._value | next(self._data, 0), 0
        return int(bit)
