"""The whole command line: help of every command, the README, misuse, and what is left of a command in its process."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command import PLAIN, one_line, run
from typer.main import get_command

from espcn_cli.cli.app import app
from espcn_cli.cli.panels import RARE, Panelled

NAME = "root"
"""What a test calls the command."""

README = Path(__file__).parents[2] / "README.md"


def below(command: Any, *words: str) -> Iterator[Any]:
    """This command and all below it, each with the words that call it."""
    yield pytest.param(command, words, id=" ".join(words) or "espcn")
    for word, child in getattr(command, "commands", {}).items():
        yield from below(child, *words, word)


each_command = pytest.mark.parametrize(("command", "words"), [*below(get_command(app))])


def whole_help(command: Any) -> str:
    """The option that shows every option of a command."""
    return "--help-all" if isinstance(command, Panelled) and command.rare() else "--help"


def spoken(text: str) -> str:
    """Its words alone."""
    return " ".join(re.findall(r"\w+", text))


@each_command
def test_help_shows_every_word(command: Any, words: tuple[str, ...]) -> None:
    """Help is Markdown, which swallows what looks like a tag."""
    shown = run(*words, whole_help(command))
    assert shown.code == 0
    assert command.help and spoken(command.help) in spoken(shown.stdout.replace("│", ""))
    for parameter in command.params:
        assert parameter.help, parameter.name
        assert spoken(parameter.help) in spoken(shown.stdout), parameter.name


@each_command
def test_help_cuts_nothing_in_a_terminal_of_80_columns(
    command: Any, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words are put into the next line; one that is longer than its column would lose its end."""
    monkeypatch.setitem(PLAIN, "COLUMNS", "80")
    for option in {"--help", whole_help(command)}:
        lines = run(*words, option).stdout.splitlines()
        assert max(map(len, lines)) == 80 and not [line for line in lines if "…" in line]


@each_command
def test_every_option_has_help(command: Any, words: tuple[str, ...]) -> None:
    shown = run(*words, whole_help(command)).stdout
    assert "--help" in re.findall(r"--[a-z-]+", shown)
    for line in shown.splitlines():
        if match := re.match(r"^│[ *]+(--[a-z-]+)", line):
            assert len(line.replace("│", "").strip()) > len(match[1]) + 20, line


@each_command
def test_every_option_is_in_a_panel_of_a_name_and_no_flag_has_a_type(command: Any, words: tuple[str, ...]) -> None:
    shown = run(*words, whole_help(command)).stdout
    assert "<bool>" not in shown
    if not hasattr(command, "commands"):
        assert "─ Options ─" not in shown and "─ Reporting ─" in shown
        assert f"Example: espcn {' '.join(words)} " in shown


@each_command
def test_help_leaves_out_what_few_people_need_and_says_how_much_more_there_is(
    command: Any, words: tuple[str, ...]
) -> None:
    names = {parameter.name: parameter.opts[0] for parameter in command.params}
    rare = {names[name] for name in command.rare()} if isinstance(command, Panelled) else set()
    shown = set(re.findall(r"^│[ *]+(--[a-z-]+)", run(*words, "--help").stdout, re.MULTILINE))
    every = set(re.findall(r"^│[ *]+(--[a-z-]+)", run(*words, whole_help(command)).stdout, re.MULTILINE))
    assert every - shown == rare and shown <= every
    line = f"{len(rare)} more options, which few people need: {' '.join((NAME, *words))} --help-all"
    assert (line in run(*words, "--help").stdout) == bool(rare)
    assert "more options" not in run(*words, whole_help(command)).stdout or not rare


def test_each_option_that_few_people_need_is_one() -> None:
    """Those of `autoencoder train` go by the same name as those of `train`."""
    commands = [each.values[0] for each in below(get_command(app))]
    for name, rare in RARE.items():
        assert rare <= {parameter.name for command in commands if command.name == name for parameter in command.params}
    assert "--help-all" not in run("models", "--help").stdout


@each_command
def test_every_command_is_in_the_readme(command: Any, words: tuple[str, ...]) -> None:
    assert " ".join(("espcn", *words)) in README.read_text(encoding="utf-8")


@pytest.mark.parametrize("arguments", ["upscale", "upscale a.png", "nonsense", "upscale a b --scale two"])
def test_misuse_of_the_command_line_is_exit_code_2(arguments: str) -> None:
    assert run(*arguments.split()).code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("nosuch", "No such command 'nosuch'; see {} --help"),
        ("upscle a b", "No such command 'upscle'. Did you mean 'upscale'? See {} --help"),
        ("--bogus", "No such option: --bogus; see {} --help"),
        ("--version=3", "Option '--version' does not take a value; see {} --help"),
        ("autoencoder nosuch", "No such command 'nosuch'; see {} autoencoder --help"),
        ("autoencoder --bogus", "No such option: --bogus; see {} autoencoder --help"),
        ("upscale a b --bogus", "No such option: --bogus"),
        ("upscale a b -z", "No such option: -z; see {} upscale --help"),
        ("upscale a b --size", "Option '--size' requires an argument; see {} upscale --help"),
        ("upscale a b -j", "Option '-j' requires an argument; see {} upscale --help"),
        ("train x --steps", "Option '--steps' requires an argument; see {} train --help"),
        ("models --verbose=3", "Option '--verbose' does not take a value; see {} models --help"),
        ("benchmark x --csv", "Option '--csv' requires an argument; see {} benchmark --help"),
        ("autoencoder train", "Missing argument 'DATA'; see {} autoencoder train --help"),
        ("autoencoder train x --epochs", "Option '--epochs' requires an argument; see {} autoencoder --help"),
        ("autoencoder train x --epochs 1.5", "Invalid value for '--epochs'"),
    ],
)
def test_what_cannot_be_parsed_is_one_plain_line_that_says_where_to_read_more(arguments: str, words: str) -> None:
    result = run(*arguments.split())
    one_line(result, 2, f"espcn: {words.format(NAME)}")
    assert result.stdout == "" and result.stderr.endswith(" --help\n")


@pytest.mark.parametrize(
    ("arguments", "example"),
    [
        ("cat.png", "cat.png cat_x2.png"),
        ("a/cat.jpg -q -s 3", "a/cat.jpg -q -s 3 cat_x3.jpg"),
        ("photos", "photos photos_x2/"),
        (".", ". here_x2/"),
        ("-", "- upscaled.png"),
    ],
)
def test_one_path_alone_is_told_what_is_missing_with_the_whole_command(
    tmp_path: Path, arguments: str, example: str
) -> None:
    folder = tmp_path / "here"
    (folder / "photos").mkdir(parents=True)
    result = run("upscale", *arguments.split(), cwd=folder)
    one_line(result, 2, "Name a second path, as for cp")
    assert result.stderr.endswith(f": espcn upscale {example}\n")


def test_no_path_at_all_is_told_the_same() -> None:
    one_line(run("upscale"), 2, "name a picture, and after it where the upscaled one goes")
    for option in ("--help", "--help-all"):
        assert run("upscale", "cat.png", option).code == 0


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("espcn upsc", {"upscale"}),
        ("espcn upscale --overw", {"--overwrite"}),
        ("espcn upscale --pix", {"--pixel-format"}),
        ("espcn upscale --help-", {"--help-all"}),
        ("espcn upscale cat.png --codec vp", {"vp9"}),
        ("espcn upscale cat.png x.png --alpha b", {"blend"}),
        ("espcn train photos --loss m", {"mse"}),
    ],
)
def test_a_shell_completes_commands_options_and_choices(
    monkeypatch: pytest.MonkeyPatch, typed: str, offered: set[str]
) -> None:
    monkeypatch.setenv("_ROOT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
    assert set(run().stdout.split()) == offered


def test_train_has_panels_of_its_own() -> None:
    titles = re.findall(r"╭─ (\w+)", run("train", "--help-all").stdout)
    assert titles == ["Arguments", "Data", "Network", "Schedule", "Optimiser", "Run", "Reporting"]


def test_a_command_without_a_command_shows_its_help() -> None:
    for words in ((), ("autoencoder",)):
        result = run(*words)
        assert (result.code, result.stderr) == (2, "")
        assert "Usage:" in result.stdout and "train" in result.stdout


def test_a_command_leaves_its_process_as_it_was(tmp_path: Path) -> None:
    """SIGTERM ends a command with a code of its own, but not what goes on in the same process."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        one_line(run("upscale", "missing.png", "out.png", cwd=tmp_path), 1, "missing.png")
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
