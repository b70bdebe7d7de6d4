"""What Ctrl-C leaves to be read: the command that goes on, started as the interrupted one was."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import pytest
from making import save_picture
from typer.testing import CliRunner

from espcn_cli.cli.app import app
from espcn_cli.cli.resuming import describe_rest
from espcn_cli.training import loop

TWO = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": "0", "GROUP_RANK": "0"}
MACHINES = {**TWO, "WORLD_SIZE": "6", "GROUP_RANK": "1", "MASTER_ADDR": "node1", "MASTER_PORT": "29500"}
SEVERAL = "torchrun --nproc-per-node 2 --nnodes 3 --node-rank 1 --master-addr node1 --master-port 29500 -m espcn_cli"


@pytest.mark.parametrize(
    ("environment", "start", "where"),
    [
        ({}, "espcn", ""),
        ({"WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}, "torchrun --nproc-per-node 1 -m espcn_cli", ""),
        (TWO, "torchrun --nproc-per-node 2 -m espcn_cli", ""),
        (MACHINES, SEVERAL, " (on each machine, with its own --node-rank)"),
    ],
)
@pytest.mark.parametrize("resumed", [False, True])
def test_the_command_goes_on_as_it_was_started(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    start: str,
    where: str,
    resumed: bool,
) -> None:
    state = tmp_path / "state.safetensors"
    state.touch()
    arguments = ["train", "my photos", "-s", "3", *(["--resume"] if resumed else [])]
    monkeypatch.setattr(sys, "argv", ["/usr/lib/espcn_cli/__main__.py", *arguments])
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    command = f"{start} train 'my photos' -s 3 --resume"
    assert describe_rest(state, resumed) == [
        f"espcn: stopped; {state} is saved; this command continues{where}:",
        f"  {command}",
    ]


def test_the_command_goes_on_whatever_stands_after_its_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `--`, an option would be a folder."""
    monkeypatch.setattr(sys, "argv", ["espcn", "train", "-s", "3", "--", "-photos"])
    lines = describe_rest(tmp_path / "state", False, lost=3)
    assert lines == [
        f"espcn: stopped; the last 3 steps are lost; {tmp_path / 'state'} is saved; this command continues:",
        "  espcn train -s 3 --resume -- -photos",
    ]


@pytest.mark.parametrize(("rank", "said"), [(0, "espcn: stopped; nothing was saved yet\n"), (1, "")])
def test_before_anything_was_saved_nothing_is_promised_and_one_process_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: int, said: str
) -> None:
    def interrupted(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "carry_out", interrupted)
    monkeypatch.setenv("RANK", str(rank))
    photos = save_picture(tmp_path / "photos" / "a.png").parent
    result = CliRunner().invoke(app, ["train", str(photos), "-o", str(tmp_path / "m.safetensors")])
    assert (result.exit_code, result.stderr) == (130, said)
