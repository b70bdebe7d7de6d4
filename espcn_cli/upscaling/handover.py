"""A picture's rows on their way from the network to the encoder, in another thread: a few bands wait at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

from espcn_cli.maths.levels import Levels

WAITING = 3
"""Bands that may wait."""


class Handover:
    """One thread puts bands in and ends it; another iterates over them, and leaves."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._bands: deque[Levels] = deque()
        self._ended = False
        self._left = False
        self._error: BaseException | None = None

    def put(self, band: Levels) -> bool:
        """Wait until there is room for a band; False if the other side has left, and nobody will take it."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._bands) < WAITING or self._left)
            self._bands.append(band)
            self._changed.notify_all()
            return not self._left

    def end(self, error: BaseException | None = None) -> None:
        """No more bands come; an error is raised on the other side."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def leave(self) -> None:
        """No more bands are taken."""
        with self._changed:
            self._left = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Levels]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._bands or self._ended)
                if self._error is not None:
                    raise self._error
                if not self._bands:
                    return
                band = self._bands.popleft()
                self._changed.notify_all()
            yield band
