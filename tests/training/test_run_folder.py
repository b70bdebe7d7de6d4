"""The folder beside the checkpoint: the last weights, the log, the curves, a sample and TensorBoard's events."""

from __future__ import annotations

import csv
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from trainings import QUICK

from espcn_cli.errors import UsageError
from espcn_cli.network import checkpoint
from espcn_cli.pictures import labels
from espcn_cli.training import loop
from espcn_cli.training.job import Job
from espcn_cli.training.run_folder import RunFolder, best_of, draw_curves, gain_in_words


def test_the_best_weights_and_the_last_are_kept_with_a_log_and_a_sample(job: Job) -> None:
    card = loop.carry_out(replace(job, settings=replace(QUICK, steps=30, validate_every=3, learning_rate=3e-2)))
    folder = RunFolder.of(job.output)
    assert sorted(path.name for path in folder.path.iterdir()) == [
        *(["curves.png"] if find_spec("matplotlib") else []),
        "last.safetensors",
        "log.csv",
        "sample.png",
    ]
    history = checkpoint.read_card(folder.last).training["history"]
    assert [entry["step"] for entry in history] == list(range(3, 31, 3))
    assert card.metrics["validation"]["psnr"] == pytest.approx(max(entry["psnr"] for entry in history), abs=1e-4)
    with (folder.path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "step",
        "seconds",
        "loss",
        "learning_rate",
        "psnr",
        "ssim",
        "steps_per_second",
        "waiting",
        "bicubic",
    ]
    assert [float(row["psnr"]) for row in rows] == [entry["psnr"] for entry in history]
    with Image.open(folder.path / "sample.png") as sample:
        assert sample.size == (
            3 * 2 * 36 + 2 * labels.GAP,
            2 * 32 + labels.LINE,
        )  # three views, twice as large, and names
    assert {row["bicubic"] for row in rows} == {rows[0]["bicubic"]} and 15 < float(rows[0]["bicubic"]) < 40


HISTORY: list[dict[str, Any]] = [
    {"step": 0, "psnr": 30.0},
    {"step": 5, "psnr": 31.5},
    {"step": 10, "psnr": None},
    {"step": 15, "psnr": 31.0},
]


def test_what_was_gained_in_words() -> None:
    assert best_of(HISTORY) == HISTORY[1]
    said = "best 31.50 dB at step 5, +2.50 dB over bicubic, +1.50 dB over its start"
    assert gain_in_words(HISTORY, 29.0) == said
    assert gain_in_words(HISTORY[1:], 29.0) == "best 31.50 dB at step 5, +2.50 dB over bicubic", "no start was measured"
    assert gain_in_words(HISTORY[1:], None) == "best 31.50 dB at step 5"


@pytest.mark.parametrize("history", [HISTORY, HISTORY[1:2], [{"step": 5, "psnr": None}]])
def test_the_curves_are_drawn_whatever_there_is(history: list[dict[str, Any]], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw_curves(tmp_path / "curves.png", history, 29.0)
    with Image.open(tmp_path / "curves.png") as image:
        assert image.size == (1000, 420)


def test_tensorboard_gets_the_log(job: Job) -> None:
    pytest.importorskip("tensorboard")
    loop.carry_out(replace(job, tensorboard=True))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(RunFolder.of(job.output).path / "tensorboard"))
    events.Reload()
    history = checkpoint.read_card(RunFolder.of(job.output).last).training["history"]
    assert [event.step for event in events.Scalars("psnr")] == [5, 10, 12]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx([entry["loss"] for entry in history])


def test_without_tensorboard_its_option_names_the_remedy(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install"):
        loop.carry_out(replace(job, tensorboard=True))
