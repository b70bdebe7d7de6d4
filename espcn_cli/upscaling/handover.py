"""What is on its way from one thread to another, a picture's rows or a video's frames: a few of them wait at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

WAITING = 3
"""Bands of a picture that may wait."""


class Handover(Generic[T]):
    """One thread puts things in and ends it; another iterates over them, and leaves. At most `room` of them wait."""

    def __init__(self, room: int = WAITING) -> None:
        self._changed = threading.Condition()
        self._room = room
        self._waiting: deque[T] = deque()
        self._ended = False
        self._left = False
        self._error: BaseException | None = None

    def put(self, thing: T) -> bool:
        """Wait until there is room; False if the other side has left, and nobody will take it."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < self._room or self._left)
            self._waiting.append(thing)
            self._changed.notify_all()
            return not self._left

    def end(self, error: BaseException | None = None) -> None:
        """No more comes; an error is raised on the other side."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def leave(self) -> None:
        """No more is taken."""
        with self._changed:
            self._left = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        for things in self.several(1):
            yield from things

    def several(self, most: int) -> Iterator[list[T]]:
        """What waits, in order, at least one thing and at most this many at a time."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if self._error is not None:
                    raise self._error
                if not self._waiting:
                    return
                things = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
                self._changed.notify_all()
            yield things
