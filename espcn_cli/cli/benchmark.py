"""`espcn benchmark` on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from espcn_cli.cli.terminal import (
    AnyDevice,
    Engine,
    Json,
    MaxPixels,
    Overwrite,
    Precision,
    Quiet,
    SkipExisting,
    Strength,
    choose_existing,
    parse_strength,
    progress,
    say,
    saying_warnings,
    show,
    show_json,
    show_skipped,
)
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.paths import STREAM
from espcn_cli.settings import (
    DEFAULT_FOR_PICTURES,
    DEFAULT_MODEL,
    DEFAULT_SCALE,
    MAX_PIXELS,
    SCALES,
    Degradation,
    Protocol,
)

if TYPE_CHECKING:
    from espcn_cli.maths.levels import Levels
    from espcn_cli.pictures.document import Document
    from espcn_cli.reports.speed import Speed
    from espcn_cli.scoring.benchmark import Comparison
    from espcn_cli.scoring.suite import Method as RealMethod
    from espcn_cli.scoring.table import Again, Table
    from espcn_cli.upscaling.upscaler import Upscaler

Printed = Literal["text", "json", "csv", "markdown"]
"""What goes to standard output."""


def benchmark(
    context: typer.Context,
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="DATA", help="Folders of HR pictures, one per set; LR that lies beside them is used."),
    ] = None,
    scales: Annotated[
        list[int] | None,
        typer.Option(
            "--scale",
            "-s",
            help=f"Upscaling factor, {', '.join(map(str, SCALES))}; may be repeated. Default: {DEFAULT_SCALE}.",
        ),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help=f"Name or checkpoint; may be repeated. Default: {DEFAULT_MODEL}; with --degradation real "
            f"{DEFAULT_FOR_PICTURES}; with --outputs none.",
        ),
    ] = None,
    strength: Strength = "auto",
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FOLDER",
            help="Score pictures that another tool made of the same LR, matched by name; may be repeated.",
        ),
    ] = None,
    lr: Annotated[str | None, typer.Option(metavar="FOLDER", help="Folder of LR files to take instead.")] = None,
    protocol: Annotated[
        Protocol,
        typer.Option(
            help="What is scored: the 8-bit picture, the luma plane as papers do, RGB, luma of full range, or the "
            "picture up to its edge. But for the first, the table shows what that changes."
        ),
    ] = "picture",
    degradation: Annotated[
        Degradation | None,
        typer.Option(
            help="How LR is made; the table shows what that changes. real: as people have it, a row per damage. "
            "Default: LR that lies beside HR, else bicubic."
        ),
    ] = None,
    speed: Annotated[
        bool, typer.Option("--speed", help="Measure how fast models are here instead; needs no DATA.")
    ] = False,
    sizes: Annotated[
        list[str] | None,
        typer.Option(
            "--size", metavar="WxH", help="Of --speed: pixels of the input; may be repeated. Default: 960x540."
        ),
    ] = None,
    rows: Annotated[
        list[str] | None,
        typer.Option(help="Of --degradation real: only rows of this name, or that begin so; may be repeated."),
    ] = None,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Measure the models' mean over the eight flips and quarter turns.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show each picture, not the means alone.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table for a page in Markdown.")] = False,
    report: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Write a page: tables, charts, and pictures to be compared.")
    ] = None,
    pictures: Annotated[
        str, typer.Option(metavar="N|all", help="Pictures in the report: those that methods differ most on.")
    ] = "12",
    csv_file: Annotated[
        str | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Write each picture's scores, or speeds, to a CSV file; '-' is standard output.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    max_pixels: MaxPixels = MAX_PIXELS,
    engine: Engine = "auto",
    device: AnyDevice = "auto",
    precision: Precision = "auto",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measure models beside bicubic and Lanczos: PSNR and SSIM in the mean, with -v of each picture.

    LR is made by MATLAB's bicubic, or lies beside HR: HR/ with LR/x2/, 0801.png with 0801x2.png, and other common
    layouts. How the numbers were made stands under every table.

    With --degradation real: PSNR and brightness on JPEGs, GIFs, noise, text and more of what people have. Text,
    interfaces and patterns are drawn by the command, and need no DATA. docs/real-pictures.md names the rows.

    With --speed: milliseconds of the network alone, from picture to picture and from file to file, for every device and
    precision that is there; the share of the machine's peak, and memory.
    """
    from espcn_cli.cli import tables
    from espcn_cli.files import check_destination, existing, refuse_existing, write_csv
    from espcn_cli.paths import file_of, path_of, source_of
    from espcn_cli.pictures import folders, opening
    from espcn_cli.reports import page
    from espcn_cli.reports.scores import scores_page
    from espcn_cli.scoring import clips, recipes, suite
    from espcn_cli.scoring.benchmark import find_pictures, measure
    from espcn_cli.scoring.table import joined

    sources = sources or []
    lr_folder = path_of(lr) if lr is not None else None
    made = [path_of(folder) for folder in outputs or []]
    wanted = parse_scales(scales or [DEFAULT_SCALE])
    if speed:
        refuse_with_speed(context)
    elif sizes:
        raise UsageError("--size is the size of the input of --speed: add that option")
    else:
        check_options(sources, lr_folder, made, protocol, degradation, rows)
    check_printed(as_json, markdown, csv_file)
    opening.limit_pixels(max_pixels)
    choose_existing(overwrite, skip_existing)
    default = [] if made else [None if degradation == "real" else DEFAULT_MODEL]
    found = find_models([*(models or [])] or default, wanted)
    most = parse_pictures(pictures)
    file = None if csv_file in (None, str(STREAM)) else file_of(csv_file)
    html = page.check_folder(path_of(report)) if report is not None else None
    if skip_existing:
        for path in existing([path for path in (file, html) if path]):
            show_skipped(path, quiet)
            file, html = (None if each == path else each for each in (file, html))
    if file:
        read = [*map(source_of, sources), *made, *([lr_folder] if lr_folder else [])]
        inputs = folders.find_all(read, folders.SUFFIXES | clips.SUFFIXES)
        check_destination(file, [*inputs, *(path for paths in found.values() for path in paths)], streams=True)
    if not overwrite:
        refuse_existing([path for path in (file, html) if path])
    printed: Printed = "csv" if csv_file == str(STREAM) else "json" if as_json else "markdown" if markdown else "text"
    if speed:
        speeds, failed = measure_speed(found, sizes or [], (engine, device, precision), printed, quiet)
        if file and speeds:
            write_csv(file, tables.speeds_to_rows(speeds), overwrite)
        if failed:
            raise typer.Exit(1)
        return
    share = parse_strength(strength)
    options: Any = {
        "strength": share,
        "engine": engine,
        "device": device,
        "precision": precision,
        "ensemble": ensemble,
    }
    with saying_warnings(quiet):
        upscalers = {scale: open_models(names, scale, options) for scale, names in found.items()}
    with progress(0, "picture", quiet) as bar:
        measured: list[Table] = []
        made_again: list[Again] = []
        for scale, of_scale in upscalers.items():
            told = partial(advance, bar, len(measured), len(upscalers))
            folders_of = [source_of(source) for source in sources]
            if degradation == "real":
                real = folders_of, answers(of_scale), scale, recipes.choose(rows or recipes.ROWS)
                measured.append(suite.measure(*real, told))
                made_again.append(partial(suite.again, *real))
            else:
                comparison = compare(of_scale, scale, lr_folder, protocol, degradation, made)
                found_pictures = find_pictures(folders_of, scale)
                measured.append(measure(comparison, found_pictures, told))
                made_again.append(partial(comparison.again, found_pictures))
    table = joined(measured)
    tell(table, quiet)
    if printed == "csv":
        show(tables.format_csv(tables.to_rows(table)))
    elif printed == "json":
        show_json(table.to_dict())
    elif printed == "markdown":
        show(tables.format_markdown(table, verbose))
    else:
        show(tables.format_table(table, verbose))
    if file:
        write_csv(file, tables.to_rows(table), overwrite)
    if html:
        page.write(html, scores_page(table, made_again, most), overwrite)
    if table.errors:
        raise typer.Exit(1)


def refuse_with_speed(context: typer.Context) -> None:
    """Raise UsageError for options that --speed has no use for."""
    used = {"speed", "scales", "models", "sizes", "engine", "device", "precision", "quiet", "max_pixels"}
    used |= {"as_json", "markdown", "csv_file", "overwrite", "skip_existing"}
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name not in used and source is not None and source.name == "COMMANDLINE":
            what = "DATA" if name == "sources" else max(parameter.opts, key=len)
            raise UsageError(f"--speed makes its own pictures and measures times alone: leave out {what}")


def measure_speed(
    found: Mapping[int, Mapping[Path, str]],
    sizes: Sequence[str],
    way: tuple[str, str, str],
    printed: Printed,
    quiet: bool,
) -> tuple[list[Speed], bool]:
    """`espcn benchmark --speed`: what was measured, shown, and whether some could not be."""
    from espcn_cli.cli import tables
    from espcn_cli.reports import speed

    wanted = [parse_size(size) for size in sizes] or [speed.SIZE]
    named = [(name, scale) for scale, names in found.items() for name in names.values()]
    ways = speed.ways(*way)
    left_out = speed.without_int8(named, ways)
    rows = len(named) * len(ways) - len(left_out) * sum(each.precision == "int8" for each in ways)
    measured: list[Speed] = []
    failed = False
    with progress(rows * len(wanted), "row", quiet) as bar:
        for result in speed.measure(named, wanted, ways):
            bar.update()
            if isinstance(result, EspcnError):
                say(f"espcn: {result}")
                failed = True
            else:
                measured.append(result)
    if measured:
        names = ", ".join(f"{name} x{scale}" for name, scale in left_out)
        notes = [speed.describe(), *([f"not in int8, having no ranges for it: {names}"] if names else [])]
        if printed == "json":
            show_json({"how": "; ".join(notes), "rows": [each.to_dict() for each in measured]})
        elif printed == "csv":
            show(tables.format_csv(tables.speeds_to_rows(measured)))
        else:
            show(tables.format_speeds(measured, notes, in_markdown=printed == "markdown"))
    return measured, failed


def parse_size(text: str) -> tuple[int, int]:
    """Width and height. Raises UsageError for anything else."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UsageError(f"--size {text}: give width and height in pixels, such as 960x540")
    return int(width), int(height)


def find_models(wanted: Sequence[str | None], scales: Sequence[int]) -> dict[int, dict[Path, str]]:
    """For each scale the checkpoints and what they are called; one file is one model, and a path is for its scale.

    Raises UsageError for a checkpoint of a scale that is not measured.
    """
    from espcn_cli.exchange import importing
    from espcn_cli.network import named

    found: dict[int, dict[Path, str]] = {scale: {} for scale in scales}
    for name in wanted:
        for scale in scales:
            path = named.find(name, scale)
            card = importing.read_card(path)
            if card.settings.scale not in scales:
                only = card.settings.scale
                raise UsageError(f"{name} upscales by {only}, not by {scale}: name another model, or add -s {only}")
            found[card.settings.scale].setdefault(path.resolve(), name or card.name)
    return found


def open_models(names: Mapping[Path, str], scale: int, options: Mapping[str, Any]) -> dict[str, Upscaler]:
    """The models of one scale by name."""
    from espcn_cli.upscaling.upscaler import load

    return {name: load(name, scale, **options) for name in names.values()}


def compare(
    upscalers: Mapping[str, Upscaler],
    scale: int,
    lr: Path | None,
    protocol: Protocol,
    degradation: Degradation | None,
    made: Sequence[Path],
) -> Comparison:
    """What is measured on clean LR: models, and what other tools made."""
    from espcn_cli.scoring.benchmark import BASELINES, Comparison
    from espcn_cli.scoring.names import distinct_names

    methods = {name: upscaler.upscale for name, upscaler in upscalers.items()}
    folders = dict(zip(distinct_names([path.resolve() for path in made]), made, strict=True))
    taken = {*BASELINES, *methods}
    outputs = {f"{name} (outputs)" if name in taken else name: folder for name, folder in folders.items()}
    return Comparison(methods, scale, lr, protocol, degradation, outputs)


def answers(upscalers: Mapping[str, Upscaler]) -> dict[str, RealMethod]:
    """What models make of real pictures, by name."""
    return {name: partial(answer, upscaler) for name, upscaler in upscalers.items()}


def tell(table: Table, quiet: bool) -> None:
    """Errors, and notes unless they are not wanted. Raises EspcnError if there is nothing to show."""
    for error in table.errors:
        say(f"espcn: {error}")
    if not table.rows:
        if not table.errors:
            raise EspcnError("nothing was measured: name folders with pictures")
        raise typer.Exit(1)
    for note in [] if quiet else table.notes:
        say(f"note: {note}")


def check_options(
    sources: list[str],
    lr: Path | None,
    outputs: Sequence[Path],
    protocol: Protocol,
    degradation: Degradation | None,
    rows: list[str] | None,
) -> None:
    """Raise UsageError for options that do not go together."""
    from espcn_cli.files import is_folder

    if degradation == "real" and (lr is not None or outputs or protocol != "picture"):
        raise UsageError(
            "--degradation real makes LR by itself and scores pictures: leave out --lr, --outputs and --protocol"
        )
    if degradation != "real" and rows:
        raise UsageError("--rows chooses from the rows of --degradation real: add that option")
    if degradation != "real" and not sources:
        raise UsageError("Missing argument 'DATA...': name folders of HR pictures; see espcn benchmark --help")
    if lr is not None and (len(sources) > 1 or not is_folder(lr)):
        raise UsageError(f"--lr {lr}: name one folder of LR files for one set of pictures")
    if lr is not None and degradation is not None:
        raise UsageError("--lr gives LR, and --degradation says how to make it: leave one of them out")
    for folder in outputs:
        if not is_folder(folder):
            raise UsageError(f"--outputs {folder}: name a folder of pictures that a tool made")


def parse_scales(scales: Sequence[int]) -> list[int]:
    """Each once. Raises UsageError for what is no scale: Typer has no lists of choices that are numbers."""
    for scale in scales:
        if scale not in SCALES:
            choices = ", ".join(f"'{each}'" for each in SCALES)
            raise UsageError(f"Invalid value for '--scale' / '-s': '{scale}' is not one of {choices}")
    return list(dict.fromkeys(scales))


def parse_pictures(text: str) -> int | None:
    """How many pictures a report holds; None for all. Raises UsageError for what is no number."""
    if text == "all":
        return None
    if not text.isdecimal():
        raise UsageError(f"--pictures {text}: give a number, or all")
    return int(text)


def check_printed(as_json: bool, markdown: bool, csv_file: str | None) -> None:
    """Raise UsageError if more than one thing is to go to standard output."""
    asked = {"--json": as_json, "--markdown": markdown, "--csv -": csv_file == str(STREAM)}
    both = [option for option, given in asked.items() if given]
    if len(both) > 1:
        raise UsageError(f"{' and '.join(both)} cannot both go to standard output")


def answer(upscaler: Upscaler, document: Document) -> tuple[Levels, float | None]:
    """A model's answer to a picture in the suite, by the way that users' pictures take, and the strength taken."""
    strength = upscaler.strength_of(document)
    return upscaler.document(document, strength=strength).frames[0].array(), strength


def advance(bar: Any, before: int, rounds: int, done: int, total: int) -> None:
    """Show on a bar how many pictures are done, in which of several rounds over all of them."""
    bar.total = rounds * total
    bar.update(before * total + done - bar.n)
