"""A picture through an engine strip by strip: memory stays bounded, and where it runs out the tiles get smaller."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from espcn_cli.engines.engine import Engine
from espcn_cli.errors import EspcnError
from espcn_cli.maths.levels import Levels
from espcn_cli.maths.tiling import Span, choose_tile, span, spans
from espcn_cli.memory import out_of_memory
from espcn_cli.settings import Alpha
from espcn_cli.upscaling import alpha
from espcn_cli.upscaling.fit import Source

SMALLEST_TILE = 32
"""LR pixels of a side: if memory does not suffice for this, it suffices for nothing."""


def strips(
    engine: Engine,
    picture: Source,
    tile: int | None,
    notes: list[str],
    treatment: Alpha = "blend",
) -> Iterator[Levels]:
    """The upscaled picture's levels (n, W·scale, C), strip by strip from top to bottom.

    Where memory runs out the tiles are halved, and in the end `notes` say so. Raises EspcnError if memory does not
    suffice for the smallest tile, NotFiniteError as the engine does.
    """
    (width, height), scale = picture.size, engine.settings.scale
    start, smaller = 0, False
    reach = reach_of(engine, picture, treatment)
    while start < height:
        tall, wide = choose_tile(tile, height, width, reach, engine.window)
        rows = span(start, tall, height, reach)
        try:
            strip = _strip(picture, rows, spans(width, wide, reach), engine, treatment)
        except Exception as error:
            if not out_of_memory(error):
                raise
            tile, smaller = _smaller(tile, width, height), True
            if not tile:
                raise no_memory(picture, scale) from None
            continue
        yield strip
        start = rows.stop
    if smaller:
        notes.append(f"memory ran out: done in tiles of {tile} pixels")


def reach_of(engine: Engine, picture: Source, treatment: Alpha) -> int:
    """LR pixels to each side on which a pixel of the upscaled picture depends."""
    return alpha.reach(engine) if picture.has_alpha and treatment == "blend" else engine.halo


def _strip(picture: Source, rows: Span, columns: list[Span], engine: Engine, treatment: Alpha) -> Levels:
    """Upscale the rows, tile by tile."""
    scale = engine.settings.scale
    tiles = []
    for column in columns:
        large = alpha.upscale(engine, picture.window(rows.window, column.window), treatment)
        tiles.append(large[rows.inner(scale), column.inner(scale)])
    return tiles[0] if len(tiles) == 1 else np.concatenate(tiles, axis=1)


def _smaller(tile: int | None, width: int, height: int) -> int:
    """The next smaller tile to try, half as large as what ran out of memory; 0 when there is none."""
    if tile is None:
        tile = 512
    elif tile == 0:
        tile = max(width, height)
    return tile // 2 if tile // 2 >= SMALLEST_TILE else 0


def no_memory(picture: Source, scale: int) -> EspcnError:
    width, height = picture.size
    return EspcnError(f"not enough memory for {width} x {height} pixels at x{scale}")
