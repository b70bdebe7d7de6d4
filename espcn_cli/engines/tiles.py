"""A picture through a step tile by tile, each with the halo that it needs: the result is the same however it is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from espcn_cli.engines.engine import PlaneEngine
from espcn_cli.maths.tiling import STRIP_PIXELS, Tile, choose_tile, tiles

Planes = TypeVar("Planes", bound=Any)
"""Values (..., H, W), an array or a tensor."""


def stream(
    step: Callable[[Planes], Planes],
    lr: Planes,
    halo: int,
    tile: int | None = None,
    pixels: int = STRIP_PIXELS,
) -> Iterator[tuple[Tile, Planes]]:
    """Run `step` over the tiles of `lr`: yields each tile and its window's output, halo included.

    `tile` is in LR pixels; None chooses windows of about `pixels`, 0 takes the picture whole.
    """
    height, width = lr.shape[-2:]
    for piece in tiles(height, width, *choose_tile(tile, height, width, halo, pixels), halo):
        yield piece, step(lr[..., piece.rows.window, piece.columns.window])


def fill(out: Planes, engine: PlaneEngine, lr: Planes, tile: int | None = None) -> None:
    """Upscale (N, C, H, W) in [0, 1] tile by tile into `out`, scale times larger, neither rounded nor clipped."""
    scale = engine.settings.scale
    for piece, sr in stream(engine.planes, lr, engine.halo, tile, engine.window):
        inner = sr[..., piece.rows.inner(scale), piece.columns.inner(scale)]
        out[..., piece.rows.output(scale), piece.columns.output(scale)] = inner
