"""A picture to make, and what became of it or would become of it; counts, exit code and JSON come from here alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from espcn_cli.files import is_stream
from espcn_cli.maths.levels import Pixels
from espcn_cli.paths import STREAM
from espcn_cli.pictures import folders
from espcn_cli.upscaling.sizes import Size

State = Literal["upscaled", "skipped", "failed"]


@dataclass(frozen=True)
class Task:
    """One picture, video or archive to make.

    `renamed`: the output has its source's whole name, as another source came first. `video`: FFmpeg's name of the
    container that the source is; None for a picture. `archive`: it holds pages.
    """

    source: Path
    output: Path
    renamed: bool = False
    video: str | None = None
    archive: bool = False

    @cached_property
    def streams(self) -> bool:
        """Whether the output goes to standard output, into a pipe or a device: nothing is there to be replaced."""
        return self.output == STREAM or is_stream(self.output)

    @property
    def source_name(self) -> str:
        """The source as messages call it."""
        return folders.source_name(self.source)

    @property
    def output_name(self) -> str:
        """The output as messages call it."""
        return folders.output_name(self.output)


@dataclass(frozen=True)
class Outcome:
    """What became of a task, or what a dry run expects of it.

    `skipped`: the output is there already and stays, or there is another `reason`; `error`: why there is none. Sizes
    are of the first frame. Only a dry run tells `memory`, in bytes; it estimates that and `seconds`, those in the
    network. `model` is the name of the weights, None where no network was needed; `strength` is None where none were
    mixed, or a dry run would have to read the picture to choose it. `frames` is how many a video has, `pages` how many
    of an archive are upscaled; its sizes are of the first. `failed_pages`: those that stay as they were, each with why.
    """

    task: Task
    size: Pixels | None = None
    output_size: Pixels | None = None
    seconds: float = 0.0
    memory: int | None = None
    model: str | None = None
    strength: float | None = None
    warnings: tuple[str, ...] = ()
    skipped: bool = False
    error: str | None = None
    frames: int | None = None
    reason: str | None = None
    pages: int | None = None
    failed_pages: tuple[str, ...] = ()

    @property
    def state(self) -> State:
        """What to count it as."""
        return "failed" if self.error is not None else "skipped" if self.skipped else "upscaled"

    @property
    def is_whole(self) -> bool:
        """Whether neither it nor a part of it failed."""
        return self.error is None and not self.failed_pages

    def noting(self, size: Size | None) -> Outcome:
        """The same with what the size that was asked for comes to, if nobody may have meant that."""
        if size is None or self.size is None or self.state != "upscaled":
            return self
        return replace(self, warnings=(*size.warnings(self.size), *self.warnings))

    def to_dict(self) -> dict[str, Any]:
        """The record of `--json`."""
        return {
            "source": str(self.task.source),
            "output": str(self.task.output),
            "renamed": self.task.renamed,
            "size": self.size,
            "output_size": self.output_size,
            "seconds": round(self.seconds, 3),
            "memory": self.memory,
            "model": self.model,
            "strength": self.strength,
            "warnings": list(self.warnings),
            "skipped": self.skipped,
            "reason": self.reason,
            "error": self.error,
            "frames": self.frames,
            "pages": self.pages,
            "failed_pages": list(self.failed_pages),
        }


def count(outcomes: Iterable[Outcome]) -> dict[State, int]:
    """How many were upscaled, skipped and failed, in that order."""
    found = Counter(outcome.state for outcome in outcomes)
    return {state: found[state] for state in get_args(State)}


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """1 if anything failed, a page of an archive included, else 0."""
    return int(not all(outcome.is_whole for outcome in outcomes))
