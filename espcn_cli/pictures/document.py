"""A picture in memory: pixels, and beside them all that is not pixels (profile, resolution, timing, alpha).

A `Picture` is one picture as float32 (1, C, H, W) in [0, 1], a `Document` all that a file holds, in whole levels.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor

from espcn_cli.pictures.metadata import Info
from espcn_cli.pictures.raster import Raster


@dataclass(frozen=True)
class Picture:
    """One picture as floats, and what a file says beside it.

    `pixels`: float32 (1, 1 or 3, H, W) in [0, 1], grey or RGB; `alpha`: (1, 1, H, W) or None; `depth`: bits per
    sample, 8 or 16; `info`: profile, EXIF and the like; `warnings`: what could not be kept.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    depth: int = 8
    info: Info = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[3], self.pixels.shape[2]


@dataclass(frozen=True)
class Document:
    """All that a file holds: one picture, the pages of a TIFF, or the frames of an animation.

    `durations`: milliseconds, one per frame of an animation, else empty; `plays`: how often it runs, 0 for ever;
    `cover`: the first frame is no part of the animation but shown where animations are not.
    """

    frames: tuple[Raster, ...]
    info: Info = field(default_factory=dict)
    durations: tuple[float, ...] = ()
    plays: int = 1
    cover: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the first frame in pixels."""
        return self.frames[0].size

    def noting(self, *notes: str) -> Document:
        """The same with more warnings."""
        return replace(self, warnings=(*self.warnings, *notes))
