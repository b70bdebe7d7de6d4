"""`espcn train` on the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from espcn_cli.cli.resuming import describe_rest
from espcn_cli.cli.stopping import last_words
from espcn_cli.cli.terminal import (
    SCALE_HELP,
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
from espcn_cli.errors import UsageError
from espcn_cli.figures import amount, figure
from espcn_cli.settings import (
    ARCHITECTURES,
    CACHE_GIGABYTES,
    CACHES,
    DEFAULT_MODEL,
    DEFAULT_SCALE,
    MAX_PIXELS,
    PLANES,
    Cache,
    Degradation,
    Loss,
    Optimiser,
    Planes,
    Scale,
    Schedule,
    TrainSettings,
    architecture,
)

if TYPE_CHECKING:
    from espcn_cli.network.checkpoint import ModelCard
    from espcn_cli.settings import ModelSettings
    from espcn_cli.training.events import Event, Loaded

TRAIN = TrainSettings()


def train(
    context: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA", help="Folders of pictures of any size and kind; each picture is drawn equally often."
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="The checkpoint. Default: here, named by model and scale."),
    ] = None,
    valid: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Folder of pictures to measure by. Default: a held-out tenth of DATA."),
    ] = None,
    lr: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of LR pictures of your own for DATA and --valid, matched by name. Pairs of other sizes, or "
            "that do not lie on each other, are named and left out.",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            "--architecture",
            "--model",
            "-m",
            help=f"{', '.join(ARCHITECTURES)}, or the form of one of your own models by name.",
        ),
    ] = DEFAULT_MODEL,
    scale: Annotated[Scale, typer.Option("--scale", "-s", help=SCALE_HELP)] = DEFAULT_SCALE,
    planes: Annotated[Planes, typer.Option(help="What the network sees; with luma, colours follow it.")] = "luma",
    init: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH",
            help="Start from a checkpoint, of this scale or another; a network of other widths is widened or narrowed, "
            "an imported one keeps its layers, whatever -m says.",
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps of training.")] = TRAIN.steps,
    minutes: Annotated[float, typer.Option(help="Train for this many minutes instead of --steps.")] = TRAIN.minutes,
    loss: Annotated[Loss, typer.Option(help="The loss that training minimises.")] = TRAIN.loss,
    batch_size: Annotated[int, typer.Option(help="Patches per step.")] = TRAIN.batch_size,
    patch_size: Annotated[int, typer.Option(help="HR pixels of a patch's side.")] = TRAIN.patch_size,
    candidates: Annotated[
        int, typer.Option(help="Each patch is the most detailed of this many random ones.")
    ] = TRAIN.candidates,
    optimiser: Annotated[
        Optimiser, typer.Option(help="Optimiser; soap takes a higher learning rate, about 5e-3.")
    ] = TRAIN.optimiser,
    learning_rate: Annotated[float, typer.Option(help="Highest learning rate.")] = TRAIN.learning_rate,
    schedule: Annotated[
        Schedule, typer.Option(help="How the learning rate falls, to zero at the end.")
    ] = TRAIN.schedule,
    warmup: Annotated[int, typer.Option(help="Steps over which the learning rate rises.")] = TRAIN.warmup,
    degradation: Annotated[
        Degradation,
        typer.Option(
            help="How LR is made. camera: blur, noise and JPEG; real: all that happens to people's pictures, and text."
        ),
    ] = TRAIN.degradation,
    drawings: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Folder of drawings, a fifth of what --degradation real learns from."),
    ] = None,
    mixtures: Annotated[
        bool,
        typer.Option(
            "--mixtures",
            help="With --degradation real and --init: learn weights that are good at every strength, mixed with the "
            "start's, or with its sister's if it is real.",
        ),
    ] = TRAIN.mixtures,
    quantise: Annotated[
        bool,
        typer.Option("--quantise", help="With --init: learn weights that lose least where they are rounded to int8."),
    ] = TRAIN.quantise,
    finish: Annotated[
        float, typer.Option(help="Last share of the training, say 0.2, with MSE loss and patches twice as large.")
    ] = TRAIN.finish,
    patience: Annotated[
        int, typer.Option(help="Stop after this many validations without a better one; 0: never.")
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
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted training; start afresh if there is none.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Threads that read pictures and make what --degradation real learns from, on a GPU processes. "
            "Default: as many as compute.",
        ),
    ] = None,
    cache: Annotated[
        Cache,
        typer.Option(
            help="Where decoded pictures are kept; auto: where they fit. On the disk, those used longest ago go when "
            f"all take more than {CACHE_GIGABYTES} GB."
        ),
    ] = CACHES[0],
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write the log as TensorBoard events too, beside log.csv.")
    ] = False,
    license: Annotated[str, typer.Option(help="A line on the weights' licence, kept in the checkpoint.")] = "",
    max_pixels: MaxPixels = MAX_PIXELS,
    device: Device = "auto",
    precision: TrainingPrecision = "auto",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a network on folders of pictures and save it as a checkpoint.

    LR is made from each whole picture by MATLAB's bicubic on 8 bits, or given by --lr. The averaged weights that score
    best on the validation pictures are saved; a folder beside them holds the last ones, log.csv, curves.png and
    sample.png (bicubic, network, truth). Ctrl-C finishes the step and saves the training state, a second one ends at
    once; the same command with --resume continues it.
    """
    from espcn_cli.files import is_file
    from espcn_cli.network import named
    from espcn_cli.paths import file_of, source_of
    from espcn_cli.pictures import opening
    from espcn_cli.training import loop
    from espcn_cli.training.job import make_job, refuse_existing
    from espcn_cli.training.run_folder import RunFolder

    settings = settings_of(TrainSettings, context)
    source = context.get_parameter_source("planes")
    chosen = PLANES[planes] if source is not None and source.name == "COMMANDLINE" else None
    model_settings = parse_form(model, scale, chosen)
    opening.limit_pixels(max_pixels)
    leads = os.environ.get("RANK", "0") == "0"  # under torchrun, rank 0 alone draws and prints
    quiet = quiet or not leads
    choose_existing(overwrite, skip_existing)
    path = Path(f"{model}_x{scale}.safetensors") if output is None else file_of(output)
    if skip_existing and is_file(path) and not (resume and is_file(RunFolder.of(path).state)):
        show_skipped(path, quiet, as_json and leads)
        return
    job = make_job(
        [source_of(source) for source in sources],
        path,
        model,
        model_settings,
        settings,
        None if valid is None else source_of(valid),
        None if drawings is None else source_of(drawings),
        None if lr is None else source_of(lr),
        device=device,
        precision=precision,
        license=license,
        workers=workers,
        init=None if init is None else named.find(init, scale),
        cache=cache,
        tensorboard=tensorboard,
    )
    if not overwrite:
        refuse_existing(path, resume)
    with (
        progress(len(job.pictures) + len(job.drawings), "picture", quiet, desc="reading") as loading,
        progress(steps, "step", quiet, desc="training", smoothing=0.05) as bar,
    ):
        screen = TrainingScreen(loading, bar, quiet)
        with last_words(lambda: screen.describe_rest(path, resume) if leads else []):
            card = loop.carry_out(job, resume, screen)
    if as_json and leads:
        show_json({"output": str(path), **card.metrics})
    elif not quiet:
        show(f"{path}: {describe_gain(card)}")


def parse_form(name: str, scale: Scale, planes: int | None) -> ModelSettings:
    """An architecture, or the form of one's own model; `planes` None is luma for the one, its own for the other.

    Raises UsageError for another name.
    """
    from espcn_cli.network import named

    own = None if name in ARCHITECTURES else named.form(name, scale, planes)
    try:
        return own or architecture(name, scale, planes or PLANES["luma"])
    except ValueError as error:
        raise UsageError(f"{error}, and no model of your own is called so") from None


def describe_gain(card: ModelCard) -> str:
    """What the validation pictures say: over bicubic, and over the checkpoint that the training started from."""
    scores, first = card.metrics["validation"], card.training["history"][0]
    psnr = scores["psnr"]
    line = f"{figure(psnr)} dB on {amount(scores['images'], 'validation picture')}"
    line += f", {figure(psnr - scores['bicubic'], sign='+')} dB over bicubic"
    if first["step"] == 0 and first["psnr"] is not None:
        gain = psnr - first["psnr"]
        line += f", {figure(gain, sign='+')} dB over its start" if gain >= 0.005 else ", no gain over its start"
    return line


class TrainingScreen:
    """Draws what `train` reports: two bars, and one line per validation."""

    def __init__(self, reading: Any, bar: Any, quiet: bool) -> None:
        self.reading, self.bar, self.quiet = reading, bar, quiet
        self.loss: float | None = None
        self.psnr: float | None = None
        self.step = 0
        self.saved: int | None = None

    def __call__(self, event: Event) -> None:
        from espcn_cli.training import events

        if isinstance(event, events.Afresh):
            if not self.quiet:
                say(f"nothing to resume, as there is no {event.state}: starting afresh")
        elif isinstance(event, events.Saved):
            self.saved = event.step
        elif isinstance(event, events.Loading):
            self.reading.update()
        elif isinstance(event, events.Loaded):
            self.reading.close()
            self.bar.reset()  # its clock starts now
            self._loaded(event)
        elif isinstance(event, events.Step):
            self.step = event.step
            self.loss = event.loss if self.loss is None else 0.98 * self.loss + 0.02 * event.loss
            if self.bar.n == 0:  # the first step of a resumed training is not step 1
                self.bar.initial = event.step - 1
            self.bar.total = event.steps  # a training by the clock learns its number of steps as it goes
            self.bar.n = event.step - 1
            self.bar.update()
            psnr = f"{figure(self.psnr)} dB" if self.psnr is not None else "-"
            self.bar.set_postfix(loss=f"{self.loss:.4f}", PSNR=psnr, refresh=False)
        elif isinstance(event, events.Retreat):
            self.step = event.step
            self.loss = None
            if not self.quiet:
                line = f"warning: diverged at step {event.diverged} (loss {event.loss:.3g})"
                say(f"{line}; going on from step {event.step} at {event.share:g} of the learning rate")
        else:
            self.psnr = event.psnr
            if not self.quiet:
                gain = figure(event.psnr - event.bicubic, sign="+")
                speed = f"; {event.steps_per_second:.1f} steps/s, {event.waiting:.1%} of it waiting for data"
                scores = f"{figure(event.psnr, 3)} dB, SSIM {figure(event.ssim, 4)} ({gain} dB over bicubic)"
                say(f"step {event.step}: {scores}{speed if event.steps_per_second else ''}")

    def describe_rest(self, output: Path, resumed: bool) -> list[str]:
        """What an interruption leaves: only what was reported as saved."""
        from espcn_cli.training.run_folder import RunFolder

        state = RunFolder.of(output).state
        if self.saved is None:
            return ["espcn: stopped; nothing was saved yet"]
        if not state.is_file():
            return [f"espcn: stopped; the training is finished: {output} is written"]
        return describe_rest(state, resumed, self.step - self.saved)

    def _loaded(self, event: Loaded) -> None:
        if self.quiet:
            return
        for file in event.skipped:
            say(f"skipped {file.line}")
        for line in event.warnings:
            say(f"warning: {line}")
        counts = f"training on {amount(event.pictures, 'picture')}, measured by {event.validation}"
        say(f"{counts}; {amount(len(event.skipped), 'file')} skipped{f'; {event.cache}' if event.cache else ''}")
