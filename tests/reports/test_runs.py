"""Trainings as a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from trainings import QUICK

from espcn_cli.errors import EspcnError
from espcn_cli.reports.runs import read_runs, runs_page
from espcn_cli.training import loop
from espcn_cli.training.job import Job
from espcn_cli.training.run_folder import RunFolder


def test_two_trainings_stand_side_by_side(job: Job, tmp_path: Path) -> None:
    other = replace(job, output=tmp_path / "other.safetensors", settings=replace(QUICK, seed=7))
    loop.carry_out(job)
    loop.carry_out(other)
    runs = read_runs([RunFolder.of(job.output).path, other.output])
    assert [run.name for run in runs] == ["out", "other"]
    assert runs[0].bicubic == pytest.approx(runs[1].bicubic or 0) and len(runs[0].history) == 3
    html = runs_page(runs)
    assert "Settings in which they differ" in html and "<td>seed</td><td>0</td><td>7</td>" in html
    assert html.count("<svg") == 2 and html.count("data:image/") == 2 and "dB over bicubic" in html
    alone = runs_page(runs[:1])
    assert "<td>learning_rate</td>" in alone and "differ" not in alone


def test_a_run_of_before_that_tells_less_is_shown_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "<old>.run"
    folder.mkdir()
    (folder / "log.csv").write_text("step,psnr,loss\n0,30.1,\n5,,0.3\n10,30.5,0.2\n")
    [run] = read_runs([folder])
    assert run.bicubic is None and [entry["step"] for entry in run.history] == [0, 10]
    html = runs_page([run])
    assert "&lt;old&gt;: best 30.50 dB at step 10, +0.40 dB over its start" in html


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (None, "is no training's folder"),
        ("step,psnr\n", "holds no validation yet"),
        ("step,psnr\nfive,six\n", "cannot be read"),
        ("\0\xff", "cannot be read|no validation"),
    ],
)
def test_a_folder_that_is_none_is_named(log: str | None, words: str, tmp_path: Path) -> None:
    if log is not None:
        (tmp_path / "log.csv").write_bytes(log.encode("latin-1"))
    with pytest.raises(EspcnError, match=words) as caught:
        read_runs([tmp_path])
    assert str(tmp_path) in str(caught.value)
