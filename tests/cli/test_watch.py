"""`espcn watch`: pictures are upscaled as they arrive, until a signal comes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command import COMMAND, PLAIN, one_line, run, strict_json
from making import save_picture
from making_archives import save_book
from PIL import Image

HERE = sys.platform != "win32"


@contextmanager
def watching(folder: Path, tiny: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The command, once it watches."""
    pytest.importorskip("watchfiles")
    command = [*COMMAND, "watch", "in", "out", "-m", str(tiny), "--settle", "0.3", "--engine", "torch", *options]
    with subprocess.Popen(
        command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | PLAIN
    ) as process:
        try:
            assert process.stderr is not None
            line = next(iter(process.stderr.readline, ""))
            assert line == "espcn: watching in; Ctrl-C ends it\n"
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


@pytest.mark.skipif(not HERE, reason="needs POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_arrives_is_done_and_a_signal_ends_it(tmp_path: Path, tiny: Path, number: signal.Signals) -> None:
    save_picture(tmp_path / "in" / "there.png")
    save_picture(tmp_path / "in" / "done.png")
    save_picture(tmp_path / "out" / "done.png", 7, 7)
    save_picture(tmp_path / "new.png", 10, 8)
    with watching(tmp_path, tiny, "-f", "png") as process:
        assert said(process).startswith("in/there.png -> out/there.png: 24 x 18 -> 48 x 36, ")
        shutil.move(tmp_path / "new.png", tmp_path / "in" / "new.png")
        assert said(process).startswith("in/new.png -> out/new.png: 10 x 8 -> 20 x 16, ")
        save_picture(tmp_path / "in" / "new.png", 12, 8)
        assert said(process).startswith("in/new.png -> out/new.png: 12 x 8 -> 24 x 16, ")
        (tmp_path / "in" / "bad.png").write_text("no picture")
        assert said(process).startswith("espcn: in/bad.png: not a picture")
        save_picture(tmp_path / "in" / "bad.png", 6, 4)
        assert said(process).startswith("in/bad.png -> out/bad.png: 6 x 4 -> 12 x 8, ")
        process.send_signal(number)
        out, rest = process.communicate(timeout=60)
    assert (out, rest, process.returncode) == ("4 upscaled, 1 failed\n", "", 1)
    with Image.open(tmp_path / "out" / "done.png") as image:
        assert image.size == (7, 7)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["bad.png", "done.png", "new.png", "there.png"]


@pytest.mark.skipif(not HERE, reason="needs POSIX signals")
def test_a_page_that_failed_shows_in_the_exit_code(tmp_path: Path, tiny: Path) -> None:
    (tmp_path / "in").mkdir()
    save_book(tmp_path / "in" / "book.cbz", **{"bad.jpg": b"no picture"})
    with watching(tmp_path, tiny) as process:
        assert said(process).startswith("espcn: in/book.cbz: bad.jpg stays as it was: ")
        assert said(process).startswith("in/book.cbz -> out/book.cbz: ")
        process.send_signal(signal.SIGINT)
        out, rest = process.communicate(timeout=60)
    assert (out, rest, process.returncode) == ("1 upscaled\n", "", 1)


@pytest.mark.skipif(not HERE, reason="needs POSIX signals")
def test_outcomes_are_lines_of_json_and_an_idle_end_is_a_good_one(tmp_path: Path, tiny: Path) -> None:
    save_picture(tmp_path / "in" / "below" / "a.png")
    with watching(tmp_path, tiny, "--json-lines", "-r") as process:
        assert process.stdout is not None
        record = strict_json(process.stdout.readline())
        assert (record["source"], record["output"], record["error"]) == ("in/below/a.png", "out/below/a.png", None)
        process.send_signal(signal.SIGINT)
        out, rest = process.communicate(timeout=60)
    assert (out, rest, process.returncode) == ("", "", 0)


def test_misuse_is_one_line(tmp_path: Path, tiny: Path) -> None:
    pytest.importorskip("watchfiles")
    save_picture(tmp_path / "in" / "a.png")
    for words, code, line in (
        ("in in/out", 2, "in/out lies inside in"),
        ("in .", 2, "in lies inside ."),
        ("none out", 1, "none is no folder"),
        ("in out -f txt", 2, "cannot write .txt"),
        ("in out -m none", 2, "unknown model 'none'"),
        ("in out --strength 2", 2, "strength"),
    ):
        one_line(run("watch", *words.split(), cwd=tmp_path), code, line)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.skipif(not HERE or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told_at_once(tmp_path: Path, tiny: Path) -> None:
    pytest.importorskip("watchfiles")
    (tmp_path / "in").mkdir()
    (tmp_path / "closed").mkdir(mode=0o555)
    one_line(run("watch", "in", "closed/out", "-m", tiny, cwd=tmp_path), 1, "cannot write closed")


def test_without_the_library_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("espcn_cli.upscaling.arrivals.find_spec", lambda name: None)
    (tmp_path / "in").mkdir()
    one_line(run("watch", "in", "out", cwd=tmp_path), 1, "needs watchfiles", "pip install 'espcn[watch]'")
