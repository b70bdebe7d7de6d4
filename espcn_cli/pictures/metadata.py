"""What a file says beside its pixels: profile, EXIF, XMP, resolution, text; read, and fitted to what is written."""

from __future__ import annotations

import math
import re
import struct
from typing import IO, Any

from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin

from espcn_cli.maths import turns
from espcn_cli.maths.turns import Turn
from espcn_cli.pictures import boxes

Info = dict[str, Any]
"""icc_profile, exif, xmp, comment: bytes; dpi: two floats; text: keyword -> text; colour: PNG's chunks on colour, name
-> data, where they say more than sRGB. Absent when there is none."""

ORIENTATION = 0x0112
"""EXIF's tag for how the camera was held."""

AS_IT_IS = Turn(0, False)

METHODS = {
    Turn(0, True): Image.Transpose.FLIP_LEFT_RIGHT,
    Turn(1, False): Image.Transpose.ROTATE_90,
    Turn(1, True): Image.Transpose.TRANSVERSE,
    Turn(2, False): Image.Transpose.ROTATE_180,
    Turn(2, True): Image.Transpose.FLIP_TOP_BOTTOM,
    Turn(3, False): Image.Transpose.ROTATE_270,
    Turn(3, True): Image.Transpose.TRANSPOSE,
}
"""What Pillow calls the turns."""

DESCRIPTION = 0x010E

SIZE_TAGS = (0x0100, 0x0101), (0xA002, 0xA003)
"""Width and height in EXIF's first directory, and in its own."""

DESCRIPTIVE = frozenset(
    (0x010D, 0x010E, 0x010F, 0x0110, 0x011D, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298, 0x83BB)
) | frozenset((*range(0x9C9B, 0x9CA0), ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, *SIZE_TAGS[0]))
"""Tags of the first directory that tell of the picture, not of how its file stores it or of its thumbnail."""

JPEG_INFO = frozenset(("icc_profile", "exif", "dpi", "xmp", "comment"))
HOLDS: dict[str, frozenset[str]] = {
    "PNG": frozenset(("icc_profile", "exif", "dpi", "xmp", "text", "comment", "colour")),
    "JPEG": JPEG_INFO,
    "MPO": JPEG_INFO,
    "WEBP": frozenset(("icc_profile", "exif", "xmp")),
    "AVIF": frozenset(("icc_profile", "exif", "xmp")),
    "TIFF": frozenset(("icc_profile", "exif", "dpi", "xmp")),
    "GIF": frozenset(("comment",)),
    "JPEG2000": frozenset(("comment",)),
    "BMP": frozenset(("dpi",)),
    "DIB": frozenset(("dpi",)),
}
NAMES = {
    "icc_profile": "the colour profile",
    "exif": "EXIF",
    "xmp": "XMP",
    "dpi": "the resolution in dpi",
    "text": "text",
    "comment": "the comment",
    "colour": "the gamma and primaries",
}
MADE_BY = b"Created by OpenJPEG"
"""How a comment begins that its encoder writes unasked."""

SRGB_GAMMA = 45455
SRGB_PRIMARIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
"""What PNG's gAMA and cHRM say of sRGB, in 1/100,000."""

USUAL_CODE_POINTS = (1, 2), (1, 2, 6, 13, 14, 15)
"""Primaries and transfer functions in cICP that are sRGB's, unspecified or shown as if they were."""

JPEG_SEGMENT = 65533 - 29
"""Bytes of EXIF or XMP that a JPEG segment holds beside its name."""


def collect(image: Image.Image, beside: boxes.Fields | None = None) -> tuple[Info, Turn, list[str]]:
    """Read everything beside the pixels of a loaded image: what was found, the turn to make it upright, and notes.

    `beside` is what `boxes.fields` found in the same file.
    """
    beside = beside or {}
    for key in ("icc_profile", "xmp", "exif"):
        if key in beside:
            image.info.setdefault(key, beside[key])
    info: Info = {key: image.info[key] for key in ("icc_profile", "comment") if image.info.get(key)}
    notes: list[str] = []
    if (dpi := _dpi(image.info.get("dpi"))) is not None:
        info["dpi"] = dpi
    if _is_oblong(image.info.get("aspect")):
        notes.append("the pixels are not square, and are taken for square")
    xmp = image.info.get("xmp")
    if isinstance(xmp, (bytes, str)) and xmp:
        info["xmp"] = xmp.encode() if isinstance(xmp, str) else xmp
    if isinstance(info.get("comment"), str):
        info["comment"] = info["comment"].encode()
    if info.get("comment", b"").startswith(MADE_BY):
        del info["comment"]
    text = getattr(image, "text", None) if image.format == "PNG" else None
    kept = {k: v for k, v in (text or {}).items() if k not in ("XML:com.adobe.xmp", "Raw profile type exif")}
    if kept:
        info["text"] = kept
    if "icc_profile" not in info and (colour := _unusual_colour(beside)):
        info["colour"] = colour
    try:
        exif, turn = _read_exif(image.getexif(), image.format == "TIFF")
    except Exception as error:  # EXIF is written by anybody; Pillow's reader fails in many ways
        return info, AS_IT_IS, [*notes, f"EXIF cannot be read ({str(error) or type(error).__name__}) and was left out"]
    if exif:
        info["exif"] = exif
    if turn != AS_IT_IS and "xmp" in info:
        info["xmp"] = _upright_xmp(info["xmp"])
    return info, turn, notes


def collect_tiff(file: IO[bytes]) -> tuple[Info, Turn, list[str]]:
    """The same of the first page of a TIFF that Pillow does not know."""
    stand_in = Image.new("L", (1, 1))
    stand_in.format = "TIFF"
    with boxes.at_start(file):
        head = file.read(8)
        head += file.read(8) if head[2:3] == b"\x2b" or head[3:4] == b"\x2b" else b""
        tags = TiffImagePlugin.ImageFileDirectory_v2(head)
        file.seek(tags.next)
        tags.load(file)
        for tag, key in ((TiffImagePlugin.ICCPROFILE, "icc_profile"), (700, "xmp")):
            if isinstance(tags.get(tag), bytes):
                stand_in.info[key] = tags[tag]
        if TiffImagePlugin.X_RESOLUTION in tags and tags.get(TiffImagePlugin.RESOLUTION_UNIT, 2) in (2, 3):
            to_inch = 2.54 if tags.get(TiffImagePlugin.RESOLUTION_UNIT) == 3 else 1
            sides = (TiffImagePlugin.X_RESOLUTION, TiffImagePlugin.Y_RESOLUTION)
            stand_in.info["dpi"] = tuple(float(tags.get(side, 0)) * to_inch for side in sides)
        exif = stand_in.getexif()
        exif.bigtiff, exif.endian = tags._bigtiff, tags._endian
        exif.load_from_fp(file, tags._offset)
        return collect(stand_in)


def _is_oblong(aspect: Any) -> bool:
    return isinstance(aspect, tuple) and len(aspect) == 2 and aspect[0] != aspect[1]


def _unusual_colour(beside: boxes.Fields) -> boxes.Fields:
    """PNG's chunks on colour if the picture looks wrong without them: by cICP, else sRGB, else gAMA and cHRM."""
    code = beside.get("cICP", b"")
    if len(code) == 4 and not all(point in usual for point, usual in zip(code, USUAL_CODE_POINTS, strict=False)):
        return {"cICP": code}
    if code or "sRGB" in beside:
        return {}
    gamma, primaries = _numbers(beside.get("gAMA", b"")), _numbers(beside.get("cHRM", b""))
    usual = abs((gamma or [SRGB_GAMMA])[0] - SRGB_GAMMA) < 1000 and all(
        abs(found - number) < 500 for found, number in zip(primaries, SRGB_PRIMARIES, strict=False)
    )
    return {} if usual else {key: beside[key] for key in ("gAMA", "cHRM") if key in beside}


def _numbers(chunk: bytes) -> list[int]:
    return [number for (number,) in struct.iter_unpack(">I", chunk[: len(chunk) // 4 * 4])]


def _dpi(value: Any) -> tuple[float, float] | None:
    try:
        x, y = (float(number) for number in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if all(math.isfinite(number) and 0 < number < 65535 for number in (x, y)) else None


def _read_exif(exif: Image.Exif, of_tiff: bool) -> tuple[bytes, Turn]:
    """EXIF without orientation, thumbnail and what describes the file's storage; and the turn that it asks for."""
    turn = turn_of(exif)
    for tag in [tag for tag in exif if tag not in DESCRIPTIVE]:
        del exif[tag]
    if str(exif.get(DESCRIPTION, "")).startswith('{"shape":'):  # scientific writers' note of the array's size
        del exif[DESCRIPTION]
    if of_tiff:  # its own header repeats the size, and may be a BigTIFF's, which EXIF has not
        for tag in SIZE_TAGS[0]:
            exif.pop(tag, None)
        exif = _copied(exif)
    exif._ifds.pop(ExifTags.IFD.IFD1, None)
    return (exif.tobytes() if len(exif) else b""), turn


def turn_of(exif: Image.Exif) -> Turn:
    """The turn that makes the picture upright to which this EXIF belongs."""
    return turns.BY_ORIENTATION.get(exif.get(ORIENTATION, 1), AS_IT_IS)


def _copied(exif: Image.Exif) -> Image.Exif:
    copy = Image.Exif()
    for tag in list(exif):
        is_directory = tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
        copy[tag] = dict(exif.get_ifd(tag)) if is_directory else exif[tag]
    return copy


def _upright_xmp(xmp: bytes) -> bytes:
    xmp = re.sub(rb'tiff:Orientation="[0-9]"', b'tiff:Orientation="1"', xmp)
    return re.sub(rb"<tiff:Orientation>[0-9]</tiff:Orientation>", b"<tiff:Orientation>1</tiff:Orientation>", xmp)


def upright(image: Image.Image, turn: Turn) -> Image.Image:
    """The pixels turned, in any of Pillow's modes."""
    return image if turn == AS_IT_IS else image.transpose(METHODS[turn])


def save_options(kind: str, info: Info, size: tuple[int, int]) -> tuple[dict[str, Any], list[str]]:
    """What Pillow's `save` takes to keep `info` in a file of this kind, and notes on what it cannot hold.

    `size` is the written picture's, for the tags that repeat it.
    """
    notes: list[str] = []
    kept = {key: value for key, value in info.items() if key in HOLDS.get(kind, frozenset())}
    lost = [NAMES[key] for key in info if key not in kept and not (key == "dpi" and _says_nothing(info["dpi"]))]
    if "exif" in kept:
        try:
            kept["exif"] = _with_size(kept["exif"], size)
        except Exception as error:
            del kept["exif"]
            notes.append(f"EXIF cannot be rewritten ({str(error) or type(error).__name__}) and was left out")
    if kind in ("JPEG", "MPO"):
        for key in ("exif", "xmp", "comment"):
            if len(kept.get(key, b"")) > JPEG_SEGMENT:
                del kept[key]
                lost.append(NAMES[key])
    if kind == "PNG" and not _is_utf_8(kept.get("xmp", b"")):
        del kept["xmp"]
        notes.append("XMP that is not UTF-8 was left out")
    if kind == "PNG":
        text = _with_comment(kept.pop("text", {}), kept.pop("comment", b""))
        kept["pnginfo"] = _png_info(text, kept.pop("xmp", b""), kept.pop("colour", {}))
    if kind == "TIFF" and "xmp" in kept:
        exif = Image.Exif()
        exif.load(kept.get("exif", b""))
        exif[0x02BC] = kept.pop("xmp")
        kept["exif"] = exif
    if lost:
        notes.append(f"{kind} has no place for {', '.join(lost)}")
    return kept, notes


def _says_nothing(dpi: tuple[float, float]) -> bool:
    """The usual defaults of cameras and programs, which tell nobody anything."""
    return all(any(abs(value - usual) < 0.1 for usual in (1, 72, 96)) for value in dpi)


def _with_size(data: bytes, size: tuple[int, int]) -> bytes:
    exif = Image.Exif()
    exif.load(data)
    for directory, tags in zip((exif, exif.get_ifd(ExifTags.IFD.Exif)), SIZE_TAGS, strict=True):
        for tag, value in zip(tags, size, strict=True):
            if tag in directory:
                directory[tag] = value
    return exif.tobytes()


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _with_comment(text: dict[str, Any], comment: bytes) -> dict[str, Any]:
    """The comment of a JPEG, GIF or JPEG 2000 under the keyword that PNG has for it; NUL would end it there."""
    comment = comment.replace(b"\0", b" ").strip()
    if not comment or "Comment" in text:
        return text
    return {**text, "Comment": comment.decode() if _is_utf_8(comment) else comment.decode("latin-1")}


def _png_info(text: dict[str, Any], xmp: bytes, colour: boxes.Fields) -> PngImagePlugin.PngInfo:
    chunks = PngImagePlugin.PngInfo()
    for name, data in colour.items():
        chunks.add(name.encode(), data)
    for key, value in text.items():
        if isinstance(value, PngImagePlugin.iTXt):
            chunks.add_itxt(key, value, value.lang or "", value.tkey or "")
        else:
            chunks.add_text(key, value)
    if xmp:
        chunks.add_itxt("XML:com.adobe.xmp", xmp.decode())
    return chunks
