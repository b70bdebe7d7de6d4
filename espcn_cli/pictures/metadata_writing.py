"""What stands beside the pixels, as a format holds it: for Pillow's writers, with a note on what has no place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from PIL import PngImagePlugin

from espcn_cli.pictures import exif, inventory, photoshop, tiff_tags
from espcn_cli.pictures.inventory import HOLDS, NAMES, NOT_DEEP
from espcn_cli.pictures.metadata import Info
from espcn_cli.pictures.photoshop import RAW_PROFILE, Resource

JPEG_SEGMENT = 65533 - 29
"""Bytes of EXIF or XMP that a JPEG segment holds beside its name."""

LONGEST = {"JPEG": JPEG_SEGMENT, "MPO": JPEG_SEGMENT, "TGA": 255}
"""Bytes of EXIF, XMP and a comment that have a place in a format."""


def save_options(kind: str, info: Info, is_deep: bool = False) -> tuple[dict[str, Any], list[str]]:
    """What Pillow's `save` takes to keep `info` in a file of this kind, and notes on what it cannot hold.

    `is_deep`: colour of 16 bits. For a TIFF, `directories` are EXIF's own, for `tiff_tags.append`.
    """
    notes: list[str] = []
    holds = HOLDS.get(kind, frozenset()) - (NOT_DEEP.get(kind, frozenset()) if is_deep else frozenset())
    kept = {key: value for key, value in info.items() if key in holds}
    for key in ("exif", "xmp", "comment"):
        if len(kept.get(key, b"")) > LONGEST.get(kind, math.inf):
            del kept[key]
    lost = [_name(key, info) for key in info if key not in kept and _is_loss(key, info, "exif" in kept)]
    if kind == "TIFF" and "exif" in kept and exif.has_thumbnail(kept["exif"]):
        lost.append(inventory.THUMBNAIL)
    if kind == "PNG" and not _is_utf_8(kept.get("xmp", b"")):
        del kept["xmp"]
        notes.append("XMP that is not UTF-8 was left out")
    if lost:
        notes.append(f"{kind} has no place for {', '.join(lost)}")
    return WRITERS.get(kind, dict)(kept), notes


def _name(key: str, info: Info) -> str:
    is_geographic = key == "tags" and not info["tags"].keys().isdisjoint(inventory.GEOGRAPHIC)
    return inventory.GEOGRAPHY if is_geographic else NAMES[key]


def _is_loss(key: str, info: Info, with_exif: bool) -> bool:
    """Whether anybody misses what has no place: not the defaults of cameras and programs, nor what EXIF says too."""
    if key == "dpi":
        usual = all(any(abs(value - usual) < 0.1 for usual in (1, 72, 96)) for value in info["dpi"])
        return not usual and not (with_exif and exif.resolution(info["exif"]))
    if key == "photoshop":
        return any(photoshop.says_something(resource) for resource in info["photoshop"])
    return True


def _for_jpeg(kept: Info) -> dict[str, Any]:
    resources = list(kept.pop("photoshop", ()))
    if "iptc" in kept:
        resources.insert(0, Resource(photoshop.IPTC, b"", kept.pop("iptc")))
    return kept | ({"extra": photoshop.segments(photoshop.build(resources))} if resources else {})


def _for_png(kept: Info) -> dict[str, Any]:
    text = _with_comment(kept.pop("text", {}), kept.pop("comment", b""))
    chunks = PngImagePlugin.PngInfo()
    for name, data in kept.pop("colour", {}).items():
        chunks.add(name.encode(), data)
    for key, value in text.items():
        if isinstance(value, PngImagePlugin.iTXt):
            chunks.add_itxt(key, value, value.lang or "", value.tkey or "")
        else:
            chunks.add_text(key, value)
    if "xmp" in kept:
        chunks.add_itxt("XML:com.adobe.xmp", kept.pop("xmp").decode())
    if "iptc" in kept:
        digits = photoshop.build([Resource(photoshop.IPTC, b"", kept.pop("iptc"))]).hex()
        lines = "\n".join(digits[start : start + 72] for start in range(0, len(digits), 72))
        chunks.add_text(RAW_PROFILE + "iptc", f"\niptc\n{len(digits) // 2:8}\n{lines}\n", zip=True)
    return kept | {"pnginfo": chunks}


def _with_comment(text: dict[str, Any], comment: bytes) -> dict[str, Any]:
    """The comment of another format under the keyword that PNG has for it; NUL would end it there."""
    comment = comment.replace(b"\0", b" ").strip()
    if not comment or "Comment" in text:
        return text
    return {**text, "Comment": comment.decode() if _is_utf_8(comment) else comment.decode("latin-1")}


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _for_tiff(kept: Info) -> dict[str, Any]:
    tags, directories = tiff_tags.written(kept)
    options = {key: kept[key] for key in ("icc_profile", "dpi") if key in kept}
    return options | {"tiffinfo": tags} | ({"directories": directories} if directories else {})


def _for_bitmap(kept: Info) -> dict[str, Any]:
    """Without a word on dots per inch, Pillow would write some of its own."""
    return {"dpi": (0, 0)} | kept


def _for_tga(kept: Info) -> dict[str, Any]:
    return {"id_section": kept["comment"]} if kept else {}


WRITERS: dict[str, Callable[[Info], dict[str, Any]]] = {
    "JPEG": _for_jpeg,
    "MPO": _for_jpeg,
    "PNG": _for_png,
    "TIFF": _for_tiff,
    "BMP": _for_bitmap,
    "DIB": _for_bitmap,
    "PCX": _for_bitmap,
    "TGA": _for_tga,
}
"""Format -> what Pillow calls what is kept; for others it has the same names."""
