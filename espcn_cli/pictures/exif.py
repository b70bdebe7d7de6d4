"""EXIF as its camera wrote it: what speaks of pixels is changed where it stands, and all else keeps its place.

Written anew, it would lose the notes of makers, which count bytes from the start of the whole, and the kinds of tags.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from io import BytesIO
from typing import Any

from PIL import ExifTags, Image

from espcn_cli.maths.turns import Turn
from espcn_cli.pictures import inventory
from espcn_cli.pictures.change import AS_IT_IS, Change, upright

PREFIX = b"Exif\0\0"
ORIENTATION = 0x0112
DESCRIPTION = 0x010E
RESOLUTION, RESOLUTION_UNIT = (0x011A, 0x011B), 0x0128
THUMBNAIL_PLACE, THUMBNAIL_LENGTH = 0x0201, 0x0202
THUMBNAIL_QUALITY = 85
ROOM = 65000
"""Bytes of EXIF that every format takes."""

EMPTY = b"II*\0\x08\0\0\0\0\0\0\0\0\0"
"""EXIF that says nothing."""

ASCII, SHORT, LONG = 2, 3, 4
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of a value, by TIFF's types."""

CODES = {1: "B", 3: "H", 4: "L", 5: "L", 6: "b", 8: "h", 9: "l", 10: "l"}
RATIONALS = (5, 10)
DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)


class _Block:
    """The bytes from EXIF's header of a TIFF on. Raises struct.error or ValueError where they are cut short."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(re.sub(rb"^(Exif\0\0)+", b"", data))
        self.order = {b"II": "<", b"MM": ">"}[bytes(self.data[:2])]
        self.places = {0: self.read("L", 4)[0]}
        for directory, tag in ((0, inventory.EXIF), (inventory.EXIF, inventory.INTEROPERABILITY)):
            with suppress(KeyError, struct.error):
                (place,) = self.read("L", self.entries(directory)[tag] + 8)
                self.entries_at(place)  # or it is none
                self.places[tag] = place

    def read(self, code: str, place: int) -> tuple[Any, ...]:
        return struct.unpack_from(self.order + code, self.data, place)

    def write(self, code: str, place: int, *values: Any) -> None:
        struct.pack_into(self.order + code, self.data, place, *values)

    def entries(self, directory: int) -> dict[int, int]:
        """Tag -> the place of its entry."""
        if directory not in self.places:
            return {}
        return self.entries_at(self.places[directory])

    def entries_at(self, start: int) -> dict[int, int]:
        (count,) = self.read("H", start)
        return {self.read("H", place)[0]: place for place in range(start + 2, start + 2 + 12 * count, 12)}

    def place_of(self, entry: int) -> tuple[int, int, int]:
        """Type and number of an entry's values, and where they stand."""
        _, kind, count = self.read("HHL", entry)
        size = SIZES.get(kind, 0) * count
        place = entry + 8 if size <= 4 else self.read("L", entry + 8)[0]
        if place + size > len(self.data):
            raise ValueError("a value outside of the block")
        return kind, count, place

    def numbers(self, entry: int) -> list[Fraction]:
        """An entry's whole numbers and fractions. Raises ValueError, KeyError or ZeroDivisionError for others."""
        kind, count, place = self.place_of(entry)
        values = self.read(f"{count * (1 + (kind in RATIONALS))}{CODES[kind]}", place)
        if kind in RATIONALS:
            return [Fraction(above, below) for above, below in zip(values[::2], values[1::2], strict=True)]
        return [Fraction(value) for value in values]

    def put(self, entry: int, numbers: Sequence[int | Fraction]) -> None:
        """Replace as many numbers. Raises struct.error where they are too large."""
        kind, count, place = self.place_of(entry)
        if kind == SHORT and count == 1 and max(numbers) > 65535:
            self.write("H", entry + 2, LONG)
            kind = LONG
        if kind in RATIONALS:
            numbers = [part for number in numbers for part in _in_32_bits(Fraction(number)).as_integer_ratio()]
        self.write(f"{len(numbers)}{CODES[kind]}", place, *(int(number) for number in numbers))

    def delete(self, directory: int, tags: frozenset[int]) -> None:
        """Take entries out of a directory; what they point to stays behind."""
        start, entries = self.places[directory], self.entries(directory)
        (count,) = self.read("H", start)
        kept = [bytes(self.data[place : place + 12]) for tag, place in entries.items() if tag not in tags]
        if len(kept) == count:
            return
        rest = self.data[start + 2 + 12 * count : start + 6 + 12 * count]
        made = struct.pack(self.order + "H", len(kept)) + b"".join(kept) + rest
        self.data[start : start + len(made)] = made

    def text(self, tag: int) -> str:
        """The text of a tag in the first directory, empty if there is none."""
        entry = self.entries(0).get(tag)
        if entry is None:
            return ""
        kind, count, place = self.place_of(entry)
        return self.data[place : place + count].decode("latin-1").rstrip("\0") if kind == ASCII else ""

    def turn_thumbnail(self, turn: Turn) -> bool:
        """Turn the thumbnail too, or take it away if that cannot be; whether it is there no more."""
        directory = self.thumbnail()
        if directory is None:
            return False
        try:
            entries = self.entries_at(directory)
            (place,), (length,) = (self.read("L", entries[tag] + 8) for tag in (THUMBNAIL_PLACE, THUMBNAIL_LENGTH))
            is_last = place + length == len(self.data)
            made = _turned(bytes(self.data[place : place + length]), turn)
            if len(made) > length and not (is_last and place + len(made) <= ROOM):
                raise ValueError("no room for it")
            self.data[place : place + length] = made if is_last else made.ljust(length, b"\0")
            self.write("L", entries[THUMBNAIL_LENGTH] + 8, len(made))
            if ORIENTATION in entries:
                self.write("H", entries[ORIENTATION] + 8, 1)
        except Exception:  # whatever there is, it is no JPEG
            self.write("L", self._link(), 0)
            return True
        return False

    def thumbnail(self) -> int | None:
        """Where the directory of the thumbnail starts."""
        link = self._link()
        second = self.read("L", link)[0] if link + 4 <= len(self.data) else 0
        return second or None

    def _link(self) -> int:
        start = self.places[0]
        count: int = self.read("H", start)[0]
        return int(start + 2 + 12 * count)


def _turned(jpeg: bytes, turn: Turn) -> bytes:
    out = BytesIO()
    with Image.open(BytesIO(jpeg), formats=("JPEG",)) as image:
        upright(image, turn).save(out, "JPEG", quality=THUMBNAIL_QUALITY)
    return out.getvalue()


def _in_32_bits(number: Fraction) -> Fraction:
    below = 2**31 - 1
    while max(abs(number.numerator), number.denominator) > 2**31 - 1 and below:
        number = number.limit_denominator(below)
        below //= 2
    return number


def cleaned(data: bytes, turn: Turn) -> tuple[bytes, list[str]]:
    """EXIF for the picture turned so: without what tells of its file's storage; and names of what was left out else.

    Empty if nothing remains. Raises ValueError, KeyError or struct.error if it cannot be read.
    """
    block = _Block(data)
    gone: list[str] = []
    if inventory.is_of_array(block.text(DESCRIPTION)):
        block.delete(0, frozenset((DESCRIPTION,)))
        gone.append(inventory.ARRAY)
    if turn != AS_IT_IS and block.turn_thumbnail(turn):
        gone.append(inventory.THUMBNAIL)
    for directory, tags in inventory.EXIF_GONE.items():
        if directory in block.places:
            block.delete(directory, tags)
    return (PREFIX + bytes(block.data) if block.entries(0) else b""), gone


def moved(data: bytes, change: Change) -> bytes:
    """With everything that speaks of pixels brought up to date; what is no number stays as it is."""
    block = _Block(data)
    for directory in block.places:
        entries = block.entries(directory)
        size = [entries.get(tag) for tag in inventory.EXIF_SIZES[directory]]
        for entry, side in zip(size, change.after, strict=True):
            if entry is not None:
                _put(block, entry, [side])
        _move_resolution(block, [entries.get(tag) for tag in inventory.EXIF_PER_PIXEL.get(directory, ())], change)
        for entry in (entries[tag] for tag in inventory.EXIF_SPOTS.get(directory, ()) if tag in entries):
            with suppress(ValueError, KeyError, ZeroDivisionError):
                if len(values := block.numbers(entry)) in (2, 3, 4):
                    _put(block, entry, change.spot([float(value) for value in values]))
    return PREFIX + bytes(block.data)


def _move_resolution(block: _Block, entries: list[int | None], change: Change) -> None:
    """Pixels per unit of length on the sensor, along both axes."""
    there = [entry for entry in entries if entry is not None]
    with suppress(ValueError, KeyError, ZeroDivisionError):
        values = [block.numbers(entry)[0] for entry in there]
        if len(there) == 2:
            values = values[::-1] if change.turn.swaps_sides else values
            for entry, value, factor in zip(there, values, change.factors, strict=True):
                _put(block, entry, [value * factor])


def _put(block: _Block, entry: int, numbers: Sequence[int | Fraction]) -> None:
    with suppress(struct.error, KeyError, ValueError):  # an odd type, or too large a number for it
        block.put(entry, numbers)


def with_resolution(data: bytes, dpi: int) -> bytes:
    """EXIF with so many dots per inch; made anew if there is none. Raises as `cleaned` if it cannot be read.

    The first directory is written once more at the end, so that nothing else changes its place.
    """
    block = _Block(data or EMPTY)
    start, entries = block.places[0], block.entries(0)
    kept = {
        tag: bytes(block.data[place : place + 12])
        for tag, place in entries.items()
        if tag not in (*RESOLUTION, RESOLUTION_UNIT)
    }
    behind = start + 2 + 12 * len(entries)
    following = bytes(block.data[behind : behind + 4]).ljust(4, b"\0")
    block.data += bytes(len(block.data) % 2)
    value = len(block.data)
    made = {tag: struct.pack(block.order + "HHLL", tag, RATIONALS[0], 1, value) for tag in RESOLUTION}
    made[RESOLUTION_UNIT] = struct.pack(block.order + "HHLHH", RESOLUTION_UNIT, SHORT, 1, 2, 0)
    directory = [entry for _, entry in sorted((kept | made).items())]
    block.data += struct.pack(block.order + "LLH", dpi, 1, len(directory)) + b"".join(directory) + following
    block.write("L", 4, value + 8)
    return PREFIX + bytes(block.data)


def resolution(data: bytes) -> tuple[float, float] | None:
    """Dots per inch as EXIF has them; None if it says nothing of them."""
    try:
        block = _Block(data)
        entries = block.entries(0)
        across, down = (float(block.numbers(entries[tag])[0]) for tag in RESOLUTION)
        unit = block.numbers(entries[RESOLUTION_UNIT])[0] if RESOLUTION_UNIT in entries else 2
    except (ValueError, KeyError, IndexError, ZeroDivisionError, struct.error):
        return None
    to_inch = {2: 1.0, 3: 2.54}.get(int(unit))
    return (across * to_inch, down * to_inch) if to_inch else None


def of_tiff(exif: Image.Exif) -> tuple[bytes, list[str]]:
    """What EXIF has room for of a TIFF's first directory, with those of EXIF and GPS; and names of what is left out."""
    copy = Image.Exif()
    copy.endian = exif.endian
    for tag in [tag for tag in exif if tag in inventory.DESCRIPTIVE]:
        copy[tag] = directory(exif, tag) if tag in DIRECTORIES else as_bytes(exif[tag])
    gone = [inventory.ARRAY] if inventory.is_of_array(str(exif.get(DESCRIPTION, ""))) else []
    if gone:
        del copy[DESCRIPTION]
    return (copy.tobytes() if len(copy) else b""), gone


def has_thumbnail(data: bytes) -> bool:
    """Whether there is a second directory: the thumbnail's."""
    return _Block(data).thumbnail() is not None


def directory(exif: Image.Exif, tag: int) -> dict[int, Any]:
    """EXIF's own directory or that of GPS, with what it points to, as Pillow writes it."""
    found = {key: as_bytes(value) for key, value in exif.get_ifd(tag).items()}
    if tag == ExifTags.IFD.Exif and ExifTags.IFD.Interop in found:
        found[ExifTags.IFD.Interop] = dict(exif.get_ifd(ExifTags.IFD.Interop))
    return found


def as_bytes(value: Any) -> Any:
    """Text as the bytes that Pillow has read it from: it would write a question mark for each beyond ASCII."""
    return value.encode("latin-1") if isinstance(value, str) and not value.isascii() else value
