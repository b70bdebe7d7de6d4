"""What the commands share on the screen: lines and progress on stderr, and the options that most of them have."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Annotated, Any, TypeVar

import typer

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.figures import to_json
from espcn_cli.settings import SCALES, AutoencoderSettings, TrainSettings

S = TypeVar("S", TrainSettings, AutoencoderSettings)

SCALE_HELP = f"Upscaling factor: {', '.join(map(str, SCALES))}."

Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps")]
Precision = Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16")]
MaxPixels = Annotated[
    int, typer.Option(min=1, help="Refuse files that claim more pixels than this, all frames together.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no warnings; errors only.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def settings_of(kind: type[S], context: typer.Context) -> S:
    """The options of a command that are fields of `kind`. Raises UsageError for what its values cannot be."""
    try:
        return kind(**{field.name: context.params[field.name] for field in fields(kind)})
    except ValueError as error:
        raise UsageError(str(error)) from None


def say(line: str) -> None:
    """One line on stderr: progress, warnings and errors. Results go to stdout."""
    from tqdm import tqdm

    tqdm.write(printable(line), file=sys.stderr)


def show(result: str) -> None:
    """A result on stdout. Raises EspcnError if it cannot be written."""
    try:
        typer.echo("\n".join(printable(line) for line in result.split("\n")))
        if sys.stdout is not None:  # closed before the start
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the rest is tried again at the end
        raise EspcnError(f"cannot write standard output ({error.strerror or error})") from None


def show_json(value: Any) -> None:
    """A result for machines on stdout."""
    show(to_json(value, indent=2))


def printable(text: object) -> str:
    """One line that any terminal takes: control characters, and bytes of a name that are no UTF-8, as escapes."""
    escaped = (f"\\x{ord(c):02x}" if unicodedata.category(c) == "Cc" else c for c in str(text))
    return "".join(escaped).encode("utf-8", "backslashreplace").decode()


@contextmanager
def progress(total: int, unit: str, quiet: bool = False, **options: Any) -> Iterator[Any]:
    """A bar on stderr, drawn only where stderr is a terminal."""
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, disable=True if quiet else None, dynamic_ncols=True, **options) as bar:
        yield bar
