"""`espcn compare` and `espcn report`: what is written, and each misuse in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import one_line, run
from making import save_picture
from PIL import Image
from pytest import MonkeyPatch

from espcn_cli import cores
from espcn_cli.upscaling import upscaler


def test_a_sheet_and_a_page_of_one_picture(photos: Path, tiny: Path) -> None:
    save_picture(photos.parent / "hr.png", 96, 80)
    call = ("compare", "photos/0.png", "--hr", "hr.png", "-m", tiny, "-o", "sheet.webp", "--report", "page")
    result = run(*call, "--crop", "4,4,20,20", cwd=photos.parent)
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [f"{name}: 4 versions, 1 place" for name in ("sheet.webp", "page/index.html")]
    with Image.open(photos.parent / "sheet.webp") as sheet:
        assert sheet.width > 4 * 200
    assert "truth" in (photos.parent / "page" / "index.html").read_text()
    one_line(run(*call, cwd=photos.parent), 2, "2 of 2 outputs exist")
    assert run(*call, "--overwrite", "-q", cwd=photos.parent).stdout == ""


def test_engine_precision_and_threads_are_as_of_upscale(photos: Path, tiny: Path, monkeypatch: MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []

    def load(model: str, scale: int, **options: object) -> upscaler.Upscaler:
        asked.append(options | {"threads": cores.count()})
        return real(model, scale, **options)  # type: ignore[arg-type]

    real = upscaler.load
    monkeypatch.setattr(cores, "_chosen", None)
    monkeypatch.setattr(upscaler, "load", load)
    words = ("--engine", "torch", "--precision", "fp32", "--device", "cpu", "--threads", "1")
    result = run("compare", "photos/0.png", "-m", tiny, "-o", "s.png", *words, cwd=photos.parent)
    assert (result.code, result.stderr) == (0, "")
    wanted = {"strength": "auto", "engine": "torch", "device": "cpu", "precision": "fp32", "threads": 1}
    assert asked == [wanted]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["photos/0.png"], 2, ["nothing to write", "-o", "--report"]),
        (["photos/0.png", "-o", "s.png", "--crop", "1,2,3"], 2, ["--crop 1,2,3"]),
        (["photos/0.png", "-o", "s.png", "--crop", "40,0,20,20"], 1, ["40,0,20,20", "0.png"]),
        (["photos/0.png", "-o", "s.png", "--hr", "photos/1.png"], 1, ["48 x 40 pixels, not 96 x 80"]),
        (["photos/0.png", "-o", "photos/0.png"], 2, ["photos/0.png is an input"]),
        (["photos/0.png", "-o", "s.xyz"], 2, ["s.xyz"]),
        (["photos/9.png", "-o", "s.png"], 1, ["photos/9.png"]),
        (["photos/0.png", "--report", "photos"], 1, ["photos holds something else, such as 0.png"]),
        (["photos/0.png", "-o", "s.png", "--engine", "tensorflow"], 2, ["tensorflow"]),
        (["photos/0.png", "-o", "s.png", "--threads", "0"], 2, ["--threads"]),
        (["photos/0.png", "-o", "s.png", "-s", "3"], 2, ["upscales by 2, not by 3"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_of_compare_gets_one_line(
    photos: Path, tiny: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    result = run("compare", *arguments, "-m", tiny, cwd=photos.parent)
    one_line(result, code, *words)
    assert not result.stdout and not (photos.parent / "s.png").exists()


def test_a_page_of_trainings(tmp_path: Path) -> None:
    (tmp_path / "a.run").mkdir()
    (tmp_path / "a.run" / "log.csv").write_text("step,psnr,bicubic\n5,30.5,29\n")
    result = run("report", "a.run", cwd=tmp_path)
    assert (result.code, result.stdout) == (0, "report.html: 1 training\n")
    assert "+1.50 dB over bicubic" in (tmp_path / "report.html").read_text()
    one_line(run("report", tmp_path.name, "-o", "x.html", cwd=tmp_path.parent), 1, "is no training's folder")
    one_line(run("report", "a.run", "-o", "nowhere/x.html", cwd=tmp_path), 1, "no folder nowhere")
