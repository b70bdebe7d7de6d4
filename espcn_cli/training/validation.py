"""What a training is measured by, and what it keeps: the averaged network that scored best."""

from __future__ import annotations

import math
import platform
from importlib.metadata import version
from statistics import fmean

import torch

from espcn_cli.engines.engine import NotFiniteError
from espcn_cli.engines.torch_engine import TorchEngine, upscale_planes
from espcn_cli.errors import EspcnError
from espcn_cli.maths.resize import interpolate
from espcn_cli.network import checkpoint, mixing, weights
from espcn_cli.network.espcn import ESPCN
from espcn_cli.scoring import evaluation
from espcn_cli.settings import ARCHITECTURES, REAL
from espcn_cli.training.events import Validation
from espcn_cli.training.linear_blocks import plain_network
from espcn_cli.training.objective import learning_rate
from espcn_cli.training.run import Run, progress
from espcn_cli.training.state import State, save_state


def validate(run: Run) -> Validation | None:
    """Score the averaged network by the benchmark's own protocol, in fp32, and note how the training went since.

    None if it gives NaN: there is nothing to note, to compare or to keep.
    """
    state, settings = run.state, run.job.settings
    psnr, ssim = run.group.from_leader(*(score(run) if run.group.leads else (0.0, 0.0)))
    if math.isnan(psnr):
        return None
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


def score(run: Run) -> tuple[float, float]:
    """Mean PSNR and SSIM of the averaged network, and the sample's picture; NaN if it gives NaN.

    In a training of mixtures each picture counts as the best of them makes it.
    """
    scale = run.job.model.scale
    engines = averaged(run)
    try:
        by_engine = [evaluation.evaluate(evaluation.network(engine), run.pairs, scale) for engine in engines]
    except NotFiniteError:
        return math.nan, math.nan
    best = [max(range(len(engines)), key=lambda at: scores[at].psnr) for scores in zip(*by_engine, strict=True)]
    first = run.pairs[0]
    run.folder.write_sample(interpolate(first.lr, scale), upscale_planes(engines[best[0]], first.lr), first.hr)
    return evaluation.mean([by_engine[at][picture] for picture, at in enumerate(best)])


def averaged(run: Run) -> list[TorchEngine]:
    """The averaged network, in eight bits if it is trained in them, or its mixtures, ready to run."""
    if not run.mixtures:
        network = plain_network(run.state.average, run.job.model).quantise_(run.state.ranges)
        return [TorchEngine(network, run.device)]
    engines = []
    for mixture in dict.fromkeys(run.mixtures):
        mixed = ESPCN(run.job.model)
        mixed.load_state_dict(mixture.of(run.state.average.merged()))
        engines.append(TorchEngine(mixed, run.device))
    return engines


def keep(run: Run, result: Validation) -> None:
    """Save the averaged network as the last one, and as the checkpoint if none before scored better; then the state.

    Raises EspcnError if there is no space: what was saved before stays.
    """
    if not run.group.leads:
        return
    try:
        save(run, result)
    except EspcnError as error:
        again = "; with --resume, the same command continues from the state before" if run.folder.state.exists() else ""
        raise EspcnError(f"{error}{again}") from None


def save(run: Run, result: Validation) -> None:
    network, card = plain_network(run.state.average, run.job.model), describe(run, result)
    weights.save(run.folder.last, network, card)
    if validations_since_best(run.state) == 0:
        own = run.replaces or sum(entry["step"] > 0 for entry in run.state.history) > 1
        weights.save(run.job.output, network, card, overwrite=own)
    run.folder.write_log(run.state.history, run.bicubic)
    save_state(run.state, run.folder.state, run.identity)


def validations_since_best(state: State) -> int:
    """How many validations ago the averaged network scored best: 0 if the last one did, or there was none.

    One without a score, as states of older versions have where it was infinite, was never the best.
    """
    scores = [-math.inf if entry["psnr"] is None else entry["psnr"] for entry in state.history if entry["step"] > 0]
    return len(scores) - 1 - max(range(len(scores)), key=lambda i: (scores[i], -i)) if scores else 0


def describe(run: Run, result: Validation) -> checkpoint.ModelCard:
    """How the checkpoint was made, what it scores, and which clean weights one for real pictures can be mixed with."""
    job, state = run.job, run.state
    drawings = sorted({path.parent.name for path in job.drawings})
    folders = {"folders": sorted({path.parent.name for path in job.pictures})}
    lr = {"lr": job.lr_folder.name} if job.lr_folder else {}
    training = {
        "data": {**run.fingerprint, **folders, **({"drawings": drawings} if drawings else {}), **lr},
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
            "protocol": evaluation.describe("picture", job.model.scale, bool(job.lr), job.settings.degradation),
        }
    }
    sister = mixing.sister_of(job.init, job.model) if job.init and job.settings.degradation == "real" else None
    name = f"{job.name}{REAL}" if sister and job.name in ARCHITECTURES else job.name
    return checkpoint.Card(job.model, name, training, metrics, job.license, sister, state.ranges)
