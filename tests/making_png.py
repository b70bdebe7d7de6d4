"""PNGs by hand, chunk by chunk, and a small picture to put into them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

from making import natural
from PIL import Image, ImageCms

from espcn_cli.pictures import boxes, reading
from espcn_cli.pictures.document import Document

PIXELS = natural(16, 12)

PICTURE = Image.fromarray(PIXELS)

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(rows: Iterable[bytes], size: tuple[int, int], depth: int, colour: int, *chunks: bytes, adam7: int = 0) -> bytes:
    """A PNG by hand; `rows` without their filter bytes."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, adam7)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def rgb_png(*chunks: bytes) -> bytes:
    return png((row.tobytes() for row in PIXELS), (16, 12), 8, 2, *chunks)


def read(path: Path, data: bytes) -> Document:
    path.write_bytes(data)
    return reading.read_document(path)


def chunks_of(path: Path) -> dict[str, bytes]:
    with path.open("rb") as file:
        return boxes.fields(file, "PNG")
