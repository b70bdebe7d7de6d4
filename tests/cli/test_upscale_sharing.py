"""`espcn upscale`: several processes on one folder, and outcomes for machines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command import COMMAND, PLAIN, one_line, run, texts
from making import save_checkpoint, save_picture

from espcn_cli.files import PART_SUFFIX

HOLD = """
import sys, time
from pathlib import Path
from espcn_cli.files import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""

linux = pytest.mark.skipif(sys.platform == "win32", reason="files are not locked there")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "tiny.safetensors")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(40):
        save_picture(folder / f"{number:02d}.png", 24, 18, seed=number)
    return folder


@contextmanager
def holding(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that makes a file, and does not end by itself."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout and process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@linux
def test_two_processes_make_each_output_once(model: Path, photos: Path, tmp_path: Path) -> None:
    words = texts(("upscale", photos, tmp_path / "deep" / "out", "-m", model, "--skip-existing", "--json-lines"))
    both = [
        subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, text=True, env=os.environ | PLAIN)
        for _ in range(2)
    ]
    made: list[str] = []
    for process in both:
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == 0
        outcomes = [json.loads(line) for line in printed.splitlines()]
        assert len(outcomes) == 40
        made += [each["output"] for each in outcomes if not each["skipped"]]
    assert len(made) == len(set(made)) == 40
    assert sorted(path.name for path in (tmp_path / "deep" / "out").iterdir()) == [f"{n:02d}.png" for n in range(40)]


@linux
def test_what_another_process_makes_is_skipped_until_that_is_killed(model: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    arguments = ("upscale", photos / "00.png", photos / "01.png", tmp_path / "out", "-m", model, "--skip-existing")
    with holding(tmp_path / "out" / "00.png") as other:
        result = run(*arguments)
        assert result.code == 0 and "1 upscaled, 1 skipped" in result.stdout
        assert f"skipped, being made by process {other.pid}" in result.stderr
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert [path.suffix for path in (tmp_path / "out").iterdir() if path.name.startswith(".")] == [PART_SUFFIX]
    again = run(*arguments, "--json")
    assert [each["reason"] for each in json.loads(again.stdout)] == [None, None]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"00.png", "01.png"}


@linux
def test_no_folder_remains_of_a_claim_for_what_failed(model: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    result = run("upscale", tmp_path / "broken.png", tmp_path / "new" / "", "-m", model, "--skip-existing")
    assert result.code == 1 and not (tmp_path / "new").exists()


def test_a_line_of_json_for_each_outcome(model: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "03.png").write_bytes(b"no picture")
    result = run("upscale", photos, tmp_path / "out", "-m", model, "--json-lines")
    outcomes = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.code == 1 and len(outcomes) == 40
    assert [Path(each["source"]).name for each in outcomes if each["error"]] == ["03.png"]
    dry = run("upscale", photos, tmp_path / "dry", "-m", model, "--json-lines", "--dry-run")
    assert len(dry.stdout.splitlines()) == 40
    one_line(run("upscale", photos, tmp_path / "x", "--json", "--json-lines"), 2, "exclude each other")


def test_what_failed_is_done_again_alone(model: Path, photos: Path, tmp_path: Path) -> None:
    whole = (photos / "03.png").read_bytes()
    (photos / "03.png").write_bytes(b"no picture")
    arguments = ("upscale", photos, tmp_path / "out", "-m", model)
    log = tmp_path / "log.jsonl"
    log.write_bytes(run(*arguments, "--json-lines").data)
    (photos / "03.png").write_bytes(whole)
    again = run(*arguments, "--retry-failed", log, "--json")
    assert [Path(each["output"]).name for each in json.loads(again.stdout)] == ["03.png"] and again.code == 0
    log.write_text(again.stdout)
    nothing = run(*arguments, "--retry-failed", log)
    assert nothing.code == 0 and "0 upscaled" in nothing.stdout
    one_line(run(*arguments, "--retry-failed", photos / "00.png"), 2, "is not what --json or --json-lines has printed")
    one_line(run(*arguments, "--retry-failed", tmp_path / "nosuch"), 1, "nosuch: cannot be read")
