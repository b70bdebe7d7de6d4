"""Own models by name, in every command that takes one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import QUICK, one_line, run, strict_json
from making import save_checkpoint, save_pair, save_picture
from PIL import Image

import espcn_cli
from espcn_cli.network import checkpoint
from espcn_cli.settings import ModelSettings

RGB = ModelSettings(scale=3, widths=(4,), kernels=(3, 3), planes=3)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pair of sisters, `tiny` and `tiny-real`, and `colour` at x3."""
    folder = tmp_path / "models"
    monkeypatch.setenv("ESPCN_MODELS", str(folder))
    folder.mkdir()
    save_pair(folder)
    save_checkpoint(folder / "colour_x3.safetensors", RGB, "another name")
    return folder


def test_models_lists_them_after_what_is_shipped_and_says_where_they_lie(own: Path) -> None:
    result = run("models")
    listed = [line.split()[:2] for line in result.stdout.splitlines()]
    assert listed[22:25] == [["colour", "x3"], ["tiny", "x2"], ["tiny-real", "x2"]]
    assert result.stdout.splitlines()[-1] == f"Your own lie in {own}."
    assert (result.code, result.stderr) == (0, "")
    assert [card["name"] for card in strict_json(run("models", "--json").stdout)][-3:] == [
        "colour",
        "tiny",
        "tiny-real",
    ]


def test_models_shows_their_cards_by_name(own: Path) -> None:
    result = run("models", "colour", "tiny_x2")
    first, second = result.stdout.split("\n\n")
    assert first.startswith(f"colour x3 ({own}/colour_x3.safetensors)")
    assert second.startswith("tiny x2 (")
    one_line(run("models", "none"), 2, "unknown model 'none'", "tiny-real")


def test_models_names_what_is_broken_and_lists_the_rest(own: Path) -> None:
    (own / "cut.safetensors").write_bytes(b"cut")
    save_checkpoint(own / "espcn_x2.safetensors")
    result = run("models")
    assert "tiny-real" in result.stdout and result.code == 0
    cut, clash = result.stderr.splitlines()
    assert "cut.safetensors is not a readable safetensors file" in cut
    assert "espcn_x2.safetensors: espcn is a shipped model" in clash
    one_line(run("models", "cut"), 1, "cut.safetensors is not a readable safetensors file")
    record = json.loads(run("doctor", "--json").stdout)
    assert record["own_models"] == ["colour x3", "tiny x2", "tiny-real x2"]
    assert len(record["problems"]) == 2


@pytest.mark.usefixtures("own")
def test_upscale_takes_a_name_with_a_strength_and_without(photos: Path) -> None:
    folder = photos.parent
    for name, words in {
        "real.png": "tiny-real --strength 1",
        "clean.png": "tiny-real --strength 0",
        "tiny.png": "tiny",
        "path.png": "models/tiny_x2.safetensors",
        "colour.png": "colour",
    }.items():
        result = run("upscale", "photos/0.png", name, "-m", *words.split(), cwd=folder)
        assert result.code == 0, result.stderr
    pixels = {path.stem: path.read_bytes() for path in folder.glob("*.png")}
    assert pixels["clean"] == pixels["tiny"] == pixels["path"] != pixels["real"]
    with Image.open(folder / "colour.png") as image:
        assert image.size == (144, 120)
    one_line(run("upscale", "photos/0.png", "x.png", "-m", "colour", "-s", 2, cwd=folder), 2, "no scale 2: it has 3")


@pytest.mark.usefixtures("own")
def test_the_other_commands_take_a_name(photos: Path) -> None:
    folder = photos.parent
    for call in (
        "benchmark photos -m tiny -m tiny-real",
        "compare photos/0.png -m tiny -m tiny-real -o sheet.png",
        "export tiny-real shader.glsl --strength 0.5",
    ):
        result = run(*call.split(), cwd=folder)
        assert result.code == 0, result.stderr
    assert "tiny-real" in run("benchmark", "photos", "-m", "tiny-real", cwd=folder).stdout


@pytest.mark.usefixtures("own")
def test_a_training_takes_the_form_of_one_or_starts_from_it(photos: Path) -> None:
    folder = photos.parent
    options = [*QUICK[2:], "--steps", 4]  # but for its own -m
    assert run("train", "photos", "-m", "colour", "-s", 2, *options, cwd=folder).code == 0
    card = checkpoint.read_card(folder / "colour_x2.safetensors")
    assert (card.name, card.settings.planes, card.settings.widths) == ("colour", 3, (4,))
    [shown] = json.loads(run("models", "colour_x2.safetensors", "--json", cwd=folder).stdout)
    assert shown["command"].startswith("espcn train photos --valid VALID -m colour -s 2 --planes rgb ")
    assert (
        run("train", "photos", "-m", "tiny", "--planes", "rgb", "-o", "r.safetensors", *options, cwd=folder).code == 0
    )
    assert checkpoint.read_card(folder / "r.safetensors").settings.planes == 3
    assert run("train", "photos", "--init", "tiny", "-o", "i.safetensors", *options, cwd=folder).code == 0
    one_line(run("train", "photos", "-m", "none", *options, cwd=folder), 2, "unknown architecture 'none'", "your own")


def test_the_library_takes_a_name(own: Path) -> None:
    upscaler = espcn_cli.load("tiny-real", strength=1)
    assert (upscaler.scale, upscaler.scales, upscaler.name) == (2, (2,), "tiny-real")
    with Image.open(save_picture(own.parent / "a.png", 10, 8)) as image:
        assert upscaler(image).size == (20, 16)
    assert espcn_cli.load("colour").scale == 3
