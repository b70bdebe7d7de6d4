"""`espcn export` on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from espcn_cli.cli.terminal import (
    SCALE_HELP,
    Overwrite,
    Quiet,
    SkipExisting,
    choose_existing,
    parse_strength,
    show,
    show_skipped,
)
from espcn_cli.errors import UsageError
from espcn_cli.settings import DEFAULT_SCALE, Scale


def export(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL", help="A name from `espcn models`, or a checkpoint's path.")
    ],
    output: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="page.html upscales pictures and video in a browser and holds several models; "
            "shader.glsl is for mpv and whatever has libplacebo; model.onnx, model.xml (OpenVINO, with model.bin), "
            "model.param (ncnn, with model.bin) and model.pth (PyTorch) are for programs.",
        ),
    ],
    scale: Annotated[
        Scale | None, typer.Option("--scale", "-s", help=f"{SCALE_HELP} Default: {DEFAULT_SCALE}, or a checkpoint's.")
    ] = None,
    strength: Annotated[
        str | None,
        typer.Option(
            metavar="auto|0..1",
            help="How much damage weights whose name ends in -real undo: 0 for clean small pictures, 1 for strong "
            "compression, noise and drawings. With auto, a page holds all strengths. Default: 0.75.",
        ),
    ] = None,
    input: Annotated[
        Literal["rgb", "plane"] | None,
        typer.Option(
            help="What .onnx and .xml take: pictures, bytes of RGB with colours inside, or the floats of the network's "
            "own planes. Default: rgb."
        ),
    ] = None,
    precision: Annotated[
        Literal["fp32", "int8"],
        typer.Option(
            help="With int8, .onnx and .xml round to eight bits what goes into layers, and their weights. espcn-s and "
            "espcn-m have the ranges that it takes, clean and real, as have checkpoints of `espcn train --quantise`."
        ),
    ] = "fp32",
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    quiet: Quiet = False,
) -> None:
    """Write a network in a form that other programs run, chosen by the suffix of FILE."""
    from espcn_cli.exchange import exported, formats, importing
    from espcn_cli.files import check_destination, existing, refuse_existing, replacing
    from espcn_cli.network import named
    from espcn_cli.paths import file_of

    choose_existing(overwrite, skip_existing)
    place = file_of(output)
    make = formats.find(place.suffix, input, precision)
    inputs = [named.find(model, scale) for model in models]
    share = None if strength is None else parse_strength(strength)
    networks = [exported.read(path, share, precision) for path in inputs]
    for network, model in zip(networks, models, strict=True):
        check_scale(model, network.settings.scale, scale)
    files = {beside(place, suffix): data for suffix, data in make(networks).items()}
    for path in files:
        check_destination(path, [file for source in inputs for file in importing.files_of(source)], streams=True)
    if not (overwrite or skip_existing):
        refuse_existing([*files])
    for path in existing(files) if skip_existing else ():
        show_skipped(path, quiet)
        del files[path]
    for path, data in files.items():
        with replacing(path, overwrite) as temporary:
            temporary.write_bytes(data)
        if not quiet:
            show(f"{path}: {' | '.join(network.title for network in networks)}, {len(data) / 1000:.0f} kB")


def beside(place: Path, suffix: str) -> Path:
    """The file of another suffix that belongs to an output; the output itself for its own."""
    return place if place.suffix.lower() == suffix else place.with_suffix(suffix)


def check_scale(model: str, found: int, wanted: int | None) -> None:
    """Raise UsageError if a checkpoint has another scale than the one that is asked for."""
    if wanted is not None and found != wanted:
        raise UsageError(f"{model} upscales by {found}, not by {wanted}: name another model or scale")
