"""What the commands share on the screen: lines and progress on stderr, and the options that most of them have."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.figures import to_json
from espcn_cli.settings import DEFAULT_SCALE, PASSES, SCALES, AutoencoderSettings, EngineName, TrainSettings

S = TypeVar("S", TrainSettings, AutoencoderSettings)

SCALE_HELP = f"Upscaling factor: {', '.join(map(str, SCALES))}."


def parse_scale(text: str) -> int:
    """One of SCALES or PASSES. Raises ValueError for anything else, with the way to any other size."""
    scales = [str(scale) for scale in (*SCALES, *PASSES)]
    if text in scales:
        return int(text)
    number = re.fullmatch(r"(\d{1,3}(?:\.\d{1,3})?)(%?)", text)
    percent = float(number[1]) * (1 if number[2] else 100) if number else 0
    other = f": for that, use --size {percent:g}%" if percent else ""
    raise ValueError(f"{text!r} is not one of {', '.join(map(repr, scales))}{other}")


ScaleInPasses = Annotated[
    int | None,
    typer.Option(
        "--scale",
        "-s",
        metavar="|".join(map(str, (*SCALES, *PASSES))),
        parser=parse_scale,
        help=f"{SCALE_HELP} With a model's name also {', '.join(map(str, PASSES))}, in two passes, such as x2 and then "
        f"x3. Default: the checkpoint's, {DEFAULT_SCALE} for a name.",
    ),
]
Engine = Annotated[
    EngineName,
    typer.Option(help="What computes: auto takes OpenVINO (pip install 'espcn[fast]') on a CPU, else PyTorch."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps")]
AnyDevice = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N, mps, or OpenVINO's gpu or gpu.N")]
Precision = Annotated[str, typer.Option(help="auto, fp32, bf16, fp16 or int8")]
TrainingPrecision = Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16")]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1, help="Threads that all the work may use. Default: the cores that are there, or a container's share."
    ),
]
Strength = Annotated[
    str,
    typer.Option(
        metavar="auto|0..1",
        help="How much damage is undone: 0 for clean small pictures, 1 for strong compression, noise and drawings, "
        "in steps of 1/8; auto chooses for each picture. Needs weights whose name ends in -real.",
    ),
]
MaxPixels = Annotated[
    int, typer.Option(min=1, help="Refuse files that claim more pixels than this, all frames together.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no warnings; errors only.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist already.")]
SkipExisting = Annotated[bool, typer.Option("--skip-existing", help="Leave existing outputs as they are.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def settings_of(kind: type[S], context: typer.Context) -> S:
    """The options of a command that are fields of `kind`. Raises UsageError for what its values cannot be."""
    try:
        return kind(**{field.name: context.params[field.name] for field in fields(kind)})
    except ValueError as error:
        raise UsageError(str(error)) from None


def parse_strength(strength: str) -> float | Literal["auto"]:
    """`auto`, or a number. Raises UsageError for anything else; whether the number will do, `load` says."""
    if strength == "auto":
        return "auto"
    try:
        return float(strength)
    except ValueError:
        raise UsageError(f"--strength {strength!r}: use auto, or a number from 0 to 1") from None


def choose_existing(overwrite: bool, skip_existing: bool) -> None:
    """Raise UsageError if outputs that exist are to be both replaced and left."""
    if overwrite and skip_existing:
        raise UsageError("--overwrite and --skip-existing exclude each other: leave one of them out")


def show_skipped(output: Path, quiet: bool, as_json: bool = False) -> None:
    """That a command leaves an output that exists: on stderr, and as its whole result in JSON."""
    if not quiet:
        say(f"{output}: skipped, the output exists")
    if as_json:
        show_json({"output": str(output), "skipped": True})


def say(line: str) -> None:
    """One line on stderr: progress, warnings and errors. Results go to stdout."""
    if sys.stderr is None:  # closed before the start
        return
    if "tqdm" not in sys.modules:  # no bar has been drawn
        print(printable(line), file=sys.stderr)
        return
    from tqdm import tqdm

    tqdm.write(printable(line), file=sys.stderr)


@contextmanager
def saying_warnings(quiet: bool = False) -> Iterator[None]:
    """What the library warns of inside, a line each on stderr."""
    import warnings

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        yield
    for warning in () if quiet else caught:
        say(f"espcn: {warning.message}")


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


class NoBar:
    """Stands for a bar where there is but one thing to count: tqdm takes as long to import as a small picture takes."""

    disable = True

    def update(self) -> None:
        """Nothing is drawn."""


@contextmanager
def progress(total: int | None, unit: str, quiet: bool = False, **options: Any) -> Iterator[Any]:
    """A bar on stderr, drawn only where stderr is a terminal."""
    from tqdm import tqdm

    hidden = quiet or sys.stderr is None
    with tqdm(total=total, unit=unit, disable=True if hidden else None, dynamic_ncols=True, **options) as bar:
        yield bar
