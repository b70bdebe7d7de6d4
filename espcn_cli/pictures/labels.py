"""Words on pictures: captions below them and boxes around places, in Pillow's own font, legible at any size."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from espcn_cli.pictures.opening import drawing

SIZE = 15
"""Pixels of a line's letters."""

LINE = 20
"""Pixels from line to line."""

GAP = 8
"""Pixels between pictures."""

PAPER, INK, MARK = (255, 255, 255), (24, 24, 24), (214, 39, 40)

Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""


def shortened(text: str, width: int, size: int = SIZE) -> str:
    """The text, or as much of it as fits into a width, with an ellipsis; what no font can draw becomes `?`."""
    text = text.encode("utf-8", "replace").decode()
    font = ImageFont.load_default(size)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…" if text else ""


def captioned(image: Image.Image, *lines: str, width: int = 0) -> Image.Image:
    """An RGB picture on paper, at least `width` wide, with lines of text below it."""
    sheet = Image.new("RGB", (max(image.width, width), image.height + LINE * len(lines)), PAPER)
    sheet.paste(image.convert("RGB"), (0, 0))
    write(sheet, lines, 0, image.height)
    return sheet


def write(sheet: Image.Image, lines: Sequence[str], left: int, top: int) -> None:
    """Lines of text on a sheet, from there to the sheet's right edge."""
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(SIZE)
    for number, line in enumerate(lines):
        shown = shortened(line, sheet.width - left)
        with drawing():
            pen.text((left, top + number * LINE + (LINE - SIZE) // 2 - 1), shown, INK, font)


def boxed(image: Image.Image, boxes: Sequence[tuple[str, Box]]) -> Image.Image:
    """A picture with places framed and named."""
    marked = image.convert("RGB")
    pen, font = ImageDraw.Draw(marked), ImageFont.load_default(SIZE)
    for name, (left, top, width, height) in boxes:
        pen.rectangle((left - 1, top - 1, left + width, top + height), outline=PAPER, width=3)
        pen.rectangle((left - 1, top - 1, left + width, top + height), outline=MARK, width=1)
        with drawing():
            pen.text((left + 3, top + 1), name, MARK, font, stroke_width=2, stroke_fill=PAPER)
    return marked


def beside(images: Sequence[Image.Image]) -> Image.Image:
    """Pictures in a row, their tops aligned."""
    width = sum(image.width for image in images) + GAP * (len(images) - 1)
    sheet = Image.new("RGB", (width, max(image.height for image in images)), PAPER)
    left = 0
    for image in images:
        sheet.paste(image, (left, 0))
        left += image.width + GAP
    return sheet


def below(images: Sequence[Image.Image]) -> Image.Image:
    """Pictures below each other, on a sheet with a margin."""
    width = max(image.width for image in images) + 2 * GAP
    sheet = Image.new("RGB", (width, sum(image.height + GAP for image in images) + GAP), PAPER)
    top = GAP
    for image in images:
        sheet.paste(image, (GAP, top))
        top += image.height + GAP
    return sheet
