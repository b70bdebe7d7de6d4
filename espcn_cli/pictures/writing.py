"""Writing pictures: as much of one as its format holds, and a warning for the rest; a file whole or not at all."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from PIL import Image

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.figures import amount
from espcn_cli.files import replacing
from espcn_cli.maths.levels import Levels
from espcn_cli.pictures import (
    animation,
    deep_writing,
    heif,
    inventory,
    jxl,
    metadata_writing,
    png,
    profiles,
    raster,
    tiff_tags,
)
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.folders import WRITTEN, output_name
from espcn_cli.pictures.metadata import Info
from espcn_cli.pictures.opening import EXTRA
from espcn_cli.pictures.raster import Raster

SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    # Lossless ones for speed: benchmarks/encoding.py measures it beside Pillow's defaults.
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True, "quality": 0, "method": 0},
    "TIFF": {"compression": "tiff_adobe_deflate"},
    "AVIF": {"quality": 90, "subsampling": "4:4:4"},
    "HEIF": {"quality": 90},
}

LIBRARIES = {library.FORMAT: library for library in (heif, jxl)}
"""Formats that Pillow does not write, by what Pillow's plugins call them."""

EXTRAS = {suffix: library for library in LIBRARIES.values() for suffix in library.SUFFIXES}
"""Their suffixes."""

PORTABLE = {".pbm": "PBM", ".pgm": "PGM", ".pnm": "PNM"}
"""Suffixes of what Pillow calls PPM in any case: black and white, grey, and either with colour."""

NO_ALPHA = ("JPEG", "MPO", "PPM", *PORTABLE.values(), "BMP", "DIB", "PCX")

PCX_RESOLUTION = 12
"""Where a PCX has its dots per inch."""

WITHOUT_GREY = ("WEBP",)
"""Formats that hold grey as RGB."""

LARGEST_SIDE = {"WEBP": 16383, "JPEG": 65500, "MPO": 65500, "GIF": 65535, "TGA": 65535, "PCX": 65535, "AVIF": 65535}
"""Pixels of the longer side that a format can count to, for those that a picture may outgrow."""


@dataclass(frozen=True)
class Encoding:
    """How to write: `quality` 1 to 100 for lossy formats, `png_level` as `png.deflater` takes it; None for our choice.

    `pool` deflates the pieces of a large PNG side by side.
    """

    quality: int | None = None
    png_level: int | None = None
    pool: Executor | None = None

    @property
    def is_lossy(self) -> bool:
        """Whether a loss was asked for, of formats that need not have one."""
        return self.quality is not None and self.quality < 100

    def options(self, kind: str) -> dict[str, Any]:
        """What Pillow's `save` takes for it."""
        chosen = dict(SAVE_OPTIONS.get(kind, {}))
        if self.quality is not None and kind in ("JPEG", "MPO", "AVIF", "WEBP", *LIBRARIES):
            chosen["quality"] = self.quality
            if kind == "WEBP":
                chosen.update(lossless=False, method=4)
        return chosen


def _writer_of(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix not in WRITTEN:
        return None
    if suffix in EXTRAS:
        return EXTRAS[suffix].FORMAT if EXTRAS[suffix].is_there() else None
    Image.preinit()  # the usual ones
    if suffix not in Image.EXTENSION:
        Image.init()  # all, which takes longer to import than a small picture takes to make
    name = Image.EXTENSION.get(suffix)
    return name if name in Image.SAVE else None


def is_writable(path: Path) -> bool:
    """Whether a picture can be written in the format of this suffix."""
    return _writer_of(path) is not None


def format_of(path: Path) -> str:
    """The file format that a destination's suffix asks for: Pillow's name of it (LIBRARIES'), or one of PORTABLE's.

    Raises UsageError if nothing here can write it.
    """
    name = _writer_of(path)
    if name is None and (library := EXTRAS.get(path.suffix.lower())):
        raise UsageError(f"{path}: to write {path.suffix}, {library.NAME} needs {library.PACKAGE}: {EXTRA}", path)
    if name is None:
        kind = path.suffix or "a file without suffix"
        raise UsageError(f"{path}: cannot write {kind}: use .png, .jpg, .webp or .tif", path)
    return PORTABLE.get(path.suffix.lower(), name)


def pillows_name(kind: str) -> str:
    """What Pillow calls a format of `format_of`."""
    return "PPM" if kind in PORTABLE.values() else kind


def check_size(path: str | Path, kind: str, size: tuple[int, int]) -> None:
    """Raise EspcnError if a format cannot hold a picture of this size."""
    most = LARGEST_SIDE.get(kind)
    if most is not None and max(size) > most:
        width, height = size
        too_large = EspcnError(f"{width} x {height} is too large for {kind} ({most} a side): use .png or .tif")
        raise too_large.about(Path(path), output_name(Path(path)))


def write_document(
    document: Document,
    path: Path,
    encoding: Encoding | None = None,
    overwrite: bool = True,
    modified: int | None = None,
) -> Document:
    """Write all frames whole or not at all; returns it with warnings for what the format could not hold.

    `modified` as `replacing` takes it. Raises EspcnError as `replacing`, or if the format cannot hold the picture.
    """
    kind = format_of(path)
    with replacing(path, overwrite, modified) as temporary:
        return encode(document, kind, temporary, path, encoding or Encoding())


def write_rows(
    shape: png.Shape,
    info: Info,
    rows: Iterable[Levels],
    path: Path,
    encoding: Encoding,
    overwrite: bool = True,
    modified: int | None = None,
) -> tuple[str, ...]:
    """Write a PNG whose rows (n, W, C) come from top to bottom; returns warnings for what it could not hold.

    Raises EspcnError as `write_document`, and what the rows raise.
    """
    with replacing(path, overwrite, modified) as temporary, temporary.open("wb") as stream:
        notes = encode_rows(shape, info, rows, stream, path, encoding)
        stream.flush()
        return notes


def encode_rows(
    shape: png.Shape, info: Info, rows: Iterable[Levels], file: IO[bytes], name: str | Path, encoding: Encoding
) -> tuple[str, ...]:
    """The same to an open place; `name` stands in errors."""
    options, notes = metadata_writing.save_options("PNG", info)
    with _refused("PNG", name):
        png.write(file, shape, rows, options, encoding.png_level, encoding.pool)
    return tuple(notes)


@contextmanager
def _refused(kind: str, name: str | Path) -> Iterator[None]:
    """Say of any error of an encoder that it is one; they refuse in many ways."""
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        refusal = EspcnError(f"cannot be written as {kind} ({reason}): choose another format")
        raise (error if isinstance(error, EspcnError) else refusal).about(Path(name), output_name(Path(name))) from None


def encode(document: Document, kind: str, file: Path | BytesIO, name: str | Path, encoding: Encoding) -> Document:
    """Write to an open place in the format `kind` of `format_of`; `name` stands in errors. Returns it with warnings."""
    check_size(name, kind, document.size)
    document = _fitted(document, kind, encoding)
    is_deep = any(not isinstance(frame.data, Image.Image) for frame in document.frames)
    options, notes = metadata_writing.save_options(kind, document.info, is_deep)
    document = document.noting(*notes)
    options = encoding.options(kind) | options
    if kind == "WEBP":
        options["exact"] = document.alpha == "separate"  # else it changes the colours that are hidden
    if kind == "JPEG2000":
        options["no_jp2"] = Path(name).suffix.lower() in (".j2k", ".j2c", ".jpc")
    if kind == "AVIF" and all(frame.channels == 1 for frame in document.frames):
        options["subsampling"] = "4:0:0"
    if kind == "TIFF" and _is_big(document):
        options |= {"compression": "raw", "big_tiff": True}  # Pillow's compressing writer has no BigTIFF
    with _refused(kind, name):
        merged = _save(document, kind, file, options, encoding)
    if not merged:
        return document
    return document.noting(f"{amount(merged, 'frame')} equal to what is before: {kind} shows that longer instead")


def _save(document: Document, kind: str, file: Path | BytesIO, options: dict[str, Any], encoding: Encoding) -> int:
    """Write all frames with these options; returns how many of them the encoder merged with those before."""
    if kind == "PNG":
        with _opened(file) as stream:
            _save_png(document, stream, options, encoding)
        return 0
    if kind in LIBRARIES:
        [frame] = document.frames
        if kind == "JXL" and frame.depth == 16 and frame.channels > 1:
            deep_writing.check()
        with _opened(file) as stream:
            LIBRARIES[kind].write(frame.array(), stream, options)
        return 0
    directories = options.pop("directories", {})
    images = [frame.data for frame in document.frames if isinstance(frame.data, Image.Image)]
    if len(images) < len(document.frames):
        deep_writing.write([frame.array() for frame in document.frames], pillows_name(kind), file, options)
    else:
        images = [image.convert("1") for image in images] if kind == "PBM" else images
        timing = document.durations, document.plays, document.palettes
        animation.save(images, pillows_name(kind), file, options, *timing)
    if directories:
        tiff_tags.append(file, directories, _is_big(document))
    if kind == "PCX":
        _set_resolution(file, options["dpi"])
    return len(images) - animation.count(file, kind) if kind in ("GIF", "WEBP") else 0


def _save_png(document: Document, stream: IO[bytes], options: dict[str, Any], encoding: Encoding) -> None:
    how, frames = (encoding.png_level, encoding.pool), document.frames
    if len(frames) == 1:
        (width, height), [frame] = document.size, frames
        png.write(stream, png.Shape(width, height, frame.channels, frame.depth), frame.bands(), options, *how)
        return
    timing = document.durations, document.plays, document.cover
    png.write_animation(stream, (frame.array() for frame in frames), options, *timing, *how)


def _opened(file: Path | BytesIO) -> AbstractContextManager[IO[bytes]]:
    return file.open("wb") if isinstance(file, Path) else nullcontext(file)


def _is_big(document: Document) -> bool:
    """Whether a TIFF needs longer numbers than the usual ones to count its bytes."""
    return sum(frame.bytes for frame in document.frames) > deep_writing.MAX_CLASSIC


def _set_resolution(file: Path | BytesIO, dpi: tuple[float, float]) -> None:
    """Put dots per inch, 0 for unknown ones, into a PCX: Pillow writes 100 into each."""
    with file.open("r+b") if isinstance(file, Path) else nullcontext(file) as stream:
        stream.seek(PCX_RESOLUTION)
        stream.write(struct.pack("<2H", *map(round, dpi)))


def _fitted(document: Document, kind: str, encoding: Encoding) -> Document:
    """The document as a format can hold it, with a note on each thing it cannot."""
    document = _fitted_frames(document, kind)
    frames, notes = list(document.frames), []
    if kind == "HEIF" and any(frame.depth == 16 for frame in frames):
        notes.append(f"HEIF holds {heif.BITS} bits per sample: the picture was rounded to them")
    holds_16_bits = _holds_16_bits(kind, len(frames) > 1) and not (kind == "JXL" and encoding.is_lossy)
    if any(frame.depth == 16 for frame in frames) and not holds_16_bits:
        notes.append(f"{kind} is written with 8 bits per sample: the picture was rounded to them")
        frames = [raster.to_8_bits(frame) for frame in frames]
    if any(frame.has_alpha for frame in frames):
        frames, said = (_fitted_data if document.alpha == "separate" else _fitted_transparency)(frames, kind)
        notes += said
    info = dict(document.info)
    profile = info.get("icc_profile")
    if profile and not _holds_profile(kind, profile, frames):
        frames, note = profiles.given_up(frames, info.pop("icc_profile"))
        notes += [f"{kind} has no place for the colour profile{note}"] if note is not None else []
    if kind == "GIF" and any(frame.channels > 2 for frame in frames):
        notes.append("GIF holds 256 colours")
    if pillows_name(kind) == "PPM":
        frames = [_portable(frame, kind, notes) for frame in frames]
    return replace(document, frames=tuple(frames), info=info).noting(*notes)


def _fitted_transparency(frames: list[Raster], kind: str) -> tuple[list[Raster], list[str]]:
    if kind not in NO_ALPHA:
        return frames, []
    shows = not all(frame.is_opaque for frame in frames)
    notes = [f"{kind} holds no transparency: the picture was laid on white"] if shows else []
    return [raster.on_white(frame) for frame in frames], notes


def _fitted_data(frames: list[Raster], kind: str) -> tuple[list[Raster], list[str]]:
    """Alpha that is no transparency: nothing may be laid on white by it, or cut out."""
    if kind in (*NO_ALPHA, "GIF"):
        note = f"{kind} has no place for alpha as data: only the colours are kept"
        return [raster.without_alpha(frame) for frame in frames], [note]
    several = kind == "WEBP" and len(frames) > 1
    return frames, ["an animated WebP does not keep colours where alpha is 0: PNG does"] if several else []


def _holds_16_bits(kind: str, several: bool) -> bool:
    holds = pillows_name(kind) in deep_writing.WRITES and kind != "PBM"
    return kind in ("PNG", "TIFF", *LIBRARIES) or (holds and not several)


def _holds_profile(kind: str, profile: bytes, frames: list[Raster]) -> bool:
    """Whether a format has a place for the profile, and the picture in it the colours that the profile is for."""
    if "icc_profile" not in inventory.HOLDS.get(kind, ()):
        return False
    if profiles.space(profile) != "GRAY":
        return True
    with_alpha = any(frame.has_alpha for frame in frames)
    return kind not in WITHOUT_GREY and not (with_alpha and kind in ("AVIF", "HEIF"))


def _portable(frame: Raster, kind: str, notes: list[str]) -> Raster:
    """A frame as its suffix promises it: grey in a PGM, black and white in a PBM, colour in a PPM."""
    if kind == "PPM":
        return raster.in_colour(frame)
    if kind == "PNM":
        return frame
    grey = raster.in_grey(frame)
    if kind == "PGM":
        notes += ["PGM holds no colours: the picture was made grey"] if frame.channels > 1 else []
        return grey
    if not grey.is_black_and_white:
        notes.append("PBM holds black and white alone: each pixel became the nearer of them")
    return raster.in_black_and_white(grey)


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
