"""Two networks, one after the other, as one engine: x6 is x2 and then x3 of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

from espcn_cli.engines.engine import Engine, PlaneEngine
from espcn_cli.engines.tiles import fill
from espcn_cli.maths.levels import Levels
from espcn_cli.maths.tiling import choose_tile, tiles
from espcn_cli.settings import ModelSettings


@dataclass(frozen=True)
class PassSettings(ModelSettings):
    """The first network's settings, with the scale of both passes together; `then` are the second network's.

    No network is built from them.
    """

    then: ModelSettings | None = None

    def __post_init__(self) -> None:
        """The networks' own settings were checked."""


class Passes:
    """What the first engine makes, in whole levels, through the second: an engine as any other.

    The second takes it in windows that suit it, so that memory stays as bounded as with one pass. `first` and `second`
    keep to planes if they do.
    """

    def __init__(self, first: Engine, second: Engine) -> None:
        self.first = first
        self.second = second
        self._halved: Any = None

    @property
    def settings(self) -> ModelSettings:
        first, second = self.first.settings, self.second.settings
        values = {field.name: getattr(first, field.name) for field in fields(ModelSettings)}
        return PassSettings(**{**values, "scale": first.scale * second.scale}, then=second)

    @property
    def halo(self) -> int:
        return self.first.halo - (-self.second.halo // self.first.settings.scale)

    @property
    def window(self) -> int:
        return self.first.window

    @property
    def takes_padded(self) -> bool:
        """What is put together of the second's windows is not padded."""
        return False

    @property
    def together(self) -> int:
        return self.first.together

    @property
    def arithmetic(self) -> str:
        return f"{self.first.arithmetic}; {self.second.arithmetic}"

    def upscale(self, windows: Sequence[Levels], black: int, white: int) -> list[Levels]:
        """The windows through both networks. Raises NotFiniteError if either gives NaN or infinity."""
        between = self.first.upscale(windows, black, white)
        if all(levels.shape[0] * levels.shape[1] <= self.second.window for levels in between):
            return self.second.upscale(between, black, white)
        return [self._in_windows(levels, black, white) for levels in between]

    def _in_windows(self, between: Levels, black: int, white: int) -> Levels:
        """As much as suits it at a time through the second: the result is the same as in one piece."""
        (height, width, channels), scale, halo = between.shape, self.second.settings.scale, self.second.halo
        large = np.empty((height * scale, width * scale, channels), between.dtype)
        for tile in tiles(height, width, *choose_tile(None, height, width, halo, self.second.window), halo):
            [done] = self.second.upscale([between[tile.rows.window, tile.columns.window]], black, white)
            inner = done[tile.rows.inner(scale), tile.columns.inner(scale)]
            large[tile.rows.output(scale), tile.columns.output(scale)] = inner
        return large

    def interpolate(self, levels: Levels, black: int, white: int) -> Levels:
        """A window by bicubic interpolation alone, twice; any number of channels."""
        return self.second.interpolate(self.first.interpolate(levels, black, white), black, white)

    def planes(self, x: Any) -> Any:
        """(N, 1 or 3, H, W) in [0, 1] -> the same, scale times larger; what is between is clipped, but not rounded."""
        assert isinstance(self.first, PlaneEngine)
        assert isinstance(self.second, PlaneEngine)
        between, scale = self.first.planes(x).clip(0, 1), self.second.settings.scale
        shape = (*between.shape[:2], *(side * scale for side in between.shape[2:]))
        large = np.empty(shape, np.float32) if isinstance(between, np.ndarray) else between.new_empty(shape)
        fill(large, self.second, between)
        return large

    def exact(self) -> Self:
        """Both networks in fp32; itself if they are."""
        exact = self.first.exact(), self.second.exact()
        return self if exact == (self.first, self.second) else type(self)(*exact)

    def halved(self) -> Self:
        """For RGB whose chroma was held at half the resolution: the first pass puts back what it has lost."""
        if self._halved is None:
            first = self.first.halved()
            self._halved = self if first is self.first else type(self)(first, self.second)
        halved: Self = self._halved
        return halved
