"""`espcn benchmark` on the command line."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from espcn_cli.cli.terminal import (
    SCALE_HELP,
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
from espcn_cli.errors import UsageError
from espcn_cli.paths import STREAM
from espcn_cli.settings import (
    DEFAULT_FOR_PICTURES,
    DEFAULT_MODEL,
    DEFAULT_SCALE,
    MAX_PIXELS,
    Degradation,
    Protocol,
    Scale,
)

if TYPE_CHECKING:
    from espcn_cli.maths.levels import Levels
    from espcn_cli.pictures.document import Document
    from espcn_cli.upscaling.upscaler import Upscaler


def benchmark(
    sources: Annotated[
        list[str] | None, typer.Argument(metavar="DATA", help="Folders of HR pictures, one per set.")
    ] = None,
    scale: Annotated[Scale, typer.Option("--scale", "-s", help=SCALE_HELP)] = DEFAULT_SCALE,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help=f"Name or checkpoint; may be repeated. Default: {DEFAULT_MODEL}; with --degradation real "
            f"{DEFAULT_FOR_PICTURES}.",
        ),
    ] = None,
    strength: Strength = "auto",
    lr: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Folder of given LR files; else LR is made from HR.")
    ] = None,
    protocol: Annotated[
        Protocol, typer.Option(help="Score the 8-bit picture, or the luma plane as papers do.")
    ] = "picture",
    degradation: Annotated[
        Degradation,
        typer.Option(help="How LR is made where no --lr gives it; real: as people have it, a row per damage."),
    ] = "bicubic",
    rows: Annotated[
        list[str] | None,
        typer.Option(help="Of --degradation real: only rows of this name, or that begin so; may be repeated."),
    ] = None,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Measure the models' mean over the eight flips and quarter turns.")
    ] = False,
    csv_file: Annotated[
        str | None,
        typer.Option(
            "--csv", metavar="FILE", help="Write each picture's scores to a CSV file; '-' is standard output."
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
    """Measure models beside bicubic and Lanczos: PSNR and SSIM per picture and in the mean.

    With --degradation real: PSNR and brightness on JPEGs, GIFs, noise, text and more of what people have. Text,
    interfaces and patterns are drawn by the command, and need no DATA. docs/real-pictures.md names the rows.
    """
    from espcn_cli.cli import tables
    from espcn_cli.files import check_destination, existing, refuse_existing, write_csv
    from espcn_cli.network import checkpoint
    from espcn_cli.paths import file_of, path_of, source_of
    from espcn_cli.pictures import folders, opening
    from espcn_cli.scoring import benchmark as flow
    from espcn_cli.scoring import clips, recipes, suite
    from espcn_cli.upscaling.upscaler import load

    sources = sources or []
    lr_folder = path_of(lr) if lr is not None else None
    check_options(sources, lr_folder, protocol, degradation, rows)
    chosen = recipes.choose(rows or recipes.ROWS)
    opening.limit_pixels(max_pixels)
    choose_existing(overwrite, skip_existing)
    if csv_file == str(STREAM) and as_json:
        raise UsageError("--json and --csv - cannot both go to standard output")
    names: dict[Path, str] = {}
    wanted: list[str | None] = [*(models or [])] or [None if degradation == "real" else DEFAULT_MODEL]
    for name in wanted:
        path = checkpoint.find(name, scale)
        names.setdefault(path.resolve(), name or checkpoint.read_card(path).name)  # the same file twice is one model
    file = None if csv_file in (None, str(STREAM)) else file_of(csv_file)
    if file and skip_existing and existing([file]):
        show_skipped(file, quiet)
        file = None
    if file:
        read = [*map(source_of, sources), *([lr_folder] if lr_folder else [])]
        inputs = folders.find_all(read, folders.SUFFIXES | clips.SUFFIXES)
        check_destination(file, [*inputs, *names], streams=True)
        if not overwrite:
            refuse_existing([file])
    share = parse_strength(strength)
    options: Any = {"engine": engine, "device": device, "precision": precision, "ensemble": ensemble}
    with saying_warnings(quiet):
        upscalers = {name: load(name, scale, strength=share, **options) for name in names.values()}
    with progress(0, "picture", quiet) as bar:
        report = partial(advance, bar)
        table: flow.Table | suite.Table
        if degradation == "real":
            answers = {name: partial(answer, upscaler) for name, upscaler in upscalers.items()}
            table = suite.measure(list(map(source_of, sources)), answers, scale, chosen, report)
        else:
            methods = {name: upscaler.upscale for name, upscaler in upscalers.items()}
            table = flow.benchmark(sources, methods, scale, lr_folder, protocol, report, degradation)
    for error in table.errors:
        say(f"espcn: {error}")
    if csv_file == str(STREAM):
        show(tables.format_csv(table))
    elif as_json:
        show_json(table.to_dict())
    else:
        show(tables.format_table(table))
    if file:
        write_csv(file, tables.to_rows(table), overwrite)
    if table.errors:
        raise typer.Exit(1)


def check_options(
    sources: list[str], lr: Path | None, protocol: Protocol, degradation: Degradation, rows: list[str] | None
) -> None:
    """Raise UsageError for options that do not go together."""
    from espcn_cli.files import is_folder

    if degradation == "real" and (lr is not None or protocol != "picture"):
        raise UsageError("--degradation real makes LR by itself and scores pictures: leave out --lr and --protocol")
    if degradation != "real" and rows:
        raise UsageError("--rows chooses from the rows of --degradation real: add that option")
    if degradation != "real" and not sources:
        raise UsageError("Missing argument 'DATA...': name folders of HR pictures; see espcn benchmark --help")
    if lr is not None and (len(sources) > 1 or not is_folder(lr)):
        raise UsageError(f"--lr {lr}: name one folder of LR files for one set of pictures")


def answer(upscaler: Upscaler, document: Document) -> tuple[Levels, float | None]:
    """A model's answer to a picture in the suite, by the way that users' pictures take, and the strength taken."""
    strength = upscaler.strength_of(document)
    return upscaler.document(document, strength=strength).frames[0].array(), strength


def advance(bar: Any, done: int, total: int) -> None:
    """Show on a bar how many pictures are done."""
    bar.total = total
    bar.update(done - bar.n)
