"""What `espcn upscale` prints of outcomes: errors and warnings on stderr, results on stdout."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from espcn_cli.cli.terminal import printable, say, show, show_json
from espcn_cli.figures import amount, to_json

if TYPE_CHECKING:
    from espcn_cli.upscaling.choosing import Choosing
    from espcn_cli.upscaling.outcome import Outcome, Task


def print_json(outcomes: list[Outcome]) -> None:
    show_json([outcome.to_dict() for outcome in outcomes])


def print_line(outcome: Outcome) -> None:
    """An outcome as a line of JSON, at once."""
    show(to_json(outcome.to_dict()))


def report(outcome: Outcome, quiet: bool, verbose: bool, in_a_log: bool = False) -> None:
    """Errors, or the warnings of a picture, on stderr; in a log, which shows no bar, also what became of it.

    With `verbose`, what made it as well.
    """
    for page in outcome.failed_pages:
        say(f"espcn: {printable(outcome.task.source)}: {printable(page)}")
    if outcome.error is not None:
        say(f"espcn: {printable(outcome.error)}")
    elif not quiet:
        if in_a_log:
            say(describe(outcome))
        elif outcome.reason:
            say(f"{printable(outcome.task.source)}: {skipped(outcome)}")
        lines = [*outcome.warnings, *([made_by(outcome)] if verbose and outcome.state == "upscaled" else [])]
        for line in lines:
            say(f"{printable(outcome.task.source)}: {line}")


def made_by(outcome: Outcome) -> str:
    """The weights and the strength that a picture got, or will get as far as that is known."""
    if outcome.model is None:
        return "no network, as it gets no larger"
    return outcome.model + (f", strength {outcome.strength:g}" if outcome.strength is not None else "")


def report_renamed(tasks: list[Task | Outcome]) -> None:
    """One line for all outputs that are called after the whole name of their source."""
    from espcn_cli.upscaling.outcome import Task

    renamed = [task for task in tasks if isinstance(task, Task) and task.renamed]
    if renamed:
        say(
            f"{len(renamed)} of {len(tasks)} outputs named by their source's whole name, such as {renamed[0].output}: "
            "by their stems alone, several would be one file"
        )


def report_passed(choosing: Choosing) -> None:
    """One line for all pictures and folders that are passed over."""
    if passed := choosing.describe():
        say(f"passed over: {passed}")


def summarise(outcomes: list[Outcome], others: int = 0) -> str:
    """One line on the whole run; `others` counts the files in the folders that were neither pictures nor videos."""
    if len(outcomes) == 1 and outcomes[0].size and outcomes[0].output_size:
        return f"{printable(outcomes[0].task.output)}: {sizes_of(outcomes[0])}"
    return counted(outcomes) + (f"; {amount(others, 'other file')} passed over" if others else "")


def count_others(sources: list[str], recursive: bool, choosing: Choosing) -> int:
    from espcn_cli.files import is_folder
    from espcn_cli.pictures import containers, folders, zipped

    suffixes = folders.SUFFIXES | containers.SUFFIXES | zipped.SEARCHED
    tops = [source for source in map(Path, sources) if is_folder(source)]
    return sum(folders.count_others(source, recursive, suffixes, choosing.excludes) for source in tops)


def counted(outcomes: list[Outcome]) -> str:
    from espcn_cli.upscaling.outcome import count

    return ", ".join(f"{number} {state}" for state, number in count(outcomes).items() if number or state == "upscaled")


def describe(outcome: Outcome) -> str:
    """A picture that did not fail, in one line: from where to where, and the sizes or why it was skipped."""
    names = f"{printable(outcome.task.source)} -> {printable(outcome.task.output)}"
    return f"{names}: {skipped(outcome) if outcome.skipped else sizes_of(outcome)}"


def skipped(outcome: Outcome) -> str:
    return f"skipped, {outcome.reason or 'the output exists'}"


def sizes_of(outcome: Outcome) -> str:
    assert outcome.size and outcome.output_size
    (width, height), (new_width, new_height) = outcome.size, outcome.output_size
    count = f", {amount(outcome.frames, 'frame')}" if outcome.frames is not None else ""
    count += f", {pages_of(outcome)}" if outcome.pages is not None else ""
    return f"{width} x {height} -> {new_width} x {new_height}{count}, {outcome.seconds:.1f} s"


def pages_of(outcome: Outcome) -> str:
    """How many pages were upscaled, of how many if some failed."""
    if outcome.failed_pages:
        return f"{outcome.pages} of {(outcome.pages or 0) + len(outcome.failed_pages)} pages"
    return amount(outcome.pages or 0, "page")


def show_expected(
    expected: Iterable[Outcome], as_json: bool, quiet: bool, verbose: bool, json_lines: bool = False
) -> list[Outcome]:
    """What a run would do, on stdout, a line each unless it comes as JSON; what it could not do, on stderr."""
    outcomes = []
    for outcome in expected:
        outcomes.append(outcome)
        report(outcome, quiet, verbose)
        if json_lines:
            print_line(outcome)
        elif not as_json and outcome.error is None:
            show(describe(outcome))
    if not (as_json or json_lines):
        number = sum(outcome.state == "upscaled" for outcome in outcomes)
        seconds = sum(outcome.seconds for outcome in outcomes)
        memory = max((outcome.memory or 0 for outcome in outcomes), default=0)
        show(f"{number} to upscale, about {seconds:.1f} s in the network, {memory / 1e6:.0f} MB at most")
    return outcomes
