"""`--strength`: what is made by which weights, where that is told, and what is misuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import one_line, run
from making import natural, save_checkpoint, save_pair, save_picture
from PIL import Image

from espcn_cli.network import checkpoint
from espcn_cli.settings import architecture


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Shipped: `espcn-m` at x2 and x3, real weights at x2 alone."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    save_pair(folder, architecture("espcn-m"), "espcn-m")
    save_checkpoint(folder / "espcn-m_x3.safetensors", architecture("espcn-m", 3), "espcn-m")
    monkeypatch.setattr(checkpoint, "weights_folder", lambda: folder)
    save_picture(tmp_path / "in.png")
    return tmp_path


def made(folder: Path, *arguments: object) -> bytes:
    assert run("upscale", "in.png", "out.png", "--overwrite", *arguments, cwd=folder).code == 0
    return (folder / "out.png").read_bytes()


def test_real_weights_at_auto_strength_are_the_default(shelf: Path) -> None:
    result = run("upscale", "in.png", "out.png", "--json", cwd=shelf)
    [record] = json.loads(result.stdout)
    assert (result.code, result.stderr, record["model"]) == (0, "", "espcn-m-real")
    assert record["strength"] * 8 in range(9)
    assert made(shelf) == made(shelf, "--strength", "auto") == made(shelf, "-m", "espcn-m-real")
    assert made(shelf) == made(shelf, "--strength", record["strength"])


def test_where_no_real_weights_are_shipped_the_clean_ones_are_used_without_noise(shelf: Path) -> None:
    result = run("upscale", "in.png", "out.png", "-s", 3, "--json", cwd=shelf)
    [record] = json.loads(result.stdout)
    assert (result.code, result.stderr, record["model"], record["strength"]) == (0, "", "espcn-m", None)


def test_strengths_differ(shelf: Path) -> None:
    results = [made(shelf, "--strength", strength) for strength in (0, 0.5, 1)]
    assert len(set(results)) == 3
    assert made(shelf, "-m", "espcn-m") == results[0]


def test_verbose_tells_what_made_a_picture(shelf: Path) -> None:
    told = run("upscale", "-v", "--overwrite", "in.png", "out.png", "--strength", 0.3, cwd=shelf)
    assert told.stderr == "in.png: espcn-m-real, strength 0.25\n"
    assert told.stdout.startswith("out.png: 24 x 18 -> 48 x 36")
    assert (
        run("upscale", "-v", "--overwrite", "in.png", "out.png", "-m", "espcn-m", cwd=shelf).stderr
        == "in.png: espcn-m\n"
    )
    smaller = run("upscale", "-v", "--overwrite", "in.png", "out.png", "--size", "50%", cwd=shelf)
    assert smaller.stderr.endswith("\nin.png: no network, as it gets no larger\n")
    assert run("upscale", "-qv", "--overwrite", "in.png", "out.png", cwd=shelf).stderr == ""


def test_each_picture_of_a_batch_is_told_of(shelf: Path) -> None:
    save_picture(shelf / "photos" / "a.png")
    (shelf / "photos" / "b.png").write_text("no picture")
    save_picture(shelf / "photos" / "c.png", seed=1)
    result = run("upscale", "-v", "photos", "out", "--strength", 1, cwd=shelf)
    told = [line for line in result.stderr.splitlines() if " -> " not in line]  # what a log tells besides
    assert told == [
        "photos/a.png: espcn-m-real, strength 1",
        "espcn: photos/b.png: not a picture in a format that Pillow knows",
        "photos/c.png: espcn-m-real, strength 1",
    ]


def test_a_dry_run_tells_what_it_knows_without_reading_pictures(shelf: Path) -> None:
    for strength, known in ((0.5, 0.5), ("auto", None)):
        result = run("upscale", "in.png", "out.png", "--dry-run", "--json", "--strength", strength, cwd=shelf)
        [record] = json.loads(result.stdout)
        assert (record["model"], record["strength"]) == ("espcn-m-real", known)


def test_an_exact_size_takes_what_its_scale_has(shelf: Path) -> None:
    for size, model, mixed in (("150%", "espcn-m-real", True), ("250%", "espcn-m", False), ("90%", None, False)):
        [record] = json.loads(run("upscale", "in.png", f"{size}.png", "--size", size, "--json", cwd=shelf).stdout)
        assert (record["model"], record["strength"] is not None) == (model, mixed)


def test_an_animation_has_one_strength(shelf: Path) -> None:
    frames = [Image.fromarray(natural(24, 18, seed)) for seed in range(3)]
    frames[0].save(shelf / "in.webp", save_all=True, append_images=frames[1:], lossless=True, duration=40)
    [record] = json.loads(run("upscale", "in.webp", "out.webp", "--json", cwd=shelf).stdout)
    assert record["strength"] is not None
    with Image.open(shelf / "out.webp") as image:
        assert image.n_frames == 3  # type: ignore[attr-defined]


@pytest.mark.usefixtures("shelf")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--strength", "1.5"], ["1.5", "use auto, or a number from 0 to 1"]),
        (["--strength=-0.1"], ["-0.1", "use auto, or a number from 0 to 1"]),
        (["--strength", "nan"], ["nan", "use auto, or a number from 0 to 1"]),
        (["--strength", "strong"], ["'strong'", "use auto, or a number from 0 to 1"]),
        (["--strength", ""], ["use auto, or a number from 0 to 1"]),
        (["--strength", "0.5", "-m", "espcn-m"], ["espcn-m has no clean sister", "-real"]),
        (["--strength", "0", "-s", "3"], ["espcn-m has no clean sister", "shipped at x3: leave it out"]),
        (["--strength", "1", "-m", "mine.safetensors"], ["mine.safetensors has no clean sister"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_misuse_gets_one_line(shelf: Path, options: list[str], words: list[str]) -> None:
    save_checkpoint(shelf / "mine.safetensors")
    one_line(run("upscale", "in.png", "out.png", *options, cwd=shelf), 2, *words)
    assert not (shelf / "out.png").exists()


def test_weights_of_ones_own_run_as_they_are(shelf: Path) -> None:
    save_checkpoint(shelf / "mine.safetensors")
    result = run("upscale", "-v", "--overwrite", "in.png", "out.png", "-m", "mine.safetensors", cwd=shelf)
    assert (result.code, result.stderr) == (0, "in.png: tiny\n")


def test_odd_tables_and_lying_names_are_no_trouble(shelf: Path) -> None:
    photo = Image.fromarray(natural(64, 48))
    photo.save(shelf / "odd.jpg", qtables=[list(range(1, 65))[::-1], [7] * 64])
    photo.save(shelf / "lying.png", "JPEG", quality=30)
    photo.save(shelf / "lying.gif", "WEBP", quality=30)
    result = run("upscale", "odd.jpg", "lying.png", "lying.gif", "out", "--json", cwd=shelf)
    records = json.loads(result.stdout)
    assert (result.code, [record["error"] for record in records]) == (0, [None] * 3)
    assert all(record["strength"] is not None for record in records)
