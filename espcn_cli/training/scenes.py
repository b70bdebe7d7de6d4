"""Damaged pictures to learn from, for `--degradation real`: photographs, drawings, text, interfaces, single pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from espcn_cli.maths.colour import luma
from espcn_cli.maths.levels import Floats, Levels, rounded
from espcn_cli.scoring import drawn
from espcn_cli.scoring.damages import Rng, any_damage
from espcn_cli.training.samples import DETAIL_CELL, AnySample, detail

SIDE = 288
"""HR pixels of a scene's side: enough for a compression to show its grid, and a multiple of every scale."""

DRAWINGS = 0.2
"""Share of scenes that are drawings, where there are any."""

TEXT, TEXT_AT_BOTH_SIZES, INTERFACES, SINGLE_PIXELS = 0.05, 0.015, 0.025, 0.02
"""Shares of scenes that the tool draws by itself; the rest are photographs."""


@dataclass(frozen=True)
class Scene:
    """A pair, HR (planes, H, W) and LR (planes, H/scale, W/scale), uint8; and where it has detail."""

    hr: Tensor
    lr: Tensor
    sums: Floats
    """Of `samples.detail`, over all cells above and left: (rows + 1, columns + 1)."""

    @classmethod
    def of(cls, hr: Tensor, lr: Tensor) -> Scene:
        return cls(hr, lr, np.pad(detail(lr).numpy(), ((1, 0), (1, 0))).cumsum(0).cumsum(1))

    @classmethod
    def from_arrays(cls, hr: Levels, lr: Levels, sums: Floats) -> Scene:
        return cls(torch.from_numpy(hr), torch.from_numpy(lr), sums)

    def __reduce__(self) -> tuple[Any, ...]:
        """Scenes travel between processes as arrays: each tensor would take a file handle."""
        return Scene.from_arrays, (self.hr.numpy(), self.lr.numpy(), self.sums)

    @property
    def size(self) -> tuple[int, int]:
        """LR pixels: height, width."""
        return self.lr.shape[1], self.lr.shape[2]

    def detail(self, y: int, x: int, patch: int) -> float:
        """How much detail a patch of LR pixels has, to within half a cell; to be compared with others of its size."""
        cells = max(patch // DETAIL_CELL, 1)
        rows, columns = self.sums.shape
        top = min((y + DETAIL_CELL // 2) // DETAIL_CELL, rows - 1 - cells)
        left = min((x + DETAIL_CELL // 2) // DETAIL_CELL, columns - 1 - cells)
        upper, lower = self.sums[top], self.sums[top + cells]
        return float(lower[left + cells] - lower[left] - upper[left + cells] + upper[left])


@dataclass(frozen=True)
class Scenes:
    """An endless row of scenes, each made from the seed and its number alone."""

    photographs: Sequence[AnySample]
    drawings: Sequence[AnySample]
    scale: int
    planes: int
    seed: int

    def make(self, number: int) -> Scene:
        """One of up to `SIDE` HR pixels a side.

        Raises EspcnError if a picture's file is no longer what it was.
        """
        rng = np.random.default_rng((self.seed, number))
        hr, lr = self._levels(rng)
        return Scene.of(self._planes(hr), self._planes(lr))

    def _levels(self, rng: Rng) -> tuple[Levels, Levels]:
        damage, kind, side = any_damage(rng), rng.random(), SIDE // self.scale
        if kind < SINGLE_PIXELS:
            lr = drawn.single_pixels(rng, (side, side))
            return lr.repeat(self.scale, axis=0).repeat(self.scale, axis=1), lr
        kind -= SINGLE_PIXELS
        if kind < TEXT_AT_BOTH_SIZES:
            page = drawn.text_page(rng, (side, side))
            return page.draw(self.scale), damage.after(page.draw(1), rng)
        kind -= TEXT_AT_BOTH_SIZES
        if kind < TEXT + INTERFACES:
            make = drawn.text_page if kind < TEXT else drawn.interface_page
            hr = make(rng, (side, side)).draw(self.scale)
        else:
            hr = self._picture(rng)
        return hr, damage.levels(hr, self.scale, rng)

    def _picture(self, rng: Rng) -> Levels:
        """A random part of a random photograph or drawing, uint8 (H, W, 3)."""
        of_drawings = bool(self.drawings) and rng.random() < DRAWINGS
        samples = self.drawings if of_drawings or not self.photographs else self.photographs
        sample = samples[int(rng.integers(len(samples)))]
        hr, _ = sample.pair
        y, x = (int(rng.integers(max(side - SIDE, 0) + 1)) for side in hr.shape[1:])
        part = hr[:, y : y + SIDE, x : x + SIDE]
        return np.ascontiguousarray(part.permute(1, 2, 0).numpy())

    def _planes(self, levels: Levels) -> Tensor:
        planes = np.ascontiguousarray(levels.transpose(2, 0, 1))
        if self.planes == 1:
            planes = rounded(luma(planes.astype(np.float32)), np.uint8)
        return torch.from_numpy(planes)
