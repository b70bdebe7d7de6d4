"""A batch of pictures, upscaled: one outcome per picture, and a picture that fails never stops the rest."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from pathlib import Path

from espcn_cli import cores
from espcn_cli.engines.engine import SMALL, NotFiniteError
from espcn_cli.errors import EspcnError, TakenError
from espcn_cli.files import clean, is_file, modified, send
from espcn_cli.interruption import READER, WRITER
from espcn_cli.maths.levels import Levels, Pixels
from espcn_cli.maths.tiling import STRIP_PIXELS
from espcn_cli.memory import out_of_memory
from espcn_cli.paths import STREAM
from espcn_cli.pictures import png, reading, writing
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.extent import Extent, extent_of
from espcn_cli.pictures.wishes import Wishes
from espcn_cli.pictures.writing import Encoding
from espcn_cli.settings import MAX_PIXELS, SCALES
from espcn_cli.upscaling import archive, film, wrap
from espcn_cli.upscaling.archive import ArchiveOptions
from espcn_cli.upscaling.claims import Claims, NoClaims
from espcn_cli.upscaling.film import NO_TIME, FilmOptions
from espcn_cli.upscaling.handover import Handover
from espcn_cli.upscaling.outcome import Outcome, Task
from espcn_cli.upscaling.outputs import settle
from espcn_cli.upscaling.sizes import Size
from espcn_cli.upscaling.strips import no_memory
from espcn_cli.upscaling.upscaler import Flow, Upscaler

GROWTH = max(SCALES) ** 2
"""Pixels of output allowed for each of a source: what the largest scale makes of it in one pass."""

LARGE = 5 * 2**27
"""Bytes of a picture and its output from which on it is alone in memory: 32 megapixels of RGB at x2."""


GROUP = 16
"""Small pictures that are done together, at most."""


@dataclass(frozen=True)
class Options:
    """How a batch is done: `depth` 8 cuts 16 bits down; `lenient` takes pictures that were cut short; with `keep_time`
    outputs are as old as their sources.

    `jobs` pictures are decoded, and as many encoded, at a time; None for as many as there are cores for.
    Outputs that exist are skipped with `skip_existing`, errors without `overwrite`, else replaced. `stream_format` is
    for standard output, a pipe or a device. An output of more than `max_output` pixels, all its frames together, is
    refused. A picture that takes more than `large` bytes with its output is alone in memory. Videos are done as `film`
    says, archives as `archive` does; of those, `max_output` is for each frame or page.
    """

    size: Size | None = None
    depth: int | None = None
    lenient: bool = False
    wishes: Wishes = field(default_factory=Wishes)
    keep_time: bool = False
    encoding: Encoding = field(default_factory=Encoding)
    overwrite: bool = True
    skip_existing: bool = False
    jobs: int | None = None
    stream_format: str = "PNG"
    max_output: int = GROWTH * MAX_PIXELS
    large: int = LARGE
    film: FilmOptions = field(default_factory=FilmOptions)
    archive: ArchiveOptions = field(default_factory=ArchiveOptions)

    def of_archives(self) -> ArchiveOptions:
        """How archives are done: likewise where both are asked for the same."""
        return replace(
            self.archive,
            depth=self.depth,
            max_pixels=self.max_output // GROWTH,
            overwrite=self.overwrite,
            skip_existing=self.skip_existing,
            keep_time=self.keep_time,
        )

    def of_films(self) -> FilmOptions:
        """How videos are done: likewise where both are asked for the same."""
        return replace(
            self.film,
            format=self.stream_format,
            size=self.size,
            overwrite=self.overwrite and not self.skip_existing,
            max_output=self.max_output,
            shares=self.skip_existing,
            strip=self.wishes.strip,
            keep_time=self.keep_time,
        )


def run(
    upscaler: Upscaler, tasks: Iterable[Task | Outcome], options: Options | None = None
) -> Generator[Outcome, None, None]:
    """Do the tasks in order and yield what became of each.

    While one picture is in the network, the next are decoded and those before encoded, in threads of their own. Small
    ones go through it together; a large one is encoded while it is made; one that fills the memory is alone there. When
    interrupted, the pictures under way are finished and yielded before the interruption goes on, but for one that goes
    into a stream: nobody may be there to take it. Where outputs that exist are skipped, several processes can share the
    work: what one makes is skipped by the others.
    """
    options = options or Options()
    tasks = list(tasks)
    tidy(tasks)
    streaming = any(isinstance(task, Task) and task.streams for task in tasks)
    claims = Claims() if options.skip_existing else NoClaims()
    try:
        yield from flow(upscaler, tasks, options, len(tasks) == 1, streaming, claims)
    finally:
        claims.close()


def flow(
    upscaler: Upscaler,
    tasks: Iterable[Task | Outcome],
    options: Options,
    single: bool = False,
    streaming: bool = False,
    claims: Claims | None = None,
) -> Generator[Outcome, None, None]:
    """As `run`, for tasks that may be made one by one as they are asked for; what killed runs left stays."""
    claims = claims or NoClaims()
    jobs, threads = options.jobs or cores.count(), cores.count()
    reader, writer = (ThreadPoolExecutor(jobs, name) for name in (READER, WRITER))
    deflater = ThreadPoolExecutor(threads, "espcn-deflate") if threads > 1 else None
    encoding = replace(options.encoding, pool=deflater)
    work = _Work(upscaler, replace(options, encoding=encoding), writer)
    ahead: deque[_Ahead] = deque()
    behind: list[Future[Outcome]] = []

    def advance() -> None:
        """The first picture through the network, or with it the small ones after it."""
        group = [ahead.popleft()]
        while group[0].small and ahead and ahead[0].small:
            group.append(ahead.popleft())
        behind.extend(work(group))

    def finish() -> Iterator[Outcome]:
        while ahead:
            advance()
        while behind:
            yield claims.done(_first(behind))

    alone = False
    try:
        for task in (settle(task, options.overwrite, options.skip_existing) for task in tasks):
            if isinstance(task, Outcome):
                yield task
                continue
            if busy := claims.take(task):
                yield busy
                continue
            if task.video is not None:
                yield from finish()
                outcome = wrap.refused(upscaler, task) or film.upscale(upscaler, task, work.options.of_films(), single)
                yield outcome.noting(options.size)
                continue
            if task.archive:
                yield from finish()
                done = archive.upscale(task, partial(flow, upscaler, options=options), options.of_archives())
                yield claims.done(done)
                continue
            fills, small = (False, False) if single else work.weigh(task)
            if fills or alone:
                yield from finish()
            alone = fills
            ahead.append(_Ahead(task, reader.submit(work.read, task), small))
            if len(ahead) > (GROUP if all(each.small for each in ahead) else jobs):
                advance()
            while len(behind) > jobs + (GROUP if small else 0):
                yield claims.done(_first(behind))
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
        if deflater is not None:
            deflater.shutdown(wait=not (interrupted and streaming))


def targets(upscaler: Upscaler, task: Task, frames: Sequence[Pixels], options: Options) -> list[Pixels]:
    """What each frame's size becomes. Raises EspcnError if that is more than `max_output` or the format can hold."""
    sizes = [upscaler.output_size(frame, options.size) for frame in frames]
    pixels = sum(width * height for width, height in sizes)
    if pixels > options.max_output:
        width, height = sizes[0]
        what = f"{width:,} x {height:,} pixels" if len(sizes) == 1 else f"{pixels:,} pixels in {len(sizes)} frames"
        raise EspcnError(
            f"{task.source_name}: {what} would be more than {options.max_output:,}: "
            f"choose a smaller --scale or --size, or allow it with --max-pixels {-(-pixels // GROWTH)}",
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


def tidy(tasks: Iterable[Task | Outcome]) -> None:
    """Remove what killed runs left where this one writes."""
    outputs = [task.output for task in tasks if isinstance(task, Task) and not task.streams]
    for folder in {os.path.dirname(os.path.realpath(output)) for output in outputs}:  # noqa: PTH120
        clean(Path(folder))


@dataclass(frozen=True)
class _Ahead:
    """A picture that is being decoded; `small`: it is done together with others of the kind."""

    task: Task
    document: Future[Document]
    small: bool


@dataclass(frozen=True)
class _Decoded:
    """A picture before the network, and what it gets there: its model, None where none is needed, and its strength."""

    task: Task
    document: Document
    model: Upscaler | None
    strength: float | None


class _Work:
    """The middle of the pipeline: decoded pictures through the network, and on to be written."""

    def __init__(self, upscaler: Upscaler, options: Options, writer: ThreadPoolExecutor) -> None:
        self.upscaler = upscaler
        self.options = options
        self.writer = writer

    def weigh(self, task: Task) -> tuple[bool, bool]:
        """Whether a picture and its output fill so much memory that they should be alone there; whether it is small."""
        if not is_file(task.source):  # a pipe can be read only once
            return False, False
        try:
            extent = extent_of(task.source, self.options.depth)
            fills = held(extent, targets(self.upscaler, task, extent.frames, self.options)) > self.options.large
        except EspcnError:  # is reported when it is read
            return False, False
        return fills, not fills and extent.pixels <= SMALL

    def read(self, task: Task) -> Document:
        """The picture, decoded. Raises EspcnError."""
        document = reading.read_document(task.source, self.options.depth, self.options.lenient)
        return self.options.wishes.applied(document, self._kind(task)).noting(*self._ageless(task))

    def _ageless(self, task: Task) -> list[str]:
        """A note on an output that cannot be as old as its source."""
        return [NO_TIME] if self.options.keep_time and (task.streams or modified(task.source) is None) else []

    def _modified(self, task: Task) -> int | None:
        return modified(task.source) if self.options.keep_time else None

    def __call__(self, group: Sequence[_Ahead]) -> list[Future[Outcome]]:
        """What becomes of each, in order."""
        started = time.monotonic()
        decoded = [self._decoded(each) for each in group]
        several = [each for each in decoded if isinstance(each, _Decoded) and self.upscaler.is_small(each.document)]
        done = dict(zip(map(id, several), self._together(several), strict=False)) if len(several) > 1 else {}
        return [
            _settled(each) if isinstance(each, Outcome) else self._through(each, done.get(id(each)), started)
            for each in decoded
        ]

    def _decoded(self, ahead: _Ahead) -> _Decoded | Outcome:
        try:
            before = ahead.document.result()
            targets(self.upscaler, ahead.task, [frame.size for frame in before.frames], self.options)
            used = self.upscaler.reaching(before.size, self.options.size)
            return _Decoded(ahead.task, before, used, used.strength_of(before) if used else None)
        except (EspcnError, MemoryError) as error:
            return Outcome(ahead.task, error=_reason(ahead.task, error))

    def _together(self, several: Sequence[_Decoded]) -> list[Document]:
        """Small pictures in one go; none if that does not work, as each has to tell for itself why."""
        try:
            strengths = [each.strength for each in several]
            return self.upscaler.documents([each.document for each in several], self.options.size, strengths)
        except Exception as error:
            if isinstance(error, (EspcnError, NotFiniteError)) or out_of_memory(error):
                return []
            raise

    def _through(self, decoded: _Decoded, after: Document | None, started: float) -> Future[Outcome]:
        """A picture through the network, unless it has been there, and on to the writer."""
        task, before = decoded.task, decoded.document
        name = decoded.model.name if decoded.model else None
        done = Outcome(task, before.size, model=name, strength=decoded.strength)
        try:
            if after is None and self._flows(task, before) and (flowing := self._flow(done, before, started)):
                return flowing
            whole = after or self.upscaler.document(before, self.options.size, decoded.strength)
        except (EspcnError, MemoryError) as error:
            return _settled(Outcome(task, error=_reason(task, error)))
        done = replace(done, output_size=whole.size)
        return self.writer.submit(self._finish, done, started, lambda: self._write(task, whole))

    def _flows(self, task: Task, document: Document) -> bool:
        """Whether a picture can be encoded while it is made, and is large enough for that to pay."""
        width, height = document.size
        single = len(document.frames) == 1 and self._kind(task) == "PNG"
        return single and width * height > STRIP_PIXELS

    def _kind(self, task: Task) -> str:
        return self.options.stream_format if task.streams else writing.format_of(task.output)

    def _flow(self, done: Outcome, before: Document, started: float) -> Future[Outcome] | None:
        """A picture through the network, while what is made of it is being written; None if half precision overflows.

        Nothing is left then of what was written.
        """
        flow = self.upscaler.flow(before, self.options.size, done.strength)
        handover: Handover[Levels] = Handover()
        done = replace(done, output_size=flow.size)
        shape = png.Shape(*flow.size, before.frames[0].channels, before.frames[0].depth)
        future = self.writer.submit(
            self._finish, done, started, lambda: self._write_flow(done.task, shape, flow, handover)
        )
        try:
            for band in flow.bands:
                if not handover.put(band):
                    break
        except NotFiniteError as error:
            handover.end(error)
            future.exception()
            return None
        except BaseException as error:
            failure = no_memory(before.frames[0], self.upscaler.scale) if out_of_memory(error) else error
            if isinstance(failure, EspcnError):
                failure = failure.about(done.task.source, done.task.source_name)
            handover.end(failure)
            if isinstance(failure, EspcnError):
                return future
            future.exception()
            raise
        handover.end()
        return future

    def _finish(self, done: Outcome, started: float, write: Callable[[], tuple[str, ...]]) -> Outcome:
        try:
            warnings = write()
        except TakenError as error:
            left = self.options.skip_existing
            return Outcome(done.task, skipped=True) if left else Outcome(done.task, error=str(error))
        except (EspcnError, MemoryError) as error:
            return Outcome(done.task, error=_reason(done.task, error))
        except OSError as error:
            return Outcome(done.task, error=f"cannot write {done.task.output_name} ({error.strerror or error})")
        return replace(done, seconds=time.monotonic() - started, warnings=warnings).noting(self.options.size)

    def _write(self, task: Task, document: Document) -> tuple[str, ...]:
        encoding = self.options.encoding
        if task.streams:
            memory = BytesIO()
            written = writing.encode(document, self.options.stream_format, memory, task.output, encoding)
            _send(memory, task.output)
            return written.warnings
        task.output.parent.mkdir(parents=True, exist_ok=True)
        return writing.write_document(document, task.output, encoding, self._replaces, self._modified(task)).warnings

    def _write_flow(self, task: Task, shape: png.Shape, flow: Flow, handover: Handover[Levels]) -> tuple[str, ...]:
        encoding = self.options.encoding
        try:
            if task.streams:
                memory = BytesIO()
                notes = writing.encode_rows(shape, flow.info, handover, memory, task.output, encoding)
                _send(memory, task.output)
            else:
                task.output.parent.mkdir(parents=True, exist_ok=True)
                how = encoding, self._replaces, self._modified(task)
                notes = writing.write_rows(shape, flow.info, handover, task.output, *how)
        finally:
            handover.leave()
        return tuple(dict.fromkeys((*flow.warnings, *flow.late, *notes)))

    @property
    def _replaces(self) -> bool:
        return self.options.overwrite and not self.options.skip_existing


def _settled(outcome: Outcome) -> Future[Outcome]:
    settled: Future[Outcome] = Future()
    settled.set_result(outcome)
    return settled


def _send(memory: BytesIO, output: Path) -> None:
    if output == STREAM:
        _to_stdout(memory.getvalue())
    else:
        send(memory.getvalue(), output)


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
