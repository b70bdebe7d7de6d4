"""`espcn models`: what is shipped, what a file is, and the command that makes it again."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

from command import QUICK, one_line, run, strict_json
from making import save_pair
from safetensors.torch import load_file, save_file

from espcn_cli.cli.models import format_models, training_command
from espcn_cli.network import checkpoint
from espcn_cli.network.checkpoint import Card
from espcn_cli.settings import TrainSettings, architecture

ROOT = Path(__file__).parents[2]


def test_models_describes_a_checkpoint(tiny: Path) -> None:
    [card] = json.loads(run("models", tiny, "--json").stdout)
    assert (card["name"], card["scale"], card["parameters"]) == ("tiny", 2, 40 + 148)
    assert card["int8"] is False and "has no ranges for --precision int8" in run("models", tiny).stdout
    one_line(run("models", ROOT / "pyproject.toml"), 1, "not a readable safetensors file")


def test_a_file_is_shown_as_a_card_that_people_read() -> None:
    lines = run("models", ROOT / "weights" / "espcn-m-real_x2.safetensors").stdout.splitlines()
    assert lines[0].startswith("espcn-m-real x2 (") and lines[0].endswith("espcn-m-real_x2.safetensors)")
    card = dict(line.split(maxsplit=1) for line in lines[1:] if line[2] != " ")
    assert [*card] == ["What", "For", "Cost", "Scores", "Made", "Again", "Licence"]
    assert card["What"].startswith("ESPCN: 12 layers, up to 16 channels, kernels 3x3, hardswish; sees luma")
    assert card["For"].startswith("pictures as people have them")
    assert "  mixes with espcn-m: --strength says how much damage it undoes" in "\n".join(lines)
    assert card["Cost"] == "23,940 parameters, 23,760 multiply-adds per LR pixel, 102 kB"
    assert "  has ranges for --precision int8" in "\n".join(lines)
    assert card["Scores"] == "validation: 28.40 dB, SSIM 0.8006 (bicubic 27.43 dB)"
    assert card["Made"].startswith(
        "trained on 665 pictures (DIV2K, General100, T91, free-photos): 55,000 steps in 18 min"
    )
    assert "  then 0.33 of the way from espcn-m-real_x2.safetensors" in "\n".join(lines)
    assert card["Again"].startswith("espcn train DIV2K ")
    assert card["Licence"].startswith("MIT; ")


def test_a_card_says_what_is_not_recorded(tiny: Path) -> None:
    lines = run("models", tiny, tiny).stdout.split("\n\n")[1].splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines[1:] if "not " in line] == [
        "not recorded",
        "not measured",
        "not recorded",
        "not recorded",
    ]


def test_models_names_the_command_that_makes_a_checkpoint_again(photos: Path) -> None:
    folder = photos.parent
    options = [*QUICK, "--steps", 4, "--planes", "rgb", "--loss", "mse", "-s", 3, "--precision", "bf16"]
    assert run("train", "photos", "-o", "m.safetensors", *options, cwd=folder).code == 0
    [card] = json.loads(run("models", "m.safetensors", "--json", cwd=folder).stdout)
    assert card["command"] == (
        "espcn train photos --valid VALID -m espcn-s -s 3 --planes rgb --precision bf16 --steps 4 --batch-size 2"
        " --patch-size 16 --loss mse --expansion 4 --validate-every 4"
    )


def test_an_option_that_is_a_flag_has_no_value_in_the_command() -> None:
    settings = TrainSettings(mixtures=True, degradation="real", steps=7).to_dict()
    command = training_command(Card(architecture("espcn-s"), "espcn-s", {"settings": settings}))
    assert command == "espcn train DATA --valid VALID -m espcn-s -s 2 --steps 7 --degradation real --mixtures"


def test_the_command_of_an_older_checkpoint_does_as_was_done_then() -> None:
    settings = TrainSettings(steps=7).to_dict()
    del settings["candidates"], settings["clip"]  # which came later: any patch was taken, any gradient followed
    card = Card(architecture("espcn-s"), "espcn-s", {"settings": settings}, {}, "")
    command = "espcn train DATA --valid VALID -m espcn-s -s 2 --candidates 1 --clip 0.0 --steps 7"
    assert training_command(card) == command


def test_scores_of_an_older_checkpoint_that_are_infinite_are_not_known(tmp_path: Path, tiny: Path) -> None:
    """Such were written as `Infinity` and `NaN`, which no JSON has."""
    old = tmp_path / "old.safetensors"
    scores = {"psnr": math.inf, "bicubic": math.nan, "ssim": 0.9}
    metadata = checkpoint.read_card(tiny).to_metadata() | {"metrics": json.dumps({"validation": scores})}
    save_file(load_file(tiny), old, metadata)
    assert checkpoint.read_card(old).metrics["validation"]["psnr"] == math.inf
    [shown] = strict_json(run("models", old, "--json").stdout)
    assert shown["metrics"]["validation"] == {"psnr": None, "bicubic": None, "ssim": 0.9}
    assert format_models([shown]).splitlines()[1].split()[-2:] == ["-", "-"]


def test_models_with_nothing_shipped_is_an_empty_table() -> None:
    assert format_models([]).splitlines()[0].startswith("name")


def test_models_says_what_clean_and_real_weights_are_for() -> None:
    for_pictures, for_papers = run("models").stdout.splitlines()[-2:]
    assert for_pictures.startswith("Names ending in -real are for pictures as people have them")
    assert "clean bicubic" in for_papers


def test_a_sister_is_named(tmp_path: Path) -> None:
    for path, sister in zip(save_pair(tmp_path), (None, "tiny"), strict=True):
        [card] = json.loads(run("models", path, "--json").stdout)
        assert card["sister"] == sister


def test_models_lists_what_is_shipped() -> None:
    result = run("models")
    assert result.code == 0
    for name in ("espcn", "espcn-s", "espcn-m", "espcn-l"):
        for scale in (2, 3, 4):
            assert re.search(rf"^{name} +x{scale} +[\d,]+ +[\d,]+ +\d+ +\d+\.\d\d +\d+\.\d\d$", result.stdout, re.M)


def test_a_shipped_model_s_name_shows_a_card_for_each_scale() -> None:
    result = run("models", "espcn-s")
    assert result.code == 0
    titles = [line.split(" (")[0] for line in result.stdout.splitlines() if line and not line.startswith(" ")]
    assert titles == ["espcn-s x2", "espcn-s x3", "espcn-s x4"]
