"""Where on earth, or on a page, a picture lies: a TIFF's tags after its pixels have moved. Numbers in, numbers out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from espcn_cli.pictures.change import AS_IT_IS, Change
from espcn_cli.pictures.inventory import GEO_KEYS, PAGE_PLACE, PIXEL_SCALE, RPC, TIE_POINTS, TRANSFORMATION

Tags = dict[int, tuple[int, Any]]
"""A TIFF's tags beyond those that EXIF has: number -> TIFF's type, and the value as Pillow reads it."""

DOUBLE = 12
RASTER_TYPE, POINT = 1025, 2
"""GeoTIFF's key that says what whole numbers of columns and rows are: corners of pixels (1) or their middles (2)."""

RPC_OFFSETS, RPC_SCALES = (3, 2), (8, 7)
"""Where column and row stand in the coefficients of a camera's model."""


def moved(tags: Tags, change: Change) -> Tags:
    """The same place on earth for every point of the picture. Raises ValueError or IndexError for damaged tags."""
    found = dict(tags)
    mapping = _mapping(change, _counts_middles(tags))
    across, down = (float(factor) for factor in change.factors)
    if change.turn != AS_IT_IS and PIXEL_SCALE in found and TIE_POINTS in found:
        found[TRANSFORMATION] = DOUBLE, tuple(_matrix_of(found).ravel())
        del found[PIXEL_SCALE], found[TIE_POINTS]
    if PIXEL_SCALE in found:
        scale = found[PIXEL_SCALE][1]
        found[PIXEL_SCALE] = DOUBLE, (scale[0] / across, scale[1] / down, *scale[2:])
    if TIE_POINTS in found:
        points = np.array(found[TIE_POINTS][1], dtype=float).reshape(-1, 6)
        ones = np.ones(len(points))
        points[:, :2] = (mapping @ [points[:, 0], points[:, 1], ones])[:2].T
        found[TIE_POINTS] = DOUBLE, tuple(points.ravel())
    if TRANSFORMATION in found:
        matrix = np.array(found[TRANSFORMATION][1], dtype=float).reshape(4, 4)
        back = np.eye(4)
        back[np.ix_((0, 1, 3), (0, 1, 3))] = np.linalg.inv(mapping)
        found[TRANSFORMATION] = DOUBLE, tuple((matrix @ back).ravel())
    if RPC in found:
        found[RPC] = DOUBLE, _model(found[RPC][1], across, down)
    for tag, factor in zip(PAGE_PLACE, change.factors, strict=True):
        if tag in found:
            found[tag] = found[tag][0], float(found[tag][1]) * float(factor)
    return {tag: _plain(value) for tag, value in found.items()}


def _plain(entry: tuple[int, Any]) -> tuple[int, Any]:
    kind, value = entry
    return kind, tuple(float(number) for number in value) if kind == DOUBLE and isinstance(value, tuple) else value


def _counts_middles(tags: Tags) -> bool:
    keys = tags[GEO_KEYS][1] if GEO_KEYS in tags else ()
    return any(keys[at] == RASTER_TYPE and keys[at + 3] == POINT for at in range(4, len(keys) - 3, 4))


def _mapping(change: Change, middles: bool) -> NDArray[np.float64]:
    """Homogeneous columns and rows of the old picture -> those of the new one, 3x3."""
    half = 0.5 if middles else 0.0
    origin, right, below = (
        np.array(change.point(x + half, y + half)) - half for x, y in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
    )
    mapping = np.eye(3)
    mapping[:2] = np.column_stack([right - origin, below - origin, origin])
    return mapping


def _matrix_of(tags: Tags) -> NDArray[np.float64]:
    """What pixel scale and a tie point say, as a transformation (4x4): rows count downwards, northings upwards."""
    scale = [*tags[PIXEL_SCALE][1], 0.0, 0.0, 0.0]
    column, row, level, x, y, z = tags[TIE_POINTS][1][:6]
    matrix = np.diag([scale[0], -scale[1], scale[2], 1.0])
    matrix[:3, 3] = x - column * scale[0], y + row * scale[1], z - level * scale[2]
    return matrix


def _model(coefficients: Any, across: float, down: float) -> tuple[float, ...]:
    """A camera's model, in which the middle of the first pixel is 0."""
    values = [float(value) for value in coefficients]
    for place, factor in zip(RPC_OFFSETS, (across, down), strict=True):
        values[place] = (values[place] + 0.5) * factor - 0.5
    for place, factor in zip(RPC_SCALES, (across, down), strict=True):
        values[place] *= factor
    return tuple(values)
