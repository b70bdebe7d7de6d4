"""What is there is said of any name; where a file can go is known beforehand; files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from espcn_cli import files
from espcn_cli.errors import EspcnError, TakenError, UsageError
from espcn_cli.files import (
    PART_SUFFIX,
    abandon,
    check_destination,
    check_folder,
    check_name,
    claimed,
    clean,
    is_file,
    is_folder,
    is_stream,
    is_there,
    refuse_existing,
    replacing,
    scratch,
    write_csv,
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


def test_a_scratch_folder_lies_beside_and_vanishes(tmp_path: Path) -> None:
    (tmp_path / f".old-{PART_SUFFIX}" / "below").mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt), scratch(tmp_path / "a.cbz") as folder:
        assert folder.parent == tmp_path and folder.name.startswith(".a-")
        (folder / "below").mkdir()
        (folder / "below" / "file").touch()
        assert clean(tmp_path) == (0 if sys.platform == "win32" else 1)
        assert (folder / "below" / "file").exists()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with scratch(tmp_path / "a.cbz") as folder:
        (folder / "file").touch()
        abandon()
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(EspcnError, match=r"cannot write .*No such file or directory"), scratch(tmp_path / "no" / "a"):
        pass


def test_a_name_that_is_too_long_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(EspcnError, match="the name is too long: choose a shorter one"):
        check_destination(tmp_path / f"{'x' * 300}.png")


# --- what exists -----------------------------------------------------------------------------------------------------


def test_existing_outputs_are_refused_with_their_number_and_both_remedies(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "nowhere").symlink_to("gone")
    refuse_existing([tmp_path / "new", tmp_path / "folder", tmp_path / "nowhere", Path(os.devnull)])
    for count, names in (
        ("1 output exists already, .*/a: replace it", "a"),
        ("2 of 3 outputs exist already", "new b c"),
    ):
        with pytest.raises(UsageError, match=f"{count}.* --overwrite, or keep (it|them) with --skip-existing$"):
            refuse_existing([tmp_path / name for name in names.split()])


def test_a_file_made_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    said = "a was made by another meanwhile, and stays"
    with pytest.raises(TakenError, match=said) as caught, replacing(tmp_path / "a", overwrite=False) as temporary:
        temporary.write_text("ours")
        (tmp_path / "a").write_text("theirs")
    assert caught.value.path == tmp_path / "a"
    assert (tmp_path / "a").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    with replacing(tmp_path / "b", overwrite=False) as temporary:
        temporary.write_text("ours")
    assert (tmp_path / "b").read_text() == "ours" and (tmp_path / "b").stat().st_nlink == 1


def test_nor_is_it_where_files_have_one_name_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT, and some network drives."""

    def refuse(*arguments: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with replacing(tmp_path / "a", overwrite=False) as temporary:
        temporary.write_text("first")
    with pytest.raises(TakenError), replacing(tmp_path / "a", overwrite=False) as temporary:
        temporary.write_text("second")
    assert (tmp_path / "a").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(sys.platform == "win32", reason="has no such permissions")
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "a").chmod(0o640)
    with replacing(tmp_path / "a") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a").read_text() == "new"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


# --- links -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_link_stays_and_its_target_is_written(tmp_path: Path, there: bool, overwrite: bool) -> None:
    """A target that is there only if it may be replaced; one that is not there is made."""
    (tmp_path / "far").mkdir()
    target = tmp_path / "far" / "target"
    if there:
        target.write_text("old")
    (tmp_path / "middle").symlink_to(Path("far") / "target")
    (tmp_path / "link").symlink_to("middle")
    check_destination(tmp_path / "link")
    if there and not overwrite:
        with pytest.raises(TakenError), replacing(tmp_path / "link", overwrite):
            pass
        assert target.read_text() == "old"
        return
    with replacing(tmp_path / "link", overwrite) as temporary:
        assert temporary.parent == target.parent  # the same file system, so that it appears at once
        temporary.write_text("new")
    assert (tmp_path / "link").readlink() == Path("middle") and (tmp_path / "middle").is_symlink()
    assert target.read_text() == "new" and not target.is_symlink()
    assert [path.name for path in target.parent.iterdir()] == ["target"]


def test_links_that_lead_nowhere_are_refused_beforehand(tmp_path: Path) -> None:
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "lost").symlink_to(Path("gone") / "target")
    (tmp_path / "folder").symlink_to(".")
    for name, message in (
        ("self", "is a link that leads back to itself"),
        ("a", "is a link that leads back to itself"),
        ("lost", "is a link to .*target, where no folder is"),
        ("folder", "is a folder: name a file"),
    ):
        with pytest.raises(EspcnError, match=message) as caught:
            check_destination(tmp_path / name)
        assert caught.value.path == tmp_path / name
        with pytest.raises(EspcnError), replacing(tmp_path / name):
            pass


@pytest.mark.skipif(sys.platform == "win32", reason="has no such permissions")
def test_what_is_read_only_is_refused_beforehand_and_so_is_a_link_to_it() -> None:
    """As somebody who is not allowed everything."""
    code = """if True:
        import os, pathlib, tempfile
        from espcn_cli import errors, files
        if os.geteuid() == 0:
            os.setuid(65534)
        folder = pathlib.Path(tempfile.mkdtemp())
        (folder / "closed").mkdir()
        (folder / "read-only").touch(0o444)
        (folder / "link").symlink_to("read-only")
        (folder / "into").symlink_to("closed/target")
        (folder / "closed").chmod(0o555)
        for check, name in (
            (files.check_destination, "read-only"),
            (files.check_destination, "link"),
            (files.check_destination, "into"),
            (files.check_folder, "closed/a/b"),
        ):
            try:
                check(folder / name)
            except errors.EspcnError as error:
                print(str(error).replace(str(folder), "folder"))
    """
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [
        "folder/read-only is read-only: choose another destination",
        "folder/link is read-only: choose another destination",
        "cannot write folder/into (Permission denied): choose another destination",
        "cannot write folder/closed (Permission denied): choose another destination",
    ]


# --- folders that are still to be made -------------------------------------------------------------------------------


def test_a_folder_can_be_made_in_one_that_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to("gone")
    check_folder(tmp_path)
    check_folder(Path("a/b/c"))
    check_folder(Path("a/.."))
    for folder, message in (
        ("file", "cannot write file .Not a directory."),
        ("file/a/b", "cannot write file .Not a directory."),
        ("nowhere/a", "cannot write nowhere .No such file or directory."),
        ("x" * 300, "the name is too long"),
        (f"a/{'x' * 300}/b", "the name is too long"),
    ):
        with pytest.raises(EspcnError, match=message):
            check_folder(Path(folder))
    with pytest.raises(EspcnError, match="the name is too long"):
        check_name(Path("a") / ("x" * 300))
    assert sorted(os.listdir()) == ["file", "nowhere"]


# --- what is no file -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_written_to_a_pipe_goes_through_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert is_stream(tmp_path / "pipe") and is_stream(Path(os.devnull))
    assert not is_stream(tmp_path) and not is_stream(tmp_path / "missing")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True) as reader:
        write_csv(tmp_path / "pipe", [["a", "b"]], overwrite=False)
        assert reader.communicate()[0] == "a,b\n"
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
    check_destination(tmp_path / "pipe", streams=True)
    with pytest.raises(EspcnError, match="is a device or a pipe: name a file"):
        check_destination(tmp_path / "pipe")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_device_that_takes_no_more_is_named() -> None:
    with pytest.raises(EspcnError, match=r"cannot write /dev/full .No space left on device."):
        write_csv(Path("/dev/full"), [["a"]])


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="needs names for open files")
def test_an_open_file_s_name_is_no_file_wherever_a_shell_has_led_it(tmp_path: Path) -> None:
    code = "import pathlib; from espcn_cli.files import is_stream; print(is_stream(pathlib.Path('/dev/stdout')))"
    for out in ("file", "/dev/null"):
        with (tmp_path / out).open("w") as file:
            subprocess.run([sys.executable, "-c", code], stdout=file, check=True)
    assert (tmp_path / "file").read_text() == "True\n"


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as door:
        door.bind("door")
        with pytest.raises(EspcnError, match="door is a disk or a socket: name a file"):
            check_destination(Path("door"), streams=True)


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
