"""Patches from a pool of scenes that grows while a training goes on, so that no step waits for damage to be done."""

from __future__ import annotations

import copy
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, Self

import torch
from torch import Tensor

from espcn_cli.maths.turns import TURNS, turned_planes
from espcn_cli.training.parallel import WHOLE
from espcn_cli.training.scenes import SIDE, Scene

FIRST = 256
"""Scenes that a training starts with."""

STEPS_PER_SCENE = 4
"""Steps after which there is one more scene."""

MOST_BYTES = 500_000_000
"""What the pool may take; then each new scene replaces the oldest."""

AHEAD = 4
"""Scenes that are made before they are due."""

Make = Callable[[int], Scene]


class Pool:
    """Scenes by number, made in threads or processes of their own.

    Which ones there are follows from the step alone: a training that resumes finds the same. Processes leave the
    interpreter to a step that takes no more than a millisecond; threads are enough where it takes many.
    """

    def __init__(self, make: Make, workers: int | None = None, processes: bool = False) -> None:
        first = make(0)
        self.planes = len(first.hr)
        self.most = max(MOST_BYTES // (first.hr.numel() + first.lr.numel()), FIRST)
        self.numbers = range(0)
        self._makers, self._make = make_executor(make, workers, processes)
        self._ahead = AHEAD * (workers or torch.get_num_threads()) if processes else AHEAD
        self._scenes: dict[int, Future[Scene]] = {}

    def reach(self, step: int) -> None:
        """Hold the scenes that are due at a step, and have the next ones made."""
        end = FIRST + step // STEPS_PER_SCENE
        if end == self.numbers.stop:
            return
        self.numbers = range(max(end - self.most, 0), end)
        for number in [n for n in self._scenes if n < self.numbers.start]:
            del self._scenes[number]
        for number in range(self.numbers.start, end + self._ahead):
            if number not in self._scenes:
                self._scenes[number] = self._makers.submit(self._make, number)

    def from_(self, place: int) -> Iterator[tuple[int, Scene]]:
        """All scenes with their numbers, one after another, from one in the row on; each is waited for.

        Raises EspcnError if a picture's file is no longer what it was.
        """
        for offset in range(len(self.numbers)):
            number = self.numbers[(place + offset) % len(self.numbers)]
            yield number, self._scenes[number].result()

    def close(self) -> None:
        """Make no more scenes."""
        self._makers.shutdown(wait=False, cancel_futures=True)


def make_executor(make: Make, workers: int | None, processes: bool) -> tuple[Executor, Make]:
    """Threads, or processes that share this one's memory as it is now where the system can fork; and their work."""
    count = workers or torch.get_num_threads()
    if processes and "fork" in multiprocessing.get_all_start_methods() and sys.platform != "darwin":
        executor = ProcessPoolExecutor(count, multiprocessing.get_context("fork"), partial(_serve, make, os.getpid()))
        with warnings.catch_warnings():  # of threads that are not there afterwards: none holds what a scene needs
            warnings.simplefilter("ignore", DeprecationWarning)
            executor.submit(int).result()  # all are forked now, before there is more to share
        return executor, _make_here
    return ThreadPoolExecutor(count, initializer=partial(torch.set_num_threads, 1)), make


_served: list[Make] = []
"""In a process that makes scenes, how: it came with the memory, since pictures are too much to be sent."""


def _make_here(number: int) -> Scene:
    return _served[-1](number)


def _serve(make: Make, parent: int) -> None:
    """A process that only makes scenes: signals are its parent's affair, and it does not outlive that."""
    _served.append(make)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


class Place(NamedTuple):
    """Where a patch lies: in which scene, at which LR row and column, in which of the `TURNS`."""

    number: int
    scene: Scene
    y: int
    x: int
    turn: int


class ScenePatches:
    """Random aligned patches from every position in every scene of a pool, in one of eight orientations.

    Each is the most detailed of `candidates` from its scene. With `turns_of` n, the patches of a step are from scenes
    whose numbers leave the same rest by n as the step's.
    """

    def __init__(self, pool: Pool, scale: int, patch: int, batch: int, candidates: int = 1, turns_of: int = 1) -> None:
        self.pool = pool
        self.turns_of = turns_of
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

    def draw(self, generator: torch.Generator, step: int, share: slice = WHOLE) -> tuple[Tensor, Tensor]:
        """One batch, or a share of it: LR (batch, planes, patch/scale, patch/scale) and HR, float32 in [0, 1]."""
        pairs = [self._cut(place) for place in self.places(generator, step, share)]
        lr, hr = (torch.stack(side).float().div_(255) for side in zip(*pairs, strict=True))
        return lr, hr

    def places(self, generator: torch.Generator, step: int, share: slice = WHOLE) -> Iterator[Place]:
        """Where a batch's patches lie, or a share of them."""
        self.pool.reach(step)
        places = torch.randint(len(self.pool.numbers), (self.batch,), generator=generator).tolist()
        where = torch.rand(self.batch, self.candidates, 2, generator=generator).tolist()
        turns = torch.randint(len(TURNS), (self.batch,), generator=generator).tolist()
        for place, corners, turn in zip(places[share], where[share], turns[share], strict=True):
            due = (found for found in self.pool.from_(place) if (found[0] - step) % self.turns_of == 0)
            number, scene = next(found for found in due if min(found[1].size) >= self.patch)
            yield Place(number, scene, *self._corner(scene, corners), turn)

    def close(self) -> None:
        self.pool.close()

    def _corner(self, scene: Scene, where: list[list[float]]) -> tuple[int, int]:
        """Row and column of the most detailed patch of those that begin at these shares of the way."""
        free = [side - self.patch + 1 for side in scene.size]
        corners = [(int(down * free[0]), int(right * free[1])) for down, right in where]
        if len(corners) == 1:
            return corners[0]
        return max(corners, key=lambda at: scene.detail(at[0], at[1], self.patch))

    def _cut(self, place: Place) -> tuple[Tensor, Tensor]:
        """LR and HR patch, uint8."""
        _, scene, y, x, turn = place
        size, r = self.patch, self.scale
        lr = scene.lr[:, y : y + size, x : x + size]
        hr = scene.hr[:, y * r : (y + size) * r, x * r : (x + size) * r]
        return turned_planes(lr, TURNS[turn]), turned_planes(hr, TURNS[turn])
