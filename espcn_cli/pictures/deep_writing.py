"""Colour of more than 8 bits, which Pillow cannot write: PNG, TIFF, PPM and JPEG 2000 by the extra `deep`."""

from __future__ import annotations

import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from PIL import ExifTags, Image, TiffImagePlugin

from espcn_cli.errors import EspcnError
from espcn_cli.pictures.deep_reading import REMEDY, Levels, is_there

MAX_CLASSIC = 2**32 - 2**25
"""Bytes of pixels that a classic TIFF holds for sure."""

PNG_HEADER = 8 + 25
"""Bytes of a PNG's signature and of its first chunk."""

WRITES = ("PNG", "TIFF", "PPM", "JPEG2000")
"""Formats that keep 16 bits in colour."""


def write(arrays: list[Levels], kind: str, file: Path | BytesIO, options: dict[str, Any]) -> None:
    """Write pages as TIFF, or the first as one of the other WRITES, with Pillow's options for profile and the like."""
    if not is_there():
        raise EspcnError(f"cannot write more than 8 bits per sample in colour: {REMEDY}")
    if kind == "TIFF":
        _write_tiff(arrays, file, options)
        return
    writers = {"PNG": _png, "PPM": _ppm, "JPEG2000": _jpeg_2000}
    parts = writers[kind](arrays[0], options)
    if isinstance(file, BytesIO):
        file.writelines(parts)
        return
    with file.open("wb") as out:
        out.writelines(parts)


def _png(array: Levels, options: dict[str, Any]) -> list[Any]:
    """The chunks beside the pixels are those that Pillow writes for a single pixel with the same options."""
    import imagecodecs

    pixels = memoryview(imagecodecs.png_encode(array, level=options.get("compress_level", 1)))
    small = BytesIO()
    Image.new("RGB", (1, 1)).save(small, format="PNG", **options)
    return [pixels[:PNG_HEADER], _ancillary(small.getvalue()), pixels[PNG_HEADER:]]


def _ancillary(png: bytes) -> bytes:
    found, position = b"", 8
    while position < len(png):
        (length,) = struct.unpack(">I", png[position : position + 4])
        if png[position + 4 : position + 8] not in (b"IHDR", b"IDAT", b"IEND"):
            found += png[position : position + 12 + length]
        position += 12 + length
    return found


def _ppm(array: Levels, options: dict[str, Any]) -> list[Any]:
    height, width, channels = array.shape
    return [f"P{5 if channels == 1 else 6}\n{width} {height}\n65535\n".encode(), array.astype(">u2").data]


def _jpeg_2000(array: Levels, options: dict[str, Any]) -> list[Any]:
    import imagecodecs

    kind = "j2k" if options.get("no_jp2") else "jp2"
    return [imagecodecs.jpeg2k_encode(array, level=0, reversible=True, codecformat=kind)]


def _write_tiff(arrays: list[Levels], file: Path | BytesIO, options: dict[str, Any]) -> None:
    import tifffile

    exif = _exif_of(options)
    fixed: dict[str, Any] = {"compression": "zlib", "metadata": None, "software": False}
    if "dpi" in options:
        fixed |= {"resolution": options["dpi"], "resolutionunit": "INCH"}
    if "icc_profile" in options:
        fixed["iccprofile"] = options["icc_profile"]
    directories = {int(tag): exif.get_ifd(tag) for tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo) if tag in exif}
    big = sum(array.nbytes for array in arrays) > MAX_CLASSIC
    with tifffile.TiffWriter(file, bigtiff=big, byteorder="<") as writer:
        for array in arrays:
            colours = 1 if array.shape[2] < 3 else 3
            writer.write(
                array if array.shape[2] > 1 else array[..., 0],
                photometric="minisblack" if colours == 1 else "rgb",
                planarconfig="contig" if array.shape[2] > 1 else None,
                extrasamples=["unassalpha"] if array.shape[2] > colours else None,
                extratags=_tags(exif),
                **fixed,
            )
    if directories:
        _append_exif(file, directories, big)


def _exif_of(options: dict[str, Any]) -> Image.Exif:
    exif = options.get("exif")
    if isinstance(exif, Image.Exif):
        return exif
    made = Image.Exif()
    made.load(exif or b"")
    return made


def _tags(exif: Image.Exif) -> list[tuple[int, int, int, Any, bool]]:
    """The first directory's tags as tifffile takes them; numbers, text and bytes are all that cameras write there."""
    found: list[tuple[int, int, int, Any, bool]] = []
    for tag, value in exif.items():
        if isinstance(value, str):
            found.append((tag, 2, 0, value, True))
        elif isinstance(value, bytes):
            found.append((tag, 1, len(value), value, True))
        elif isinstance(value, int) and tag not in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            found.append((tag, 4, 1, value, True))
    return found


def _append_exif(file: Path | BytesIO, directories: dict[int, dict[int, Any]], big: bool) -> None:
    """Put EXIF's own directories to the end of a TIFF, and after them its first one again, which points to them.

    tifffile writes no tags that point to directories.
    """
    stream = file.open("r+b") if isinstance(file, Path) else file
    try:
        pointers = {tag: _append(stream, _directory(tag, values, big)) for tag, values in directories.items()}
        start, count_format, entry, long = (8, "<Q", "<HHQQ", "<Q") if big else (4, "<H", "<HHII", "<I")
        stream.seek(start)
        (first,) = struct.unpack(long, stream.read(struct.calcsize(long)))
        stream.seek(first)
        (count,) = struct.unpack(count_format, stream.read(struct.calcsize(count_format)))
        size = struct.calcsize(entry)
        entries = [stream.read(size) for _ in range(count)]
        next_one = stream.read(struct.calcsize(long))
        entries += [struct.pack(entry, tag, 4, 1, place) for tag, place in pointers.items()]
        entries.sort(key=lambda data: struct.unpack("<H", data[:2]))
        again = struct.pack(count_format, len(entries)) + b"".join(entries) + next_one
        place = _append(stream, lambda offset: again)
        stream.seek(start)
        stream.write(struct.pack(long, place))
    finally:
        if isinstance(file, Path):
            stream.close()


def _append(stream: IO[bytes], make: Callable[[int], bytes]) -> int:
    """Write what `make` gives for its even place at the end of a file; returns the place."""
    place = stream.seek(0, 2)
    place += stream.write(b"\0" * (place % 2))
    stream.write(make(place))
    return place


def _directory(tag: int, values: dict[int, Any], big: bool) -> Callable[[int], bytes]:
    head = b"II+\0\x08\0\0\0".ljust(16, b"\0") if big else b"II*\0".ljust(8, b"\0")
    directory = TiffImagePlugin.ImageFileDirectory_v2(head, group=tag)
    for key, value in values.items():
        if key != ExifTags.IFD.Interop:  # a directory of its own, that names EXIF's version again
            directory[key] = value
    return directory.tobytes
