"""What is remembered of a machine: found once, and again where it cannot be kept or is not what it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from espcn_cli.engines.remembered import remembered


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "espcn"


def test_it_is_found_once_for_a_machine_and_its_software() -> None:
    numbers = iter((0.5, 1, 2.0))
    assert [remembered("x", here, lambda: next(numbers)) for here in ("a", "a", "b", "a", "b")] == [0.5, 0.5, 1, 0.5, 1]
    assert remembered("y", "a", lambda: next(numbers)) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": true}', '{"a": "1"}', "[" * 100_000])
def test_a_file_that_is_damaged_is_made_again(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "x.json").write_text(text)
    assert remembered("x", "a", lambda: 3) == 3
    assert remembered("x", "a", lambda: 4) == 3


def test_a_folder_that_cannot_be_made_costs_nothing_but_time(folder: Path) -> None:
    folder.write_text("a file")
    assert [remembered("x", "a", lambda: 3), remembered("x", "a", lambda: 4)] == [3, 4]
