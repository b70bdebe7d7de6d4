"""Files that arrive in a folder: which are complete, which have changed, and which folders can be watched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from making import save_picture
from making_archives import save_book

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.upscaling.arrivals import Arrivals, check_folders, tasks_of
from espcn_cli.upscaling.outcome import Task

NOW = 1_700_000_000.0
"""Seconds since 1970, of a clock that the tests set."""


def grow(path: Path, data: bytes, at: float) -> Path:
    """Add to a file at that time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(data)
    os.utime(path, (at, at))
    return path


def test_what_has_lain_there_is_complete_at_once(tmp_path: Path) -> None:
    old = grow(tmp_path / "a.png", b"a", NOW - 100)
    arrivals = Arrivals(tmp_path)
    assert arrivals.complete(NOW) == [old]
    assert arrivals.complete(NOW + 1) == [] and not arrivals.waits


def test_a_file_that_grows_is_waited_for(tmp_path: Path) -> None:
    arrivals = Arrivals(tmp_path, settle=1)
    assert arrivals.complete(NOW) == [] and not arrivals.waits
    for second in range(5):
        path = grow(tmp_path / "a.png", b"more", NOW + second)
        assert arrivals.complete(NOW + second) == [] and arrivals.waits
    assert arrivals.complete(NOW + 4.9) == []
    assert arrivals.complete(NOW + 5) == [path]


def test_a_file_whose_time_is_in_the_future_is_complete_when_it_stays(tmp_path: Path) -> None:
    path = grow(tmp_path / "a.png", b"a", NOW + 10_000)
    arrivals = Arrivals(tmp_path)
    assert [arrivals.complete(NOW), arrivals.complete(NOW + 0.5), arrivals.complete(NOW + 1)] == [[], [], [path]]


def test_a_file_that_changes_again_is_told_again(tmp_path: Path) -> None:
    path = grow(tmp_path / "a.png", b"a", NOW - 9)
    arrivals = Arrivals(tmp_path)
    assert arrivals.complete(NOW) == [path]
    grow(path, b"b", NOW + 1)
    assert [arrivals.complete(NOW + 1), arrivals.complete(NOW + 2)] == [[], [path]]
    path.unlink()
    assert arrivals.complete(NOW + 3) == []
    grow(path, b"ab", NOW + 1)  # as it was: it has arrived again
    assert arrivals.complete(NOW + 4) == [path]


def test_a_file_that_goes_before_it_is_complete_is_forgotten(tmp_path: Path) -> None:
    arrivals = Arrivals(tmp_path)
    path = grow(tmp_path / "a.png", b"a", NOW)
    assert arrivals.complete(NOW) == [] and arrivals.waits
    path.unlink()
    assert arrivals.complete(NOW + 5) == [] and not arrivals.waits


def test_only_pictures_count_and_folders_below_if_asked(tmp_path: Path) -> None:
    for name in ("a.png", "b.txt", ".c.png", "d.zip", "below/e.jpg", "f.cbz", "g.mp4", "a.png.part"):
        grow(tmp_path / name, b"a", NOW - 9)
    found = [path.name for path in Arrivals(tmp_path).complete(NOW)]
    assert found == ["a.png", "f.cbz", "g.mp4"]
    assert [path.name for path in Arrivals(tmp_path, recursive=True).complete(NOW)] == [*found, "e.jpg"]


def test_outputs_are_called_as_those_of_the_whole_folder(tmp_path: Path) -> None:
    first = save_picture(tmp_path / "in" / "below" / "a.png")
    save_picture(tmp_path / "in" / "below" / "a.bmp")
    book = save_book(tmp_path / "in" / "book.cbz")
    tasks = tasks_of([first, book], tmp_path / "in", tmp_path / "out", True, ".webp")
    outputs = [str(task.output.relative_to(tmp_path)) for task in tasks if isinstance(task, Task)]
    assert outputs == ["out/book.cbz", "out/below/a.png.webp"]
    assert tasks_of([tmp_path / "in" / "gone.png"], tmp_path / "in", tmp_path / "out", True, None) == []


@pytest.mark.parametrize("out", ["in", "in/below", "in/new/deep", "link", "."])
def test_what_would_arrive_again_is_refused(tmp_path: Path, out: str) -> None:
    (tmp_path / "in" / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "in")
    with pytest.raises(UsageError, match=r"would arrive there again|could arrive there again"):
        check_folders(tmp_path / "in", tmp_path / out)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png")
    (tmp_path / "in").mkdir()
    with pytest.raises(EspcnError, match="is no folder: name the one to watch"):
        check_folders(tmp_path / "a.png", tmp_path / "out")
    with pytest.raises(UsageError, match="is a file: name a folder for what is made"):
        check_folders(tmp_path / "in", tmp_path / "a.png")
    check_folders(tmp_path / "in", tmp_path / "in2")
