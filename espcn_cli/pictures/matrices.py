"""Between a video's luma and chroma and RGB, by the matrix that the stream names (ITU-T H.273)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from espcn_cli.maths.levels import Levels
from espcn_cli.maths.sited import Plane
from espcn_cli.pictures.planes import Clip

BT709, UNKNOWN = 1, 2

WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
"""Matrix -> the weights of red and of blue in luma."""

HIGH_DEFINITION = 720
"""Rows from which on an unnamed matrix is taken for BT.709; below, for BT.601."""


def matrix_of(clip: Clip) -> int:
    """The matrix that a clip names, or what is usual for its size."""
    named = clip.colours.matrix
    return named if named in WEIGHTS else BT709 if clip.size[1] >= HIGH_DEFINITION else 6


def to_rgb(y: Plane, cb: Plane, cr: Plane, clip: Clip) -> Levels:
    """Planes of one size (H, W) -> RGB (H, W, 3) in whole range and the same depth."""
    red, blue = WEIGHTS[matrix_of(clip)]
    most, (scale, middle) = clip.layout.most, _chroma(clip)
    luma = (y.astype(np.float32) - clip.black) / (clip.white - clip.black)
    b_y, r_y = ((plane.astype(np.float32) - middle) / scale for plane in (cb, cr))
    r, b = luma + 2 * (1 - red) * r_y, luma + 2 * (1 - blue) * b_y
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return _whole(np.stack([r, g, b], axis=-1) * most, most, y.dtype)


def from_rgb(rgb: Levels, clip: Clip, white: int) -> tuple[Plane, Plane, Plane]:
    """RGB (H, W, 3), from 0 to `white`, -> luma, Cb, Cr (H, W) as a clip has them, all of one size."""
    red, blue = WEIGHTS[matrix_of(clip)]
    most, (scale, middle) = clip.layout.most, _chroma(clip)
    r, g, b = np.moveaxis(rgb.astype(np.float32) / white, -1, 0)
    luma = red * r + (1 - red - blue) * g + blue * b
    planes = (
        luma * (clip.white - clip.black) + clip.black,
        (b - luma) / (2 * (1 - blue)) * scale + middle,
        (r - luma) / (2 * (1 - red)) * scale + middle,
    )
    y, cb, cr = (_whole(plane, most, clip.layout.dtype) for plane in planes)
    return y, cb, cr


def _chroma(clip: Clip) -> tuple[int, int]:
    """How many levels chroma has, and its middle."""
    depth = clip.layout.depth
    return (clip.layout.most if clip.colours.full else 224 << (depth - 8)), 1 << (depth - 1)


def _whole(values: NDArray[Any], most: int, dtype: Any) -> NDArray[np.unsignedinteger]:
    result: NDArray[np.unsignedinteger] = np.floor(values + 0.5).clip(0, most).astype(dtype)
    return result
