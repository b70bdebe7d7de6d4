"""A table of scores laid out to be read: what stands in which cell, whatever it is then written as."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from espcn_cli.figures import figure
from espcn_cli.scoring.benchmark import BASELINES
from espcn_cli.scoring.names import distinct_names, without_suffix
from espcn_cli.scoring.table import Column, Row, Score, Table

TITLES: dict[Column, str] = {
    "psnr": "Y",
    "psnr_rgb": "RGB",
    "ssim": "SSIM",
    "brightness": "light",
    "strength": "strength",
}
"""In the order in which they stand."""

GAIN = f"gain: Y over the better of {' and '.join(BASELINES)}"


@dataclass(frozen=True)
class Line:
    """A label and, for each method, the cells below its titles."""

    label: str
    cells: list[list[str]]


@dataclass(frozen=True)
class Sheet:
    """One part of a table: each method's heading and the titles of its columns, the lines, and how they were made."""

    title: str
    methods: list[tuple[str, list[str]]]
    lines: list[Line]
    note: str = ""


def sheets_of(table: Table, verbose: bool = False) -> list[Sheet]:
    """Means, a line for each set (of real pictures: for each damage, a sheet for each set); `verbose`: per picture.

    The note stands under the last of the sheets that it is true of.
    """
    headings = headings_of(table)
    parts: dict[tuple[str, ...], list[Row]] = {}
    for row in table.rows:
        title = [f"x{row.scale}", *([row.dataset] if verbose or row.row else []), *([row.row] if verbose else [])]
        parts.setdefault((*filter(None, title), row.protocol), []).append(row)
    notes = [key[-1] for key in parts]
    several = len({row.scale for row in table.rows}) > 1
    sheets = []
    for number, ((scale, *title, note), rows) in enumerate(parts.items()):
        shown = ", ".join([*title, *([scale] if several or not title else [])])
        last = note not in notes[number + 1 :]
        sheets.append(_sheet(shown, rows, headings, verbose, f"{_units(rows)}; {note}" if last else ""))
    return sheets


def headings_of(table: Table) -> dict[str, str]:
    """What each method is called in a table."""
    methods = list(dict.fromkeys(row.method for row in table.rows))
    return dict(zip(methods, distinct_names([Path(name) for name in methods], without_suffix), strict=True))


def _units(rows: Sequence[Row]) -> str:
    if rows[0].row:
        return f"dB; {GAIN}"
    if any(image.psnr_rgb is not None for row in rows for image in row.images):
        return "PSNR of Y, and of RGB where there is colour, in dB"
    return "PSNR in dB"


@dataclass(frozen=True)
class _Entry:
    """A line before it is text: a score for each method, or how far it is from what it was `before`."""

    label: str
    scores: Mapping[str, Score]
    before: Mapping[str, Score] | None = None


def _sheet(title: str, rows: Sequence[Row], headings: Mapping[str, str], verbose: bool, note: str) -> Sheet:
    entries = list(_entries(rows, verbose))
    methods = list(dict.fromkeys(row.method for row in rows))
    columns = {
        method: _columns(method, [entry.scores[method] for entry in entries if method in entry.scores], rows[0])
        for method in methods
    }
    both = any("psnr_rgb" in each for each in columns.values())
    return Sheet(
        title,
        [(headings[method], [_title(column, both) for column in columns[method]]) for method in methods],
        [Line(entry.label, [_cells(entry, method, columns[method]) for method in methods]) for entry in entries],
        note,
    )


def _entries(rows: Sequence[Row], verbose: bool) -> Iterator[_Entry]:
    """The pictures, if they are wanted, the mean, and what each choice that was made changes in it."""
    labelled: dict[str, list[Row]] = {}
    for row in rows:
        labelled.setdefault("mean" if verbose else row.row or row.dataset, []).append(row)
    for label, together in labelled.items():
        if verbose:
            for images in zip(*(row.images for row in together), strict=True):
                yield _Entry(images[0].name, {row.method: image for row, image in zip(together, images, strict=True)})
        means = {row.method: row.mean for row in together}
        yield _Entry(label, means)
        for choice in together[0].otherwise:
            yield _Entry(f"  by {choice}", means, {row.method: row.otherwise[choice] for row in together})


def _columns(method: str, scores: Sequence[Score], row: Row) -> list[str]:
    """The columns that have anything in them; of real pictures, what is gained too."""
    wanted = [column for column in TITLES if column in row.columns]
    found: list[str] = [column for column in wanted if any(getattr(score, column) is not None for score in scores)]
    if row.row and method not in BASELINES:
        found.insert(found.index("brightness"), "gain")
    return found


def _title(column: str, both: bool) -> str:
    if column == "psnr" and not both:
        return "PSNR"
    return TITLES.get(column, column)  # type: ignore[call-overload, no-any-return]


def _cells(entry: _Entry, method: str, columns: Sequence[str]) -> list[str]:
    return [_cell(entry, method, column) if method in entry.scores else "-" for column in columns]


def _cell(entry: _Entry, method: str, column: str) -> str:
    score = entry.scores[method]
    if column == "gain":
        return figure(score.psnr - max(entry.scores[name].psnr for name in BASELINES), sign="+")
    value, places = getattr(score, column), 4 if column == "ssim" else 2
    if entry.before is None:
        return figure(value, places)
    before = getattr(entry.before[method], column)
    return "-" if value is None or before is None else figure(value - before, places, "+")
