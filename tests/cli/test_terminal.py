"""What the commands share: options that become settings, and wrong values that become one line."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from espcn_cli.cli.app import app
from espcn_cli.settings import AutoencoderSettings, TrainSettings


@pytest.mark.parametrize(
    ("words", "kind"), [(["train"], TrainSettings), (["autoencoder", "train"], AutoencoderSettings)]
)
def test_every_setting_is_an_option_with_its_default(words: list[str], kind: type) -> None:
    command: Any = get_command(app)
    for word in words:
        command = command.commands[word]
    defaults = {parameter.name: parameter.default for parameter in command.params}
    assert {field.name: defaults.get(field.name) for field in fields(kind)} == {f.name: f.default for f in fields(kind)}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "x", "--loss", "l2"], ["--loss", "'l2' is not one of 'l1', 'mse', 'charbonnier'"]),
        (["train", "x", "--cache", "ram"], ["--cache", "'auto', 'memory', 'disk', 'none'"]),
        (["autoencoder", "train", "x", "--upsampler", "cubic"], ["--upsampler", "'deconvolution', 'resize'"]),
        (["train", "x", "--steps", "many"], ["--steps"]),
        (["train"], ["DATA", "train --help"]),
    ],
    ids=lambda value: " ".join(value) if "train" in value else "",
)
def test_a_wrong_value_is_one_line_that_names_the_right_ones(arguments: list[str], words: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    [line] = result.stderr.splitlines()
    assert line.startswith("espcn: ") and all(word in line for word in words)


def test_impossible_settings_are_misuse() -> None:
    result = CliRunner().invoke(app, ["train", "x", "--ema-decay", "1"])
    assert (result.exit_code, result.stderr) == (2, "espcn: ema_decay must be in [0, 1), not 1.0\n")
