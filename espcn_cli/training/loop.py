"""Training: settings and pictures in, the averaged network's checkpoint out; can stop and go on exactly."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from espcn_cli.engines.device import choose_device
from espcn_cli.errors import EspcnError
from espcn_cli.files import claimed, clean, is_file
from espcn_cli.interruption import Interruption
from espcn_cli.memory import out_of_memory
from espcn_cli.network import checkpoint, named
from espcn_cli.paths import file_of, source_of
from espcn_cli.settings import (
    DEFAULT_MODEL,
    DEFAULT_SCALE,
    ModelSettings,
    Scale,
    TrainSettings,
    architecture,
    name_of,
)
from espcn_cli.training.events import Afresh, Report, Retreat, Saved, Step, Validation
from espcn_cli.training.job import Job, make_job, refuse_existing
from espcn_cli.training.objective import learning_rate, make_loss
from espcn_cli.training.parallel import joined, one_thread, own_device
from espcn_cli.training.run import Run, prepare, progress
from espcn_cli.training.run_folder import RunFolder
from espcn_cli.training.state import MOST_RETREATS, State, restore_, save_state
from espcn_cli.training.validation import keep, validate, validations_since_best

DIVERGED = 1.0
"""A loss that no start has: pixels are in [0, 1]."""

UNREAD = defaultdict(lambda: 1, cuda=10)
"""Steps after which their losses are looked at: a look waits for the GPU, which could have been told the next steps."""


def train(
    sources: Sequence[str | Path] | str | Path,
    output: str | Path,
    model: str | ModelSettings = DEFAULT_MODEL,
    settings: TrainSettings | None = None,
    *,
    scale: Scale = DEFAULT_SCALE,
    valid: str | Path | None = None,
    drawings: str | Path | None = None,
    init: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    report: Report = lambda event: None,
    **options: Any,
) -> checkpoint.ModelCard:
    """Train a network on folders of pictures and write it to `output`, a checkpoint. Returns the checkpoint's card.

    `model` is a name of `ARCHITECTURES`, at this `scale`, or the settings of any network of the family. A tenth of the
    pictures is held out to measure by if `valid` names no others. `drawings` is a folder for the degradation `real`.
    `init` is a shipped network's name or a checkpoint's path to start from. `options` are the rest of a `Job`:
    `device`, `precision` and so on. Raises ValueError for an unknown name, EspcnError as `make_job` and `carry_out` do,
    and if the output exists and `overwrite` does not allow to replace it.
    """
    shape = architecture(model, scale) if isinstance(model, str) else model
    job = make_job(
        [source_of(source) for source in ([sources] if isinstance(sources, (str, Path)) else sources)],
        file_of(output),
        name_of(shape),
        shape,
        settings or TrainSettings(),
        source_of(valid) if valid is not None else None,
        source_of(drawings) if drawings is not None else None,
        init=named.find(str(init), shape.scale) if init is not None else None,
        **options,
    )
    if not overwrite:
        refuse_existing(job.output, resume)
    return carry_out(job, resume, report)


def carry_out(job: Job, resume: bool = False, report: Report = lambda event: None) -> checkpoint.ModelCard:
    """Train, validate as often as the settings say, and keep the averaged network that scored best. Returns its card.

    The folder `<output>.run` holds the last weights, the log, curves and a sample, and what resuming needs. Ctrl-C and
    SIGTERM end the reading of pictures at once; after that the step is finished and the training state saved before
    they go on their way (KeyboardInterrupt, SystemExit). `resume` continues from there, and on the CPU ends with the
    same bits as if nothing had happened; where there is nothing to resume, the training starts afresh. Raises
    EspcnError for unusable data, an output that another training works on, a state that does not belong to this job,
    or a training that diverges again and again.
    """
    with own_device(choose_device(job.device)) as device, joined(device, job.settings.batch_size) as group:
        report = report if group.leads else lambda event: None
        with alone(job) if group.leads else nullcontext():
            resume = resume and found_state(job, report)
            run = prepare(job, device, group, resume, report)
            if job.init and not resume:
                report(score_start(run))
            with Interruption() as interruption, closing(run.patches):
                descend(run, interruption, report)
                group.from_leader(0)  # the others wait until rank 0 has written
    return checkpoint.read_card(job.output)


@contextmanager
def alone(job: Job) -> Iterator[None]:
    """No other training works on the output meanwhile, and what killed ones left beside it is gone."""
    folder = RunFolder.of(job.output).path
    with claimed(job.output):
        clean(job.output.parent)
        clean(folder)
        try:
            yield
        finally:
            with suppress(OSError):  # unless something was saved in it
                folder.rmdir()


def found_state(job: Job, report: Report) -> bool:
    """Whether there is a state to resume from; else that is reported."""
    state = RunFolder.of(job.output).state
    if is_file(state):
        return True
    report(Afresh(state))
    return False


def score_start(run: Run) -> Validation:
    """What the network scores that the training starts from. Raises EspcnError if it gives NaN."""
    result = validate(run)
    if result is None:
        raise EspcnError(f"{run.job.init} gives NaN on the validation pictures: choose another --init")
    return result


def descend(run: Run, interruption: Interruption, report: Report) -> None:
    """Step until the training is finished, or interrupted in any of its processes: then its state is saved."""
    began = time.monotonic() - run.state.seconds
    while not (stop := run.group.greatest(interruption.signal)) and not finished(run):
        advance(run, began, report)
    interruption.signal = interruption.signal or stop
    read_losses(run)
    if not run.group.leads:
        return
    if finished(run):
        run.folder.state.unlink(missing_ok=True)
    else:
        save_state(run.state, run.folder.state, run.identity)
        report(Saved(run.state.step))


def advance(run: Run, began: float, report: Report) -> None:
    """One step, and a validation if it is time; back to the last one if the training diverges."""
    state, settings = run.state, run.job.settings
    started = time.perf_counter()
    run.unread.append(fitting_step(run))
    (state.seconds,) = run.group.from_leader(time.monotonic() - began)
    done = progress(state, settings)
    validating = state.step % settings.validate_every == 0 or done >= 1
    losses = read_losses(run) if validating or len(run.unread) == UNREAD[run.device.type] else []
    state.stepping += time.perf_counter() - started
    if not losses:
        return
    loss = max(losses, key=lambda loss: loss if loss < DIVERGED else math.inf)
    if not loss < DIVERGED:
        report(retreat_(run, loss))
        return
    report(Step(state.step, round(state.step / done), losses[-1]))
    if not validating:
        return
    result = validate(run)
    if result is None:
        report(retreat_(run, loss))
        return
    keep(run, result)
    report(Saved(state.step))
    report(result)


def read_losses(run: Run) -> list[float]:
    """The losses of the steps since the last look, also noted in the state: on a GPU, this waits for the steps."""
    losses: list[float] = torch.stack(run.unread).tolist() if run.unread else []
    run.unread.clear()
    run.state.losses += losses
    return losses


def finished(run: Run) -> bool:
    """Whether the steps or the minutes are over, or patience is."""
    patience = run.job.settings.patience
    stalled = 0 < patience <= validations_since_best(run.state)
    return stalled or progress(run.state, run.job.settings) >= 1


def fitting_step(run: Run) -> Tensor:
    """Take a step. Raises EspcnError with the remedy if the batch does not fit in memory."""
    try:
        return take_step(run)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
    batch, patch = run.job.settings.batch_size, run.job.patch
    raise EspcnError(
        f"a batch of {batch} at a patch size of {patch} does not fit in memory: try --batch-size {max(batch // 2, 1)}"
        f"{', a smaller --patch-size,' if batch > 1 else ' or a smaller --patch-size'} or --finish 0"
    )


@one_thread()
def take_step(run: Run) -> Tensor:
    """Draw a batch, descend once on its loss, move the average. Returns the loss, a scalar on the device.

    The last share of the training, `finish`, takes MSE and larger patches: what PSNR measures, with less border.
    """
    state, settings = run.state, run.job.settings
    done = progress(state, settings)
    finishing = done >= 1 - settings.finish
    started = time.perf_counter()
    patches = run.large_patches if finishing else run.patches
    lr, hr = patches.draw(state.generator, state.step, run.group.share)
    state.drawing += time.perf_counter() - started
    mixture = run.mixtures[state.step % len(run.mixtures)] if run.mixtures else None
    loss = make_loss("mse" if finishing else settings.loss, run.device.type, run.precision, mixture)
    rate = state.share * learning_rate(settings, state.step, done)
    decay = min(settings.ema_decay, (state.step + 1) / (state.step + 11))  # the first steps are soon forgotten
    mean = run.descend(state, loss, lr.to(run.device), hr.to(run.device), rate, 1 - decay)
    state.step += 1
    return mean


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
    return any(entry["step"] > 0 for entry in state.history)


def diverged(run: Run, loss: float) -> EspcnError:
    kept = f"{run.job.output} holds the last good weights" if was_saved(run.state) else "nothing was saved yet"
    gentler = run.state.share * run.job.settings.learning_rate / 4
    return EspcnError(
        f"training diverged at step {run.state.step} (loss {loss:.3g}); {kept}: try --learning-rate {gentler:.1g}"
    )
