"""`espcn import` and what everything else does with networks of others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command import one_line, run
from making import save_picture
from making_foreign import LORNATANG, YJN870, compact, espcn, save_graph, save_ncnn_compact, stack
from PIL import Image

from espcn_cli.network import checkpoint


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    torch.save({"params_ema": compact(2).tensors}, tmp_path / "faces_x2.pth")
    return tmp_path / "faces_x2.pth"


def test_a_network_of_others_becomes_a_checkpoint(theirs: Path) -> None:
    done = run("import", theirs, "-o", "faces.safetensors", "--license", "CC0", "--origin", "https://example.org/faces",
               cwd=theirs.parent)  # fmt: skip
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.startswith("faces.safetensors: Compact (SRVGGNetCompact) x2 on RGB, 1,")
    card = checkpoint.read_card(theirs.parent / "faces.safetensors")
    assert (card.name, card.license, card.training["origin"]) == ("faces", "CC0", "https://example.org/faces")
    assert card.training["imported"]["files"].keys() == {"faces_x2.pth"}
    described = run("models", "faces.safetensors", "-v", "--json", cwd=theirs.parent)
    assert json.loads(described.stdout)[0]["settings"]["skip"] == "nearest"


def test_the_checkpoint_is_named_like_the_file(theirs: Path) -> None:
    assert run("import", theirs, cwd=theirs.parent).stdout.startswith("faces_x2.safetensors: ")


def test_it_upscales_tiles_and_measures_as_the_file_itself_does(theirs: Path) -> None:
    folder = theirs.parent
    save_picture(folder / "a.png", 40, 30)
    save_picture(folder / "hr" / "a.png", 40, 32)
    assert run("import", theirs, "-o", "f.safetensors", cwd=folder).code == 0
    for name, model, more in (
        ("1", "f.safetensors", ()),
        ("2", theirs, ("--tile", "8")),
        ("3", "f.safetensors", ("--engine", "torch")),
    ):
        done = run("upscale", "a.png", f"{name}.png", "-m", model, *more, cwd=folder)
        assert done.code == 0, done.stderr
    first, second, third = (np.asarray(Image.open(folder / f"{name}.png")).astype(int) for name in "123")
    assert np.array_equal(first, second)
    assert np.abs(first - third).max() <= 1
    measured = run("benchmark", "hr", "-s", "2", "-m", "f.safetensors", "-m", theirs, "--json", cwd=folder)
    scores = [row["psnr"] for row in json.loads(measured.stdout)["rows"]]
    assert scores[-1] == scores[-2]


def test_an_imported_network_is_trained_on_in_its_own_form(theirs: Path) -> None:
    folder = theirs.parent
    for index in range(3):
        save_picture(folder / "photos" / f"{index}.png", 48, 40, index)
    assert run("import", theirs, "-o", "f.safetensors", cwd=folder).code == 0
    options = "--steps 2 --batch-size 2 --patch-size 16 --expansion 0 --validate-every 2 --precision fp32 --device cpu"
    done = run("train", "photos", "-o", "g.safetensors", "--init", "f.safetensors", *options.split(), cwd=folder)
    assert done.code == 0, done.stderr
    start, end = (checkpoint.read(folder / f"{name}.safetensors") for name in "fg")
    assert end[0].settings == start[0].settings
    assert end[0].name == "faces"
    larger = run("train", "photos", "-o", "h.safetensors", "--init", "f.safetensors", "-s", "3", *options.split(),
                 cwd=folder)  # fmt: skip
    assert larger.code == 0, larger.stderr
    assert checkpoint.read_card(folder / "h.safetensors").settings.scale == 3


def test_models_describes_files_of_others(theirs: Path) -> None:
    save_graph(theirs.parent / "g.pb", stack((4,), (3, 3), 4), 2)
    save_ncnn_compact(theirs.parent / "n.param", compact(3), 3)
    cards = run("models", theirs, "g.pb", "n.bin", cwd=theirs.parent).stdout
    assert "  What     Compact (SRVGGNetCompact): " in cards
    assert "  Made     imported from n.param, n.bin\n" in cards
    assert "  Import   espcn import g.pb -o g_x2.safetensors\n" in cards
    shown = json.loads(run("models", theirs, "g.pb", "n.bin", "--json", cwd=theirs.parent).stdout)
    assert [model["form"] for model in shown] == ["Compact (SRVGGNetCompact)", "ESPCN", "Compact (SRVGGNetCompact)"]
    assert [model["scale"] for model in shown] == [2, 2, 3]
    assert shown[1]["import"] == "espcn import g.pb -o g_x2.safetensors"
    assert shown[0]["parameters"] > 1000


def test_a_hint_tells_what_the_file_does_not(tmp_path: Path) -> None:
    torch.save(espcn(LORNATANG, 2).tensors, tmp_path / "e.pth")
    done = run("import", "e.pth", "-o", "e.safetensors", "--range", "full", "--last", "sigmoid", "--json", cwd=tmp_path)
    shown = json.loads(done.stdout)
    assert shown["settings"]["last_activation"] == "sigmoid"
    assert "value_range" not in shown["settings"]
    torch.save(espcn(YJN870, 2).tensors, tmp_path / "y.pth")
    assert "black and white at 16 and 235" in run("import", "y.pth", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing.pth", "nothing.pth"),
        ("empty.pth", "empty.pth cannot be imported: it is no file of PyTorch's, or damaged"),
        ("a.png", "a.png is no file that can be imported: those are .safetensors, .pth"),
        ("folder", "folder is no file that can be imported"),
        ("cut.safetensors", "cut.safetensors is not a readable safetensors file"),
        ("e.safetensors", "already"),
        ("alone.param", "alone.bin is not there"),
        ("half.pth", "looks like ESPCN of yjn870"),
    ],
)
def test_what_cannot_be_imported_is_one_line_and_writes_nothing(
    name: str, said: str, tmp_path: Path, tiny: Path
) -> None:
    save_picture(tmp_path / "a.png")
    (tmp_path / "empty.pth").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "cut.safetensors").write_bytes(tiny.read_bytes()[:100])
    (tmp_path / "alone.param").write_text("7767517\n")
    (tmp_path / "e.safetensors").write_bytes(tiny.read_bytes())
    torch.save({**espcn(YJN870).tensors, "more.weight": torch.zeros(2)}, tmp_path / "half.pth")
    before = sorted(tmp_path.iterdir())
    one_line(run("import", name, "-o", "out.safetensors", cwd=tmp_path), 1, name, said)
    assert sorted(tmp_path.iterdir()) == before


def test_misuse(theirs: Path) -> None:
    one_line(run("import", theirs, "-o", "out.pth", cwd=theirs.parent), 2, "name ends in .safetensors")
    one_line(run("import", theirs, "-s", "3", cwd=theirs.parent), 1, "leave them out, or name others")
    one_line(run("import", theirs, "--range", "half", cwd=theirs.parent), 2, "half")
    one_line(run("upscale", "a.png", "b.png", "-m", theirs, "-s", "4", cwd=theirs.parent), 2, "upscales by 2, not by 4")
