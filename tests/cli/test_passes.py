"""`espcn upscale -s 6` and above: files, names, pages, videos, estimates, and what is refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from command import one_line, run
from making import save_checkpoint, save_picture
from PIL import Image

from espcn_cli.network import named
from espcn_cli.settings import ModelSettings


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Own models: `mine` at x2, x3 and x4, and `half` at x2 alone."""
    folder = tmp_path / "models"
    folder.mkdir()
    for scale in (2, 3, 4):
        save_checkpoint(folder / f"mine_x{scale}.safetensors", ModelSettings(scale, (4,), (3, 3)))
    save_checkpoint(folder / "half_x2.safetensors")
    monkeypatch.setenv(named.VARIABLE, str(folder))


def pixels(path: Path) -> list[int]:
    with Image.open(path) as image:
        return np.asarray(image).tolist()  # type: ignore[no-any-return]


def test_x6_is_x2_and_x3_of_that_whatever_the_tiles(tmp_path: Path) -> None:
    save_picture(tmp_path / "in.png", 40, 30)
    for tile in ("auto", "9", "off"):
        assert run("upscale", "in.png", f"{tile}.png", "-m", "mine", "-s", 6, "--tile", tile, cwd=tmp_path).code == 0
    run("upscale", "in.png", "x2.png", "-m", "mine", "-s", 2, cwd=tmp_path)
    run("upscale", "x2.png", "x6.png", "-m", "mine", "-s", 3, cwd=tmp_path)
    assert pixels(tmp_path / "auto.png") == pixels(tmp_path / "x6.png")
    assert {(tmp_path / f"{tile}.png").read_bytes() for tile in ("auto", "9", "off")} == {
        (tmp_path / "auto.png").read_bytes()
    }


@pytest.mark.parametrize("scale", [6, 8, 9, 12, 16])
def test_names_tell_the_scale(tmp_path: Path, scale: int) -> None:
    save_picture(tmp_path / "in.png", 10, 8)
    assert run("upscale", "--beside", "in.png", "-m", "mine", "-s", scale, cwd=tmp_path).code == 0
    with Image.open(tmp_path / f"in_x{scale}.png") as image:
        assert image.size == (10 * scale, 8 * scale)
    pattern = ("--name", "{stem}-{model}-{scale}{suffix}")
    assert run("upscale", *pattern, "in.png", "out/", "-m", "mine", "-s", scale, cwd=tmp_path).code == 0
    assert (tmp_path / "out" / f"in-mine-{scale}.png").is_file()


def test_a_dry_run_tells_the_size(tmp_path: Path) -> None:
    save_picture(tmp_path / "in.png", 10, 8)
    result = run("upscale", "in.png", "out.png", "-m", "mine", "-s", 8, "--dry-run", "--json", cwd=tmp_path)
    [record] = json.loads(result.stdout)
    assert record["output_size"] == [80, 64]


def test_a_size_takes_two_passes_where_x4_is_not_enough(tmp_path: Path) -> None:
    save_picture(tmp_path / "in.png", 10, 8)
    result = run("upscale", "in.png", "size.png", "-m", "mine", "--size", "600%", cwd=tmp_path)
    assert (result.code, result.stderr) == (0, "")
    run("upscale", "in.png", "scale.png", "-m", "mine", "-s", 6, cwd=tmp_path)
    assert pixels(tmp_path / "size.png") == pixels(tmp_path / "scale.png")


def test_pages_of_a_book_too(tmp_path: Path) -> None:
    save_picture(tmp_path / "1.png", 10, 8)
    with zipfile.ZipFile(tmp_path / "in.cbz", "w") as book:
        book.write(tmp_path / "1.png", "1.png")
    assert run("upscale", "in.cbz", "out.cbz", "-m", "mine", "-s", 6, cwd=tmp_path).code == 0
    with zipfile.ZipFile(tmp_path / "out.cbz") as book, book.open("1.png") as page, Image.open(page) as image:
        assert image.size == (60, 48)


def test_videos_too(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs the extra video")
    frames = b"".join(b"FRAME\n" + bytes(range(n, n + 96)) for n in (0, 40))
    (tmp_path / "in.y4m").write_bytes(b"YUV4MPEG2 W8 H8 F25:1 Ip A1:1 C420jpeg\n" + frames)
    assert run("upscale", "in.y4m", "out.y4m", "-m", "mine", "-s", 6, cwd=tmp_path).code == 0
    data = (tmp_path / "out.y4m").read_bytes()
    assert data.startswith(b"YUV4MPEG2 W48 H48")
    assert data.count(b"FRAME\n") == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("-s", 10, "-m", "mine"), 2, "'10' is not one of '2', '3', '4', '6', '8', '9', '12', '16'"),
        (("-s", 6, "-m", "half"), 2, "model half cannot go x6, which takes x2 and then x3: it has 2"),
        (("-s", 6, "-m", "models/half_x2.safetensors"), 2, "upscales by 2, not by 6: name another model or scale"),
        (("-s", 6, "-m", "mine", "--max-pixels", 100), 1, "choose a smaller --scale or --size, or allow it with"),
    ],
)
def test_no_way_to_a_scale_is_told_in_one_line(
    tmp_path: Path, arguments: tuple[object, ...], code: int, said: str
) -> None:
    save_picture(tmp_path / "in.png", 10, 8)
    one_line(run("upscale", "in.png", "out.png", *arguments, "-q", cwd=tmp_path), code, said)
    assert not (tmp_path / "out.png").exists()
