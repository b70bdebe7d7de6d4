"""Ctrl-C and SIGTERM on the command line: the first one asks a command to stop, a second one ends the process at once.

Imports next to nothing, so that it can be there before anything else is.
"""

from __future__ import annotations

import _thread
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from espcn_cli import files
from espcn_cli.interruption import SIGNALS, as_exception, is_waiting

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

PATIENCE = 3.0
"""Seconds that a command may take to stop before a line tells of the quicker way."""

DELAY = 1.0
"""Seconds that the last words may take: standard error may be a pipe that nobody reads."""

LOST = b"\0"
"""No signal's number: written where the numbers of signals are when the exception of one was lost."""

MOMENT = 0.01
"""Seconds until a signal whose exception was lost is sent again."""

CODES = tuple(128 + number for number in SIGNALS)
"""The exit codes after Ctrl-C and SIGTERM, as a shell has them: 130 and 143."""

Words = Callable[[], list[str]]
"""What has really happened until now, as lines for standard error."""


class _Stopping:
    """The signals of this process while a command runs."""

    def __init__(self) -> None:
        self.watched = False
        self.heeded = 0
        self.raised: BaseException | None = None
        self.lost = 0
        self.spoken = False
        self.words: Words = lambda: ["espcn: interrupted"]
        self.lock = threading.Lock()

    def heed(self, number: int, frame: FrameType | None) -> None:
        """The first signal stops what the main thread is at. A second one is left to `watch`."""
        if not self.heeded:
            self.heeded = number
            self.raised = as_exception(number)
            raise self.raised

    def watch(self, signals: socket.socket) -> None:
        """Count the signals in a thread of its own: the main one may be in a long operation, where Python is not.

        One whose exception was lost is sent once more, from here: what loses them ends in a moment.
        """
        count = 0
        while True:
            try:
                received = signals.recv(1)
            except TimeoutError:
                signals.settimeout(None)
                if not self.spoken:
                    _say("espcn: stopping; Ctrl-C again ends at once")
                continue
            if not received:
                return
            if received == LOST:
                count -= 1
                time.sleep(MOMENT)
                _send_to_main_thread(self.lost)
            elif received[0] in SIGNALS:
                count += 1
                signals.settimeout(PATIENCE)
            if count > 1:
                self.end(128 + received[0])

    def has_lost(self, error: BaseException | None) -> bool:
        """Whether Python drops the exception of a signal, which came within a destructor or a callback."""
        if error is None or error is not self.raised:
            return False
        self.lost, self.heeded, self.raised = self.heeded, 0, None
        return True

    def end(self, code: int) -> None:
        """End the process with nothing half written."""
        quiet = threading.Timer(DELAY, end_at_once, [code])
        quiet.daemon = True
        quiet.start()
        self.speak()
        end_at_once(code)

    def code_of(self, error: BaseException) -> int | None:
        """The exit code if it was a signal that led to an error: an import that is cut in two may end in any."""
        if isinstance(error, KeyboardInterrupt):
            return 128 + signal.SIGINT
        if isinstance(error, SystemExit):
            return error.code if isinstance(error.code, int) and error.code in CODES else None
        return 128 + self.heeded if self.heeded else None

    def speak(self) -> None:
        with self.lock:
            if not self.spoken:
                self.spoken = True
                for line in self.words():
                    _say(line)


_stopping = _Stopping()


@contextmanager
def watching(whole: bool = False) -> Iterator[None]:
    """Heed signals until the block ends. A line tells what stopped it, if none has yet.

    `whole`: the process is there for this alone, so it need not be tidied up after a signal, and one that comes later
    ends it at once. Does nothing within another such block, or outside the main thread, where Python allows no signal
    handlers.
    """
    global _stopping
    if _stopping.watched or threading.current_thread() is not threading.main_thread():
        yield
        return
    _stopping = stopping = _Stopping()
    reading, written = socket.socketpair()
    written.setblocking(False)
    before = {number: signal.signal(number, stopping.heed) for number in SIGNALS}
    wakeup = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
    told = sys.unraisablehook

    def ignored(what: UnraisableHookArgs) -> None:
        if stopping.has_lost(what.exc_value):
            written.send(LOST)
        else:
            told(what)

    sys.unraisablehook = ignored
    watcher = threading.Thread(target=stopping.watch, args=[reading], daemon=True)
    watcher.start()
    stopping.watched = True
    try:
        yield
    except BaseException as error:
        code = stopping.code_of(error)
        if code is None:
            raise
        stopping.speak()
        if whole or is_waiting():  # such a thread would hold the process
            with suppress(Exception):
                sys.stdout.flush()
            end_at_once(code)
        raise SystemExit(code) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, _end if whole else handler)
        signal.set_wakeup_fd(wakeup)
        sys.unraisablehook = told
        stopping.raised = None  # it holds the frames that it went through
        stopping.watched = False
        written.close()
        watcher.join(DELAY)
        reading.close()


@contextmanager
def last_words(words: Words) -> Iterator[None]:
    """Within the block, the lines that tell of a signal that ends it."""
    before, _stopping.words = _stopping.words, words
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        _stopping.speak()
        raise
    finally:
        _stopping.words = before


def end_at_once(code: int) -> NoReturn:
    files.abandon()
    os._exit(code)


def _send_to_main_thread(number: int) -> None:
    if hasattr(signal, "pthread_kill"):  # which ends what the thread waits for
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        _thread.interrupt_main(signal.Signals(number))


def _end(number: int, frame: FrameType | None) -> None:
    end_at_once(128 + number)


def _say(line: str) -> None:
    with suppress(Exception):
        from espcn_cli.cli.terminal import say

        say(line)
