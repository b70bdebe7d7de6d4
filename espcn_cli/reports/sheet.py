"""One picture by several methods: a contact sheet of the places where they differ most, and the same as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from espcn_cli.errors import EspcnError
from espcn_cli.figures import figure
from espcn_cli.maths.colour import studio_luma
from espcn_cli.maths.levels import Levels, to_8_bits
from espcn_cli.pictures import labels
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.labels import Box
from espcn_cli.pictures.raster import Raster, from_array, on_white
from espcn_cli.reports import page
from espcn_cli.reports.exhibits import Exhibit, View, gallery
from espcn_cli.scoring.metrics import HIGHEST_PSNR, psnr, shave
from espcn_cli.scoring.places import most_different
from espcn_cli.scoring.tensors import alike, from_levels
from espcn_cli.upscaling.fit import fit
from espcn_cli.upscaling.upscaler import Upscaler

CROPS = 3
"""Places on a sheet, unless they are chosen."""

SIDE = 80
"""HR pixels of a place's side."""

CELL = 240
"""About how many pixels of the sheet it takes."""

OVERVIEW = 480
"""Most pixels of the input's width and height on the sheet."""

SQUARE, LIGHT, DARK = 8, 255, 204
"""What shines through where there is alpha: squares of so many pixels, in two greys."""


@dataclass(frozen=True)
class Version:
    """What a method makes of the picture, all that is in the file; None as strength where nothing is mixed."""

    name: str
    picture: Raster
    strength: float | None = None


@dataclass(frozen=True)
class Compared:
    """A picture, its versions from nearest neighbour to the truth, and the places to look at, in pixels of these."""

    title: str
    source: Raster
    scale: int
    versions: list[Version]
    truth: Raster | None
    places: list[Box]

    def quality(self, version: Version, place: Box | None = None) -> float | None:
        """PSNR of Y in dB of the whole picture, or of a place; None without a truth, or for itself."""
        if self.truth is None or version.picture is self.truth:
            return None
        hr = from_levels(to_8_bits(on_white(self.truth).array()))
        sr = alike(from_levels(to_8_bits(on_white(version.picture).array())), hr)
        a, b = studio_luma(sr), studio_luma(hr)
        if place:
            x, y, w, h = place
            a, b = a[..., y : y + h, x : x + w], b[..., y : y + h, x : x + w]
        elif min(a.shape[-2:]) > 2 * self.scale:
            a, b = shave(a, self.scale), shave(b, self.scale)
        return min(psnr(a, b), HIGHEST_PSNR)


def compare(
    title: str,
    document: Document,
    upscalers: Mapping[str, Upscaler],
    scale: int,
    truth: Raster | None = None,
    chosen: Sequence[Box] = (),
) -> Compared:
    """The first frame by nearest neighbour, bicubic and models. `chosen` places are in pixels of the input.

    Raises EspcnError if the truth is of another size, a place lies outside, or memory does not suffice.
    """
    source = document.frames[0]
    width, height = source.size
    if truth and truth.size != (width * scale, height * scale):
        raise EspcnError(
            f"the truth has {truth.size[0]} x {truth.size[1]} pixels, not {width * scale} x {height * scale}: "
            f"it must be {scale} times the picture"
        )
    versions = [
        Version("nearest", repeated(source, scale)),
        Version("bicubic", fit(source, width * scale, height * scale)),
    ]
    for name, upscaler in upscalers.items():
        strength = upscaler.strength_of(document)
        [large] = upscaler.document(replace(document, frames=(source,)), strength=strength).frames
        versions.append(Version(name, large, strength))
    if truth:
        versions.append(Version("truth", truth))
    for left, top, wide, high in chosen:
        if min(left, top) < 0 or min(wide, high) < 1 or left + wide > width or top + high > height:
            raise EspcnError(f"the crop {left},{top},{wide},{high} lies outside of {title}, {width} x {height} pixels")
    places = [(left * scale, top * scale, wide * scale, high * scale) for left, top, wide, high in chosen]
    return Compared(title, source, scale, versions, truth, places or places_of(versions))


def repeated(source: Raster, scale: int) -> Raster:
    """Each pixel as a square."""
    return from_array(source.array().repeat(scale, axis=0).repeat(scale, axis=1))


def places_of(versions: Sequence[Version]) -> list[Box]:
    """Where bicubic and the last of the others differ most."""
    first, last = (from_levels(shown(version.picture)) for version in (versions[1], versions[-1]))
    return most_different(first, alike(last, first), SIDE, SIDE, CROPS)


def shown(picture: Raster) -> Levels:
    """As it can be shown, uint8 (H, W, 1 or 3): 16 bits rounded, what is transparent on squares."""
    levels = to_8_bits(picture.array())
    if not picture.has_alpha:
        return levels
    rows, columns = (np.arange(length) // SQUARE % 2 for length in levels.shape[:2])
    squares = np.where(rows[:, None] ^ columns, DARK, LIGHT)[..., None]
    alpha = levels[..., -1:].astype(np.uint32)
    laid: Levels = ((levels[..., :-1] * alpha + squares * (255 - alpha) + 127) // 255).astype(np.uint8)
    return laid


def contact_sheet(compared: Compared) -> Image.Image:
    """The input with its places framed, what each method scores, and below them each place by every method."""
    names = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    framed = [(names[index % len(names)], place) for index, place in enumerate(compared.places)]
    rows = [_top(compared, framed)]
    views = {version.name: shown(version.picture) for version in compared.versions}
    for name, place in framed:
        x, y, w, h = place
        zoom = max(1, round(CELL / max(w, h)))
        cells = []
        for version in compared.versions:
            part = _image(views[version.name][y : y + h, x : x + w])
            if max(w, h) * zoom > 2 * CELL:
                part.thumbnail((2 * CELL, 2 * CELL))
            large = part.resize((part.width * zoom, part.height * zoom), Image.Resampling.NEAREST)
            quality = compared.quality(version, place)
            below = [] if compared.truth is None else [f"{figure(quality)} dB here" if quality is not None else ""]
            cells.append(labels.captioned(large, f"{name}: {_named(version)}", *below, width=min(CELL, 160)))
        rows.append(labels.beside(cells))
    return labels.below(rows)


def _top(compared: Compared, framed: Sequence[tuple[str, Box]]) -> Image.Image:
    """The input, small enough, beside the figures of the whole picture."""
    width, height = compared.source.size
    factor = min(OVERVIEW / max(width, height), max(1, round(OVERVIEW / 2 / max(width, height))))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    whole = _image(shown(compared.source)).convert("RGB")
    whole = whole.resize(size, Image.Resampling.NEAREST if factor > 1 else Image.Resampling.LANCZOS)
    ratio = size[0] / (width * compared.scale)
    boxes = [(name, tuple(round(value * ratio) for value in place)) for name, place in framed]
    left = labels.captioned(labels.boxed(whole, boxes), f"input, {width} x {height}", width=200)  # type: ignore[arg-type]
    lines = [compared.title, f"x{compared.scale}: {width * compared.scale} x {height * compared.scale} pixels", ""]
    lines += [f"{_named(version)}{_decibels(compared.quality(version))}" for version in compared.versions]
    if compared.truth is not None:
        lines += ["", "PSNR of Y, the whole picture"]
    words = Image.new("RGB", (420, max(left.height, len(lines) * labels.LINE)), labels.PAPER)
    labels.write(words, lines, 0, 0)
    return labels.beside([left, words])


def _decibels(quality: float | None) -> str:
    return "" if quality is None else f"  {figure(quality)} dB"


def _named(version: Version) -> str:
    return version.name if version.strength is None else f"{version.name}, strength {version.strength:g}"


def _image(levels: Levels) -> Image.Image:
    return Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels)


def comparison_page(compared: Compared) -> str:
    """The same as a page whose versions can be laid on each other."""
    models = [version for version in compared.versions if version.name not in ("nearest", "bicubic", "truth")]
    by_name = {version.name: version for version in compared.versions}
    order = [by_name["bicubic"], *models, *(v for v in compared.versions if v.name in ("nearest", "truth"))]
    views = [View(_named(v), shown(v.picture), _decibels(compared.quality(v)).strip()) for v in order]
    wanted = max(view.levels.shape[2] for view in views)
    views = [View(v.name, v.levels.repeat(wanted // v.levels.shape[2], axis=2), v.caption) for v in views]
    width, height = compared.source.size
    exhibit = Exhibit(compared.title, views, compared.places[0])
    lines = [[_named(v), figure(compared.quality(v))] for v in order]
    scores = [page.section("PSNR of Y in dB", page.plain_table(["", "whole picture"], lines))] if compared.truth else []
    said = f"{width} x {height} pixels, enlarged {compared.scale} times"
    return page.page(f"espcn compare: {compared.title}", [page.note(said), gallery([exhibit]), *scores])
