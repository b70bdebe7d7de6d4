"""MNIST's idx files, or folders of pictures made like them -> 28×28 grey pictures as uint8.

The idx format, as MNIST's authors describe it on their page: two zero bytes, a type byte, a byte with the number of
dimensions, each dimension as a big-endian 32-bit number, then the values, last dimension fastest.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch
import torch.nn.functional as F
from torch import Tensor

from espcn_cli.errors import EspcnError
from espcn_cli.figures import amount
from espcn_cli.files import is_file, is_folder
from espcn_cli.maths.colour import luma
from espcn_cli.maths.held_out import held_out
from espcn_cli.maths.resize import resize
from espcn_cli.pictures import folders
from espcn_cli.scoring import tensors
from espcn_cli.scoring.tensors import to_bytes

SIZE = 28
"""Rows and columns of a picture."""

BATCH = 250
"""How many pictures are worked on at once where the result does not depend on it: bounds the memory."""

TYPES = {
    0x08: "unsigned bytes",
    0x09: "signed bytes",
    0x0B: "16-bit integers",
    0x0C: "32-bit integers",
    0x0D: "32-bit floats",
    0x0E: "64-bit floats",
}
UNSIGNED_BYTES = 0x08

LARGEST = 2**31
"""Bytes of pixels that a header may announce (MNIST has 47 MB); more is taken for damage before memory is asked for."""

PARTS = ("train", "t10k")


def find_idx(folder: Path, part: str) -> Path | None:
    """MNIST's picture file of a part (`train` or `t10k`) in a folder, under the names in use; None if there is none.

    The plain file goes before the gzipped one; some copies write a dot where the original has a dash.
    """
    names = [f"{part}-images{mark}idx3-ubyte{end}" for end in ("", ".gz") for mark in "-."]
    return next((folder / name for name in names if is_file(folder / name)), None)


def read_images(path: Path) -> Tensor:
    """The pictures of an idx3 file, plain or gzipped (told by content, not by name): uint8 (N, 1, H, W).

    Raises EspcnError naming the file and what to do if it is missing, damaged, cut short, or holds something else.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if not zipped:
                return _read(file, path)
            with gzip.open(file) as unzipped:
                return _read(unzipped, path)  # type: ignore[arg-type]  # a GzipFile reads like any binary file
    except FileNotFoundError:
        raise EspcnError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise EspcnError(f"{path} is a folder, not an idx file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise EspcnError(f"{path}: its gzip data is damaged or cut short ({error}): get it again") from None
    except OSError as error:
        raise EspcnError(f"{path}: cannot be read ({error.strerror or error})") from None


def _read(file: BinaryIO, path: Path) -> Tensor:
    shape = _read_shape(file, path)
    size = math.prod(shape)
    values = file.read(size + 1)  # one more than announced: also makes gzip check its sum at the end
    if len(values) < size:
        raise EspcnError(f"{path} is cut short ({len(values)} of {size} pixels are there): get it again")
    if len(values) > size:
        raise EspcnError(f"{path} goes on after the {size} pixels that its header announces: get it again")
    return torch.frombuffer(bytearray(values), dtype=torch.uint8).view(shape[0], 1, shape[1], shape[2])


def _read_shape(file: BinaryIO, path: Path) -> tuple[int, int, int]:
    """Pictures, rows and columns from the header."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES:
        found = f"begins with {magic.hex(' ')}" if magic else "is empty"
        raise EspcnError(f"{path} is not an idx file (it {found}): give train-images-idx3-ubyte or a picture")
    kind, dimensions = magic[2], magic[3]
    if kind != UNSIGNED_BYTES:
        raise EspcnError(f"{path} holds {TYPES[kind]}, not unsigned bytes: give an idx3-ubyte file of pictures")
    if dimensions == 1:
        raise EspcnError(f"{path} holds labels, not pictures: give the images-idx3-ubyte file that belongs to it")
    if dimensions != 3:
        raise EspcnError(f"{path} has {dimensions} dimensions, pictures have 3: give an idx3-ubyte file")
    header = file.read(12)
    if len(header) < 12:
        raise EspcnError(f"{path} is cut short within its header: get it again")
    count, rows, columns = struct.unpack(">3I", header)
    if not count or not rows or not columns:
        raise EspcnError(f"{path} holds no pictures ({count} of {columns} x {rows} pixels): get it again")
    if count * rows * columns > LARGEST:
        raise EspcnError(f"{path} announces {count} pictures of {columns} x {rows} pixels, too many: get it again")
    return count, rows, columns


@dataclass(frozen=True)
class Pictures:
    """uint8 (N, 1, 28, 28), what each is called, which files they come from, and why others could not be used."""

    pixels: Tensor
    names: list[str]
    files: list[Path]
    skipped: list[str]


def read_pictures(source: Path, part: str = "t10k") -> Pictures:
    """Pictures from MNIST's folder (its `part`, or else the other one), an idx3 file, a folder of pictures, or one.

    Pictures are made grey, laid on white where they are transparent, and fitted to 28×28. Unreadable ones in a folder
    are skipped and listed. Raises EspcnError if there is nothing to read, or an idx file is not what it should be.
    """
    if is_folder(source):
        found = [find_idx(source, name) for name in sorted(PARTS, key=lambda name: name != part)]
        path = next((path for path in found if path is not None), None)
        return _read_idx(path) if path is not None else _read_folder(source)
    if source.suffix.lower() in folders.SUFFIXES:
        return Pictures(_read_picture(source), [source.name], [source], [])
    return _read_idx(source)


def _read_idx(path: Path) -> Pictures:
    pixels = read_images(path)
    if pixels.shape[2:] != (SIZE, SIZE):
        pixels = torch.cat([to_bytes(fit(to_unit(batch))) for batch in batches(pixels)])
    return Pictures(pixels, [str(index) for index in range(len(pixels))], [path], [])


def _read_folder(folder: Path) -> Pictures:
    paths = folders.find_images(folder)
    if not paths:
        raise EspcnError(f"{folder} holds neither pictures nor MNIST's idx files: give another folder")
    pixels: dict[Path, Tensor] = {}
    skipped: list[str] = []
    for path in paths:
        try:
            pixels[path] = _read_picture(path)
        except EspcnError as error:
            skipped.append(str(error))
    if not pixels:
        raise EspcnError(f"no usable picture among {amount(len(paths), 'file')} in {folder}; the first: {skipped[0]}")
    names = [str(path.relative_to(folder)) for path in pixels]
    return Pictures(torch.cat(list(pixels.values())), names, list(pixels), skipped)


def _read_picture(path: Path) -> Tensor:
    picture = tensors.read(path)
    grey = luma(picture.pixels)
    if picture.alpha is not None:
        grey = grey * picture.alpha + (1 - picture.alpha)
    return to_bytes(fit(grey))


def fit(x: Tensor) -> Tensor:
    """(N, 1, H, W) in [0, 1] -> (N, 1, 28, 28): the longer side to 28, the shorter filled up with its edge pixels."""
    height, width = x.shape[2:]
    longer = max(height, width)
    height, width = max(1, round(height * SIZE / longer)), max(1, round(width * SIZE / longer))
    x = resize(x, height, width, levels=255)
    top, left = (SIZE - height) // 2, (SIZE - width) // 2
    return F.pad(x, (left, SIZE - width - left, top, SIZE - height - top), mode="replicate")


def batches(x: Tensor) -> Iterator[Tensor]:
    """`x` cut along its first dimension into `BATCH` at a time."""
    return (x[start : start + BATCH] for start in range(0, len(x), BATCH))


def to_unit(pixels: Tensor) -> Tensor:
    """uint8 -> float32 in [0, 1]."""
    return pixels.float().div_(255)


def read_training_data(source: Path) -> tuple[Pictures, Pictures]:
    """Training and test pictures: MNIST's own two files, or else one set of which every tenth is held out.

    Raises EspcnError as `read_pictures`, for test pictures without training pictures, and for a single picture.
    """
    if is_folder(source) and find_idx(source, "t10k") is not None:
        if find_idx(source, "train") is None:
            raise EspcnError(f"{source} has MNIST's test pictures only: put train-images-idx3-ubyte beside them")
        return read_pictures(source, "train"), read_pictures(source, "t10k")
    pictures = read_pictures(source, "train")
    count = len(pictures.pixels)
    if count < 2:
        raise EspcnError(f"{source} has one picture, one more is needed to test by: give a larger set")
    held = torch.zeros(count, dtype=torch.bool)
    held[list(held_out(count))] = True
    return _select(pictures, ~held), _select(pictures, held)


def _select(pictures: Pictures, chosen: Tensor) -> Pictures:
    names = [name for name, keep in zip(pictures.names, chosen.tolist(), strict=True) if keep]
    return Pictures(pictures.pixels[chosen], names, pictures.files, pictures.skipped)
