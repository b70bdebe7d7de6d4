"""Speed: what a timing is, which ways there are, and a row that is measured."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import one_line, run, strict_json

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.memory import peak_memory
from espcn_cli.reports import speed
from espcn_cli.reports.speed import LEAST, WARM_UP, Speed, Timing, Way, measure, picture, timed, ways, without_int8

CPU = Way("torch", "cpu", "fp32")
ROW = Speed(
    *("espcn-s", 2, (960, 540), CPU, Timing(40.0, 50.0, 9), Timing(80.0, 90.0, 9), Timing(200.0, 220.0, 9)),
    *(10.0, 85.0, 105.0, 250.0, 500.0, 300.0),
)


def test_a_timing_by_hand() -> None:
    assert Timing.of([0.003, 0.001, 0.002]) == Timing(2.0, 3.0, 3)
    assert Timing.of([number / 1000 for number in range(100)]).p95 == 95
    with pytest.raises(ValueError, match="needs rounds"):
        Timing.of([])


def test_what_follows_from_a_row() -> None:
    assert (ROW.frames, ROW.share, ROW.bottleneck) == (12.5, 0.5, "encode")
    assert replace(ROW, decode=500.0).bottleneck == "decode"
    assert ROW.to_dict()["frames_per_second"] == 12.5


def test_rounds_are_counted_after_the_warm_up() -> None:
    done: list[int] = []
    assert len(timed(lambda: done.append(1), 0)) == LEAST
    assert len(done) == LEAST + WARM_UP


def test_the_picture_is_the_same_each_time_and_no_flat_one() -> None:
    assert (picture((64, 48)) == picture((64, 48))).all()
    assert picture((64, 48)).shape == (48, 64, 3) and np.std(picture((64, 48))) > 20


def test_the_ways_are_those_that_are_there() -> None:
    assert CPU in ways()
    assert ways("torch", "cpu", "fp32") == [CPU]
    with pytest.raises(UsageError, match="unknown device"):
        ways(device="abacus")
    with pytest.raises(UsageError, match="fp16 needs a GPU"):
        ways("auto", "cpu", "fp16")


def test_memory_is_known_here(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("Name:\tx\nVmHWM:\t  250000 kB\n")
    assert peak_memory(tmp_path / "status") == pytest.approx(256)
    here = peak_memory(tmp_path / "nowhere")
    assert (here is None) == (os.name == "nt") and (here is None or here > 20)


def test_a_model_is_measured_and_one_that_is_not_there_is_named(tiny_model: Path) -> None:
    found = list(measure([(str(tiny_model), 2), ("nowhere/x.safetensors", 2)], [(40, 30)], [CPU], seconds=0))
    row, missing = found
    assert isinstance(row, Speed) and isinstance(missing, EspcnError)
    assert row.size == (40, 30) and min(row.network.median, row.picture.median, row.decode, row.encode) > 0
    assert row.file.median == pytest.approx(row.decode + row.upscale + row.encode, rel=0.5)
    assert row.share > 0 and row.memory and 50 < row.memory < 2000
    assert "nowhere/x.safetensors" in str(missing)


def test_only_what_has_ranges_is_measured_in_int8_unless_that_alone_is_asked_for(tiny_model: Path) -> None:
    models, bytes_ = [("espcn-s", 2), (str(tiny_model), 2)], Way("openvino", "cpu", "int8")
    assert without_int8(models, [CPU, bytes_]) == [(str(tiny_model), 2)]
    assert without_int8(models, [CPU]) == without_int8(models, [bytes_]) == []


# --- on the command line ---------------------------------------------------------------------------------------------


def test_speed_as_a_table_and_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = EspcnError("espcn-s x2, torch cpu bf16: not enough memory")
    monkeypatch.setattr(speed, "measure", lambda *_: iter([ROW, failed]))
    result = run("benchmark", "--speed", "-m", "espcn-s")
    one_line(result, 1, "not enough memory")
    head, line, _, note = result.stdout.splitlines()
    assert head.split()[:4] == ["model", "scale", "input", "way"]
    assert line.split()[:6] == ["espcn-s", "x2", "960x540", "torch", "cpu", "fp32"] and " 50% " in line
    assert "each row in its own process" in note
    rows = strict_json(run("benchmark", "--speed", "-m", "espcn-s", "--json").stdout)["rows"]
    assert rows[0]["bottleneck"] == "encode" and rows[0]["way"] == {
        "engine": "torch",
        "device": "cpu",
        "precision": "fp32",
    }


def test_speed_as_csv_and_in_markdown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(speed, "measure", lambda *_: iter([ROW]))
    call = ("benchmark", "--speed", "-m", "espcn-s")
    printed = run(*call, "--csv", "-").stdout
    [row] = csv.DictReader(printed.splitlines())
    values = ROW.to_dict()
    assert (row["model"], row["width"], row["height"]) == ("espcn-s", "960", "540")
    assert (row["engine"], row["device"], row["precision"]) == ("torch", "cpu", "fp32")
    assert float(row["network_median"]) == ROW.network.median and float(row["file_p95"]) == ROW.file.p95
    assert float(row["share_of_peak"]) == values["share_of_peak"] and row["bottleneck"] == "encode"
    result = run(*call, "--csv", "speeds.csv", cwd=tmp_path)
    assert result.stdout.startswith("model"), "the table is shown all the same"
    assert (tmp_path / "speeds.csv").read_text().splitlines() == printed.splitlines()
    one_line(run(*call, "--csv", "speeds.csv", cwd=tmp_path), 2, "1 output exists", "--overwrite")
    one_line(run(*call, "--json", "--markdown"), 2, "cannot both go to standard output")
    head, rule, line, _, note = run(*call, "--markdown").stdout.splitlines()
    assert head.startswith("| model | scale |") and rule.startswith("|---|---:|---:|---|---:|")
    assert head.count("|") == rule.count("|") == line.count("|") and "own process" in note


def test_a_model_that_is_left_out_of_int8_is_named(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    monkeypatch.setattr(speed, "measure", lambda *_: iter([ROW]))
    monkeypatch.setattr(speed, "ways", lambda *_: [CPU, Way("openvino", "cpu", "int8")])
    call, said = ("benchmark", "--speed", "-m", tiny_model), f"not in int8, having no ranges for it: {tiny_model} x2"
    assert run(*call).stdout.splitlines()[-1] == said
    assert run(*call, "--markdown").stdout.splitlines()[-2] == ""
    assert strict_json(run(*call, "--json").stdout)["how"].endswith(said)
    assert "int8" not in run(*call[:3], "espcn-s").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--speed", "photos"], ["leave out DATA"]),
        (["--speed", "--report", "x"], ["leave out --report"]),
        (["--speed", "--verbose"], ["leave out --verbose"]),
        (["--speed", "--protocol", "rgb"], ["leave out --protocol"]),
        (["--speed", "--size", "big"], ["--size big"]),
        (["--speed", "--size", "0x5"], ["--size 0x5"]),
        (["--speed", "-s", "5"], ["--scale", "'5' is not one of"]),
        (["--speed", "-m", "nothing"], ["unknown model 'nothing'"]),
        (["photos", "--size", "9x9"], ["--speed: add that option"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_of_speed_gets_one_line(arguments: list[str], words: list[str]) -> None:
    one_line(run("benchmark", *arguments), 2, *words)
