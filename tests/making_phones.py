"""HEICs and JPEG XLs as phones and encoders make them; by the libraries themselves, not by our writers."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making import natural

from espcn_cli.maths.levels import Levels
from espcn_cli.pictures import jxl as module

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def heic(levels: Levels | None = None, quality: int = 90, **options: Any) -> bytes:
    """A HEIC with chroma at full resolution. uint16 is written with 10 bits."""
    pillow_heif = pytest.importorskip("pillow_heif")
    levels = natural(24, 18) if levels is None else levels
    mode = MODES[levels.shape[2]] + (";16" if levels.dtype == np.uint16 else "")
    out = BytesIO()
    size = levels.shape[1], levels.shape[0]
    pillow_heif.encode(mode, size, levels.tobytes(), out, quality=quality, **{"chroma": 444} | options)
    return out.getvalue()


def jxl(levels: Levels | None = None, **metadata: Any) -> bytes:
    """A lossless JPEG XL of 8 bits; `exif`, `xmp`, and `compress` for boxes packed by Brotli, as cjxl makes them."""
    plugin = pytest.importorskip("pillow_jxl")
    levels = natural(24, 18) if levels is None else levels
    encoder = plugin.Encoder(mode=MODES[levels.shape[2]], lossless=True, quality=100, use_container=bool(metadata))
    data: bytes = encoder(levels.tobytes(), levels.shape[1], levels.shape[0], jpeg_encode=False, **metadata)
    return data


def jxl_of_jpeg(data: bytes, width: int, height: int) -> bytes:
    """A JPEG XL by which the JPEG can be had again."""
    plugin = pytest.importorskip("pillow_jxl")
    encoder = plugin.Encoder(mode="RGB", lossless=True, quality=100, use_container=True)
    packed: bytes = encoder(data, width, height, jpeg_encode=True)
    return packed


def deep_jxl(levels: Levels, bits: int = 16) -> bytes:
    """A lossless JPEG XL of more than 8 bits, which calls its curve linear."""
    pytest.importorskip("pillow_jxl")
    imagecodecs = pytest.importorskip("imagecodecs")
    return bytes(imagecodecs.jpegxl_encode(levels, lossless=True, bitspersample=bits))


def saved(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def gradients(width: int = 24, height: int = 18, channels: int = 3) -> Levels:
    """Smooth, in 16 bits: what no encoder hurts much."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [x / width, y / height, (x + y) / (width + height), 1 - x / (2 * width)][:channels]
    levels: Levels = np.round(np.stack(planes, axis=2) * 60000 + 1000).astype(np.uint16)
    return levels


def turned_jxl(levels: Levels, orientation: int) -> bytes:
    """A JPEG XL whose header says how it is to be turned: the bits for that are put in, and all after them moved."""
    data = jxl(levels)
    bits = [byte >> place & 1 for byte in data for place in range(8)]
    colours_end = _after_colours(data)
    size = _after_size(data)
    assert bits[size : size + 2] == [0, 0]  # not all as usual; nothing about orientation
    turn = [0, 1, *(orientation - 1 >> place & 1 for place in range(3)), 0, 0, 0]
    header = [*bits[:size], *turn, *bits[size + 2 : colours_end], 1, *bits[colours_end : colours_end + 3]]
    header += [0] * (-len(header) % 8)
    packed = bytes(
        sum(bit << place for place, bit in enumerate(header[at : at + 8])) for at in range(0, len(header), 8)
    )
    return packed + data[-(-(colours_end + 3) // 8) :]


def _after_colours(data: bytes) -> int:
    """The bit behind the colours of a bare codestream."""
    bits = module._Bits(data[2:])
    module._header(bits)
    return 16 + bits._place


def _after_size(data: bytes) -> int:
    bits = module._Bits(data[2:])
    bits.size()
    return 16 + bits._place
