"""How much a file will hold once it is read: every frame or page and the bytes of a pixel, by its headers alone."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import SEEK_CUR
from pathlib import Path
from typing import IO

from PIL import Image

from espcn_cli.errors import EspcnError
from espcn_cli.maths.levels import Pixels
from espcn_cli.maths.turns import Turn
from espcn_cli.pictures import animation, boxes, deep_reading, metadata_reading, reading
from espcn_cli.pictures.change import AS_IT_IS
from espcn_cli.pictures.opening import UnknownTiffError, check_pixels, opened


@dataclass(frozen=True)
class Extent:
    """`frames`: width and height of every frame or page, upright; `bytes_per_pixel`: of the largest, in memory."""

    frames: tuple[Pixels, ...]
    bytes_per_pixel: int

    @property
    def size(self) -> Pixels:
        """Width and height of the first frame."""
        return self.frames[0]

    @property
    def pixels(self) -> int:
        """Of all frames together."""
        return sum(width * height for width, height in self.frames)


def extent_of(path: Path, depth: int | None = None) -> Extent:
    """What `reading.read_document` will make of a file, or of standard input.

    Raises EspcnError naming the file, as that does, if it is no picture or claims too many pixels.
    """
    source = opened(path)
    try:
        with source as image:
            extent = _extent(image, depth)
            check_pixels(extent.pixels)
            return extent
    except UnknownTiffError as error:
        if not deep_reading.is_there():
            raise EspcnError(f"{error}: 'espcn[deep]' reads more kinds") from None
        return _odd_tiff(source, depth)


def size_of(path: Path) -> Pixels:
    """Width and height of a picture's first frame, upright, by its header. Raises EspcnError as `extent_of` does."""
    try:
        with opened(path) as image:
            return image.size if image.format == "TIFF" else _upright(image.size, _turn(image))
    except UnknownTiffError:
        return extent_of(path).size


def _odd_tiff(source: opened, depth: int | None) -> Extent:
    """Of a TIFF that Pillow does not know but tifffile does."""
    with source.file() as file:
        try:
            return _tiff_pages(file, depth)
        except Exception as error:
            raise source.explain(error) from None


def _tiff_pages(file: IO[bytes], depth: int | None) -> Extent:
    import tifffile

    _, turn, _ = metadata_reading.collect_tiff(file)
    with tifffile.TiffFile(file) as tiff:
        pages = [page.aspage() for page in tiff.pages]
        frames = [_upright((page.imagewidth, page.imagelength), turn) for page in pages]
        per_pixel = [_held(page.samplesperpixel, page.bitspersample > 8 and depth != 8) for page in pages]
    if not frames:
        raise EspcnError("no picture is in it: is it complete?")
    return Extent(tuple(frames), max(per_pixel))


def _extent(image: Image.Image, depth: int | None) -> Extent:
    count: int = getattr(image, "n_frames", 1)
    if image.format == "TIFF":
        return _of_pages(image, count, depth)
    moves = count > 1 and image.format in animation.FORMATS
    per_pixel = _bytes_per_pixel(image, depth)
    size = _upright(image.size, _turn(image))
    return Extent((size,) * count, max(per_pixel, 4)) if moves else Extent((size,), per_pixel)  # it may turn to colour


def _of_pages(image: Image.Image, count: int, depth: int | None) -> Extent:
    pages = []
    for index in range(count):
        image.seek(index)
        if not (index and reading.is_reduced(image)):
            pages.append((image.size, _bytes_per_pixel(image, depth)))  # Pillow has turned its size already
    return Extent(tuple(size for size, _ in pages), max(held for _, held in pages))


def _turn(image: Image.Image) -> Turn:
    try:
        if image.format == "PNG" and (exif := _exif_of_png(image.fp)):  # type: ignore[attr-defined]
            image.info["exif"] = exif
        return metadata_reading.turn_of(image, Image.Image.getexif(image))  # PNG's own decodes the pixels
    except Exception:  # EXIF is written by anybody
        return AS_IT_IS


def _exif_of_png(file: IO[bytes]) -> bytes | None:
    """EXIF wherever it stands; Pillow finds it behind the pixels only when it has decoded them."""
    with boxes.at_start(file):
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            if name == b"eXIf":
                return b"Exif\0\0" + file.read(min(length, boxes.LARGEST))
            file.seek(length + 4, SEEK_CUR)
    return None


def _upright(size: Pixels, turn: Turn) -> Pixels:
    width, height = size
    return (height, width) if turn.swaps_sides else size


def _bytes_per_pixel(image: Image.Image, depth: int | None) -> int:
    """Of the frame at hand. A palette counts as colour."""
    grey = image.mode in ("1", "L", "LA", *reading.MODES_OF_DEEP_GREY)
    deep = deep_reading.white(image) > 255 and depth != 8
    return _held((1 if grey else 3) + image.has_transparency_data, deep)


def _held(channels: int, deep: bool) -> int:
    """Bytes of a pixel in a `Raster`: Pillow holds anything but grey of 8 bits in four."""
    if deep:
        return 2 * channels
    return 1 if channels == 1 else 4
