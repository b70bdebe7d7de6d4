"""Pictures to be compared by eye: versions of one picture laid on each other, first where they differ most."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image, features

from espcn_cli.maths.levels import Levels
from espcn_cli.pictures.labels import Box
from espcn_cli.reports.page import text

PICTURES = 12
"""Pictures on a page unless more are asked for."""

BUDGET = 13_000_000
"""Bytes of all pictures on a page, about: with the letters that they become, it stays under 20 MB."""

BYTES_PER_PIXEL = 2.0
"""What a pixel of a photograph takes without loss, at most about."""

LEAST, MOST = 128, 1024
"""Sides in pixels of what is shown of a large picture."""

CROP = 96
"""HR pixels of the place that is shown first."""

ZOOMS = (1, 2, 3, 4, 6, 8)


@dataclass(frozen=True)
class View:
    """One version of a picture: uint8 (H, W, 1 or 3)."""

    name: str
    levels: Levels
    caption: str = ""

    @property
    def title(self) -> str:
        return f"{self.name}, {self.caption}" if self.caption else self.name


@dataclass(frozen=True)
class Exhibit:
    """Versions of one picture, all of one size, and the place where they differ most. The first two are shown first."""

    title: str
    views: list[View]
    crop: Box
    note: str = ""


def gallery(exhibits: Sequence[Exhibit], bounded: bool = True) -> str:
    """All of them as HTML; what is too large for a page is cut around its place, unless that is not wanted."""
    versions = sum(len(exhibit.views) for exhibit in exhibits)
    side = MOST
    if bounded and versions:
        side = min(MOST, max(LEAST, math.isqrt(round(BUDGET / BYTES_PER_PIXEL / versions))))
    return "\n".join(_html(cut(exhibit, side * side), number) for number, exhibit in enumerate(exhibits, 1))


def cut(exhibit: Exhibit, pixels: int) -> Exhibit:
    """The same with at most about so many pixels, around its place; the note says so."""
    height, width = exhibit.views[0].levels.shape[:2]
    if width * height <= pixels:
        return exhibit
    x, y, w, h = exhibit.crop
    wide = max(min(width, round(math.sqrt(pixels * width / height))), w)
    high = max(min(height, pixels // wide), h)
    left = min(max(0, x + w // 2 - wide // 2), width - wide)
    top = min(max(0, y + h // 2 - high // 2), height - high)
    said = f"{wide} x {high} of {width} x {height} pixels, from {left}, {top}"
    views = [replace(view, levels=view.levels[top : top + high, left : left + wide]) for view in exhibit.views]
    return Exhibit(exhibit.title, views, (x - left, y - top, w, h), f"{exhibit.note}; {said}" if exhibit.note else said)


def _html(exhibit: Exhibit, number: int) -> str:
    height, width = exhibit.views[0].levels.shape[:2]
    figures = "".join(_figure(view, exhibit.title) for view in exhibit.views)
    options = [view.title for view in exhibit.views]
    zooms = "".join(f'<option value="{zoom}"{" selected" if zoom == 3 else ""}>{zoom} ×</option>' for zoom in ZOOMS)
    size = " ".join(map(str, (width, height, *exhibit.crop)))
    note = f'<p class="note">{text(exhibit.note)}</p>' if exhibit.note else ""
    return (
        f'<article><h3>{text(exhibit.title)}</h3>{note}<div class="viewer" data-size="{size}"><div class="controls">'
        f"<label>left{_select(options, 0)}</label>"
        f'<label>enlarged<select><option value="fit">whole</option>{zooms}</select></label>'
        f"<label>right{_select(options, min(1, len(options) - 1))}</label></div>"
        f'<div class="stage" tabindex="0" aria-label="{text(exhibit.title)}"><div class="views">{figures}</div></div>'
        f'<input class="split" type="range" min="0" max="1000" step="10" value="500" aria-label="where the left one '
        f'ends, {text(exhibit.title)}" id="split-{number}"></div></article>'
    )


def _select(options: Sequence[str], chosen: int) -> str:
    each = "".join(
        f'<option value="{index}"{" selected" if index == chosen else ""}>{text(option)}</option>'
        for index, option in enumerate(options)
    )
    return f"<select>{each}</select>"


def _figure(view: View, title: str) -> str:
    height, width = view.levels.shape[:2]
    caption = text(view.title)
    return (
        f'<figure><img alt="{text(title)}: {caption}" width="{width}" height="{height}" src="{data_uri(view.levels)}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def data_uri(levels: Levels) -> str:
    """A picture, uint8 (H, W, 1 or 3), without loss as a page can hold it."""
    image = Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels)
    file = io.BytesIO()
    kind = "WEBP" if features.check("webp") and max(image.size) < 16384 else "PNG"
    image.save(file, kind, **({"lossless": True, "quality": 60, "method": 2} if kind == "WEBP" else {"optimize": True}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
