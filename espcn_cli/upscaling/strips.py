"""A picture through an engine strip by strip: memory stays bounded, and where it runs out the tiles get smaller."""

from __future__ import annotations

from collections.abc import Iterator

from espcn_cli.engines.engine import Engine
from espcn_cli.errors import EspcnError
from espcn_cli.maths.tiling import Span, choose_tile, span, spans
from espcn_cli.memory import out_of_memory
from espcn_cli.pictures.raster import Raster
from espcn_cli.settings import Alpha
from espcn_cli.upscaling import alpha

SMALLEST_TILE = 32
"""LR pixels of a side: if memory does not suffice for this, it suffices for nothing."""


def strips(
    engine: Engine,
    picture: Raster,
    tile: int | None,
    notes: list[str],
    canvas: Raster | None = None,
    treatment: Alpha = "blend",
) -> Iterator[tuple[int, Raster]]:
    """The upscaled picture from top to bottom: each strip with its first row, or `canvas` with more of it filled.

    Where memory runs out the tiles are halved, and in the end `notes` say so. Raises EspcnError if memory does not
    suffice for the smallest tile, NotFiniteError as the engine does.
    """
    (width, height), scale = picture.size, engine.settings.scale
    start, smaller = 0, False
    reach = alpha.reach(engine) if picture.has_alpha and treatment == "blend" else engine.halo
    while start < height:
        tall, wide = choose_tile(tile, height, width, reach, engine.window)
        rows = span(start, tall, height, reach)
        try:
            strip = canvas or picture.blank(width * scale, (rows.stop - start) * scale)
            _fill(strip, start if canvas else 0, picture, rows, spans(width, wide, reach), engine, treatment)
        except Exception as error:
            if not out_of_memory(error):
                raise
            tile, smaller = _smaller(tile, width, height), True
            if not tile:
                raise no_memory(picture, scale) from None
            continue
        yield start * scale, strip
        start = rows.stop
    if smaller:
        notes.append(f"memory ran out: done in tiles of {tile} pixels")


def _fill(
    strip: Raster, top: int, picture: Raster, rows: Span, columns: list[Span], engine: Engine, treatment: Alpha
) -> None:
    """Upscale the rows tile by tile into a strip, from LR row `top` of it on."""
    scale = engine.settings.scale
    for column in columns:
        large = alpha.upscale(engine, picture.window(rows.window, column.window), treatment)
        strip.put(large[rows.inner(scale), column.inner(scale)], top * scale, column.start * scale)


def _smaller(tile: int | None, width: int, height: int) -> int:
    """The next smaller tile to try, half as large as what ran out of memory; 0 when there is none."""
    if tile is None:
        tile = 512
    elif tile == 0:
        tile = max(width, height)
    return tile // 2 if tile // 2 >= SMALLEST_TILE else 0


def no_memory(picture: Raster, scale: int) -> EspcnError:
    width, height = picture.size
    return EspcnError(f"not enough memory for {width} x {height} pixels at x{scale}")
