"""The door between pictures in whole levels and the float tensors that training and scoring work on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from espcn_cli.engines.torch_engine import to_levels, to_planes
from espcn_cli.maths.colour import luma
from espcn_cli.maths.levels import Levels, white_of
from espcn_cli.pictures import reading, writing
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.metadata import Info
from espcn_cli.pictures.raster import Raster, from_array


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


def read(path: Path) -> Picture:
    """Read the first frame of a file: upright, grey or RGB, alpha apart. Raises EspcnError as `reading.read_first`."""
    frame, info, notes = reading.read_first(path)
    pixels = from_levels(frame.array())
    colours = frame.channels - frame.has_alpha
    alpha = pixels[:, colours:] if frame.has_alpha else None
    return Picture(pixels[:, :colours], alpha, frame.depth, info, tuple(notes))


def write(picture: Picture, path: Path, overwrite: bool = True) -> Picture:
    """Write a picture whole or not at all; returns it with warnings for what the format could not hold.

    Raises EspcnError as `writing.write_document`.
    """
    document = Document((_to_raster(picture),), picture.info, warnings=picture.warnings)
    return replace(picture, warnings=writing.write_document(document, path, overwrite=overwrite).warnings)


def _to_raster(picture: Picture) -> Raster:
    pixels = picture.pixels if picture.alpha is None else torch.cat([picture.pixels, picture.alpha], dim=1)
    return from_array(to_depth(pixels, picture.depth))


def from_levels(levels: Levels) -> Tensor:
    """uint8 or uint16 (H, W, C) -> float32 (1, C, H, W) in [0, 1]."""
    return to_planes(levels, 0, white_of(levels))


def to_depth(x: Tensor, depth: int = 8) -> Levels:
    """Float (1, C, H, W) in [0, 1] -> uint8 or uint16 (H, W, C), rounded to the nearest level and clipped."""
    return to_levels(x, 0, 2**depth - 1, np.dtype(np.uint8 if depth == 8 else np.uint16))


def to_bytes(x: Tensor) -> Tensor:
    """Float tensor in [0, 1] -> uint8 of the same shape, rounded to the nearest level (halves up) and clipped."""
    return (x * 255).add_(0.5).clamp_(0, 255).to(torch.uint8)


def quantise(x: Tensor, levels: int = 255) -> Tensor:
    """Round to the nearest of `levels` + 1 steps in [0, 1] (halves up) and clip, as a picture file would hold it."""
    return (x * levels).add_(0.5).floor_().clamp_(0, levels).div_(levels)


def alike(x: Tensor, like: Tensor) -> Tensor:
    """A picture (1, 1 or 3, H, W) with as many planes as `like`: grey repeated, or the luma of colours."""
    if x.shape[1] == like.shape[1]:
        return x
    return x.expand(-1, 3, -1, -1) if like.shape[1] == 3 else luma(x)
