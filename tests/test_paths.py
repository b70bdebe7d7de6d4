"""Paths as they are typed: what `pathlib` forgets of them is settled before it does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.paths import STREAM, file_of, names_folder, path_of, source_of

FOLDERS = ["out/", "out//", "a/b/", "out.png/", "2024.11/", ".", "..", "out/.", "out/..", "./", "../", "/", "-/"]
OTHERS = ["out", "out.png", "a/b", "2024.11", ".hidden", "...", "a/..b", "./-", "-"]


@pytest.mark.parametrize("typed", FOLDERS)
def test_what_ends_in_a_separator_or_in_dots_means_a_folder_there_or_not(typed: str) -> None:
    assert names_folder(typed)
    with pytest.raises(UsageError, match="means a folder: name a file"):
        file_of(typed)


@pytest.mark.parametrize("typed", OTHERS)
def test_any_other_name_may_be_a_file_s(typed: str) -> None:
    assert not names_folder(typed)
    assert file_of(typed).name == Path(typed).name


def test_the_other_separator_of_a_system_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    import ntpath

    monkeypatch.setattr(os.path, "basename", ntpath.basename)
    assert names_folder("out\\") and names_folder("out/") and not names_folder("out\\a")


def test_an_empty_name_is_misuse_and_not_the_working_folder() -> None:
    for ask in (path_of, source_of, file_of):
        with pytest.raises(UsageError, match="is empty: give one"):
            ask("")


@pytest.mark.parametrize("typed", ["./-", "-/", ".//-", "./-/"])
def test_a_file_or_folder_called_like_the_stream_is_not_the_stream(typed: str) -> None:
    assert path_of("-") == STREAM
    assert path_of(typed) == Path.cwd() / "-"


def test_a_source_that_means_a_folder_is_none_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "in").mkdir()
    assert source_of(f"{tmp_path}/in/") == source_of(tmp_path / "in") == tmp_path / "in"
    assert source_of(f"{tmp_path}/gone/") == tmp_path / "gone"  # whoever reads it says that it is not there
    for end in ("/", "/."):
        with pytest.raises(EspcnError, match=r"is no folder: to name the file, write .*a\.png") as caught:
            source_of(f"{tmp_path}/a.png{end}")
        assert caught.value.path is not None
