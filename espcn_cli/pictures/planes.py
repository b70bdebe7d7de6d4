"""A video's frame as its planes: how many, how large, how deep, what their levels mean, where chroma lies.

Layouts are called as FFmpeg calls its pixel formats, of which only the planar ones with whole bytes are here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from espcn_cli.maths.levels import Pixels
from espcn_cli.maths.sited import CENTRE, Plane

Siting = Literal["left", "centre", "topleft"]
"""Where the chroma samples of subsampled video lie: beside the left luma sample, amid the four, or on the top left."""

SUBSAMPLING = {"444": (1, 1), "422": (2, 1), "420": (2, 2), "440": (1, 2), "411": (4, 1), "410": (4, 4)}
"""Luma samples for each of chroma, across and down."""

_NAMES = re.compile(r"(gray|gbr|gbra|yuv|yuva|yuvj)(\d{3})?(?:p?(9|10|12|14|16)le|p)?")


@dataclass(frozen=True)
class Layout:
    """Which planes a frame has. `across` and `down`: luma samples for each of chroma; 0 where there is none."""

    colour: Literal["grey", "yuv", "rgb"]
    depth: int = 8
    across: int = 0
    down: int = 0
    alpha: bool = False

    @property
    def name(self) -> str:
        """FFmpeg's name of it: `yuv420p10le`."""
        bits = f"{self.depth}le" if self.depth > 8 else ""
        if self.colour == "grey":
            return f"gray{bits}"
        a = "a" if self.alpha else ""
        if self.colour == "rgb":
            return f"gbr{a}p{bits}"
        return f"yuv{a}{self.sampling}p{bits}"

    @property
    def sampling(self) -> str:
        """`420` and the like; empty without chroma."""
        return next((name for name, steps in SUBSAMPLING.items() if steps == (self.across, self.down)), "")

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        return np.uint8 if self.depth == 8 else np.uint16

    @property
    def most(self) -> int:
        """The greatest level."""
        return (1 << self.depth) - 1

    def shapes(self, size: Pixels) -> list[tuple[int, int]]:
        """(H, W) of each plane of a frame: luma, Cb, Cr or G, B, R; then alpha."""
        width, height = size
        full = (height, width)
        chroma = (-(-height // self.down), -(-width // self.across)) if self.colour == "yuv" else full
        planes = [full] if self.colour == "grey" else [full, chroma, chroma]
        return [*planes, full] if self.alpha else planes


def layout_of(name: str) -> Layout | None:
    """The layout of a pixel format; None for what is not planar, or not of whole bytes.

    `gray10le` -> grey in 10 bits, `yuvj420p` -> `yuv420p`, whose range is told apart, `gbrap` -> RGB with alpha.
    """
    match = _NAMES.fullmatch(name)
    if not match:
        return None
    kind, sampling, bits = match[1], match[2], int(match[3] or 8)
    if kind == "gray":
        return None if sampling else Layout("grey", bits)
    if kind.startswith("gbr"):
        return None if sampling or "p" not in name else Layout("rgb", bits, 1, 1, kind == "gbra")
    if sampling not in SUBSAMPLING or "p" not in name:
        return None
    return Layout("yuv", bits, *SUBSAMPLING[sampling], alpha=kind == "yuva")


@dataclass(frozen=True)
class Colours:
    """What the levels mean, by the numbers of H.273 that all codecs share; 2 is unknown. `full`: the range is whole."""

    full: bool = False
    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    tagged: bool = True
    """Whether the file says so of the range, or it is what is usual."""


@dataclass(frozen=True)
class Frame:
    """One frame: its planes, uint8 or uint16 (H, W), and when it is shown, in the time base of its clip.

    `quantiser` tells, when it is asked, how coarsely the codec has stored it, in H.264's steps from 0 to 51; None if
    nobody knows. `carrier` is the library's own frame, where more hangs on it that is to be kept: closed captions.
    """

    number: int
    planes: tuple[Plane, ...]
    pts: int
    duration: int = 0
    quantiser: Callable[[], float | None] = field(default=lambda: None, repr=False)
    carrier: Any = field(default=None, repr=False)


@dataclass(frozen=True)
class Clip:
    """What is known of a video beside its frames; `count` is about how many there are, None if nothing tells."""

    size: Pixels
    layout: Layout
    time_base: Fraction
    rate: Fraction
    colours: Colours = field(default_factory=Colours)
    aspect: Fraction | None = None
    siting: Siting = "left"
    count: int | None = None

    @property
    def black(self) -> int:
        """The level of black in luma."""
        return 0 if self._whole_range else 16 << (self.layout.depth - 8)

    @property
    def white(self) -> int:
        """The level of white in luma."""
        return self.layout.most if self._whole_range else 235 << (self.layout.depth - 8)

    @property
    def _whole_range(self) -> bool:
        return self.colours.full or self.layout.colour == "rgb"

    @property
    def offsets(self) -> tuple[float, float]:
        """Where chroma lies in its cells, down and across, as `maths.sited` has it."""
        across, down = self.layout.across, self.layout.down
        left = 0.5 / across if across > 1 and self.siting != "centre" else CENTRE
        top = 0.5 / down if down > 1 and self.siting == "topleft" else CENTRE
        return top, left

    def like(self, size: Pixels, layout: Layout | None = None) -> Clip:
        """The same in another size."""
        return replace(self, size=size, layout=layout or self.layout)


def bytes_of(planes: Sequence[NDArray[np.unsignedinteger]]) -> int:
    return sum(plane.nbytes for plane in planes)
