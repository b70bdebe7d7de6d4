"""Scores of methods on sets of pictures, as data: how they are shown is the affair of `cli` and `reports`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal, NamedTuple

from espcn_cli.maths.levels import Levels

Column = Literal["psnr", "ssim", "psnr_rgb", "brightness", "strength"]

CLEAN: tuple[Column, ...] = ("psnr", "ssim", "psnr_rgb")
REAL: tuple[Column, ...] = ("psnr", "psnr_rgb", "brightness", "strength")
"""What is measured on LR that is made cleanly, and on pictures as people have them."""


@dataclass(frozen=True)
class Score:
    """What a method's answer to one picture is worth; None is what was not measured, or what there is not.

    `psnr` in dB, of luma unless the protocol says otherwise; `ssim`; `psnr_rgb` of pictures in colour; `brightness`:
    how far it is from the input's, in levels of 255; `strength`: the one that was taken; `seconds`: how long it took,
    here and beside whatever else was going on.
    """

    name: str
    psnr: float
    ssim: float | None = None
    psnr_rgb: float | None = None
    brightness: float | None = None
    strength: float | None = None
    seconds: float | None = field(default=None, compare=False)

    def to_dict(self, columns: Iterable[Column]) -> dict[str, Any]:
        return {column: getattr(self, column) for column in columns}


def mean_of(scores: Sequence[Score]) -> Score:
    """Over the pictures; of what not all of them have, over those that have it."""

    def mean(column: str) -> float | None:
        values = [value for score in scores if (value := getattr(score, column)) is not None]
        return fmean(values) if values else None

    psnr = fmean(score.psnr for score in scores)
    return Score("mean", psnr, *(mean(column) for column in ("ssim", "psnr_rgb", "brightness", "strength", "seconds")))


@dataclass(frozen=True)
class Row:
    """One method on one set: a score per picture. No two sets, methods or pictures of a set have one name.

    `row`: which damage, in the suite of real pictures. `protocol`: one line that says how the numbers were made.
    `otherwise`: the mean if one of the choices, the key, had not been made.
    """

    dataset: str
    scale: int
    method: str
    images: list[Score]
    protocol: str
    row: str = ""
    columns: tuple[Column, ...] = CLEAN
    otherwise: Mapping[str, Score] = field(default_factory=dict)

    @property
    def mean(self) -> Score:
        return mean_of(self.images)

    def to_dict(self) -> dict[str, Any]:
        row = {"row": self.row} if self.row else {}
        otherwise = {choice: score.to_dict(self.columns) for choice, score in self.otherwise.items()}
        return {
            **{"dataset": self.dataset, "scale": self.scale, **row, "method": self.method, "protocol": self.protocol},
            **self.mean.to_dict(self.columns),
            **({"otherwise": otherwise} if otherwise else {}),
            "images": [{"name": image.name, **image.to_dict(self.columns)} for image in self.images],
        }


@dataclass(frozen=True)
class Table:
    """All rows; the files that could not be scored, and what is worth knowing of others."""

    rows: list[Row]
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def protocol(self) -> str:
        """How the numbers were made: a line, or one for each scale and each way that LR was made."""
        return "\n".join(dict.fromkeys(row.protocol for row in self.rows))

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.rows[0].columns if self.rows else CLEAN

    def to_dict(self) -> dict[str, Any]:
        return {
            "protocol": self.protocol,
            "rows": [row.to_dict() for row in self.rows],
            "errors": self.errors,
            "notes": self.notes,
        }


class Key(NamedTuple):
    """Which picture a score is of; `row` as a `Row` has it."""

    dataset: str
    scale: int
    row: str
    name: str


@dataclass(frozen=True)
class Shown:
    """A scored picture: what each method makes of it, and what it should be, uint8 (H, W, 1 or 3), all of one shape."""

    key: Key
    answers: Mapping[str, Levels]
    hr: Levels


Again = Callable[[Collection[Key]], Iterator[Shown]]
"""Makes pictures again that have been scored, those among them that are asked for."""


def joined(tables: Sequence[Table]) -> Table:
    """One table below another."""
    return Table(
        [row for table in tables for row in table.rows],
        list(dict.fromkeys(error for table in tables for error in table.errors)),
        list(dict.fromkeys(note for table in tables for note in table.notes)),
    )
