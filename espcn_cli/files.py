"""What is there, whatever name is asked for; and files that appear whole or not at all."""

from __future__ import annotations

import csv
import errno
import os
import secrets
import socket
import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from espcn_cli.errors import EspcnError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

if sys.platform != "win32":
    import fcntl

PART_SUFFIX = ".espcn-part"
"""What the temporary files beside a destination end in, so that what a killed process left can be recognised."""

ABANDONED = 24 * 3600
"""Seconds after which a temporary file counts as left behind where files cannot be locked."""


CLAIMS = 10
"""How often it is tried to claim what others may just be giving up."""


def is_there(path: Path) -> bool:
    """Whether a path leads to something; False where `Path.exists` raises: a name too long, a folder closed to us."""
    return os.path.exists(path)  # noqa: PTH110


def is_file(path: Path) -> bool:
    """Likewise whether it leads to a file: no folder, pipe or device."""
    return os.path.isfile(path)  # noqa: PTH113


def is_special(path: Path) -> bool:
    """Likewise whether it leads to a pipe, a socket or a device: what may keep its reader waiting for ever."""
    return not is_file(path) and is_there(path) and not is_folder(path)  # a file, which most are, is looked up once


def is_folder(path: Path) -> bool:
    """Likewise whether it leads to a folder."""
    return os.path.isdir(path)  # noqa: PTH112


def check_destination(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Raise EspcnError if a file cannot go there, or would overwrite an input: better now than after hours of work."""
    if is_folder(path):
        raise EspcnError(f"{path} is a folder: name a file", path)
    if is_there(path) and not is_file(path):
        raise EspcnError(f"{path} is a device or a pipe: name a file", path)
    if not is_folder(path.parent):
        raise EspcnError(f"no folder {path.parent} for {path.name}: make it, or choose another destination", path)
    if _is_too_long(path):
        raise EspcnError(f"{path}: the name is too long: choose a shorter one", path)
    if is_there(path) and any(is_there(source) and path.samefile(source) for source in inputs):
        raise UsageError(f"{path} is an input and would be overwritten: choose another destination", path)
    temporary, descriptor = _make_beside(path)  # what is allowed there is known by doing it
    os.close(descriptor)
    _remove(temporary)


def _is_too_long(path: Path) -> bool:
    try:
        path.lstat()
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    return False


def _lock(descriptor: int) -> bool:
    """Mark an open file as in use until it is closed, or its process dies; False if another process uses it."""
    if sys.platform == "win32":
        return time.time() - os.fstat(descriptor).st_mtime > ABANDONED
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def clean(folder: Path) -> int:
    """Remove the temporary files in a folder whose process is gone; returns how many there were."""
    removed = 0
    for path in folder.glob(f".*{PART_SUFFIX}") if folder.is_dir() else []:
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError:
            continue
        try:
            if _lock(descriptor):
                path.unlink(missing_ok=True)
                removed += 1
        except OSError:
            continue
        finally:
            os.close(descriptor)
    return removed


_unfinished: set[Path] = set()
"""The temporary files that this process is writing."""


def abandon() -> None:
    """Remove them: the process is about to end at once."""
    for path in list(_unfinished):
        with suppress(OSError):
            path.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when the block ends well and vanishes when it does not.

    Raises EspcnError if the folder cannot be written.
    """
    temporary, descriptor = _make_beside(path)
    try:
        _lock(descriptor)
        yield temporary
        os.fsync(descriptor)
        if os.name == "nt":  # an open file cannot be renamed there
            os.close(descriptor)
            descriptor = -1
        temporary.replace(path)
    except OSError as error:
        raise EspcnError(f"cannot write {path} ({error.strerror or error}): nothing was changed", path) from None
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        _remove(temporary)


def _remove(temporary: Path) -> None:
    temporary.unlink(missing_ok=True)
    _unfinished.discard(temporary)


def _make_beside(path: Path) -> tuple[Path, int]:
    """A new file in the folder of `path`, and its descriptor; the system gives it the permissions of any new file.

    Raises EspcnError if there can be none.
    """
    temporary = path.with_name(f".{path.stem[:40]}-{secrets.token_hex(8)}{PART_SUFFIX}")
    _unfinished.add(temporary)
    try:
        return temporary, os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    except OSError as error:
        _unfinished.discard(temporary)
        raise EspcnError(f"cannot write {path} ({error.strerror}): choose another destination", path) from None


def write_tensors(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file whole or not at all."""
    from safetensors.numpy import save

    data = save(dict(arrays), dict(metadata))
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_csv(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write a table whole or not at all; names of files go into it as the bytes that they are on the disk."""
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        csv.writer(file).writerows(rows)


# --- one at a time ---------------------------------------------------------------------------------------------------


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """While the block runs nobody else can claim `path`, by whatever name. A process that dies claims nothing.

    Raises EspcnError naming the process that has claimed it. Where files cannot be locked (on Windows and some network
    drives) anybody can.
    """
    real = Path(os.path.realpath(path))
    whole_name = zlib.crc32(os.fsencode(real.name))
    lock = real.with_name(f".{real.stem[:40]}-{whole_name:08x}{PART_SUFFIX}")
    descriptor = _claim(lock, path)
    try:
        os.truncate(lock, 0)
        os.write(descriptor, f"{os.getpid()} {socket.gethostname()}".encode())
        yield
    finally:
        _remove(lock)  # while it is still ours
        os.close(descriptor)


def _claim(lock: Path, path: Path) -> int:
    """The descriptor of a lock file that is ours. Raises EspcnError if it is another process's."""
    for _ in range(CLAIMS):
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise EspcnError(f"cannot write {path} ({error.strerror}): choose another destination", path) from None
        if _lock_or_cannot(descriptor) and is_there(lock) and os.path.samestat(os.fstat(descriptor), lock.stat()):
            _unfinished.add(lock)
            return descriptor
        os.close(descriptor)
        time.sleep(0.02)  # somebody may just be removing it: `clean`, or a process that is done
    raise EspcnError(f"{_holder(lock)} is working on {path}: wait for it, stop it, or choose another destination", path)


def _lock_or_cannot(descriptor: int) -> bool:
    """False only if another process has locked the file."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # these files cannot be locked
        return True
    return True


def _holder(lock: Path) -> str:
    try:
        process, _, machine = lock.read_text().partition(" ")
    except (OSError, ValueError):
        process = machine = ""
    if not process.isdecimal():
        return "another process"
    return f"process {process}" if machine == socket.gethostname() else f"process {process} on {machine}"
