"""What Pillow passes over in files made of boxes or chunks: AVIF, GIF, JPEG 2000, PNG and WebP. Bytes in, bytes out."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import SEEK_CUR, BytesIO
from typing import IO

Fields = dict[str, bytes]
"""icc_profile, exif, xmp: as Pillow names them; cICP, gAMA, cHRM, sRGB: the data of these PNG chunks."""

PNG_COLOUR = (b"cICP", b"gAMA", b"cHRM", b"sRGB")
CONTAINERS = (b"meta", b"iprp", b"ipco", b"jp2h")
PIXELS = (b"mdat", b"jp2c")
GLANCE = 1024
"""Bytes that are read of a box of pixels: the start of a JPEG 2000 codestream is in them."""

LARGEST = 2**26
"""Bytes of a box that is read; what claims more is taken for damage."""

XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
EXIF_UUID = b"JpgTiffExif->JP2"
SIZ = b"\xff\x4f\xff\x51"
"""A JPEG 2000 codestream's start, with the marker of its size segment."""


def boxes(file: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of each box of an ISO base media file from its place on; what is in a container follows it.

    Of pixels only the start is read. A damaged file gives what comes before the damage.
    """
    position = file.tell()
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        header = 8
        if size == 1 and len(more := file.read(8)) == 8:
            (size,) = struct.unpack(">Q", more)
            header = 16
        is_pixels = kind in PIXELS
        if 0 < size < header or size > (2**48 if is_pixels else LARGEST):
            return
        content = file.read(GLANCE if is_pixels else size - header if size else LARGEST)
        yield kind, content
        if kind in CONTAINERS:
            yield from boxes(BytesIO(content[4:] if kind == b"meta" else content))
        if not size:
            return
        position = file.seek(position + size)


def png_chunks(file: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of the chunks on colour in a PNG before its pixels."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name == b"IDAT":
            return
        if name in PNG_COLOUR and length <= LARGEST:
            yield name, file.read(length)
            length = 0
        file.seek(length + 4, SEEK_CUR)


def riff_chunks(file: IO[bytes]) -> Iterator[bytes]:
    """Names of a WebP's chunks."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", head)
        yield name
        file.seek(length + length % 2, SEEK_CUR)


def gif_palettes(file: IO[bytes]) -> Iterator[bytes]:
    """The palette of each image in a GIF, its own or the file's: R, G and B by turns. Damage ends it."""
    file.seek(10)
    head = file.read(3)
    shared = file.read(_gif_palette_size(head[0])) if len(head) == 3 else b""
    while (kind := file.read(1)) not in (b"", b";"):
        if kind == b"!":
            file.seek(1, SEEK_CUR)
        elif kind == b"," and len(place := file.read(9)) == 9:
            yield file.read(_gif_palette_size(place[8])) or shared
            file.seek(1, SEEK_CUR)
        else:
            continue
        while (length := file.read(1)) not in (b"", b"\0"):
            file.seek(length[0], SEEK_CUR)


def _gif_palette_size(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 128 else 0


def fields(file: IO[bytes], kind: str | None) -> Fields:
    """What stands beside the pixels of a file in Pillow's format `kind` and Pillow does not read; its place is kept."""
    readers = {"PNG": _of_png, "AVIF": _of_avif, "JPEG2000": _of_jpeg_2000}
    with at_start(file):
        return readers[kind](file) if kind in readers else {}


@contextmanager
def at_start(file: IO[bytes]) -> Iterator[None]:
    """Go to a file's first byte, and back in the end to where it was."""
    position = file.tell()
    file.seek(0)
    try:
        yield
    finally:
        file.seek(position)


def _of_png(file: IO[bytes]) -> Fields:
    return {name.decode(): content for name, content in png_chunks(file)}


def _of_avif(file: IO[bytes]) -> Fields:
    """The coding-independent code points, as PNG's cICP for RGB in full range has them."""
    for kind, content in boxes(file):
        if kind == b"colr" and content[:4] == b"nclx" and len(content) >= 8:
            primaries, transfer = struct.unpack_from(">HH", content, 4)
            return {"cICP": bytes((primaries % 256, transfer % 256, 0, 1))}
    return {}


def _of_jpeg_2000(file: IO[bytes]) -> Fields:
    found: Fields = {}
    for kind, content in boxes(file):
        if kind == b"colr" and content[:1] in (b"\2", b"\3"):
            found.setdefault("icc_profile", content[3:])
        elif kind == b"uuid" and content[:16] == XMP_UUID:
            found["xmp"] = content[16:]
        elif kind == b"uuid" and content[:16] == EXIF_UUID:
            found["exif"] = b"Exif\0\0" + content[16:].removeprefix(b"Exif\0\0")
    return found


def bits(file: IO[bytes], kind: str | None) -> int:
    """Bits per sample of an AVIF or JPEG 2000 file, the most of its components; 8 if that is not found."""
    with at_start(file):
        if kind == "AVIF":
            return max([_av1_bits(content) for name, content in boxes(file) if name == b"av1C"], default=8)
        if file.read(4) == SIZ:
            file.seek(0)
            return _codestream_bits(file.read(GLANCE))
        file.seek(0)
        return max([_codestream_bits(content) for name, content in boxes(file) if name == b"jp2c"], default=8)


def _av1_bits(configuration: bytes) -> int:
    high, twelve = (bool(configuration[2] & bit) if len(configuration) > 2 else False for bit in (0x40, 0x20))
    return 12 if high and twelve else 10 if high else 8


def _codestream_bits(data: bytes) -> int:
    if not data.startswith(SIZ) or len(data) < 45:
        return 8
    (count,) = struct.unpack_from(">H", data, 40)
    return max((depth & 0x7F) + 1 for depth in data[42 : 42 + 3 * max(count, 1) : 3])
