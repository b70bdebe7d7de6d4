"""What people's pictures become, as a page of crops: python benchmarks/real_pictures.py DATA [-o PAGE.png]

DATA holds `valid/` (with the Kodak pictures), `drawings/valid/` and `video/`. A line for each of a web photo, a
screenshot, a drawing, a scan, a dithered GIF and, with PyAV, a frame of a video, damaged as in `espcn benchmark
--degradation real`: input | Lanczos | clean weights | real weights at the strength that they choose, where they are
shipped | truth. Below each is the PSNR of Y on the whole picture. The page is docs/real-pictures.png by default.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from espcn_cli.cli.benchmark import answer
from espcn_cli.maths.levels import Levels
from espcn_cli.network import named
from espcn_cli.pictures import raster
from espcn_cli.pictures.document import Document
from espcn_cli.scoring import clips, damages, suite
from espcn_cli.scoring.damages import Damage, Jpeg
from espcn_cli.scoring.suite import Method, Sample
from espcn_cli.settings import DEFAULT_MODEL, REAL
from espcn_cli.upscaling.upscaler import load

SCALE, SIDE, ZOOM, GAP, LINE = 2, 128, 2, 6, 20
"""HR pixels of a crop's side, and how many pixels of the page each takes along a side; a line of text is so high."""

Corner = tuple[int, int]
"""Of a crop: column and row in HR pixels."""


@dataclass(frozen=True)
class Panel:
    """A line of the page: a file below DATA, and what happens to it."""

    title: str
    file: str
    corner: Corner
    damage: Damage


PHOTO = Panel("web photo, JPEG 80", "valid/kodim08.webp", (300, 190), Damage("lanczos", jpegs=(Jpeg(80),)))
DRAWING = Panel("drawing, JPEG 75", "drawings/valid/d227.webp", (40, 20), Damage("lanczos", jpegs=(Jpeg(75),)))
SCAN = Panel("scan of a print", "valid/kodim15.webp", (410, 90), Damage("lanczos", halftone=2))
GIF = Panel("GIF of 64 colours, dithered", "valid/kodim23.webp", (140, 160), Damage("lanczos", colours=64))

CLIP, CLIP_FRAME, CRF, CLIP_CORNER = "video/bee.mp4", 12, 23, (620, 440)


def samples(data: Path) -> Iterator[tuple[str, Corner, Sample]]:
    """A title, a corner and a damaged picture for each line of the page."""
    yield PHOTO.title, PHOTO.corner, damaged(data, PHOTO)
    page = suite.as_read(damages.encoded(screenshot(1), "PNG"))
    yield "screenshot, PNG", (0, 0), Sample("screenshot", "window", page, screenshot(SCALE))
    for panel in (DRAWING, SCAN, GIF):
        yield panel.title, panel.corner, damaged(data, panel)
    if clips.is_there():
        yield f"video, H.264 crf {CRF}", CLIP_CORNER, frame(data / CLIP)


def damaged(data: Path, panel: Panel) -> Sample:
    hr = suite.read_hr(data / panel.file)
    hr = hr[: len(hr) - len(hr) % SCALE, : hr.shape[1] - hr.shape[1] % SCALE]
    lr = damages.shrink(hr, SCALE, panel.damage.kernel)
    return Sample(panel.title, panel.file, suite.as_read(panel.damage.file(lr, np.random.default_rng(0))), hr)


def screenshot(zoom: int) -> Levels:
    """A window as it looks on a screen of this many pixels to a point, uint8 (64·zoom, 64·zoom, 3)."""
    image = Image.new("RGB", (64 * zoom, 64 * zoom), (246, 246, 246))
    pen = ImageDraw.Draw(image)

    def box(corners: tuple[int, int, int, int], fill: str, outline: str | None = None) -> None:
        left, top, right, bottom = (value * zoom for value in corners)
        pen.rectangle((left, top, right - 1, bottom - 1), fill, outline, zoom if outline else 0)

    def text(x: int, y: int, words: str, size: int, fill: str) -> None:
        pen.text((x * zoom, y * zoom), words, fill, ImageFont.load_default(size * zoom))

    box((0, 0, 64, 12), "#3b5998")
    text(3, 1, "Preferences", 9, "white")
    for row, (words, ticked) in enumerate((("Sharpen", True), ("Less noise", False))):
        box((4, 17 + 12 * row, 12, 25 + 12 * row), "white", "#808080")
        if ticked:
            box((6, 19 + 12 * row, 10, 23 + 12 * row), "#2060c0")
        text(15, 16 + 12 * row, words, 8, "black")
    box((0, 42, 64, 43), "#c0c0c0")
    box((3, 47, 25, 59), "#e0e0e0", "#909090")
    text(8, 48, "OK", 9, "black")
    text(29, 48, "Cancel", 9, "#a01010")
    return np.asarray(image)


def frame(path: Path) -> Sample:
    hrs = list(clips.read(path, CLIP_FRAME + 8))
    lrs = clips.through_h264([damages.shrink(hr, SCALE, "lanczos") for hr in hrs], CRF)
    return Sample("video", path.name, Document((raster.from_array(lrs[CLIP_FRAME]),)), hrs[CLIP_FRAME])


def methods() -> dict[str, Method]:
    """Lanczos, the clean weights, and the real ones if they are shipped."""
    shipped = {card.name for _, card in named.list_shipped() if card.settings.scale == SCALE}
    names = [name for name in (DEFAULT_MODEL, DEFAULT_MODEL + REAL) if name in shipped]
    models = {name: partial(answer, load(name, SCALE)) for name in names}
    return {"Lanczos": partial(suite.interpolated, scale=SCALE, method="lanczos"), **models}


def line(title: str, corner: Corner, sample: Sample, of: dict[str, Method]) -> Image.Image:
    """One line of the page: crops side by side, and below each what it is."""
    lr = sample.lr.frames[0].array()
    views = [(title, crop(lr.repeat(SCALE, axis=0).repeat(SCALE, axis=1), corner))]
    for name, method in of.items():
        score = suite.score(method, sample, SCALE)
        taken = "" if score.strength is None else f", strength {score.strength:g}"
        print(f"{title}: {name} {score.psnr:.2f} dB{taken}, brightness {score.brightness:.2f} levels off")
        views.append((f"{name} {score.psnr:.2f} dB{taken}", crop(method(sample.lr)[0], corner)))
    views.append(("truth", crop(sample.hr, corner)))
    side = SIDE * ZOOM
    strip = Image.new("RGB", (len(views) * (side + GAP) - GAP, side + LINE), "white")
    for index, (caption, view) in enumerate(views):
        strip.paste(view, (index * (side + GAP), 0))
        ImageDraw.Draw(strip).text((index * (side + GAP), side + 2), caption, "black", ImageFont.load_default(13))
    return strip


def crop(levels: Levels, corner: Corner) -> Image.Image:
    part = levels[corner[1] : corner[1] + SIDE, corner[0] : corner[0] + SIDE]
    return damages.to_image(part).convert("RGB").resize((SIDE * ZOOM, SIDE * ZOOM), Image.Resampling.NEAREST)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parents[1] / "docs" / "real-pictures.png")
    arguments = parser.parse_args()
    of = methods()
    strips = [line(title, corner, sample, of) for title, corner, sample in samples(arguments.data)]
    page = Image.new("RGB", (strips[0].width, sum(strip.height + GAP for strip in strips)), "white")
    for index, strip in enumerate(strips):
        page.paste(strip, (0, index * (strip.height + GAP)))
    page.save(arguments.output, optimize=True)


if __name__ == "__main__":
    main()
