"""The command line: options -> settings -> one call -> print. Nothing below it prints, draws progress or exits."""

from __future__ import annotations

import csv
import json
import os
import shlex
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from espcn_cli import cli_autoencoder, cli_upscale
from espcn_cli.cli_upscale import INTERRUPTED, SCALE_HELP
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.settings import (
    ARCHITECTURES,
    BEFORE_SETTINGS,
    CACHES,
    DEFAULT_MODEL,
    DEFAULT_SCALE,
    DEGRADATIONS,
    LOSSES,
    OPTIMISERS,
    PLANES,
    SCALES,
    SCHEDULES,
    TrainSettings,
    architecture,
)
from espcn_cli.terminal import Device, Json, Precision, Quiet, progress, say

if TYPE_CHECKING:
    from espcn_cli.benchmark import Table
    from espcn_cli.checkpoint import ModelCard
    from espcn_cli.train import Event, Loaded

TERMINATED = 143


class Commands(TyperGroup):
    """Turns what the user can mend into one line on stderr and an exit code; anything else is our bug and shows."""

    def invoke(self, ctx: Any) -> Any:
        signal.signal(signal.SIGTERM, _terminated)
        try:
            return super().invoke(ctx)
        except EspcnError as error:
            say(f"espcn: {error}")
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            say("espcn: interrupted")
            raise typer.Exit(INTERRUPTED) from None


def _terminated(signum: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(TERMINATED)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Super-resolution with sub-pixel convolutions: upscale pictures, train networks, measure both.",
)

app.add_typer(cli_autoencoder.app, name="autoencoder")

TRAIN = TrainSettings()


def show_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"espcn {version('espcn')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


app.command()(cli_upscale.upscale)


@app.command()
def train(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="DATA", help="Folders of pictures of any size and kind; each is drawn as often."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The checkpoint. Default: here, named by model and scale.")
    ] = None,
    valid: Annotated[
        Path | None, typer.Option(help="Folder of pictures to measure by. Default: a held-out tenth of DATA.")
    ] = None,
    model: Annotated[
        str, typer.Option("--architecture", "--model", "-m", help=f"{', '.join(ARCHITECTURES)}.")
    ] = DEFAULT_MODEL,
    scale: Annotated[int, typer.Option("--scale", "-s", help=SCALE_HELP)] = DEFAULT_SCALE,
    planes: Annotated[
        str, typer.Option(metavar="luma|rgb", help="What the network sees; with luma, chroma is interpolated.")
    ] = "luma",
    init: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH",
            help="Start from a checkpoint, of this scale or another; a network of other widths is widened or narrowed.",
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps of training.")] = TRAIN.steps,
    minutes: Annotated[
        float, typer.Option(help="Train for so long instead; the learning rate falls accordingly.")
    ] = TRAIN.minutes,
    loss: Annotated[str, typer.Option(metavar="|".join(LOSSES), help="What a step makes smaller.")] = TRAIN.loss,
    batch_size: Annotated[int, typer.Option(help="Patches per step.")] = TRAIN.batch_size,
    patch_size: Annotated[int, typer.Option(help="HR pixels of a patch's side.")] = TRAIN.patch_size,
    candidates: Annotated[
        int, typer.Option(help="Each patch is the most detailed of so many random ones; 1 takes any.")
    ] = TRAIN.candidates,
    optimiser: Annotated[
        str,
        typer.Option(
            metavar="|".join(OPTIMISERS), help="How weights follow their gradients; soap takes a higher rate, say 5e-3."
        ),
    ] = TRAIN.optimiser,
    learning_rate: Annotated[float, typer.Option(help="Highest learning rate.")] = TRAIN.learning_rate,
    schedule: Annotated[
        str, typer.Option(metavar="|".join(SCHEDULES), help="How the learning rate falls, to zero at the end.")
    ] = TRAIN.schedule,
    warmup: Annotated[int, typer.Option(help="Steps over which the learning rate rises.")] = TRAIN.warmup,
    degradation: Annotated[
        str, typer.Option(metavar="|".join(DEGRADATIONS), help="How LR is made; camera: blur, noise and JPEG.")
    ] = TRAIN.degradation,
    finish: Annotated[
        float, typer.Option(help="Last share of the training, say 0.2, with MSE loss and patches twice as large.")
    ] = TRAIN.finish,
    patience: Annotated[
        int, typer.Option(help="Stop after so many validations without a better one; 0 never does.")
    ] = TRAIN.patience,
    clip: Annotated[float, typer.Option(help="Greatest norm of the gradient; 0 leaves it as it is.")] = TRAIN.clip,
    ema_decay: Annotated[float, typer.Option(help="Weight averaging; 0 turns it off.")] = TRAIN.ema_decay,
    expansion: Annotated[
        int, typer.Option(help="Width of the linear blocks merged at the end; 0 trains plain layers.")
    ] = TRAIN.expansion,
    validate_every: Annotated[
        int, typer.Option(help="Steps between validations; each saves the checkpoint and the training state.")
    ] = TRAIN.validate_every,
    seed: Annotated[int, typer.Option(help="Same seed, data and machine: same weights.")] = TRAIN.seed,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted training stopped.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads that read the pictures. Default: as many as compute.")
    ] = None,
    cache: Annotated[
        str, typer.Option(metavar="|".join(CACHES), help="Where decoded pictures are kept; auto: where they fit.")
    ] = CACHES[0],
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write the log as TensorBoard events too, beside log.csv.")
    ] = False,
    license: Annotated[str, typer.Option(help="A line on the weights' licence, kept in the checkpoint.")] = "",
    device: Device = "auto",
    precision: Precision = "auto",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a network on folders of pictures and save it as a checkpoint.

    LR is made from each whole picture by MATLAB's bicubic on 8 bits. The averaged weights that score best on the
    validation pictures are saved; a folder beside them holds the last ones, log.csv, curves.png and sample.png
    (bicubic, network, truth). Ctrl-C saves the training state; the same command with --resume goes on from there.
    """
    from espcn_cli import checkpoint
    from espcn_cli import train as flow
    from espcn_cli.run_folder import RunFolder

    if planes not in PLANES:
        raise UsageError(f"--planes {planes!r}: use {' or '.join(PLANES)}")
    if cache not in CACHES:
        raise UsageError(f"--cache {cache!r}: use {', '.join(CACHES)}")
    try:
        model_settings = architecture(model, scale, PLANES[planes])
        settings = TrainSettings(
            steps=steps,
            minutes=minutes,
            loss=loss,
            clip=clip,
            degradation=degradation,
            finish=finish,
            patience=patience,
            batch_size=batch_size,
            patch_size=patch_size,
            candidates=candidates,
            optimiser=optimiser,
            learning_rate=learning_rate,
            schedule=schedule,
            warmup=warmup,
            ema_decay=ema_decay,
            expansion=expansion,
            validate_every=validate_every,
            seed=seed,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    quiet = quiet or os.environ.get("RANK", "0") != "0"  # under torchrun, rank 0 alone draws and prints
    path = output or Path(f"{model}_x{scale}.safetensors")
    job = flow.make_job(
        sources,
        path,
        model,
        model_settings,
        settings,
        valid,
        device=device,
        precision=precision,
        license=license,
        workers=workers,
        init=checkpoint.find(init, scale) if init else None,
        cache=cache,
        tensorboard=tensorboard,
    )
    with (
        progress(len(job.pictures), "picture", quiet, desc="reading") as reading,
        progress(steps, "step", quiet, desc="training", smoothing=0.05) as bar,
    ):
        screen = TrainingScreen(reading, bar, quiet)
        try:
            card = flow.train(job, resume, screen)
        except KeyboardInterrupt:
            command = shlex.join(["espcn", *sys.argv[1:], *([] if resume else ["--resume"])])
            say(f"espcn: stopped; {RunFolder.of(path).state} is saved, and this goes on from it:\n  {command}")
            raise typer.Exit(INTERRUPTED) from None
    if as_json and os.environ.get("RANK", "0") == "0":
        typer.echo(json.dumps({"output": str(path), **card.metrics}, indent=2))
    elif not quiet:
        typer.echo(f"{path}: {describe_gain(card)}")


def describe_gain(card: ModelCard) -> str:
    """What the validation pictures say: over bicubic, and over the checkpoint that the training started from."""
    scores, first = card.metrics["validation"], card.training["history"][0]
    psnr = scores["psnr"]
    line = f"{psnr:.2f} dB on {scores['images']} validation pictures, {psnr - scores['bicubic']:+.2f} dB over bicubic"
    if first["step"] == 0:
        gain = psnr - first["psnr"]
        line += f", {gain:+.2f} dB over its start" if gain >= 0.005 else ", no gain over its start"
    return line


class TrainingScreen:
    """Draws what `train` reports: two bars, and one line per validation."""

    def __init__(self, reading: Any, bar: Any, quiet: bool) -> None:
        self.reading, self.bar, self.quiet = reading, bar, quiet
        self.loss: float | None = None
        self.psnr: float | None = None

    def __call__(self, event: Event) -> None:
        from espcn_cli import train as flow

        if isinstance(event, flow.Loading):
            self.reading.update()
        elif isinstance(event, flow.Loaded):
            self.reading.close()
            self.bar.reset()  # its clock starts now
            self._loaded(event)
        elif isinstance(event, flow.Step):
            self.loss = event.loss if self.loss is None else 0.98 * self.loss + 0.02 * event.loss
            if self.bar.n == 0:  # the first step of a resumed training is not step 1
                self.bar.initial = event.step - 1
            self.bar.total = event.steps  # a training by the clock learns its number of steps as it goes
            self.bar.n = event.step - 1
            self.bar.update()
            psnr = f"{self.psnr:.2f} dB" if self.psnr is not None else "-"
            self.bar.set_postfix(loss=f"{self.loss:.4f}", PSNR=psnr, refresh=False)
        elif isinstance(event, flow.Retreat):
            self.loss = None
            if not self.quiet:
                line = f"warning: diverged at step {event.diverged} (loss {event.loss:.3g})"
                say(f"{line}; going on from step {event.step} at {event.share:g} of the learning rate")
        else:
            self.psnr = event.psnr
            if not self.quiet:
                gain = event.psnr - event.bicubic
                speed = f"; {event.steps_per_second:.1f} steps/s, {event.waiting:.1%} of it waiting for data"
                scores = f"{event.psnr:.3f} dB, SSIM {event.ssim:.4f} ({gain:+.2f} dB over bicubic)"
                say(f"step {event.step}: {scores}{speed if event.steps_per_second else ''}")

    def _loaded(self, event: Loaded) -> None:
        if self.quiet:
            return
        for line in event.skipped:
            say(f"skipped {line}")
        for line in event.warnings:
            say(f"warning: {line}")
        counts = f"training on {event.pictures} pictures, measured by {event.validation}"
        say(f"{counts}; {len(event.skipped)} files skipped{f'; {event.cache}' if event.cache else ''}")


@app.command()
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
    from espcn_cli import benchmark as flow
    from espcn_cli import evaluation, folders
    from espcn_cli.files import is_folder
    from espcn_cli.upscale import load

    if scale not in SCALES:
        raise UsageError(f"--scale {scale}: use one of {', '.join(map(str, SCALES))}")
    if protocol not in evaluation.PROTOCOLS:
        raise UsageError(f"--protocol {protocol!r}: use {' or '.join(evaluation.PROTOCOLS)}")
    if degradation not in DEGRADATIONS:
        raise UsageError(f"--degradation {degradation!r}: use {', '.join(DEGRADATIONS)}")
    if lr is not None and (len(sources) > 1 or not is_folder(lr)):
        raise UsageError(f"--lr {lr}: name one folder of LR files for one set of pictures")
    methods = {
        name: evaluation.network(load(name, scale, device=device, precision=precision, ensemble=ensemble).engine)
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


@app.command("models")
def list_models(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH", help="Checkpoints to describe; else what is shipped.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Load the weights too, and measure the checkerboard.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the shipped models, or describe checkpoints: size, cost, how they were made and what they score.

    Of the checkerboard, -v tells two things. Ripple is what the network does print on flat grey, in levels of 255.
    The bound is what its last layer could print if it were fed any flat planes in [-1, 1]; 0 would mean never.
    """
    from espcn_cli import checkpoint

    cards = [(path, checkpoint.read_card(path)) for path in paths] if paths else checkpoint.list_shipped()
    described = [card_to_dict(path, card) | (measure_checkerboard(path) if verbose else {}) for path, card in cards]
    if paths or as_json:
        typer.echo(json.dumps(described, indent=2))
    else:
        typer.echo(format_models(described))


def format_models(models: list[dict[str, Any]]) -> str:
    measured = any("ripple" in model for model in models)
    lines = [f"{'name':10}{'scale':>6}{'parameters':>12}{'MACs/pixel':>12}{'kB':>6}{'PSNR':>8}{'bicubic':>9}"]
    lines[0] += f"{'ripple':>8}{'bound':>8}" if measured else ""
    for model in models:
        scores = model["metrics"].get("validation", {"psnr": float("nan"), "bicubic": float("nan")})
        line = f"{model['name']:10}{'x' + str(model['scale']):>6}{model['parameters']:>12,}"
        line += f"{model['macs_per_lr_pixel']:>12,}"
        line += f"{model['bytes'] / 1000:>6.0f}{scores['psnr']:>8.2f}{scores['bicubic']:>9.2f}"
        lines.append(line + (f"{model['ripple']:>8.2f}{model['checkerboard']:>8.1f}" if measured else ""))
    lines.append("MACs per LR pixel; PSNR in dB on the pictures each model was validated on, bicubic on the same.")
    return "\n".join(lines)


def measure_checkerboard(path: Path) -> dict[str, float]:
    """In levels of 255: what a network prints on flat grey, and what its last layer could."""
    from espcn_cli import checkpoint
    from espcn_cli.models import ripple
    from espcn_cli.subpixel import checkerboard

    network, _ = checkpoint.load(path)
    bound = checkerboard(network.tail.weight, network.tail.bias, network.settings.scale)
    return {"ripple": 255 * ripple(network), "checkerboard": 255 * bound}


def training_command(card: ModelCard) -> str | None:
    """The command that makes a checkpoint again, from the folders that it names; None if it does not say."""
    if "settings" not in card.training:
        return None
    folders = card.training.get("data", {}).get("folders", ["DATA"])
    planes = [name for name, count in PLANES.items() if count == card.settings.planes and name != "luma"]
    parts = ["espcn train", *map(shlex.quote, folders), "--valid VALID", f"-m {card.name}", f"-s {card.settings.scale}"]
    parts += [f"--planes {name}" for name in planes]
    parts += [f"--init {shlex.quote(card.training['init'])}"] if "init" in card.training else []
    parts += [f"--precision {card.training['precision']}"] if "precision" in card.training else []
    for name, value in {**BEFORE_SETTINGS, **card.training["settings"]}.items():
        if value != getattr(TRAIN, name, None):
            parts.append(f"--{name.replace('_', '-')} {value}")
    return " ".join(parts)


def card_to_dict(path: Path, card: ModelCard) -> dict[str, Any]:
    settings = card.settings
    return {
        "name": card.name,
        "file": str(path),
        "bytes": path.stat().st_size,
        "scale": settings.scale,
        "parameters": settings.parameters,
        "macs_per_lr_pixel": settings.macs,
        "settings": settings.to_dict(),
        "metrics": card.metrics,
        "command": training_command(card),
        "training": card.training,
        "license": card.license,
    }
