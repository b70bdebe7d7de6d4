"""Training: it learns, it stops and goes on with the same bits, and it finds back when it diverges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from making import save_checkpoint
from PIL import Image
from torch import Tensor
from trainings import QUICK, TINY, StopAt, same, tensors

from espcn_cli.errors import EspcnError
from espcn_cli.network import checkpoint
from espcn_cli.scoring.degradation import DESCRIPTIONS
from espcn_cli.settings import LOSSES, Degradation, Loss
from espcn_cli.training import loop, objective, parallel, validation
from espcn_cli.training.events import Event, Loaded, Loading, Retreat, Step, Validation
from espcn_cli.training.job import Job
from espcn_cli.training.run import Run
from espcn_cli.training.run_folder import RunFolder
from espcn_cli.training.state import MOST_RETREATS


def test_training_beats_bicubic_on_what_it_was_made_for(job: Job) -> None:
    """Fine waves, which bicubic flattens and a network soon learns to draw."""
    y, x = np.mgrid[0:96, 0:120]
    for seed, path in enumerate([*job.pictures, *job.validation]):
        periods = np.random.default_rng(seed).uniform(3.5, 5, 2)
        waves = sum(60 * np.sin(2 * np.pi * t / period) for t, period in zip((x, y), periods, strict=True))
        Image.fromarray((128 + waves).astype(np.uint8)).save(path)
    settings = replace(QUICK, steps=150, validate_every=150, learning_rate=1e-2, ema_decay=0.9)
    card = loop.carry_out(replace(job, settings=settings))
    scores = card.metrics["validation"]
    assert scores["psnr"] > scores["bicubic"] + 0.8


def test_events_come_in_order(job: Job) -> None:
    events: list[Event] = []
    loop.carry_out(job, report=events.append)
    assert [e for e in events if isinstance(e, Loading)] == [Loading(n, 4) for n in range(1, 5)]
    assert Loaded(4, 1, [], [], "0 MB of pictures kept in memory") in events
    assert [e.step for e in events if isinstance(e, Step)] == list(range(1, 13))
    assert [e.step for e in events if isinstance(e, Validation)] == [5, 10, 12]


def test_same_seed_same_weights(job: Job, tmp_path: Path) -> None:
    other = replace(job, output=tmp_path / "other.safetensors")
    third = replace(job, output=tmp_path / "third.safetensors", settings=replace(QUICK, seed=1))
    for each in (job, other, third):
        loop.carry_out(each)
    assert same(tensors(job.output), tensors(other.output))
    assert not same(tensors(job.output), tensors(third.output))


@pytest.mark.parametrize("stop", [1, 5, 7, 11])
def test_stopped_and_resumed_is_bit_for_bit_training_straight_through(job: Job, tmp_path: Path, stop: int) -> None:
    straight = replace(job, output=tmp_path / "straight.safetensors")
    loop.carry_out(straight)
    with pytest.raises(KeyboardInterrupt):
        loop.carry_out(job, report=StopAt(stop))
    assert RunFolder.of(job.output).state.is_file()
    loop.carry_out(job, resume=True)
    assert same(tensors(job.output), tensors(straight.output))
    assert not RunFolder.of(job.output).state.exists()


def test_two_trainings_of_one_output_notice_each_other(job: Job) -> None:
    """The second is refused before it reads anything, resumed or not; the first one ends as if nothing had been."""
    alone = loop.carry_out(job)
    refused: list[str] = []

    def another(event: Event) -> None:
        if isinstance(event, Step) and event.step == 7:
            for resume in (False, True):
                with pytest.raises(EspcnError, match=r"process \d+ is working on .*out\.safetensors") as caught:
                    loop.carry_out(replace(job, pictures=[]), resume, lambda event: refused.append("read"))
                refused.append(str(caught.value))

    together = loop.carry_out(job, report=another)
    assert len(refused) == 2 and "read" not in refused
    assert [entry["psnr"] for entry in together.training["history"]] == [
        entry["psnr"] for entry in alone.training["history"]
    ]


def test_a_training_that_saved_nothing_leaves_nothing(job: Job) -> None:
    small = replace(job, settings=replace(QUICK, patch_size=500))
    with pytest.raises(EspcnError, match="no usable picture"):
        loop.carry_out(small)
    assert sorted(path.name for path in job.output.parent.iterdir()) == ["data", "valid"]


def test_what_killed_trainings_left_is_removed(job: Job) -> None:
    folder = RunFolder.of(job.output)
    folder.make()
    for place in (job.output.parent, folder.path):
        (place / ".state-0123.espcn-part").touch()
    loop.carry_out(job)
    assert not list(job.output.parent.rglob(".*"))


@pytest.mark.parametrize("error", [RuntimeError("can't allocate memory: 9 bytes"), torch.OutOfMemoryError("no")])
def test_a_batch_that_does_not_fit_is_one_clear_line(
    job: Job, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(run: Run) -> torch.Tensor:
        raise error

    monkeypatch.setattr(loop, "take_step", full)
    said = "a batch of 4 at a patch size of 16 does not fit in memory: try --batch-size 2"
    with pytest.raises(EspcnError, match=said):
        loop.carry_out(job)


def test_another_error_of_a_step_is_no_matter_of_memory(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(run: Run) -> torch.Tensor:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(loop, "take_step", wrong)
    with pytest.raises(RuntimeError, match="shapes"):
        loop.carry_out(job)


def test_a_training_by_the_clock_ends_in_time(job: Job) -> None:
    events: list[Event] = []
    loop.carry_out(replace(job, settings=replace(QUICK, steps=10**9, minutes=1 / 60)), report=events.append)
    card = checkpoint.read_card(RunFolder.of(job.output).last)
    assert 1 <= card.training["seconds"] < 20
    last = [event for event in events if isinstance(event, Step)][-1]
    assert last.step == card.training["step"]
    assert last.steps <= last.step


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains(job: Job, loss: Loss) -> None:
    card = loop.carry_out(replace(job, settings=replace(QUICK, loss=loss, clip=0.1)))
    assert card.training["settings"]["loss"] == loss


def test_a_finish_takes_mse_and_larger_patches(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[str, int]] = []

    def spy(name: str, loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        def noted(sr: Tensor, hr: Tensor) -> Tensor:
            sizes.append((name, hr.shape[-1]))
            return loss(sr, hr)

        return noted

    for name, loss in list(objective.LOSSES.items()):
        monkeypatch.setitem(objective.LOSSES, name, spy(name, loss))
    loop.carry_out(replace(job, settings=replace(QUICK, finish=0.25)))
    assert sizes == [("l1", 16)] * 9 + [("mse", 32)] * 3


def test_patience_ends_a_training_that_gets_no_better(job: Job) -> None:
    hopeless = replace(QUICK, steps=1000, validate_every=2, patience=3, learning_rate=1e-12)
    card = loop.carry_out(replace(job, settings=hopeless))
    last = checkpoint.read_card(RunFolder.of(job.output).last)
    assert last.training["step"] < 1000
    assert last.training["step"] == card.training["step"] + 3 * 2


@pytest.mark.parametrize("degradation", ["aliased", "camera", "real"])
def test_other_degradations_are_trained_on_and_measured_by(job: Job, tmp_path: Path, degradation: Degradation) -> None:
    other = replace(job, settings=replace(QUICK, degradation=degradation))
    card = loop.carry_out(other)
    assert DESCRIPTIONS[degradation] in card.metrics["validation"]["protocol"]
    straight = tensors(job.output)
    with pytest.raises(KeyboardInterrupt):
        loop.carry_out(other, report=StopAt(7))
    loop.carry_out(other, resume=True)
    assert same(tensors(job.output), straight)


def test_three_planes_train_too(job: Job) -> None:
    card = loop.carry_out(replace(job, model=replace(TINY, planes=3)))
    assert card.settings.planes == 3


BOLD = replace(QUICK, learning_rate=0.3, clip=0, warmup=15, steps=40)
"""Diverges at this rate, and at half of it."""


def test_divergence_leads_back_and_on_at_half_the_learning_rate(job: Job) -> None:
    events: list[Event] = []
    card = loop.carry_out(replace(job, settings=BOLD), report=events.append)
    retreats = [event for event in events if isinstance(event, Retreat)]
    assert [(event.step, event.share) for event in retreats] == [(5, 0.5), (5, 0.25)]
    assert all(event.step < event.diverged and not event.loss < loop.DIVERGED for event in retreats)
    history = card.training["history"]
    assert [entry["step"] for entry in history] == list(range(5, card.training["step"] + 1, 5))
    assert isinstance(events[-1], Validation) and events[-1].step == 40
    assert not RunFolder.of(job.output).state.exists()


def test_a_training_that_went_back_resumes_with_the_same_bits(job: Job) -> None:
    bold = replace(job, settings=BOLD)
    loop.carry_out(bold)
    straight = tensors(job.output)
    with pytest.raises(KeyboardInterrupt):
        loop.carry_out(bold, report=StopAt(23))
    loop.carry_out(bold, resume=True)
    assert same(tensors(job.output), straight)


def test_a_validation_that_gives_nan_leads_back_and_is_not_reported(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss may still be small when the averaged network overflows: here it does, once."""
    score, calls = validation.score, []

    def broken_once(run: Run) -> tuple[float, float]:
        calls.append(run.state.step)
        if len(calls) == 2:
            with torch.no_grad():
                next(run.state.average.parameters()).fill_(torch.nan)
        return score(run)

    monkeypatch.setattr(validation, "score", broken_once)
    events: list[Event] = []
    card = loop.carry_out(job, report=events.append)
    assert [e.step for e in events if isinstance(e, Validation)] == [5, 10, 12]
    assert [(e.diverged, e.step, e.share) for e in events if isinstance(e, Retreat)] == [(10, 5, 0.5)]
    assert all(entry["psnr"] < 58.93 for entry in card.training["history"])


def test_divergence_again_and_again_keeps_the_last_good_weights_and_names_a_remedy(job: Job) -> None:
    wild = replace(job, settings=replace(QUICK, learning_rate=1e4, warmup=4, validate_every=1, steps=100))
    events: list[Event] = []
    with pytest.raises(EspcnError, match=r"diverged at step \d+ .*last good weights: try --learning-rate 8e\+01"):
        loop.carry_out(wild, report=events.append)
    assert sum(isinstance(event, Retreat) for event in events) == MOST_RETREATS
    assert all(tensor.isfinite().all() for tensor in tensors(job.output).values())


def test_divergence_before_anything_was_saved_says_so(job: Job, tmp_path: Path) -> None:
    start = save_checkpoint(tmp_path / "start.safetensors", TINY)
    wild = replace(job, init=start, settings=replace(QUICK, learning_rate=1e6, warmup=0, validate_every=100, steps=200))
    with pytest.raises(EspcnError, match=r"diverged at step \d+ .*; nothing was saved yet"):
        loop.carry_out(wild)
    assert not job.output.exists()


def from_clean(job: Job, folder: Path) -> Job:
    """A training of mixtures, from clean weights that are trained here."""
    clean = replace(job, output=folder / "clean.safetensors")
    loop.carry_out(clean)
    settings = replace(QUICK, degradation="real", mixtures=True)
    return replace(job, settings=settings, init=clean.output, output=folder / "real.safetensors")


def test_mixtures_are_trained_and_resumed_with_the_same_bits(job: Job, tmp_path: Path) -> None:
    """Resuming needs the start again: it is no part of the state."""
    other = from_clean(job, tmp_path)
    loop.carry_out(other)
    straight = tensors(other.output)
    assert not same(straight, tensors(tmp_path / "clean.safetensors"))
    other = replace(other, output=tmp_path / "again.safetensors")
    with pytest.raises(KeyboardInterrupt):
        loop.carry_out(other, report=StopAt(7))
    loop.carry_out(other, resume=True)
    assert same(tensors(other.output), straight)


def test_steps_of_mixtures_take_turns(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = from_clean(job, tmp_path)
    strengths = []

    def make_loss(*arguments: Any) -> parallel.Loss:
        strengths.append(arguments[3].strength)
        return objective.make_loss(*arguments)

    monkeypatch.setattr(loop, "make_loss", make_loss)
    loop.carry_out(mixed)
    assert strengths[:7] == [0.25, 1, 0.5, 1, 0.75, 1, 0.25]


def test_real_weights_go_on_being_mixed_with_their_clean_sister(job: Job, tmp_path: Path) -> None:
    clean, real = tmp_path / "clean.safetensors", from_clean(job, tmp_path)
    loop.carry_out(real)
    again = replace(real, init=real.output, output=tmp_path / "again.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        mixed: list[objective.Mixture] = []

        def make_loss(*arguments: Any) -> parallel.Loss:
            mixed.append(arguments[3])
            return objective.make_loss(*arguments)

        patch.setattr(loop, "make_loss", make_loss)
        loop.carry_out(again)
    weights = checkpoint.read(clean)[1]
    assert all(np.array_equal(weights[name], tensor.numpy()) for name, tensor in mixed[0].clean.items())
    assert checkpoint.read_card(again.output).sister == checkpoint.read_card(real.output).sister
    clean.unlink()
    with pytest.raises(
        EspcnError, match=r"real.safetensors was trained from tiny, which is not there: put tiny beside"
    ):
        loop.carry_out(replace(again, output=tmp_path / "more.safetensors"))
