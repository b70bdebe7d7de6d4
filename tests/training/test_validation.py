"""What a training keeps: the weights that scored best, how they were made, and nothing half written."""

from __future__ import annotations

from pathlib import Path

import pytest
from trainings import QUICK, TINY

from espcn_cli.errors import EspcnError
from espcn_cli.network import checkpoint
from espcn_cli.settings import TrainSettings
from espcn_cli.training import loop, validation
from espcn_cli.training.events import Event, Step, Validation
from espcn_cli.training.job import Job
from espcn_cli.training.run import Run
from espcn_cli.training.run_folder import RunFolder


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
