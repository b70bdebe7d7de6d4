"""A CUDA card as the scheduler has it: three streams, memory that it reaches by itself, and work recorded as graphs."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor

from espcn_cli.engines.engine import NotFiniteError
from espcn_cli.maths.levels import Levels, is_padded, padded, unlocked
from espcn_cli.memory import available_memory

T = TypeVar("T")

Work = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Levels (H, W, C) on the card -> the result's levels there, and the sum of its values, which tells whether all are
finite."""

GRAPHS = 16
"""Kinds and shapes of windows whose work is recorded, at most: each holds a window and its result."""

SEEN = 256
"""Kinds and shapes that are remembered, at most: what comes again is recorded."""

WARM_UP = 2
"""Runs before a recording, in which libraries choose their algorithms and take their memory."""

SHARE = 8
"""Results that are handed out in the card's own memory take no more than this part of what was free."""

LEAST_LENT = 2**29

BYTES = 4096
"""Of a card's memory for each LR pixel of a window: work takes 800 or so, and recorded work as much again."""

LEAST_WINDOW, MOST_WINDOW = 2**20, 2**24
"""LR pixels."""


@dataclass
class _There:
    """A tensor on the card, or on its way there, and what happens when it has arrived; by which work it goes on."""

    kind: Kind
    work: Work
    values: Tensor
    ready: torch.cuda.Event


@dataclass
class _Result:
    """What came of it, on the card or on its way down, and what happens when it is there."""

    levels: Tensor
    total: Tensor
    ready: torch.cuda.Event


Kind = tuple[Hashable, ...]

_Key = tuple[Kind, torch.Size]


@dataclass
class Window:
    """Levels (H, W, C) and the work to be done with them.

    What is of one `kind` and shape is the same work; whose it is comes first in it.
    """

    levels: Levels
    kind: Kind
    work: Work = field(repr=False)


class Card:
    """Takes windows up, through their work, and down. Hold `lock` while windows are under way: threads may share it."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.lock = threading.RLock()
        with torch.cuda.device(device):
            self._up, self._run, self._down = (torch.cuda.Stream() for _ in range(3))  # type: ignore[no-untyped-call]
            self._pool = torch.cuda.graph_pool_handle()
        self._graphs: OrderedDict[_Key, _Graph | None] = OrderedDict()
        self._seen: OrderedDict[_Key, bool] = OrderedDict()
        self._lent: dict[int, int] = {}
        self._room = max((available_memory() or 0) // SHARE, LEAST_LENT)

    def upload(self, window: Window) -> _There:
        host = pinned(window.levels)
        with torch.cuda.stream(self._up):
            values = host.to(self.device, non_blocking=True)
            values.record_stream(self._run)
            return _There(window.kind, window.work, values, self._up.record_event())

    def run(self, there: _There) -> _Result:
        with torch.cuda.stream(self._run):
            self._run.wait_event(there.ready)
            levels, total = self._work(there)
            for each in (levels, total):
                each.record_stream(self._down)
            return _Result(levels, total, self._run.record_event())

    def download(self, made: _Result) -> _Result:
        with torch.cuda.stream(self._down):
            self._down.wait_event(made.ready)
            levels, total = (_down(each) for each in (made.levels, made.total))
            return _Result(levels, total, self._down.record_event())

    def wait(self, coming: _Result) -> Levels:
        """The levels, in memory that the card writes to; it is used again when nobody has the array any more.

        Raises NotFiniteError.
        """
        coming.ready.synchronize()
        if not coming.total.isfinite():
            raise NotFiniteError("NaN or infinity in a result")
        levels: Levels = coming.levels.numpy()
        if sum(list(self._lent.values())) + levels.nbytes > self._room:
            return levels.copy()
        self._lent[id(levels)] = levels.nbytes
        weakref.finalize(levels, self._lent.pop, id(levels)).atexit = False
        return levels

    def forget(self, owner: Hashable) -> None:
        """Drop what was recorded for somebody who is gone."""
        with self.lock:
            for kept in (self._graphs, self._seen):
                for key in [key for key in kept if key[0][0] is owner]:
                    del kept[key]

    def _work(self, there: _There) -> tuple[Tensor, Tensor]:
        """By a graph, if the shape was seen before and there is memory to record it."""
        key = there.kind, there.values.shape
        if key in self._seen and key not in self._graphs:
            try:
                graph = _Graph(there.work, there.values, self._run, self._pool)
            except RuntimeError:  # also what runs out of memory: while work is recorded, CUDA calls it many things
                graph = None
            _keep(self._graphs, key, graph, GRAPHS)
        _keep(self._seen, key, True, SEEN)
        recorded = self._graphs.get(key)
        if recorded:
            self._graphs.move_to_end(key)
            return recorded(there.values)
        try:
            return there.work(there.values)
        except torch.cuda.OutOfMemoryError:
            self._graphs.clear()
            torch.cuda.empty_cache()
            raise


def _keep(kept: OrderedDict[_Key, T], key: _Key, value: T, most: int) -> None:
    """Keep a value, and of all those that were used last."""
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)


class _Graph:
    """Work on one shape, recorded: the kernels are started all at once, on fixed places in memory.

    All graphs of a card work in the same memory, one after the other; what comes out of one is copied from there.
    """

    def __init__(self, work: Work, values: Tensor, stream: torch.cuda.Stream, pool: Any) -> None:
        self._place = values.clone()
        for _ in range(WARM_UP):
            work(self._place)
        stream.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
            self._results = work(self._place)

    def __call__(self, values: Tensor) -> tuple[Tensor, Tensor]:
        self._place.copy_(values)
        self._graph.replay()
        levels, total = (result.clone() for result in self._results)
        return levels, total


def window_on(device: torch.device) -> int:
    """LR pixels of a window that suit a card: the larger the better, so that most pictures are one."""
    total = torch.cuda.get_device_properties(device).total_memory
    return min(max(total // BYTES, LEAST_WINDOW), MOST_WINDOW)


@cache
def card_of(device: torch.device) -> Card:
    """The one that all engines of this process share."""
    return Card(device)


def pinned(levels: Levels) -> Tensor:
    """A copy of levels (H, W, C) that the card can fetch by itself; padded ones with their fourth bytes."""
    source = torch.from_numpy(unlocked(padded(levels) if is_padded(levels) else levels))
    return torch.empty(source.shape, dtype=source.dtype, pin_memory=torch.cuda.is_available()).copy_(source)


def _down(x: Tensor) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype, pin_memory=True).copy_(x, non_blocking=True)
