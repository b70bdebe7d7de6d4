"""`espcn compare` on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from espcn_cli.cli.terminal import (
    SCALE_HELP,
    AnyDevice,
    Engine,
    MaxPixels,
    Overwrite,
    Precision,
    Quiet,
    SkipExisting,
    Strength,
    Threads,
    choose_existing,
    parse_strength,
    show,
    show_skipped,
)
from espcn_cli.errors import UsageError
from espcn_cli.figures import amount
from espcn_cli.settings import DEFAULT_FOR_PICTURES, DEFAULT_SCALE, MAX_PIXELS, Scale

if TYPE_CHECKING:
    from PIL import Image


def compare(
    picture: Annotated[str, typer.Argument(metavar="IMAGE", help="The picture to enlarge; its first frame.")],
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write a contact sheet, say sheet.png.")
    ] = None,
    report: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Write a page on which the versions lie on each other.")
    ] = None,
    hr: Annotated[str | None, typer.Option(metavar="FILE", help="The truth, to show and to score by.")] = None,
    scale: Annotated[Scale, typer.Option("--scale", "-s", help=SCALE_HELP)] = DEFAULT_SCALE,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model", "-m", help=f"Name or checkpoint; may be repeated. Default: {DEFAULT_FOR_PICTURES}, or espcn-m."
        ),
    ] = None,
    strength: Strength = "auto",
    crops: Annotated[
        list[str] | None,
        typer.Option(
            "--crop",
            metavar="X,Y,W,H",
            help="A place to show, in pixels of IMAGE; may be repeated. Default: three where methods differ most.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    max_pixels: MaxPixels = MAX_PIXELS,
    threads: Threads = None,
    engine: Engine = "auto",
    device: AnyDevice = "auto",
    precision: Precision = "auto",
    quiet: Quiet = False,
) -> None:
    """Put one picture by nearest neighbour, bicubic and models side by side, where they differ most.

    With --hr the truth stands beside them, and under each its PSNR.
    """
    from espcn_cli import cores
    from espcn_cli.exchange import importing
    from espcn_cli.files import check_destination, existing, refuse_existing
    from espcn_cli.network import named
    from espcn_cli.paths import file_of, path_of
    from espcn_cli.pictures import opening, reading, writing
    from espcn_cli.reports import page, sheet
    from espcn_cli.scoring.names import distinct_names, without_suffix
    from espcn_cli.upscaling.upscaler import load

    if output is None and report is None:
        raise UsageError("nothing to write: name a contact sheet with -o, a page's folder with --report, or both")
    choose_existing(overwrite, skip_existing)
    opening.limit_pixels(max_pixels)
    cores.limit(threads)
    places = [parse_crop(crop) for crop in crops or []]
    source, truth = file_of(picture), None if hr is None else file_of(hr)
    found: dict[Path, str] = {}
    wanted: list[str | None] = [*(models or [])] or [None]
    for name in wanted:
        path = named.find(name, scale)
        found.setdefault(path.resolve(), name or importing.read_card(path).name)
    inputs = [path for path in (source, truth, *found) if path is not None]
    written: list[Path] = []
    if output is not None:
        written.append(file_of(output))
        check_destination(written[0], inputs)
        writing.format_of(written[0])
    folder = path_of(report) if report is not None else None
    if folder is not None:
        written.append(page.check_folder(folder))
    if skip_existing and (there := existing(written)):
        for path in there:
            show_skipped(path, quiet)
        written = [path for path in written if path not in there]
        if not written:
            return
    if not overwrite:
        refuse_existing(written)
    names = distinct_names([Path(name) for name in found.values()], without_suffix)
    share = parse_strength(strength)
    upscalers = {
        name: load(str(path), scale, strength=share, engine=engine, device=device, precision=precision)
        for name, path in zip(names, found, strict=True)
    }
    original = reading.read_first(truth)[0] if truth else None
    compared = sheet.compare(source.name, reading.read_document(source), upscalers, scale, original, places)
    for path in written:
        if path.name == page.NAME and folder is not None and path.parent == folder:
            page.write(path, sheet.comparison_page(compared), overwrite)
        else:
            write_sheet(sheet.contact_sheet(compared), path, overwrite)
        if not quiet:
            count = len(compared.places)
            show(f"{path}: {amount(len(compared.versions), 'version')}, {amount(count, 'place')}")


def parse_crop(text: str) -> tuple[int, int, int, int]:
    """Left, top, width and height. Raises UsageError for anything else."""
    try:
        left, top, width, height = (int(number) for number in text.split(","))
    except ValueError:
        raise UsageError(f"--crop {text}: give left, top, width and height in pixels, such as 40,60,80,80") from None
    return left, top, width, height


def write_sheet(sheet: Image.Image, path: Path, overwrite: bool) -> None:
    from espcn_cli.pictures.document import Document
    from espcn_cli.pictures.raster import Raster
    from espcn_cli.pictures.writing import write_document

    write_document(Document((Raster(sheet),)), path, overwrite=overwrite)
