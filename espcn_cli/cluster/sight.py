"""Whether a machine sees what the command sees: before work starts, one file is written there and read back here."""

from __future__ import annotations

import os
import secrets
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from espcn_cli.errors import EspcnError
from espcn_cli.files import PART_SUFFIX, is_folder
from espcn_cli.upscaling.outcome import Task

SAMPLE = 8
"""Sources that a machine has to read, at most."""

HEAD = 4096
"""Bytes that are compared of each."""

PATIENCE = 10.0
"""Seconds that a file may take to be seen by another machine: network drives remember what was not there."""


@dataclass(frozen=True)
class Proof:
    """What a machine has to do: read files, and answer with one beside another.

    `sources`: path, size and checksum of how it begins. `note`: a file that holds `secret`.
    """

    version: str
    folder: str
    sources: tuple[tuple[str, int, int], ...]
    note: str
    secret: str

    @property
    def in_folder(self) -> bool:
        """Whether paths are relative, so that the command's own folder has to be there too."""
        return not all(map(os.path.isabs, (self.note, *(path for path, _, _ in self.sources))))

    def answer(self, machine: str) -> Path:
        """The file that a machine writes."""
        return Path(self.folder, self.note.removesuffix(PART_SUFFIX) + f"-{machine[:16]}{PART_SUFFIX}")


@contextmanager
def posted(tasks: Sequence[Task]) -> Iterator[Proof]:
    """A file that all machines have to see, until the block ends. Raises EspcnError if it cannot be written."""
    step = max(len(tasks) // SAMPLE, 1)
    sources = tuple(_look(task.source) for task in tasks[::step][:SAMPLE])
    place, secret = destination_of(tasks), secrets.token_hex(16)
    note = place / f".espcn-{secret[:16]}{PART_SUFFIX}"
    try:
        note.write_text(secret)
    except OSError as error:
        raise EspcnError(f"cannot write {place} ({error.strerror}): choose another destination", place) from None
    try:
        yield Proof(own_version(), os.getcwd(), sources, str(note), secret)  # noqa: PTH109
    finally:
        note.unlink(missing_ok=True)
        for answer in place.glob(f".espcn-{secret[:16]}-*{PART_SUFFIX}"):
            answer.unlink(missing_ok=True)


def own_version() -> str:
    try:
        return version("espcn")
    except PackageNotFoundError:
        return "unknown"


def destination_of(tasks: Sequence[Task]) -> Path:
    """The folder that all outputs are below, or the first above it that is there."""
    place = Path(os.path.commonpath([os.path.abspath(task.output.parent) for task in tasks]))  # noqa: PTH100
    while not is_folder(place) and place != place.parent:
        place = place.parent
    return place


def _look(path: Path) -> tuple[str, int, int]:
    try:
        with path.open("rb") as file:
            return str(path), os.fstat(file.fileno()).st_size, zlib.crc32(file.read(HEAD))
    except OSError:  # what it cannot read itself it asks of nobody
        return str(path), -1, 0


# --- on the machine --------------------------------------------------------------------------------------------------


def trouble(proof: Proof, machine: str) -> str | None:
    """Why a machine, which this runs on, cannot take part; None if it can."""
    if proof.in_folder and not is_folder(Path(proof.folder)):
        return f"does not see the folder {proof.folder}, where the command runs: share it, or use whole paths"
    for name, size, checksum in proof.sources:
        if size >= 0 and (reason := _differs(Path(proof.folder, name), size, checksum)):
            return f"does not see the source {name} ({reason}): share it under the same path"
    note = Path(proof.folder, proof.note)
    if not _soon(lambda: note.read_text() == proof.secret):
        return f"does not see the destination {note.parent}: share it under the same path"
    try:
        proof.answer(machine).write_text(proof.secret[::-1])
    except OSError as error:
        return f"cannot write the destination {note.parent} ({error.strerror}): let it"
    return None


def is_answered(proof: Proof, machine: str) -> bool:
    """Whether what a machine wrote is here."""
    return _soon(lambda: proof.answer(machine).read_text() == proof.secret[::-1])


def _differs(path: Path, size: int, checksum: int) -> str | None:
    try:
        with path.open("rb") as file:
            same = (os.fstat(file.fileno()).st_size, zlib.crc32(file.read(HEAD))) == (size, checksum)
    except OSError as error:
        return error.strerror or str(error)
    return None if same else "another file has its name"


def _soon(is_so: Callable[[], bool]) -> bool:
    """Whether something is so, or becomes so in a while."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            if is_so():
                return True
        except (OSError, ValueError):
            pass
        if time.monotonic() > end:
            return False
        time.sleep(0.2)


def question() -> Callable[[Proof, str], str | None]:
    """`trouble` for any machine, in a form that Ray sends as it is: espcn may not be there, or another version."""

    def ask(proof: Any, machine: str) -> str | None:
        from importlib import metadata

        try:
            there = metadata.version("espcn")
        except metadata.PackageNotFoundError:
            return f"has no espcn: pip install 'espcn[cluster]=={proof['version']}' there"
        if there != proof["version"]:
            return f"has espcn {there}, not {proof['version']} as here: install the same there"
        from espcn_cli.cluster import sight

        return sight.trouble(sight.Proof(**proof), machine)

    return ask
