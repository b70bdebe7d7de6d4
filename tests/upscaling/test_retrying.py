"""What a log of outcomes tells of failures, also one that a kill has cut short."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.upscaling.outcome import Outcome, Task
from espcn_cli.upscaling.retrying import failed_in, only_failed

GOOD = Outcome(Task(Path("a.png"), Path("out/a.png")))
BAD = Outcome(Task(Path("b\udcff.png"), Path("out/b.png")), error="b.png: it is cut short")
LINES = "".join(json.dumps(each.to_dict()) + "\n" for each in (GOOD, BAD))
LIST = json.dumps([each.to_dict() for each in (BAD, GOOD)], indent=2)
FAILED = {os.path.abspath("b\udcff.png")}  # noqa: PTH100


def written(folder: Path, text: str) -> Path:
    path = folder / "log"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    return path


@pytest.mark.parametrize("text", [LINES, LIST, LINES.replace("\n", "\r\n"), "[]\n" + LIST])
def test_the_last_outcome_of_each_source_counts(tmp_path: Path, text: str) -> None:
    assert failed_in(written(tmp_path, text)) == FAILED
    assert failed_in(written(tmp_path, text + json.dumps(BAD.to_dict() | {"error": None}))) == set()


@pytest.mark.parametrize("whole", [LINES + LINES.splitlines()[0], LIST])
def test_a_log_that_was_cut_short_is_read_as_far_as_it_goes(tmp_path: Path, whole: str) -> None:
    enough = len(LINES) if whole.startswith("{") else whole.index("},") + 1
    for end in range(enough, len(whole)):
        assert failed_in(written(tmp_path, whole[:end])) == FAILED, whole[:end][-40:]


@pytest.mark.parametrize(
    "text", ["", "[]", "hello", "3", '{"source": 1, "error": null}', "{}", LINES[:40] + "\n" + LINES]
)
def test_what_is_no_log_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"log.*--json-lines"):
        failed_in(written(tmp_path, text))


def test_a_log_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "log", tmp_path):
        with pytest.raises(EspcnError, match="cannot be read"):
            failed_in(path)


def test_tasks_are_those_that_failed_by_whatever_path(tmp_path: Path) -> None:
    log = written(tmp_path, LINES)
    same = Task(Path("below/../b\udcff.png"), Path("elsewhere.png"))
    assert only_failed([GOOD.task, same, BAD], log) == [same, BAD]
    with pytest.raises(UsageError, match="none of the sources failed"):
        only_failed([GOOD.task], log)
