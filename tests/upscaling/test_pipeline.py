"""What becomes of each picture of a batch: with odd names, odd files and little memory, and the rest goes on."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making import natural, save_checkpoint, save_picture
from PIL import Image

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.pictures import reading, writing
from espcn_cli.pictures.document import Document
from espcn_cli.settings import MAX_PIXELS, SCALES
from espcn_cli.upscaling.outcome import Outcome, Task
from espcn_cli.upscaling.pipeline import Options, run
from espcn_cli.upscaling.plan import plan
from espcn_cli.upscaling.upscaler import Upscaler, load


def test_a_batch_goes_on_past_a_bad_file_in_order(tmp_path: Path, bicubic: Upscaler) -> None:
    for index in range(5):
        save_picture(tmp_path / "in" / f"{index}.png", seed=index)
    (tmp_path / "in" / "2.png").write_bytes(b"broken")
    outcomes = list(run(bicubic, plan([tmp_path / "in"], tmp_path / "out")))
    assert [outcome.task.source.name for outcome in outcomes] == [f"{index}.png" for index in range(5)]
    assert [outcome.error is None for outcome in outcomes] == [True, True, False, True, True]
    assert outcomes[0].size == (24, 18)
    assert outcomes[0].output_size == (48, 36)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png", "3.png", "4.png"]


def test_existing_outputs_are_skipped_without_being_read(tmp_path: Path, bicubic: Upscaler) -> None:
    save_picture(tmp_path / "in" / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"mine")
    [outcome] = run(bicubic, plan([tmp_path / "in"], tmp_path / "out"), Options(skip_existing=True))
    assert (outcome.error, outcome.warnings, outcome.skipped) == (None, (), True)
    assert outcome.output_size is None
    assert (tmp_path / "out" / "a.png").read_bytes() == b"mine"


def test_batch_equals_one_by_one(tmp_path: Path) -> None:
    upscaler = load(str(save_checkpoint(tmp_path / "tiny.safetensors")))
    for index in range(3):
        save_picture(tmp_path / "in" / f"{index}.png", 20 + index, 15, seed=index)
    list(run(upscaler, plan([tmp_path / "in"], tmp_path / "out")))
    for index in range(3):
        with (
            Image.open(tmp_path / "in" / f"{index}.png") as image,
            Image.open(tmp_path / "out" / f"{index}.png") as out,
        ):
            assert np.array_equal(np.asarray(upscaler(image)), np.asarray(out))


def test_a_file_that_vanishes_is_named_and_the_rest_goes_on(tmp_path: Path, bicubic: Upscaler) -> None:
    for index in range(4):
        save_picture(tmp_path / "in" / f"{index}.png")
    tasks = plan([tmp_path / "in"], tmp_path / "out")
    (tmp_path / "in" / "3.png").unlink()
    outcomes = list(run(bicubic, tasks))
    assert [outcome.error is None for outcome in outcomes] == [True, True, True, False]
    assert str(outcomes[3].error).endswith("3.png: no such file")


def test_links_that_go_round_end(tmp_path: Path, bicubic: Upscaler) -> None:
    """To the folder above, to themselves, to each other, to nowhere."""
    deep = tmp_path / "in" / "deep"
    save_picture(deep / "a.png")
    (deep / "round").symlink_to(tmp_path / "in", target_is_directory=True)
    for name, target in (("self.png", "self.png"), ("x.png", "y.png"), ("y.png", "x.png"), ("gone.png", "nowhere")):
        (deep / name).symlink_to(target)
    outcomes = list(run(bicubic, plan([tmp_path / "in"], tmp_path / "out", recursive=True)))
    errors = {outcome.task.source.name: outcome.error for outcome in outcomes}
    assert errors.pop("a.png") is None
    assert set(errors) == {"self.png", "x.png", "y.png", "gone.png"}
    assert all("no such file" in str(error) for error in errors.values())
    (tmp_path / "folder").symlink_to("folder")
    with pytest.raises(UsageError, match="is a file"):
        plan([deep / "a.png"], tmp_path / "folder")


def test_names_longer_than_any_file_s_are_of_no_file(tmp_path: Path, bicubic: Upscaler) -> None:
    source = save_picture(tmp_path / "a.png")
    name = "x" * 300 + ".png"
    [missing] = plan([tmp_path / name], tmp_path / "b.png")
    assert isinstance(missing, Outcome) and "no such file" in str(missing.error)
    with pytest.raises(EspcnError, match="too long"):
        plan([source], tmp_path / name)
    [outcome] = run(bicubic, [Task(source, tmp_path / name)], Options(skip_existing=True))
    assert "cannot write" in str(outcome.error) and "too long" in str(outcome.error)
    with pytest.raises(EspcnError, match="no folder"):
        plan([source], tmp_path / name / "b.png")


def refuse(*arguments: object, **options: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_what_may_not_be_read_or_written_is_named_and_the_rest_goes_on(
    tmp_path: Path, bicubic: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulated, as whoever runs the tests may be allowed everything."""
    for index in range(2):
        save_picture(tmp_path / "in" / f"{index}.png")
    read_one, open_beside = Path.read_bytes, os.open

    def reading(path: Path) -> bytes:
        if path.name == "0.png":
            refuse()
        return read_one(path)

    def beside(path: Any, *arguments: Any, **options: Any) -> Any:
        return refuse() if ".1-" in str(path) else open_beside(path, *arguments, **options)

    tasks = plan([tmp_path / "in"], tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", reading)
        first, second = run(bicubic, tasks)
    assert str(first.error).endswith("0.png: no permission to read it") and second.error is None
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", beside)
        first, second = run(bicubic, tasks)
    assert first.error is None
    assert re.fullmatch(r"cannot write .*1\.png \(Permission denied\): choose another destination", str(second.error))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="to root everything is allowed")
def test_permissions_of_real_files(tmp_path: Path, bicubic: Upscaler) -> None:
    source = save_picture(tmp_path / "in" / "a.png")
    closed = save_picture(tmp_path / "in" / "b.png")
    closed.chmod(0)
    (tmp_path / "out").mkdir()
    outcomes = list(run(bicubic, plan([tmp_path / "in"], tmp_path / "out")))
    assert [outcome.error is None for outcome in outcomes] == [True, False]
    (tmp_path / "out").chmod(0o500)
    [outcome] = run(bicubic, plan([source], tmp_path / "out" / "c.png"))
    assert "Permission denied" in str(outcome.error)


@pytest.mark.parametrize("jobs", [1, 3])
def test_jobs_change_nothing_but_the_time(tmp_path: Path, bicubic: Upscaler, jobs: int) -> None:
    for index in range(7):
        save_picture(tmp_path / "in" / f"{index}.png", 20 + index, 15, seed=index)
    tasks = plan([tmp_path / "in"], tmp_path / "out")
    outcomes = list(run(bicubic, tasks, Options(jobs=jobs)))
    assert [outcome.task.source.name for outcome in outcomes] == [f"{index}.png" for index in range(7)]
    for index in range(7):
        with Image.open(tmp_path / "out" / f"{index}.png") as image:
            expected = bicubic(Image.fromarray(natural(20 + index, 15, index)))
            assert np.array_equal(np.asarray(image), np.asarray(expected))


@pytest.mark.parametrize("jobs", [1, 3])
def test_large_pictures_are_alone_in_memory(
    tmp_path: Path, bicubic: Upscaler, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large by their pixels, by all their frames together, or by their 16 bits."""
    for name, side in (("0", 20), ("1-large", 40), ("2", 20), ("3-large", 50), ("4-large", 60), ("5", 20)):
        save_picture(tmp_path / "in" / f"{name}.png", side, side)
    frames = [Image.fromarray(natural(20, 20, seed)) for seed in range(4)]
    frames[0].save(tmp_path / "in" / "6-large.webp", save_all=True, append_images=frames[1:], duration=100)
    save_picture(tmp_path / "in" / "7.png", 35, 35, mode="L")
    Image.fromarray(natural(35, 35)[..., 0].astype(np.uint16) * 257).save(tmp_path / "in" / "8-large.png")
    save_picture(tmp_path / "in" / "9.png", 20, 20)
    open_ones: list[str] = []
    together: list[set[str]] = []
    read, write = reading.read_document, writing.write_document

    def read_and_count(path: Path, depth: int | None = None, lenient: bool = False) -> Document:
        document = read(path, depth, lenient)
        open_ones.append(path.stem)
        together.append(set(open_ones))
        return document

    def write_and_count(document: Document, path: Path, *arguments: Any) -> Document:
        result = write(document, path, *arguments)
        open_ones.remove(path.stem)
        return result

    monkeypatch.setattr(reading, "read_document", read_and_count)
    monkeypatch.setattr(writing, "write_document", write_and_count)
    options = Options(jobs=jobs, large=9000)
    outcomes = list(run(bicubic, plan([tmp_path / "in"], tmp_path / "out"), options))
    assert [outcome.error for outcome in outcomes] == [None] * 10
    assert [outcome.size and outcome.size[0] for outcome in outcomes] == [20, 40, 20, 50, 60, 20, 20, 35, 35, 20]
    assert all(len(names) == 1 for names in together if any(name.endswith("large") for name in names))


@pytest.mark.parametrize(("most", "refused"), [(2 * 4 * 24 * 18, False), (2 * 4 * 24 * 18 - 1, True)])
def test_the_pixels_of_all_frames_of_an_output_are_limited(
    tmp_path: Path, bicubic: Upscaler, most: int, refused: bool
) -> None:
    frames = [Image.fromarray(natural(24, 18, seed)) for seed in (0, 1)]
    frames[0].save(tmp_path / "in.gif", save_all=True, append_images=frames[1:], duration=100)
    [outcome] = run(bicubic, [Task(tmp_path / "in.gif", tmp_path / "out.gif")], Options(max_output=most))
    assert (outcome.error is not None) == refused
    if refused:
        assert "in.gif: 3,456 pixels in 2 frames would be more than 3,455: " in str(outcome.error)


def test_whatever_may_be_read_may_be_upscaled_at_any_scale() -> None:
    assert Options().max_output == max(SCALES) ** 2 * MAX_PIXELS


def test_an_output_too_large_for_its_format_is_refused_before_the_work(tmp_path: Path, bicubic: Upscaler) -> None:
    Image.new("L", (9000, 1)).save(tmp_path / "in.png")
    [outcome] = run(bicubic, [Task(tmp_path / "in.png", tmp_path / "out.webp")])
    assert outcome.error is not None and "18000 x 2 is too large for WEBP" in outcome.error
