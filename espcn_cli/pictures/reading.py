"""Reading pictures: all that a file holds as a `Document` in whole levels.

Pictures come upright, grey or RGB, whatever their mode; what could not be kept is said in their warnings.
"""

from __future__ import annotations

import errno
import re
import stat
import sys
import warnings
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from espcn_cli.errors import EspcnError
from espcn_cli.pictures import animation, boxes, deep_reading, metadata, profiles, raster
from espcn_cli.pictures.boxes import Fields
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.folders import STREAM
from espcn_cli.pictures.metadata import Info
from espcn_cli.pictures.raster import Raster
from espcn_cli.settings import MAX_PIXELS

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

PILLOWS_LIMIT = 1024**3 // 4 // 3
"""The pixels of which Pillow warns by itself; it refuses twice as many."""


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
        if not deep_reading.is_there():
            raise EspcnError(f"{error}: 'espcn[deep]' reads more kinds") from None
        return _odd_tiff(source, depth)


def _odd_tiff(source: opened, depth: int | None) -> Document:
    """A TIFF that Pillow does not know but tifffile does."""
    with source.file() as file:
        try:
            info, orientation, notes = metadata.collect_tiff(file)
            pages = deep_reading.read_tiff(file)
        except Exception as error:
            raise source.explain(error) from None
    frames = [raster.from_array(deep_reading.upright(array, orientation)) for array, _ in pages]
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


if Image.MAX_IMAGE_PIXELS == PILLOWS_LIMIT:  # a program that has set another one keeps it
    limit_pixels(MAX_PIXELS)


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


def from_image(image: Image.Image) -> tuple[Raster, Info, list[str]]:
    """The first frame of any Pillow image in whole levels, what stands beside it, and notes.

    It comes upright, as grey or RGB, with alpha if there is any: palettes are resolved, CMYK and other colour spaces
    become RGB, 16-bit grey keeps its depth. Raises EspcnError for floating-point and 32-bit images.
    """
    count = getattr(image, "n_frames", 1)
    said = [f"only the first of {count} frames is used"] if count > 1 else []
    frame, info, notes = _frame(image, None, _beside(image), deep_colour=False)
    return frame, info, said + notes


def from_frames(image: Image.Image, depth: int | None = None) -> Document:
    """Any opened Pillow image with all its frames or pages -> a Document. Raises EspcnError as `from_image`."""
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
    white = deep_reading.white(image)
    said = _tiff_notes(image) if image.format == "TIFF" else []
    if white > 255 and image.mode not in MODES_OF_DEEP_GREY:
        cut = depth == 8 or not deep_colour
        if not cut or deep_reading.is_misread(image) or deep_reading.why_not(image) is None:
            return _deep_frame(image, white, cut, beside, said)
    few_bits = _spread(image)
    image.load()
    if few_bits and "transparency" in image.info:
        image.info["transparency"] *= few_bits
    info, orientation, notes = metadata.collect(image, beside)
    notes = said + notes
    pixels = metadata.upright(image.copy() if several else image, orientation)
    if pixels.mode in MODES_16_BIT or (pixels.mode == "I" and image.format in ("PNG", "PPM")):
        return _grey_16(pixels, image, deep_reading.grey_white(image, white), depth, notes), info, notes
    if pixels.mode in ("I", "F"):
        raise EspcnError(deep_reading.unsupported("floating-point" if pixels.mode == "F" else "32-bit"))
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
    array, said = deep_reading.read(image, white)
    info, orientation, found = metadata.collect(image, beside)
    frame = raster.from_array(deep_reading.upright(array, orientation))
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
    if not deep_reading.is_unsigned(image) and image.mode != "F":
        raise EspcnError(deep_reading.unsupported("signed"))
    extra = tags.get(TiffImagePlugin.EXTRASAMPLES, ())
    unknown = sum(sample == deep_reading.UNSPECIFIED for sample in extra)
    notes = [deep_reading.left_out(unknown)] if unknown else []
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
    if deep_reading.black_is_last(image):
        values = white - values
    frame = raster.from_array(deep_reading.scaled(values[..., None], white))
    if clear is not None and (depth == 8 or deep_reading.is_there()):
        frame = Raster(deep_reading.with_clear(values, clear))
    elif clear is not None:
        notes.append("the transparent value of 16-bit grey was left out: 'espcn[deep]' keeps it")
    if depth == 8:
        notes.append(CUT)
    return raster.to_8_bits(frame) if depth == 8 else frame
