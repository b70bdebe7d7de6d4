"""Ctrl-C and SIGTERM, held back until a step is done."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interruption:
    """While this is entered, Ctrl-C and SIGTERM wait for the end of a step: half a step cannot be resumed exactly.

    A second one does not wait. Does nothing outside the main thread, where Python allows no signal handlers.
    """

    def __init__(self) -> None:
        self.signal: int = 0
        self.previous: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self.previous = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal:
            raise self.as_exception()
        self.signal = number

    def as_exception(self) -> BaseException:
        return KeyboardInterrupt() if self.signal == signal.SIGINT else SystemExit(128 + self.signal)
