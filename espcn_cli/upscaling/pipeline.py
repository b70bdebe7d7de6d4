"""A batch of pictures, upscaled: one outcome per picture, and a picture that fails never stops the rest."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

from espcn_cli.errors import EspcnError, TakenError
from espcn_cli.files import clean, is_file, send
from espcn_cli.maths.levels import Pixels
from espcn_cli.paths import STREAM
from espcn_cli.pictures import reading, writing
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.extent import Extent, extent_of
from espcn_cli.pictures.writing import Encoding
from espcn_cli.settings import MAX_PIXELS, SCALES
from espcn_cli.upscaling.outcome import Outcome, Task
from espcn_cli.upscaling.outputs import settle
from espcn_cli.upscaling.sizes import Size
from espcn_cli.upscaling.upscaler import Upscaler

READER, WRITER = "espcn-decode", "espcn-encode"
"""How the names of the threads begin that read and write pictures."""

GROWTH = max(SCALES) ** 2
"""Pixels of output allowed for each of a source: what the largest scale makes of it."""

LARGE = 5 * 2**27
"""Bytes of a picture and its output from which on it is alone in memory: 32 megapixels of RGB at x2."""


@dataclass(frozen=True)
class Options:
    """How a batch is done: `depth` 8 cuts 16 bits down; `jobs` pictures are decoded, and as many encoded, at a time.

    Outputs that exist are skipped with `skip_existing`, errors without `overwrite`, else replaced. `stream_format` is
    for standard output, a pipe or a device. An output of more than `max_output` pixels, all its frames together, is
    refused. A picture that takes more than `large` bytes with its output is alone in memory.
    """

    size: Size | None = None
    depth: int | None = None
    encoding: Encoding = field(default_factory=Encoding)
    overwrite: bool = True
    skip_existing: bool = False
    jobs: int = 1
    stream_format: str = "PNG"
    max_output: int = GROWTH * MAX_PIXELS
    large: int = LARGE


def run(
    upscaler: Upscaler, tasks: Iterable[Task | Outcome], options: Options | None = None
) -> Generator[Outcome, None, None]:
    """Do the tasks in order and yield what became of each.

    While one picture is in the network, the next are decoded and those before encoded, in threads of their own; a
    large one is alone in memory. When interrupted, the pictures under way are finished and yielded before the
    interruption goes on, but for one that goes into a stream: nobody may be there to take it.
    """
    options = options or Options()
    work = _Work(upscaler, options)
    tasks = list(tasks)
    streaming = any(isinstance(task, Task) and task.streams for task in tasks)
    _clean(tasks)
    ahead: list[tuple[Task, Future[Document]]] = []
    behind: list[Future[Outcome]] = []
    reader, writer = (ThreadPoolExecutor(options.jobs, name) for name in (READER, WRITER))

    def finish() -> Iterator[Outcome]:
        while ahead:
            behind.append(work(*ahead.pop(0), writer))
        while behind:
            yield _first(behind)

    alone = False
    try:
        for task in (settle(task, options.overwrite, options.skip_existing) for task in tasks):
            if isinstance(task, Outcome):
                yield task
                continue
            large = len(tasks) > 1 and work.is_large(task)
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
        if not streaming:
            yield from (future.result() for future in behind)
        raise
    finally:
        interrupted = sys.exc_info()[0] is not None
        reader.shutdown(wait=not interrupted, cancel_futures=True)
        writer.shutdown(wait=not (interrupted and streaming))


def is_waiting() -> bool:
    """Whether an interrupted run has left a thread that still waits to read a picture, or for somebody to take one."""
    return any(thread.name.startswith((READER, WRITER)) for thread in threading.enumerate())


def targets(upscaler: Upscaler, task: Task, frames: Sequence[Pixels], options: Options) -> list[Pixels]:
    """What each frame's size becomes. Raises EspcnError if that is more than `max_output` or the format can hold."""
    sizes = [upscaler.output_size(frame, options.size) for frame in frames]
    pixels = sum(width * height for width, height in sizes)
    if pixels > options.max_output:
        width, height = sizes[0]
        what = f"{width:,} x {height:,} pixels" if len(sizes) == 1 else f"{pixels:,} pixels in {len(sizes)} frames"
        raise EspcnError(
            f"{task.source_name}: {what} would be more than {options.max_output:,}: "
            f"choose a smaller --size, or allow it with --max-pixels {-(-pixels // GROWTH)}",
            task.source,
        )
    kind = options.stream_format if task.streams else writing.format_of(task.output)
    writing.check_size(task.output_name, kind, sizes[0])
    return sizes


def held(extent: Extent, outputs: Sequence[Pixels]) -> int:
    """Bytes of all frames of a picture in memory, before and after."""
    return extent.bytes_per_pixel * (extent.pixels + sum(width * height for width, height in outputs))


def _first(behind: list[Future[Outcome]]) -> Outcome:
    """Wait for the first and only then take it out, so that an interruption meanwhile does not lose it."""
    outcome = behind[0].result()
    del behind[0]
    return outcome


def _clean(tasks: list[Task | Outcome]) -> None:
    """Remove what killed runs left where this one writes."""
    outputs = [task.output for task in tasks if isinstance(task, Task) and not task.streams]
    for folder in {os.path.dirname(os.path.realpath(output)) for output in outputs}:  # noqa: PTH120
        clean(Path(folder))


class _Work:
    """The middle of the pipeline: a decoded picture through the network, and on to be written."""

    def __init__(self, upscaler: Upscaler, options: Options) -> None:
        self.upscaler = upscaler
        self.options = options

    def is_large(self, task: Task) -> bool:
        """Whether a picture and its output fill so much memory that no other should be there at the same time."""
        if not is_file(task.source):  # a pipe can be read only once
            return False
        try:
            extent = extent_of(task.source, self.options.depth)
            return held(extent, targets(self.upscaler, task, extent.frames, self.options)) > self.options.large
        except EspcnError:  # is reported when it is read
            return False

    def __call__(self, task: Task, reading: Future[Document], writer: ThreadPoolExecutor) -> Future[Outcome]:
        started = time.monotonic()
        try:
            before = reading.result()
            targets(self.upscaler, task, [frame.size for frame in before.frames], self.options)
            used = self.upscaler.reaching(before.size, self.options.size)
            strength = used.strength_of(before) if used else None
            after = self.upscaler.document(before, self.options.size, strength)
        except (EspcnError, MemoryError) as error:
            failed: Future[Outcome] = Future()
            failed.set_result(Outcome(task, error=_reason(task, error)))
            return failed
        done = Outcome(task, before.size, after.size, model=used.name if used else None, strength=strength)
        return writer.submit(self._finish, done, after, started)

    def _finish(self, done: Outcome, document: Document, started: float) -> Outcome:
        try:
            written = self._write(done.task, document)
        except TakenError as error:
            left = self.options.skip_existing
            return Outcome(done.task, skipped=True) if left else Outcome(done.task, error=str(error))
        except (EspcnError, MemoryError) as error:
            return Outcome(done.task, error=_reason(done.task, error))
        except OSError as error:
            return Outcome(done.task, error=f"cannot write {done.task.output_name} ({error.strerror or error})")
        return replace(done, seconds=time.monotonic() - started, warnings=written.warnings)

    def _write(self, task: Task, document: Document) -> Document:
        encoding = self.options.encoding
        if task.streams:
            memory = BytesIO()
            written = writing.encode(document, self.options.stream_format, memory, task.output, encoding)
            if task.output == STREAM:
                _to_stdout(memory.getvalue())
            else:
                send(memory.getvalue(), task.output)
            return written
        overwrite = self.options.overwrite and not self.options.skip_existing
        task.output.parent.mkdir(parents=True, exist_ok=True)
        return writing.write_document(document, task.output, encoding, overwrite)


def _to_stdout(data: bytes) -> None:
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # what is left in the buffer must not be tried again at the end of the process
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def _reason(task: Task, error: EspcnError | MemoryError) -> str:
    failure = error if isinstance(error, EspcnError) else EspcnError("not enough memory")
    return str(failure.about(task.source, task.source_name))
