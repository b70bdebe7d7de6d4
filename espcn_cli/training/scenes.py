"""Damaged pictures to learn from, for `--degradation real`: photographs, drawings, text, interfaces, single pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from espcn_cli.maths.colour import luma
from espcn_cli.maths.levels import Floats, Levels, rounded
from espcn_cli.scoring import drawn
from espcn_cli.scoring.damages import Damage, Rng, any_damage
from espcn_cli.training.samples import DETAIL_CELL, AnySample, detail

SIDE = 288
"""HR pixels of a scene's side: enough for a compression to show its grid, and a multiple of every scale."""

DRAWINGS = 0.2
"""Share of scenes that are drawings, where there are any."""

Kind = Literal["photograph", "drawing", "text", "text at both sizes", "interface", "single pixels"]

DRAWN_HERE: dict[Kind, float] = {"single pixels": 0.02, "text at both sizes": 0.015, "text": 0.05, "interface": 0.025}
"""Shares of scenes that the tool draws by itself; the rest are photographs and drawings."""

SHARPENED, OF_MANY_COLOURS = 0.07, 0.03
"""Shares of scenes that are sharpened, or get a palette of up to 256 colours, beside those that are so anyway: networks
learn little of either where they are as rare as in `any_damage`."""

STRENGTHS = (0.25, 0.5, 0.75, 1.0)
"""How much of the learned weights a network has in a training of mixtures ..."""

ROUND = (0.25, 1.0, 0.5, 1.0, 0.75, 1.0)
"""... and in which order: scene n is one that needs the n-th of these, counted in a circle. Drawings all need the last,
and are as many as without mixtures."""


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
    """An endless row of scenes, each made from the seed and its number alone.

    `in_turn`: the strengths that they need take turns, where otherwise they come as often as the damage does.
    """

    photographs: Sequence[AnySample]
    drawings: Sequence[AnySample]
    scale: int
    planes: int
    seed: int
    in_turn: bool = False

    def make(self, number: int) -> Scene:
        """One of up to `SIDE` HR pixels a side.

        Raises EspcnError if a picture's file is no longer what it was.
        """
        rng = np.random.default_rng((self.seed, number))
        damage, kind = damage_to_learn(rng), self._kind(rng)
        while self.in_turn and strength_for(kind, damage) != ROUND[number % len(ROUND)]:
            damage, kind = damage_to_learn(rng), self._kind(rng)
        hr, lr = self._levels(kind, damage, rng)
        return Scene.of(self._planes(hr), self._planes(lr))

    def _kind(self, rng: Rng) -> Kind:
        share = rng.random()
        for kind, limit in DRAWN_HERE.items():
            if share < limit:
                return kind
            share -= limit
        of_drawings = bool(self.drawings) and rng.random() < DRAWINGS
        return "drawing" if of_drawings or not self.photographs else "photograph"

    def _levels(self, kind: Kind, damage: Damage, rng: Rng) -> tuple[Levels, Levels]:
        """HR and LR."""
        size = (SIDE // self.scale,) * 2
        if kind == "single pixels":
            lr = drawn.single_pixels(rng, size)
            return lr.repeat(self.scale, axis=0).repeat(self.scale, axis=1), lr
        if kind == "text at both sizes":
            page = drawn.text_page(rng, size)
            return page.draw(self.scale), damage.after(page.draw(1), rng)
        if kind in ("photograph", "drawing"):
            hr = self._picture(self.photographs if kind == "photograph" else self.drawings, rng)
        else:
            make = drawn.text_page if kind == "text" else drawn.interface_page
            hr = make(rng, size).draw(self.scale)
        return hr, damage.levels(hr, self.scale, rng)

    def _picture(self, samples: Sequence[AnySample], rng: Rng) -> Levels:
        """A random part of a random one of them, uint8 (H, W, 3)."""
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


def damage_to_learn(rng: Rng) -> Damage:
    """Any damage, but more often what is hard to learn."""
    damage, share = any_damage(rng), rng.random()
    if share < SHARPENED:
        return replace(damage, kernel="lanczos", blur=0.0, sharpen=rng.uniform(30, 120))
    if share < SHARPENED + OF_MANY_COLOURS:
        return replace(damage, colours=int(2 ** rng.uniform(6, 8)), webp=0, jpegs=())
    return damage


def strength_for(kind: Kind, damage: Damage) -> float:
    """The one of `STRENGTHS` that suits a scene about best: see docs/real-pictures.md for how that was found."""
    if kind in ("drawing", "interface", "single pixels"):
        return 1.0
    worst = min((jpeg.quality for jpeg in damage.jpegs), default=100)
    if damage.sharpen or damage.halftone or damage.kernel == "nearest" or worst < 80:
        return 1.0
    noise = damage.noise or (255 / damage.shot if damage.shot else 0.0)
    if noise > 3 or damage.colours or worst < 90 or 0 < damage.webp < 80:
        return 0.75
    if noise or damage.kernel == "area" or damage.jpegs or damage.webp:
        return 0.5
    return 0.25
