"""`espcn benchmark` on the command line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from espcn_cli.cli.terminal import (
    SCALE_HELP,
    Device,
    Json,
    MaxPixels,
    Overwrite,
    Precision,
    Quiet,
    SkipExisting,
    choose_existing,
    printable,
    progress,
    say,
    show,
    show_skipped,
)
from espcn_cli.errors import UsageError
from espcn_cli.paths import STREAM
from espcn_cli.settings import DEFAULT_MODEL, DEFAULT_SCALE, MAX_PIXELS, Degradation, Protocol, Scale

if TYPE_CHECKING:
    from espcn_cli.scoring.benchmark import Table


def benchmark(
    sources: Annotated[list[str], typer.Argument(metavar="DATA", help="Folders of HR pictures, one per set.")],
    scale: Annotated[Scale, typer.Option("--scale", "-s", help=SCALE_HELP)] = DEFAULT_SCALE,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help=f"Name or checkpoint; may be repeated. Default: {DEFAULT_MODEL}."),
    ] = None,
    lr: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Folder of given LR files; else LR is made from HR.")
    ] = None,
    protocol: Annotated[
        Protocol, typer.Option(help="Score the 8-bit picture, or the luma plane as papers do.")
    ] = "picture",
    degradation: Annotated[Degradation, typer.Option(help="How LR is made where no --lr gives it.")] = "bicubic",
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
    device: Device = "auto",
    precision: Precision = "auto",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measure PSNR and SSIM of models beside bicubic and Lanczos, per picture and in the mean."""
    from espcn_cli.files import check_destination, existing, is_folder, refuse_existing, write_csv
    from espcn_cli.network import checkpoint
    from espcn_cli.paths import file_of, path_of, source_of
    from espcn_cli.pictures import folders, opening
    from espcn_cli.scoring import benchmark as flow
    from espcn_cli.upscaling.upscaler import load

    opening.limit_pixels(max_pixels)
    choose_existing(overwrite, skip_existing)
    lr_folder = path_of(lr) if lr is not None else None
    if lr_folder and (len(sources) > 1 or not is_folder(lr_folder)):
        raise UsageError(f"--lr {lr}: name one folder of LR files for one set of pictures")
    if csv_file == str(STREAM) and as_json:
        raise UsageError("--json and --csv - cannot both go to standard output")
    names: dict[Path, str] = {}
    for name in models or [DEFAULT_MODEL]:
        names.setdefault(checkpoint.find(name, scale).resolve(), name)  # the same file twice is one model
    file = None if csv_file in (None, str(STREAM)) else file_of(csv_file)
    if file and skip_existing and existing([file]):
        show_skipped(file, quiet)
        file = None
    if file:
        read = [*map(source_of, sources), *([lr_folder] if lr_folder else []), *names]
        check_destination(file, folders.find_all(read), streams=True)
        if not overwrite:
            refuse_existing([file])
    methods = {
        name: load(name, scale, device=device, precision=precision, ensemble=ensemble).upscale
        for name in names.values()
    }
    with progress(0, "picture", quiet) as bar:
        table = flow.benchmark(sources, methods, scale, lr_folder, protocol, partial(advance, bar), degradation)
    for error in table.errors:
        say(f"espcn: {error}")
    if csv_file == str(STREAM):
        show(format_csv(table))
    else:
        show(json.dumps(table.to_dict(), indent=2) if as_json else format_table(table))
    if file:
        write_csv(file, to_rows(table), overwrite)
    if table.errors:
        raise typer.Exit(1)


def advance(bar: Any, done: int, total: int) -> None:
    """Show on a bar how many pictures are done."""
    bar.total = total
    bar.update(done - bar.n)


def format_table(table: Table) -> str:
    """Sets below each other: a line per picture, a column per method, the mean, and the protocol at the end."""
    from espcn_cli.scoring.names import distinct_names, without_suffix

    methods = list(dict.fromkeys(row.method for row in table.rows))
    headings = dict(zip(methods, distinct_names([Path(name) for name in methods], without_suffix), strict=True))
    lines: list[str] = []
    for dataset in dict.fromkeys(row.dataset for row in table.rows):
        rows = [row for row in table.rows if row.dataset == dataset]
        width = max(len(printable(image.name)) for image in rows[0].images)
        width = max(width, len(printable(dataset)), len("mean"))
        column = max(14, *(len(heading) + 2 for heading in headings.values()))
        lines.append(f"{printable(dataset):{width}}" + "".join(f"{headings[row.method]:>{column}}" for row in rows))
        lines += [
            f"{printable(images[0].name):{width}}" + "".join(f"{_cell(i.psnr, i.ssim):>{column}}" for i in images)
            for images in zip(*(row.images for row in rows), strict=True)
        ]
        means = (row.to_dict() for row in rows)
        lines.append(f"{'mean':{width}}" + "".join(f"{_cell(m['psnr'], m['ssim']):>{column}}" for m in means) + "\n")
    return "\n".join([*lines, f"PSNR in dB / SSIM; {table.protocol}"])


def format_csv(table: Table) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(to_rows(table))
    return text.getvalue().rstrip("\n")


def _cell(psnr: float, ssim: float) -> str:
    return f"{psnr:.2f}/{ssim:.4f}"


def to_rows(table: Table) -> Iterator[list[object]]:
    """A header, then a line per set, method and picture."""
    yield ["dataset", "scale", "method", "image", "psnr", "ssim"]
    for row in table.rows:
        yield from ([row.dataset, row.scale, row.method, i.name, i.psnr, i.ssim] for i in row.images)
