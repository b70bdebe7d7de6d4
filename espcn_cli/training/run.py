"""A training under way: pictures, state and workers, made ready for its first step."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from espcn_cli.engines.device import PRECISIONS, choose_precision
from espcn_cli.engines.engine import NotFiniteError
from espcn_cli.errors import EspcnError
from espcn_cli.figures import amount
from espcn_cli.files import is_there
from espcn_cli.maths.quantisation import Range
from espcn_cli.network import checkpoint
from espcn_cli.network.espcn import ESPCN
from espcn_cli.network.linear_path import follows, linear_path
from espcn_cli.scoring import evaluation
from espcn_cli.scoring.tensors import to_bytes
from espcn_cli.settings import TrainSettings
from espcn_cli.training import given_lr
from espcn_cli.training.calibration import calibrate, widened
from espcn_cli.training.cuda_graph import Recorded
from espcn_cli.training.device_scenes import DeviceScenePatches, fits_scenes
from espcn_cli.training.events import Loaded, Loading, Report, Saved, Skipped
from espcn_cli.training.job import Job, clean_of, identity
from espcn_cli.training.linear_blocks import TrainingForm, plain_network
from espcn_cli.training.objective import Mixture
from espcn_cli.training.optimiser import OPTIMISERS
from espcn_cli.training.parallel import Group, Threads
from espcn_cli.training.patches import DataSet, Patches, hold_out, load_data, make_patches
from espcn_cli.training.pool import Pool, ScenePatches
from espcn_cli.training.run_folder import EventWriter, RunFolder
from espcn_cli.training.samples import Recipe, choose_cache
from espcn_cli.training.scenes import ROUND, STRENGTHS, Scenes
from espcn_cli.training.state import State, check_state, restore_
from espcn_cli.training.step import Replayed, Stepper, Stepwise
from espcn_cli.training.warm_start import warm_start

AnyPatches = Patches | ScenePatches

CALIBRATING = 256
"""Patches by which ranges are found."""


@dataclass(frozen=True)
class Run:
    """A training under way: what it works on, what it is measured by, and the state that its steps change."""

    job: Job
    group: Group
    device: torch.device
    precision: torch.dtype
    patches: AnyPatches
    large_patches: AnyPatches
    pairs: list[evaluation.Pair]
    bicubic: float
    fingerprint: dict[str, int | str]
    state: State
    descend: Stepper
    events: EventWriter | None
    replaces: bool = True
    """Whether there was a file of the output's name at the start, which may be replaced: one made since may not."""
    mixtures: Sequence[Mixture] = ()
    """Which of them a step's network is, in turn; none: it has the weights that are learned alone."""
    unread: list[Tensor] = field(default_factory=list)
    """Losses of the last steps, on the device."""

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
        report(Saved(check_state(folder.state, identity(job))))
    start = warm_start(job.init, job.model, job.settings.seed) if job.init else None
    choose_precision(job.precision, device, training=True)  # refuses what is none, before the pictures are read
    scale, degradation = job.model.scale, job.settings.degradation
    recipe = Recipe(scale, 3 if degradation == "real" else job.model.planes, degradation, job.lr)
    everything = [*job.pictures, *job.drawings]
    kept = choose_cache(job.cache, everything, recipe)

    def load(paths: list[Path], before: int = 0) -> DataSet:
        return load_data(
            paths, recipe, job.patch, lambda done: report(Loading(before + done, len(everything))), job.workers, kept
        )

    pictures = load(job.pictures)
    drawings = load(job.drawings, len(job.pictures)) if job.drawings else None
    pictures, held_out = (pictures, job.validation) if job.validation else hold_out(pictures)
    pairs, unusable = load_validation(held_out, scale, degradation, job.lr)
    together = pictures.and_(drawings) if drawings else pictures
    warnings = [*job.notes, *oddities(together, pairs)]
    skipped = job.alone + together.skipped + unusable
    report(Loaded(len(together.samples), len(pairs), skipped, warnings, kept.reason))
    fingerprint = together.fingerprint
    state = make_state(job, device, start)
    mixtures = make_mixtures(job.init, device) if job.init and job.settings.mixtures else ()
    if resume:
        check_state(folder.state, {"data": fingerprint})
        restore_(state, folder.state)
    precision = settle_precision(job, state, device, group)
    if group.leads:
        folder.make()
    events = folder.event_writer(state.step) if group.leads and job.tensorboard else None
    small: AnyPatches
    if degradation == "real":
        small = draw_scenes(pictures, drawings, job, device)
    else:
        small = make_patches(pictures, job.patch, job.settings, device)
    if job.settings.quantise and not resume:
        state.quantise_(calibrated(job, state, small, group, device))
    large = small.of_size(min(2 * job.patch, small.largest_patch))
    bicubic, _ = evaluation.mean(evaluation.evaluate(evaluation.interpolation("bicubic", scale), pairs, scale))
    return Run(
        job,
        group,
        device,
        precision,
        small,
        large,
        pairs,
        bicubic,
        fingerprint,
        state,
        make_stepper(state, job.settings, device, group),
        events,
        is_there(job.output),
        mixtures,
    )


def calibrated(job: Job, state: State, patches: AnyPatches, group: Group, device: torch.device) -> list[Range]:
    """Ranges for the state's weights, by patches as the training draws them, but from a generator of their own.

    Rank 0's, at every rank. Raises EspcnError if the weights give NaN.
    """
    ranges: Sequence[Range] = ()
    if group.leads:
        generator = torch.Generator().manual_seed(job.settings.seed)
        count = math.ceil(CALIBRATING / job.settings.batch_size)
        with ExitStack() as stack:
            stack.callback(patches.close)  # whoever stops it does not want to wait for scenes
            batches = [patches.draw(generator, 0)[0].to(device) for _ in range(count)]
            try:
                plain = plain_network(state.network, job.model).to(device)
                ranges = calibrate(plain, batches)
                ranges = widened(plain, ranges) if job.settings.degradation == "real" else ranges
            except NotFiniteError:
                raise EspcnError(f"{job.init} gives NaN on the training pictures: choose another --init") from None
            stack.pop_all()
    numbers = group.from_leader(*(chain.from_iterable(ranges) if ranges else [0.0] * 2 * len(job.model.kernels)))
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def make_mixtures(init: Path, device: torch.device) -> tuple[Mixture, ...]:
    """What a step's network is in turn: the weights that are learned, mixed with the clean ones of a start."""
    _, weights = checkpoint.read(clean_of(init))
    clean = {name: torch.from_numpy(array).to(device) for name, array in weights.items()}
    of_strength = {strength: Mixture(clean, strength) for strength in STRENGTHS}
    return tuple(of_strength[strength] for strength in ROUND)


def make_stepper(state: State, settings: TrainSettings, device: torch.device, group: Group) -> Stepper:
    """A step's way: a GPU without others is told whole steps at once, as graphs."""
    plain = state.network.network
    if device.type != "cuda":
        return Stepwise(Threads(plain, settings.batch_size // group.size, device), group, settings.clip)
    return Stepwise(Recorded(plain), group, settings.clip) if group.size > 1 else Replayed(settings.clip)


def draw_scenes(pictures: DataSet, drawings: DataSet | None, job: Job, device: torch.device) -> ScenePatches:
    """Patches for `--degradation real`, from where they are drawn fastest."""
    model, settings = job.model, job.settings
    more = drawings.samples if drawings else []
    scenes = Scenes(pictures.samples, more, model.scale, model.planes, settings.seed, in_turn=settings.mixtures)
    pool = Pool(scenes.make, job.workers, processes=device.type == "cuda")
    kind = partial(DeviceScenePatches, device=device) if fits_scenes(pool, model.scale, device) else ScenePatches
    turns_of = len(ROUND) if settings.mixtures else 1
    return kind(pool, model.scale, job.patch, settings.batch_size, settings.candidates, turns_of)


def load_validation(
    paths: list[Path], scale: int, degradation: str, lr: Mapping[Path, Path] | None = None
) -> tuple[list[evaluation.Pair], list[Skipped]]:
    """The validation pairs, with `lr` as it is given for some, and why the other files cannot be used.

    Raises EspcnError if none can.
    """
    lr = lr or {}
    pairs: list[evaluation.Pair] = []
    unusable: list[Skipped] = []
    for path in paths:
        try:
            pair = evaluation.make_pair(path, scale, lr.get(path), degradation)
            if path in lr:
                given_lr.check(to_bytes(pair.hr[0]), to_bytes(pair.lr[0]), scale, path, lr[path])
            pairs.append(pair)
        except EspcnError as error:
            unusable.append(Skipped(path, str(error)))
    if not pairs:
        raise EspcnError(f"no usable validation picture; the first: {unusable[0].line}")
    return pairs, unusable


def oddities(pictures: DataSet, pairs: list[evaluation.Pair]) -> list[str]:
    """Warnings on pictures that are both trained on and measured by, or there twice."""
    warnings = []
    if both := pictures.holding({pair.name: pair.hr for pair in pairs}):
        named = f"{', '.join(both[:3])}{' ...' if len(both) > 3 else ''}"
        warnings.append(f"trained on too: {amount(len(both), 'validation picture')} ({named}), whose scores flatter")
    if twice := pictures.repeated():
        warnings.append(f"there twice: {amount(len(twice), 'training picture')}, such as {twice[0]}")
    return warnings


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
