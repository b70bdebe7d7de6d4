"""What became of a picture's pixels, and where that leaves whatever speaks of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from PIL import Image

from espcn_cli.maths.levels import Pixels
from espcn_cli.maths.turns import TURNS, Turn, turned_point

AS_IT_IS = TURNS[0]

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


@dataclass(frozen=True)
class Change:
    """A picture of the size `before` was turned, and then resized to `after`."""

    before: Pixels
    after: Pixels
    turn: Turn = AS_IT_IS

    @property
    def factors(self) -> tuple[Fraction, Fraction]:
        """How many times as wide and as high the turned picture has become."""
        width, height = self.before[::-1] if self.turn.swaps_sides else self.before
        return Fraction(self.after[0], width), Fraction(self.after[1], height)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Where a point has gone; (0, 0) is the top left corner, before and after."""
        x, y = turned_point(x, y, self.before, self.turn)
        across, down = self.factors
        return x * float(across), y * float(down)

    def sides(self, width: float, height: float) -> tuple[float, float]:
        """What has become of a rectangle's sides."""
        across, down = self.factors
        width, height = (height, width) if self.turn.swaps_sides else (width, height)
        return width * float(across), height * float(down)

    def spot(self, values: Sequence[float]) -> list[int]:
        """EXIF's place of a subject: column, row, and then nothing, a circle's diameter, or a rectangle's sides.

        Column and row are a pixel's, and count from 0.
        """
        x, y = turned_point(values[0] + 0.5, values[1] + 0.5, self.before, self.turn)
        across, down = self.factors
        more = list(values[2:])
        more = [more[0] * float(across)] if len(more) == 1 else list(self.sides(*more)) if more else []
        return [rounded(value) for value in ((x - 0.5) * float(across), (y - 0.5) * float(down), *more)]


def rounded(value: float | Fraction) -> int:
    """To the nearest, halves up."""
    return floor(value + Fraction(1, 2))


def upright(image: Image.Image, turn: Turn) -> Image.Image:
    """The pixels turned, in any of Pillow's modes."""
    return image if turn == AS_IT_IS else image.transpose(METHODS[turn])
