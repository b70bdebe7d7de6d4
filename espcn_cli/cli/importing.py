"""`espcn import` on the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from espcn_cli.cli.terminal import Json, Overwrite, Quiet, SkipExisting, choose_existing, show, show_json, show_skipped
from espcn_cli.errors import UsageError
from espcn_cli.settings import Scale

if TYPE_CHECKING:
    from espcn_cli.network.checkpoint import ModelCard


def import_network(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A network: .pth of PyTorch, .safetensors, .param of ncnn with its .bin, .pb of TensorFlow.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="NAME.safetensors", help="The checkpoint. Default: here, as FILE."),
    ] = None,
    scale: Annotated[
        Scale | None, typer.Option("--scale", "-s", help="Its scale, where FILE cannot tell: FSRCNN in PyTorch's form.")
    ] = None,
    range: Annotated[
        Literal["full", "studio"] | None,
        typer.Option(help="Where its black and white lie: 0 and 255, or 16 and 235. Default: as its makers have it."),
    ] = None,
    activation: Annotated[
        Literal["tanh", "relu", "leaky"] | None,
        typer.Option(help="What follows its hidden layers, where FILE cannot tell."),
    ] = None,
    last: Annotated[
        Literal["none", "tanh", "sigmoid"] | None,
        typer.Option(help="What follows its last layer, where FILE cannot tell."),
    ] = None,
    license: Annotated[str, typer.Option(help="The terms of its weights, recorded in the checkpoint.")] = "",
    origin: Annotated[str, typer.Option(help="Where it comes from, such as an address; recorded, too.")] = "",
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Make a checkpoint of a network that others trained: ESPCN, FSRCNN, Compact (SRVGGNetCompact) or waifu2x upconv_7.

    It does exactly what the original does, and every command takes it. What a file does not tell, such as the last
    activation, is found by what gives flat grey pictures back.
    """
    from espcn_cli.exchange import importing
    from espcn_cli.files import check_destination, existing, refuse_existing
    from espcn_cli.network import checkpoint
    from espcn_cli.paths import file_of

    choose_existing(overwrite, skip_existing)
    place = file_of(source)
    target = Path(place.with_suffix(".safetensors").name) if output is None else file_of(output)
    if target.suffix != ".safetensors":
        raise UsageError(f"{target}: a checkpoint's name ends in .safetensors")
    check_destination(target, importing.files_of(place))
    if skip_existing and existing([target]):
        show_skipped(target, quiet, as_json)
        return
    if not overwrite:
        refuse_existing([target])
    card, weights = importing.read_foreign(place, importing.Hints(scale, range, activation, last))
    made = card.training | ({"origin": origin} if origin else {})
    card = replace(card, training=made, license=license)
    checkpoint.write(target, weights, card, overwrite)
    if as_json:
        show_json({"output": str(target), **card.training, "settings": card.settings.to_dict()})
    elif not quiet:
        show(f"{target}: {describe(card)}")


def describe(card: ModelCard) -> str:
    """What was imported, in a line."""
    settings = card.settings
    planes = "luma" if settings.planes == 1 else "RGB"
    parts = [
        f"{card.training['imported']['form']} x{settings.scale} on {planes}",
        f"{settings.parameters:,} parameters",
    ]
    if settings.value_range != (0, 1):
        parts.append("black and white at 16 and 235")
    if settings.border == "edge":
        parts.append("beyond the border the edge pixels go on")
    return ", ".join(parts)
