"""A batch of pictures on the screen: a bar while it is done, and what an interruption leaves of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from espcn_cli.cli.outcomes import counted, print_json, print_line, report
from espcn_cli.cli.stopping import last_words
from espcn_cli.cli.terminal import NoBar, progress
from espcn_cli.errors import EspcnError

if TYPE_CHECKING:
    from espcn_cli.upscaling.archive import Progress as PageProgress
    from espcn_cli.upscaling.film import Progress
    from espcn_cli.upscaling.outcome import Outcome, Task
    from espcn_cli.upscaling.pipeline import Options

    Work = Callable[[Options], Generator[Outcome, None, None]]
    """Does the tasks of a command: see `pipeline.run`."""


def do_all(
    run: Work,
    tasks: list[Task | Outcome],
    options: Options,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    json_lines: bool = False,
) -> list[Outcome]:
    """Do the tasks under a progress bar and report each, with `json_lines` as JSON on stdout too."""
    outcomes: list[Outcome] = []
    video = VideoBar(quiet)
    pages = PageBar(quiet)
    options = replace(
        options,
        film=replace(options.film, progress=video.update),
        archive=replace(options.archive, progress=pages.update),
    )
    work = run(options)
    several = len(tasks) > 1
    with last_words(lambda: [describe_rest(outcomes, tasks, options.overwrite)]):
        try:
            with progress(len(tasks), "file", quiet) if several else nullcontext(NoBar()) as bar, video, pages:
                for outcome in work:
                    outcomes.append(outcome)
                    video.close()
                    pages.close()
                    bar.update()
                    if json_lines:
                        print_line(outcome)
                    report(outcome, quiet, verbose, in_a_log=several and bar.disable)
        except (KeyboardInterrupt, SystemExit) as stop:
            for outcome in finished(work, stop):
                outcomes.append(outcome)
                if json_lines:
                    print_line(outcome)
                report(outcome, quiet, verbose, in_a_log=several and bar.disable)
            if as_json:
                print_json(outcomes)
            raise
        except EspcnError:  # a cluster of which nothing is left
            if as_json and outcomes:
                print_json(outcomes)
            raise
    return outcomes


def finished(work: Generator[Outcome, None, None], stop: BaseException) -> Iterator[Outcome]:
    """What was under way when an interruption came between two outcomes; nothing if it came within the work."""
    try:
        yield work.throw(stop)
        yield from work
    except (KeyboardInterrupt, SystemExit):
        return


class PartsBar:
    """The bar of the one file that is under way, if it is one of many parts."""

    unit = "part"

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._open = ExitStack()
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def advance(self, done: int, total: int | None, note: str = "") -> None:
        if self._bar is None:
            self._bar = self._open.enter_context(progress(total, self.unit, self._quiet, initial=done - 1))
        if note:
            self._bar.set_postfix_str(note, refresh=False)
        self._bar.update()

    def close(self) -> None:
        self._open.close()
        self._bar = None


class VideoBar(PartsBar):
    """Of a video: frames a second, time left, and how that compares with its own pace."""

    unit = "frame"

    def update(self, state: Progress) -> None:
        self.advance(state.done, state.total, f"{state.speed:.2f} x real time")


class PageBar(PartsBar):
    """Of an archive."""

    unit = "page"

    def update(self, state: PageProgress) -> None:
        self.advance(state.done, state.total)


def describe_rest(outcomes: list[Outcome], tasks: list[Task | Outcome], overwrite: bool) -> str:
    """What an interruption leaves to be done, and how."""
    from espcn_cli.upscaling.film import is_kept
    from espcn_cli.upscaling.outcome import Task

    left = len(tasks) - len(outcomes)
    again = "starts again" if overwrite else "with --skip-existing continues"
    done = {outcome.task.output for outcome in outcomes}
    rest = [task for task in tasks if isinstance(task, Task) and task.video and task.output not in done]
    if any(is_kept(task.output) for task in rest):
        again = (
            "with --resume goes on"
            if left == 1
            else f"with --resume {'goes on' if overwrite else 'and --skip-existing goes on'}"
        )
    return f"espcn: interrupted: {counted(outcomes)}, {left} left; the same command {again}"
