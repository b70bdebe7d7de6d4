"""A network over frames that follow each other: what has not changed since the one before is not computed again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from espcn_cli.engines.engine import Engine, without_overflow
from espcn_cli.maths.levels import Levels
from espcn_cli.maths.tiling import Tile, choose_tile, tiles

ACROSS = 8
"""A frame is compared in about so many tiles across, and as many down."""

WORTH = 0.6
"""Tiles are done one by one if they come to no more than this part of a whole frame, halos included."""


class Moving:
    """Frames (H, W, 1 or 3) through an engine, in order; the result is what each alone would give.

    `tile` is in LR pixels, as `choose_tile` has it. Threads may not share it.
    """

    def __init__(self, black: int, white: int, tile: int | None = None) -> None:
        self._levels = black, white
        self._tile = tile
        self._engine: Engine | None = None
        self._before: Levels | None = None
        self._after: Levels | None = None
        self.computed = 0.0
        """Of all frames together: how many whole ones went through the network."""

    def __call__(self, lr: Levels, engine: Engine) -> tuple[Levels, list[str]]:
        """The frame, scale times larger, and notes. Raises EspcnError if even fp32 overflows."""
        changed = self._changed(lr, engine)
        if changed is not None and not changed:
            assert self._after is not None
            self._before = lr
            return self._after, []
        if changed is None or not self._pays(changed, lr):
            large, notes = without_overflow(engine, lambda used: self._whole(lr, used))
        else:
            some = changed
            large, notes = without_overflow(engine, lambda used: self._patched(lr, used, some))
        self._engine, self._before, self._after = engine, lr, large
        if notes:  # made by another engine than the next frame's
            self._engine = None
        return large, notes

    def _changed(self, lr: Levels, engine: Engine) -> list[Tile] | None:
        """The tiles whose windows differ from the frame before; None if it does not count."""
        before = self._before
        if before is None or engine is not self._engine or before.shape != lr.shape:
            return None
        differs = lr != before
        if not differs.any():
            return []
        height, width = lr.shape[:2]
        size = [max(-(-side // ACROSS), 2 * engine.halo, 1) for side in (height, width)]
        cut = tiles(height, width, size[0], size[1], engine.halo)
        return [tile for tile in cut if differs[tile.rows.window, tile.columns.window].any()]

    def _pays(self, changed: Sequence[Tile], lr: Levels) -> bool:
        return bool(sum(map(_pixels, changed)) <= WORTH * lr.shape[0] * lr.shape[1])

    def _patched(self, lr: Levels, engine: Engine, changed: Sequence[Tile]) -> Levels:
        assert self._after is not None
        large = self._after.copy()
        self._fill(large, lr, engine, changed)
        return large

    def _whole(self, lr: Levels, engine: Engine) -> Levels:
        height, width, channels = lr.shape
        scale = engine.settings.scale
        pieces = list(
            tiles(height, width, *choose_tile(self._tile, height, width, engine.halo, engine.window), engine.halo)
        )
        if len(pieces) == 1:
            self.computed += 1
            return engine.upscale([lr], *self._levels)[0]
        large = np.empty((height * scale, width * scale, channels), lr.dtype)
        self._fill(large, lr, engine, pieces)
        return large

    def _fill(self, large: Levels, lr: Levels, engine: Engine, pieces: Sequence[Tile]) -> None:
        scale = engine.settings.scale
        windows = [lr[tile.rows.window, tile.columns.window] for tile in pieces]
        self.computed += sum(map(_pixels, pieces)) / (lr.shape[0] * lr.shape[1])
        for tile, done in zip(pieces, engine.upscale(windows, *self._levels), strict=True):
            inner = done[tile.rows.inner(scale), tile.columns.inner(scale)]
            large[tile.rows.output(scale), tile.columns.output(scale)] = inner


def _pixels(tile: Tile) -> int:
    rows, columns = tile.rows, tile.columns
    return (rows.last - rows.first) * (columns.last - columns.first)
