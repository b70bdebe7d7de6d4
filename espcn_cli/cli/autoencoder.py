"""`espcn autoencoder train` and `espcn autoencoder reconstruct`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from espcn_cli.cli.panels import EXAMPLES, Group, Panelled
from espcn_cli.cli.stopping import last_words
from espcn_cli.cli.terminal import (
    Device,
    Json,
    MaxPixels,
    Overwrite,
    Quiet,
    SkipExisting,
    TrainingPrecision,
    choose_existing,
    progress,
    say,
    settings_of,
    show,
    show_json,
    show_skipped,
)
from espcn_cli.figures import amount
from espcn_cli.settings import MAX_PIXELS, SHEET_PICTURES, AutoencoderSettings, Upsampler

if TYPE_CHECKING:
    from espcn_cli.autoencoder.training import Epoch, Event, Loaded, Result

AUTOENCODER = AutoencoderSettings()

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="The sub-pixel autoencoder: train it on small grey pictures, look at what it rebuilds.",
)


@app.command("train", cls=Panelled, epilog=EXAMPLES["autoencoder train"])
def train(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="DATA", help="MNIST's folder, an idx3 file, or a folder of pictures.")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="The checkpoint; written whole after every epoch.")
    ] = "autoencoder.safetensors",
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    code: Annotated[int, typer.Option(help="Width of the code.")] = AUTOENCODER.code,
    upsampler: Annotated[
        Upsampler, typer.Option(help="How the decoder grows the picture; all at the same cost.")
    ] = AUTOENCODER.upsampler,
    epochs: Annotated[int, typer.Option(help="Passes over the pictures.")] = AUTOENCODER.epochs,
    batch_size: Annotated[int, typer.Option(help="Pictures per step.")] = AUTOENCODER.batch_size,
    learning_rate: Annotated[float, typer.Option(help="Adam's learning rate.")] = AUTOENCODER.learning_rate,
    seed: Annotated[int, typer.Option(help="Same seed, data and machine: same weights.")] = AUTOENCODER.seed,
    max_pixels: MaxPixels = MAX_PIXELS,
    device: Device = "auto",
    precision: TrainingPrecision = "auto",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train the autoencoder on 28 x 28 grey pictures and say what it costs and how well it rebuilds them.

    MNIST's own test pictures measure it; of other data every tenth picture is held out. Pictures of other sizes are
    made grey and fitted. Ctrl-C leaves the checkpoint of the last finished epoch.
    """
    from espcn_cli.autoencoder.training import train_autoencoder
    from espcn_cli.files import is_file
    from espcn_cli.paths import file_of, source_of
    from espcn_cli.pictures import opening

    settings = settings_of(AutoencoderSettings, context)
    opening.limit_pixels(max_pixels)
    choose_existing(overwrite, skip_existing)
    path, data = file_of(output), source_of(source)
    if skip_existing and is_file(path):
        show_skipped(path, quiet, as_json)
        return
    with progress(0, "step", quiet, desc="training", smoothing=0.05) as bar:
        screen = AutoencoderScreen(bar, quiet)
        with last_words(lambda: [screen.describe_rest(path)]):
            result = train_autoencoder(data, path, settings, device, precision, screen, overwrite)
    if as_json:
        show_json({"output": str(output), **result.to_dict()})
    elif not quiet:
        passes = amount(result.epochs, "epoch")
        show(f"{output}: test MSE {result.test_mse:.5f} after {passes}, {describe_cost(result)}")


def describe_cost(result: Result) -> str:
    return (
        f"{result.upsampler}, {result.parameters:,} parameters, {result.macs:,} multiply-adds per picture, "
        f"{result.epoch_seconds:.1f} s per epoch"
    )


class AutoencoderScreen:
    """Draws what `train_autoencoder` reports: a bar, and one line per epoch."""

    def __init__(self, bar: Any, quiet: bool) -> None:
        self.bar, self.quiet = bar, quiet
        self.epoch = 0

    def __call__(self, event: Event) -> None:
        from espcn_cli.autoencoder import training

        if isinstance(event, training.Step):
            self.bar.total = event.steps
            self.bar.n = event.step - 1
            self.bar.update()
        elif isinstance(event, training.Loaded):
            if not self.quiet:
                self._loaded(event)
        else:
            self.epoch = event.epoch
            if not self.quiet:
                self._measured(event)

    def describe_rest(self, output: Path) -> str:
        """What an interruption leaves."""
        return f"espcn: stopped; {f'{output} holds epoch {self.epoch}' if self.epoch else 'nothing was saved yet'}"

    def _loaded(self, event: Loaded) -> None:
        for line in event.skipped:
            say(f"skipped {line}")
        held = " held out of them" if event.held_out else ""
        say(f"training on {amount(event.pictures, 'picture')}, measured by {event.test}{held}")

    def _measured(self, event: Epoch) -> None:
        say(f"epoch {event.epoch}/{event.epochs}: loss {event.loss:.5f}, test MSE {event.test_mse:.5f}")
        if event.dead:
            say(f"{event.dead} of the output's 4 phases are always black: if it stays so, use another --seed")


@app.command(cls=Panelled, epilog=EXAMPLES["autoencoder reconstruct"])
def reconstruct(
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="A trained checkpoint, or `autoencoder`, the shipped one.")
    ],
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="MNIST's folder, an idx3 file, a folder of pictures, or a picture.")
    ],
    output: Annotated[
        str, typer.Argument(metavar="OUT.png", help="The contact sheet: originals over reconstructions.")
    ],
    codes: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the code of every picture: .npy, .csv or .safetensors.")
    ] = None,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    count: Annotated[int, typer.Option(help="Pictures on the sheet.")] = SHEET_PICTURES,
    max_pixels: MaxPixels = MAX_PIXELS,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Put pictures through a trained autoencoder: a contact sheet, and the codes if wanted."""
    from espcn_cli.autoencoder import network, reconstruction
    from espcn_cli.files import existing
    from espcn_cli.paths import file_of, source_of
    from espcn_cli.pictures import opening

    opening.limit_pixels(max_pixels)
    choose_existing(overwrite, skip_existing)
    sheet, codes_file = file_of(output), file_of(codes) if codes is not None else None
    outputs = [sheet, codes_file] if codes_file else [sheet]
    kept = existing(outputs) if skip_existing else []
    for path in kept:
        show_skipped(path, quiet, as_json and kept == outputs and path == sheet)
    if kept == outputs:
        return
    missing = [None if path in kept else path for path in (sheet, codes_file)]
    model, data = network.find(checkpoint), source_of(source)
    result = reconstruction.reconstruct(model, data, missing[0], missing[1], count, overwrite)
    if not quiet:
        for line in result.skipped:
            say(f"skipped {line}")
    if as_json:
        files = {"output": str(output), "codes": str(codes) if codes else None}
        show_json({**files, **result.to_dict()})
    elif not quiet:
        what = f"{codes_file}: the codes of" if sheet in kept else f"{sheet}: {result.shown} of"
        show(f"{what} {amount(result.pictures, 'picture')}; MSE {result.mse:.5f} over all")
    if result.skipped:
        raise typer.Exit(1)
