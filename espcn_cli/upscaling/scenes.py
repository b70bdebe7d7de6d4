"""Which strength a video gets, one for each scene: by what the decoder knows, and by what the first frame shows.

What a codec took away hardly shows in one frame: edges are filtered and blocks smoothed, so that a picture's statistics
take it for cleaner than it is. The decoder knows better: how coarsely it was quantised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from espcn_cli.maths.levels import Levels
from espcn_cli.pictures.planes import Clip, Frame
from espcn_cli.pictures.raster import from_array
from espcn_cli.pictures.traces import Traces
from espcn_cli.upscaling import strength as strengths
from espcn_cli.upscaling.upscaler import Upscaler

SPARSE = 8
"""Every so many samples, across and down, a frame is compared with the one before."""

CUT = 18.0
"""Levels of 255 that frames differ by on average, from which on a new scene can begin."""

SUDDEN = 3.0
"""And so many times as much as frames have differed lately."""

FINE, COARSE = 9.0, 27.0
"""Quantisers of H.264, in its steps, of a scene's first frame: at the first the clean weights are best, at the other
the real ones, and between them it goes evenly. Measured with x264 at crf 12 to 28: docs/video.md."""

DOUBT = 0.25
"""So much less than what a picture's statistics say is true of frames: for lossless ones that is 0.2, and 0 is best."""

DOUBT_OF_LOSSY = 0.5
"""And of frames that a codec has changed: MPEG-4 at its best shows blocks that count for more than they cost."""

PER_PIXEL = 0.1
"""Bits for each pixel that H.264 takes at a quantiser of USUAL, about; half of that at 6 steps more."""

USUAL = 25.0

THRIFT = {
    "hevc": 1.5, "libdav1d": 1.7, "av1": 1.7, "vp9": 0.85, "libvpx-vp9": 0.85, "mpeg4": 0.45, "mpeg2video": 0.6,
    "mpeg1video": 0.5, "mjpeg": 0.2, "prores": 0.2, "dnxhd": 0.2, "cfhd": 0.2, "dvvideo": 0.2,
}  # fmt: skip
"""How many of H.264's bits one of a codec's bits is worth, about; HEVC, VP9 and MPEG-4 as their best strengths say:
`benchmarks/video_strength.py`."""


@dataclass(frozen=True)
class Origin:
    """What is known of how frames were stored: not at all lossy, or by which codec with how many bits for a pixel."""

    lossless: bool
    codec: str = ""
    bits: float | None = None

    def quantiser(self) -> float | None:
        """About the H.264 quantiser that would have cost as much; None if nothing tells."""
        if not self.bits:
            return None
        return USUAL - 6 * math.log2(self.bits * THRIFT.get(self.codec, 1.0) / PER_PIXEL)


class Scenes:
    """The strength of each frame of a video, asked for in order."""

    def __init__(self, upscaler: Upscaler | None, clip: Clip, origin: Origin) -> None:
        self._clip = clip
        self._origin = origin
        self._chosen = upscaler is not None and upscaler.mixture is not None and upscaler.strength == "auto"
        self._strength = upscaler.fixed_strength if upscaler else None
        self._before: NDArray[np.int32] | None = None
        self._usual = 0.0
        self.found: list[float] = []

    def strength(self, frame: Frame) -> float | None:
        """In eighths; None where nothing is mixed."""
        if self._chosen and self._begins(frame):
            self._strength = strengths.in_steps(self._choose(frame))
            self.found.append(self._strength)
        return self._strength

    def _begins(self, frame: Frame) -> bool:
        """Whether a frame is a scene's first."""
        small = frame.planes[0][::SPARSE, ::SPARSE].astype(np.int32)
        before, self._before = self._before, small
        if before is None:
            return True
        change = float(np.abs(small - before).mean()) * 255 / self._clip.layout.most
        cut = change > max(CUT, SUDDEN * self._usual)
        self._usual = 0.0 if cut else 0.7 * self._usual + 0.3 * change
        return cut

    def _choose(self, frame: Frame) -> float:
        doubt = DOUBT if self._origin.lossless else DOUBT_OF_LOSSY
        shown = max(strengths.choose([from_array(self._picture(frame))], Traces()) - doubt, 0.0)
        if self._origin.lossless:
            return shown
        quantiser = frame.quantiser()
        quantiser = self._origin.quantiser() if quantiser is None else quantiser
        known = 1.0 if quantiser is None else (quantiser - FINE) / (COARSE - FINE)
        return min(max(known, shown), 1.0)

    def _picture(self, frame: Frame) -> Levels:
        """What a frame shows, uint8 (H, W, 1 or 3), in whole range."""
        clip = self._clip
        if clip.layout.colour == "rgb":
            green, blue, red = frame.planes[:3]
            planes = np.stack([red, green, blue], axis=-1)
        else:
            planes = frame.planes[0][..., None]
        spread = (planes.astype(np.float32) - clip.black) * (255 / (clip.white - clip.black))
        picture: Levels = np.floor(spread + 0.5).clip(0, 255).astype(np.uint8)
        return picture
