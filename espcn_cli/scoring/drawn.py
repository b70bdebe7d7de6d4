"""Pages that the tool draws by itself: text, lines, user interfaces, single pixels. Each is made from a seed alone.

A page is laid out in LR pixels and can be drawn at any whole zoom: at zoom 1 and at zoom `scale` it is the same page at
both sizes; a page at zoom `scale` made small is what becomes of a large one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeVar, get_args

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from espcn_cli.maths.levels import Levels, rounded

Rng = np.random.Generator
T = TypeVar("T")
Colour = tuple[int, int, int]

ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz",
    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:!?-()'\"",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "0123456789.,-+%=/",
    "aàbcçdeéèêfghiîjklmnñoöópqrstuüvwxyzß",
    "{}[]()<>=+-*/_;:.,#&|!~abcdefghijklmnopqrstuvwxyz0123456789",
)
"""Words are drawn letter by letter from one of these: shapes are learned, not a language."""

Pattern = Literal["chequerboard", "stripes", "dots", "grain", "dither"]

PATTERNS: tuple[Pattern, ...] = get_args(Pattern)
"""Of single pixels: by turns, one line in a few, one pixel in a few, by chance, a ramp in Bayer's order."""

NO_LETTER = "\uffff"
"""What no font has."""

SMALLEST_TEXT, LARGEST_TEXT = 8, 40
"""Sizes of text, in LR pixels; small ones are drawn more often."""

FONT_NAMES = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSerif",
    "DejaVuSerif-Bold", "DejaVuSerif-Italic", "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "cmr10", "cmss10",
    "cmtt10",
)  # fmt: skip
"""Of the fonts that matplotlib ships, those with letters."""

FINER, INSIDE = 4, 255
"""How many times finer smooth shapes are drawn along each side, and the level of what is inside one."""

Draw = Callable[[Image.Image, int], None]
"""One thing on a page: draws itself on a picture at a zoom."""

Paint = Callable[[ImageDraw.ImageDraw, int], None]
"""A shape's inside, on a mask of its box at a zoom."""


@dataclass(frozen=True)
class Page:
    """Things drawn one after another on a plain ground; `size` is width and height in LR pixels."""

    size: tuple[int, int]
    ground: Colour
    things: Sequence[Draw]

    def draw(self, zoom: int) -> Levels:
        """uint8 (H·zoom, W·zoom, 3)."""
        image = Image.new("RGB", (self.size[0] * zoom, self.size[1] * zoom), self.ground)
        for thing in self.things:
            thing(image, zoom)
        return np.asarray(image)


@cache
def fonts() -> tuple[Path | None, ...]:
    """Files of the fonts at hand; None is Pillow's own."""
    package = find_spec("matplotlib")
    if package is None or package.origin is None:
        return (None,)
    folder = Path(package.origin).parent / "mpl-data" / "fonts" / "ttf"
    return (None, *(path for name in FONT_NAMES if (path := folder / f"{name}.ttf").is_file() and _is_font(path)))


def _is_font(path: Path) -> bool:
    try:
        ImageFont.truetype(path, 12)
    except OSError:
        return False
    return True


@cache
def font(path: Path | None, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size) if path is None else ImageFont.truetype(path, size)


@cache
def letters_of(path: Path | None) -> frozenset[str]:
    """Those of the ALPHABETS that a font has; for the others it draws a box."""
    face = font(path, 24)

    def shape(letter: str) -> bytes:
        return bytes(face.getmask(letter))

    return frozenset(letter for letter in "".join(ALPHABETS) if shape(letter) != shape(NO_LETTER))


def text_page(rng: Rng, size: tuple[int, int]) -> Page:
    """Lines of text of one or two sizes, with a rule or a box here and there."""
    ground, ink = _pair_of_colours(rng)
    smooth = rng.random() > 0.1
    things: list[Draw] = []
    y = int(rng.integers(-8, 8))
    while y < size[1]:
        height = int(SMALLEST_TEXT * (LARGEST_TEXT / SMALLEST_TEXT) ** (rng.random() ** 2))
        face = _pick(rng, fonts())
        colour = ink if rng.random() < 0.8 else _colour(rng)
        for _ in range(int(rng.integers(1, 6))):
            things.append(
                _text(int(rng.integers(-10, 20)), y, _words(rng, size[0] // 4, face), face, height, colour, smooth)
            )
            y += round(height * (1.15 + 0.4 * rng.random()))
        if rng.random() < 0.3:
            things.append(_rule(0, y, size[0], int(rng.integers(1, 3)), _colour(rng) if rng.random() < 0.5 else ink))
            y += int(rng.integers(2, 8))
    return Page(size, ground, things)


def interface_page(rng: Rng, size: tuple[int, int]) -> Page:
    """Windows, buttons, fields, marks, lines one pixel wide, charts, small text."""
    ground, ink = _pair_of_colours(rng)
    smooth = rng.random() > 0.1
    face, height = _pick(rng, fonts()), int(rng.integers(SMALLEST_TEXT, 16))
    things: list[Draw] = []
    for _ in range(int(rng.integers(6, 24))):
        x, y = (int(rng.integers(-10, side)) for side in size)
        w, h = int(rng.integers(4, size[0])), int(rng.integers(4, max(size[1] // 2, 5)))
        kind = rng.integers(6)
        if kind == 0:
            things += _framed(x, y, w, h, int(rng.integers(0, 8)), _colour(rng), _colour(rng), smooth)
        elif kind == 1:
            things += _framed(x, y, w, min(h, 24), int(rng.integers(0, 6)), _colour(rng), ink, smooth)
            things.append(_text(x + 4, y + 4, _words(rng, 12, face), face, height, ink, smooth))
        elif kind == 2:
            things.append(_ellipse(x, y, min(w, 40), min(h, 40), _colour(rng), smooth))
        elif kind == 3:
            end = int(rng.integers(size[0])), int(rng.integers(size[1]))
            things.append(_line([(x, y), end], int(rng.integers(1, 4)), _colour(rng), smooth))
        elif kind == 4:
            corners = [(x + int(rng.integers(40)), y + int(rng.integers(40))) for _ in range(int(rng.integers(3, 7)))]
            things.append(_polygon(corners, _colour(rng), smooth))
        else:
            things.append(_gradient(x, y, w, h, _colour(rng), _colour(rng)))
    things += [
        _text(int(rng.integers(size[0])), int(rng.integers(size[1])), _words(rng, 16, face), face, height, ink, smooth)
        for _ in range(int(rng.integers(2, 10)))
    ]
    return Page(size, ground, things)


def single_pixels(
    rng: Rng, size: tuple[int, int], kind: Pattern | None = None, colours: tuple[Colour, Colour] | None = None
) -> Levels:
    """Two colours in a pattern of single pixels, uint8 (H, W, 3); pattern and colours are drawn if not given."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    kind = kind or _pick(rng, PATTERNS)
    if kind == "chequerboard":
        share = (x + y) % 2 == 1
    elif kind == "stripes":
        share = (x if rng.random() < 0.5 else y) % int(rng.integers(2, 5)) == 0
    elif kind == "dots":
        step = int(rng.integers(2, 5))
        share = (x % step == 0) & (y % step == 0)
    elif kind == "grain":
        share = rng.random((height, width)) < rng.random()
    else:
        angle = rng.random() * 2 * np.pi
        ramp = np.cos(angle) * x / width + np.sin(angle) * y / height
        share = (ramp - ramp.min()) / np.ptp(ramp) * 16 > _BAYER[y % 4, x % 4] + 0.5
    first, second = colours or (_colour(rng), _colour(rng))
    return np.where(share[..., None], np.array(second, np.uint8), np.array(first, np.uint8))


_BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]])
"""Order in which the cells of a 4×4 screen fill."""


def _text(x: int, y: int, text: str, face: Path | None, size: int, colour: Colour, smooth: bool) -> Draw:
    def draw(image: Image.Image, zoom: int) -> None:
        pen = ImageDraw.Draw(image)
        pen.fontmode = "L" if smooth else "1"
        pen.text((x * zoom, y * zoom), text, fill=colour, font=font(face, size * zoom))

    return draw


def _rule(x: int, y: int, width: int, height: int, colour: Colour) -> Draw:
    return _box(x, y, width, height, 0, colour, False)


def _framed(x: int, y: int, w: int, h: int, radius: int, fill: Colour, frame: Colour, smooth: bool) -> list[Draw]:
    """A box with a frame of one pixel."""
    whole = _box(x, y, w, h, radius, frame, smooth)
    return [whole, _box(x + 1, y + 1, w - 2, h - 2, max(radius - 1, 0), fill, smooth)] if min(w, h) > 2 else [whole]


def _box(x: int, y: int, w: int, h: int, radius: int, colour: Colour, smooth: bool) -> Draw:
    def paint(pen: ImageDraw.ImageDraw, zoom: int) -> None:
        pen.rounded_rectangle((0, 0, w * zoom - 1, h * zoom - 1), radius * zoom, INSIDE)

    return _shape((x, y, x + w, y + h), colour, smooth, paint)


def _ellipse(x: int, y: int, w: int, h: int, colour: Colour, smooth: bool) -> Draw:
    def paint(pen: ImageDraw.ImageDraw, zoom: int) -> None:
        pen.ellipse((0, 0, w * zoom - 1, h * zoom - 1), INSIDE)

    return _shape((x, y, x + w, y + h), colour, smooth, paint)


def _line(ends: Sequence[tuple[int, int]], width: int, colour: Colour, smooth: bool) -> Draw:
    left, top, right, bottom = _around(ends)

    def paint(pen: ImageDraw.ImageDraw, zoom: int) -> None:
        pen.line([((x - left + width) * zoom, (y - top + width) * zoom) for x, y in ends], INSIDE, width * zoom)

    return _shape((left - width, top - width, right + width, bottom + width), colour, smooth, paint)


def _polygon(corners: Sequence[tuple[int, int]], colour: Colour, smooth: bool) -> Draw:
    left, top, right, bottom = _around(corners)

    def paint(pen: ImageDraw.ImageDraw, zoom: int) -> None:
        pen.polygon([((x - left) * zoom, (y - top) * zoom) for x, y in corners], INSIDE)

    return _shape((left, top, right, bottom), colour, smooth, paint)


def _around(points: Sequence[tuple[int, int]]) -> tuple[int, int, int, int]:
    """The smallest box around points, at least a pixel wide and high: left, top, right, bottom."""
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(*xs, min(xs) + 1), max(*ys, min(ys) + 1)


def _shape(box: tuple[int, int, int, int], colour: Colour, smooth: bool, paint: Paint) -> Draw:
    """A shape in a box (left, top, right, bottom) of LR pixels, its edges smooth or in steps of whole pixels."""
    left, top, right, bottom = box

    def draw(image: Image.Image, zoom: int) -> None:
        finer = FINER if smooth else 1
        mask = Image.new("L", ((right - left) * zoom * finer, (bottom - top) * zoom * finer))
        paint(ImageDraw.Draw(mask), zoom * finer)
        image.paste(colour, (left * zoom, top * zoom), mask.reduce(finer))

    return draw


def _gradient(x: int, y: int, w: int, h: int, first: Colour, last: Colour) -> Draw:
    def draw(image: Image.Image, zoom: int) -> None:
        share = np.linspace(0, 1, h * zoom)[:, None, None]
        column = np.array(first, float) * (1 - share) + np.array(last, float) * share
        image.paste(
            Image.fromarray(rounded(np.broadcast_to(column, (h * zoom, w * zoom, 3)), np.uint8)), (x * zoom, y * zoom)
        )

    return draw


def _words(rng: Rng, letters: int, face: Path | None) -> str:
    alphabet = [letter for letter in _pick(rng, ALPHABETS) if letter in letters_of(face)]
    words: list[str] = []
    while sum(map(len, words)) < letters:
        words.append("".join(rng.choice(alphabet, int(rng.integers(1, 10)))))
    return " ".join(words)


def _pair_of_colours(rng: Rng) -> tuple[Colour, Colour]:
    """Ground and ink: mostly black on white or the other way about, else any two."""
    kind = rng.random()
    if kind < 0.35:
        return (255, 255, 255), (0, 0, 0)
    if kind < 0.5:
        dark = int(rng.integers(0, 48))
        return (dark, dark, dark), (230, 230, 230)
    return _colour(rng), _colour(rng)


def _colour(rng: Rng) -> Colour:
    if rng.random() < 0.4:
        grey = int(rng.integers(256))
        return grey, grey, grey
    r, g, b = (int(v) for v in rng.integers(0, 256, 3))
    return r, g, b


def _pick(rng: Rng, of: Sequence[T]) -> T:
    return of[int(rng.integers(len(of)))]
