"""What comes through a pipe, kept on the disk as far as it has come: it is read more than once, and need not be whole.

The frames are decoded while it comes, and what is copied is read beside them or afterwards.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import IO, Any

from espcn_cli.errors import EspcnError
from espcn_cli.interruption import READER

BLOCK = 2**16
"""Bytes that are taken from a pipe at a time, at most."""


class Spool:
    """A pipe that a thread of its own copies to `path`, until that ends or this is stopped."""

    def __init__(self, pipe: IO[bytes], path: Path) -> None:
        self.path = path
        self._pipe = pipe
        self._file = path.open("wb", buffering=0)
        self._changed = threading.Condition()
        self._size = 0
        self._complete = self._left = False
        self._error: OSError | None = None
        self._readers: list[Reader] = []
        threading.Thread(target=self._copy, name=f"{READER}-pipe", daemon=True).start()

    def _copy(self) -> None:
        error = None
        try:
            while not self._left and (block := self._some()):
                done = 0
                while done < len(block):
                    done += self._file.write(block[done:]) or 0
                with self._changed:
                    self._size += len(block)
                    self._changed.notify_all()
        except OSError as problem:
            error = problem
        self._file.close()
        self._pipe.close()
        with self._changed:
            self._complete, self._error = True, error
            self._changed.notify_all()

    def _some(self) -> bytes:
        pipe: Any = self._pipe
        return bytes(pipe.read1(BLOCK) if hasattr(pipe, "read1") else pipe.read(BLOCK))

    def wait(self, size: int) -> int:
        """Wait until more than `size` bytes are there or no more come; returns how many are there.

        Raises EspcnError if they cannot be kept.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._size > size or self._complete)
            if self._error is not None:
                reason = self._error.strerror or self._error
                raise EspcnError(f"cannot keep what comes through the pipe ({reason}): make room, or set TMPDIR")
            return self._size

    def reader(self, seeks: bool) -> Reader:
        """Its bytes from the first on; `seeks`: for what has to know the end first, and waits for that."""
        reader = SeekingReader(self) if seeks else Reader(self)
        self._readers.append(reader)
        return reader

    def stop(self) -> None:
        """Take no more: what is there is all. A thread that waits for the pipe is not waited for."""
        with self._changed:
            self._left = self._complete = True
            self._changed.notify_all()

    def close(self) -> None:
        """Take no more, and close all readers."""
        self.stop()
        for reader in self._readers:
            reader.close()


class Reader:
    """As PyAV reads a stream."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._file = spool.path.open("rb", buffering=0)
        self._place = 0

    def read(self, count: int) -> bytes:
        there = self._spool.wait(self._place) - self._place
        data = self._file.read(min(count, there)) if there > 0 else b""
        self._place += len(data)
        return data

    def close(self) -> None:
        self._file.close()


class SeekingReader(Reader):
    """As PyAV reads a file."""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            size = before = 0
            while (size := self._spool.wait(before)) > before:
                before = size
            offset += size
        elif whence == os.SEEK_CUR:
            offset += self._place
        self._place = self._file.seek(offset)
        return self._place

    def tell(self) -> int:
        return self._place
