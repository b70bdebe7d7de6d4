"""Training: settings and pictures in, the averaged network's checkpoint out; can stop and go on exactly."""

from __future__ import annotations

import copy
import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor

from espcn_cli import checkpoint, data, evaluation, imageio
from espcn_cli.device import choose_device, choose_precision
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.inference import Engine
from espcn_cli.models import ESPCN, channels_last
from espcn_cli.reparameterise import TrainingForm
from espcn_cli.settings import ModelSettings, TrainSettings

STATE_FORMAT = "espcn-training-state"
STATE_VERSION = "1"


@dataclass(frozen=True)
class Loading:
    """`done` of `total` training pictures are read."""

    done: int
    total: int


@dataclass(frozen=True)
class Loaded:
    """The data is ready; `skipped` says of each unusable file why."""

    pictures: int
    validation: int
    skipped: list[str]


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


Event = Loading | Loaded | Step | Validation
Report = Callable[[Event], None]


@dataclass(frozen=True)
class Job:
    """One training: which network, from which files, how, and where it goes; `workers` threads read the pictures.

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

    @property
    def patch(self) -> int:
        """HR pixels of a patch's side: a multiple of the scale."""
        return max(self.settings.patch_size // self.model.scale, 1) * self.model.scale


@dataclass
class State:
    """What a step changes, and what resuming needs: network in training form, its average, optimiser, randomness."""

    network: TrainingForm
    average: TrainingForm
    optimiser: torch.optim.Adam
    generator: torch.Generator
    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


def make_job(
    sources: list[Path],
    output: Path,
    name: str,
    model: ModelSettings,
    settings: TrainSettings,
    valid: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    license: str = "",
    workers: int | None = None,
) -> Job:
    """Look up the pictures.

    Raises EspcnError if there are none, or if the output cannot go where it is to go: better now than hours later.
    """
    if output.suffix != ".safetensors":
        raise UsageError(f"{output}: a checkpoint's name ends in .safetensors")
    if not output.parent.is_dir():
        raise EspcnError(f"no folder {output.parent}: make it, or choose another --output")
    pictures = list(imageio.existing_folders(sources))
    if not pictures:
        raise EspcnError(f"no pictures in {', '.join(map(str, sources))}: name a folder with images")
    validation = list(imageio.existing_folders([valid])) if valid else []
    if valid and not validation:
        raise EspcnError(f"no pictures in {valid}: name a folder with images for --valid")
    return Job(output, name, model, settings, pictures, validation, device, precision, license, workers)


def train(job: Job, resume: bool = False, report: Report = lambda event: None) -> checkpoint.Card:
    """Train, and save the averaged network at each validation and at the end. Returns the final checkpoint's card.

    A KeyboardInterrupt or SystemExit saves the training state before it goes on its way; `resume` continues from
    there, and on the CPU ends with the same bits as if nothing had happened. Raises EspcnError for unusable data, or a
    state that does not belong to this job.
    """
    state_path = state_file(job.output)
    if resume:
        check_state(state_path, identity(job))
    device = choose_device(job.device)
    precision = choose_precision(job.precision, device, training=True)
    pictures = data.load_data(
        job.pictures,
        job.model.scale,
        job.model.planes,
        job.patch,
        lambda done: report(Loading(done, len(job.pictures))),
        job.workers,
    )
    pictures, held_out = (pictures, job.validation) if job.validation else data.hold_out(pictures)
    pairs, unusable = load_validation(held_out, job.model.scale)
    report(Loaded(len(pictures.samples), len(pairs), pictures.skipped + unusable))
    fingerprint = pictures.fingerprint
    patches = data.Patches(pictures, job.patch, job.settings.batch_size)
    state = make_state(job, device)
    if resume:
        check_state(state_path, {"data": fingerprint})
        restore_(state, state_path)
    baseline = evaluation.interpolation("bicubic", job.model.scale)
    bicubic, _ = evaluation.mean(evaluation.evaluate(baseline, pairs, job.model.scale))
    started = time.monotonic() - state.seconds
    card = checkpoint.Card(job.model, job.name)
    try:
        while state.step < job.settings.steps:
            loss = take_step(state, job.settings, patches, device, precision)
            report(Step(state.step, job.settings.steps, loss))
            if state.step % job.settings.validate_every == 0 or state.step == job.settings.steps:
                state.seconds = time.monotonic() - started
                result = validate(state, pairs, job.model, bicubic, device)
                report(result)
                card = describe(job, state, fingerprint, result, len(pairs))
                checkpoint.save(job.output, plain_network(state.average, job.model), card)
                save_state(state, state_path, job, fingerprint)
    except (KeyboardInterrupt, SystemExit):
        state.seconds = time.monotonic() - started
        save_state(state, state_path, job, fingerprint)
        raise
    state_path.unlink(missing_ok=True)
    return card


def load_validation(paths: list[Path], scale: int) -> tuple[list[evaluation.Pair], list[str]]:
    """The validation pairs, and why the other files cannot be used. Raises EspcnError if none can."""
    pairs: list[evaluation.Pair] = []
    unusable: list[str] = []
    for path in paths:
        try:
            pairs.append(evaluation.make_pair(path, scale))
        except EspcnError as error:
            unusable.append(str(error))
    if not pairs:
        raise EspcnError(f"no usable validation picture; the first: {unusable[0]}")
    return pairs, unusable


def make_state(job: Job, device: torch.device) -> State:
    """A fresh start from the seed: the global generator makes the weights, one of its own the patches."""
    torch.manual_seed(job.settings.seed)
    network = TrainingForm(ESPCN(job.model), job.settings.expansion).to(device)
    average = copy.deepcopy(network).requires_grad_(False)
    optimiser = torch.optim.Adam(network.parameters(), lr=job.settings.learning_rate, foreach=True)
    return State(network, average, optimiser, torch.Generator().manual_seed(job.settings.seed))


def learning_rate(settings: TrainSettings, step: int) -> float:
    """Linear warm-up, then half a cosine down to zero after the last step. `step` counts from 0."""
    warm = min(1.0, (step + 1) / (settings.warmup + 1))
    return settings.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / settings.steps))


def take_step(
    state: State, settings: TrainSettings, patches: data.Patches, device: torch.device, precision: torch.dtype
) -> float:
    """Draw a batch, descend once on its L1 loss, move the average. Returns the loss."""
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(settings, state.step)
    lr, hr = patches.draw(state.generator)
    with torch.autocast(device.type, precision, enabled=precision != torch.float32):
        sr = state.network(channels_last(lr.to(device)))
    loss = F.l1_loss(sr.float(), hr.to(device))
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    state.optimiser.step()
    state.step += 1
    decay = min(settings.ema_decay, state.step / (state.step + 10))  # the first steps are soon forgotten
    with torch.no_grad():
        torch._foreach_lerp_(list(state.average.parameters()), list(state.network.parameters()), 1 - decay)
    return loss.item()


def plain_network(form: TrainingForm, settings: ModelSettings) -> ESPCN:
    """A copy in inference form: linear blocks merged into plain convolutions."""
    plain = ESPCN(settings)
    plain.load_state_dict(form.merged())
    return plain


def validate(
    state: State, pairs: list[evaluation.Pair], model: ModelSettings, bicubic: float, device: torch.device
) -> Validation:
    """Score the averaged network by the benchmark's own protocol, in fp32."""
    engine = Engine(plain_network(state.average, model), device)
    psnr, ssim = evaluation.mean(evaluation.evaluate(evaluation.network(engine), pairs, model.scale))
    state.history.append({"step": state.step, "psnr": round(psnr, 4), "ssim": round(ssim, 5)})
    return Validation(state.step, psnr, ssim, bicubic)


def describe(
    job: Job, state: State, fingerprint: dict[str, int | str], result: Validation, validation: int
) -> checkpoint.Card:
    """How the checkpoint was made and what it scores."""
    training = {
        "data": {**fingerprint, "folders": sorted({path.parent.name for path in job.pictures})},
        "settings": job.settings.to_dict(),
        "step": state.step,
        "seconds": round(state.seconds),
        "loss": "l1",
        "versions": {"espcn": version("espcn"), "torch": torch.__version__, "python": platform.python_version()},
        "history": state.history,
    }
    metrics = {
        "validation": {
            "psnr": round(result.psnr, 4),
            "ssim": round(result.ssim, 5),
            "bicubic": round(result.bicubic, 4),
            "images": validation,
            "protocol": evaluation.describe("picture", job.model.scale),
        }
    }
    return checkpoint.Card(job.model, job.name, training, metrics, job.license)


def state_file(output: Path) -> Path:
    """Where the training state of a checkpoint-to-be lies: beside it."""
    return output.with_suffix(".state.safetensors")


def identity(job: Job) -> dict[str, Any]:
    """What a state and a job must have in common, besides the data."""
    return {"name": job.name, "model": job.model.to_dict(), "settings": job.settings.to_dict()}


def save_state(state: State, path: Path, job: Job, fingerprint: dict[str, int | str]) -> None:
    """Write everything that resuming needs; safetensors and JSON only."""
    tensors = {"generator": state.generator.get_state()}
    tensors |= {f"network.{k}": v for k, v in state.network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in state.average.state_dict().items()}
    for index, values in state.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{k}": v for k, v in values.items()}
    metadata = {
        "format": STATE_FORMAT,
        "format_version": STATE_VERSION,
        "identity": json.dumps({**identity(job), "data": fingerprint}),
        "progress": json.dumps({"step": state.step, "seconds": state.seconds, "history": state.history}),
    }
    checkpoint.write_tensors(path, tensors, metadata)


def check_state(path: Path, wanted: dict[str, Any]) -> None:
    """Raises EspcnError if there is no state, it cannot be read, or it belongs to a training that differs."""
    if not path.is_file():
        raise EspcnError(f"nothing to resume: there is no {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        if (metadata.get("format"), metadata.get("format_version")) != (STATE_FORMAT, STATE_VERSION):
            raise EspcnError(f"{path} is not a training state that this espcn can read: start again without --resume")
        saved = json.loads(metadata["identity"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise EspcnError(f"{path} is damaged ({error}): start again without --resume") from None
    for part, value in json.loads(json.dumps(wanted)).items():
        if saved.get(part) != value:
            raise EspcnError(f"{path} belongs to another training: its {part} {_difference(saved.get(part), value)}")


def restore_(state: State, path: Path) -> None:
    """Fill a fresh state from a file that `check_state` has passed."""
    tensors: dict[str, Tensor] = {}
    with safe_open(path, framework="pt") as file:
        progress = json.loads(file.metadata()["progress"])
        for key in file.keys():  # noqa: SIM118 - a safetensors file is no dictionary
            tensors[key] = file.get_tensor(key)
    state.generator.set_state(tensors.pop("generator"))
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimiser": {}}
    for key, tensor in tensors.items():
        part, name = key.split(".", 1)
        parts[part][name] = tensor
    state.network.load_state_dict(parts["network"])
    state.average.load_state_dict(parts["average"])
    optimiser = state.optimiser.state_dict()
    for key, tensor in parts["optimiser"].items():
        index, name = key.split(".", 1)
        optimiser["state"].setdefault(int(index), {})[name] = tensor
    state.optimiser.load_state_dict(optimiser)
    state.step, state.seconds, state.history = progress["step"], progress["seconds"], progress["history"]


def _difference(saved: Any, wanted: Any) -> str:
    if isinstance(saved, dict) and isinstance(wanted, dict):
        key = next(k for k in wanted if saved.get(k) != wanted[k])
        return f"had {key} {saved.get(key)}, now {wanted[key]}"
    return f"was {saved}, now {wanted}"
