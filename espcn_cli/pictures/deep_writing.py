"""Colour of more than 8 bits, which Pillow cannot write: TIFF, PPM and JPEG 2000 by the extra `deep`."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

from espcn_cli.errors import EspcnError
from espcn_cli.pictures import tiff_tags
from espcn_cli.pictures.deep_reading import REMEDY, Levels, is_there

MAX_CLASSIC = 2**32 - 2**25
"""Bytes of pixels that a classic TIFF holds for sure."""

WRITES = ("TIFF", "PPM", "JPEG2000")
"""Formats that keep 16 bits in colour by it; PNG does by our own writer."""


def check() -> None:
    """Raise EspcnError if the extra is not installed."""
    if not is_there():
        raise EspcnError(f"cannot write more than 8 bits per sample in colour: {REMEDY}")


def write(arrays: list[Levels], kind: str, file: Path | BytesIO, options: dict[str, Any]) -> None:
    """Write pages as TIFF, or the first as one of the other WRITES, with Pillow's options for profile and the like."""
    check()
    if kind == "TIFF":
        _write_tiff(arrays, file, options)
        return
    writers = {"PPM": _ppm, "JPEG2000": _jpeg_2000}
    parts = writers[kind](arrays[0], options)
    if isinstance(file, BytesIO):
        file.writelines(parts)
        return
    with file.open("wb") as out:
        out.writelines(parts)


def _ppm(array: Levels, options: dict[str, Any]) -> list[Any]:
    height, width, channels = array.shape
    return [f"P{5 if channels == 1 else 6}\n{width} {height}\n65535\n".encode(), array.astype(">u2").data]


def _jpeg_2000(array: Levels, options: dict[str, Any]) -> list[Any]:
    import imagecodecs

    kind = "j2k" if options.get("no_jp2") else "jp2"
    return [imagecodecs.jpeg2k_encode(array, level=0, reversible=True, codecformat=kind)]


def _write_tiff(arrays: list[Levels], file: Path | BytesIO, options: dict[str, Any]) -> None:
    import tifffile

    fixed: dict[str, Any] = {"compression": "zlib", "metadata": None, "software": False}
    if "dpi" in options:
        fixed |= {"resolution": options["dpi"], "resolutionunit": "INCH"}
    if "icc_profile" in options:
        fixed["iccprofile"] = options["icc_profile"]
    tags = tiff_tags.for_tifffile(options["tiffinfo"])
    big = sum(array.nbytes for array in arrays) > MAX_CLASSIC
    with tifffile.TiffWriter(file, bigtiff=big, byteorder="<") as writer:
        for array in arrays:
            colours = 1 if array.shape[2] < 3 else 3
            writer.write(
                array if array.shape[2] > 1 else array[..., 0],
                photometric="minisblack" if colours == 1 else "rgb",
                planarconfig="contig" if array.shape[2] > 1 else None,
                extrasamples=["unassalpha"] if array.shape[2] > colours else None,
                extratags=tags,
                **fixed,
            )
