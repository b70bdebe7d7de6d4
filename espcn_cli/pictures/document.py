"""All that a picture file holds: frames in whole levels, and beside them what is not pixels (profile, timing ...)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from espcn_cli.pictures.metadata import Info
from espcn_cli.pictures.raster import Raster
from espcn_cli.pictures.traces import Traces
from espcn_cli.settings import Alpha


@dataclass(frozen=True)
class Document:
    """All that a file holds: one picture, the pages of a TIFF, or the frames of an animation.

    `durations`: milliseconds, one per frame of an animation, else empty; `plays`: how often it runs, 0 for ever;
    `palettes`: which frames of a GIF share one, as `gif.palettes` has it, else empty;
    `cover`: the first frame is no part of the animation but shown where animations are not; `alpha`: whether it is
    transparency, or `separate` from the colours, which mean something under it too;
    `traces`: what the file tells of losses.
    """

    frames: tuple[Raster, ...]
    info: Info = field(default_factory=dict)
    durations: tuple[float, ...] = ()
    plays: int = 1
    cover: bool = False
    palettes: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    traces: Traces = field(default_factory=Traces)
    alpha: Alpha = "blend"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the first frame in pixels."""
        return self.frames[0].size

    def noting(self, *notes: str) -> Document:
        """The same with more warnings."""
        return replace(self, warnings=(*self.warnings, *notes))
