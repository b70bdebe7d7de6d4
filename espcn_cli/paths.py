"""Paths as they are typed: text tells what `pathlib` forgets, so it is kept until its meaning is settled here."""

from __future__ import annotations

import os
from pathlib import Path

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.files import is_folder, is_there

Typed = str | os.PathLike[str]

STREAM = Path("-")
"""Standard input as a source, standard output as a destination."""


def path_of(typed: Typed) -> Path:
    """The path; `./-`, a file of that name, becomes absolute, which keeps it apart from `-`, the stream.

    Raises UsageError for an empty name, which `Path` takes for the working folder.
    """
    text = os.fspath(typed)
    if not text:
        raise UsageError("the name of a file or a folder is empty: give one")
    path = Path(text)
    return path.absolute() if path == STREAM and text != str(STREAM) else path


def names_folder(typed: Typed) -> bool:
    """Whether it can only mean a folder, there or not: it ends in a separator, in `.` or in `..`."""
    return os.path.basename(typed) in ("", os.curdir, os.pardir)  # noqa: PTH119


def source_of(typed: Typed) -> Path:
    """The path of a file or a folder to read. Raises EspcnError if it means a folder where a file is."""
    path = path_of(typed)
    if names_folder(typed) and is_there(path) and not is_folder(path):
        raise EspcnError(f"{os.fspath(typed)} is no folder: to name the file, write {path}", path)
    return path


def file_of(typed: Typed) -> Path:
    """The path of a file to read or to write. Raises UsageError if it means a folder."""
    path = path_of(typed)
    if names_folder(typed):
        raise UsageError(f"{os.fspath(typed)} means a folder: name a file", path)
    return path
