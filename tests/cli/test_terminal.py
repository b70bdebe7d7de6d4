"""What the commands share: options that several have, options that become settings, wrong values in one line."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from command import one_line, run
from making import natural, save_checkpoint, save_picture
from PIL import Image
from typer.main import get_command

from espcn_cli.cli.app import app
from espcn_cli.settings import AutoencoderSettings, ModelSettings, TrainSettings

READERS = {
    "upscale": "in out",
    "train": "in",
    "benchmark": "in",
    "autoencoder train": "in",
    "compare": "in/a.png -o sheet.png",
    "autoencoder reconstruct": "autoencoder in sheet.png",
}
"""Commands that read pictures, each with arguments."""


def leaves(command: Any, *words: str) -> dict[str, Any]:
    """The commands that do something, by the words that call them."""
    children = getattr(command, "commands", {})
    below = [leaves(child, *words, word) for word, child in children.items()]
    return {name: leaf for found in below for name, leaf in found.items()} if children else {" ".join(words): command}


def test_every_command_that_reads_pictures_can_limit_their_pixels() -> None:
    limited = {
        name for name, command in leaves(get_command(app)).items() if "max_pixels" in {p.name for p in command.params}
    }
    assert (
        limited
        == set(leaves(get_command(app))) - {"doctor", "export", "import", "models", "report"}
        == {*READERS, "watch"}
    )


@pytest.mark.parametrize("command", READERS)
def test_a_picture_above_the_limit_is_refused_with_the_option_that_allows_it(tmp_path: Path, command: str) -> None:
    save_picture(tmp_path / "in" / "a.png")
    words = [*command.split(), *READERS[command].split(), "--max-pixels"]
    result = run(*words, 431, cwd=tmp_path)
    assert result.code == 1
    assert "a.png: 432 pixels are more than 431: allow them with --max-pixels 432" in result.stderr
    assert "--max-pixels" not in run(*words, 432, cwd=tmp_path).stderr


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_the_limit_is_for_what_is_read_not_for_what_is_written(tmp_path: Path, suffix: str) -> None:
    """Where equal frames may be merged, they are counted in the file that was written."""
    frames = [Image.fromarray(natural(30, 20, seed)) for seed in range(2)]
    frames[0].save(tmp_path / f"in.{suffix}", save_all=True, append_images=frames[1:])
    save_checkpoint(tmp_path / "x4.safetensors", ModelSettings(scale=4, widths=(4,), kernels=(3, 3)))
    words = ["upscale", f"in.{suffix}", f"out.{suffix}", "-m", "x4.safetensors", "--max-pixels", "1200"]
    result = run(*words, cwd=tmp_path)
    assert result.code == 0, result.stderr
    with Image.open(tmp_path / f"out.{suffix}") as image:
        assert image.size == (120, 80)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("benchmark in --protocol best", ("--protocol", "'best' is not one of 'picture', 'plane'")),
        ("benchmark in -s 7", ("--scale", "'7' is not one of '2', '3', '4'")),
        ("benchmark in --max-pixels 0", ("--max-pixels", "greater than or equal to 1")),
        ("autoencoder train in --upsampler bilinear", ("--upsampler", "'subpixel', 'deconvolution', 'resize'")),
        ("autoencoder train in --epochs many", ("--epochs", "valid integer")),
        ("benchmark", ("Missing argument",)),
        ("train x --loss l2", ("--loss", "'l2' is not one of 'l1', 'mse', 'charbonnier'")),
        ("train x --cache ram", ("--cache", "'auto', 'memory', 'disk', 'none'")),
        ("train x --steps many", ("--steps", "valid integer")),
        ("train", ("DATA", "train --help")),
        ("train x -s 7", ("--scale", "'7' is not one of '2', '3', '4'")),
        ("upscale a b -s 7", ("--scale", "'7' is not one of '2', '3', '4', '6', '8', '9', '12', '16'")),
    ],
)
def test_a_wrong_value_is_one_line_with_the_option_and_what_it_takes(arguments: str, words: tuple[str, ...]) -> None:
    one_line(run(*arguments.split()), 2, *words)


@pytest.mark.parametrize(("words", "kind"), [("train", TrainSettings), ("autoencoder train", AutoencoderSettings)])
def test_every_setting_is_an_option_with_its_default(words: str, kind: type) -> None:
    defaults = {parameter.name: parameter.default for parameter in leaves(get_command(app))[words].params}
    assert {field.name: defaults.get(field.name) for field in fields(kind)} == {f.name: f.default for f in fields(kind)}


def test_impossible_settings_are_misuse() -> None:
    result = run("train", "x", "--ema-decay", "1")
    assert (result.code, result.stderr) == (2, "espcn: ema_decay must be in [0, 1), not 1.0\n")


def test_a_name_cannot_break_a_line_nor_colour_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a\n\x1b[31m.png").write_text("no picture")
    result = run("upscale", "in", "out", cwd=tmp_path)
    assert result.stderr == "espcn: in/a\\x0a\\x1b[31m.png: not a picture in a format that Pillow knows\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_standard_output_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "espcn_cli", "models"]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1
    assert result.stderr == "espcn: cannot write standard output (No space left on device)\n"


def test_a_closed_standard_error_loses_nothing_but_its_lines(tmp_path: Path) -> None:
    """Nothing of it goes to standard output, and a batch is done."""
    for name in ("a.png", "b.png"):
        save_picture(tmp_path / "in" / name)
    command = [sys.executable, "-m", "espcn_cli", "upscale", "in", "gone", "out", "-m", "espcn-s"]
    closing = ["sh", "-c", 'exec "$@" 2>&-', "sh", *command]
    result = subprocess.run(closing, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "2 upscaled, 1 failed\n")
    assert len(list((tmp_path / "out").iterdir())) == 2
