"""Which compiled graphs are kept, and which shape gets one of its own: numbers alone, whatever is compiled."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

Size = tuple[int, int]
"""Height and width; FREE is any."""

FREE: Size = (-1, -1)

OFTEN = 2**21
"""Pixels that a size goes through the graph for any size before it gets its own. A graph of its own saves a few percent
of the time; with this many, about what it takes to compile."""

BYTES = 18
"""What a graph takes for each value of its widest layer, about: 150 MB for 16 planes of 960 × 540."""

SHARE = 8
"""Graphs take no more than this part of the memory that was free: a batch has up to nine strengths, each its own."""

LEAST_ROOM, MOST_ROOM = 2**24, 2**27
"""Values that they may hold together all the same, and at most: two and sixteen of those."""


def room_in(free: int | None) -> int:
    """Values that the graphs on a shelf may hold together, where so many bytes of memory are free."""
    return min(max((free or 0) // SHARE // BYTES, LEAST_ROOM), MOST_ROOM)


@dataclass
class _Series:
    """The graphs of one kind: the sizes that were seen, and their pixels."""

    seen: Counter[Size] = field(default_factory=Counter)
    first: Size | None = None


class Shelf(Generic[T]):
    """Compiled graphs, those used last; not safe for threads.

    The first size of a kind gets a graph of its own, for most runs see one picture or pictures of one size. Others go
    through one graph for any size, until there has been enough of them; so a thousand sizes are two graphs.
    """

    def __init__(self, room: int = LEAST_ROOM) -> None:
        self.room = room
        self._graphs: OrderedDict[tuple[Hashable, Size], T] = OrderedDict()
        self._held: dict[tuple[Hashable, Size], int] = {}
        self._series: dict[Hashable, _Series] = {}

    def get(self, kind: Hashable, size: Size, planes: int, make: Callable[[Size], T]) -> T:
        """The graph of a kind for a picture of a size; `planes` is how many its widest layer has."""
        key = kind, self._choose(kind, size)
        if key not in self._graphs:
            self._graphs[key] = make(key[1])
        self._graphs.move_to_end(key)
        values = size[0] * size[1] * planes
        self._held[key] = max(values, self._held.get(key, 0))
        while sum(self._held.values()) > self.room and len(self._graphs) > 1:
            self._drop(next(iter(self._graphs)))
        return self._graphs[key]

    def _choose(self, kind: Hashable, size: Size) -> Size:
        series = self._series.setdefault(kind, _Series())
        if series.first is None:
            series.first = size
        series.seen[size] += size[0] * size[1]
        return size if size == series.first or series.seen[size] > OFTEN else FREE

    def forget(self, belongs: Callable[[Hashable], bool]) -> None:
        """Drop the graphs of some kinds."""
        for key in [key for key in self._graphs if belongs(key[0])]:
            self._drop(key)
        for kind in [kind for kind in self._series if belongs(kind)]:
            del self._series[kind]

    def clear(self) -> None:
        """Drop all graphs; what was seen is not forgotten."""
        for key in list(self._graphs):
            self._drop(key)

    def _drop(self, key: tuple[Hashable, Size]) -> None:
        del self._graphs[key], self._held[key]
