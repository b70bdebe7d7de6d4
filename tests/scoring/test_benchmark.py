"""Tables of methods on sets of pictures: what they are called, what is counted, what could not be scored."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from making import save_picture
from PIL import Image
from torch import Tensor

from espcn_cli.errors import EspcnError
from espcn_cli.scoring import evaluation, tensors
from espcn_cli.scoring.benchmark import BASELINES, benchmark, find_pictures
from espcn_cli.scoring.table import Table


def sets_of(table: Table) -> list[str]:
    return list(dict.fromkeys(row.dataset for row in table.rows))


def test_every_method_is_scored_on_every_picture(tmp_path: Path) -> None:
    for name in "ab":
        save_picture(tmp_path / "set" / f"{name}.png", 40, 32)
    table = benchmark([tmp_path / "set"], {"ours": evaluation.interpolation("bicubic", 2)}, 2)
    assert [(row.dataset, row.scale, row.method) for row in table.rows] == [
        ("set", 2, method) for method in (*BASELINES, "ours")
    ]
    bicubic, _, ours = table.rows
    assert [image.name for image in bicubic.images] == ["a", "b"]
    assert bicubic.images == ours.images and bicubic.to_dict() == {**ours.to_dict(), "method": "bicubic"}
    pairs = [evaluation.make_pair(tmp_path / "set" / f"{name}.png", 2) for name in "ab"]
    assert bicubic.images == evaluation.evaluate(evaluation.interpolation("bicubic", 2), pairs, 2)


def test_sets_of_one_name_are_told_apart_and_the_same_set_is_one(tmp_path: Path) -> None:
    for index, folder in enumerate(("a/photos", "b/photos", "Set5/HR", "night")):
        save_picture(tmp_path / folder / "x.png", 40, 32, index)
    sources = [tmp_path / name for name in ("a/photos", "b/photos", "Set5/HR", "night", "b/../a/photos")]
    table = benchmark(sources, {}, 2)
    assert sets_of(table) == ["a/photos", "b/photos", "Set5", "night"]
    assert [row.dataset for row in table.rows] == [name for name in sets_of(table) for _ in BASELINES]
    assert len({row.images[0].psnr for row in table.rows}) == 8, "each its own pictures"


def test_pictures_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp", "b.png", "deep/b.png", "c.png"):
        save_picture(tmp_path / "set" / name, 40, 32)
    pictures = find_pictures([tmp_path / "set"], 2)
    assert {each.name: each.path.relative_to(tmp_path / "set").as_posix() for each in pictures} == {
        "a.bmp": "a.bmp",
        "a.png": "a.png",
        "b.png": "b.png",
        "c": "c.png",
        "deep/b": "deep/b.png",
    }
    [row, _] = benchmark([tmp_path / "set"], {}, 2).rows
    assert [image.name for image in row.images] == [each.name for each in pictures]


def test_single_pictures_are_sets(tmp_path: Path) -> None:
    paths = [save_picture(tmp_path / name, 40, 32) for name in ("x/a.png", "y/a.png", "y/b.png")]
    assert sets_of(benchmark(paths, {}, 2)) == ["x/a.png", "y/a.png", "b.png"]


def test_a_method_takes_no_other_ones_place() -> None:
    with pytest.raises(ValueError, match="cannot be called bicubic"):
        benchmark([], {"bicubic": evaluation.interpolation("lanczos", 2)}, 2)


def test_every_picture_is_counted_and_those_that_fail_are_listed(tmp_path: Path) -> None:
    save_picture(tmp_path / "a" / "1.png", 40, 32)
    save_picture(tmp_path / "a" / "small.png", 9, 9)
    (tmp_path / "a" / "text.png").write_text("no picture")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "text.png").write_text("no picture")
    counted: list[tuple[int, int]] = []
    table = benchmark([tmp_path / "a", tmp_path / "b"], {}, 2, report=lambda done, total: counted.append((done, total)))
    assert counted == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert sets_of(table) == ["a"], "a set of which nothing could be scored has no mean"
    assert [image.name for image in table.rows[0].images] == ["1"]
    for error, name in zip(table.errors, ("a/small.png", "a/text.png", "b/text.png"), strict=True):
        assert error.startswith(f"{tmp_path / name}: ")


def test_a_method_that_fails_on_a_picture_fails_on_that_one_alone(tmp_path: Path) -> None:
    """Rows stay of one length, so that they can stand side by side."""
    for name, width in (("a", 40), ("b", 60)):
        save_picture(tmp_path / "set" / f"{name}.png", width, 32)
    bicubic = evaluation.interpolation("bicubic", 2)

    def picky(lr: Tensor) -> Tensor:
        if lr.shape[-1] == 30:
            raise EspcnError("not enough memory")
        return bicubic(lr)

    table = benchmark([tmp_path / "set"], {"picky": picky}, 2)
    assert [[image.name for image in row.images] for row in table.rows] == [["a"]] * 3
    assert len(table.errors) == 1 and "not enough memory" in table.errors[0]


def test_a_picture_that_all_get_right_moves_the_mean_by_a_finite_share(tmp_path: Path) -> None:
    save_picture(tmp_path / "set" / "a.png", 40, 32)
    Image.new("RGB", (64, 64)).save(tmp_path / "set" / "black.png")
    for row in benchmark([tmp_path / "set"], {}, 2).rows:
        photo, black = row.images
        assert (black.psnr, black.ssim) == pytest.approx((58.9226, 1), abs=1e-4)
        assert row.to_dict()["psnr"] == pytest.approx((photo.psnr + 58.9226) / 2, abs=1e-4)


def test_a_method_that_gives_nan_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = save_picture(tmp_path / "set" / "a.png", 40, 32)

    def broken(lr: Tensor) -> Tensor:
        return evaluation.interpolation("bicubic", 2)(lr) * torch.nan

    table = benchmark([tmp_path / "set"], {"broken": broken}, 2)
    assert (table.rows, table.errors) == ([], [f"{path}: broken cannot be scored on it: the picture holds NaN"])


def test_a_set_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EspcnError, match="no pictures in") as caught:
        benchmark([tmp_path], {}, 2)
    assert caught.value.path == tmp_path


# --- what each choice changes, and what other tools made -------------------------------------------------------------


def outputs_of(folder: Path, scale: int, names: dict[str, str]) -> Path:
    """What another tool made of the pictures of `set`: bicubic of exact LR, under names of its own."""
    folder.mkdir()
    for name, output in names.items():
        pair = evaluation.make_pair(folder.parent / "set" / name, scale)
        sr = tensors.to_depth(evaluation.interpolation("bicubic", scale)(pair.lr))
        (folder / output).parent.mkdir(exist_ok=True)
        Image.fromarray(sr.squeeze()).save(folder / output)
    return folder


@pytest.mark.parametrize("pattern", ["{}.png", "{}.bmp", "{}_x2.png", "{}x2.webp", "{}_out.png", "HR/{}.png"])
def test_outputs_of_another_tool_are_scored_as_our_own(pattern: str, tmp_path: Path) -> None:
    for index, name in enumerate("ab"):
        save_picture(tmp_path / "set" / f"{name}.png", 41, 32, index, "L" if index else "RGB")
    folder = outputs_of(tmp_path / "theirs", 2, {f"{name}.png": pattern.format(name) for name in "ab"})
    if pattern.endswith(".webp"):
        for name in "ab":
            path = folder / pattern.format(name)
            with Image.open(path) as image:
                image.load()
            pair = evaluation.make_pair(tmp_path / "set" / f"{name}.png", 2)
            sr = tensors.to_depth(evaluation.interpolation("bicubic", 2)(pair.lr)).squeeze()
            Image.fromarray(sr).save(path, lossless=True)
    table = benchmark([tmp_path / "set"], {}, 2, outputs={"theirs": folder})
    bicubic, _, theirs = table.rows
    assert (theirs.method, theirs.images) == ("theirs", bicubic.images)
    assert not table.errors
    assert table.notes == ["set: 2 pictures are no multiple of 2, and cropped to one at the right and bottom"]


def test_outputs_that_do_not_fit_are_named_and_the_rest_is_scored(tmp_path: Path) -> None:
    for name in "abcde":
        save_picture(tmp_path / "set" / f"{name}.png", 40, 32)
    folder = outputs_of(tmp_path / "theirs", 2, {"a.png": "a.png", "b.png": "b.png", "e.png": "e.webp"})
    save_picture(folder / "b.png", 41, 32)
    (folder / "c.png").write_text("no picture")
    save_picture(folder / "e.bmp", 40, 32)
    save_picture(folder / "other.png", 40, 32)
    table = benchmark([tmp_path / "set"], {}, 2, outputs={"theirs": folder})
    assert [[image.name for image in row.images] for row in table.rows] == [["a"]] * 3
    size, text, missing, twice, superfluous = table.errors
    assert size.startswith(f"{folder / 'b.png'}: 41 x 32 is not the size of {tmp_path / 'set' / 'b.png'}")
    assert text.startswith(f"{folder / 'c.png'}: ")
    assert missing == f"{tmp_path / 'set' / 'd.png'}: no output of its name in {folder}"
    assert "e.webp" in twice and "e.bmp" in twice
    assert superfluous.startswith(f"{folder / 'other.png'}: no HR picture of that name")


def test_a_choice_shows_what_it_alone_changes(tmp_path: Path) -> None:
    save_picture(tmp_path / "set" / "a.png", 48, 40)
    table = benchmark([tmp_path / "set"], {}, 2, protocol="rgb", degradation="area")
    plain, rgb, area = (
        benchmark([tmp_path / "set"], {}, 2, **options).rows[0].mean  # type: ignore[arg-type]
        for options in ({}, {"protocol": "rgb"}, {"degradation": "area"})
    )
    row = table.rows[0]
    assert row.otherwise == {"--protocol rgb": area, "--degradation area": rgb}
    assert not benchmark([tmp_path / "set"], {}, 2, degradation="bicubic").rows[0].otherwise
    assert plain.psnr > rgb.psnr
