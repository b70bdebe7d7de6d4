"""`espcn upscale`: what outputs are called, where they lie, and which pictures are passed over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command import Result, one_line, run
from making import save_checkpoint, save_picture

from espcn_cli.pictures.extent import size_of


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "tiny.safetensors")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    save_picture(folder / "a.png", 24, 18)
    save_picture(folder / "b.jpg", 40, 30)
    save_picture(folder / "below" / "c.png", 12, 8)
    return folder


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def upscale(model: Path, *arguments: Any) -> Result:
    return run("upscale", "-m", model, *arguments)


def test_beside_its_source_and_never_made_of_what_it_made(model: Path, photos: Path) -> None:
    before = files(photos)
    made = {"a_x2.png", "b_x2.jpg", "below/c_x2.png"}
    assert upscale(model, photos, "-r", "--beside").code == 0
    assert files(photos) == before | made
    one_line(upscale(model, photos, "-r", "--beside"), 2, "3 of 3 outputs exist already")
    again = upscale(model, photos, "-r", "--beside", "--skip-existing")
    assert again.code == 0 and "3 skipped" in again.stdout and "passed over: 3 made by an earlier run" in again.stderr
    other = upscale(model, photos, "-r", "--beside", "-f", "webp")
    assert other.code == 0 and files(photos) == before | made | {"a_x2.webp", "b_x2.webp", "below/c_x2.webp"}


def test_all_paths_are_sources_beside_which_outputs_lie(model: Path, photos: Path) -> None:
    result = upscale(model, photos / "a.png", photos / "b.jpg", "--beside", "--json")
    assert [Path(each["output"]).name for each in json.loads(result.stdout)] == ["a_x2.png", "b_x2.jpg"]
    named = sorted(photos.glob("*.*"))  # as a shell writes *.*
    again = upscale(model, *named, "--beside", "--dry-run", "--skip-existing", "--json")
    assert [each["skipped"] for each in json.loads(again.stdout)] == [True, True]


def test_names_by_a_pattern(model: Path, photos: Path, tmp_path: Path) -> None:
    assert upscale(model, photos, tmp_path / "out", "-r", "--name", "{stem} ({model} x{scale}){suffix}").code == 0
    assert files(tmp_path / "out") == {"a (tiny x2).png", "b (tiny x2).jpg", "below/c (tiny x2).png"}
    assert upscale(model, photos, photos, "--name", "big-{stem}{suffix}").code == 0
    again = upscale(model, photos, photos, "--name", "big-{stem}{suffix}", "--overwrite")
    assert again.code == 0 and "2 made by an earlier run" in again.stderr


def test_names_that_cannot_be_are_one_line(model: Path, photos: Path, tmp_path: Path) -> None:
    one_line(upscale(model, photos, tmp_path / "out", "--name", "{nosuch}{suffix}"), 2, "no field {nosuch}")
    one_line(upscale(model, photos, tmp_path / "out", "--name", "../{stem}{suffix}"), 2, "slashes")
    save_picture(photos / "d.png")
    one_line(upscale(model, photos, tmp_path / "out", "--name", "same{suffix}"), 2, "would both become")
    one_line(upscale(model, photos / "a.png", tmp_path / "b.png", "--name", "{stem}{suffix}"), 2, "is a name already")
    one_line(upscale(model, photos, "--beside", "--name", "{stem}{suffix}"), 2, "would be overwritten")
    one_line(upscale(model, "-", "--beside"), 2, "leave out --beside")
    one_line(upscale(model, photos, "--beside", "--size", "50%", "--name", "{stem}_x{scale}{suffix}"), 2, "--scale")
    one_line(upscale(model, "--beside"), 2, "name a picture")
    assert not (tmp_path / "out").exists()


def test_what_is_excluded_is_counted(model: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "@eaDir").mkdir()
    save_picture(photos / "@eaDir" / "a.png")
    result = upscale(model, photos, tmp_path / "out", "-r", "--exclude", "below", "--exclude", "*.jpg")
    assert result.code == 0 and files(tmp_path / "out") == {"a.png"}
    assert "passed over: 2 excluded" in result.stderr


def test_pictures_of_other_sizes_are_passed_over_and_have_not_failed(model: Path, photos: Path, tmp_path: Path) -> None:
    result = upscale(model, photos, tmp_path / "out", "-r", "--larger-than", "12x8", "--smaller-than", "40")
    assert result.code == 0 and files(tmp_path / "out") == {"a.png"}
    assert "passed over: 2 of another size" in result.stderr
    none = upscale(model, photos, tmp_path / "none", "--larger-than", "500")
    assert none.code == 0 and "0 upscaled" in none.stdout


def test_into_a_box(model: Path, photos: Path, tmp_path: Path) -> None:
    assert upscale(model, photos, tmp_path / "out", "-r", "--fit", "60x31").code == 0
    sizes = {name: size_of(tmp_path / "out" / name) for name in files(tmp_path / "out")}
    assert sizes == {"a.png": (41, 31), "b.jpg": (41, 31), "below/c.png": (47, 31)}
    shrunk = upscale(model, photos / "b.jpg", tmp_path / "b.png", "--fit", "20x20").stderr
    assert "b.jpg: --fit makes it smaller: 40 x 30 -> 20 x 15" in shrunk
    one_line(upscale(model, photos, tmp_path / "x", "--fit", "60"), 2, "--fit '60': use WxH")
    one_line(upscale(model, photos, tmp_path / "x", "--fit", "60x60", "--size", "50%"), 2, "exclude each other")


def test_a_size_that_shrinks_or_distorts_is_told_once_a_picture(model: Path, photos: Path, tmp_path: Path) -> None:
    result = upscale(model, photos / "b.jpg", tmp_path / "b.png", "--size", "20x20")
    told = [line for line in result.stderr.splitlines() if "--size" in line]
    assert len(told) == 2 and "smaller: 40 x 30 -> 20 x 20" in told[0] and "--fit keeps its aspect" in told[1]
    assert "--size" not in upscale(model, photos / "b.jpg", tmp_path / "c.png", "--size", "61x").stderr
