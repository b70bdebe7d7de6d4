"""Which files of a folder have arrived: complete, and new or changed. Somebody else waits between two looks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.files import is_folder
from espcn_cli.pictures import containers, folders, zipped
from espcn_cli.upscaling.outcome import Outcome, Task
from espcn_cli.upscaling.plan import plan

SUFFIXES = folders.SUFFIXES | containers.SUFFIXES | zipped.SEARCHED

REMEDY = "pip install 'espcn[watch]'"

WAKE = 0.5
"""Seconds after which somebody who waits for files that are still growing looks again."""

Look = tuple[int, int, int]
"""What tells that a file has not changed: its bytes, its time, and which file it is."""


@dataclass
class Growing:
    """A file that may not be complete: how it looked, and since when."""

    look: Look
    since: float


class Arrivals:
    """The files of a folder, from one look at it to the next.

    A file is complete once it has not changed for `settle` seconds, by its own time or while it was looked at.
    """

    def __init__(self, folder: Path, recursive: bool = False, settle: float = 1.0) -> None:
        self.folder = folder
        self.recursive = recursive
        self.settle = settle
        self._done: dict[Path, Look] = {}
        self._growing: dict[Path, Growing] = {}

    @property
    def waits(self) -> bool:
        """Whether a file is there that was not complete when the folder was last looked at."""
        return bool(self._growing)

    def complete(self, now: float) -> list[Path]:
        """What is new or has changed since it was last told, and is complete; `now` in seconds since 1970."""
        there = dict(self._looks())
        self._growing = {path: growing for path, growing in self._growing.items() if path in there}
        self._done = {path: look for path, look in self._done.items() if path in there}
        for path, look in there.items():
            if self._done.get(path) == look:
                self._growing.pop(path, None)
            elif path not in self._growing or self._growing[path].look != look:
                self._growing[path] = Growing(look, now)
        ready = [path for path, growing in self._growing.items() if self._is_complete(growing, now)]
        for path in ready:
            self._done[path] = self._growing.pop(path).look
        return ready

    def _is_complete(self, growing: Growing, now: float) -> bool:
        own = growing.look[1] / 1e9
        return now - growing.since >= self.settle or (own <= now and now - own >= self.settle)

    def _looks(self) -> Iterator[tuple[Path, Look]]:
        for path in folders.find_images(self.folder, self.recursive, suffixes=SUFFIXES):
            try:
                status = os.stat(path)  # noqa: PTH116
            except OSError:  # it has just gone
                continue
            yield path, (status.st_size, status.st_mtime_ns, status.st_ino)


def check_folders(folder: Path, out: Path) -> None:
    """Raise EspcnError or UsageError if a folder cannot be watched, or what is made of it would arrive there again."""
    if not is_folder(folder):
        raise EspcnError(f"{folder} is no folder: name the one to watch", folder)
    real, target = Path(os.path.realpath(folder)), Path(os.path.realpath(out))
    if target.is_relative_to(real):
        raise UsageError(f"{out} lies inside {folder}: what is made would arrive there again; name another folder")
    if real.is_relative_to(target):
        raise UsageError(f"{folder} lies inside {out}: what is made could arrive there again; name another folder")
    if os.path.lexists(out) and not is_folder(out):
        raise UsageError(f"{out} is a file: name a folder for what is made")


def tasks_of(
    paths: Iterable[Path], folder: Path, out: Path, recursive: bool, suffix: str | None
) -> list[Task | Outcome]:
    """What becomes of files of a folder: names are those that the whole folder would get."""
    wanted = set(paths)
    try:
        planned = plan([folder], out, recursive, suffix)
    except EspcnError as error:
        if isinstance(error, UsageError):
            raise
        return []  # all have gone
    return [task for task in planned if isinstance(task, Task) and task.source in wanted]


def need_watchfiles() -> None:
    """Raise EspcnError if the library that watches is not there."""
    if find_spec("watchfiles") is None:
        raise EspcnError(f"espcn watch needs watchfiles, which is not installed: {REMEDY}")
