"""What is there, whatever name is asked for; where a file can go; and files that appear whole or not at all."""

from __future__ import annotations

import csv
import errno
import os
import re
import secrets
import shutil
import socket
import stat
import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from espcn_cli.errors import BusyError, EspcnError, TakenError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

if sys.platform != "win32":
    import fcntl

PART_SUFFIX = ".espcn-part"
"""What the temporary files beside a destination end in, so that what a killed process left can be recognised."""

ABANDONED = 24 * 3600
"""Seconds after which a temporary file counts as left behind where files cannot be locked."""

STREAMS = re.compile(r"/dev(/fd)?|/proc/\d+(/task/\d+)?/fd")
"""Folders whose entries are open files: what is written to them goes where a shell has led it."""


CLAIMS = 10
"""How often it is tried to claim what others may just be giving up."""


def cache_folder() -> Path:
    """`espcn` in the user's folder for what can be made again."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "espcn"


def data_folder() -> Path:
    """`espcn` in the user's folder for what is theirs: where the system keeps such things."""
    named = os.environ.get("XDG_DATA_HOME") or os.environ.get("LOCALAPPDATA")
    usual = Path("Library", "Application Support") if sys.platform == "darwin" else Path(".local", "share")
    return (Path(named) if named else Path.home() / usual) / "espcn"


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


def is_stream(path: Path) -> bool:
    """Likewise whether what is written there goes on: a pipe, a terminal, /dev/null or /dev/stdout."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except (OSError, ValueError):
        return False
    named = stat.S_ISREG(mode) and STREAMS.fullmatch(os.path.realpath(path.parent)) is not None
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or named


# --- where a file can go ---------------------------------------------------------------------------------------------


def check_destination(path: Path, inputs: Iterable[Path] = (), streams: bool = False) -> None:
    """Raise EspcnError if a file cannot go there, or would overwrite an input: better now than after hours of work.

    `streams` allows pipes and the like, for what is written once and never read again.
    """
    if not is_folder(path.parent):
        raise EspcnError(f"no folder {path.parent} for {path.name}: make it, or choose another destination", path)
    check_name(path)
    if is_stream(path) and not streams:
        raise EspcnError(f"{path} is a device or a pipe: name a file", path)
    if is_there(path) and any(is_there(source) and path.samefile(source) for source in inputs):
        raise UsageError(f"{path} is an input and would be overwritten: choose another destination", path)
    if not is_stream(path):
        _try(target_of(path), path)


def check_name(path: Path) -> None:
    """Raise EspcnError if no file can be called so, or what is there cannot be written; its folder may be missing."""
    if is_folder(path):
        raise EspcnError(f"{path} is a folder: name a file", path)
    if is_there(path) and not (is_file(path) or is_stream(path)):
        raise EspcnError(f"{path} is a disk or a socket: name a file", path)
    if is_there(path) and not os.access(path, os.W_OK):
        raise EspcnError(f"{path} is read-only: choose another destination", path)
    _check_length(path)
    target = target_of(path)
    if target != path and not is_folder(target.parent):
        raise EspcnError(f"{path} is a link to {target}, where no folder is: choose another destination", path)


def check_folder(folder: Path) -> None:
    """Raise EspcnError if files cannot be made in a folder, or the folder itself cannot where it is missing."""
    _check_length(folder)
    place = _nearest(folder)
    _try(place / "file", place)


def refuse_existing(outputs: Sequence[Path], remedy: str = "") -> None:
    """Raise UsageError if any of the outputs exists; `remedy` is a way out of it that not every command has."""
    there = existing(outputs)
    if there:
        raise already_there(there, len(outputs), remedy)


def already_there(there: Sequence[Path], of: int = 1, remedy: str = "") -> UsageError:
    """What to say where this many of a command's outputs exist: how many, and what to do."""
    it = "it" if of == 1 else "them"
    count = (
        f"1 output exists already, {there[0]}"
        if of == 1
        else (f"{len(there)} of {of} outputs exist{'s' if len(there) == 1 else ''} already, such as {there[0]}")
    )
    ways = f"replace {it} with --overwrite, or keep {it} with --skip-existing"
    return UsageError(f"{count}: {ways}{remedy}", there[0])


def existing(outputs: Iterable[Path]) -> list[Path]:
    """Those of the outputs that are there as files, and would be lost if they were replaced."""
    return [path for path in outputs if is_file(path) and not is_stream(path)]


def target_of(path: Path) -> Path:
    """Where a symbolic link leads, if there is a file or not; any other path as it is.

    Raises EspcnError for a link that leads back to itself.
    """
    if not os.path.islink(path):  # noqa: PTH114
        return path
    try:
        os.stat(path)  # noqa: PTH116
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise EspcnError(f"{path} is a link that leads back to itself: choose another destination", path) from None
    return Path(os.path.realpath(path))


def _nearest(path: Path) -> Path:
    """The path itself if it is there, else the first of the folders above it that is."""
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path


def _check_length(path: Path) -> None:
    place = _nearest(path)
    for each in (path, *(place / name for name in path.relative_to(place).parts)):
        try:
            each.lstat()
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise EspcnError(f"{path}: the name is too long: choose a shorter one", path) from None


def _try(path: Path, destination: Path) -> None:
    """Raise EspcnError if no file can be made beside a path: what is allowed there is known by doing it."""
    temporary, descriptor = _make_beside(path, destination)
    os.close(descriptor)
    _remove(temporary)


# --- whole or not at all ---------------------------------------------------------------------------------------------


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
    """Remove the temporary files and folders in a folder whose process is gone; returns how many there were."""
    removed = 0
    for path in folder.glob(f".*{PART_SUFFIX}") if folder.is_dir() else []:
        try:
            descriptor = os.open(path, os.O_RDONLY if is_folder(path) else os.O_RDWR)
        except OSError:
            continue
        try:
            if _lock(descriptor):
                _remove(path)
                removed += 1
        except OSError:
            continue
        finally:
            os.close(descriptor)
    return removed


_unfinished: set[Path] = set()
"""The temporary files that this process is writing, and the folders of such."""


def abandon() -> None:
    """Remove them: the process is about to end at once."""
    for path in list(_unfinished):
        with suppress(OSError):
            _remove(path)


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """A folder beside a file that is being made, for what is of use until then; it vanishes when the block ends.

    Raises EspcnError if there can be none.
    """
    target = target_of(path)
    folder = _part_beside(target)
    _unfinished.add(folder)
    descriptor = -1
    try:
        folder.mkdir(mode=0o700)
        if os.name != "nt":  # where folders cannot be opened
            descriptor = os.open(folder, os.O_RDONLY)
            _lock(descriptor)
        yield folder
    except OSError as error:
        raise EspcnError(f"cannot write {path} ({error.strerror or error}): nothing was changed", path) from None
    finally:
        _remove(folder)
        if descriptor >= 0:
            os.close(descriptor)


@contextmanager
def replacing(path: Path, overwrite: bool = True, modified: int | None = None) -> Iterator[Path]:
    """A temporary file that takes the place of `path` when the block ends well and vanishes when it does not.

    `modified`: when it is said to have been changed last, in nanoseconds since 1970, and so from its first moment on.
    A symbolic link stays, and the file that it leads to is replaced; a stream is written to. Raises EspcnError if
    the folder cannot be written, TakenError if a file is there and `overwrite` does not allow to replace it.
    """
    if is_stream(path):
        from tempfile import TemporaryDirectory

        with TemporaryDirectory() as folder:
            yield Path(folder, "output")
            send(Path(folder, "output").read_bytes(), path)
        return
    target = target_of(path)
    temporary, descriptor = _make_beside(target, path)
    try:
        _lock(descriptor)
        yield temporary
        if modified is not None:
            os.utime(temporary, ns=(time.time_ns(), modified))
        os.fsync(descriptor)
        if os.name == "nt":  # an open file cannot be renamed there
            os.close(descriptor)
            descriptor = -1
        if not overwrite:
            _take_name(temporary, target, path)
        else:
            if is_file(target):
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
            temporary.replace(target)
    except OSError as error:
        raise EspcnError(f"cannot write {path} ({error.strerror or error}): nothing was changed", path) from None
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        _remove(temporary)


def _remove(temporary: Path) -> None:
    if is_folder(temporary):
        shutil.rmtree(temporary, ignore_errors=True)
    else:
        temporary.unlink(missing_ok=True)
    _unfinished.discard(temporary)


def _take_name(temporary: Path, target: Path, path: Path) -> None:
    """Rename a file if no other has the name: in one step, where the system can. Raises TakenError if one has."""
    taken = TakenError(f"{path} was made by another meanwhile, and stays: choose another destination", path)
    try:
        if os.name == "nt":  # where to rename does not replace
            temporary.rename(target)
        else:
            target.hardlink_to(temporary)
    except FileExistsError:
        raise taken from None
    except OSError:  # not every file system has hard links
        if os.path.lexists(target):
            raise taken from None
        temporary.rename(target)


def modified(path: Path) -> int | None:
    """When a file was changed last, in nanoseconds since 1970; None of what is none, or is not there any more."""
    try:
        return path.stat().st_mtime_ns if is_file(path) else None
    except OSError:
        return None


def send(data: bytes, path: Path) -> None:
    """Write to a stream. Raises EspcnError if it takes no more."""
    try:
        with path.open("ab", buffering=0) as stream:
            stream.write(data)
    except OSError as error:
        raise EspcnError(f"cannot write {path} ({error.strerror or error})", path) from None


def _make_beside(path: Path, destination: Path) -> tuple[Path, int]:
    """A new file in the folder of `path`, and its descriptor; the system gives it the permissions of any new file.

    Raises EspcnError, which names the destination, if there can be none.
    """
    temporary = _part_beside(path)
    _unfinished.add(temporary)
    try:
        return temporary, os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    except OSError as error:
        _unfinished.discard(temporary)
        reason = f"cannot write {destination} ({error.strerror}): choose another destination"
        raise EspcnError(reason, destination) from None


def _part_beside(path: Path) -> Path:
    return path.with_name(f".{path.stem[:40]}-{secrets.token_hex(8)}{PART_SUFFIX}")


def write_tensors(
    path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str], overwrite: bool = True
) -> None:
    """Write a safetensors file whole or not at all. Raises EspcnError as `replacing`."""
    from safetensors.numpy import save

    data = save(dict(arrays), dict(metadata))
    with replacing(path, overwrite) as temporary:
        temporary.write_bytes(data)


def write_csv(path: Path, rows: Iterable[Sequence[object]], overwrite: bool = True) -> None:
    """Write a table whole or not at all; names of files go into it as the bytes that they are on the disk.

    Raises EspcnError as `replacing`.
    """
    with (
        replacing(path, overwrite) as part,
        part.open("w", newline="", encoding="utf-8", errors="surrogateescape") as f,
    ):
        csv.writer(f).writerows(rows)


# --- one at a time ---------------------------------------------------------------------------------------------------


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """While the block runs nobody else can claim `path`, by whatever name. A process that dies claims nothing.

    Raises BusyError naming the process that has claimed it, EspcnError if there can be no file. Where files cannot be
    locked (on Windows and some network drives) anybody can.
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
    """The descriptor of a lock file that is ours. Raises BusyError if it is another process's."""
    for _ in range(CLAIMS):
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise EspcnError(f"cannot write {path} ({error.strerror}): choose another destination", path) from None
        if _lock_or_cannot(descriptor) and is_there(lock) and os.path.samestat(os.fstat(descriptor), lock.stat()):
            _unfinished.add(lock)
            return descriptor
        os.close(descriptor)
        if _is_held(lock):
            break
        time.sleep(0.02)  # somebody may just be removing it: `clean`, or a process that is done
    holder = _holder(lock)
    raise BusyError(f"{holder} is working on {path}: wait for it, stop it, or choose another destination", path, holder)


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


def _is_held(lock: Path) -> bool:
    """Whether a lock that is not ours names a process of this machine that lives: no need to try again."""
    process, machine = _named_in(lock)
    if sys.platform == "win32" or not process.isdecimal() or machine != socket.gethostname():
        return False
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def _named_in(lock: Path) -> tuple[str, str]:
    """The process and the machine that a lock file names; empty if it names none."""
    try:
        process, _, machine = lock.read_text().partition(" ")
    except (OSError, ValueError):
        return "", ""
    return process, machine


def _holder(lock: Path) -> str:
    process, machine = _named_in(lock)
    if not process.isdecimal():
        return "another process"
    return f"process {process}" if machine == socket.gethostname() else f"process {process} on {machine}"
