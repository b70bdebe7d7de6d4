"""A TIFF's tags: which of a file's are kept, and those of a file to be written, by Pillow or by tifffile."""

from __future__ import annotations

import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from PIL import ExifTags, Image, TiffImagePlugin

from espcn_cli.pictures import exif, inventory, photoshop
from espcn_cli.pictures.exif import as_bytes
from espcn_cli.pictures.photoshop import Resource
from espcn_cli.pictures.place import Tags

Directory = TiffImagePlugin.ImageFileDirectory_v2
BYTE, ASCII, UNDEFINED = 1, 2, 7
XMP = 700
NAMED = 3
"""Unknown tags that a warning lists."""


def kept(tags: Directory) -> tuple[Tags, list[str]]:
    """The tags that neither EXIF nor another key of `metadata.Info` holds; and names of those that are left out."""
    elsewhere = inventory.TIFF_STORAGE | inventory.DESCRIPTIVE
    elsewhere |= {inventory.IPTC_TAG, inventory.PHOTOSHOP_TAG, inventory.PROFILE_TAG}
    found: Tags = {}
    gone: list[str] = []
    unknown: list[int] = []
    for tag in sorted(set(tags) - elsewhere):
        kind = tags.tagtype[tag]
        if tag in inventory.TIFF_GONE:
            gone.append(inventory.TIFF_GONE[tag])
        elif tag in inventory.TIFF_KEPT or kind == ASCII:
            found[tag] = kind, as_bytes(tags[tag])
        else:
            unknown.append(tag)
    if unknown:
        more = " ..." if len(unknown) > NAMED else ""
        gone.append(f"TIFF tag{'s' * (len(unknown) > 1)} {', '.join(map(str, unknown[:NAMED]))}{more}")
    return found, gone


def data_of(tags: Directory, tag: int) -> bytes:
    """The bytes of a tag that some write as whole numbers, of which Pillow keeps one; empty if there are none."""
    return tags._tagdata.get(tag, b"")


SIDES = (TiffImagePlugin.X_RESOLUTION, TiffImagePlugin.Y_RESOLUTION)
INCH, NO_UNIT = 2, 1


def resolution(tags: Directory) -> tuple[float, float] | None:
    """Dots per inch; None if the file does not say, or only how wide a pixel is for its height."""
    to_inch = {INCH: 1.0, 3: 2.54}.get(_unit(tags))
    if to_inch is None or not all(side in tags for side in SIDES):
        return None
    across, down = (float(tags[side]) * to_inch for side in SIDES)
    return across, down


def shape(tags: Directory) -> tuple[float, float] | None:
    """Pixels on two equal lengths, across and down, where a file has no unit for its resolution; else None."""
    if _unit(tags) != NO_UNIT or not all(side in tags for side in SIDES):
        return None
    across, down = (float(tags[side]) for side in SIDES)
    return across, down


def _unit(tags: Directory) -> int:
    unit: int = tags.get(TiffImagePlugin.RESOLUTION_UNIT, INCH)
    return unit


def written(info: dict[str, Any]) -> tuple[Directory, dict[int, dict[int, Any]]]:
    """The tags that keep `info`, and the directories that EXIF points to; profile and resolution are the writers'."""
    directory = Directory()
    made = Image.Exif()
    made.load(info.get("exif", b""))
    for tag in made:
        if tag not in exif.DIRECTORIES and tag not in inventory.TIFF_STORAGE:
            directory[tag] = as_bytes(made[tag])
    for tag, (kind, value) in info.get("tags", {}).items():
        directory.tagtype[tag] = kind
        directory[tag] = value
    resources = list(info.get("photoshop", ()))
    blocks = {
        XMP: (BYTE, info.get("xmp")),
        inventory.IPTC_TAG: (UNDEFINED, info.get("iptc")),
        inventory.PHOTOSHOP_TAG: (BYTE, photoshop.build(resources)),
    }
    for tag, (kind, value) in blocks.items():
        if value:
            directory.tagtype[tag] = kind
            directory[tag] = value
    return directory, {int(tag): exif.directory(made, tag) for tag in exif.DIRECTORIES if tag in made}


def for_tifffile(directory: Directory) -> list[tuple[int, int, int, Any, bool]]:
    """Tags as tifffile takes them: number, type, count, value, and that each page has them."""
    found: list[tuple[int, int, int, Any, bool]] = []
    for tag, value in directory.items():
        kind = directory.tagtype[tag]
        if kind == ASCII:
            text = value if isinstance(value, bytes) else str(value).encode("latin-1", "replace")
            found.append((tag, kind, 0, text, True))
        elif isinstance(value, bytes):
            found.append((tag, kind, len(value), value, True))
        else:
            values = value if isinstance(value, tuple) else (value,)
            found.append((tag, kind, len(values), _flat(values, kind), True))
    return found


def _flat(values: tuple[Any, ...], kind: int) -> Any:
    if kind in exif.RATIONALS:
        return tuple(part for value in values for part in TiffImagePlugin.IFDRational(value).limit_rational(2**31 - 1))
    return values if len(values) > 1 else values[0]


# --- EXIF's own directories ------------------------------------------------------------------------------------------


def append(file: Path | BytesIO, directories: dict[int, dict[int, Any]], big: bool) -> None:
    """Put EXIF's own directories to the end of a TIFF, and after them its first one again, which points to them.

    tifffile writes no tags that point to directories, and Pillow none into compressed files. Little-endian files.
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
    directory = Directory(head, group=tag)
    for key, value in values.items():
        if key != ExifTags.IFD.Interop:  # a directory of its own, that names EXIF's version again
            directory[key] = value
    return directory.tobytes


def resources_of(tags: Directory) -> list[Resource]:
    """Photoshop's, with IPTC among them where the file has it in a tag of its own."""
    found = photoshop.parse(data_of(tags, inventory.PHOTOSHOP_TAG))
    if captions := data_of(tags, inventory.IPTC_TAG):
        found = [resource for resource in found if resource.number != photoshop.IPTC]
        found.append(Resource(photoshop.IPTC, b"", captions))
    return found
