"""What is there is said of any name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from espcn_cli.errors import EspcnError
from espcn_cli.files import check_destination, is_file, is_folder, is_there


def test_files_and_folders_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert is_there(tmp_path / "file") and is_file(tmp_path / "file") and not is_folder(tmp_path / "file")
    assert is_there(tmp_path) and is_folder(tmp_path) and not is_file(tmp_path)


@pytest.mark.parametrize("name", ["missing", "x" * 300, "a\0b", "round"])
def test_a_name_that_no_file_can_have_is_of_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "round").symlink_to("round")
    assert not any(ask(tmp_path / name) for ask in (is_there, is_file, is_folder))


def test_a_destination_is_checked_before_any_work(tmp_path: Path) -> None:
    picture = tmp_path / "in.png"
    picture.write_bytes(b"pixels")
    (tmp_path / "link.png").symlink_to("in.png")
    for path, reason in (
        (tmp_path, "is a folder"),
        (tmp_path / "no" / "out.csv", "no folder"),
        (picture, "is an input and would be overwritten"),
        (tmp_path / "link.png", "is an input and would be overwritten"),
        (Path(os.devnull), "is a device or a pipe"),
    ):
        with pytest.raises(EspcnError, match=reason) as caught:
            check_destination(path, [tmp_path / "gone.png", picture])
        assert caught.value.path == path and "\n" not in str(caught.value)
    check_destination(tmp_path / "new.csv", [picture])
    check_destination(picture)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.png", "link.png"], "nothing is left behind"
    assert picture.read_bytes() == b"pixels"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write to, not even root")
def test_a_folder_that_cannot_be_written_is_named_before_any_work() -> None:
    with pytest.raises(EspcnError, match=r"cannot write /proc/out\.csv"):
        check_destination(Path("/proc/out.csv"))
