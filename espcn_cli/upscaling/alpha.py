"""Transparency: how it is upscaled, and how colours are kept from what lies hidden under it."""

from __future__ import annotations

import numpy as np

from espcn_cli.engines.engine import Engine
from espcn_cli.maths.levels import Floats, Levels, rounded, white_of


def upscale(engine: Engine, levels: Levels, cut_out: bool) -> Levels:
    """A window (H, W, C): colours by the network, alpha too, but a mask's steps by bicubic, where the network rings.

    `benchmarks/alpha.py` measures by how much each is better at its own.
    """
    white, colours = white_of(levels), 1 if levels.shape[2] < 3 else 3
    if levels.shape[2] == colours:
        return engine.upscale([levels], 0, white)[0]
    pixels, alpha = levels[..., :colours], levels[..., colours:]
    large = engine.interpolate(alpha, 0, white) if cut_out else engine.upscale([alpha], 0, white)[0]
    large = within_neighbours(large, alpha, engine.settings.scale)
    return np.concatenate([engine.upscale([bleed(pixels, alpha, engine.halo)], 0, white)[0], large], axis=2)


def bleed(pixels: Levels, alpha: Levels, reach: int) -> Levels:
    """Let visible colours flow `reach` pixels far under fully transparent ones, so that no fringe is made of those.

    (H, W, C) and (H, W, 1) -> (H, W, C). What colour lies under a transparent pixel is arbitrary, often black, and
    would mix into its visible neighbours.
    """
    known = alpha > 0
    if known.all() or not known.any():
        return pixels
    colours = np.where(known, pixels, 0).astype(np.float32)
    for _ in range(reach):
        count = sum_of_neighbours(known.astype(np.float32))
        fresh = ~known & (count > 0)
        if not fresh.any():
            break
        colours = np.where(fresh, sum_of_neighbours(colours) / np.maximum(count, 1), colours)
        known |= fresh
    return np.where(known, rounded(colours, pixels.dtype), pixels)


def sum_of_neighbours(x: Floats) -> Floats:
    """(H, W, C) -> the sum over the 3×3 pixels around each; beyond the border there are zeros."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]


def within_neighbours(large: Levels, small: Levels, scale: int) -> Levels:
    """Keep each upscaled value between the least and greatest of the 3×3 LR pixels around it.

    For alpha: what is fully opaque or fully transparent all around stays so to the last digit, and nothing rings.
    """
    padded = np.pad(small, ((1, 1), (1, 1), (0, 0)), mode="edge")
    least, greatest = (_over_neighbours(choose, padded) for choose in (np.minimum, np.maximum))
    return large.clip(*(bound.repeat(scale, axis=0).repeat(scale, axis=1) for bound in (least, greatest)))


def _over_neighbours(choose: np.ufunc, padded: Levels) -> Levels:
    rows = choose(choose(padded[:-2], padded[1:-1]), padded[2:])
    chosen: Levels = choose(choose(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
    return chosen


def premultiplied(x: Floats) -> Floats:
    """(H, W, colours + alpha) in [0, 1] -> colours times alpha, alpha, and the colours as they are."""
    return np.concatenate([x[..., :-1] * x[..., -1:], x[..., -1:], x[..., :-1]], axis=2)


def straight(x: Floats) -> Floats:
    """What `premultiplied` gave, resized -> (H, W, colours + alpha); where alpha vanishes, the colours as they were."""
    colours = x.shape[2] // 2
    alpha, plain = x[..., colours : colours + 1], x[..., colours + 1 :]
    divided = np.where(alpha > 1e-3, x[..., :colours] / alpha.clip(min=1e-3), plain)
    return np.concatenate([divided, alpha], axis=2)
