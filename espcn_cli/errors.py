"""The one exception that means: the user can mend this."""

from __future__ import annotations

from pathlib import Path
from typing import Self


class EspcnError(Exception):
    """Something about the input, the files or the request is wrong, and the user can put it right.

    The message is one line: what is wrong, with which file, and what to do. `path` is the file or folder that the
    message names, if it names one. The command line prints the message to stderr and exits with code 1 (`UsageError`:
    2). A broken contract between functions is a ValueError instead.
    """

    exit_code = 1

    def __init__(self, message: str, path: Path | None = None) -> None:
        super().__init__(message)
        self.path = path

    def about(self, path: Path, name: str) -> Self:
        """The same with the file's name before it; itself if it names one already."""
        return self if self.path is not None else type(self)(f"{name}: {self}", path)


class UsageError(EspcnError):
    """The command itself asks for something impossible; nothing was started."""

    exit_code = 2


class TakenError(EspcnError):
    """While the work was under way, something else made a file of the output's name: that one stays."""


class BusyError(EspcnError):
    """Another process is making the same file; `holder` says which, in words."""

    def __init__(self, message: str, path: Path | None = None, holder: str = "another process") -> None:
        super().__init__(message, path)
        self.holder = holder
