"""Files and folders of pictures, upscaled: one outcome per file, and a file that fails never stops the rest."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import torch

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.files import check_destination, clean, is_file, is_folder, is_there
from espcn_cli.pictures import reading, writing
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.folders import STREAM, SUFFIXES, find_images, source_name
from espcn_cli.pictures.writing import Encoding
from espcn_cli.upscaling.sizes import Size
from espcn_cli.upscaling.upscaler import Upscaler


@dataclass(frozen=True)
class Task:
    """One picture to make."""

    source: Path
    output: Path


@dataclass(frozen=True)
class Outcome:
    """What became of a task: `error` says why there is no output; sizes are (width, height)."""

    source: Path
    output: Path
    size: tuple[int, int] | None = None
    output_size: tuple[int, int] | None = None
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    error: str | None = None


def plan(
    sources: list[Path], destination: Path, recursive: bool = False, suffix: str | None = None
) -> list[Task | Outcome]:
    """Decide what becomes what before any work starts: `cp`'s rules, sources first, destination last.

    File to file; files and folders to a folder, which keeps the tree with `recursive` and is made when it is not
    there. A new name without a suffix is a folder's. `suffix` (".webp") sets the format in a folder. "-" is standard
    input and standard output, each for one picture. A source that is not there, or a folder that cannot be listed,
    becomes an Outcome with an error. Raises UsageError if an output would be an input, two outputs would be one, the
    destination does not suit the sources, or the format cannot be written.
    """
    if suffix:
        writing.format_of(Path(f"-f {suffix}"))
    if STREAM in (*sources, destination):
        return _plan_stream(sources, destination)
    missing = [source for source in sources if not is_there(source)]
    closed: list[OSError] = []
    if len(sources) == 1 and not is_folder(sources[0]) and not is_folder(destination) and destination.suffix:
        _check_file(destination)
        if suffix and writing.format_of(destination) != writing.format_of(Path(f"-f {suffix}")):
            raise UsageError(f"{destination} and -f {suffix} name different formats: leave one of them out")
        tasks = [] if missing else [Task(sources[0], destination)]
    else:
        _check_folder(sources, destination, recursive)
        present = [source for source in sources if source not in missing]
        found = [pair for top in present for pair in _pictures(top, recursive, closed.append)]
        tasks = [Task(source, _output(source, root, destination, suffix)) for source, root in found]
    _refuse_collisions(tasks)
    if not tasks and not missing and not closed:
        below = "" if recursive else " (folders below it are read with -r)"
        raise EspcnError(f"no pictures in {', '.join(map(str, sources))}{below}")
    gone = [Outcome(path, destination, error=f"{path}: no such file or folder") for path in missing]
    gone += [
        Outcome(Path(e.filename), destination, error=f"{e.filename}: cannot be read ({e.strerror})") for e in closed
    ]
    return [*gone, *tasks]


def _check_file(destination: Path) -> None:
    check_destination(destination)
    writing.format_of(destination)


def _plan_stream(sources: list[Path], destination: Path) -> list[Task | Outcome]:
    if len(sources) != 1 or is_folder(sources[0]):
        raise UsageError("'-' is for one picture: name one source, not several or a folder")
    if is_folder(destination):
        raise UsageError(f"{destination} is a folder: a picture from standard input needs a file name, or '-'")
    if destination != STREAM:
        _check_file(destination)
    return [Task(sources[0], destination)]


def stream_format(suffix: str | None) -> str:
    """Pillow's name of the format for standard output: what `-f` says, else PNG."""
    return writing.format_of(Path(f"standard output{suffix or '.png'}"))


def _check_folder(sources: list[Path], destination: Path, recursive: bool) -> None:
    if os.path.lexists(destination) and not is_folder(destination):
        raise UsageError(f"{destination} is a file: several pictures or a folder need a folder to go to")
    if not is_folder(destination) and destination.suffix.lower() in SUFFIXES:
        raise UsageError(f"{destination} looks like a picture: several pictures or a folder need a folder to go to")
    for source in sources if recursive else []:
        if is_folder(source) and _real(destination).is_relative_to(_real(source)):
            raise UsageError(f"{destination} lies inside {source}: choose a destination outside of it")


def _pictures(source: Path, recursive: bool, on_error: Callable[[OSError], None]) -> Iterator[tuple[Path, Path]]:
    """Pictures with the folder that their place in the output tree is relative to."""
    if is_folder(source):
        yield from ((path, source) for path in find_images(source, recursive, on_error))
    else:
        yield source, source.parent


def _output(source: Path, root: Path, destination: Path, suffix: str | None) -> Path:
    target = destination / source.relative_to(root)
    if suffix is None and not writing.is_writable(target):
        suffix = ".png"
    return target if suffix is None else target.with_name(f"{target.stem}{suffix}")


def _real(path: Path) -> Path:
    """As `Path.resolve`, but links that go round are left as they are instead of an error."""
    return Path(os.path.realpath(path))


def _refuse_collisions(tasks: list[Task]) -> None:
    inputs = {_real(task.source) for task in tasks}
    seen: dict[Path, Path] = {}
    for task in tasks:
        target = _real(task.output)
        if target in inputs:
            raise UsageError(f"{task.output} is an input and would be overwritten: choose another destination")
        if target in seen:
            raise UsageError(f"{seen[target]} and {task.source} would both become {task.output}: upscale them apart")
        seen[target] = task.source


@dataclass(frozen=True)
class Options:
    """How a batch is done: `depth` 8 cuts 16 bits down; `jobs` pictures are decoded, and as many encoded, at a time."""

    size: Size | None = None
    depth: int | None = None
    encoding: Encoding = field(default_factory=Encoding)
    skip_existing: bool = False
    jobs: int = 1
    stream_format: str = "PNG"


def run(
    upscaler: Upscaler, tasks: Iterable[Task | Outcome], options: Options | None = None
) -> Generator[Outcome, None, None]:
    """Do the tasks in order and yield what became of each.

    While one picture is in the network, the next are decoded and those before encoded, in threads of their own; a
    large one is alone in memory. When interrupted, the pictures under way are finished and yielded before the
    interruption goes on.
    """
    options = options or Options()
    work = _Work(upscaler, options)
    tasks = list(tasks)
    _clean(tasks)
    ahead: list[tuple[Task, Future[Document]]] = []
    behind: list[Future[Outcome]] = []
    reader, writer = (ThreadPoolExecutor(options.jobs, name) for name in (READER, "encode"))

    def finish() -> Iterator[Outcome]:
        while ahead:
            behind.append(work(*ahead.pop(0), writer))
        while behind:
            yield _first(behind)

    alone = False
    try:
        for task in tasks:
            if isinstance(task, Outcome):
                yield task
            elif options.skip_existing and is_there(task.output):
                yield Outcome(task.source, task.output, warnings=("skipped: the output exists",))
            else:
                large = len(tasks) > 1 and _is_large(task.source)
                if large or alone:
                    yield from finish()
                alone = large
                ahead.append((task, reader.submit(reading.read_document, task.source, options.depth)))
                if len(ahead) > options.jobs:
                    behind.append(work(*ahead.pop(0), writer))
                if len(behind) > options.jobs:
                    yield _first(behind)
        yield from finish()
    except (KeyboardInterrupt, SystemExit):
        reader.shutdown(wait=False, cancel_futures=True)  # what is only read may wait for a pipe for ever
        yield from (future.result() for future in behind)
        raise
    finally:
        reader.shutdown(wait=not sys.exc_info()[0], cancel_futures=True)
        writer.shutdown()


def _is_large(source: Path) -> bool:
    """Whether a picture fills so much memory that no other should be there at the same time."""
    if not is_file(source):  # a pipe can be read only once
        return False
    try:
        width, height = reading.size_of(source)
    except EspcnError:  # is said when it is read
        return False
    return width * height > LARGE


def _first(behind: list[Future[Outcome]]) -> Outcome:
    """Wait for the first and only then take it out, so that an interruption meanwhile does not lose it."""
    outcome = behind[0].result()
    del behind[0]
    return outcome


def _clean(tasks: list[Task | Outcome]) -> None:
    """Remove what killed runs left where this one writes."""
    for folder in {task.output.parent for task in tasks if isinstance(task, Task) and task.output != STREAM}:
        clean(folder)


class _Work:
    """The middle of the pipeline: a decoded picture through the network, and on to be written."""

    def __init__(self, upscaler: Upscaler, options: Options) -> None:
        self.upscaler = upscaler
        self.options = options

    def __call__(self, task: Task, reading: Future[Document], writer: ThreadPoolExecutor) -> Future[Outcome]:
        started = time.monotonic()
        try:
            before = reading.result()
            self._check(task, before)
            after = self.upscaler.document(before, self.options.size)
        except (EspcnError, MemoryError) as error:
            failed: Future[Outcome] = Future()
            failed.set_result(Outcome(task.source, task.output, error=_reason(task, error)))
            return failed
        return writer.submit(self._finish, task, before.size, after, started)

    def _check(self, task: Task, document: Document) -> None:
        if task.output != STREAM:
            size = self.upscaler.output_size(document.size, self.options.size)
            writing.check_size(task.output, writing.format_of(task.output), size)

    def _finish(self, task: Task, size: tuple[int, int], document: Document, started: float) -> Outcome:
        try:
            written = self._write(task, document)
        except (EspcnError, MemoryError) as error:
            return Outcome(task.source, task.output, error=_reason(task, error))
        except OSError as error:
            return Outcome(
                task.source, task.output, error=f"cannot write {_name(task.output)} ({error.strerror or error})"
            )
        seconds = time.monotonic() - started
        return Outcome(task.source, task.output, size, document.size, seconds, written.warnings)

    def _write(self, task: Task, document: Document) -> Document:
        if task.output == STREAM:
            memory = BytesIO()
            written = writing.encode(document, self.options.stream_format, memory, "-", self.options.encoding)
            _to_stdout(memory.getvalue())
            return written
        task.output.parent.mkdir(parents=True, exist_ok=True)
        return writing.write_document(document, task.output, self.options.encoding)


def _name(output: Path) -> str:
    return "standard output" if output == STREAM else str(output)


def _to_stdout(data: bytes) -> None:
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # what is left in the buffer must not be tried again at the end of the process
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def _reason(task: Task, error: EspcnError | MemoryError) -> str:
    failure = error if isinstance(error, EspcnError) else EspcnError("not enough memory")
    return str(failure.about(task.source, source_name(task.source)))


READER = "espcn-decode"
"""How the names of the threads begin that read pictures."""

LARGE = 2**25
"""Pixels of a source from which on pictures are done one after the other: 128 MiB of RGB, and 512 at x2."""

HELD_BYTES = 4
"""Bytes per pixel of a picture in memory, before and after."""

WORKING_MEMORY = 350_000_000
"""Bytes that the program and a strip in the network take beside the pictures, about."""


@dataclass(frozen=True)
class Preview:
    """What a task would come to: sizes (width, height), seconds in the network, bytes of memory; all estimated."""

    source: Path
    output: Path
    size: tuple[int, int] | None = None
    output_size: tuple[int, int] | None = None
    seconds: float = 0.0
    memory: int = 0
    skipped: bool = False
    error: str | None = None


def preview(upscaler: Upscaler, tasks: Iterable[Task | Outcome], options: Options) -> Iterator[Preview]:
    """Say of each task what it would come to, from the files' headers and a moment's trial of the network."""
    pace = _seconds_per_pixel(upscaler)
    for task in tasks:
        if isinstance(task, Outcome) or (options.skip_existing and is_there(task.output)):
            yield Preview(task.source, task.output, skipped=True, error=getattr(task, "error", None))
            continue
        try:
            size = reading.size_of(task.source)
        except EspcnError as error:
            yield Preview(task.source, task.output, error=str(error))
            continue
        larger = upscaler.output_size(size, options.size)
        before, after = size[0] * size[1], larger[0] * larger[1]
        memory = HELD_BYTES * (before + after) + WORKING_MEMORY
        yield Preview(task.source, task.output, size, larger, before * pace, memory)


def _seconds_per_pixel(upscaler: Upscaler) -> float:
    x = torch.rand(1, 3, 128, 256)
    upscaler.upscale(x)  # the first run pays for starting up
    started = time.monotonic()
    upscaler.upscale(x)
    return (time.monotonic() - started) / (128 * 256)


def is_reading() -> bool:
    """Whether an interrupted run has left a thread that still waits for a picture."""
    return any(thread.name.startswith(READER) for thread in threading.enumerate())
