"""What a file says beside its pixels, found wherever its format keeps it; upright and up to date."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import IO, Any

from PIL import Image, TiffImagePlugin

from espcn_cli.maths import turns
from espcn_cli.maths.levels import Pixels
from espcn_cli.maths.turns import Turn
from espcn_cli.pictures import boxes, exif, inventory, jxl, metadata, photoshop, tiff_tags
from espcn_cli.pictures.change import AS_IT_IS, Change
from espcn_cli.pictures.metadata import Info
from espcn_cli.pictures.photoshop import RAW_PROFILE, Resource

JPEGS = ("JPEG", "MPO")

TURNED = ("HEIF", "JXL")
"""Formats whose decoders turn pictures upright by marks of their own: EXIF's orientation says nothing there."""

MADE_BY = b"Created by OpenJPEG"
"""How a comment begins that its encoder writes unasked."""

SRGB_GAMMA = 45455
SRGB_PRIMARIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
"""What PNG's gAMA and cHRM say of sRGB, in 1/100,000."""

USUAL_CODE_POINTS = (1, 2), (1, 2, 6, 13, 14, 15)
"""Primaries and transfer functions in cICP that are sRGB's, unspecified or shown as if they were."""


@dataclass(frozen=True)
class Beside:
    """What is read before a file's pixels are: `boxes.fields`, and names of what is left out."""

    fields: boxes.Fields = field(default_factory=dict)
    gone: tuple[str, ...] = ()


@dataclass
class _Found:
    """What is collected: `dpi` counts where nothing else says it, `gone` are names of what is left out."""

    info: Info
    gone: list[str]
    notes: list[str] = field(default_factory=list)
    dpi: Any = None

    def finished(self, turn: Turn, upright: Pixels) -> tuple[Info, list[str]]:
        """The info of a picture that was turned to this size, and all notes."""
        if "dpi" not in self.info and (dpi := _sensible(self.dpi)):
            self.info["dpi"] = dpi
        info, gone, damage = metadata.cleaned(self.info, turn)
        before = upright[::-1] if turn.swaps_sides else upright
        info, more = metadata.moved(info, Change(before, upright, turn))
        words = list(dict.fromkeys(word for word in (*self.gone, *gone) if word))
        return info, [*self.notes, *damage, *more, *([f"left out: {', '.join(words)}"] if words else [])]


def beside(image: Image.Image) -> Beside:
    """Of an opened image that is not loaded yet; of one without a file, nothing."""
    file: IO[bytes] | None = getattr(image, "fp", None)
    kind = image.format or ""
    gone = [inventory.word_of_segment(name, data) for name, data in _segments(image)]
    if file is None or file.closed:
        return Beside(gone=tuple(gone))
    gone += [inventory.word_of_part(kind, name) for name in boxes.names(file, kind)]
    if kind in JPEGS and "mp" not in image.info and (tail := boxes.jpeg_tail(file)):
        gone.append(inventory.MOVIE if b"ftyp" in tail else "data behind the picture")
    return Beside(boxes.fields(file, kind), tuple(gone))


def _segments(image: Image.Image) -> list[tuple[str, bytes]]:
    """A JPEG's, by the names of their markers."""
    return getattr(image, "applist", [])


def collect(image: Image.Image, before: Beside | None = None, made: Turn = AS_IT_IS) -> tuple[Info, Turn, list[str]]:
    """Everything beside the pixels of a loaded image: what was found, the turn to make it upright, and notes.

    `before` is what `beside` gave for the same file, `made` the turn that Pillow has given a TIFF already.
    """
    before = before or Beside()
    tags = getattr(image, "tag_v2", None) if image.format == "TIFF" else None
    found = _of_tags(tags) if tags is not None else _of_image(image, before.fields)
    found.gone[:0] = before.gone
    turn = AS_IT_IS
    try:
        read = image.getexif()
        turn = turn_of(image, read)
        _add_exif(found, image, read)
    except Exception as error:  # EXIF is written by anybody; Pillow's reader fails in many ways
        found.notes.append(metadata.cannot("exif", error))
    if "dpi" not in found.info and tags is None:
        found.dpi = _dpi_of(image, found)
    swaps = turn.swaps_sides and tags is None  # a TIFF's size is turned already
    info, notes = found.finished(turn if made == AS_IT_IS else made, image.size[::-1] if swaps else image.size)
    return info, turn, notes


def collect_tiff(file: IO[bytes]) -> tuple[Info, Turn, list[str]]:
    """The same of the first page of a TIFF that Pillow does not know."""
    with boxes.at_start(file):
        head = file.read(8)
        head += file.read(8) if head[2:3] == b"\x2b" or head[3:4] == b"\x2b" else b""
        tags = TiffImagePlugin.ImageFileDirectory_v2(head)
        file.seek(tags.next)
        tags.load(file)
        read = Image.Exif()
        read.bigtiff, read.endian = tags._bigtiff, tags._endian
        read.load_from_fp(file, tags._offset)
        found = _of_tags(tags)
        _add_exif(found, None, read)
    turn = metadata.turn_of(read)
    stored = tags[TiffImagePlugin.IMAGEWIDTH], tags[TiffImagePlugin.IMAGELENGTH]
    info, notes = found.finished(turn, stored[::-1] if turn.swaps_sides else stored)
    return info, turn, notes


def turn_of(image: Image.Image, exif: Image.Exif) -> Turn:
    """The turn that makes a picture upright once it is decoded. Raises what reading EXIF does."""
    return AS_IT_IS if image.format in TURNED else metadata.turn_of(exif)


def stored_turn(image: Image.Image) -> Turn:
    """The turn that the decoder gives a TIFF, HEIC or JPEG XL when it loads it; others it turns none."""
    try:
        if image.format == "HEIF":
            return turns.BY_ORIENTATION.get(image.info.get("original_orientation") or 1, AS_IT_IS)
        if isinstance(image, jxl.Picture):
            return turns.BY_ORIENTATION[image.header.orientation]
        return metadata.turn_of(image.getexif()) if image.format == "TIFF" else AS_IT_IS
    except Exception:  # EXIF is written by anybody
        return AS_IT_IS


# --- each in its place -----------------------------------------------------------------------------------------------


def _of_image(image: Image.Image, fields: boxes.Fields) -> _Found:
    """Everything but EXIF of any file but a TIFF."""
    found = _Found({}, [], _note_on_shape(_shape(image.info)))
    text = dict(getattr(image, "text", {})) if image.format == "PNG" else {}
    if text and isinstance(image.info.get("xmp"), str):
        del image.info["xmp"]  # text of this keyword, which Pillow would look for orientation in
    for key in ("icc_profile", "xmp"):
        value = image.info.get(key) or fields.get(key)
        value = value.encode() if isinstance(value, str) and image.format != "PNG" else value
        if value and isinstance(value, bytes):  # a PNG's text may have these keywords
            found.info[key] = value
    _sort(found, _resources(image, text))
    if "iptc" in fields:
        found.info["iptc"] = fields["iptc"]
    if exif_bytes := fields.get("exif") or found.info.get("exif"):
        image.info.setdefault("exif", exif_bytes)  # Pillow looks for it there
    if xmp := _raw(text.pop(RAW_PROFILE + "xmp", "")):
        found.info.setdefault("xmp", xmp)
    for keyword in (RAW_PROFILE + "exif", "XML:com.adobe.xmp"):
        text.pop(keyword, None)
    if "author" in fields:
        found.gone.append("the author's words")
    colour = _unusual_colour(fields) if "icc_profile" not in found.info else {}
    for key, value in (
        ("comment", fields.get("comment") or _comment(image)),
        ("text", text),
        ("colour", colour),
    ):
        if value:
            found.info[key] = value
    return found


def _of_tags(tags: tiff_tags.Directory) -> _Found:
    """The same of a TIFF."""
    kept, gone = tiff_tags.kept(tags)
    found = _Found({"tags": kept} if kept else {}, gone)
    for key, tag in (("icc_profile", inventory.PROFILE_TAG), ("xmp", tiff_tags.XMP)):
        if data := tiff_tags.data_of(tags, tag):
            found.info[key] = data
    if dpi := _sensible(tiff_tags.resolution(tags)):
        found.info["dpi"] = dpi
    _sort(found, tiff_tags.resources_of(tags))
    found.dpi = None
    found.notes += _note_on_shape(tiff_tags.shape(tags))
    return found


def _resources(image: Image.Image, text: dict[str, str]) -> list[Resource]:
    """Photoshop's, wherever a format keeps them; they are taken out of a PNG's text."""
    if image.format in JPEGS:
        start = photoshop.SEGMENT_NAME
        segments = [data for name, data in _segments(image) if name == "APP13" and data.startswith(start)]
        return photoshop.parse(b"".join(data[len(start) :] for data in segments))
    if image.format == "PSD":
        return [Resource(*resource) for resource in image.resources]  # type: ignore[attr-defined]
    if isinstance(read := image.info.get("photoshop"), dict):  # of a JPEG that is a file no more
        return [Resource(number, b"", data) for number, data in read.items() if isinstance(data, bytes)]
    found: list[Resource] = []
    for keyword in (RAW_PROFILE + "8bim", RAW_PROFILE + "iptc"):
        if data := _raw(text.pop(keyword, "")):
            found += photoshop.parse(data.removeprefix(photoshop.SEGMENT_NAME)) or [Resource(photoshop.IPTC, b"", data)]
    return found


def _raw(text: str) -> bytes:
    """A profile in hexadecimal digits, behind its name and its length; empty if it is none."""
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return b""


def _sort(found: _Found, resources: list[Resource]) -> None:
    """Put Photoshop's resources where they belong."""
    for resource in resources:
        number, _, data = resource
        if number == inventory.RESOLUTION:
            found.dpi = photoshop.resolution(data)
        elif number in inventory.RESOURCES_ELSEWHERE:
            found.info.setdefault(inventory.RESOURCES_ELSEWHERE[number], data)
        elif number in inventory.RESOURCES_KEPT:
            found.info.setdefault("photoshop", []).append(resource)
        elif number == inventory.GUIDES and photoshop.guides(data):
            found.gone.append("guides")
        elif number == inventory.SLICES and photoshop.slices(data) > 1:
            found.gone.append("slices")
        elif number not in inventory.RESOURCES_SILENT:
            found.gone.append("data of Photoshop's plug-ins")


def _comment(image: Image.Image) -> bytes:
    """The comment of a format that has one; what looks like it in a PNG is text."""
    if image.format in JPEGS:
        return b"\n".join(data for name, data in _segments(image) if name == "COM")
    value = image.info.get("id_section" if image.format == "TGA" else "comment") or b""
    comment = value.encode() if isinstance(value, str) else value
    is_one = isinstance(comment, bytes) and image.format != "PNG" and not comment.startswith(MADE_BY)
    return comment if is_one else b""


def _add_exif(found: _Found, image: Image.Image | None, read: Image.Exif) -> None:
    """EXIF as it stands in the file; a TIFF's, and what is there in another form, as Pillow writes it."""
    if image is None or image.format == "TIFF":
        data, gone = exif.of_tiff(read)
        found.gone += gone
    else:
        stored = image.info.get("exif")
        data = stored if isinstance(stored, bytes) else read.tobytes() if len(read) else b""
    if data:
        found.info["exif"] = data


def _dpi_of(image: Image.Image, found: _Found) -> Any:
    """Dots per inch if the file says them; of a JPEG that does not, Pillow makes them up."""
    by_exif = exif.resolution(found.info["exif"]) if "exif" in found.info else None
    by_format = image.info.get("dpi")
    if image.format in JPEGS and image.info.get("jfif_unit") not in (1, 2):
        by_format = None
    if image.format == "PCX" and by_format == image.size:  # what old programs put there
        by_format = None
    return next((dpi for dpi in (by_format, by_exif, found.dpi) if _sensible(dpi)), None)


def _sensible(value: Any) -> tuple[float, float] | None:
    try:
        x, y = (float(number) for number in value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return (x, y) if all(math.isfinite(number) and 0 < number < 65535 for number in (x, y)) else None


def _shape(info: dict[Any, Any]) -> Any:
    """How wide a pixel is for its height, where a file that is no TIFF says that alone."""
    return (
        info.get("aspect")
        or info.get("pixel_aspect_ratio")
        or (info.get("jfif_density") if info.get("jfif_unit") == 0 else None)
    )


def _note_on_shape(aspect: Any) -> list[str]:
    """A note on pixels that are not square."""
    is_oblong = isinstance(aspect, tuple) and len(aspect) == 2 and aspect[0] != aspect[1] and all(aspect)
    return ["the pixels are not square, and are taken for square"] if is_oblong else []


def _unusual_colour(found: boxes.Fields) -> boxes.Fields:
    """PNG's chunks on colour if the picture looks wrong without them: by cICP, else sRGB, else gAMA and cHRM."""
    code = found.get("cICP", b"")
    if len(code) == 4 and not all(point in usual for point, usual in zip(code, USUAL_CODE_POINTS, strict=False)):
        return {"cICP": code}
    if code or "sRGB" in found:
        return {}
    gamma, primaries = _numbers(found.get("gAMA", b"")), _numbers(found.get("cHRM", b""))
    usual = abs((gamma or [SRGB_GAMMA])[0] - SRGB_GAMMA) < 1000 and all(
        abs(number - other) < 500 for number, other in zip(primaries, SRGB_PRIMARIES, strict=False)
    )
    return {} if usual else {key: found[key] for key in ("gAMA", "cHRM") if key in found}


def _numbers(chunk: bytes) -> list[int]:
    return [number for (number,) in struct.iter_unpack(">I", chunk[: len(chunk) // 4 * 4])]
