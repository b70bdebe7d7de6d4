"""The command as its users meet it: in the test's own process, or in another one where the process is the point."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
from PIL import Image
from typer.testing import CliRunner

from espcn_cli.cli.app import app

COMMAND = (sys.executable, "-m", "espcn_cli")
PLAIN = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
"""A wide terminal without colours, so that help is whole lines of text."""

SMALL = ("-m", "espcn-s", "--batch-size", "2", "--patch-size", "16", "--expansion", "4")
QUICK = (*SMALL, "--validate-every", "4", "--precision", "fp32")
"""Options of a training of seconds. Its bits are the same each time: `auto` would measure which precision is faster."""


@dataclass(frozen=True)
class Result:
    """What a command leaves behind, apart from files."""

    code: int
    data: bytes
    """Standard output."""

    stderr: str

    @property
    def stdout(self) -> str:
        return self.data.decode()


def run(*arguments: object, cwd: Path | None = None, stdin: bytes = b"") -> Result:
    """`espcn` with these arguments inside this process; what it changes of the process is put back afterwards.

    An exception that users would see as a traceback is raised.
    """
    words = texts(arguments)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.chdir(cwd or Path.cwd())
        patch.setattr(sys, "argv", ["espcn", *words])
        patch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
        result = CliRunner().invoke(app, words, stdin, env=PLAIN, catch_exceptions=False)
    return Result(result.exit_code, result.stdout_bytes, result.stderr)


def run_process(
    *arguments: object, cwd: Path | None = None, stdin: bytes = b"", before: Callable[[], None] | None = None
) -> Result:
    """The same in a process of its own, two seconds slower; `before` is called in it before it starts."""
    command = [*COMMAND, *texts(arguments)]
    environment = os.environ | PLAIN
    process = subprocess.run(
        command, input=stdin, capture_output=True, cwd=cwd, env=environment, timeout=120, preexec_fn=before
    )
    return Result(process.returncode, process.stdout, process.stderr.decode())


def strict_json(text: str | bytes) -> Any:
    """What a parser reads that keeps to the standard, which has neither NaN nor Infinity."""

    def refuse(word: str) -> NoReturn:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def texts(arguments: tuple[object, ...]) -> list[str]:
    return [str(argument) for argument in arguments]


def one_line(result: Result, code: int, *words: str) -> None:
    """A failure as it should be: the exit code, and one line on stderr with these words."""
    assert result.code == code, result.stderr
    [line] = result.stderr.splitlines()
    for word in words:
        assert word in line
