"""A network over frames that follow each other: what has not changed since the one before is not computed again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from espcn_cli.engines.engine import Engine, NotFiniteError, without_overflow
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
        [large], notes = self.together([lr], engine)
        return large, notes

    def together(self, frames: Sequence[Levels], engine: Engine) -> tuple[list[Levels], list[str]]:
        """Frames that follow each other, in one call of the engine; where one overflows, one by one."""
        try:
            return self._made(frames, engine), []
        except NotFiniteError:
            if len(frames) > 1:
                done = [self.together([lr], engine) for lr in frames]
                return [large for [large], _ in done], [note for _, notes in done for note in notes]
        large, notes = without_overflow(engine, lambda used: self._made(frames, used, anew=True)[0])
        self._engine = None  # made by another engine than the next frame's
        return [large], notes

    def _made(self, frames: Sequence[Levels], engine: Engine, anew: bool = False) -> list[Levels]:
        """The frames, `anew` without a look at the one before. Raises NotFiniteError, and nothing has changed then."""
        before = None if anew or engine is not self._engine else self._before
        plans: list[list[Tile] | None] = []
        for lr in frames:
            plans.append(self._plan(lr, before, engine))
            before = lr
        tiled = [self._tiles(lr, engine) if plan is None else plan for lr, plan in zip(frames, plans, strict=True)]
        windows = [
            lr[tile.rows.window, tile.columns.window] for lr, cut in zip(frames, tiled, strict=True) for tile in cut
        ]
        done = iter(engine.upscale(windows, *self._levels) if windows else ())
        after, found = self._after, list[Levels]()
        for lr, plan, cut in zip(frames, plans, tiled, strict=True):
            after = self._assembled(lr, plan, cut, after, done, engine.settings.scale)
            found.append(after)
        self._engine, self._before, self._after = engine, before, after
        for lr, cut in zip(frames, tiled, strict=True):
            self.computed += sum(map(_pixels, cut)) / (lr.shape[0] * lr.shape[1])
        return found

    def _assembled(
        self,
        lr: Levels,
        plan: list[Tile] | None,
        cut: list[Tile],
        after: Levels | None,
        done: Iterator[Levels],
        scale: int,
    ) -> Levels:
        """A frame of its tiles, which come from `done`, and else of the one before."""
        if plan is None and len(cut) == 1:
            return next(done)
        if plan is not None:
            assert after is not None
            if not cut:
                return after
            large = after.copy()
        else:
            height, width, channels = lr.shape
            large = np.empty((height * scale, width * scale, channels), lr.dtype)
        for tile in cut:
            inner = next(done)[tile.rows.inner(scale), tile.columns.inner(scale)]
            large[tile.rows.output(scale), tile.columns.output(scale)] = inner
        return large

    def _plan(self, lr: Levels, before: Levels | None, engine: Engine) -> list[Tile] | None:
        """The tiles that are to be computed, where the others are those of the frame before; None for all."""
        changed = self._changed(lr, before, engine)
        return changed if changed is not None and self._pays(changed, lr) else None

    def _tiles(self, lr: Levels, engine: Engine) -> list[Tile]:
        """Those of a whole frame."""
        height, width = lr.shape[:2]
        size = choose_tile(self._tile, height, width, engine.halo, engine.window)
        return list(tiles(height, width, *size, engine.halo))

    def _changed(self, lr: Levels, before: Levels | None, engine: Engine) -> list[Tile] | None:
        """The tiles whose windows differ from the frame before; None if it does not count."""
        if before is None or before.shape != lr.shape:
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


def _pixels(tile: Tile) -> int:
    rows, columns = tile.rows, tile.columns
    return (rows.last - rows.first) * (columns.last - columns.first)
