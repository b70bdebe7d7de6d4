"""Exact target sizes: `--size` and `--fit` as they are typed, and the scale of the network that reaches it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from espcn_cli.errors import UsageError
from espcn_cli.maths.levels import Pixels

MOST = 10**6
"""The largest side, and the largest percentage, that can be typed; what they come to is bounded for each picture."""


@dataclass(frozen=True)
class Size:
    """A wanted width and height in pixels, either of them alone, or a percentage of the source's.

    With `inside`, both are a box: the largest size of the source's aspect that fits into it.
    """

    width: int | None = None
    height: int | None = None
    percent: float | None = None
    inside: bool = False

    def of(self, source: Pixels) -> Pixels:
        """The target for a picture; its aspect is kept unless both sides are given and are no box."""
        width, height = source
        if self.inside and self.width is not None and self.height is not None:
            factor = min(self.width / width, self.height / height)
            return min(_times(width, factor), self.width), min(_times(height, factor), self.height)
        if self.percent is not None:
            return _times(width, self.percent / 100), _times(height, self.percent / 100)
        if self.width is not None and self.height is not None:
            return self.width, self.height
        if self.width is not None:
            return self.width, _times(height, self.width / width)
        assert self.height is not None
        return _times(width, self.height / height), self.height

    def warnings(self, source: Pixels) -> tuple[str, ...]:
        """What somebody may not have meant: a picture that becomes smaller, or is distorted."""
        width, height = self.of(source)
        change = f"{source[0]} x {source[1]} -> {width} x {height}"
        said = []
        if width < source[0] or height < source[1]:
            said.append(f"{'--fit' if self.inside else '--size'} makes it smaller: {change}")
        if abs(source[1] * width / source[0] - height) > 1 and abs(source[0] * height / source[1] - width) > 1:
            said.append(f"--size distorts it: {change}; --fit keeps its aspect")
        return tuple(said)


def _times(length: int, factor: float) -> int:
    return max(int(length * factor + 0.5), 1)


def parse(text: str) -> Size:
    """`800x600`, `800x`, `x600` or `150%`. Raises UsageError for anything else, or more than MOST."""
    if (match := re.fullmatch(r"(\d+(?:\.\d+)?)%", text)) and 0 < float(match[1]) <= MOST:
        return Size(percent=float(match[1]))
    match = re.fullmatch(r"(\d{0,7})[xX×](\d{0,7})", text)
    sides = [int(side) if side else None for side in match.groups()] if match else []
    if not any(sides) or 0 in sides or any(side is not None and side > MOST for side in sides):
        raise UsageError(f"--size {text!r}: use WxH, Wx, xH in pixels, or N%, each number at most {MOST:,}")
    return Size(sides[0], sides[1])


def parse_fit(text: str) -> Size:
    """`1920x1080`, a box. Raises UsageError for anything else, or more than MOST."""
    match = re.fullmatch(r"(\d{1,7})[xX×](\d{1,7})", text)
    sides = [int(side) for side in match.groups()] if match else [0]
    if not all(0 < side <= MOST for side in sides):
        raise UsageError(f"--fit {text!r}: use WxH in pixels, each at most {MOST:,}")
    return Size(sides[0], sides[1], inside=True)


def reach(source: Pixels, target: Pixels, scales: Iterable[int]) -> int:
    """The smallest of the scales that makes both sides at least as large as the target; 1 if the source is, and the
    largest if none is enough."""
    enough = [s for s in (1, *sorted(scales)) if source[0] * s >= target[0] and source[1] * s >= target[1]]
    return enough[0] if enough else max(scales)
