"""What stands beside the pixels, as they move: brought up to date where it speaks of them, else as it was.

`inventory` lists what there can be, `metadata_reading` finds it in a file, `metadata_writing` fits it to another.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any
from xml.parsers.expat import ExpatError

from espcn_cli.maths import turns
from espcn_cli.maths.turns import Turn
from espcn_cli.pictures import exif, inventory, photoshop, place, xmp
from espcn_cli.pictures.change import AS_IT_IS, Change

Info = dict[str, Any]
"""icc_profile, exif, xmp, iptc, comment: bytes; photoshop: its other resources; tags: a TIFF's (`place.Tags`); dpi: two
floats; text: keyword -> text; colour: PNG's chunks on colour, name -> data, where they say more than sRGB. Absent when
there is none."""

UNREADABLE = (ValueError, LookupError, ArithmeticError, TypeError, struct.error, ExpatError)
"""What reading things raises that were written by anybody."""


def turn_of(found: Mapping[int, Any]) -> Turn:
    """The turn that makes the picture upright to which this EXIF belongs."""
    return turns.BY_ORIENTATION.get(found.get(exif.ORIENTATION, 1), AS_IT_IS)


def cannot(name: str, error: Exception) -> str:
    """The note on a thing that is damaged."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"{inventory.NAMES[name]} cannot be read ({reason}) and was left out"


def cleaned(info: Info, turn: Turn) -> tuple[Info, list[str], list[str]]:
    """Without what is not true of another file, or not of a turned picture; names of that, and notes on damage.

    Orientation is among it: the picture is upright.
    """
    found, gone, notes = dict(info), [], []
    is_turned = turn != AS_IT_IS
    if "exif" in found:
        try:
            found["exif"], lost = exif.cleaned(found["exif"], turn)
            gone += lost
        except UNREADABLE as error:
            del found["exif"]
            notes.append(cannot("exif", error))
    if "xmp" in found:
        try:
            found["xmp"], lost = xmp.cleaned(found["xmp"], is_turned)
            gone += lost
        except UNREADABLE as error:
            if xmp.may_change(found["xmp"]):
                del found["xmp"]
                notes.append(cannot("xmp", error))
    if is_turned:
        gone += _without_turned(found)
    return {key: value for key, value in found.items() if value}, gone, notes


def _without_turned(info: Info) -> list[str]:
    """Take out of `info` what is not true of a turned picture; returns what it is called."""
    gone = []
    resources = info.get("photoshop", [])
    info["photoshop"] = [one for one in resources if one.number not in (*inventory.THUMBNAILS, *photoshop.PATHS)]
    if any(one.number in inventory.THUMBNAILS for one in resources):
        gone.append(inventory.THUMBNAIL)
    if any(one.number in photoshop.PATHS for one in resources):
        gone.append("paths")
    tags = info.get("tags", {})
    if tags.pop(inventory.RPC, None):
        gone.append(inventory.GEOGRAPHY)
    if [tags.pop(tag) for tag in inventory.PAGE_PLACE if tag in tags]:
        gone.append("the place on the page")
    return gone


def moved(info: Info, change: Change) -> tuple[Info, list[str]]:
    """`info` of a picture whose pixels have moved so, and notes: all that speaks of pixels is brought up to date."""
    found, notes = dict(info), []
    ways: dict[str, Callable[[Any, Change], Any]] = {
        "exif": exif.moved,
        "xmp": xmp.moved,
        "tags": place.moved,
    }
    for key, way in ways.items():
        if key in found:
            try:
                found[key] = way(found[key], change)
            except UNREADABLE as error:
                if key != "xmp":  # what may stay though it cannot be read
                    del found[key]
                    notes.append(cannot(key, error))
    return found, notes
