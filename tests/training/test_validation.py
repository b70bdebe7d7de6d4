"""What a training keeps: the weights that scored best, how they were made, and nothing half written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
import torch
from command import strict_json
from making import save_checkpoint
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from trainings import QUICK, TINY, StopAt

from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.errors import EspcnError
from espcn_cli.network import checkpoint, espcn, mixing, weights
from espcn_cli.network.espcn import ESPCN
from espcn_cli.scoring import evaluation
from espcn_cli.settings import TrainSettings
from espcn_cli.training import loop, validation
from espcn_cli.training.events import Event, Step, Validation
from espcn_cli.training.job import Job
from espcn_cli.training.run import Run, load_validation
from espcn_cli.training.run_folder import RunFolder
from espcn_cli.training.scenes import STRENGTHS


def test_the_checkpoint_says_how_it_was_made(job: Job) -> None:
    loop.carry_out(job)
    card = checkpoint.read_card(job.output)
    assert card.settings == TINY
    assert card.name == "tiny"
    assert TrainSettings(**card.training["settings"]) == QUICK
    assert card.training["data"]["files"] == 4
    assert card.training["step"] in (5, 10, 12)
    assert set(card.training["versions"]) == {"espcn", "torch", "python"}
    assert card.metrics["validation"]["images"] == 1
    assert "MATLAB bicubic" in card.metrics["validation"]["protocol"]


def test_weights_for_real_pictures_name_the_clean_ones_that_they_come_from(job: Job, tmp_path: Path) -> None:
    """So the two can be mixed; a training on real pictures from nothing has no sister, nor has one on clean ones."""
    start = save_checkpoint(tmp_path / "start.safetensors", job.model)
    real = replace(QUICK, steps=5, degradation="real")
    for settings, init, has_sister in (
        (real, start, True),
        (real, None, False),
        (replace(QUICK, steps=5), start, False),
    ):
        loop.carry_out(replace(job, settings=settings, init=init))
        assert (mixing.find_sister(job.output) == start) is has_sister
    assert mixing.find_sister(start) is None


def test_a_picture_that_all_get_right_leaves_the_best_to_be_found(job: Job) -> None:
    """Black stays black: with it an unbounded mean would be infinite each time, and the first validation the best."""
    black = job.validation[0].with_name("black.png")
    Image.new("RGB", (64, 64)).save(black)
    events: list[Event] = []
    settings = replace(QUICK, steps=60, validate_every=3, learning_rate=1e-2, ema_decay=0.9)
    card = loop.carry_out(
        replace(job, settings=settings, validation=[*job.validation, black], tensorboard=True), report=events.append
    )
    scores = [event.psnr for event in events if isinstance(event, Validation)]
    best = max(range(len(scores)), key=scores.__getitem__)
    assert best > 0 and card.training["step"] == 3 * (best + 1)
    assert card.metrics["validation"]["psnr"] == pytest.approx(scores[best], abs=1e-4)
    assert 30 < card.metrics["validation"]["bicubic"] < 58.92
    with safe_open(job.output, framework="pt") as file:
        for name in ("settings", "training", "metrics"):
            strict_json(file.metadata()[name])
    log = (RunFolder.of(job.output).path / "log.csv").read_text()
    assert "inf" not in log and "nan" not in log


def test_a_training_that_noted_infinite_scores_goes_on_to_finite_ones(job: Job) -> None:
    """As versions before this one did: none of them counts as the best."""
    with pytest.raises(KeyboardInterrupt):
        loop.carry_out(job, report=StopAt(7))
    folder = RunFolder.of(job.output)
    with safe_open(folder.state, framework="pt") as file:
        metadata = file.metadata()
    history = json.loads(metadata["progress"])
    history["history"][0] |= {"psnr": float("inf"), "ssim": float("nan")}
    save_file(load_file(folder.state), folder.state, metadata | {"progress": json.dumps(history)})
    events: list[Event] = []
    loop.carry_out(job, resume=True, report=events.append)
    card = checkpoint.read_card(folder.last)
    assert [entry["psnr"] is None for entry in card.training["history"]] == [True, False, False]
    scores = {event.step: event.psnr for event in events if isinstance(event, Validation)}
    assert checkpoint.read_card(job.output).training["step"] == max(scores, key=scores.__getitem__)
    assert (folder.path / "log.csv").read_text().splitlines()[1].split(",")[4:6] == ["", ""]


def test_a_start_that_gives_nan_is_refused(job: Job, tmp_path: Path) -> None:
    start = tmp_path / "start.safetensors"
    torch.manual_seed(0)
    network = ESPCN(TINY)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 1e30)
    weights.save(start, network, checkpoint.Card(TINY, "tiny"))
    with pytest.raises(EspcnError, match=r"start\.safetensors gives NaN on the validation pictures: choose another"):
        loop.carry_out(replace(job, init=start))
    assert not job.output.exists()


def test_no_space_left_while_saving_loses_nothing(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first validation is saved, the second finds the disk full; with space again, --resume goes on."""
    save, calls = validation.save, []

    def full_at_the_second(run: Run, result: Validation) -> None:
        calls.append(result.step)
        if len(calls) == 2:
            raise EspcnError(f"cannot write {run.job.output} (No space left on device): nothing was changed")
        save(run, result)

    monkeypatch.setattr(validation, "save", full_at_the_second)
    with pytest.raises(EspcnError, match=r"No space left.*with --resume, the same command continues"):
        loop.carry_out(job)
    assert checkpoint.read_card(job.output).training["step"] == 5
    loop.carry_out(job, resume=True)
    assert calls == [5, 10, 10, 12]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device without space")
def test_a_full_disk_is_named_by_the_file_that_does_not_fit(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real error, from a device that has no space: what replaces the checkpoint is written there."""

    def write_where_there_is_no_space(path: Path, data: bytes) -> int:
        with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123
            return full.write(data)

    monkeypatch.setattr(Path, "write_bytes", write_where_there_is_no_space)
    with pytest.raises(EspcnError, match=r"cannot write .*No space left on device"):
        loop.carry_out(job)
    assert not job.output.exists()


def test_a_checkpoint_made_by_another_meanwhile_is_not_replaced(job: Job) -> None:
    """The training ends; its own weights are in its folder."""

    def meanwhile(event: Event) -> None:
        if isinstance(event, Step) and event.step == 2:
            job.output.write_text("theirs")

    with pytest.raises(EspcnError, match=r"out\.safetensors was made by another meanwhile, and stays"):
        loop.carry_out(job, report=meanwhile)
    assert job.output.read_text() == "theirs"
    assert checkpoint.read_card(RunFolder.of(job.output).last).training["step"] == 5


def test_a_checkpoint_that_was_there_at_the_start_is_replaced(job: Job) -> None:
    """Whether it may be was settled before."""
    job.output.write_text("old")
    loop.carry_out(job)
    assert checkpoint.read_card(job.output).name == "tiny"


def test_in_a_training_of_mixtures_each_picture_counts_as_the_best_of_them_makes_it(job: Job, tmp_path: Path) -> None:
    start = save_checkpoint(tmp_path / "start.safetensors", job.model)
    settings = replace(QUICK, degradation="real", mixtures=True)
    loop.carry_out(replace(job, settings=settings, init=start))
    mixed = mixing.read_pair(start, RunFolder.of(job.output).last)
    pairs, _ = load_validation(job.validation, job.model.scale, "real")
    engines = [TorchEngine(espcn.build(mixed.settings, mixed.at(strength))) for strength in STRENGTHS]
    scores = [evaluation.evaluate(evaluation.network(engine), pairs, job.model.scale) for engine in engines]
    best = fmean(max(score.psnr for score in of_picture) for of_picture in zip(*scores, strict=True))
    history = checkpoint.read_card(RunFolder.of(job.output).last).training["history"]
    assert history[-1]["psnr"] == pytest.approx(best, abs=1e-3)
