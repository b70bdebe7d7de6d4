"""`espcn benchmark` on the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from espcn_cli.cli.terminal import SCALE_HELP, Device, Json, Precision, Quiet, progress, say
from espcn_cli.errors import UsageError
from espcn_cli.settings import DEFAULT_MODEL, DEFAULT_SCALE, DEGRADATIONS, SCALES

if TYPE_CHECKING:
    from espcn_cli.scoring.benchmark import Table


def benchmark(
    sources: Annotated[list[Path], typer.Argument(metavar="DATA", help="Folders of HR pictures, one per set.")],
    scale: Annotated[int, typer.Option("--scale", "-s", help=SCALE_HELP)] = DEFAULT_SCALE,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help=f"Name or checkpoint; may be repeated. Default: {DEFAULT_MODEL}."),
    ] = None,
    lr: Annotated[Path | None, typer.Option(help="Folder of given LR files; else LR is made from HR.")] = None,
    protocol: Annotated[
        str, typer.Option(metavar="picture|plane", help="Score the 8-bit picture, or the luma plane as papers do.")
    ] = "picture",
    degradation: Annotated[
        str, typer.Option(metavar="|".join(DEGRADATIONS), help="How LR is made where no --lr gives it.")
    ] = DEGRADATIONS[0],
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Measure the models' mean over the eight flips and quarter turns.")
    ] = False,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write each picture's scores to a CSV file.")] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measure PSNR and SSIM of models beside bicubic and Lanczos, per picture and in the mean."""
    from espcn_cli.files import is_folder
    from espcn_cli.pictures import folders
    from espcn_cli.scoring import benchmark as flow
    from espcn_cli.scoring import evaluation
    from espcn_cli.upscaling.upscaler import load

    if scale not in SCALES:
        raise UsageError(f"--scale {scale}: use one of {', '.join(map(str, SCALES))}")
    if protocol not in evaluation.PROTOCOLS:
        raise UsageError(f"--protocol {protocol!r}: use {' or '.join(evaluation.PROTOCOLS)}")
    if degradation not in DEGRADATIONS:
        raise UsageError(f"--degradation {degradation!r}: use {', '.join(DEGRADATIONS)}")
    if lr is not None and (len(sources) > 1 or not is_folder(lr)):
        raise UsageError(f"--lr {lr}: name one folder of LR files for one set of pictures")
    methods = {
        name: load(name, scale, device=device, precision=precision, ensemble=ensemble).upscale
        for name in models or [DEFAULT_MODEL]
    }
    count = sum(1 for _ in folders.find_all(sources))
    with progress(count, "picture", quiet) as bar:
        table = flow.benchmark(sources, methods, scale, lr, protocol, lambda name: bar.update(), degradation)
    for error in table.errors:
        say(f"espcn: {error}")
    if csv_file:
        write_csv(table, csv_file)
    typer.echo(json.dumps(table.to_dict(), indent=2) if as_json else format_table(table))
    if table.errors:
        raise typer.Exit(1)


def format_table(table: Table) -> str:
    """Sets below each other: a line per picture, a column per method, the mean, and the protocol at the end."""
    lines: list[str] = []
    for dataset in dict.fromkeys(row.dataset for row in table.rows):
        rows = [row for row in table.rows if row.dataset == dataset]
        width = max(len(image.name) for image in rows[0].images)
        width = max(width, len(dataset), len("mean"))
        column = max(14, *(len(Path(row.method).stem) + 2 for row in rows))
        lines.append(f"{dataset:{width}}" + "".join(f"{Path(row.method).stem:>{column}}" for row in rows))
        lines += [
            f"{images[0].name:{width}}" + "".join(f"{_cell(i.psnr, i.ssim):>{column}}" for i in images)
            for images in zip(*(row.images for row in rows), strict=True)
        ]
        means = (row.to_dict() for row in rows)
        lines.append(f"{'mean':{width}}" + "".join(f"{_cell(m['psnr'], m['ssim']):>{column}}" for m in means) + "\n")
    return "\n".join([*lines, f"PSNR in dB / SSIM; {table.protocol}"])


def _cell(psnr: float, ssim: float) -> str:
    return f"{psnr:.2f}/{ssim:.4f}"


def write_csv(table: Table, path: Path) -> None:
    from espcn_cli.files import replacing

    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["dataset", "scale", "method", "image", "psnr", "ssim"])
        for row in table.rows:
            writer.writerows([row.dataset, row.scale, row.method, i.name, i.psnr, i.ssim] for i in row.images)
