"""Reading pictures: all that a file holds as a `Document` in whole levels.

Pictures come upright, grey or RGB, whatever their mode; what could not be kept is said in their warnings.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, TiffImagePlugin

from espcn_cli.errors import EspcnError
from espcn_cli.maths.turns import turned
from espcn_cli.pictures import animation, cut_short, deep_reading, gif, jxl, metadata_reading, profiles, raster
from espcn_cli.pictures.change import AS_IT_IS, upright
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.inventory import NAMES
from espcn_cli.pictures.metadata import Info
from espcn_cli.pictures.metadata_reading import TURNED, Beside, beside, collect, stored_turn
from espcn_cli.pictures.opening import DamagedError, UnknownTiffError, check_pixels, opened
from espcn_cli.pictures.raster import Raster
from espcn_cli.pictures.traces import traces_of

MODES_16_BIT = ("I;16", "I;16B", "I;16L", "I;16N")
MODES_OF_DEEP_GREY = (*MODES_16_BIT, "I", "F")

SUBFILE_TYPE = 254
"""TIFF's tag for pages that are reduced copies (1) or masks (4) of others."""

CUT = "more than 8 bits per sample were cut down to 8"


def read_document(path: Path, depth: int | None = None, lenient: bool = False) -> Document:
    """Read all frames or pages of a file, or of standard input, upright. Raises EspcnError naming the file.

    Colour of more than 8 bits needs the extra `deep`, and so do the rarer kinds of TIFF; `depth` = 8 rounds everything
    to 8 bits instead. A `lenient` reader takes JPEGs and PNGs that were cut short, with a warning: what is missing is
    grey.
    """
    source = opened(path)
    try:
        with source as image:
            document = from_frames(image, depth)
    except DamagedError:
        found = _cut_short(source, depth) if lenient else None
        if found is None:
            raise
        return found
    except UnknownTiffError as error:
        if not deep_reading.is_there():
            raise EspcnError(f"{error}: 'espcn[deep]' reads more kinds", path) from None
        return _odd_tiff(source, depth)
    damage = source.complaints[:1]
    return document.noting(*(f"the file is damaged, parts may look wrong ({complaint})" for complaint in damage))


def _cut_short(source: opened, depth: int | None) -> Document | None:
    """What there is of a picture that could not be decoded; None if it was not cut short."""
    with source.file() as file:
        whole = cut_short.completed(file.read())
    if whole is None:
        return None
    with opened(source.path, whole.data) as image:
        document = from_frames(image, depth)
        return document.noting(whole.note(image))


def read_first(path: Path) -> tuple[Raster, Info, list[str]]:
    """The first frame of a file, as `from_image` gives it. Raises EspcnError naming the file if it cannot be read."""
    try:
        with opened(path) as image:
            return from_image(image)
    except UnknownTiffError:
        document = read_document(path)
        return document.frames[0], document.info, list(document.warnings)


def _odd_tiff(source: opened, depth: int | None) -> Document:
    """A TIFF that Pillow does not know but tifffile does."""
    with source.file() as file:
        try:
            info, turn, notes = metadata_reading.collect_tiff(file)
            pages = deep_reading.read_tiff(file)
        except Exception as error:
            raise source.explain(error) from None
    frames = [raster.from_array(turned(array, turn)) for array, _ in pages]
    notes += [note for _, said in pages for note in said]
    for frame in frames:
        info = _agreeing(frame, info, notes)[1]
    if depth == 8:
        frames = [_cut(frame, notes) for frame in frames]
    return Document(tuple(frames), info, warnings=tuple(dict.fromkeys(notes)))


def from_image(image: Image.Image) -> tuple[Raster, Info, list[str]]:
    """The first frame of any Pillow image in whole levels, what stands beside it, and notes.

    It comes upright, as grey or RGB, with alpha if there is any: palettes are resolved, CMYK and other colour spaces
    become RGB, 16-bit grey keeps its depth. Raises EspcnError for floating-point and 32-bit images.
    """
    count = getattr(image, "n_frames", 1)
    said = [f"only the first of {count} frames is used"] if count > 1 else []
    frame, info, notes = _frame(image, None, beside(image), deep_colour=False)
    return frame, info, said + notes


def from_frames(image: Image.Image, depth: int | None = None) -> Document:
    """Any opened Pillow image with all its frames or pages -> a Document. Raises EspcnError as `from_image`."""
    count = getattr(image, "n_frames", 1)
    read, palettes = beside(image), _palettes(image)
    traces = traces_of(image)
    if count == 1 or image.format not in (*animation.FORMATS, "TIFF"):
        frame, info, found = _frame(image, depth, read)
        return Document((frame,), info, warnings=(*found, *_passed_over(image, count)), traces=traces)
    frames: list[Raster] = []
    durations: list[float] = []
    infos: list[Info] = []
    notes: list[str] = []
    pixels = reduced = 0
    for index in range(count):
        image.seek(index)
        if is_reduced(image) and index:
            reduced += 1
            continue
        pixels += image.width * image.height
        check_pixels(pixels, claimed=image.width * image.height * count)
        frame, info, said = _frame(image, depth, read, several=True)
        frames.append(frame)
        durations.append(animation.duration(image))
        notes += [note for note in said if note not in notes]
        infos.append(info)
    if reduced:
        notes.append(f"{reduced} reduced {'copy' if reduced == 1 else 'copies'} of the picture left out")
    if image.format == "TIFF":
        frames, info = _as_one(frames, infos, notes)
        return Document(tuple(frames), info, warnings=tuple(notes), traces=traces)
    cover = bool(image.info.get("default_image"))
    timing = tuple(durations), animation.plays(image), cover, palettes
    return Document(tuple(_alike(frames)), infos[0], *timing, tuple(notes), traces)


def _as_one(frames: list[Raster], infos: list[Info], notes: list[str]) -> tuple[list[Raster], Info]:
    """Pages of a file that is written with one profile, and what else stands beside the first, for all of them."""
    first = dict(infos[0])
    found = [info.get("icc_profile") for info in infos]
    if len(set(found)) > 1:
        pairs = zip(frames, found, strict=True)
        given = [profiles.given_up([frame], data) if data else ([frame], None) for frame, data in pairs]
        frames = [frame for converted, _ in given for frame in converted]
        first.pop("icc_profile", None)
        how = "left out" if "" in [note for _, note in given] else "converted to sRGB"
        notes.append(f"the pages have different colour profiles: they were {how}")
    keys = [key for key in NAMES if key != "icc_profile" and any(info.get(key) != first.get(key) for info in infos)]
    if keys:
        notes.append(f"only the first page's own is kept: {', '.join(NAMES[key] for key in keys)}")
    return frames, first


def _palettes(image: Image.Image) -> tuple[int, ...]:
    file = getattr(image, "fp", None)
    return gif.palettes(file) if file is not None and image.format == "GIF" else ()


def _passed_over(image: Image.Image, count: int) -> list[str]:
    """A note on pictures in a file that are no frames or pages and of which only one is taken."""
    if isinstance(image, jxl.Picture) and image.header.moves:
        return ["JPEG XL's animations are not read: only the last frame is used"]
    if image.format == "HEIF" and count > 1:
        return [f"only the main one of {count} pictures in the file is used"]
    if image.format == "PSD":
        return [f"only the flattened picture is used, not the {count} layers"] if count > 1 else []
    sizes = image.info.get("sizes")
    if image.format in ("ICO", "ICNS") and sizes and len(sizes) > 1:
        return [f"only the largest of {len(sizes)} pictures in the file is used"]
    return [f"only the first of {count} pictures in the file is used"] if count > 1 else []


def is_reduced(image: Image.Image) -> bool:
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
    image: Image.Image, depth: int | None, read: Beside, several: bool = False, deep_colour: bool = True
) -> tuple[Raster, Info, list[str]]:
    """The pixels of the frame at hand, upright, and what stands beside them; and notes.

    With `several` frames the image goes on to the next. Without `deep_colour` more than 8 bits in colour are cut down.
    """
    white = deep_reading.white(image)
    said = _tiff_notes(image) if image.format == "TIFF" else []
    if white > 255 and image.mode not in MODES_OF_DEEP_GREY:
        cut = depth == 8 or not deep_colour
        if not cut or deep_reading.is_misread(image) or deep_reading.why_not(image) is None:
            frame, info, notes = _deep_frame(image, white, read, said)
            return _cut(frame, notes) if cut else frame, info, notes
    few_bits, made = _spread(image), stored_turn(image)
    image.load()
    check_pixels(image.width * image.height)  # a HEIC's size may be another than its header says
    if few_bits and "transparency" in image.info:
        image.info["transparency"] *= few_bits
    info, turn, notes = collect(image, read, made)
    notes = said + notes
    pixels = upright(image.copy() if several else image, turn)
    if pixels.mode in MODES_16_BIT or (pixels.mode == "I" and image.format in ("PNG", "PPM")):
        frame = _grey_16(pixels, image, deep_reading.grey_white(image, white), depth, notes)
        return _agreeing(frame, info, notes)
    if pixels.mode in ("I", "F"):
        raise EspcnError(deep_reading.unsupported("floating-point" if pixels.mode == "F" else "32-bit"))
    if white > 255:
        notes.append(CUT)
    if pixels.mode in profiles.SPACES:
        pixels, note = profiles.to_rgb(pixels, info.pop("icc_profile", None))
        notes.append(note)
    return _agreeing(Raster(_plain(pixels, info.get("icc_profile", b""))), info, notes)


def _spread(image: Image.Image) -> int:
    """What Pillow multiplies grey of 2 or 4 bits with when it loads a PNG, but not its transparent value; else 0."""
    tile = getattr(image, "tile", None)
    return {"L;2": 85, "L;4": 17}.get(tile[0].args if isinstance(tile[0].args, str) else "", 0) if tile else 0


def _deep_frame(image: Image.Image, white: int, read: Beside, notes: list[str]) -> tuple[Raster, Info, list[str]]:
    array, said = deep_reading.read(image, white)
    info, turn, found = collect(image, read, stored_turn(image) if image.format in TURNED else AS_IT_IS)
    notes = list(dict.fromkeys([*notes, *said, *found]))
    return _agreeing(raster.from_array(turned(array, turn)), info, notes)


def _agreeing(frame: Raster, info: Info, notes: list[str]) -> tuple[Raster, Info, list[str]]:
    """Without a profile that is for other colours than the frame has: no reader would take it."""
    if profile := info.get("icc_profile"):
        has = "GRAY" if frame.channels < 3 else "RGB"
        if (found := profiles.space(profile)) != has:
            kind = f"for {found}, not for {has}" if found else "damaged"
            info = {key: value for key, value in info.items() if key != "icc_profile"}
            notes.append(f"the colour profile is {kind}: it was left out")
    return frame, info, notes


def _cut(frame: Raster, notes: list[str]) -> Raster:
    """The frame in 8 bits per sample, and a note if it had more."""
    if frame.depth == 16:
        notes.append(CUT)
    return raster.to_8_bits(frame)


def _plain(image: Image.Image, profile: bytes) -> Image.Image:
    """Any mode of 8 bits as L, LA, RGB or RGBA; greys in a palette stay RGB where their profile is for it."""
    grey = image.mode in ("1", "L", "LA", "La") or (_has_grey_palette(image) and profiles.space(profile) != "RGB")
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
    if is_reduced(image):
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
    return _cut(frame, notes) if depth == 8 else frame
