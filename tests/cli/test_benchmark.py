"""`espcn benchmark`: the table, JSON and CSV, and each misuse in one line."""

from __future__ import annotations

import csv
import json
import os
import re
from io import StringIO
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from command import one_line, run, strict_json
from making import save_checkpoint, save_pair, save_picture
from numpy.random import default_rng
from PIL import Image
from tqdm import tqdm

from espcn_cli.cli import benchmark as command
from espcn_cli.cli.benchmark import advance
from espcn_cli.network import checkpoint, named
from espcn_cli.scoring import recipes, suite
from espcn_cli.scoring.damages import shrink
from espcn_cli.settings import ModelSettings, architecture
from espcn_cli.upscaling.upscaler import load

CELLS = r"( +\d+\.\d\d +\d+\.\d\d +0\.\d{4}){3}"
"""PSNR of Y and of RGB, and SSIM, of three methods."""


def test_benchmark_as_a_table_json_and_csv(photos: Path, tiny: Path) -> None:
    folder = photos.parent
    result = run("benchmark", "photos", "-m", tiny, "--csv", "scores.csv", cwd=folder)
    assert result.code == 0, result.stderr
    assert re.search(r"^x2 +bicubic +lanczos +tiny$", result.stdout, re.M)
    assert re.search(r"^( +Y +RGB +SSIM){3}$", result.stdout, re.M)
    assert re.search(rf"^photos{CELLS}$", result.stdout, re.M)
    each = run("benchmark", "photos", "-m", tiny, "-v", cwd=folder).stdout
    assert [line.split()[0] for line in each.splitlines()[2:6]] == ["0", "1", "2", "mean"]
    assert "2 px border left out" in result.stdout
    as_json = json.loads(run("benchmark", "photos", "-m", tiny, "--json", cwd=folder).stdout)
    assert set(as_json) == {"protocol", "rows", "errors", "notes"}
    assert [row["method"] for row in as_json["rows"]] == ["bicubic", "lanczos", str(tiny)]
    assert set(as_json["rows"][0]) == {
        *("dataset", "scale", "method", "protocol", "psnr", "ssim", "psnr_rgb", "images"),
    }
    assert [image["name"] for image in as_json["rows"][0]["images"]] == ["0", "1", "2"]
    with (folder / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    assert float(rows[0]["psnr"]) == as_json["rows"][0]["images"][0]["psnr"]


def test_a_picture_that_all_get_right_leaves_every_number_finite(photos: Path, tiny: Path) -> None:
    Image.new("L", (64, 64)).save(photos / "black.png")
    folder, command = photos.parent, ("benchmark", "photos", "-m", tiny)
    shown = run(*command, "-v", "--csv", "scores.csv", cwd=folder).stdout
    assert re.search(r"^black( +58\.92 +- +1\.0000){2} +\d\d\.\d\d ", shown, re.M)
    assert re.search(rf"^mean{CELLS}$", shown, re.M)
    rows = strict_json(run(*command, "--json", cwd=folder).stdout)["rows"]
    for row in rows:
        assert row["psnr"] == pytest.approx(fmean(image["psnr"] for image in row["images"]))
    with (folder / "scores.csv").open(newline="") as file:
        assert [float(row["psnr"]) for row in csv.DictReader(file)] == [
            i["psnr"] for row in rows for i in row["images"]
        ]


def test_a_picture_that_is_all_wrong_scores_0_db(tmp_path: Path, tiny: Path) -> None:
    """White from black: 0 dB, and SSIM next to 0, without a minus before either."""
    Image.new("L", (32, 32), 255).save(save_picture(tmp_path / "hr" / "a.png"))
    Image.new("L", (16, 16), 0).save(save_picture(tmp_path / "lr" / "a.png"))
    shown = run("benchmark", "hr", "--lr", "lr", "-v", "-m", tiny, cwd=tmp_path).stdout
    assert re.search(r"^mean( +0\.00 +0\.0001){2}", shown, re.M)


def test_benchmark_measures_the_ensemble(photos: Path, tiny: Path) -> None:
    def psnr(*options: str) -> list[float]:
        result = run("benchmark", "photos", "-m", tiny, "--json", *options, cwd=photos.parent)
        return [row["psnr"] for row in json.loads(result.stdout)["rows"]]

    alone, together = psnr(), psnr("--ensemble")
    assert alone[:2] == together[:2]  # bicubic and Lanczos
    assert alone[2] != together[2]


def test_benchmark_names_a_bad_picture_and_scores_the_rest(photos: Path, tiny: Path) -> None:
    (photos / "bad.png").write_text("no picture")
    result = run("benchmark", "photos", "-m", tiny, cwd=photos.parent)
    one_line(result, 1, "photos/bad.png")
    assert re.search(rf"^photos{CELLS}$", result.stdout, re.M)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere"], 1, ["no such file or folder"]),
        (["too-long-a-name" * 20], 1, ["no such file or folder"]),
        (["hollow"], 1, ["no pictures in hollow"]),
        (["photos", "--protocol", "best"], 2, ["--protocol"]),
        (["photos", "-s", "7"], 2, ["--scale", "'7' is not one of '2', '3', '4'"]),
        (["photos", "--degradation", "fog"], 2, ["--degradation", "'fog'"]),
        (["photos", "--lr", "nowhere"], 2, ["--lr nowhere"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_benchmark_input_gets_one_line(
    photos: Path, tiny: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    (photos.parent / "hollow").mkdir()
    one_line(run("benchmark", *arguments, "-m", tiny, cwd=photos.parent), code, *words)


def test_sets_and_checkpoints_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for index, folder in enumerate("ab"):
        save_picture(tmp_path / folder / "photos" / f"{index}.png", 48, 40, index)
        save_checkpoint(tmp_path / folder / "x.safetensors", tail=0.02 * index)
    save_checkpoint(tmp_path / "bicubic.safetensors")
    models = [word for name in ("a/x", "b/x", "bicubic", "a/../a/x") for word in ("-m", f"{name}.safetensors")]
    result = run("benchmark", "a/photos", "b/photos", "./a/photos", *models, "--csv", "scores.csv", cwd=tmp_path)
    assert (result.code, result.stderr) == (0, "")
    for folder in "ab":
        assert len(re.findall(rf"^{folder}/photos{CELLS}", result.stdout, re.M)) == 1
    assert re.search(r"^x2 +bicubic +lanczos +a/x +b/x +bicubic\.safetensors$", result.stdout, re.M)
    shown = json.loads(run("benchmark", "a/photos", "b/photos", *models, "--json", cwd=tmp_path).stdout)
    rows = [(row["dataset"], row["method"]) for row in shown["rows"]]
    methods = ["bicubic", "lanczos", "a/x.safetensors", "b/x.safetensors", "bicubic.safetensors"]
    assert rows == [(dataset, method) for dataset in ("a/photos", "b/photos") for method in methods]
    with (tmp_path / "scores.csv").open(newline="") as file:
        assert [(row["dataset"], row["method"]) for row in csv.DictReader(file)] == rows


def test_a_model_given_twice_is_one(photos: Path) -> None:
    shipped = named.find("espcn-s", 2)
    result = run("benchmark", "photos", "-m", "espcn-s", "-m", shipped, "-m", "espcn-s", cwd=photos.parent)
    assert re.search(r"^x2 +bicubic +lanczos +espcn-s$", result.stdout, re.M)


@pytest.mark.parametrize(
    ("destination", "code", "words"),
    [
        ("photos", 1, ["photos is a folder"]),
        ("nowhere/scores.csv", 1, ["no folder nowhere"]),
        ("/proc/scores.csv", 1, ["cannot write /proc/scores.csv"]),
        ("photos/0.png", 2, ["photos/0.png is an input"]),
        ("lr/0.png", 2, ["lr/0.png is an input"]),
        ("model.safetensors", 2, ["model.safetensors is an input"]),
    ],
)
def test_a_csv_file_that_cannot_be_is_refused_before_any_picture_is_read(
    photos: Path, destination: str, code: int, words: list[str]
) -> None:
    if destination.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("needs a folder that nobody can write to, not even root")
    folder = photos.parent
    (photos / "text.png").write_text("a picture would be named if it had been read")
    save_picture(folder / "lr" / "0.png", 24, 20)
    save_checkpoint(folder / "model.safetensors")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    result = run("benchmark", photos.name, "--lr", "lr", "-m", "model.safetensors", "--csv", destination, cwd=folder)
    one_line(result, code, *words)
    assert not result.stdout
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_name_that_is_no_text_is_shown_all_the_same(tmp_path: Path, tiny: Path) -> None:
    """Bytes of a file's name that are no UTF-8."""
    save_picture(tmp_path / "set" / "a.png", 48, 40)
    try:
        (tmp_path / "set" / "a.png").rename(tmp_path / "set" / os.fsdecode(b"\xff.png"))
        (tmp_path / "set" / os.fsdecode(b"\xfe.png")).write_text("no picture")
    except OSError:
        pytest.skip("needs a file system that takes any bytes")
    result = run("benchmark", "set", "-v", "-m", tiny, "--csv", "scores.csv", cwd=tmp_path)
    one_line(result, 1, r"set/\udcfe.png: not a picture")
    assert re.search(r"^\\udcff +\d", result.stdout, re.M)
    assert b"\xff," in (tmp_path / "scores.csv").read_bytes()


def test_the_bar_shows_how_many_pictures_are_done() -> None:
    with tqdm(total=0, file=StringIO()) as bar:
        for done in range(1, 5):
            advance(bar, 0, 1, done, 4)
            assert (bar.n, bar.total) == (done, 4)


def test_the_bar_goes_on_from_scale_to_scale() -> None:
    with tqdm(total=0, file=StringIO()) as bar:
        advance(bar, 0, 2, 3, 3)
        advance(bar, 1, 2, 1, 3)
        assert (bar.n, bar.total) == (4, 6)


# --- --degradation real ----------------------------------------------------------------------------------------------

REAL = ("benchmark", "--degradation", "real")


def test_real_pictures_as_a_table_json_and_csv(photos: Path, tiny: Path) -> None:
    folder, rows = photos.parent, ("--rows", "jpeg-75-png", "--rows", "webp", "--rows", "pixels-dots")
    result = run(*REAL, "photos", *rows, "-m", tiny, "--csv", "scores.csv", cwd=folder)
    assert (result.code, result.stderr) == (0, "")
    assert re.search(r"^photos +bicubic +lanczos +tiny$", result.stdout, re.M)
    assert re.search(r"^ +Y +RGB +light +Y +RGB +light +Y +RGB +gain +light$", result.stdout, re.M)
    number = r" +\d+\.\d\d"
    for row in ("jpeg-75-png", "webp-80", "webp-60", "webp-30", "pixels-dots"):
        assert re.search(rf"^{row}{number * 6}{number * 2} +[+-]\d+\.\d\d{number}$", result.stdout, re.M)
    assert "4 px border left out" in result.stdout and "area" not in result.stdout
    as_json = json.loads(run(*REAL, "photos", *rows, "-m", tiny, "--json", cwd=folder).stdout)
    assert set(as_json) == {"protocol", "rows", "errors", "notes"}
    first = as_json["rows"][0]
    assert set(first) == {
        *("dataset", "scale", "row", "method", "protocol", "psnr", "psnr_rgb", "brightness", "strength", "images"),
    }
    assert (first["dataset"], first["row"], first["method"]) == ("photos", "jpeg-75-png", "bicubic")
    with (folder / "scores.csv").open(newline="") as file:
        scores = list(csv.DictReader(file))
    assert len(scores) == 4 * 3 * 3 + 4 * 3
    assert float(scores[0]["psnr"]) == first["images"][0]["psnr"]


def test_real_weights_show_the_strength_that_they_took(photos: Path) -> None:
    clean, real = save_pair(photos.parent)
    table = (*REAL, "photos", "--rows", "area", "-m", real)
    result = run(*table, "-m", clean, "--strength", "auto", cwd=photos.parent)
    assert re.search(r"light +Y +RGB +gain +light +strength +Y +RGB +gain +light$", result.stdout, re.M)
    taken = [load(str(real)).strength_of(sample.lr) for sample in samples(photos, "area")]
    rows = strict_json(run(*table, "-m", clean, "--json", cwd=photos.parent).stdout)["rows"]
    assert [image["strength"] for image in rows[2]["images"]] == taken
    assert rows[3]["strength"] is None
    weak, strong = (
        strict_json(run(*table, "--strength", share, "--json", cwd=photos.parent).stdout)["rows"][2] for share in (0, 1)
    )
    assert (weak["strength"], strong["strength"]) == (0, 1)
    assert weak["psnr"] == rows[3]["psnr"] != strong["psnr"]


def samples(folder: Path, row: str) -> list[suite.Sample]:
    return [sample for path in sorted(folder.iterdir()) for sample in suite.damaged(path, path.stem, 2, [row])]


def test_real_pictures_are_measured_with_the_default_for_pictures(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos.parent / "shipped").mkdir()
    save_pair(photos.parent / "shipped", architecture("espcn-m"), "espcn-m")
    monkeypatch.setattr(checkpoint, "weights_folder", lambda: photos.parent / "shipped")
    result = run(*REAL, "photos", "--rows", "area", cwd=photos.parent)
    assert re.search(r"^photos +bicubic +lanczos +espcn-m-real$", result.stdout, re.M)
    result = run("benchmark", "photos", cwd=photos.parent)
    assert re.search(r"^x2 +bicubic +lanczos +espcn-m$", result.stdout, re.M)


def test_what_the_command_draws_needs_no_pictures(tmp_path: Path, tiny: Path) -> None:
    result = run(*REAL, "--rows", "pixels", "-m", tiny, "-s", "2", cwd=tmp_path)
    assert (result.code, result.stderr) == (0, "")
    assert len(re.findall(r"^pixels-", result.stdout, re.M)) == 5


def test_the_models_of_the_suite_give_what_upscale_gives(photos: Path, tiny: Path) -> None:
    """A JPEG's answer in the table, and the file that `espcn upscale` makes of the same JPEG."""
    upscaler = load(str(tiny))
    [sample] = suite.damaged(photos / "0.png", "0", 2, ["jpeg-75"])
    (photos / "lr.jpg").write_bytes(recipes.PICTURES["jpeg-75"].file(shrink(sample.hr, 2, "lanczos"), default_rng()))
    assert run("upscale", photos / "lr.jpg", photos / "sr.png", "-m", tiny).code == 0
    with Image.open(photos / "sr.png") as image:
        assert (np.asarray(image) == command.answer(upscaler, sample.lr)[0]).all()


def test_a_bad_picture_among_real_ones_is_named_and_the_rest_is_scored(photos: Path, tiny: Path) -> None:
    (photos / "bad.png").write_text("no picture")
    result = run(*REAL, "photos", "--rows", "area", "--rows", "jpeg-60", "-m", tiny, cwd=photos.parent)
    one_line(result, 1, "photos/bad.png")
    assert re.search(r"^jpeg-60 +\d", result.stdout, re.M)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["photos", "--protocol", "plane"], 2, ["leave out --lr, --outputs and --protocol"]),
        (["photos", "--lr", "photos"], 2, ["leave out --lr, --outputs and --protocol"]),
        (["photos", "--strength", "2"], 2, ["use auto, or a number from 0 to 1"]),
        (["photos", "--strength", "0.5"], 2, ["has no clean sister"]),
        (["photos", "--rows", "jpg"], 2, ["no row is called 'jpg'", "jpeg-75"]),
        (["--rows", "jpeg"], 1, ["name folders that hold some"]),
        (["nowhere", "--rows", "text"], 1, ["nowhere: no such file or folder"]),
        (["hollow"], 1, ["no pictures in hollow"]),
        (["photos", "--csv", "photos/0.png"], 2, ["photos/0.png is an input"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_of_the_suite_gets_one_line(
    photos: Path, tiny: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    (photos.parent / "hollow").mkdir()
    result = run(*REAL, *arguments, "-m", tiny, cwd=photos.parent)
    one_line(result, code, *words)
    assert not result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [([], ["DATA"]), (["photos", "--rows", "jpeg"], ["--rows", "--degradation real"])],
    ids=["no pictures", "rows of the suite"],
)
def test_clean_pictures_must_be_given_and_have_no_rows(photos: Path, arguments: list[str], words: list[str]) -> None:
    one_line(run("benchmark", *arguments, cwd=photos.parent), 2, *words)


def test_a_csv_file_does_not_take_a_clip_s_place(tmp_path: Path, tiny: Path) -> None:
    save_picture(tmp_path / "data" / "a.png", 48, 40)
    (tmp_path / "data" / "clip.mp4").write_bytes(b"a clip")
    result = run(*REAL, "data", "--csv", "data/clip.mp4", "-m", tiny, cwd=tmp_path)
    one_line(result, 2, "data/clip.mp4 is an input")
    assert (tmp_path / "data" / "clip.mp4").read_bytes() == b"a clip"


# --- sets, scales, layouts and other tools' outputs -------------------------------------------------------------------


def test_several_sets_scales_and_models_in_one_call(tmp_path: Path) -> None:
    save_picture(tmp_path / "one" / "HR" / "a.png", 48, 48)
    save_picture(tmp_path / "one" / "LR" / "x2" / "a.png", 24, 24)
    save_picture(tmp_path / "two" / "b.png", 48, 48)
    three = save_checkpoint(tmp_path / "three.safetensors", ModelSettings(scale=3, widths=(4,), kernels=(3, 3)))
    command = ("benchmark", "one", "two", "-s", "2", "-s", "3", "-m", "espcn-s", "-m", three.name)
    result = run(*command, cwd=tmp_path)
    assert (result.code, result.stderr) == (0, "")
    blocks = result.stdout.split("\n\n")
    assert [block.split()[0] for block in blocks[::2]] == ["x2", "x2", "x3"], "of each how LR was made"
    assert [("given LR" in note, note.count("\n")) for note in blocks[1::2]] == [(True, 0), (False, 0), (False, 1)]
    rows = strict_json(run(*command, "--json", cwd=tmp_path).stdout)["rows"]
    methods = {scale: {row["method"] for row in rows if row["scale"] == scale} for scale in (2, 3)}
    assert methods == {2: {"bicubic", "lanczos", "espcn-s"}, 3: {"bicubic", "lanczos", "espcn-s", "three.safetensors"}}


def test_a_checkpoint_of_a_scale_that_is_not_measured_is_refused(photos: Path) -> None:
    save_checkpoint(photos.parent / "three.safetensors", ModelSettings(scale=3, widths=(4,), kernels=(3, 3)))
    result = run("benchmark", "photos", "-m", "three.safetensors", cwd=photos.parent)
    one_line(result, 2, "three.safetensors upscales by 3, not by 2", "add -s 3")


def test_the_table_for_a_page_in_markdown(photos: Path, tiny: Path) -> None:
    (photos.parent / "a|b").mkdir()
    save_picture(photos.parent / "a|b" / "x.png", 48, 40, mode="L")
    shown = run("benchmark", "photos", "a|b", "-m", tiny, "--markdown", cwd=photos.parent).stdout.splitlines()
    titles = [f"{method} {title}" for method in ("bicubic", "lanczos", "tiny") for title in ("Y", "RGB", "SSIM")]
    grey = {title for title in titles if title.endswith("RGB") and not title}
    assert shown[0] == f"| x2 | {' | '.join(title for title in titles if title not in grey)} |"
    assert shown[1] == "|---|" + "---:|" * len(titles)
    assert shown[2].startswith("| photos | ") and shown[3].startswith(r"| a\|b | ") and " - " in shown[3]
    assert len({line.replace(r"\|", "").count("|") for line in shown[:4]}) == 1


def test_what_a_choice_changes_stands_below_the_mean(photos: Path, tiny: Path) -> None:
    result = run("benchmark", "photos", "-m", tiny, "--degradation", "area", cwd=photos.parent)
    assert re.search(r"^  by --degradation area( +[+-]\d+\.\d\d +[+-]\d+\.\d\d +[+-]0\.\d{4}){3}$", result.stdout, re.M)


def test_outputs_of_another_tool_stand_beside_bicubic_alone(photos: Path) -> None:
    for index in range(3):
        save_picture(photos.parent / "theirs" / f"{index}_x2.png", 48, 40, index)
    result = run("benchmark", "photos", "--outputs", "theirs/", cwd=photos.parent)
    assert (result.code, result.stderr) == (0, "")
    assert re.search(r"^x2 +bicubic +lanczos +theirs$", result.stdout, re.M)
    assert re.search(r"58\.92 +58\.92 +1\.0000$", result.stdout, re.M)
    save_picture(photos.parent / "theirs" / "2_x2.png", 24, 20)
    one_line(run("benchmark", "photos", "--outputs", "theirs", cwd=photos.parent), 1, "theirs/2_x2.png", "photos/2.png")
    one_line(run("benchmark", "photos", "--outputs", "nowhere", cwd=photos.parent), 2, "--outputs nowhere")


def test_a_table_without_rows_is_an_error(tmp_path: Path, tiny: Path) -> None:
    save_picture(tmp_path / "hr" / "0801.png", 48, 40)
    save_picture(tmp_path / "lr" / "0901x2.png", 24, 20)
    for form in ((), ("--json",), ("--markdown",), ("--csv", "-")):
        result = run("benchmark", "hr", "--lr", "lr", "-m", tiny, *form, cwd=tmp_path)
        one_line(result, 1, "hr/0801.png: no LR picture of its name in lr")
        assert not result.stdout


def test_a_folder_where_there_is_no_telling_is_refused(tmp_path: Path, tiny: Path) -> None:
    for name in ("HR/a.png", "LR/x2/a.png", "b.png"):
        save_picture(tmp_path / "data" / name)
    measured = ("benchmark", "data", "-m", tiny)
    for words in (measured, ("train", "data", "--valid", "data/HR"), ("train", "data/HR", "--valid", "data")):
        one_line(run(*words, cwd=tmp_path), 1, "data/b.png")


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--report", "photos"), 1, ["photos holds something else"]),
        (("--report", "page", "--pictures", "few"), 2, ["--pictures few"]),
        (("--report", "deep/er"), 1, ["no folder deep"]),
        (("--json", "--markdown"), 2, ["--json and --markdown"]),
    ],
)
def test_a_report_that_cannot_be_is_refused_before_any_picture_is_read(
    photos: Path, tiny: Path, options: tuple[str, ...], code: int, words: list[str]
) -> None:
    (photos / "text.png").write_text("a picture would be named if it had been read")
    one_line(run("benchmark", "photos", "-m", tiny, *options, cwd=photos.parent), code, *words)


def test_a_report_is_written_even_if_a_picture_fails_and_not_replaced_by_chance(photos: Path, tiny: Path) -> None:
    (photos / "<b>.png").write_text("no picture")
    call = ("benchmark", "photos", "-m", tiny, "--report", "page", "--pictures", "1")
    one_line(run(*call, cwd=photos.parent), 1, "<b>.png")
    html = (photos.parent / "page" / "index.html").read_text()
    assert html.count('class="viewer"') == 1 and "&lt;b&gt;.png" in html and "<b>.png" not in html
    one_line(run(*call, cwd=photos.parent), 2, "1 output exists already, page/index.html")
    real = run(*REAL, "photos", "--rows", "area", "-m", tiny, "--report", "real", cwd=photos.parent)
    assert real.code == 1 and "area" in (photos.parent / "real" / "index.html").read_text()
