"""`espcn watch` on the command line."""

from __future__ import annotations

import logging
import time
import warnings
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from espcn_cli.cli.batch import finished
from espcn_cli.cli.outcomes import report
from espcn_cli.cli.stopping import CODES
from espcn_cli.cli.terminal import (
    AnyDevice,
    Engine,
    MaxPixels,
    Precision,
    Quiet,
    ScaleInPasses,
    Strength,
    Threads,
    parse_strength,
    say,
    saying_warnings,
    show,
)
from espcn_cli.errors import EspcnError
from espcn_cli.settings import DEFAULT_FOR_PICTURES, MAX_PIXELS

if TYPE_CHECKING:
    from espcn_cli.upscaling.arrivals import Arrivals
    from espcn_cli.upscaling.outcome import Outcome, Task
    from espcn_cli.upscaling.pipeline import Options
    from espcn_cli.upscaling.upscaler import Upscaler


def watch(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="The folder in which pictures arrive.")],
    out: Annotated[str, typer.Argument(metavar="OUT", help="The folder for what is made of them, outside of FOLDER.")],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help=f"A name or a checkpoint's path. Default: {DEFAULT_FOR_PICTURES}."),
    ] = None,
    scale: ScaleInPasses = None,
    strength: Strength = "auto",
    size: Annotated[
        str | None, typer.Option(metavar="WxH|Wx|xH|N%", help="Exact size, as for `espcn upscale`.")
    ] = None,
    format: Annotated[
        str | None, typer.Option("--format", "-f", metavar="SUFFIX", help="Output format. Default: as the source.")
    ] = None,
    quality: Annotated[
        int | None, typer.Option(min=1, max=100, help="Quality of JPEG, AVIF and WebP. Default: 95, 90, lossless.")
    ] = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Folders below too; the tree is kept.")] = False,
    settle: Annotated[
        float, typer.Option(min=0.1, help="Seconds without a change after which a file is complete.")
    ] = 1.0,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="Pictures decoded, and as many encoded, at the same time.")
    ] = None,
    threads: Threads = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    engine: Engine = "auto",
    device: AnyDevice = "auto",
    precision: Precision = "auto",
    json_lines: Annotated[
        bool, typer.Option("--json-lines", help="Print each outcome as a line of JSON when it is there.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Report the weights and the strength that each picture got.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Upscale pictures as they arrive in a folder, with the model kept loaded (pip install 'espcn[watch]').

    What lies there already is done first, unless OUT has it. A file is done when it is complete, and again when it has
    changed. One that fails is named, and the others are done. Ctrl-C or SIGTERM finishes what is under way and ends
    the command, with exit code 1 if anything failed. Videos and .cbz files are done too.
    """
    from espcn_cli import cores
    from espcn_cli.files import check_folder
    from espcn_cli.paths import path_of, source_of
    from espcn_cli.pictures import containers, opening, writing
    from espcn_cli.upscaling import arrivals, sizes
    from espcn_cli.upscaling.archive import ArchiveOptions
    from espcn_cli.upscaling.outcome import exit_code
    from espcn_cli.upscaling.pipeline import GROWTH, Options
    from espcn_cli.upscaling.upscaler import load

    arrivals.need_watchfiles()
    source, target = source_of(folder), path_of(out)
    arrivals.check_folders(source, target)
    check_folder(target)
    suffix = f".{format.lower().lstrip('.')}" if format is not None else None
    if suffix and suffix not in containers.MUXERS:
        writing.format_of(Path(f"-f {suffix}"))
    options = Options(
        size=sizes.parse(size) if size is not None else None,
        encoding=writing.Encoding(quality),
        jobs=jobs,
        max_output=GROWTH * max_pixels,
        archive=ArchiveOptions(suffix if suffix not in containers.MUXERS else None),
    )
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    opening.limit_pixels(max_pixels)
    cores.limit(threads)
    with saying_warnings(quiet):
        upscaler = load(
            model, scale, strength=parse_strength(strength), engine=engine, device=device, precision=precision
        )
    if not quiet:
        say(f"espcn: watching {source}; Ctrl-C ends it")
    watched = Watched(upscaler, arrivals.Arrivals(source, recursive, settle), target, suffix, options)
    count: Counter[str] = Counter(upscaled=0)
    code = 0
    work = watched.outcomes()

    def tell(outcomes: Iterable[Outcome]) -> None:
        nonlocal code
        for outcome in outcomes:
            count[outcome.state] += 1
            code |= exit_code([outcome])
            report(outcome, quiet or json_lines, verbose, in_a_log=True)
            if json_lines:
                show_line(outcome)

    try:
        tell(work)
    except (KeyboardInterrupt, SystemExit) as stop:  # between two of them
        tell(rest(work, stop))
    if not (quiet or json_lines):
        show(", ".join(f"{number} {state}" for state, number in count.items()))
    if code:
        raise typer.Exit(code)


def rest(work: Generator[Outcome, None, None], stop: BaseException) -> Iterator[Outcome]:
    """What was under way when a signal came."""
    try:
        yield work.throw(stop)
        yield from work
    except (StopIteration, KeyboardInterrupt, SystemExit):
        return


def show_line(outcome: Outcome) -> None:
    from espcn_cli.figures import to_json

    show(to_json(outcome.to_dict()))


class Watched:
    """A folder and what is made of it, until a signal comes."""

    def __init__(self, upscaler: Upscaler, arrivals: Arrivals, out: Path, suffix: str | None, options: Options) -> None:
        self.upscaler = upscaler
        self.arrivals = arrivals
        self.out = out
        self.suffix = suffix
        self.options = options
        self.first = True

    def outcomes(self) -> Generator[Outcome, None, None]:
        """What becomes of each file, as it arrives; ends with the first signal."""
        from espcn_cli.upscaling import pipeline
        from espcn_cli.upscaling.outcome import Outcome, Task

        try:
            for tasks in self._arriving():
                work = pipeline.run(self.upscaler, tasks, self.options)
                try:
                    yield from work
                except EspcnError as error:  # a video alone says so of its options
                    yield Outcome(next(task for task in tasks if isinstance(task, Task)), error=str(error))
                except (KeyboardInterrupt, SystemExit) as stop:
                    yield from finished(work, stop)
                    raise
        except (KeyboardInterrupt, SystemExit) as stop:
            if isinstance(stop, SystemExit) and stop.code not in CODES:
                raise

    def _arriving(self) -> Iterator[list[Task | Outcome]]:
        """Files that are complete, a list for each time that there are some."""
        from watchfiles import watch as changes

        from espcn_cli.upscaling.arrivals import WAKE

        logging.getLogger("watchfiles").setLevel(logging.CRITICAL)  # it tells of signals in words of its own
        folder, recursive = self.arrivals.folder, self.arrivals.recursive
        wake = round(1000 * min(WAKE, self.arrivals.settle))
        events = changes(
            folder,
            watch_filter=None,
            debounce=wake,
            rust_timeout=wake,
            yield_on_timeout=True,
            recursive=recursive,
            raise_interrupt=False,
        )
        next(events, None)  # from now on nothing that happens is missed
        if tasks := self._complete():
            yield tasks
        for changed in events:  # ends with a signal
            if (changed or self.arrivals.waits) and (tasks := self._complete()):
                yield tasks

    def _complete(self) -> list[Task | Outcome]:
        """Tasks for what is complete now; at first without those whose outputs are there."""
        from espcn_cli.files import existing
        from espcn_cli.upscaling.arrivals import tasks_of
        from espcn_cli.upscaling.outcome import Task

        ready = self.arrivals.complete(time.time())
        folder, recursive = self.arrivals.folder, self.arrivals.recursive
        tasks = tasks_of(ready, folder, self.out, recursive, self.suffix) if ready else []
        if self.first:
            self.first = False
            tasks = [task for task in tasks if isinstance(task, Task) and not existing([task.output])]
        return tasks
