"""Ctrl-C and SIGTERM, held back while something must not be cut in two; and the threads that nobody waits for then."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)

READER, WRITER = "espcn-read", "espcn-write"
"""How the names of the threads begin that read and write pictures: they may wait for a pipe for ever."""


class Interruption:
    """While this is entered, Ctrl-C and SIGTERM wait for its end, where they are raised: KeyboardInterrupt, SystemExit.

    `signal` is the one that waits, 0 if none does. A second one does not wait. Does nothing outside the main thread,
    where Python allows no signal handlers.
    """

    def __init__(self) -> None:
        self.signal: int = 0
        self.previous: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self.previous = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        if self.signal and error is None:
            raise as_exception(self.signal)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal:
            raise as_exception(number)
        self.signal = number


def as_exception(number: int) -> BaseException:
    """What a signal means in Python: KeyboardInterrupt, or the exit code that a shell expects."""
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)


def is_waiting() -> bool:
    """Whether a thread is left that reads or writes a picture: it would hold a process that is asked to stop."""
    return any(thread.name.startswith((READER, WRITER)) for thread in threading.enumerate())
