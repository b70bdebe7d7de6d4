"""Patches from a pool of scenes that grows while a training goes on, so that no step waits for damage to be done."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

import torch
from torch import Tensor

from espcn_cli.maths.turns import TURNS, turned_planes
from espcn_cli.training.scenes import SIDE, Scene

FIRST = 256
"""Scenes that a training starts with."""

PATCHES_PER_SCENE = 64
"""Drawn patches after which there is one more scene."""

MOST_BYTES = 500_000_000
"""What the pool may take; then each new scene replaces the oldest."""

AHEAD = 4
"""Scenes that are made before they are due."""


class Pool:
    """Scenes by number, made in threads of their own.

    Which ones there are follows from the patches drawn so far alone: a training that resumes finds the same.
    """

    def __init__(self, make: Callable[[int], Scene], workers: int | None = None) -> None:
        first = make(0)
        self.most = max(MOST_BYTES // (first.hr.numel() + first.lr.numel()), FIRST)
        self.numbers = range(0)
        self._make = make
        self._threads = ThreadPoolExecutor(
            workers or torch.get_num_threads(), initializer=lambda: torch.set_num_threads(1)
        )
        self._scenes: dict[int, Future[Scene]] = {}

    def reach(self, patches: int) -> None:
        """Hold the scenes that are due when this many patches are drawn, and have the next ones made."""
        end = FIRST + patches // PATCHES_PER_SCENE
        if end == self.numbers.stop:
            return
        self.numbers = range(max(end - self.most, 0), end)
        kept = range(self.numbers.start, end + AHEAD)
        self._scenes = {n: self._scenes.get(n) or self._threads.submit(self._make, n) for n in kept}

    def from_(self, place: int) -> Iterator[Scene]:
        """All scenes, one after another, from one in the row on; each is waited for.

        Raises EspcnError if a picture's file is no longer what it was.
        """
        for offset in range(len(self.numbers)):
            yield self._scenes[self.numbers[(place + offset) % len(self.numbers)]].result()

    def close(self) -> None:
        """Make no more scenes."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class ScenePatches:
    """Random aligned patches from every position in every scene of a pool, in one of eight orientations.

    Each is the most detailed of `candidates` from its scene.
    """

    def __init__(self, pool: Pool, scale: int, patch: int, batch: int, candidates: int = 1) -> None:
        self.pool = pool
        self.scale = scale
        self.patch = patch // scale
        self.batch = batch
        self.candidates = candidates
        self.largest_patch = SIDE

    def of_size(self, patch: int) -> Self:
        """Patches of another size from the same scenes, of which smaller ones are passed over."""
        other = copy.copy(self)
        other.patch = patch // self.scale
        return other

    def draw(self, generator: torch.Generator, step: int) -> tuple[Tensor, Tensor]:
        """One batch: LR (batch, planes, patch/scale, patch/scale) and HR, float32 in [0, 1]."""
        self.pool.reach(step * self.batch)
        places = torch.randint(len(self.pool.numbers), (self.batch,), generator=generator).tolist()
        where = torch.rand(self.batch, self.candidates, 2, generator=generator).tolist()
        turns = torch.randint(len(TURNS), (self.batch,), generator=generator).tolist()
        pairs = [self._cut(*of_each) for of_each in zip(places, where, turns, strict=True)]
        lr, hr = (torch.stack(side).float().div_(255) for side in zip(*pairs, strict=True))
        return lr, hr

    def close(self) -> None:
        self.pool.close()

    def _cut(self, place: int, where: list[list[float]], turn: int) -> tuple[Tensor, Tensor]:
        """LR and HR patch, uint8."""
        scene = next(scene for scene in self.pool.from_(place) if min(scene.size) >= self.patch)
        free = [side - self.patch + 1 for side in scene.size]
        corners = [(int(down * free[0]), int(right * free[1])) for down, right in where]
        y, x = max(corners, key=lambda at: scene.detail(at[0], at[1], self.patch)) if len(corners) > 1 else corners[0]
        size, r = self.patch, self.scale
        lr = scene.lr[:, y : y + size, x : x + size]
        hr = scene.hr[:, y * r : (y + size) * r, x * r : (x + size) * r]
        return turned_planes(lr, TURNS[turn]), turned_planes(hr, TURNS[turn])
