"""Which files are pictures, by their names: nothing is opened."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator
from pathlib import Path

from espcn_cli.errors import EspcnError
from espcn_cli.files import is_folder, is_special, is_there
from espcn_cli.paths import STREAM

WRITTEN = frozenset(
    f".{name}"
    for name in (
        *("png", "apng", "jpg", "jpeg", "jpe", "jfif", "webp", "avif", "gif", "tif", "tiff", "bmp", "dib"),
        *("jp2", "j2k", "ppm", "pgm", "pbm", "pnm", "tga", "mpo", "pcx", "heic", "heif", "hif", "jxl"),
    )
)
"""Suffixes of the formats that are read and written, HEIC and JPEG XL with the extra `formats`."""

READ_ONLY = frozenset(
    f".{name}"
    for name in (
        *("psd", "dds", "qoi", "sgi", "rgb", "rgba", "bw", "ico", "icns", "cur", "avifs", "j2c", "jpc", "jpf", "jpx"),
        *("icb", "vda", "vst", "blp", "dcx", "fits", "flc", "fli", "ftc", "ftu", "gbr", "iim", "im", "msp", "pcd"),
        *("pxr", "ras", "xbm", "xpm"),
    )
)
"""Suffixes of the others that Pillow reads by itself. Not here: .fit, which sport watches use for something else."""

SUFFIXES = WRITTEN | READ_ONLY
"""What counts as a picture when a folder is searched; a file named outright may be anything that Pillow opens."""

Exclude = Callable[[Path], bool]
"""Whether a file or a folder is passed over, by its path below the folder that is searched."""


def source_name(path: Path) -> str:
    """What a source is called in messages."""
    return "standard input" if path == STREAM else str(path)


def output_name(path: Path) -> str:
    """What a destination is called in messages."""
    return "standard output" if path == STREAM else str(path)


def find_images(
    folder: Path,
    recursive: bool = True,
    on_error: Callable[[OSError], None] | None = None,
    suffixes: Container[str] = SUFFIXES,
    exclude: Exclude | None = None,
) -> list[Path]:
    """Pictures in a folder by their suffix, or files of other `suffixes`, sorted.

    Hidden files and folders, links to folders, pipes and devices are passed over, and whatever `exclude` says of its
    path below the folder. `on_error` is told of folders that cannot be listed.
    """
    found = (path for path in _walk(folder, recursive, on_error, exclude) if _is_one_of(path, suffixes))
    return [path for path in found if not (exclude and exclude(path.relative_to(folder)))]


def count_others(
    folder: Path,
    recursive: bool = True,
    suffixes: Container[str] = SUFFIXES,
    exclude: Exclude | None = None,
) -> int:
    """What `find_images` passes over in a folder: hidden files, pipes, and what is none of them by its suffix.

    What lies in folders that `exclude` names is not counted.
    """
    return sum(not _is_one_of(path, suffixes) for path in _walk(folder, recursive, exclude=exclude))


def find_all(paths: list[Path], suffixes: Container[str] = SUFFIXES) -> Iterator[Path]:
    """Pictures below folders, or files of other suffixes, and files named outright.

    Raises EspcnError for a path that is not there.
    """
    for path in paths:
        if is_folder(path):
            yield from find_images(path, suffixes=suffixes)
        elif is_there(path):
            yield path
        else:
            raise EspcnError(f"{path}: no such file or folder", path)


def _walk(
    folder: Path,
    recursive: bool,
    on_error: Callable[[OSError], None] | None = None,
    exclude: Exclude | None = None,
) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, onerror=on_error):
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if recursive else []
        if exclude:
            below = Path(root).relative_to(folder)
            folders[:] = [name for name in folders if not exclude(below / name)]
        yield from (Path(root, name) for name in sorted(names))


def _is_one_of(path: Path, suffixes: Container[str]) -> bool:
    return not path.name.startswith(".") and path.suffix.lower() in suffixes and not is_special(path)
