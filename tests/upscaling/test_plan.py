"""What becomes what: names, trees, formats, and what is refused before any work."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from making import save_picture

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.upscaling.outcome import Outcome, Task
from espcn_cli.upscaling.plan import plan, stream_format


def test_file_to_file(tmp_path: Path) -> None:
    source = save_picture(tmp_path / "a.png")
    assert plan([source], tmp_path / "b.webp") == [Task(source, tmp_path / "b.webp")]


def test_files_and_folders_to_a_folder_keep_names_and_tree(tmp_path: Path) -> None:
    one = save_picture(tmp_path / "one.jpg")
    two = save_picture(tmp_path / "in" / "two.png")
    three = save_picture(tmp_path / "in" / "deep" / "three.png")
    out = tmp_path / "out"
    flat = plan([one, tmp_path / "in"], out)
    assert flat == [Task(one, out / "one.jpg"), Task(two, out / "two.png")]
    deep = plan([tmp_path / "in"], out, recursive=True)
    assert deep == [Task(two, out / "two.png"), Task(three, out / "deep" / "three.png")]


def test_a_format_without_a_writer_becomes_png_and_f_decides_otherwise(tmp_path: Path) -> None:
    source = save_picture(tmp_path / "a.b.png")
    assert plan([source], tmp_path / "out", suffix=".webp") == [Task(source, tmp_path / "out" / "a.b.webp")]
    odd = tmp_path / "scan.psd"
    odd.touch()
    (tmp_path / "out").mkdir()
    assert plan([odd], tmp_path / "out") == [Task(odd, tmp_path / "out" / "scan.png")]


def test_a_format_that_cannot_be_written_or_is_not_the_file_s_is_refused_before_the_work(tmp_path: Path) -> None:
    source = save_picture(tmp_path / "a.png")
    with pytest.raises(UsageError, match=r"-f \.xyz: cannot write \.xyz"):
        plan([source], tmp_path / "out", suffix=".xyz")
    with pytest.raises(UsageError, match=r"b\.png and -f \.webp name different formats"):
        plan([source], tmp_path / "b.png", suffix=".webp")
    assert plan([source], tmp_path / "b.jpeg", suffix=".jpg") == [Task(source, tmp_path / "b.jpeg")]


def test_a_missing_source_is_an_outcome_and_the_others_go_on(tmp_path: Path) -> None:
    source = save_picture(tmp_path / "a.png")
    gone, task = plan([tmp_path / "nope.png", source], tmp_path / "out")
    assert isinstance(gone, Outcome)
    assert gone.error is not None
    assert "nope.png: no such file" in gone.error
    assert isinstance(task, Task)


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    source = save_picture(tmp_path / "a.png")
    (tmp_path / "link.png").symlink_to(source)
    for destination in (source, tmp_path / "link.png", tmp_path):
        with pytest.raises(UsageError, match="is an input and would be overwritten"):
            plan([source], destination)


def test_sources_of_one_name_in_two_folders_are_refused_with_a_remedy(tmp_path: Path) -> None:
    first, second = save_picture(tmp_path / "x" / "a.png"), save_picture(tmp_path / "y" / "a.png")
    for suffix in (None, ".webp"):
        with pytest.raises(UsageError, match=r"would both become .* with -r, or use two commands"):
            plan([first, second], tmp_path / "out", suffix=suffix)
    (tmp_path / "z").symlink_to(tmp_path / "x", target_is_directory=True)
    with pytest.raises(UsageError, match="would both become"):
        plan([tmp_path / "x", tmp_path / "z"], tmp_path / "out")
    assert len(plan([tmp_path], tmp_path.parent / "out", recursive=True)) == 2


def names(tasks: list[Task | Outcome]) -> dict[str, str]:
    """The name of each source -> that of its output, with a star where it is its source's whole name."""
    assert all(isinstance(task, Task) for task in tasks)
    return {t.source.name: t.output.name + "*" * t.renamed for t in tasks if isinstance(t, Task)}


@pytest.mark.parametrize(
    ("sources", "suffix", "outputs"),
    [
        ("hopper.ico hopper.png", None, "hopper.ico.png* hopper.png"),
        ("a.ico a.psd", None, "a.ico.png* a.psd.png*"),
        ("a.ico a.jpg", None, "a.png a.jpg"),
        ("a.jpg a.png b.png", ".webp", "a.jpg.webp* a.png.webp* b.webp"),
        ("a.jpg a.png a.webp", ".webp", "a.jpg.webp* a.png.webp* a.webp"),
        ("a.JPG a.jpeg a.jpg", ".jpg", "a.JPG.jpg* a.jpeg.jpg* a.jpg"),
        ("a.ico a.ico.png a.png", None, "a.ico.png.png* a.ico.png a.png"),
        ("a.ico a.ico.png a.ico.png.png a.png", None, "a.ico.png.png.png* a.ico.png a.ico.png.png a.png"),
        ("a.jpg a.jpg.bmp a.png", ".webp", "a.jpg.webp.webp* a.jpg.webp a.png.webp*"),
    ],
)
def test_sources_of_one_output_get_their_whole_names(
    tmp_path: Path, sources: str, suffix: str | None, outputs: str
) -> None:
    """But one whose suffix does not change, and whatever is there of outputs already."""
    paths = [tmp_path / "in" / name for name in sources.split()]
    (tmp_path / "in").mkdir()
    for path in paths:
        path.touch()
    expected = dict(zip(sources.split(), outputs.split(), strict=True))
    found = plan(paths, tmp_path / "out", suffix=suffix)
    assert names(found) == expected
    (tmp_path / "out").mkdir()
    for task in found[: len(found) // 2]:
        assert isinstance(task, Task)
        task.output.touch()
    assert plan(paths, tmp_path / "out", suffix=suffix) == found
    assert names(plan(paths[::-1], tmp_path / "out", suffix=suffix)) == expected


def test_whole_names_are_for_sources_of_one_folder_of_the_tree(tmp_path: Path) -> None:
    for name in ("a.png", "deep/a.jpg", "deep/a.png"):
        save_picture(tmp_path / "in" / name)
    found = plan([tmp_path / "in"], tmp_path / "out", recursive=True, suffix=".webp")
    outputs = [task.output.relative_to(tmp_path / "out").as_posix() for task in found if isinstance(task, Task)]
    assert outputs == ["a.webp", "deep/a.jpg.webp", "deep/a.png.webp"]


def test_a_source_named_twice_is_one(tmp_path: Path) -> None:
    source = save_picture(tmp_path / "in" / "a.jpg")
    task = Task(source, tmp_path / "out" / "a.webp")
    assert plan([source, tmp_path / "in", source], tmp_path / "out", suffix=".webp") == [task]


def test_destinations_that_do_not_suit_are_refused(tmp_path: Path) -> None:
    first, second = save_picture(tmp_path / "x" / "a.png"), save_picture(tmp_path / "x" / "b.png")
    for destination in (save_picture(tmp_path / "exists.png"), tmp_path / "new.png"):
        with pytest.raises(UsageError, match="need a folder"):
            plan([first, second], destination)
        with pytest.raises(UsageError, match="need a folder"):
            plan([tmp_path / "x"], destination)
    with pytest.raises(UsageError, match="lies inside"):
        plan([tmp_path / "x"], tmp_path / "x" / "out", recursive=True)
    with pytest.raises(EspcnError, match="no folder"):
        plan([first], tmp_path / "nowhere" / "a.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EspcnError, match="no pictures in"):
        plan([tmp_path / "empty"], tmp_path / "out")


def test_what_cannot_go_through_a_pipe_is_refused(tmp_path: Path) -> None:
    source = save_picture(tmp_path / "in.png")
    for sources, destination in (([Path("-"), source], Path("-")), ([tmp_path], Path("-")), ([Path("-")], tmp_path)):
        with pytest.raises(UsageError):
            plan(sources, destination)


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_picture(tmp_path / "in" / "a.png")
    closed = tmp_path / "in" / "closed"
    closed.mkdir()
    scan = os.scandir

    def scanning(path: Any) -> Any:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scanning)
    bad, good = plan([tmp_path / "in"], tmp_path / "out", recursive=True)
    assert isinstance(bad, Outcome) and str(bad.error) == f"{closed}: cannot be read (Permission denied)"
    assert isinstance(good, Task)


# --- paths as they are typed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["/", "//", "/.", "/x/.."])
@pytest.mark.parametrize("name", ["2024.11", "out.png", "out"])
def test_what_can_only_be_a_folder_is_one_whatever_its_name(tmp_path: Path, name: str, end: str) -> None:
    source = save_picture(tmp_path / "a.png")
    folder = Path(f"{tmp_path}/{name}{end}")
    assert plan([str(source)], f"{tmp_path}/{name}{end}") == [Task(source, folder / "a.png")]
    (tmp_path / name).touch()
    with pytest.raises(UsageError, match="is a file"):
        plan([str(source)], f"{tmp_path}/{name}/")


def test_a_name_with_a_suffix_that_is_no_format_s_may_be_meant_for_a_folder(tmp_path: Path) -> None:
    source = save_picture(tmp_path / "a.png")
    with pytest.raises(UsageError, match=r"2024\.11: cannot write \.11: .*, or .*2024\.11/ for a folder"):
        plan([source], tmp_path / "2024.11")
    assert len(plan([source, save_picture(tmp_path / "b.png")], tmp_path / "2024.11")) == 2


def test_a_source_that_means_a_folder_fails_where_a_file_is(tmp_path: Path) -> None:
    source = save_picture(tmp_path / "in" / "a.png")
    bad, good = plan([f"{source}/", f"{tmp_path}/in/"], tmp_path / "out")
    assert isinstance(bad, Outcome) and f"{source}/ is no folder" in str(bad.error)
    assert good == Task(source, tmp_path / "out" / "a.png")


def test_files_called_like_the_streams_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_picture(tmp_path / "a.png").rename("-")
    assert plan(["./-"], "out.png") == [Task(tmp_path / "-", Path("out.png"))]
    assert plan(["-"], "out.png") == [Task(Path("-"), Path("out.png"))]
    save_picture(tmp_path / "b.png")
    Path("-").unlink()
    assert plan(["b.png"], "-/") == [Task(Path("b.png"), tmp_path / "-" / "b.png")]
    with pytest.raises(UsageError, match="is a folder: a picture from standard input needs a file name"):
        plan(["-"], "new/")


def test_empty_names_are_misuse(tmp_path: Path) -> None:
    for sources, destination in (([""], "out"), (["a.png", ""], "out"), (["a.png"], "")):
        with pytest.raises(UsageError, match="is empty"):
            plan(sources, destination)


def test_what_goes_into_a_pipe_or_a_device_needs_no_suffix(tmp_path: Path) -> None:
    source = save_picture(tmp_path / "a.png")
    for name, suffix, kind in (("pipe", None, "PNG"), ("pipe.jpg", None, "JPEG"), ("pipe.jpg", ".webp", "WEBP")):
        os.mkfifo(tmp_path / name) if not (tmp_path / name).exists() else None
        [task] = plan([source], tmp_path / name, suffix=suffix)
        assert isinstance(task, Task) and task.streams
        assert stream_format(suffix, tmp_path / name) == kind
    with pytest.raises(UsageError, match="need a folder"):
        plan([source, tmp_path], tmp_path / "pipe")
    with pytest.raises(UsageError, match="different formats"):
        plan(["-"], tmp_path / "b.png", suffix=".webp")


@pytest.mark.parametrize("name", ["picture.png", "text.mp4"])
def test_what_is_no_video_cannot_become_one(tmp_path: Path, name: str) -> None:
    """By what it holds, whatever its name says; one that is not there is reported as that."""
    source = tmp_path / name
    if name == "text.mp4":
        source.write_text("text")
    else:
        save_picture(source)
    with pytest.raises(UsageError, match=f"{name} is no video that can be read: it cannot become .*out.mkv"):
        plan([source], tmp_path / "out.mkv")
    [outcome] = plan([tmp_path / "gone.mp4"], tmp_path / "out.mkv")
    assert isinstance(outcome, Outcome) and "no such file or folder" in str(outcome.error)
