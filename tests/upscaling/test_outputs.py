"""Outputs before the work: existing ones refused or skipped, and those that cannot be written known from the start."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from making import save_picture

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.pictures import writing
from espcn_cli.pictures.document import Document
from espcn_cli.upscaling.outcome import Outcome, Task
from espcn_cli.upscaling.outputs import check_outputs
from espcn_cli.upscaling.pipeline import Options, run
from espcn_cli.upscaling.plan import plan
from espcn_cli.upscaling.upscaler import Upscaler


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name in ("a", "b", "c", "deep/d"):
        save_picture(tmp_path / "in" / f"{name}.png")
    return tmp_path / "in"


def errors(tasks: list[Task | Outcome]) -> dict[str, str | None]:
    """What is wrong with each source, by its name; None for those that go on."""
    outcomes = [task if isinstance(task, Outcome) else Outcome(task) for task in tasks]
    return {outcome.task.source.stem: outcome.error for outcome in outcomes}


def test_existing_outputs_are_refused_with_their_number(tmp_path: Path, pictures: Path) -> None:
    tasks = plan([pictures, tmp_path / "gone.png"], tmp_path / "out")
    assert check_outputs(tasks) == tasks
    for name in ("a", "c"):
        save_picture(tmp_path / "out" / f"{name}.png")
    with pytest.raises(
        UsageError, match=r"2 of 3 outputs exist already, such as .*out/a\.png: .*overwrite.*skip-exist"
    ):
        check_outputs(tasks)
    assert check_outputs(tasks, overwrite=True) == tasks
    gone, a, b, c = check_outputs(tasks, skip_existing=True)
    assert gone is tasks[0] and b is tasks[2]
    assert [outcome.skipped for outcome in (a, c) if isinstance(outcome, Outcome)] == [True, True]


def test_a_link_to_nothing_and_a_stream_are_no_existing_outputs(tmp_path: Path, pictures: Path) -> None:
    (tmp_path / "link.png").symlink_to("target.png")
    for output in (tmp_path / "link.png", Path(os.devnull), Path("-")):
        tasks = plan([pictures / "a.png"], output)
        assert check_outputs(tasks) == tasks


def test_outputs_that_cannot_be_written_are_known_and_the_others_go_on(tmp_path: Path, pictures: Path) -> None:
    (tmp_path / "out" / "a.png").mkdir(parents=True)
    (tmp_path / "out" / "b.png").symlink_to("b.png")
    (tmp_path / "out" / "deep").touch()
    found = errors(check_outputs(plan([pictures], tmp_path / "out", recursive=True)))
    assert found["c"] is None
    for name, reason in (
        ("a", "out/a.png is a folder: name a file"),
        ("b", "out/b.png is a link that leads back to itself"),
        ("d", "cannot write .*out/deep .Not a directory."),
    ):
        assert re.search(reason, str(found[name]))


@pytest.mark.parametrize("destination", ["file/out", "nowhere/out", "x" * 300, f"new/{'x' * 300}"])
def test_a_folder_that_cannot_be_made_is_one_error_for_all(tmp_path: Path, pictures: Path, destination: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to("gone")
    with pytest.raises(EspcnError, match=r"cannot write .*(file|nowhere) |the name is too long"):
        check_outputs(plan([pictures], tmp_path / destination))


def test_what_is_skipped_needs_no_place(tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that is done already may lie where nothing can be written any more."""
    for name in ("a", "b", "c"):
        save_picture(tmp_path / "out" / f"{name}.png")

    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    found = check_outputs(plan([pictures], tmp_path / "out"), skip_existing=True)
    assert all(isinstance(outcome, Outcome) and outcome.skipped for outcome in found)


@pytest.mark.parametrize("skip_existing", [False, True])
def test_a_file_made_while_the_network_runs_is_not_replaced(
    tmp_path: Path, pictures: Path, bicubic: Upscaler, skip_existing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Task(pictures / "a.png", tmp_path / "out.png")
    encode = writing.encode

    def meanwhile(*arguments: Any) -> Document:
        task.output.write_text("theirs")
        return encode(*arguments)

    monkeypatch.setattr(writing, "encode", meanwhile)
    [outcome] = run(bicubic, [task], Options(overwrite=False, skip_existing=skip_existing))
    assert task.output.read_text() == "theirs"
    assert outcome.skipped == skip_existing
    assert (outcome.error is None) == skip_existing
    if not skip_existing:
        assert "out.png was made by another meanwhile, and stays" in str(outcome.error)


def test_one_made_before_its_turn_in_a_batch_costs_no_work(tmp_path: Path, pictures: Path, bicubic: Upscaler) -> None:
    tasks = plan([pictures], tmp_path / "out")
    work = run(bicubic, tasks, Options(overwrite=False))
    first = next(work)
    assert first.error is None
    save_picture(tmp_path / "out" / "c.png").write_text("theirs")
    found = errors([first, *work])
    assert (found["a"], found["b"]) == (None, None)
    assert "c.png" in str(found["c"])
    assert (tmp_path / "out" / "c.png").read_text() == "theirs"


def test_what_killed_runs_left_beside_a_link_s_target_is_removed(
    tmp_path: Path, pictures: Path, bicubic: Upscaler
) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "out.png").symlink_to(Path("far") / "target.png")
    (tmp_path / "far" / ".target-x.espcn-part").touch()
    [outcome] = run(bicubic, [Task(pictures / "a.png", tmp_path / "out.png")])
    assert outcome.error is None
    assert (tmp_path / "out.png").is_symlink()
    assert [path.name for path in (tmp_path / "far").iterdir()] == ["target.png"]
