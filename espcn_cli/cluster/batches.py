"""In which order and in what groups pictures are given out, so that nobody waits for the last one."""

from __future__ import annotations

import heapq
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from espcn_cli.errors import EspcnError
from espcn_cli.pictures.extent import extent_of
from espcn_cli.upscaling.outcome import Task
from espcn_cli.upscaling.pipeline import LARGE

OVERHEAD = 16_000
"""A picture takes as long as its pixels and so many more: it is found, opened, described and renamed."""

MOST = 1024
"""Pictures in a group."""

SECONDS = 1.0
"""How long a group may take, about: outcomes come back when it is done."""

LONGER = 0.01
"""For every worker so many seconds more count: one process hears of them all."""

LEAST = 0.002
"""For every worker so many seconds at least, which is what that process spends on a group: it would fall behind."""

ROUNDS = 3
"""Groups get smaller towards the end: each takes no more than a worker's part of the rest, divided by this."""

FIRST_PACE = 1e-6
"""Seconds that a pixel takes on one worker, until there is better knowledge."""

READ = 4_096
"""Pictures whose headers are read; of the rest the files' lengths tell as much, and that takes a tenth of the time."""

FOR_A_BYTE = 30.0
"""Pixels for each byte of a video or an archive, about: they are compressed well."""

BLOCK = 512
"""Pictures that are weighed before the first of them can go out."""

BYTES = 15
"""Bytes in memory of an RGB picture and its output at x2, per pixel."""


@dataclass(frozen=True)
class Item:
    """A picture to be given out: where it stands in the plan, its weight in pixels, and how often it was begun."""

    index: int
    task: Task
    weight: float
    begun: int = 0


@dataclass(frozen=True, eq=False)
class Batch:
    """What one worker gets in one go. `alone`: while it has these it gets nothing else."""

    items: tuple[Item, ...]
    alone: bool = False

    @property
    def weight(self) -> float:
        return sum(item.weight for item in self.items)


def weigh(tasks: Sequence[tuple[int, Task]]) -> Iterator[list[Item]]:
    """Blocks of the tasks with their weights, in any order of size."""
    known: Counter[str] = Counter()
    lengths: Counter[str] = Counter()
    for start in range(0, len(tasks), BLOCK):
        block = []
        for place, (index, task) in enumerate(tasks[start : start + BLOCK], start):
            suffix, length = task.source.suffix.lower(), _length(task)
            if task.video is not None or task.archive:
                pixels = FOR_A_BYTE * length
            elif place < READ or not lengths[suffix]:
                pixels = _pixels(task)
                known[suffix] += round(pixels)
                lengths[suffix] += length
            else:
                pixels = length * known[suffix] / lengths[suffix]
            block.append(Item(index, task, pixels + OVERHEAD))
        yield block


def _length(task: Task) -> int:
    try:
        return os.stat(task.source).st_size  # noqa: PTH116
    except OSError:
        return 0


def _pixels(task: Task) -> float:
    try:
        return float(extent_of(task.source).pixels)
    except (EspcnError, MemoryError):  # whoever does it will tell
        return 0.0


@dataclass
class Batches:
    """What is to be given out: large ones first, small ones in groups, and those that may kill alone and last."""

    total: int
    pace: float = FIRST_PACE
    given: int = 0
    _waiting: list[tuple[float, int, Item]] = field(default_factory=list)
    _suspects: list[Item] = field(default_factory=list)
    _weighed: int = 0
    _weight: float = 0.0
    _sum: float = 0.0

    def add(self, items: Iterable[Item]) -> None:
        """Pictures that were weighed."""
        for item in items:
            heapq.heappush(self._waiting, (-item.weight, item.index, item))
            self._weighed += 1
            self._sum += item.weight
            self._weight += item.weight

    def again(self, items: Iterable[Item], begun: bool) -> None:
        """Pictures come back undone; if they had been `begun`, one of them may be why."""
        for item in items:
            if begun or item.begun:
                self._suspects.append(item)
            else:
                self.add([item])
                self._weighed -= 1
                self._sum -= item.weight

    def next(self, workers: int, idle: bool) -> Batch | None:
        """What a worker gets next; `idle`: it has nothing. None if there is nothing for it now."""
        if not self._waiting:
            return Batch((self._suspects.pop(0),), alone=True) if idle and self._suspects else None
        if _fills_memory(self._waiting[0][2]):
            return Batch((self._take(),), alone=True) if idle else None
        budget = self._budget(workers)
        items = [self._take()]
        weight = items[0].weight
        while self._waiting and len(items) < MOST and weight + self._waiting[0][2].weight <= budget:
            if any(task.video is not None or task.archive for task in (self._waiting[0][2].task, items[0].task)):
                break
            items.append(self._take())
            weight += items[-1].weight
        return Batch(tuple(items))

    def learn(self, weight: float, seconds: float) -> None:
        """How long a worker took for a weight."""
        self.pace = 0.8 * self.pace + 0.2 * seconds / max(weight, 1.0)

    def drop(self) -> list[Item]:
        """Take out all that is left."""
        left = [item for _, _, item in self._waiting] + self._suspects
        self._waiting, self._suspects, self._weight = [], [], 0.0
        return left

    @property
    def left(self) -> int:
        """Pictures that wait here."""
        return len(self._waiting) + len(self._suspects)

    def _take(self) -> Item:
        item = heapq.heappop(self._waiting)[2]
        self._weight -= item.weight
        return item

    def _budget(self, workers: int) -> float:
        """The weight of a group."""
        unseen = (self.total - self._weighed) * self._sum / max(self._weighed, 1)
        rest = (self._weight + unseen) / (ROUNDS * max(workers, 1))
        return max(min((SECONDS + LONGER * workers) / self.pace, rest), LEAST * workers / self.pace)


def _fills_memory(item: Item) -> bool:
    """Whether a picture is so large that it should be alone in memory; of videos and archives only parts are there."""
    return item.task.video is None and not item.task.archive and item.weight * BYTES > LARGE
