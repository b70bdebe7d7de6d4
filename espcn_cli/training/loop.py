"""Training: settings and pictures in, the averaged network's checkpoint out; can stop and go on exactly."""

from __future__ import annotations

import copy
import math
import platform
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from types import FrameType
from typing import Any

import torch

from espcn_cli.engines.device import PRECISIONS, choose_device, choose_precision
from espcn_cli.engines.torch_engine import Engine, out_of_memory, upscale
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.files import check_destination
from espcn_cli.maths.resize import interpolate
from espcn_cli.network import checkpoint
from espcn_cli.network.espcn import ESPCN
from espcn_cli.network.linear_path import follows, linear_path
from espcn_cli.pictures import folders
from espcn_cli.scoring import evaluation
from espcn_cli.settings import ModelSettings, TrainSettings
from espcn_cli.training.cuda_graph import Recorded
from espcn_cli.training.linear_blocks import TrainingForm
from espcn_cli.training.objective import learning_rate, make_loss
from espcn_cli.training.optimiser import OPTIMISERS
from espcn_cli.training.parallel import Group, Threads, joined, one_thread, own_device
from espcn_cli.training.patches import DataSet, Patches, hold_out, load_data, make_patches
from espcn_cli.training.run_folder import EventWriter, RunFolder
from espcn_cli.training.samples import Recipe, choose_cache
from espcn_cli.training.state import State, check_state, restore_, save_state
from espcn_cli.training.warm_start import warm_start


@dataclass(frozen=True)
class Loading:
    """`done` of `total` training pictures are read."""

    done: int
    total: int


@dataclass(frozen=True)
class Loaded:
    """The data is ready; `skipped` says of each unusable file why, `warnings` what is odd about the others.

    `cache` says where they are kept and why, if that was for us to decide.
    """

    pictures: int
    validation: int
    skipped: list[str]
    warnings: list[str] = field(default_factory=list)
    cache: str = ""


@dataclass(frozen=True)
class Step:
    step: int
    steps: int
    loss: float


@dataclass(frozen=True)
class Validation:
    """Mean scores of the averaged network on the validation pictures, beside bicubic's PSNR."""

    step: int
    psnr: float
    ssim: float
    bicubic: float
    steps_per_second: float = 0.0
    """Since the validation before; 0 where no step was taken."""
    waiting: float = 0.0
    """Share of the steps' time that was spent waiting for patches."""


@dataclass(frozen=True)
class Retreat:
    """The training diverged, and goes on from an earlier step at half the learning rate; `share` is what is left."""

    diverged: int
    step: int
    loss: float
    share: float


DIVERGED = 1.0
"""A loss that no start has: pixels are in [0, 1]."""

MOST_RETREATS = 5

Event = Loading | Loaded | Step | Validation | Retreat
Report = Callable[[Event], None]


@dataclass(frozen=True)
class Job:
    """One training: which network, from which files, how, and where it goes; `workers` threads read the pictures.
    `init` is a checkpoint to start from: one of the same kind, at this or another scale, or a narrower one.

    Without `validation` pictures, a tenth of the usable ones is held out.
    """

    output: Path
    name: str
    model: ModelSettings
    settings: TrainSettings
    pictures: list[Path]
    validation: list[Path]
    device: str = "auto"
    precision: str = "auto"
    license: str = ""
    workers: int | None = None
    init: Path | None = None
    cache: str = "auto"
    tensorboard: bool = False

    @property
    def patch(self) -> int:
        """HR pixels of a patch's side: a multiple of the scale."""
        return max(self.settings.patch_size // self.model.scale, 1) * self.model.scale


def make_job(
    sources: list[Path],
    output: Path,
    name: str,
    model: ModelSettings,
    settings: TrainSettings,
    valid: Path | None = None,
    **options: Any,
) -> Job:
    """Look up the pictures; `options` are the rest of a `Job`.

    Raises EspcnError if there are none, or if the output cannot go where it is to go: better now than hours later.
    """
    if output.suffix != ".safetensors":
        raise UsageError(f"{output}: a checkpoint's name ends in .safetensors")
    check_destination(output)
    pictures = list(folders.find_all(sources))
    if not pictures:
        raise EspcnError(f"no pictures in {', '.join(map(str, sources))}: name a folder with images")
    validation = list(folders.find_all([valid])) if valid else []
    if valid and not validation:
        raise EspcnError(f"no pictures in {valid}: name a folder with images for --valid")
    model = continued(model, options.get("init"))
    return Job(output, name, model, settings, pictures, validation, **options)


def continued(model: ModelSettings, init: Path | None) -> ModelSettings:
    """The settings to train with: a network goes on with the activation that it has, whatever its name has now."""
    return replace(model, activation=checkpoint.read_card(init).settings.activation) if init else model


def train(job: Job, resume: bool = False, report: Report = lambda event: None) -> checkpoint.ModelCard:
    """Train, validate as often as the settings say, and keep the averaged network that scored best. Returns its card.

    The folder `<output>.run` holds the last weights, the log, curves and a sample, and what resuming needs. Ctrl-C and
    SIGTERM save the training state and go on their way (KeyboardInterrupt, SystemExit); `resume` continues from there,
    and on the CPU ends with the same bits as if nothing had happened. Raises EspcnError for unusable data, a state that
    does not belong to this job, or a training that diverges again and again.
    """
    device = own_device(choose_device(job.device))
    with joined(device, job.settings.batch_size) as group:
        report = report if group.leads else lambda event: None
        run = prepare(job, device, group, resume, report)
        if job.init and not resume:
            report(validate(run))
        descend(run, report)
        group.from_leader(0)  # the others wait until rank 0 has written
    return checkpoint.read_card(job.output)


def descend(run: Run, report: Report) -> None:
    """Step until the training is finished or interrupted."""
    state, settings = run.state, run.job.settings
    began = time.monotonic() - state.seconds
    with Interruption() as interruption:
        while not finished(run) and not interruption.signal:
            started = time.perf_counter()
            loss = fitting_step(run)
            state.stepping += time.perf_counter() - started
            (state.seconds,) = run.group.from_leader(time.monotonic() - began)
            interruption.signal = run.group.greatest(interruption.signal)
            if not loss < DIVERGED:
                report(retreat_(run, loss))
                continue
            done = progress(state, settings)
            report(Step(state.step, round(state.step / done), loss))
            if state.step % settings.validate_every == 0 or done >= 1:
                result = validate(run)
                report(result)
                if math.isnan(result.psnr):
                    report(retreat_(run, loss))
                else:
                    keep(run, result)
        if interruption.signal:
            if run.group.leads:
                save_state(state, run.folder.state, run.identity)
            raise interruption.as_exception()
    if run.group.leads:
        run.folder.state.unlink(missing_ok=True)


@dataclass(frozen=True)
class Run:
    """A training under way: what it works on, what it is measured by, and the state that its steps change."""

    job: Job
    group: Group
    device: torch.device
    precision: torch.dtype
    patches: Patches
    large_patches: Patches
    pairs: list[evaluation.Pair]
    bicubic: float
    fingerprint: dict[str, int | str]
    state: State
    worker: Threads | Recorded
    events: EventWriter | None

    @property
    def folder(self) -> RunFolder:
        return RunFolder.of(self.job.output)

    @property
    def identity(self) -> dict[str, Any]:
        return {**identity(self.job), "data": self.fingerprint}


def prepare(job: Job, device: torch.device, group: Group, resume: bool, report: Report) -> Run:
    """Read the pictures and make the state; what is cheap to refuse is refused first."""
    folder = RunFolder.of(job.output)
    if resume:
        check_state(folder.state, identity(job))
    start = warm_start(job.init, job.model, job.settings.seed) if job.init else None
    choose_precision(job.precision, device, training=True)  # refuses what is none, before the pictures are read
    scale, count, degradation = job.model.scale, len(job.pictures), job.settings.degradation
    recipe = Recipe(scale, job.model.planes, degradation)
    kept = choose_cache(job.cache, job.pictures, recipe)
    pictures = load_data(job.pictures, recipe, job.patch, lambda done: report(Loading(done, count)), job.workers, kept)
    pictures, held_out = (pictures, job.validation) if job.validation else hold_out(pictures)
    pairs, unusable = load_validation(held_out, scale, degradation)
    report(
        Loaded(len(pictures.samples), len(pairs), pictures.skipped + unusable, oddities(pictures, pairs), kept.reason)
    )
    fingerprint = pictures.fingerprint
    state = make_state(job, device, start)
    if resume:
        check_state(folder.state, {"data": fingerprint})
        restore_(state, folder.state)
    precision = settle_precision(job, state, device, group)
    if group.leads:
        folder.make()
    events = folder.event_writer(state.step) if group.leads and job.tensorboard else None
    batch = job.settings.batch_size
    small = make_patches(pictures, job.patch, job.settings, device)
    large = small.of_size(min(2 * job.patch, pictures.largest_patch))
    bicubic, _ = evaluation.mean(evaluation.evaluate(evaluation.interpolation("bicubic", scale), pairs, scale))
    plain = state.network.network
    worker = Recorded(plain) if device.type == "cuda" else Threads(plain, batch // group.size, device)
    return Run(job, group, device, precision, small, large, pairs, bicubic, fingerprint, state, worker, events)


def keep(run: Run, result: Validation) -> None:
    """Save the averaged network as the last one, and as the checkpoint if none before scored better; then the state.

    Raises EspcnError if there is no space: what was saved before stays.
    """
    if not run.group.leads:
        return
    try:
        save(run, result)
    except EspcnError as error:
        again = "; with --resume, the same command goes on from the state before" if run.folder.state.exists() else ""
        raise EspcnError(f"{error}{again}") from None


def save(run: Run, result: Validation) -> None:
    network, card = plain_network(run.state.average, run.job.model), describe(run, result)
    checkpoint.save(run.folder.last, network, card)
    if validations_since_best(run.state) == 0:
        checkpoint.save(run.job.output, network, card)
    run.folder.write_log(run.state.history)
    save_state(run.state, run.folder.state, run.identity)


def validations_since_best(state: State) -> int:
    """How many validations ago the averaged network scored best: 0 if the last one did, or there was none."""
    scores = [entry["psnr"] for entry in state.history if entry["step"] > 0]
    return len(scores) - 1 - max(range(len(scores)), key=lambda i: (scores[i], -i)) if scores else 0


def finished(run: Run) -> bool:
    """Whether the steps or the minutes are over, or patience is."""
    patience = run.job.settings.patience
    stalled = 0 < patience <= validations_since_best(run.state)
    return stalled or progress(run.state, run.job.settings) >= 1


class Interruption:
    """While this is entered, Ctrl-C and SIGTERM wait for the end of a step: half a step cannot be resumed exactly.

    A second one does not wait. Does nothing outside the main thread, where Python allows no signal handlers.
    """

    def __init__(self) -> None:
        self.signal: int = 0
        self.previous: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self.previous = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal:
            raise self.as_exception()
        self.signal = number

    def as_exception(self) -> BaseException:
        return KeyboardInterrupt() if self.signal == signal.SIGINT else SystemExit(128 + self.signal)


def retreat_(run: Run, loss: float) -> Retreat:
    """Go back to the state that was saved last, and to half the learning rate: the clock runs on.

    Raises EspcnError if nothing was saved yet, or it has not helped several times before.
    """
    state = run.state
    step, retreats = state.step, state.retreats + 1
    if retreats > MOST_RETREATS or not was_saved(state):
        raise diverged(run, loss)
    restore_(state, run.folder.state)
    state.retreats = retreats
    return Retreat(step, state.step, loss, state.share)


def was_saved(state: State) -> bool:
    return any(entry["step"] > 0 and math.isfinite(entry["psnr"]) for entry in state.history)


def diverged(run: Run, loss: float) -> EspcnError:
    kept = f"{run.job.output} holds the last good weights" if was_saved(run.state) else "nothing was saved yet"
    gentler = run.state.share * run.job.settings.learning_rate / 4
    return EspcnError(
        f"training diverged at step {run.state.step} (loss {loss:.3g}); {kept}: try --learning-rate {gentler:.1g}"
    )


def oddities(pictures: DataSet, pairs: list[evaluation.Pair]) -> list[str]:
    """Warnings on pictures that are both trained on and measured by, or there twice."""
    warnings = []
    if both := pictures.holding({pair.name: pair.hr for pair in pairs}):
        named = f"{', '.join(both[:3])}{' ...' if len(both) > 3 else ''}"
        warnings.append(f"{len(both)} validation pictures are trained on too ({named}): their scores flatter")
    if twice := pictures.repeated():
        warnings.append(f"{len(twice)} training pictures are there twice, {twice[0]} among them")
    return warnings


def load_validation(paths: list[Path], scale: int, degradation: str) -> tuple[list[evaluation.Pair], list[str]]:
    """The validation pairs, and why the other files cannot be used. Raises EspcnError if none can."""
    pairs: list[evaluation.Pair] = []
    unusable: list[str] = []
    for path in paths:
        try:
            pairs.append(evaluation.make_pair(path, scale, degradation=degradation))
        except EspcnError as error:
            unusable.append(str(error))
    if not pairs:
        raise EspcnError(f"no usable validation picture; the first: {unusable[0]}")
    return pairs, unusable


def make_state(job: Job, device: torch.device, start: ESPCN | None = None) -> State:
    """A start from the seed or a trained network: the global generator makes weights, one of its own the patches."""
    torch.manual_seed(job.settings.seed)
    plain = start or ESPCN(job.model)
    path = linear_path(job.model)
    held = path if follows(plain.state_dict(), path) else {}
    network = TrainingForm(plain, job.settings.expansion, trained=start is not None, held=held).to(device)
    average = copy.deepcopy(network).requires_grad_(False)
    optimiser = OPTIMISERS[job.settings.optimiser](network.parameters())
    return State(network, average, optimiser, torch.Generator().manual_seed(job.settings.seed))


def settle_precision(job: Job, state: State, device: torch.device, group: Group) -> torch.dtype:
    """The precision of all processes' steps, noted in the state: `auto` stays what it was before an interruption."""
    asked = state.precision if job.precision == "auto" else job.precision
    own = list(PRECISIONS.values()).index(choose_precision(asked, device, training=True))
    (leaders,) = group.from_leader(own)
    state.precision, precision = list(PRECISIONS.items())[int(leaders)]
    return precision


def progress(state: State, settings: TrainSettings) -> float:
    """How much of the training is done: 0 at the start, 1 or more at the end."""
    if settings.minutes:
        return state.seconds / (60 * settings.minutes)
    return state.step / settings.steps


def fitting_step(run: Run) -> float:
    """Take a step. Raises EspcnError with the remedy if the batch does not fit in memory."""
    try:
        return take_step(run)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
    batch, patch = run.job.settings.batch_size, run.job.patch
    raise EspcnError(
        f"{batch} patches of {patch} x {patch} do not fit in memory: try --batch-size {max(batch // 2, 1)}"
        f"{', a smaller --patch-size,' if batch > 1 else ' or a smaller --patch-size'} or --finish 0"
    )


@one_thread()
def take_step(run: Run) -> float:
    """Draw a batch, descend once on its loss, move the average. Returns the loss.

    The last share of the training, `finish`, takes MSE and larger patches: what PSNR measures, with less border.
    """
    state, settings = run.state, run.job.settings
    done = progress(state, settings)
    finishing = done >= 1 - settings.finish
    started = time.perf_counter()
    lr, hr = map(run.group.share, (run.large_patches if finishing else run.patches).draw(state.generator))
    state.drawing += time.perf_counter() - started
    loss_of = make_loss("mse" if finishing else settings.loss, run.device.type, run.precision)
    merged = state.network.merged()
    loss, gradients = run.worker.gradients(loss_of, merged, lr.to(run.device), hr.to(run.device))
    run.group.average_([*gradients, loss])
    state.network.zero_grad()
    torch.autograd.backward(list(merged.values()), gradients)
    if settings.clip:
        torch.nn.utils.clip_grad_norm_(state.network.parameters(), settings.clip)
    state.optimiser.step(state.share * learning_rate(settings, state.step, done))
    state.step += 1
    decay = min(settings.ema_decay, state.step / (state.step + 10))  # the first steps are soon forgotten
    with torch.no_grad():
        torch._foreach_lerp_(list(state.average.parameters()), list(state.network.parameters()), 1 - decay)
    state.losses.append(loss.item())
    return state.losses[-1]


def plain_network(form: TrainingForm, settings: ModelSettings) -> ESPCN:
    """A copy in inference form: linear blocks merged into plain convolutions."""
    plain = ESPCN(settings)
    plain.load_state_dict(form.merged())
    return plain


def validate(run: Run) -> Validation:
    """Score the averaged network by the benchmark's own protocol, in fp32, and note how the training went since."""
    state, settings, scale = run.state, run.job.settings, run.job.model.scale
    psnr = ssim = 0.0
    if run.group.leads:
        engine = Engine(plain_network(state.average, run.job.model), run.device)
        psnr, ssim = evaluation.mean(evaluation.evaluate(evaluation.network(engine), run.pairs, scale))
        first = run.pairs[0]
        run.folder.write_sample(interpolate(first.lr, scale), upscale(engine, first.lr), first.hr)
    psnr, ssim = run.group.from_leader(psnr, ssim)
    entry = {"step": state.step, "seconds": round(state.seconds, 1), "psnr": psnr, "ssim": ssim}
    if state.losses:
        entry["loss"] = fmean(state.losses)
        rate = learning_rate(settings, state.step, progress(state, settings))
        entry["learning_rate"] = state.share * rate
        entry["steps_per_second"] = len(state.losses) / max(state.stepping, 1e-3)
        entry["waiting"] = state.drawing / max(state.stepping, 1e-3)
        state.losses.clear()
        state.stepping = state.drawing = 0.0
    state.history.append({key: round(value, 6) for key, value in entry.items()})
    if run.events:
        run.events.write(state.history[-1])
    return Validation(
        state.step, psnr, ssim, run.bicubic, entry.get("steps_per_second", 0.0), entry.get("waiting", 0.0)
    )


def describe(run: Run, result: Validation) -> checkpoint.ModelCard:
    """How the checkpoint was made and what it scores."""
    job, state = run.job, run.state
    training = {
        "data": {**run.fingerprint, "folders": sorted({path.parent.name for path in job.pictures})},
        "settings": job.settings.to_dict(),
        "step": state.step,
        "seconds": round(state.seconds),
        "precision": state.precision,
        **({"init": job.init.name} if job.init else {}),
        "versions": {"espcn": version("espcn"), "torch": torch.__version__, "python": platform.python_version()},
        "history": state.history,
    }
    metrics = {
        "validation": {
            "psnr": round(result.psnr, 4),
            "ssim": round(result.ssim, 5),
            "bicubic": round(result.bicubic, 4),
            "images": len(run.pairs),
            "protocol": evaluation.describe("picture", job.model.scale, degradation=job.settings.degradation),
        }
    }
    return checkpoint.Card(job.model, job.name, training, metrics, job.license)


def identity(job: Job) -> dict[str, Any]:
    """What a training state and a job must have in common, besides the data."""
    start = {"init": str(job.init)} if job.init else {}
    return {"name": job.name, "model": job.model.to_dict(), "settings": job.settings.to_dict(), **start}
