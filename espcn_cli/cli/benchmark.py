"""`espcn benchmark` on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from espcn_cli.cli.terminal import (
    SCALE_HELP,
    Device,
    Json,
    MaxPixels,
    Precision,
    Quiet,
    printable,
    progress,
    say,
    show,
    show_json,
)
from espcn_cli.errors import UsageError
from espcn_cli.figures import figure
from espcn_cli.settings import DEFAULT_MODEL, DEFAULT_SCALE, MAX_PIXELS, Degradation, Protocol, Scale

if TYPE_CHECKING:
    from espcn_cli.scoring.benchmark import Table


def benchmark(
    sources: Annotated[list[Path], typer.Argument(metavar="DATA", help="Folders of HR pictures, one per set.")],
    scale: Annotated[Scale, typer.Option("--scale", "-s", help=SCALE_HELP)] = DEFAULT_SCALE,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help=f"Name or checkpoint; may be repeated. Default: {DEFAULT_MODEL}."),
    ] = None,
    lr: Annotated[Path | None, typer.Option(help="Folder of given LR files; else LR is made from HR.")] = None,
    protocol: Annotated[
        Protocol, typer.Option(help="Score the 8-bit picture, or the luma plane as papers do.")
    ] = "picture",
    degradation: Annotated[Degradation, typer.Option(help="How LR is made where no --lr gives it.")] = "bicubic",
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Measure the models' mean over the eight flips and quarter turns.")
    ] = False,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write each picture's scores to a CSV file.")] = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    device: Device = "auto",
    precision: Precision = "auto",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measure PSNR and SSIM of models beside bicubic and Lanczos, per picture and in the mean."""
    from espcn_cli.files import check_destination, is_folder, write_csv
    from espcn_cli.network import checkpoint
    from espcn_cli.pictures import folders, opening
    from espcn_cli.scoring import benchmark as flow
    from espcn_cli.upscaling.upscaler import load

    opening.limit_pixels(max_pixels)
    if lr is not None and (len(sources) > 1 or not is_folder(lr)):
        raise UsageError(f"--lr {lr}: name one folder of LR files for one set of pictures")
    names: dict[Path, str] = {}
    for name in models or [DEFAULT_MODEL]:
        names.setdefault(checkpoint.find(name, scale).resolve(), name)  # the same file twice is one model
    if csv_file:
        pictures = folders.find_all([*sources, *([lr] if lr else [])])
        check_destination(csv_file, [*pictures, *names])
    methods = {
        name: load(name, scale, device=device, precision=precision, ensemble=ensemble).upscale
        for name in names.values()
    }
    with progress(0, "picture", quiet) as bar:
        table = flow.benchmark(sources, methods, scale, lr, protocol, partial(advance, bar), degradation)
    for error in table.errors:
        say(f"espcn: {error}")
    if as_json:
        show_json(table.to_dict())
    else:
        show(format_table(table))
    if csv_file:
        write_csv(csv_file, to_rows(table))
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


def _cell(psnr: float, ssim: float) -> str:
    return f"{figure(psnr)}/{figure(ssim, 4)}"


def to_rows(table: Table) -> Iterator[list[object]]:
    """A header, then a line per set, method and picture."""
    yield ["dataset", "scale", "method", "image", "psnr", "ssim"]
    for row in table.rows:
        yield from ([row.dataset, row.scale, row.method, i.name, i.psnr, i.ssim] for i in row.images)
