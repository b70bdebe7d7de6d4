"""`espcn upscale` on the command line."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from espcn_cli.cli.terminal import (
    INTERRUPTED,
    SCALE_HELP,
    Device,
    Json,
    MaxPixels,
    Precision,
    Quiet,
    printable,
    progress,
    say,
)
from espcn_cli.errors import UsageError
from espcn_cli.settings import DEFAULT_MODEL, DEFAULT_SCALE, MAX_PIXELS

if TYPE_CHECKING:
    from espcn_cli.upscaling.pipeline import Options, Outcome, Preview, Task
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
        int | None,
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
    max_pixels: MaxPixels = MAX_PIXELS,
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
    them, and what is not is said. Photographs come out upright. An input is never overwritten; outputs appear whole
    or not at all; a file that fails is named and the others are done.
    """
    from espcn_cli.files import is_folder
    from espcn_cli.pictures import folders, reading, writing
    from espcn_cli.upscaling import pipeline as flow
    from espcn_cli.upscaling import sizes
    from espcn_cli.upscaling.upscaler import load

    tile_size = parse_tile(tile)
    suffix = f".{format.lower().lstrip('.')}" if format else None
    streaming = destination == folders.STREAM
    if streaming and not dry_run and sys.stdout.isatty():
        raise UsageError("standard output is a terminal: redirect it to a file or a pipe")
    if streaming and as_json:
        raise UsageError("--json and the picture cannot both go to standard output")
    options = flow.Options(
        size=sizes.parse(size) if size else None,
        depth=depth,
        encoding=writing.Encoding(quality, png_level),
        skip_existing=skip_existing,
        jobs=jobs,
        stream_format=flow.stream_format(suffix) if streaming else "PNG",
    )
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # of odd files; errors are ours to say
    reading.limit_pixels(max_pixels)
    tasks = flow.plan(sources, destination, recursive, suffix)
    upscaler = load(model, scale, device=device, precision=precision, tile=tile_size, ensemble=ensemble)
    if dry_run:
        show_previews(flow.preview(upscaler, tasks, options), as_json)
        return
    outcomes: list[Outcome] = []
    try:
        do_all(upscaler, tasks, options, outcomes, quiet)
    except (KeyboardInterrupt, SystemExit) as stop:
        code = stop.code if isinstance(stop, SystemExit) and isinstance(stop.code, int) else INTERRUPTED
        left = len(tasks) - len(outcomes)
        say(f"espcn: interrupted: {count(outcomes)}, {left} left; the same with --skip-existing goes on")
        if as_json:
            typer.echo(json.dumps([outcome_to_dict(outcome) for outcome in outcomes], indent=2))
        if flow.is_reading():  # such a thread would hold the process
            sys.stdout.flush()
            os._exit(code)
        raise typer.Exit(code) from None
    if as_json:
        typer.echo(json.dumps([outcome_to_dict(outcome) for outcome in outcomes], indent=2))
    elif not quiet and not streaming:
        others = sum(folders.count_others(source, recursive) for source in sources if is_folder(source))
        typer.echo(summarise(outcomes, others))
    if any(outcome.error is not None for outcome in outcomes):
        raise typer.Exit(1)


def do_all(
    upscaler: Upscaler, tasks: list[Task | Outcome], options: Options, outcomes: list[Outcome], quiet: bool
) -> None:
    """Do the tasks under a progress bar; what became of each is said and added to `outcomes`."""
    from espcn_cli.upscaling import pipeline as flow

    work = flow.run(upscaler, tasks, options)
    with progress(len(tasks), "picture", quiet or len(tasks) == 1) as bar:
        try:
            for outcome in work:
                outcomes.append(outcome)
                bar.update()
                report_outcome(outcome, quiet)
        except (KeyboardInterrupt, SystemExit) as stop:
            outcomes += finished(work, stop)
            raise


def finished(work: Generator[Outcome, None, None], stop: BaseException) -> Iterator[Outcome]:
    """What was under way when an interruption came between two outcomes; nothing if it came within the work."""
    try:
        yield work.throw(stop)
        yield from work
    except (KeyboardInterrupt, SystemExit):
        return


def parse_tile(tile: str) -> int | None:
    """`auto` -> None, `off` -> 0, a number -> itself. Raises UsageError otherwise."""
    if tile in ("auto", "off"):
        return None if tile == "auto" else 0
    if not tile.isdecimal() or int(tile) < 1:
        raise UsageError(f"--tile {tile!r}: use auto, off or a number of LR pixels")
    return int(tile)


def report_outcome(outcome: Outcome, quiet: bool) -> None:
    if outcome.error is not None:
        say(f"espcn: {printable(outcome.error)}")
    elif not quiet:
        for warning in outcome.warnings:
            say(f"{printable(outcome.source)}: {warning}")


def outcome_to_dict(outcome: Outcome) -> dict[str, Any]:
    return {
        "source": str(outcome.source),
        "output": str(outcome.output),
        "size": outcome.size,
        "output_size": outcome.output_size,
        "seconds": round(outcome.seconds, 3),
        "warnings": list(outcome.warnings),
        "error": outcome.error,
    }


def summarise(outcomes: list[Outcome], others: int = 0) -> str:
    """One line on the whole run; `others` counts the files in the folders that were no pictures."""
    if len(outcomes) == 1 and outcomes[0].size and outcomes[0].output_size:
        (width, height), (new_width, new_height) = outcomes[0].size, outcomes[0].output_size
        line = f"{printable(outcomes[0].output)}: {width} x {height} -> {new_width} x {new_height}"
        return f"{line}, {outcomes[0].seconds:.1f} s"
    return count(outcomes) + (f"; {others} other files passed over" if others else "")


def count(outcomes: list[Outcome]) -> str:
    done = sum(outcome.output_size is not None for outcome in outcomes)
    failed = sum(outcome.error is not None for outcome in outcomes)
    counts = {"upscaled": done, "skipped": len(outcomes) - done - failed, "failed": failed}
    return ", ".join(f"{number} {word}" for word, number in counts.items() if number or word == "upscaled")


def show_previews(previews: Iterable[Preview], as_json: bool) -> None:
    """What a run would do, on stdout, a line each; what could not be done, on stderr. Exits with 1 if anything."""
    found = list(previews)
    if as_json:
        typer.echo(json.dumps([preview_to_dict(preview) for preview in found], indent=2))
    for preview in found:
        if preview.error is not None:
            say(f"espcn: {printable(preview.error)}")
        elif not as_json:
            typer.echo(describe_preview(preview))
    done = [preview for preview in found if preview.error is None and not preview.skipped]
    if not as_json:
        seconds = sum(preview.seconds for preview in done)
        memory = max((preview.memory for preview in done), default=0)
        typer.echo(f"{len(done)} to upscale, about {seconds:.1f} s in the network, {memory / 1e6:.0f} MB at most")
    if any(preview.error is not None for preview in found):
        raise typer.Exit(1)


def describe_preview(preview: Preview) -> str:
    names = f"{printable(preview.source)} -> {printable(preview.output)}"
    if preview.skipped or preview.size is None or preview.output_size is None:
        return f"{names}: skipped, the output exists"
    (width, height), (new_width, new_height) = preview.size, preview.output_size
    return f"{names}: {width} x {height} -> {new_width} x {new_height}, {preview.seconds:.1f} s"


def preview_to_dict(preview: Preview) -> dict[str, Any]:
    return {
        "source": str(preview.source),
        "output": str(preview.output),
        "size": preview.size,
        "output_size": preview.output_size,
        "seconds": round(preview.seconds, 3),
        "memory": preview.memory,
        "skipped": preview.skipped,
        "error": preview.error,
    }
