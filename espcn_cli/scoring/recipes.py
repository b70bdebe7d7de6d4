"""What the suite measures: each row by its name, and how its pictures come about. docs/real-pictures.md tells them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from espcn_cli.errors import UsageError
from espcn_cli.maths.levels import Pixels
from espcn_cli.scoring import drawn
from espcn_cli.scoring.damages import Damage, Jpeg, Rng
from espcn_cli.scoring.drawn import Colour, Page, Pattern

PICTURES: dict[str, Damage] = {
    "bicubic": Damage("bicubic"),
    "area": Damage("area"),
    "lanczos": Damage("lanczos"),
    "nearest": Damage("nearest"),
    "blur": Damage("bicubic", blur=0.6),
    "unsharp": Damage("lanczos", sharpen=80),
    "noise-3": Damage("lanczos", noise=3),
    "noise-8": Damage("lanczos", noise=8),
    "poisson": Damage("lanczos", shot=2000),
    **{f"jpeg-{quality}": Damage("lanczos", jpegs=(Jpeg(quality),)) for quality in (95, 90, 85, 75, 60, 50, 40, 30)},
    **{f"jpeg-{quality}-444": Damage("lanczos", jpegs=(Jpeg(quality, "4:4:4"),)) for quality in (95, 75, 50)},
    "jpeg-75-90": Damage("lanczos", jpegs=(Jpeg(75), Jpeg(90))),
    "jpeg-50-85": Damage("lanczos", jpegs=(Jpeg(50), Jpeg(85))),
    "jpeg-75-png": Damage("lanczos", jpegs=(Jpeg(75),), resaved=True),
    "jpeg-50-png": Damage("lanczos", jpegs=(Jpeg(50),), resaved=True),
    "jpeg-75-cropped": Damage("lanczos", jpegs=(Jpeg(75, cropped=3),), resaved=True),
    "unsharp-jpeg-85": Damage("lanczos", sharpen=80, jpegs=(Jpeg(85),)),
    "noise-3-jpeg-75": Damage("lanczos", noise=3, jpegs=(Jpeg(75),)),
    "webp-80": Damage("lanczos", webp=80),
    "webp-60": Damage("lanczos", webp=60),
    "webp-30": Damage("lanczos", webp=30),
    "palette-256": Damage("lanczos", colours=256),
    "palette-64": Damage("lanczos", colours=64),
    "palette-16": Damage("lanczos", colours=16),
    "halftone-2": Damage("lanczos", halftone=2),
    "halftone-3": Damage("lanczos", halftone=3),
}
"""What becomes of given pictures."""

CRF = {f"h264-{crf}": crf for crf in (18, 23, 28, 33)}
"""Constant rate factors by which given clips are compressed, made small by Lanczos."""

CLIP_FRAMES = 60
SCORED_FRAMES = range(5, CLIP_FRAMES, 10)
"""How much of a clip is compressed, from its start, and which of its frames are scored."""


@dataclass(frozen=True)
class Drawing:
    """How a drawn page becomes LR: made small by its damage, or, `twice`, drawn at LR size as well and then damaged."""

    kind: str
    damage: Damage
    twice: bool = False


PAGE_KINDS: dict[str, Callable[[Rng, Pixels], Page]] = {
    "text": drawn.text_page,
    "interface": drawn.interface_page,
}

DRAWN: dict[str, Drawing] = {
    "text-area": Drawing("text", Damage("area")),
    "text-lanczos": Drawing("text", Damage("lanczos")),
    "text-jpeg-85": Drawing("text", Damage("lanczos", jpegs=(Jpeg(85),))),
    "text-drawn": Drawing("text", Damage(), twice=True),
    "interface-area": Drawing("interface", Damage("area")),
    "interface-lanczos": Drawing("interface", Damage("lanczos")),
    "interface-drawn": Drawing("interface", Damage(), twice=True),
    "interface-drawn-jpeg-85": Drawing("interface", Damage(jpegs=(Jpeg(85),)), twice=True),
}
"""What becomes of pages of text and of interfaces, which need no given pictures."""

PIXELS: dict[str, Pattern] = {f"pixels-{kind}": kind for kind in drawn.PATTERNS}
"""Patterns of single pixels; enlarged, each pixel should be a square."""

GREY_AND_WHITE: tuple[Colour, Colour] = ((191, 191, 191), (255, 255, 255))
"""Of the first pattern of each row; those of the others are drawn."""

PAGES, PAGE_SIZE = 8, (240, 160)
PATTERNS, PATTERN_SIZE = 4, (96, 64)
"""How many pages and patterns there are in a row, and how large they are, in LR pixels."""

ROWS = (*PICTURES, *CRF, *DRAWN, *PIXELS)


def choose(words: Sequence[str]) -> tuple[str, ...]:
    """Rows by their names, by how these begin, or by patterns with * and ?; in the suite's order.

    `jpeg` is all that is compressed at once, `jpeg-75` also `jpeg-75-png`. Raises UsageError for a word without rows.
    """
    for word in words:
        if not any(_is_meant(row, word) for row in ROWS):
            raise UsageError(f"no row is called {word!r}; there are {', '.join(ROWS)}")
    return tuple(row for row in ROWS if any(_is_meant(row, word) for word in words))


def _is_meant(row: str, word: str) -> bool:
    return row == word or row.startswith(f"{word}-") or fnmatchcase(row, word)
