"""Colour of 16 bits per sample, which Pillow would cut to 8: PNG and TIFF through the libraries of an extra."""

from __future__ import annotations

import re
import struct
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from espcn_cli.errors import EspcnError

Samples = NDArray[np.uint16]
"""(H, W, C): grey + alpha, RGB or RGBA."""

REMEDY = "install 'espcn[deep]' to keep them, or cut them down to 8 with --depth 8"
PNG_HEADER = 8 + 25
"""Bytes of a PNG's signature and of its first chunk."""


def is_deep(image: Image.Image) -> bool:
    """Whether a file not yet loaded holds 16-bit samples of a mode that Pillow reads as 8."""
    if image.mode.startswith(("I", "F")) or not getattr(image, "tile", None):
        return False
    arguments = image.tile[0].args  # type: ignore[attr-defined]
    values = arguments if isinstance(arguments, (tuple, list)) else (arguments,)
    if image.format == "PPM":
        return values[-1:] == (65535,) or (isinstance(values[-1], int) and values[-1] > 255)
    return any(isinstance(value, str) and re.search(r";16[BLN]", value) for value in values)


def read(file: Path | IO[bytes] | None, kind: str | None) -> list[Samples]:
    """Every page of a 16-bit file. Raises EspcnError if the extra is not there, or the file is not of its kinds."""
    if kind not in ("PNG", "TIFF"):
        raise EspcnError("16 bits per sample are kept in PNG and TIFF only: cut them down to 8 with --depth 8")
    try:
        import imagecodecs
        import tifffile
    except ImportError:
        raise EspcnError(f"16 bits per sample in colour: {REMEDY}") from None
    data = file.read_bytes() if isinstance(file, Path) else _rest(file)
    if kind == "PNG":
        return [_checked(imagecodecs.png_decode(data))]
    with tifffile.TiffFile(BytesIO(data)) as tiff:
        return [_checked(_channels_last(page)) for page in tiff.pages]


def _rest(file: IO[bytes] | None) -> bytes:
    if file is None:
        raise EspcnError("cannot be read twice")
    file.seek(0)
    return file.read()


def _channels_last(page: Any) -> Any:
    array = page.asarray()
    return np.moveaxis(array, 0, -1) if array.ndim == 3 and page.planarconfig == 2 else array


def _checked(array: Any) -> Samples:
    array = array[..., None] if array.ndim == 2 else array
    if array.dtype != np.uint16 or array.ndim != 3 or array.shape[2] not in (2, 3, 4):
        raise EspcnError(f"16 bits per sample in {array.shape[-1]} channels: cut them down to 8 with --depth 8")
    return np.ascontiguousarray(array)


def upright(array: Samples, orientation: int) -> Samples:
    """Turn the pixels as EXIF's orientation says."""
    turns = {2: 0, 3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}
    turned = np.rot90(array, turns.get(orientation, 0))
    if orientation in (2, 4):
        turned = np.fliplr(turned)
    elif orientation in (5, 7):
        turned = np.flipud(turned)
    return np.ascontiguousarray(turned)


def write(arrays: list[Samples], kind: str, file: Path | BytesIO, options: dict[str, Any]) -> list[str]:
    """Write 16-bit pages as PNG (the first) or TIFF with Pillow's options for profile and the like; returns notes."""
    data, notes = _png(arrays[0], options) if kind == "PNG" else _tiff(arrays, options)
    if isinstance(file, Path):
        file.write_bytes(data)
    else:
        file.write(data)
    return notes


def _png(array: Samples, options: dict[str, Any]) -> tuple[bytes, list[str]]:
    """The chunks beside the pixels are those that Pillow writes for a single pixel with the same options."""
    import imagecodecs

    pixels = bytes(imagecodecs.png_encode(array, level=options.get("compress_level", 1)))
    small = BytesIO()
    Image.new("RGB", (1, 1)).save(small, format="PNG", **options)
    return pixels[:PNG_HEADER] + _ancillary(small.getvalue()) + pixels[PNG_HEADER:], []


def _ancillary(png: bytes) -> bytes:
    found, position = b"", 8
    while position < len(png):
        (length,) = struct.unpack(">I", png[position : position + 4])
        if png[position + 4 : position + 8] not in (b"IHDR", b"IDAT", b"IEND"):
            found += png[position : position + 12 + length]
        position += 12 + length
    return found


def _tiff(arrays: list[Samples], options: dict[str, Any]) -> tuple[bytes, list[str]]:
    import tifffile

    exif = options.get("exif")
    xmp = exif.get(0x02BC) if isinstance(exif, Image.Exif) else None
    fixed: dict[str, Any] = {"compression": "zlib", "metadata": None, "software": False}
    if "dpi" in options:
        fixed |= {"resolution": options["dpi"], "resolutionunit": "INCH"}
    if "icc_profile" in options:
        fixed["iccprofile"] = options["icc_profile"]
    if xmp:
        fixed["extratags"] = [(700, 1, len(xmp), xmp, True)]
    out = BytesIO()
    with tifffile.TiffWriter(out) as writer:
        for array in arrays:
            writer.write(
                array,
                photometric="minisblack" if array.shape[2] == 2 else "rgb",
                planarconfig="contig",
                extrasamples=["unassalpha"] if array.shape[2] in (2, 4) else None,
                **fixed,
            )
    return out.getvalue(), ["EXIF is left out of 16-bit colour TIFF"] if exif and not (xmp and len(exif) == 1) else []
