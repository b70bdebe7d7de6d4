"""`espcn train`: a training, one that is killed, one that is interrupted, and each misuse in one line."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command import COMMAND, QUICK, one_line, run
from making import save_checkpoint, save_picture
from PIL import Image
from safetensors.torch import load_file

from espcn_cli.network.checkpoint import read_card
from espcn_cli.settings import architecture


def test_train_then_upscale_with_what_it_made(photos: Path) -> None:
    folder = photos.parent
    (photos / "bad.png").write_text("no picture")
    result = run("train", "photos", "--steps", 5, *QUICK, cwd=folder)
    assert result.code == 0, result.stderr
    assert "skipped photos/bad.png: not a picture" in result.stderr
    assert "training on 2 pictures, measured by 1; 1 file skipped" in result.stderr
    line = r"^step 4: \d+\.\d+ dB, SSIM 0\.\d+ \([+-]\d+\.\d+ dB over bicubic\); "
    assert re.search(line + r"\d+\.\d steps/s, \d+\.\d% of it waiting for data$", result.stderr, re.M)
    assert re.search(r"^espcn-s_x2\.safetensors: .* dB on 1 validation picture,", result.stdout)
    assert sorted(p.name for p in folder.iterdir()) == ["espcn-s_x2.run", "espcn-s_x2.safetensors", "photos"]
    upscaled = run("upscale", "photos/0.png", "out.png", "-m", "espcn-s_x2.safetensors", cwd=folder)
    assert upscaled.code == 0, upscaled.stderr


def test_own_lr_beside_hr(photos: Path) -> None:
    """A camera's own small pictures, here darker: pairs by name; one without a partner and a moved one are named."""
    folder = photos.parent
    for path in sorted(photos.iterdir()):
        with Image.open(path) as image:
            half = image.convert("RGB").resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)
            half.point(lambda level: level * 3 // 4).save(save_picture(folder / "own" / f"{path.stem}x2.png"))
    with Image.open(photos / "0.png") as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(photos / "turned.png")
        image.resize((image.width // 2, image.height // 2)).save(folder / "own" / "turned.png")
    save_picture(photos / "alone.png", 96, 96)
    result = run("train", "photos", "--lr", "own", "--steps", 2, *QUICK, cwd=folder)
    assert result.code == 0, result.stderr
    assert "skipped photos/alone.png: no LR picture of its name in own" in result.stderr
    assert re.search(r"^skipped own/turned\.png (lies|does not show)", result.stderr, re.M)
    assert "training on 2 pictures, measured by 1; 2 files skipped" in result.stderr
    card = json.loads(run("models", "espcn-s_x2.safetensors", "--json", cwd=folder).stdout)
    assert "'lr': 'own'" in str(card)
    assert "given LR files" in str(card)
    again = run("train", "photos", "--lr", "nowhere", "--overwrite", *QUICK, cwd=folder)
    one_line(again, 2, "--lr nowhere is no folder: name the one with LR pictures")


def test_no_gain_is_no_loss_of_0_00_db(photos: Path) -> None:
    """One step at a learning rate of nothing: the network stays what it started as, bicubic."""
    Image.new("RGB", (64, 64)).save(save_picture(photos.parent / "valid" / "black.png"))
    start = [*QUICK, "--valid", "valid", "--steps", 1, "--learning-rate", 1e-12, "--warmup", 0]
    first = run("train", "photos", "-o", "a.safetensors", *start, cwd=photos.parent)
    assert first.code == 0, first.stderr
    assert "step 1: 58.923 dB, SSIM 1.0000 (+0.00 dB over bicubic)" in first.stderr
    assert first.stdout == "a.safetensors: 58.92 dB on 1 validation picture, +0.00 dB over bicubic\n"
    second = run("train", "photos", "-o", "b.safetensors", *start, "--init", "a.safetensors", cwd=photos.parent)
    assert second.stdout.endswith("+0.00 dB over bicubic, no gain over its start\n")


def started(folder: Path, *arguments: str, until: str) -> subprocess.Popen[str]:
    """A process that is training, and has just said a line that begins so."""
    process = subprocess.Popen([*COMMAND, *arguments], cwd=folder, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(until):
            break
    return process


def test_resume_with_nothing_to_resume_starts_afresh_in_one_line(photos: Path) -> None:
    """What scripts do: one command for the first time and for every other."""
    command = ("train", "photos", "-o", "m.safetensors", "--steps", 4, *QUICK, "--resume")
    first = run(*command, cwd=photos.parent)
    assert first.code == 0
    lines = first.stderr.splitlines()
    assert lines[0] == "nothing to resume, as there is no m.run/state.safetensors: starting afresh"
    assert lines[1].startswith("training on 2 pictures")
    again = run(*command, "-q", "--overwrite", cwd=photos.parent)
    assert (again.code, again.stderr) == (0, "")


def test_a_second_training_of_one_output_is_refused_in_one_line(photos: Path) -> None:
    folder = photos.parent
    arguments = ["train", "photos", "-o", "m.safetensors", "--steps", "100000", *QUICK]
    with started(folder, *arguments, until="step 4:") as process:
        for more in (["--overwrite"], ["--resume"]):
            one_line(run(*arguments, *more, cwd=folder), 1, f"process {process.pid} is working on m.safetensors")
        process.kill()
    assert run(*arguments[: -len(QUICK) - 1], 6, *QUICK, "--overwrite", cwd=folder).code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["m.run", "m.safetensors", "photos"]


@pytest.mark.slow  # two trainings and a third one in a process of its own
@pytest.mark.skipif(sys.platform == "win32", reason="signals are tested on Unix")
def test_killed_and_resumed_is_bit_for_bit_training_straight_through(photos: Path) -> None:
    """kill -9 between two saves: what was done since the last one is done again, with the same bits."""
    folder = photos.parent
    options = ["train", "photos", "--steps", "24", *QUICK]
    assert run(*options, "-o", "whole.safetensors", cwd=folder).code == 0
    with started(folder, *options, "-o", "m.safetensors", until="step 8:") as process:
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert run(*options, "-o", "m.safetensors", "--resume", cwd=folder).code == 0
    whole, resumed = (load_file(folder / f"{name}.safetensors") for name in ("whole", "m"))
    assert all(whole[name].equal(resumed[name]) for name in whole)


def test_ctrl_c_saves_the_state_and_resume_goes_on(photos: Path) -> None:
    folder = photos.parent
    arguments = ["train", "photos", "-o", "m.safetensors", "--steps", "100000", *QUICK]
    with started(folder, *arguments, until="step 4:") as process:
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        rest = process.stderr.read()
    assert process.returncode == 130
    assert "stopped; m.run/state.safetensors is saved" in rest
    assert rest.splitlines()[-1] == "  " + shlex.join(["espcn", *arguments, "--resume"])
    assert sorted(p.name for p in folder.iterdir()) == ["m.run", "m.safetensors", "photos"]
    changed = run("train", "photos", "-o", "m.safetensors", "--steps", 200, *QUICK, "--resume", cwd=folder)
    one_line(changed, 1, "m.run/state.safetensors belongs to another training", "steps 100000, now 200")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere"], 1, ["nowhere", "no such file or folder"]),
        (["too-long-a-name" * 20], 1, ["no such file or folder"]),
        (["hollow"], 1, ["no pictures in hollow"]),
        (["small"], 1, ["no usable picture", "smaller than a patch"]),
        (["photos", "--steps", "0"], 2, ["steps must be at least 1"]),
        (["photos", "-m", "espcn-xxl"], 2, ["unknown architecture"]),
        (["photos", "-s", "7"], 2, ["--scale", "'7' is not one of '2', '3', '4'"]),
        (["photos", "--planes", "cmyk"], 2, ["--planes"]),
        (["photos", "--valid", "hollow"], 1, ["hollow", "--valid"]),
        (["photos", "-o", "nowhere/m.safetensors"], 1, ["no folder nowhere"]),
        (["photos", "-o", "m.png"], 2, ["m.png", ".safetensors"]),
    ],
    ids=lambda value: " ".join(value[1:]) or value[0] if isinstance(value, list) else "",
)
def test_bad_training_input_gets_one_line(photos: Path, arguments: list[str], code: int, words: list[str]) -> None:
    folder = photos.parent
    (folder / "hollow").mkdir()
    for index in range(3):
        save_picture(folder / "small" / f"{index}.png", 9, 9)
    one_line(run("train", *arguments, "-q", cwd=folder), code, *words)
    assert not list(folder.glob("*.safetensors"))


def test_in_eight_bits_from_trained_weights(photos: Path) -> None:
    folder = photos.parent
    command = ("train", "photos", "--steps", 4, *QUICK)
    assert run(*command, "-o", "plain.safetensors", cwd=folder).code == 0
    assert run(*command, "-o", "m.safetensors", "--init", "plain.safetensors", "--quantise", cwd=folder).code == 0
    assert len(read_card(folder / "m.safetensors").ranges) == 6
    [card] = json.loads(run("models", "m.safetensors", "--json", cwd=folder).stdout)
    assert card["command"].endswith(" --quantise --expansion 4 --validate-every 4")
    assert run("upscale", "photos/0.png", "out.png", "-m", "m.safetensors", cwd=folder).code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--quantise needs trained weights to start from: name them with --init"]),
        (["--init", "x2.safetensors", "-s", "3"], ["--quantise: x2.safetensors is another form of network"]),
        (["--init", "m.safetensors"], ["--quantise: m.safetensors is another form of network"]),
        (["--init", "x2.safetensors", "--mixtures", "--degradation", "real"], ["--quantise is for one network"]),
    ],
    ids=["from nothing", "another scale", "another form", "mixtures"],
)
def test_eight_bits_of_what_cannot_be_rounded_get_one_line(
    photos: Path, arguments: list[str], words: list[str]
) -> None:
    save_checkpoint(photos.parent / "m.safetensors", architecture("espcn-m"))
    save_checkpoint(photos.parent / "x2.safetensors", architecture("espcn-s"))
    one_line(run("train", "photos", "--quantise", "--steps", 1, *QUICK, *arguments, cwd=photos.parent), 2, *words)


def test_an_empty_name_of_a_folder_of_drawings_is_misuse_not_this_folder(photos: Path) -> None:
    words = ("train", "photos", "--degradation", "real", "--drawings", "", *QUICK)
    one_line(run(*words, cwd=photos.parent), 2, "the name of a file or a folder is empty")
