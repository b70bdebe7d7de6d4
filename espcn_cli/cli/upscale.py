"""`espcn upscale` on the command line."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from espcn_cli.cli.stopping import last_words
from espcn_cli.cli.terminal import (
    SCALE_HELP,
    Device,
    Json,
    Precision,
    Quiet,
    printable,
    progress,
    say,
    show,
    show_json,
)
from espcn_cli.errors import UsageError
from espcn_cli.settings import DEFAULT_MODEL, DEFAULT_SCALE, MAX_PIXELS, Scale

if TYPE_CHECKING:
    from espcn_cli.upscaling.outcome import Outcome, Task
    from espcn_cli.upscaling.pipeline import Options
    from espcn_cli.upscaling.upscaler import Upscaler


def upscale(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE", help="Pictures, or folders of pictures; '-' is standard input.")
    ],
    destination: Annotated[Path, typer.Argument(help="A file for one picture, else a folder; '-' is standard output.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="A name from `espcn models`, or a checkpoint's path.")
    ] = DEFAULT_MODEL,
    scale: Annotated[
        Scale | None,
        typer.Option("--scale", "-s", help=f"{SCALE_HELP} Default: the checkpoint's, {DEFAULT_SCALE} for a name."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH|Wx|xH|N%",
            help="Exact size: the smallest scale that reaches it, then an antialiased resize. "
            "The aspect is kept unless both sides are given.",
        ),
    ] = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Folders below too; the tree is kept.")] = False,
    skip_existing: Annotated[bool, typer.Option("--skip-existing", help="Leave existing outputs as they are.")] = False,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="SUFFIX",
            help="Output format in a folder or on standard output: png, jpg, webp ... "
            "Default: as the source, PNG on standard output.",
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Of JPEG (else 95), AVIF (else 90) and WebP (else lossless)."),
    ] = None,
    png_level: Annotated[
        int | None, typer.Option(min=0, max=9, help="PNG compression: 0 none, 9 smallest. Default: fast.")
    ] = None,
    depth: Annotated[
        int | None, typer.Option(metavar="8", min=8, max=8, help="Cut more than 8 bits per sample down to 8.")
    ] = None,
    ensemble: Annotated[
        bool,
        typer.Option(
            "--ensemble",
            help="Mean over the eight flips and quarter turns, eight times slower; "
            "espcn-m at x2 gains 0.14 dB by it on six Kodak pictures.",
        ),
    ] = False,
    tile: Annotated[
        str, typer.Option(metavar="auto|N|off", help="LR pixels of a tile's side; the result is the same.")
    ] = "auto",
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, help="Pictures decoded, and as many encoded, at the same time.")
    ] = 1,
    max_pixels: Annotated[
        int,
        typer.Option(
            min=1,
            help="Refuse files that claim more pixels, all frames together, and outputs of more than 16 times as many.",
        ),
    ] = MAX_PIXELS,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, with sizes, time and memory; write nothing.")
    ] = False,
    device: Device = "auto",
    precision: Precision = "auto",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Upscale a picture to a file, or many pictures and folders to a folder.

    Grey stays grey; transparency, colour profile, EXIF, 16 bits, pages and animations are kept where the format holds
    them; anything lost is reported. Photographs come out upright. An input is never overwritten; outputs appear whole
    or not at all; a file that fails is named and the others are done.
    """
    from espcn_cli.pictures import folders, opening, writing
    from espcn_cli.upscaling import pipeline, sizes
    from espcn_cli.upscaling.outcome import exit_code
    from espcn_cli.upscaling.plan import plan, stream_format
    from espcn_cli.upscaling.preview import preview
    from espcn_cli.upscaling.upscaler import load

    tile_size = parse_tile(tile)
    suffix = f".{format.lower().lstrip('.')}" if format else None
    streaming = destination == folders.STREAM
    if streaming and not dry_run:
        check_stdout(as_json)
    options = pipeline.Options(
        size=sizes.parse(size) if size else None,
        depth=depth,
        encoding=writing.Encoding(quality, png_level),
        skip_existing=skip_existing,
        jobs=jobs,
        stream_format=stream_format(suffix) if streaming else "PNG",
        max_output=pipeline.GROWTH * max_pixels,
    )
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # of odd files; errors are ours to say
    opening.limit_pixels(max_pixels)
    tasks = plan(sources, destination, recursive, suffix)
    upscaler = load(model, scale, device=device, precision=precision, tile=tile_size, ensemble=ensemble)
    if not quiet:
        report_renamed(tasks)
    if dry_run:
        outcomes = list(preview(upscaler, tasks, options))
        show_expected(outcomes, as_json, quiet)
    else:
        outcomes = do_all(upscaler, tasks, options, as_json, quiet)
        if not (as_json or quiet or streaming):
            show(summarise(outcomes, count_others(sources, recursive)))
    if as_json:
        print_json(outcomes)
    if code := exit_code(outcomes):
        raise typer.Exit(code)


def check_stdout(as_json: bool) -> None:
    """Raise UsageError if a picture cannot go to standard output."""
    if sys.stdout.isatty():
        raise UsageError("standard output is a terminal: redirect it to a file or a pipe")
    if as_json:
        raise UsageError("--json and the picture cannot both go to standard output")


def parse_tile(tile: str) -> int | None:
    """`auto` -> None, `off` -> 0, a number -> itself. Raises UsageError otherwise."""
    if tile in ("auto", "off"):
        return None if tile == "auto" else 0
    if not tile.isdecimal() or int(tile) < 1:
        raise UsageError(f"--tile {tile!r}: use auto, off or a number of LR pixels")
    return int(tile)


# --- the work --------------------------------------------------------------------------------------------------------


def do_all(
    upscaler: Upscaler, tasks: list[Task | Outcome], options: Options, as_json: bool, quiet: bool
) -> list[Outcome]:
    """Do the tasks under a progress bar and report each."""
    from espcn_cli.upscaling.pipeline import run

    outcomes: list[Outcome] = []
    work = run(upscaler, tasks, options)
    with last_words(lambda: [describe_rest(outcomes, len(tasks))]):
        try:
            with progress(len(tasks), "picture", quiet or len(tasks) == 1) as bar:
                for outcome in work:
                    outcomes.append(outcome)
                    bar.update()
                    report(outcome, quiet)
        except (KeyboardInterrupt, SystemExit) as stop:
            outcomes += finished(work, stop)
            if as_json:
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


def describe_rest(outcomes: list[Outcome], tasks: int) -> str:
    """What an interruption leaves to be done, and how."""
    left = tasks - len(outcomes)
    return f"espcn: interrupted: {counted(outcomes)}, {left} left; the same command with --skip-existing continues"


# --- what is printed -------------------------------------------------------------------------------------------------


def print_json(outcomes: list[Outcome]) -> None:
    show_json([outcome.to_dict() for outcome in outcomes])


def report(outcome: Outcome, quiet: bool) -> None:
    """The error or the warnings of a picture, on stderr."""
    if outcome.error is not None:
        say(f"espcn: {printable(outcome.error)}")
    elif not quiet:
        for warning in outcome.warnings:
            say(f"{printable(outcome.task.source)}: {warning}")


def report_renamed(tasks: list[Task | Outcome]) -> None:
    """One line for all outputs that are called after the whole name of their source."""
    from espcn_cli.upscaling.outcome import Task

    renamed = [task for task in tasks if isinstance(task, Task) and task.renamed]
    if renamed:
        say(
            f"{len(renamed)} of {len(tasks)} outputs get their source's whole name, such as {renamed[0].output}: "
            "by their stems alone, several would be one file"
        )


def summarise(outcomes: list[Outcome], others: int = 0) -> str:
    """One line on the whole run; `others` counts the files in the folders that were no pictures."""
    if len(outcomes) == 1 and outcomes[0].size and outcomes[0].output_size:
        return f"{printable(outcomes[0].task.output)}: {sizes_of(outcomes[0])}"
    return counted(outcomes) + (f"; {others} other files passed over" if others else "")


def count_others(sources: list[Path], recursive: bool) -> int:
    from espcn_cli.files import is_folder
    from espcn_cli.pictures import folders

    return sum(folders.count_others(source, recursive) for source in sources if is_folder(source))


def counted(outcomes: list[Outcome]) -> str:
    from espcn_cli.upscaling.outcome import count

    return ", ".join(f"{number} {state}" for state, number in count(outcomes).items() if number or state == "upscaled")


def sizes_of(outcome: Outcome) -> str:
    assert outcome.size and outcome.output_size
    (width, height), (new_width, new_height) = outcome.size, outcome.output_size
    return f"{width} x {height} -> {new_width} x {new_height}, {outcome.seconds:.1f} s"


def show_expected(outcomes: list[Outcome], as_json: bool, quiet: bool) -> None:
    """What a run would do, on stdout, a line each unless it comes as JSON; what it could not do, on stderr."""
    for outcome in outcomes:
        report(outcome, quiet)
        if not as_json and outcome.error is None:
            names = f"{printable(outcome.task.source)} -> {printable(outcome.task.output)}"
            show(f"{names}: {'skipped, the output exists' if outcome.skipped else sizes_of(outcome)}")
    if not as_json:
        number = sum(outcome.state == "upscaled" for outcome in outcomes)
        seconds = sum(outcome.seconds for outcome in outcomes)
        memory = max((outcome.memory or 0 for outcome in outcomes), default=0)
        show(f"{number} to upscale, about {seconds:.1f} s in the network, {memory / 1e6:.0f} MB at most")
