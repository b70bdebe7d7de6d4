"""What of the things beside the pixels is kept or set at the user's wish, whatever the file says."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PIL import Image

from espcn_cli.pictures import exif, inventory, metadata, xmp
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.metadata import Info
from espcn_cli.pictures.raster import Raster

COLOURS = ("icc_profile", "colour")
"""What the levels would mean something else without."""


@dataclass(frozen=True)
class Wishes:
    """`strip`: nothing beside the pixels is kept but their colours' meaning; `dpi`: dots per inch, to be set."""

    strip: bool = False
    dpi: int | None = None

    def applied(self, document: Document, kind: str) -> Document:
        """A document that is to be written in the format `kind` of `writing.format_of`; a note if it cannot hold it."""
        info = {key: value for key, value in document.info.items() if key in COLOURS or not self.strip}
        if self.strip:
            document = replace(document, frames=tuple(map(_bare, document.frames)))
        if self.dpi is None:
            return replace(document, info=info)
        holds = inventory.HOLDS.get(kind, frozenset())
        if not holds & {"dpi", "exif"}:
            info.pop("dpi", None)
            return replace(document, info=info).noting(f"{kind} has no place for the resolution in dpi")
        return replace(document, info=_with_resolution(info, self.dpi, "dpi" not in holds))


def _bare(frame: Raster) -> Raster:
    """A frame without what Pillow's writers find in an image that was read from a file."""
    if not isinstance(frame.data, Image.Image):
        return frame
    image = frame.data.copy()
    image.info = {}
    return Raster(image)


def _with_resolution(info: Info, dpi: int, by_exif: bool) -> Info:
    """With so many dots per inch wherever it speaks of them; `by_exif`: there is no other place, so EXIF is made."""
    info = info | {"dpi": (float(dpi), float(dpi))}
    try:
        if by_exif or "exif" in info:
            info["exif"] = exif.with_resolution(info.get("exif", b""), dpi)
    except metadata.UNREADABLE:
        info["exif"] = exif.with_resolution(b"", dpi)
    try:
        if "xmp" in info:
            info["xmp"] = xmp.with_resolution(info["xmp"], dpi)
    except metadata.UNREADABLE:
        pass  # what could not be read is kept as it is
    return info
