"""Transparency, or whatever alpha is: how it is upscaled, and how colours are kept from what lies hidden under it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from espcn_cli.engines.engine import Engine
from espcn_cli.maths.levels import Floats, Levels, rounded, white_of
from espcn_cli.settings import Alpha
from espcn_cli.upscaling import edges
from espcn_cli.upscaling.edges import sum_of_neighbours


def upscale(engine: Engine, levels: Levels, treatment: Alpha) -> Levels:
    """A window (H, W, C): colours through the network, and alpha as `enlarged` does it.

    `separate`: alpha through the network as one more grey picture, and the colours as if it were not there.
    """
    large = engine.upscale(windows(engine, levels, treatment), 0, white_of(levels))
    return joined(engine, levels, treatment, large)


def windows(engine: Engine, levels: Levels, treatment: Alpha) -> list[Levels]:
    """What of a picture (H, W, C) goes through the network: its colours, and alpha where that is data."""
    pixels, alpha = _parted(levels)
    if not alpha.size:
        return [pixels]
    return [pixels, alpha] if treatment == "separate" else [bleed(pixels, alpha, engine.halo)]


def joined(engine: Engine, levels: Levels, treatment: Alpha, large: Sequence[Levels]) -> Levels:
    """The picture of what its `windows` have become, with its alpha."""
    _, alpha = _parted(levels)
    if not alpha.size:
        return large[0]
    return np.concatenate([*large, *([] if treatment == "separate" else [enlarged(engine, alpha)])], axis=2)


def _parted(levels: Levels) -> tuple[Levels, Levels]:
    """Colours, and alpha or nothing."""
    colours = 1 if levels.shape[2] < 3 else 3
    return levels[..., :colours], levels[..., colours:]


def reach(engine: Engine) -> int:
    """LR pixels to each side on which a pixel with alpha depends: colours bleed as far as the network then looks."""
    return max(2 * engine.halo, edges.REACH)


def enlarged(engine: Engine, alpha: Levels) -> Levels:
    """Alpha (H, W, 1), scale times larger: soft edges by the network, hard ones by bicubic, as the network rings there.

    Each place is decided by the pixels around it, with every shade between the two ways, and no value leaves the range
    of its neighbours. `benchmarks/alpha.py` measures by how much each way is better at its own.
    """
    white, scale = white_of(alpha), engine.settings.scale
    if alpha.min() == alpha.max():
        return alpha.repeat(scale, axis=0).repeat(scale, axis=1)
    large: Floats = engine.interpolate(alpha, 0, white).astype(np.float32)
    share = edges.softness_around(alpha)
    if share.any():
        large += edges.linear(share, scale) * (engine.upscale([alpha], 0, white)[0] - large)
    return edges.within_neighbours(large, alpha, scale)


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


def premultiplied(x: Floats) -> Floats:
    """(H, W, colours + alpha) in [0, 1] -> colours times alpha, alpha, and the colours as they are."""
    return np.concatenate([x[..., :-1] * x[..., -1:], x[..., -1:], x[..., :-1]], axis=2)


def straight(x: Floats) -> Floats:
    """What `premultiplied` gave, resized -> (H, W, colours + alpha); where alpha vanishes, the colours as they were."""
    colours = x.shape[2] // 2
    alpha, plain = x[..., colours : colours + 1], x[..., colours + 1 :]
    divided = np.where(alpha > 1e-3, x[..., :colours] / alpha.clip(min=1e-3), plain)
    return np.concatenate([divided, alpha], axis=2)
