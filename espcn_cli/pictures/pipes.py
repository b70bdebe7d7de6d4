"""What can be read once: standard input and named pipes. Whoever looks at the first bytes leaves them to the reader."""

from __future__ import annotations

import io
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from espcn_cli.paths import STREAM


class _FromHead(io.RawIOBase):
    """Bytes that were read already, and then what else comes of a pipe. Standard input stays open when it is closed."""

    def __init__(self, head: bytes, rest: Any, closes: bool) -> None:
        self._head, self._rest, self._closes = head, rest, closes

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        if self._head:
            part, self._head = self._head[: len(target)], self._head[len(target) :]
        else:
            part = _some(self._rest, len(target))
        target[: len(part)] = part
        return len(part)

    def close(self) -> None:
        if self._closes:
            self._rest.close()
        super().close()


_looked_into: dict[Path, tuple[Any, bytes]] = {}
"""Pipes that are open and not yet taken, and what was read of them."""


def reads_once(path: Path) -> bool:
    """Whether a source is standard input or a named pipe."""
    if path == STREAM:
        return True
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def head(path: Path, count: int, enough: Callable[[bytes], bool]) -> bytes:
    """The first bytes of a pipe, at most `count`; it waits until they are `enough` or the pipe ends."""
    source, found = _looked_into[path] = _opened(path)
    while len(found) < count and not enough(found) and (part := _some(source, count - len(found))):
        found += part
        _looked_into[path] = source, found
    return found


def taken(path: Path) -> IO[bytes]:
    """A pipe from its first byte on, for its only reader; to be closed, but not while a thread waits for it."""
    source, found = _opened(path)
    _looked_into.pop(path, None)
    return io.BufferedReader(_FromHead(found, source, closes=path != STREAM))


def forget() -> None:
    """Close the named pipes that somebody looked into and nobody has taken."""
    for path in [path for path in _looked_into if path != STREAM]:
        _looked_into.pop(path)[0].close()


def _opened(path: Path) -> tuple[Any, bytes]:
    known = _looked_into.get(path)
    if path != STREAM:
        return known or (path.open("rb", buffering=0), b"")
    stdin: Any = getattr(sys.stdin, "buffer", None) or io.BytesIO()
    return known if known is not None and known[0] is stdin else (stdin, b"")


def _some(source: Any, count: int) -> bytes:
    """What is there of so many bytes, at least one if there is any to come."""
    return bytes(source.read1(count) if hasattr(source, "read1") else source.read(count) or b"")
