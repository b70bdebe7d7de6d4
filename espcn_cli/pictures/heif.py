"""HEIC, the photos of phones, by pillow-heif of the extra `formats`: opened as Pillow's images are, read and written.

The library turns pictures upright while it decodes them; EXIF's orientation says nothing about them.
"""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from espcn_cli.maths.levels import Levels

NAME, FORMAT, PACKAGE = "HEIC", "HEIF", "pillow-heif"
"""What people call it, what Pillow's plugin does, and who reads it."""

SUFFIXES = (".heic", ".heif", ".hif")

OWN_BRANDS = re.compile(rb"hei[cxms]|hev[cxms]")
SHARED_BRANDS = re.compile(rb"mif[12]|msf1|miaf")
"""Brands of HEIC, and those that AVIF has too."""

BITS = 10
"""Of a sample where there are more than 8: what the library's encoder writes, and phones read."""

CHROMA = 420
"""Chroma at half the resolution, for the same reason."""


def is_one(head: bytes) -> bool:
    """Whether a file that begins so is a HEIC, and no AVIF."""
    if head[4:8] != b"ftyp":
        return False
    brands = head[16 : max(int.from_bytes(head[:4]), 16)]
    if OWN_BRANDS.match(head[8:12]):
        return True
    return SHARED_BRANDS.match(head[8:12]) is not None and b"avi" not in brands


def is_there() -> bool:
    """Whether the library is installed."""
    try:
        import pillow_heif
    except ImportError:
        return False
    return bool(pillow_heif)


def opened(file: Path | BytesIO) -> Image.Image:
    """The main picture in a file, not decoded yet. Raises SyntaxError if it is damaged."""
    from pillow_heif import HeifImageFile

    image: Image.Image = HeifImageFile(file)
    return image


def read_deep(image: Image.Image, file: IO[bytes]) -> Levels:
    """The picture at hand with all its bits, from 0 to 2^bits - 1: uint16 (H, W) or (H, W, C)."""
    from pillow_heif import HeifFile

    found = HeifFile(file, convert_hdr_to_8bit=False, hdr_to_16bit=False)[image.tell()]
    array: Levels = np.asarray(found)
    return array


def is_premultiplied(image: Image.Image) -> bool:
    """Whether its colours were multiplied with alpha."""
    return image.mode.endswith("a")


def write(levels: Levels, stream: IO[bytes], options: dict[str, Any]) -> None:
    """(H, W, C), uint8 or uint16, as a HEIC of 8 or 10 bits. `options`: quality, icc_profile, exif and xmp."""
    import pillow_heif

    height, width, channels = levels.shape
    mode = ("L", "LA", "RGB", "RGBA")[channels - 1] + (";16" if levels.dtype == np.uint16 else "")
    data = np.ascontiguousarray(levels).tobytes()
    chroma = {} if channels < 3 else {"chroma": CHROMA}
    pillow_heif.encode(mode, (width, height), data, stream, bit_depth=BITS, **chroma, **options)
