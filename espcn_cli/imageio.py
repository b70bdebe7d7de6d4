"""Finding, reading and writing pictures. Pixels leave here as float32 (1, C, H, W) in [0, 1], and come back so.

Everything that is not pixels (mode, profile, resolution, alpha) travels in `Picture` beside them.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.files import replacing

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("png", "apng", "jpg", "jpeg", "jpe", "jfif", "webp", "avif", "gif", "tif", "tiff", "bmp", "dib"),
        *("jp2", "j2k", "ppm", "pgm", "pbm", "pnm", "tga", "ico", "mpo", "pcx"),
    )
)
"""What counts as a picture when a folder is searched; a file named outright may be anything that Pillow opens."""

MODES_16_BIT = ("I;16", "I;16B", "I;16L", "I;16N")

SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    # On photographs several times faster than the defaults, and hardly larger: measured on one, PNG level 1 with run
    # lengths 0.35 s for 2.46 MB (default 1.76 s, 2.46 MB), WebP 0.24 s for 2.05 MB (default effort 5 s, 1.80 MB).
    "PNG": {"compress_level": 1, "compress_type": 3},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True, "quality": 0, "method": 0},
    "TIFF": {"compression": "tiff_adobe_deflate"},
    "AVIF": {"quality": 90, "subsampling": "4:4:4"},
}


@dataclass(frozen=True)
class Picture:
    """Pixels and what a file says beside them.

    `pixels`: float32 (1, 1 or 3, H, W) in [0, 1], grey or RGB; `alpha`: (1, 1, H, W) or None; `depth`: bits per
    sample, 8 or 16; `info`: what Pillow's `save` takes to keep profile and resolution; `warnings`: what could not
    be kept.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    depth: int = 8
    info: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[3], self.pixels.shape[2]


def find_images(folder: Path, recursive: bool = True) -> list[Path]:
    """Pictures in a folder by their suffix, sorted; hidden files and folders are passed over, links to folders too."""
    found: list[Path] = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if recursive else []
        found += [
            Path(root, name)
            for name in sorted(names)
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
        ]
    return found


def read(path: Path) -> Picture:
    """Read one picture whole, upright. Raises EspcnError naming the file if it cannot be read."""
    with opened(path) as image:
        return from_pil(image)


class opened:  # noqa: N801 - reads as a function: `with opened(path) as image`
    """Open a picture with Pillow so that every failure, now or while decoding, is an EspcnError naming the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.image: Image.Image | None = None

    def __enter__(self) -> Image.Image:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                self.image = Image.open(self.path)
        except Exception as error:
            raise self._explain(error) from None
        return self.image

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self.image is not None:
            self.image.close()
        if isinstance(error, Exception) and not isinstance(error, MemoryError):
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> EspcnError:
        if isinstance(error, EspcnError):
            return EspcnError(f"{self.path}: {error}")
        if isinstance(error, FileNotFoundError):
            return EspcnError(f"{self.path}: no such file")
        if isinstance(error, IsADirectoryError):
            return EspcnError(f"{self.path} is a folder, not a picture")
        if isinstance(error, UnidentifiedImageError):
            empty = self.path.is_file() and self.path.stat().st_size == 0
            reason = "the file is empty" if empty else "not a picture in a format that Pillow knows"
            return EspcnError(f"{self.path}: {reason}")
        if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
            return EspcnError(f"{self.path}: more than {Image.MAX_IMAGE_PIXELS:,} pixels: cut it into parts first")
        if isinstance(error, PermissionError):
            return EspcnError(f"{self.path}: no permission to read it")
        reason = str(error) or type(error).__name__
        return EspcnError(f"{self.path}: cannot be decoded ({reason}): is it complete?")


def from_pil(image: Image.Image) -> Picture:
    """Any Pillow image -> a Picture: upright, grey or RGB, alpha apart.

    Palettes are resolved, CMYK and other colour spaces become RGB, 16-bit grey keeps its depth. Raises EspcnError
    for floating-point and 32-bit images.
    """
    notes: list[str] = []
    if getattr(image, "n_frames", 1) > 1:
        notes.append(f"only the first of {image.n_frames} frames is used")  # type: ignore[attr-defined]
    info = {key: image.info[key] for key in ("icc_profile", "dpi") if image.info.get(key)}
    kind = image.format
    image = ImageOps.exif_transpose(image)  # turns the pixels and drops the tag
    if exif := image.getexif():
        info["exif"] = exif.tobytes()
    if image.mode in MODES_16_BIT or (image.mode == "I" and kind == "PNG"):
        return Picture(_to_tensor(np.asarray(image).astype(np.int32), 65535), None, 16, info, tuple(notes))
    if image.mode in ("I", "F"):
        raise EspcnError("32 bits per sample are not supported: convert it to 8 or 16 bits")
    if image.mode in ("CMYK", "LAB", "YCbCr", "HSV"):
        info.pop("icc_profile", None)  # describes the colour space that is being left
        notes += [f"{image.mode} was converted to RGB"] if image.mode != "YCbCr" else []
    grey = image.mode in ("1", "L", "LA", "La")
    transparent = image.has_transparency_data
    plain = image.convert(("LA" if grey else "RGBA") if transparent else ("L" if grey else "RGB"))
    pixels = _to_tensor(np.asarray(plain), 255)
    if not transparent:
        return Picture(pixels, None, 8, info, tuple(notes))
    return Picture(pixels[:, :-1], pixels[:, -1:], 8, info, tuple(notes))


ORIENTATION = 0x0112
"""EXIF's tag for how the camera was held."""


def to_pil(picture: Picture) -> Image.Image:
    """A Picture -> L, LA, RGB, RGBA or I;16, rounding to the nearest value."""
    pixels = picture.pixels if picture.alpha is None else torch.cat([picture.pixels, picture.alpha], dim=1)
    levels = 2**picture.depth - 1
    values = (pixels[0] * levels).add_(0.5).clamp_(0, levels).permute(1, 2, 0).contiguous()
    if picture.depth == 16:
        return Image.fromarray(values[..., 0].to(torch.int32).numpy().astype(np.uint16))
    array = values.to(torch.uint8).numpy()
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


def _to_tensor(array: np.ndarray[Any, Any], levels: int) -> Tensor:
    array = array[..., None] if array.ndim == 2 else array
    return torch.from_numpy(array.copy()).permute(2, 0, 1)[None].float().div_(levels)


def _writer_of(path: Path) -> str | None:
    Image.init()
    name = Image.registered_extensions().get(path.suffix.lower())
    return name if name in Image.SAVE and path.suffix.lower() in SUFFIXES - {".ico"} else None  # icons have fixed sizes


def is_writable(path: Path) -> bool:
    """Whether a picture can be written in the format of this suffix."""
    return _writer_of(path) is not None


def format_of(path: Path) -> str:
    """The file format that a destination's suffix asks for. Raises UsageError if Pillow cannot write it."""
    name = _writer_of(path)
    if name is None:
        kind = path.suffix or "a file without suffix"
        raise UsageError(f"{path}: cannot write {kind}: use .png, .jpg, .webp or .tif")
    return name


NO_ALPHA = ("JPEG", "PPM", "BMP", "PCX")


def write(picture: Picture, path: Path) -> Picture:
    """Write a picture whole or not at all; returns it with warnings for what the format could not hold."""
    kind = format_of(path)
    if picture.alpha is not None and kind in NO_ALPHA:
        note = f"{kind} holds no transparency: the picture was laid on white"
        flat = picture.pixels * picture.alpha + (1 - picture.alpha)
        picture = replace(picture, pixels=flat, alpha=None, warnings=(*picture.warnings, note))
    if picture.depth == 16 and kind not in ("PNG", "TIFF"):
        note = f"{kind} holds 8 bits per sample: the picture was rounded to them"
        picture = replace(picture, depth=8, warnings=(*picture.warnings, note))
    image = to_pil(picture)
    if kind == "GIF" and image.mode in ("RGB", "RGBA"):
        picture = replace(picture, warnings=(*picture.warnings, "GIF holds 256 colours"))
    with replacing(path) as temporary:
        try:
            image.save(temporary, format=kind, **SAVE_OPTIONS.get(kind, {}), **picture.info)
        except (ValueError, TypeError) as error:
            raise EspcnError(f"{path}: cannot be written as {kind} ({error}): choose another format") from None
    return picture


def existing_folders(paths: list[Path]) -> Iterator[Path]:
    """Pictures below folders, and files named outright. Raises EspcnError for a path that is not there."""
    for path in paths:
        if path.is_dir():
            yield from find_images(path)
        elif path.exists():
            yield path
        else:
            raise EspcnError(f"{path}: no such file or folder")
