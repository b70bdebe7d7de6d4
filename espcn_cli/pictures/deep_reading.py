"""Samples of more than 8 bits in colour, which Pillow would cut to 8: read and written through the extra `deep`."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from types import ModuleType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from espcn_cli.errors import EspcnError
from espcn_cli.pictures import boxes, heif, jxl

Samples = NDArray[np.uint16]
"""(H, W, C): grey, grey + alpha, RGB or RGBA, 0 to 65535."""

Levels = NDArray[np.uint8] | Samples

REMEDY = "install 'espcn[deep]' to keep them, or cut them down to 8 with --depth 8"
CUT = "cut them down to 8 with --depth 8"
BLACK_IS_LAST, GREY, RGB, YCBCR = 0, 1, 2, 6
"""TIFF's photometric interpretations that are read here."""

ASSOCIATED, UNSPECIFIED = 1, 0
"""TIFF's extra samples: alpha that colours were multiplied with, and anything else."""

BAND = 256
"""Rows at a time where arithmetic needs wider integers."""


logging.getLogger("tifffile").addHandler(logging.NullHandler())  # odd tags; what is lost we say in our own words


# --- what a file holds -----------------------------------------------------------------------------------------------


def white(image: Image.Image) -> int:
    """The largest sample of the file behind an image whose frame is not loaded yet; 255 for 8 bits and fewer.

    Samples of 32 bits, of floating point or with a sign count as 255: whether they can be read is asked elsewhere.
    """
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        bits: int = max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,)))
        return (1 << bits) - 1 if 8 < bits <= 16 and is_unsigned(image) else 255
    if image.format == "HEIF":
        return max((1 << int(image.info.get("bit_depth", 8))) - 1, 255)
    if isinstance(image, jxl.Picture):
        return 255 if image.header.is_float else max((1 << image.header.bits) - 1, 255)
    file, tile = getattr(image, "fp", None), getattr(image, "tile", None)
    if file is None or not tile:
        return 255
    if image.format in ("AVIF", "JPEG2000"):
        return max((1 << boxes.bits(file, image.format)) - 1, 255)
    codec, arguments = tile[0].codec_name, tile[0].args
    values = arguments if isinstance(arguments, (tuple, list)) else (arguments,)
    if image.format == "PPM" and isinstance(values[-1], int):
        return max(int(values[-1]), 255)
    if codec == "SGI16" or (codec == "sgi_rle" and values[-1] == 2):
        return 65535
    return 65535 if any(isinstance(value, str) and re.search(r";16[BLN]", value) for value in values) else 255


def is_unsigned(image: Image.Image) -> bool:
    """Whether the samples of a TIFF are whole numbers without a sign."""
    return set(image.tag_v2.get(TiffImagePlugin.SAMPLEFORMAT, (1,))) <= {1, 4}  # type: ignore[attr-defined]


def black_is_last(image: Image.Image) -> bool:
    """Whether black is the largest value in a TIFF, which Pillow turns round for 8 bits but not for 16."""
    tags = getattr(image, "tag_v2", None)
    return tags is not None and tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == BLACK_IS_LAST


def grey_white(image: Image.Image, white: int) -> int:
    """What Pillow makes of white in deep grey: TIFF's 12 bits stay as they are, JPEG 2000's are moved to the top."""
    if image.format == "JPEG2000":
        return white << (16 - white.bit_length())
    return white if image.format == "TIFF" else 65535


def is_there() -> bool:
    """Whether the extra is installed."""
    try:
        import imagecodecs
        import tifffile
    except ImportError:
        return False
    return bool(imagecodecs and tifffile)


# --- reading ---------------------------------------------------------------------------------------------------------


def why_not(image: Image.Image) -> str | None:
    """Why the frame at hand cannot be read here and has to be cut down by Pillow; None if it can."""
    if image.format == "HEIF":
        return None
    if image.format not in READERS:
        return f"16 bits per sample are not kept in {image.format}: {CUT}"
    if image.mode in ("CMYK", "LAB"):
        return f"16 bits per sample are kept in grey and RGB, not in {image.mode}: {CUT}"
    if image.format != "TIFF" and getattr(image, "n_frames", 1) > 1:
        return f"an animation with more than 8 bits per sample: {CUT}"
    if is_there():
        return None
    keep = "install 'espcn[deep]' to read them"
    return (
        f"16 bits per sample in separate planes: {keep}"
        if is_misread(image)
        else f"more than 8 bits per sample: {REMEDY}"
    )


def is_misread(image: Image.Image) -> bool:
    """Whether Pillow makes noise of the frame at hand: a TIFF with 16 bits in planes of their own."""
    return image.format == "TIFF" and len(image.tile) > 1 and {tile.args[0] for tile in image.tile} <= set("RGBA")  # type: ignore[attr-defined]


def read(image: Image.Image, white: int) -> tuple[Samples, list[str]]:
    """The frame at hand of an image that is not loaded yet, scaled to 16 bits and not turned; and notes.

    Raises EspcnError if `why_not` has a reason.
    """
    if reason := why_not(image):
        raise EspcnError(reason)
    assert image.format is not None
    file: IO[bytes] = image.fp  # type: ignore[attr-defined]
    with boxes.at_start(file):
        array, notes = READERS[image.format](image, file)
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or not 1 <= array.shape[2] <= 4:
        raise EspcnError(f"more than 8 bits in {array.shape[-1]} samples per pixel: {CUT}")
    return scaled(array, white), notes


def _read_png(image: Image.Image, file: IO[bytes]) -> tuple[Any, list[str]]:
    import imagecodecs

    array = imagecodecs.png_decode(file.read())
    return array, []


def with_clear(grey: Samples, clear: int) -> Samples:
    """Grey (H, W) with alpha: 0 where the pixel has the transparent value of a PNG's tRNS, else opaque."""
    return np.stack([grey, np.where(grey == clear, 0, 65535).astype(np.uint16)], axis=2)


def _read_ppm(image: Image.Image, file: IO[bytes]) -> tuple[Any, list[str]]:
    tile = image.tile[0]  # type: ignore[attr-defined]
    file.seek(tile.offset)
    width, height = image.size
    count = width * height * len(image.getbands())
    if tile.codec_name == "ppm_plain":
        words = re.sub(rb"#[^\n]*", b" ", file.read()).split()
        values = np.array(words[:count], dtype=np.int64).clip(0, 65535)
    else:
        values = np.frombuffer(file.read(2 * count), dtype=">u2")
    if len(values) < count:
        raise EspcnError("pixels are missing at the end: is it complete?")
    return values.reshape(height, width, -1).astype(np.uint16), []


def _read_avif(image: Image.Image, file: IO[bytes]) -> tuple[Any, list[str]]:
    import imagecodecs

    return imagecodecs.avif_decode(file.read()), []


def _read_jpeg_2000(image: Image.Image, file: IO[bytes]) -> tuple[Any, list[str]]:
    import imagecodecs

    return imagecodecs.jpeg2k_decode(file.read()), []


def _read_tiff(image: Image.Image, file: IO[bytes]) -> tuple[Any, list[str]]:
    import tifffile

    return _of_page(tifffile.TiffFile(file).pages[image.tell()])


def _by_library(library: ModuleType) -> Reader:
    """What reads HEIC or JPEG XL."""

    def read(image: Image.Image, file: IO[bytes]) -> tuple[Any, list[str]]:
        array = library.read_deep(image, file)
        return straight(array, white(image)) if library.is_premultiplied(image) else array, []

    return read


Reader = Callable[[Image.Image, IO[bytes]], tuple[Any, list[str]]]
READERS: dict[str, Reader] = {
    "PNG": _read_png,
    "TIFF": _read_tiff,
    "PPM": _read_ppm,
    "AVIF": _read_avif,
    "JPEG2000": _read_jpeg_2000,
    "HEIF": _by_library(heif),
    "JXL": _by_library(jxl),
}
"""Pillow's name of a format -> what reads it with all its bits."""


def read_tiff(file: IO[bytes]) -> list[tuple[Levels, list[str]]]:
    """Every page of a TIFF that Pillow does not know, and notes. Raises EspcnError where a page is none of ours."""
    import tifffile

    def levels(page: Any) -> tuple[Levels, list[str]]:
        array, notes = _of_page(page)
        return (array if array.dtype == np.uint8 else scaled(array, 2**page.bitspersample - 1)), notes

    with tifffile.TiffFile(file) as tiff:
        pages = [levels(page) for page in tiff.pages]
    if not pages:
        raise EspcnError("no picture is in it: is it complete?")
    return pages


def _of_page(page: Any) -> tuple[Any, list[str]]:
    """(H, W) or (H, W, C) with straight alpha, and notes."""
    kind = {"f": "floating-point", "i": "signed"}.get(page.dtype.kind if page.dtype else "")
    if kind or page.dtype not in (np.uint8, np.uint16):
        raise EspcnError(unsupported(kind or f"{page.bitspersample}-bit"))
    grey = page.photometric in (BLACK_IS_LAST, GREY)
    if not grey and page.photometric not in (RGB, YCBCR):
        raise EspcnError(f"a TIFF in {getattr(page.photometric, 'name', page.photometric)}: convert it to RGB")
    array = page.asarray()
    if array.ndim == 3 and page.planarconfig == 2:
        array = np.moveaxis(array, 0, -1)
    if array.ndim not in (2, 3):
        raise EspcnError("a TIFF of more than two dimensions: split it into pages")
    if page.photometric == BLACK_IS_LAST:
        array = 2**page.bitspersample - 1 - array
    return _with_alpha(np.atleast_3d(array), 1 if grey else 3, [int(sample) for sample in page.extrasamples])


def _with_alpha(array: Any, colours: int, extra: list[int]) -> tuple[Any, list[str]]:
    """Keep the colours and the first of the extra samples that is alpha, made straight; and a note on the others."""
    alpha = next((place for place, kind in enumerate(extra) if kind != UNSPECIFIED), None)
    kept = array[..., :colours] if alpha is None else array[..., [*range(colours), colours + alpha]]
    notes = [left_out(len(extra) - (alpha is not None))] if len(extra) > (alpha is not None) else []
    if alpha is not None and extra[alpha] == ASSOCIATED:
        kept = straight(kept)
    return np.ascontiguousarray(kept), notes


def left_out(count: int) -> str:
    """What is said of samples that are neither colour nor marked as alpha."""
    which = "a channel" if count == 1 else f"{count} channels"
    return f"{which} that the file does not call transparency was left out"


def unsupported(kind: str) -> str:
    """The refusal of samples that are no whole numbers of up to 16 bits without a sign."""
    return f"{kind} samples are not supported: convert it to 8 or 16 bits without sign"


def straight(array: Any, most: int | None = None) -> Any:
    """Divide the colours by the alpha that they were multiplied with; `most` is 1, by default all bits of the dtype."""
    most = np.iinfo(array.dtype).max if most is None else most
    result = np.empty_like(array)
    for start in range(0, len(array), BAND):
        band = array[start : start + BAND].astype(np.uint64)
        alpha = band[..., -1:]
        result[start : start + BAND] = np.minimum((band * most + alpha // 2) // np.maximum(alpha, 1), most)
        result[start : start + BAND, :, -1:] = alpha
    return result


def scaled(array: Any, white: int) -> Samples:
    """Spread 0 to `white` over 0 to 65535, rounded to the nearest."""
    if array.dtype == np.uint16 and white == 65535:
        return np.ascontiguousarray(array)
    result = np.empty(array.shape, np.uint16)
    for start in range(0, len(array), BAND):
        band = array[start : start + BAND].astype(np.uint32)
        result[start : start + BAND] = np.minimum((band * 65535 + white // 2) // white, 65535)
    return result
