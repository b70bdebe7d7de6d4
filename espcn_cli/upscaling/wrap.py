"""Seamless textures: a picture whose edges continue at the opposite side, there and in what is made of it.

It is upscaled with a margin of its opposite pixels around it, as wide as anything looks, and cut out of the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from espcn_cli.engines.engine import Engine
from espcn_cli.maths.levels import Levels, Pixels
from espcn_cli.maths.resize import BEYOND, contributions
from espcn_cli.pictures.raster import Raster
from espcn_cli.settings import Alpha
from espcn_cli.upscaling import fit as fits
from espcn_cli.upscaling.outcome import Outcome, Task
from espcn_cli.upscaling.strips import reach_of, strips

if TYPE_CHECKING:
    from torch import Tensor

    from espcn_cli.upscaling.upscaler import Upscaler

VIDEO = "--wrap is for textures: the frames of a video do not continue at the opposite side"
"""Why no video is wrapped."""


def refused(upscaler: Upscaler, video: Task) -> Outcome | None:
    """What becomes of a video, if the pictures beside it are wrapped."""
    return Outcome(video, error=f"{video.source_name}: {VIDEO}") if upscaler.wrap else None


class Around:
    """A picture with `margin` pixels more on each side, which are those of the opposite one; made where it is read.

    The margin may be wider than the picture, which is then repeated.
    """

    def __init__(self, picture: Raster, margin: int) -> None:
        self._picture = picture
        self._margin = margin
        width, height = picture.size
        self.size = (width + 2 * margin, height + 2 * margin)
        self.has_alpha = picture.has_alpha

    def window(self, rows: slice, columns: slice) -> Levels:
        """The levels (h, w, C) of a rectangle."""
        width, height = self._picture.size
        return np.concatenate(
            [
                np.concatenate([self._picture.window(down, across) for across in self._runs(columns, width)], axis=1)
                for down in self._runs(rows, height)
            ]
        )

    def levels(self) -> Levels:
        """All of it."""
        return self.window(slice(0, self.size[1]), slice(0, self.size[0]))

    def _runs(self, span: slice, length: int) -> Iterator[slice]:
        """A span of an axis in pieces that lie in one repetition of the picture each, as places in it."""
        place, last = span.start - self._margin, span.stop - self._margin
        while place < last:
            start = place % length
            stop = min(length, start + last - place)
            yield slice(start, stop)
            place += stop - start


def around(engine: Engine, frame: Raster, treatment: Alpha) -> Levels:
    """A whole picture for an engine, with its margin."""
    return Around(frame, reach_of(engine, frame, treatment)).levels()


def inside(engine: Engine, large: Levels, frame: Raster, treatment: Alpha) -> Levels:
    """What an engine has made of `around`, without the margin."""
    margin, (width, height) = reach_of(engine, frame, treatment), frame.size
    rows, columns = (slice(*(engine.settings.scale * end for end in (margin, margin + n))) for n in (height, width))
    return large[rows, columns]


def bands(
    engine: Engine, frame: Raster, target: Pixels, tile: int | None, notes: list[str], treatment: Alpha
) -> Iterator[Levels]:
    """The upscaled picture from top to bottom, brought to the target's size; raises and notes as `strips`."""
    (width, height), scale = frame.size, engine.settings.scale
    large, margin = (width * scale, height * scale), reach_of(engine, frame, treatment)
    if target != large:
        margin += -(-_beyond(large, target) // scale)
    picture = Around(frame, margin)
    rows = strips(engine, picture, tile, notes, treatment)
    if target != large:
        return fits.fitted(fits.Rising(picture, scale, rows), *target, treatment, margin * scale)
    return _trimmed(rows, margin * scale, large)


def fit(picture: Raster, width: int, height: int, treatment: Alpha = "blend") -> Raster:
    """As `fit.fit`, of a picture that continues at the opposite side."""
    if picture.size == (width, height):
        return picture
    return picture.filled(width, height, fitted(picture, width, height, treatment))


def fitted(picture: Raster, width: int, height: int, treatment: Alpha) -> Iterator[Levels]:
    """As `fit.fitted`."""
    margin = _beyond(picture.size, (width, height))
    return fits.fitted(Around(picture, margin), width, height, treatment, margin)


def planes_around(x: Tensor, margin: int) -> Tensor:
    """(..., H, W) -> (..., H + 2·margin, W + 2·margin)."""
    from torch import arange

    rows, columns = (arange(-margin, length + margin, device=x.device) % length for length in x.shape[-2:])
    return x[..., rows, :][..., columns]


def _beyond(source: Pixels, target: Pixels) -> int:
    """How many pixels outside of a picture a resize looks at, and one at least: that is how it knows of a margin."""
    found = [contributions(*sides, border=BEYOND)[1] for sides in zip(source, target, strict=True)]
    lengths = zip(found, source, strict=True)
    return max(1, *(max(-int(places.min()), int(places.max()) - length + 1) for places, length in lengths))


def _trimmed(rows: Iterator[Levels], margin: int, size: Pixels) -> Iterator[Levels]:
    """Strips without the margin; those that are nothing but margin are passed over."""
    width, height = size
    first = 0
    for strip in rows:
        kept = strip[max(margin - first, 0) : max(margin + height - first, 0), margin : margin + width]
        first += len(strip)
        if len(kept):
            yield kept
