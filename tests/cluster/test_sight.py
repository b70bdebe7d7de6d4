"""What a machine proves before it gets work: that it reads the sources, and writes where the command reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from making import save_picture

from espcn_cli.cluster import sight
from espcn_cli.cluster.sight import destination_of, is_answered, posted, trouble
from espcn_cli.upscaling.outcome import Task


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sight, "PATIENCE", 0.0)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return Task(save_picture(tmp_path / "in" / "a.png"), tmp_path / "out" / "deep" / "a.png")


def test_a_machine_that_sees_all_answers_and_leaves_nothing(task: Task, tmp_path: Path) -> None:
    with posted([task]) as proof:
        assert trouble(proof, "other") is None
        assert is_answered(proof, "other") and not is_answered(proof, "another")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_another_source_of_that_name(task: Task) -> None:
    with posted([task]) as proof:
        save_picture(task.source, seed=1)
        assert f"does not see the source {task.source} (another file has its name)" in str(trouble(proof, "other"))
        task.source.unlink()
        assert f"does not see the source {task.source} (No such file" in str(trouble(proof, "other"))


def test_another_destination(task: Task, tmp_path: Path) -> None:
    with posted([task]) as proof:
        Path(proof.note).unlink()
        assert f"does not see the destination {tmp_path}" in str(trouble(proof, "other"))


def test_relative_paths_need_the_folder_that_they_start_in(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with posted([Task(Path("../in/a.png"), Path("out/a.png"))]) as proof:
        assert trouble(proof, "other") is None
    (tmp_path / "here").rmdir()
    assert "does not see the folder" in str(trouble(proof, "other"))


def test_the_destination_is_what_all_outputs_are_below(tmp_path: Path) -> None:
    outputs = [tmp_path / "out" / name for name in ("a/1.png", "b/2.png")]
    tasks = [Task(Path("in.png"), output) for output in outputs]
    assert destination_of(tasks) == tmp_path
    (tmp_path / "out").mkdir()
    assert destination_of(tasks) == tmp_path / "out"
