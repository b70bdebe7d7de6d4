"""Finding, reading and writing pictures. Pixels leave here as float32 (1, C, H, W) in [0, 1], and come back so.

Everything that is not pixels (profile, resolution, timing, alpha) travels beside them: in a `Picture` for one picture
as floats, in a `Document` for all that a file holds, in whole levels.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from PIL import Image, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError
from torch import Tensor

from espcn_cli import animation, boxes, deep, metadata, profiles, raster
from espcn_cli.boxes import Fields
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.files import replacing
from espcn_cli.metadata import Info
from espcn_cli.raster import Raster

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("png", "apng", "jpg", "jpeg", "jpe", "jfif", "webp", "avif", "gif", "tif", "tiff", "bmp", "dib"),
        *("jp2", "j2k", "ppm", "pgm", "pbm", "pnm", "tga", "ico", "mpo", "pcx"),
    )
)
"""What counts as a picture when a folder is searched; a file named outright may be anything that Pillow opens."""

STREAM = Path("-")
"""Standard input as a source, standard output as a destination."""

MODES_16_BIT = ("I;16", "I;16B", "I;16L", "I;16N")

MODES_OF_DEEP_GREY = (*MODES_16_BIT, "I", "F")
SUBFILE_TYPE = 254
"""TIFF's tag for pages that are reduced copies (1) or masks (4) of others."""

CUT = "more than 8 bits per sample were cut down to 8"

PngImagePlugin.MAX_TEXT_CHUNK = 2**24
"""Bytes of unpacked text or profile: workflows and histories outgrow Pillow's 1 MB."""

SIGNATURES = (
    (rb"II\*\0|MM\0\*|II\+\0|MM\0\+", "TIFF"),
    (rb"\xff\xd8\xff", "JPEG"),
    (rb"\x89PNG", "PNG"),
    (rb"GIF8", "GIF"),
    (rb"8BPS", "PSD"),
    (rb"RIFF....WEBP", "WebP"),
    (rb"....ftyp(heic|heix|hevc|mif1|msf1)", "HEIC"),
    (rb"....ftypavi", "AVIF"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "JPEG 2000"),
    (rb"v/1\x01", "OpenEXR"),
    (rb"#\?RADIANCE|#\?RGBE", "Radiance HDR"),
    (rb"P[Ff]\s", "PFM"),
    (rb"P7\s", "PAM"),
    (rb"%PDF", "PDF"),
)
"""How the files begin that people take for pictures, and what they are called when Pillow cannot open one."""

UNREAD = ("HEIC", "JPEG XL", "OpenEXR", "Radiance HDR", "PDF")
"""Those of them that Pillow never opens."""

MAX_PIXELS = 2**28
"""16384 × 16384; a file that claims more, in all its frames together, is refused unless the user allows it."""

SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    # Lossless ones for speed: benchmarks/encoding.py measures it beside Pillow's defaults.
    "PNG": {"compress_level": 1, "compress_type": 3},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True, "quality": 0, "method": 0},
    "TIFF": {"compression": "tiff_adobe_deflate"},
    "AVIF": {"quality": 90, "subsampling": "4:4:4"},
}

NO_ALPHA = ("JPEG", "MPO", "PPM", "BMP", "DIB", "PCX")
LARGEST_SIDE = {"WEBP": 16383, "JPEG": 65500, "MPO": 65500, "GIF": 65535, "TGA": 65535, "PCX": 65535, "AVIF": 65535}


@dataclass(frozen=True)
class Picture:
    """One picture as floats, and what a file says beside it.

    `pixels`: float32 (1, 1 or 3, H, W) in [0, 1], grey or RGB; `alpha`: (1, 1, H, W) or None; `depth`: bits per
    sample, 8 or 16; `info`: profile, EXIF and the like; `warnings`: what could not be kept.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    depth: int = 8
    info: Info = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[3], self.pixels.shape[2]


@dataclass(frozen=True)
class Document:
    """All that a file holds: one picture, the pages of a TIFF, or the frames of an animation.

    `durations`: milliseconds, one per frame of an animation, else empty; `plays`: how often it runs, 0 for ever;
    `cover`: the first frame is no part of the animation but shown where animations are not.
    """

    frames: tuple[Raster, ...]
    info: Info = field(default_factory=dict)
    durations: tuple[float, ...] = ()
    plays: int = 1
    cover: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the first frame in pixels."""
        return self.frames[0].size

    def noting(self, *notes: str) -> Document:
        """The same with more warnings."""
        return replace(self, warnings=(*self.warnings, *notes))


@dataclass(frozen=True)
class Encoding:
    """How to write: `quality` 1 to 100 for lossy formats, `png_level` 0 to 9; None for this module's choice."""

    quality: int | None = None
    png_level: int | None = None

    def options(self, kind: str) -> dict[str, Any]:
        """What Pillow's `save` takes for it."""
        chosen = dict(SAVE_OPTIONS.get(kind, {}))
        if self.quality is not None and kind in ("JPEG", "MPO", "AVIF", "WEBP"):
            chosen["quality"] = self.quality
            if kind == "WEBP":
                chosen.update(lossless=False, method=4)
        if self.png_level is not None and kind == "PNG":
            chosen = {"compress_level": self.png_level}
        return chosen


def find_images(folder: Path, recursive: bool = True, on_error: Callable[[OSError], None] | None = None) -> list[Path]:
    """Pictures in a folder by their suffix, sorted; hidden files and folders are passed over, links to folders too.

    `on_error` is told of folders that cannot be listed.
    """
    return [path for path in _walk(folder, recursive, on_error) if _is_image(path)]


def count_others(folder: Path, recursive: bool = True) -> int:
    """Files in a folder that `find_images` passes over: hidden ones, and what is no picture by its suffix."""
    return sum(not _is_image(path) for path in _walk(folder, recursive))


def _walk(folder: Path, recursive: bool, on_error: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, onerror=on_error):
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if recursive else []
        yield from (Path(root, name) for name in sorted(names))


def _is_image(path: Path) -> bool:
    return not path.name.startswith(".") and path.suffix.lower() in SUFFIXES


def read(path: Path) -> Picture:
    """Read one picture whole, upright. Raises EspcnError naming the file if it cannot be read."""
    with opened(path) as image:
        return from_pil(image)


def read_document(path: Path, depth: int | None = None) -> Document:
    """Read all frames or pages of a file, or of standard input, upright. Raises EspcnError naming the file.

    Colour of more than 8 bits needs the extra `deep`, and so do the rarer kinds of TIFF; `depth` = 8 rounds everything
    to 8 bits instead.
    """
    source = opened(path)
    try:
        with source as image:
            return from_frames(image, depth)
    except UnknownTiffError as error:
        if not deep.is_there():
            raise EspcnError(f"{error}: 'espcn[deep]' reads more kinds") from None
        return _odd_tiff(source, depth)


def _odd_tiff(source: opened, depth: int | None) -> Document:
    """A TIFF that Pillow does not know but tifffile does."""
    with source.file() as file:
        try:
            info, orientation, notes = metadata.collect_tiff(file)
            pages = deep.read_tiff(file)
        except Exception as error:
            raise source.explain(error) from None
    frames = [raster.from_array(deep.upright(array, orientation)) for array, _ in pages]
    notes += [note for _, said in pages for note in said if note not in notes]
    if depth == 8 and any(frame.depth == 16 for frame in frames):
        frames = [raster.to_8_bits(frame) for frame in frames]
        notes.append(CUT)
    return Document(tuple(frames), info, warnings=tuple(dict.fromkeys(notes)))


def size_of(path: Path) -> tuple[int, int]:
    """Width and height by the file's header alone, upright. Raises EspcnError naming the file."""
    with opened(path) as image:
        if image.format == "TIFF":  # whose size Pillow has turned already
            return image.size
        try:
            turned = image.getexif().get(metadata.ORIENTATION, 1) in (5, 6, 7, 8)
        except Exception:  # EXIF is written by anybody
            turned = False
        return (image.height, image.width) if turned else image.size


def limit_pixels(most: int) -> None:
    """Refuse files that claim more pixels than this, in this process."""
    Image.MAX_IMAGE_PIXELS = most


class UnknownTiffError(EspcnError):
    """A TIFF whose kind of samples or compression Pillow does not know."""


class opened:  # noqa: N801 - reads as a function: `with opened(path) as image`
    """Open a picture with Pillow so that every failure, now or while decoding, is an EspcnError naming the file.

    The pixels outlive the block, the file does not. "-" is standard input.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = "standard input" if path == STREAM else str(path)
        self.image: Image.Image | None = None
        self._input: bytes | None = None

    def __enter__(self) -> Image.Image:
        try:
            self._input = self._read_pipe()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what matters of them is said in our own words
                self.image = Image.open(self.path if self._input is None else BytesIO(self._input))
            pixels = self.image.width * self.image.height
            if Image.MAX_IMAGE_PIXELS and pixels > Image.MAX_IMAGE_PIXELS:
                self.image.close()
                raise EspcnError(_too_large(pixels))
        except Exception as error:
            raise self.explain(error) from None
        return self.image

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self.image is not None:
            self.image.__exit__(None, None, None)
        if isinstance(error, Exception) and not isinstance(error, MemoryError):
            raise self.explain(error) from error

    def file(self) -> IO[bytes]:
        """The bytes again, from the start."""
        return self.path.open("rb") if self._input is None else BytesIO(self._input)

    def _read_pipe(self) -> bytes | None:
        """Everything in what can be read only once; None for a file."""
        if self.path == STREAM:
            return sys.stdin.buffer.read()
        mode = self.path.stat().st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
            raise EspcnError("a device, not a picture")
        return self.path.read_bytes() if stat.S_ISFIFO(mode) else None

    def explain(self, error: Exception) -> EspcnError:
        """The same failure in one line for the user."""
        if isinstance(error, EspcnError):
            return type(error)(f"{self.name}: {error}")
        if isinstance(error, FileNotFoundError):
            return EspcnError(f"{self.name}: no such file")
        if isinstance(error, IsADirectoryError):
            return EspcnError(f"{self.name} is a folder, not a picture")
        if isinstance(error, PermissionError):
            return EspcnError(f"{self.name}: no permission to read it")
        if isinstance(error, OSError) and error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
            return EspcnError(f"{self.name}: no such file ({error.strerror})")
        if isinstance(error, UnidentifiedImageError):
            return self._unknown()
        if isinstance(error, SyntaxError) and self.image is not None and self.image.format == "TIFF":
            return UnknownTiffError(f"{self.name}: a kind of TIFF that Pillow does not know")
        if isinstance(error, Image.DecompressionBombError):
            number = re.search(r"\d+", str(error))
            return EspcnError(f"{self.name}: {_too_large(int(number[0]) if number else 0)}")
        reason = " ".join(str(error).split()) or type(error).__name__
        return EspcnError(f"{self.name}: cannot be decoded ({reason}): is it complete?")

    def _unknown(self) -> EspcnError:
        with self.file() as file:
            head = file.read(16)
        if not head:
            return EspcnError(f"{self.name}: the file is empty")
        kind = next((kind for start, kind in SIGNATURES if re.match(start, head, re.DOTALL)), None)
        if kind is None:
            return EspcnError(f"{self.name}: not a picture in a format that Pillow knows")
        if kind == "TIFF":
            return UnknownTiffError(f"{self.name}: a kind of TIFF that Pillow does not know")
        if kind in UNREAD:
            return EspcnError(f"{self.name}: {kind} is not a format that Pillow reads: make it a PNG")
        return EspcnError(f"{self.name}: a damaged {kind} file, or a kind of {kind} that Pillow does not read")


def _too_large(pixels: int) -> str:
    return f"{pixels:,} pixels are more than {Image.MAX_IMAGE_PIXELS:,}: allow them with --max-pixels {pixels}"


def from_pil(image: Image.Image) -> Picture:
    """Any Pillow image -> a Picture: upright, grey or RGB, alpha apart.

    Palettes are resolved, CMYK and other colour spaces become RGB, 16-bit grey keeps its depth. Raises EspcnError
    for floating-point and 32-bit images.
    """
    frame, info, notes = from_image(image)
    pixels = frame.whole()
    colours = frame.channels - frame.has_alpha
    alpha = pixels[:, colours:] if frame.has_alpha else None
    return Picture(pixels[:, :colours], alpha, frame.depth, info, tuple(notes))


def from_image(image: Image.Image) -> tuple[Raster, Info, list[str]]:
    """The first frame of any Pillow image in whole levels, what stands beside it, and notes; else as `from_pil`."""
    count = getattr(image, "n_frames", 1)
    said = [f"only the first of {count} frames is used"] if count > 1 else []
    frame, info, notes = _frame(image, None, _beside(image), deep_colour=False)
    return frame, info, said + notes


def from_frames(image: Image.Image, depth: int | None = None) -> Document:
    """Any opened Pillow image with all its frames or pages -> a Document. Raises EspcnError as `from_pil` does."""
    count = getattr(image, "n_frames", 1)
    beside = _beside(image)
    if count == 1 or image.format not in (*animation.FORMATS, "TIFF"):
        frame, info, found = _frame(image, depth, beside)
        return Document((frame,), info, warnings=(*found, *_passed_over(image, count)))
    frames: list[Raster] = []
    durations: list[float] = []
    first: Info = {}
    notes: list[str] = []
    pixels = reduced = 0
    for index in range(count):
        image.seek(index)
        if _is_reduced(image) and index:
            reduced += 1
            continue
        pixels += image.width * image.height
        if Image.MAX_IMAGE_PIXELS and pixels > Image.MAX_IMAGE_PIXELS:
            raise EspcnError(_too_large(image.width * image.height * count))
        frame, info, said = _frame(image, depth, beside, several=True)
        frames.append(frame)
        durations.append(animation.duration(image))
        notes += [note for note in said if note not in notes]
        first = first if index else info
    if reduced:
        notes.append(f"{reduced} reduced {'copy' if reduced == 1 else 'copies'} of the picture left out")
    if image.format == "TIFF":
        return Document(tuple(frames), first, warnings=tuple(notes))
    cover = bool(image.info.get("default_image"))
    return Document(tuple(_alike(frames)), first, tuple(durations), animation.plays(image), cover, tuple(notes))


def _beside(image: Image.Image) -> Fields:
    file = getattr(image, "fp", None)
    return boxes.fields(file, image.format) if file is not None else {}


def _passed_over(image: Image.Image, count: int) -> list[str]:
    """A note on pictures in a file that are no frames or pages and of which only one is taken."""
    if image.format == "PSD":
        return [f"only the flattened picture is used, not the {count} layers"] if count > 1 else []
    sizes = image.info.get("sizes")
    if image.format in ("ICO", "ICNS") and sizes and len(sizes) > 1:
        return [f"only the largest of {len(sizes)} pictures in the file is used"]
    return [f"only the first of {count} pictures in the file is used"] if count > 1 else []


def _is_reduced(image: Image.Image) -> bool:
    """Whether a page of a TIFF calls itself a smaller copy, or a mask, of another."""
    tags = getattr(image, "tag_v2", None)
    return tags is not None and bool(tags.get(SUBFILE_TYPE, 0) & 5)


def _alike(frames: list[Raster]) -> list[Raster]:
    """Frames of one kind: an animation may turn from grey or opaque to colour or transparent on its way.

    What hangs over the screen that the first frame fills is cut off, as players do.
    """
    if any(frame.depth == 16 for frame in frames):
        return frames
    width, height = frames[0].size
    images = [frame.image() for frame in frames]
    every = "".join(image.mode for image in images)
    mode = ("RGB" if "RGB" in every else "L") + ("A" if "A" in every else "")
    images = [image if image.size == (width, height) else image.crop((0, 0, width, height)) for image in images]
    return [Raster(image if image.mode == mode else image.convert(mode)) for image in images]


def _frame(
    image: Image.Image, depth: int | None, beside: Fields, several: bool = False, deep_colour: bool = True
) -> tuple[Raster, Info, list[str]]:
    """The pixels of the frame at hand, upright, and what stands beside them; and notes.

    With `several` frames the image goes on to the next. Without `deep_colour` more than 8 bits in colour are cut down.
    """
    white = deep.white(image)
    said = _tiff_notes(image) if image.format == "TIFF" else []
    if white > 255 and image.mode not in MODES_OF_DEEP_GREY:
        cut = depth == 8 or not deep_colour
        if not cut or deep.is_misread(image) or deep.why_not(image) is None:
            return _deep_frame(image, white, cut, beside, said)
    few_bits = _spread(image)
    image.load()
    if few_bits and "transparency" in image.info:
        image.info["transparency"] *= few_bits
    info, orientation, notes = metadata.collect(image, beside)
    notes = said + notes
    pixels = metadata.upright(image.copy() if several else image, orientation)
    if pixels.mode in MODES_16_BIT or (pixels.mode == "I" and image.format in ("PNG", "PPM")):
        return _grey_16(pixels, image, deep.grey_white(image, white), depth, notes), info, notes
    if pixels.mode in ("I", "F"):
        raise EspcnError(deep.unsupported("floating-point" if pixels.mode == "F" else "32-bit"))
    if white > 255:
        notes.append(CUT)
    if pixels.mode in profiles.SPACES:
        pixels, note = profiles.to_rgb(pixels, info.pop("icc_profile", None))
        notes.append(note)
    return Raster(_plain(pixels)), info, notes


def _spread(image: Image.Image) -> int:
    """What Pillow multiplies grey of 2 or 4 bits with when it loads a PNG, but not its transparent value; else 0."""
    tile = getattr(image, "tile", None)
    return {"L;2": 85, "L;4": 17}.get(tile[0].args if isinstance(tile[0].args, str) else "", 0) if tile else 0


def _deep_frame(
    image: Image.Image, white: int, cut: bool, beside: Fields, notes: list[str]
) -> tuple[Raster, Info, list[str]]:
    array, said = deep.read(image, white)
    info, orientation, found = metadata.collect(image, beside)
    frame = raster.from_array(deep.upright(array, orientation))
    notes = list(dict.fromkeys([*notes, *said, *found]))
    return (raster.to_8_bits(frame), info, [*notes, CUT]) if cut else (frame, info, notes)


def _plain(image: Image.Image) -> Image.Image:
    """Any mode of 8 bits as L, LA, RGB or RGBA."""
    grey = image.mode in ("1", "L", "LA", "La") or _has_grey_palette(image)
    mode = ("LA" if grey else "RGBA") if image.has_transparency_data else ("L" if grey else "RGB")
    if image.mode == "P" and mode == "LA":  # Pillow goes there by RGBA only
        image = image.convert("RGBA")
    return image if image.mode == mode else image.convert(mode)


def _tiff_notes(image: Image.Image) -> list[str]:
    """What of a page of a TIFF Pillow will not read. Raises EspcnError for samples that it would read wrongly."""
    tags = image.tag_v2  # type: ignore[attr-defined]
    if not deep.is_unsigned(image) and image.mode != "F":
        raise EspcnError(deep.unsupported("signed"))
    extra = tags.get(TiffImagePlugin.EXTRASAMPLES, ())
    unknown = sum(sample == deep.UNSPECIFIED for sample in extra)
    notes = [deep.left_out(unknown)] if unknown else []
    if _is_reduced(image):
        notes.append("the file calls this a reduced copy of a picture that cannot be read")
    return notes


def _has_grey_palette(image: Image.Image) -> bool:
    colours = image.getpalette("RGB") if image.mode == "P" else None
    return colours is not None and colours[0::3] == colours[1::3] == colours[2::3]


def _grey_16(pixels: Image.Image, image: Image.Image, white: int, depth: int | None, notes: list[str]) -> Raster:
    """16-bit grey of which `white` is the largest value, with alpha where the file names a transparent one."""
    values = np.asarray(pixels)
    values = values.astype(np.uint16) if values.dtype != np.int32 else values.clip(0, 65535).astype(np.uint16)
    clear = image.info.get("transparency")
    if deep.black_is_last(image):
        values = white - values
    frame = raster.from_array(deep.scaled(values[..., None], white))
    if clear is not None and (depth == 8 or deep.is_there()):
        frame = Raster(deep.with_clear(values, clear))
    elif clear is not None:
        notes.append("the transparent value of 16-bit grey was left out: 'espcn[deep]' keeps it")
    if depth == 8:
        notes.append(CUT)
    return raster.to_8_bits(frame) if depth == 8 else frame


def to_pil(picture: Picture) -> Image.Image:
    """A Picture -> L, LA, RGB, RGBA or I;16, rounding to the nearest value."""
    data = _to_raster(picture).data
    if not isinstance(data, Image.Image):
        raise ValueError("Pillow holds no colour of 16 bits")
    return data


def _to_raster(picture: Picture) -> Raster:
    pixels = picture.pixels if picture.alpha is None else torch.cat([picture.pixels, picture.alpha], dim=1)
    return raster.from_tensor(pixels, picture.depth)


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


def check_size(path: str | Path, kind: str, size: tuple[int, int]) -> None:
    """Raise EspcnError if a format cannot hold a picture of this size."""
    most = LARGEST_SIDE.get(kind)
    if most is not None and max(size) > most:
        width, height = size
        raise EspcnError(f"{path}: {width} x {height} is too large for {kind} ({most} a side): use .png or .tif")


def write(picture: Picture, path: Path) -> Picture:
    """Write a picture whole or not at all; returns it with warnings for what the format could not hold."""
    document = Document((_to_raster(picture),), picture.info, warnings=picture.warnings)
    return replace(picture, warnings=write_document(document, path).warnings)


def write_document(document: Document, path: Path, encoding: Encoding | None = None) -> Document:
    """Write all frames whole or not at all; returns it with warnings for what the format could not hold."""
    kind = format_of(path)
    with replacing(path) as temporary:
        return encode(document, kind, temporary, path, encoding or Encoding())


def encode(document: Document, kind: str, file: Path | BytesIO, name: str | Path, encoding: Encoding) -> Document:
    """Write to an open place in Pillow's format `kind`; `name` stands in errors. Returns it with warnings."""
    check_size(name, kind, document.size)
    document = _fitted(document, kind)
    options, notes = metadata.save_options(kind, document.info, document.size)
    document = document.noting(*notes)
    options = encoding.options(kind) | options
    if kind == "JPEG2000":
        options["no_jp2"] = Path(name).suffix.lower() in (".j2k", ".j2c", ".jpc")
    if kind == "AVIF" and all(frame.channels == 1 for frame in document.frames):
        options["subsampling"] = "4:0:0"
    if kind == "TIFF":
        options |= _tiff_options(document, options)
    try:
        if any(not isinstance(frame.data, Image.Image) for frame in document.frames):
            deep.write([frame.array() for frame in document.frames], kind, file, options)
            return document
        images = [frame.data for frame in document.frames if isinstance(frame.data, Image.Image)]
        animation.save(images, kind, file, options, document.durations, document.plays, document.cover)
        if kind in ("GIF", "WEBP") and (merged := len(images) - animation.count(file)) > 0:
            return document.noting(f"{merged} frames equal to those before them: {kind} shows these longer instead")
    except (OSError, MemoryError, EspcnError):
        raise
    except Exception as error:  # encoders refuse in many ways
        reason = " ".join(str(error).split()) or type(error).__name__
        raise EspcnError(f"{name}: cannot be written as {kind} ({reason}): choose another format") from None
    return document


def _tiff_options(document: Document, options: dict[str, Any]) -> dict[str, Any]:
    """Pillow's compressing writer writes neither EXIF's own directory nor BigTIFF, which more than 4 GB need."""
    big = sum(frame.bytes for frame in document.frames) > deep.MAX_CLASSIC
    plain: dict[str, Any] = {"compression": "raw"} if big or "exif" in options else {}
    return plain | ({"big_tiff": True} if big else {})


def _fitted(document: Document, kind: str) -> Document:
    """The document as a format can hold it, with a note on each thing it cannot."""
    document = _fitted_frames(document, kind)
    frames, notes = list(document.frames), []
    if any(frame.depth == 16 for frame in frames) and not _holds_16_bits(kind, len(frames) > 1):
        what = "an animation" if kind == "PNG" else kind
        notes.append(f"{what} is written with 8 bits per sample: the picture was rounded to them")
        frames = [raster.to_8_bits(frame) for frame in frames]
    if any(frame.has_alpha for frame in frames) and kind in NO_ALPHA:
        if not all(frame.is_opaque for frame in frames):
            notes.append(f"{kind} holds no transparency: the picture was laid on white")
        frames = [raster.on_white(frame) for frame in frames]
    info = dict(document.info)
    profile = info.get("icc_profile")
    if profile and "icc_profile" not in metadata.HOLDS.get(kind, ()):
        converted = None if profiles.is_srgb(profile) else _in_srgb(frames, profile)
        if converted:
            frames = converted
            notes.append(f"{kind} has no place for the colour profile: the colours were converted to sRGB")
        if converted or profiles.is_srgb(profile):
            del info["icc_profile"]
    if kind == "GIF" and any(frame.channels > 2 for frame in frames):
        notes.append("GIF holds 256 colours")
    return replace(document, frames=tuple(frames), info=info).noting(*notes)


def _holds_16_bits(kind: str, several: bool) -> bool:
    return kind == "TIFF" or (kind in deep.WRITES and not several)


def _fitted_frames(document: Document, kind: str) -> Document:
    count = len(document.frames)
    if count == 1:
        return document
    if document.durations and kind in animation.FORMATS:
        if document.cover and kind != "PNG":
            kept = document.frames[1:], document.durations[1:]
            document = replace(document, frames=kept[0], durations=kept[1], cover=False)
            document = document.noting(f"{kind} has no cover picture: only the animation is kept")
        return _timed(document, kind)
    if kind == "TIFF":
        if not document.durations:
            return document
        return replace(document, durations=()).noting("TIFF keeps frames as pages, without their timing")
    word = "frames" if document.durations else "pages"
    first = replace(document, frames=document.frames[:1], durations=(), cover=False)
    return first.noting(f"{kind} cannot hold {word} like these: only the first of {count} is kept")


def _timed(document: Document, kind: str) -> Document:
    """With times that the format can hold, and a note where they or the number of runs are others than before."""
    if kind == "AVIF" and document.plays:
        document = document.noting("AVIF has no place for the number of runs: it runs for ever")
    if kind != "GIF":
        return document
    times = animation.in_hundredths(document.durations)
    if all(abs(new - old) < 1 for new, old in zip(times, document.durations, strict=True)):
        return replace(document, durations=times)
    return replace(document, durations=times).noting("GIF counts in hundredths of a second: times were rounded")


def _in_srgb(frames: list[Raster], profile: bytes) -> list[Raster] | None:
    images = [
        profiles.to_srgb(frame.data, profile) if isinstance(frame.data, Image.Image) else None for frame in frames
    ]
    found = [Raster(image) for image in images if image is not None]
    return found if len(found) == len(frames) else None


def existing_folders(paths: list[Path]) -> Iterator[Path]:
    """Pictures below folders, and files named outright. Raises EspcnError for a path that is not there."""
    for path in paths:
        if path.is_dir():
            yield from find_images(path)
        elif path.exists():
            yield path
        else:
            raise EspcnError(f"{path}: no such file or folder")
