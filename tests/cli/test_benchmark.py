"""`espcn benchmark`: the table, JSON and CSV, and each misuse in one line."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from command import one_line, run


def test_benchmark_as_a_table_json_and_csv(photos: Path, tiny: Path) -> None:
    folder = photos.parent
    result = run("benchmark", "photos", "-m", tiny, "--csv", "scores.csv", cwd=folder)
    assert result.code == 0, result.stderr
    assert re.search(r"^photos +bicubic +lanczos +tiny$", result.stdout, re.M)
    assert re.search(r"^mean( +\d+\.\d\d/0\.\d{4}){3}$", result.stdout, re.M)
    assert "2 px border left out" in result.stdout
    as_json = json.loads(run("benchmark", "photos", "-m", tiny, "--json", cwd=folder).stdout)
    assert set(as_json) == {"protocol", "rows", "errors"}
    assert [row["method"] for row in as_json["rows"]] == ["bicubic", "lanczos", str(tiny)]
    assert set(as_json["rows"][0]) == {"dataset", "scale", "method", "psnr", "ssim", "images"}
    assert [image["name"] for image in as_json["rows"][0]["images"]] == ["0", "1", "2"]
    with (folder / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    assert float(rows[0]["psnr"]) == as_json["rows"][0]["images"][0]["psnr"]


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
    assert "mean" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere"], 1, ["no such file or folder"]),
        (["too-long-a-name" * 20], 1, ["no such file or folder"]),
        (["hollow"], 1, ["no pictures in hollow"]),
        (["photos", "--protocol", "best"], 2, ["--protocol"]),
        (["photos", "-s", "7"], 2, ["--scale 7"]),
        (["photos", "--degradation", "fog"], 2, ["--degradation 'fog'"]),
        (["photos", "--lr", "nowhere"], 2, ["--lr nowhere"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_benchmark_input_gets_one_line(
    photos: Path, tiny: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    (photos.parent / "hollow").mkdir()
    one_line(run("benchmark", *arguments, "-m", tiny, cwd=photos.parent), code, *words)
