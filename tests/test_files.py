"""What is there is said of any name; where a file can go is known beforehand; files appear whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from espcn_cli import files
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.files import (
    PART_SUFFIX,
    abandon,
    check_destination,
    claimed,
    clean,
    is_file,
    is_folder,
    is_there,
    replacing,
)


def test_files_and_folders_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert is_there(tmp_path / "file") and is_file(tmp_path / "file") and not is_folder(tmp_path / "file")
    assert is_there(tmp_path) and is_folder(tmp_path) and not is_file(tmp_path)
    assert (
        files.is_special(Path(os.devnull))
        and not files.is_special(tmp_path)
        and not files.is_special(tmp_path / "file")
    )


def test_a_temporary_file_in_use_is_left_alone_and_a_dead_one_removed(tmp_path: Path) -> None:
    dead = tmp_path / f".a-x{files.PART_SUFFIX}"
    dead.touch()
    with files.replacing(tmp_path / "b.png") as alive:
        alive.write_bytes(b"whole")
        assert files.clean(tmp_path) == 1
        assert alive.exists() and not dead.exists()
    assert (tmp_path / "b.png").read_bytes() == b"whole"
    assert files.clean(tmp_path / "nowhere") == 0


@pytest.mark.parametrize("name", ["missing", "x" * 300, "a\0b", "round"])
def test_a_name_that_no_file_can_have_is_of_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "round").symlink_to("round")
    assert not any(ask(tmp_path / name) for ask in (is_there, is_file, is_folder))


# --- where a file can go ---------------------------------------------------------------------------------------------


def test_a_destination_needs_a_folder_and_a_name_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    check_destination(Path("new.png"))
    check_destination(tmp_path / "file", [tmp_path / "new.png", tmp_path])
    for path, message in (
        (tmp_path, "is a folder: name a file"),
        (tmp_path / "no" / "new.png", "no folder .*no for new.png: make it, or choose another destination"),
        (tmp_path / "file" / "new.png", "no folder .*file for new.png"),
        (tmp_path / ("x" * 300) / "new.png", "no folder .*x for new.png"),
        (Path(os.devnull), "is a device or a pipe: name a file"),
    ):
        with pytest.raises(EspcnError, match=message) as caught:
            check_destination(path)
        assert caught.value.path == path and "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_destination_is_no_input_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    for path in (tmp_path / "file", tmp_path / "link", tmp_path / ".." / tmp_path.name / "file"):
        with pytest.raises(UsageError, match="is an input and would be overwritten: choose another destination"):
            check_destination(path, [tmp_path / "missing", tmp_path / "file"])


@pytest.mark.skipif(sys.platform == "win32", reason="has no such permissions")
def test_a_destination_without_permission_is_refused_beforehand() -> None:
    """As somebody who is not allowed everything."""
    code = """if True:
        import os, pathlib, tempfile
        from espcn_cli import errors, files
        if os.geteuid() == 0:
            os.setuid(65534)
        folder = pathlib.Path(tempfile.mkdtemp())
        folder.chmod(0o555)
        try:
            files.check_destination(folder / "a.png")
        except errors.EspcnError as error:
            print(error)
        finally:
            folder.rmdir()
    """
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("cannot write ")
    assert said.endswith("a.png (Permission denied): choose another destination\n")


# --- whole or not at all ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="has no such permissions")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_file_gets_the_permissions_of_any_new_file_from_the_start(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        with replacing(tmp_path / "a") as temporary:
            assert temporary.stat().st_mode & 0o777 == 0o666 & ~mask
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~mask
    finally:
        os.umask(before)


def test_the_mask_of_the_process_is_never_changed(tmp_path: Path) -> None:
    """Not even for a moment: other threads make files meanwhile."""
    called: list[object] = []
    sys.setprofile(lambda frame, event, function: called.append(function) if event == "c_call" else None)
    try:
        with replacing(tmp_path / "a"):
            pass
    finally:
        sys.setprofile(None)
    assert os.fsync in called and os.umask not in called


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    for error, expected in ((OSError(28, "No space left on device"), EspcnError), (ValueError("ours"), ValueError)):
        with pytest.raises(expected) as caught, replacing(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise error
        if isinstance(caught.value, EspcnError):
            assert str(caught.value) == f"cannot write {tmp_path / 'a'} (No space left on device): nothing was changed"
            assert caught.value.path == tmp_path / "a"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(EspcnError, match="No such file or directory") as caught, replacing(tmp_path / "no" / "a"):
        pass
    assert caught.value.path == tmp_path / "no" / "a"


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    (tmp_path / f".old-{PART_SUFFIX}").touch()
    with replacing(tmp_path / "a") as temporary:
        removed = clean(tmp_path)
        assert temporary.exists()
    assert removed == (0 if sys.platform == "win32" else 1)
    assert clean(tmp_path / "missing") == 0


def test_a_name_that_is_too_long_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(EspcnError, match="the name is too long: choose a shorter one"):
        check_destination(tmp_path / f"{'x' * 300}.png")


def test_who_ends_at_once_leaves_no_half(tmp_path: Path) -> None:
    with replacing(tmp_path / "done"):
        pass
    with replacing(tmp_path / "a") as temporary:
        temporary.write_bytes(b"half")
        abandon()
        assert [path.name for path in tmp_path.iterdir()] == ["done"]
        temporary.touch()


# --- one at a time ---------------------------------------------------------------------------------------------------

needs_locks = pytest.mark.skipif(sys.platform == "win32", reason="files are not locked there")

HOLD = """
import pathlib, sys, time
from espcn_cli.files import claimed
with claimed(pathlib.Path(sys.argv[1])):
    print("claimed", flush=True)
    time.sleep(60)
"""


@needs_locks
def test_what_is_claimed_cannot_be_claimed_by_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").symlink_to(tmp_path)
    (tmp_path / "other").symlink_to("a.x")
    said = f"process {os.getpid()} is working on .*: wait for it, stop it, or choose another destination"
    with claimed(tmp_path / "a.x"):
        for name in ("a.x", "./a.x", "folder/a.x", "other"):
            with pytest.raises(EspcnError, match=said) as caught, claimed(Path(name)):
                pass
            assert caught.value.path == Path(name)
        assert clean(tmp_path) == 0
        with claimed(tmp_path / "a.y"), claimed(tmp_path / "b.x"):
            pass
    with claimed(tmp_path / "a.x"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "other"]


@needs_locks
def test_a_process_that_is_killed_claims_nothing(tmp_path: Path) -> None:
    """Whatever it leaves behind, and whoever has its number now."""
    path = tmp_path / ("x" * 250)
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "claimed\n"
        with pytest.raises(EspcnError, match=f"process {holder.pid} is working on"), claimed(path):
            pass
        holder.send_signal(signal.SIGKILL)
    [left] = tmp_path.iterdir()
    left.write_text(f"{os.getpid()} elsewhere")
    with claimed(path):
        pass
    assert not list(tmp_path.iterdir())


@needs_locks
@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(37, "No locks available")])
def test_where_files_cannot_be_locked_anybody_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr("fcntl.flock", refuse)
    with claimed(tmp_path / "a"), claimed(tmp_path / "a"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_claim_where_nothing_can_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EspcnError, match=r"cannot write .*a \(No such file or directory\): choose another"):
        claimed(tmp_path / "no" / "a").__enter__()
