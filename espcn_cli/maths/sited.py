"""Planes of samples to other sizes, wherever in their pixels the samples lie: chroma rarely lies at the centres.

A sample's offset is where it lies in its own cell, from 0 to 1: 1/2 is the centre. Chroma of half the width whose
samples lie on every second luma sample has 1/4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from espcn_cli.maths.levels import Floats
from espcn_cli.maths.resize import cubic

BLOCK = 32
"""Results that one product of matrices makes: few enough that most of its weights are not 0."""

CENTRE = 0.5

Plane = NDArray[np.unsignedinteger]
"""Samples, uint8 or uint16 (H, W)."""


@dataclass(frozen=True)
class Step:
    """One axis: how many times as many samples, and where they lie in their cells before and after.

    Sample j of the result lies at (j + after)/factor - before of the samples.
    """

    factor: float
    before: float = CENTRE
    after: float = CENTRE


@dataclass(frozen=True)
class _Block:
    """Results [start, stop) of an axis are `weights` (results, inputs) times the inputs [first, last)."""

    start: int
    stop: int
    first: int
    last: int
    weights: NDArray[np.float32]


def resample(plane: Plane, shape: tuple[int, int], down: Step, across: Step, most: int) -> Plane:
    """A plane (H, W) in another shape: bicubic, antialiased where it shrinks, the edge pixel beyond the edge.

    Rounded once, to [0, `most`].
    """
    height, width = shape
    if plane.shape == shape and down == across == Step(1):
        return plane
    x = plane.astype(np.float32)
    x = _along_columns(x, _blocks(x.shape[0], height, down), height)
    x = _along_rows(x, _blocks(x.shape[1], width, across), width)
    x += np.float32(0.5)
    np.clip(x, 0, most, out=x)
    result: Plane = x.astype(plane.dtype)
    return result


def _along_columns(x: NDArray[np.float32], blocks: tuple[_Block, ...], height: int) -> NDArray[np.float32]:
    out = np.empty((height, x.shape[1]), np.float32)
    for block in blocks:
        np.matmul(block.weights, x[block.first : block.last], out=out[block.start : block.stop])
    return out


def _along_rows(x: NDArray[np.float32], blocks: tuple[_Block, ...], width: int) -> NDArray[np.float32]:
    out = np.empty((x.shape[0], width), np.float32)
    for block in blocks:
        out[:, block.start : block.stop] = x[:, block.first : block.last] @ block.weights.T
    return out


@lru_cache(maxsize=64)
def _blocks(length: int, target: int, step: Step) -> tuple[_Block, ...]:
    weights, indices = weights_of(length, target, step)
    blocks = []
    for start in range(0, target, BLOCK):
        taps = indices[start : start + BLOCK]
        first, last = int(taps.min()), int(taps.max()) + 1
        dense = np.zeros((len(taps), last - first))
        rows = np.broadcast_to(np.arange(len(taps))[:, None], taps.shape)
        np.add.at(dense, (rows, taps - first), weights[start : start + BLOCK])
        blocks.append(_Block(start, start + len(taps), first, last, dense.astype(np.float32)))
    return tuple(blocks)


def weights_of(length: int, target: int, step: Step) -> tuple[Floats, NDArray[np.int64]]:
    """Which samples make up each of an axis's results, and by what weights: both (target, taps).

    Raises ValueError if there are no samples, or none are wanted.
    """
    if length < 1 or target < 1:
        raise ValueError(f"cannot resample {length} samples to {target}")
    shrink = min(step.factor, 1.0)
    place = (np.arange(target) + step.after) / step.factor - step.before
    reach = int(np.ceil(2 / shrink))
    taps = np.floor(place)[:, None] + np.arange(-reach + 1, reach + 1)
    weights = cubic(shrink * (place[:, None] - taps))
    weights /= weights.sum(axis=1, keepdims=True)
    return weights, taps.astype(np.int64).clip(0, length - 1)
