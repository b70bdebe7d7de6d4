"""Tables of scores as text to be read, as Markdown, and as rows of a CSV file: of clean LR, and of real pictures."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from typing import TYPE_CHECKING

from espcn_cli.cli.terminal import printable
from espcn_cli.figures import figure

WORDS = (0, 3)
"""Columns of speeds that begin at the left."""

if TYPE_CHECKING:
    from espcn_cli.reports.speed import Speed
    from espcn_cli.scoring.sheets import Sheet
    from espcn_cli.scoring.table import Table


def format_table(table: Table, verbose: bool = False) -> str:
    """A table as text, and below each part of it how its numbers were made."""
    from espcn_cli.scoring.sheets import sheets_of

    return "\n\n".join(_as_text(sheet) for sheet in sheets_of(table, verbose))


def format_markdown(table: Table, verbose: bool = False) -> str:
    """The same for a page in Markdown."""
    from espcn_cli.scoring.sheets import sheets_of

    return "\n\n".join(_as_markdown(sheet) for sheet in sheets_of(table, verbose))


def to_rows(table: Table) -> Iterator[list[object]]:
    """A header, then a line per set, method and picture."""
    damage = any(row.row for row in table.rows)
    yield ["dataset", "scale", *(["row"] if damage else []), "method", "image", *table.columns]
    for row in table.rows:
        start = [row.dataset, row.scale, *([row.row] if damage else []), row.method]
        yield from ([*start, image.name, *image.to_dict(table.columns).values()] for image in row.images)


def format_csv(rows: Iterable[Sequence[object]]) -> str:
    """The rows as a CSV file's text."""
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().rstrip("\n")


def format_speeds(speeds: Sequence[Speed], notes: Sequence[str], in_markdown: bool = False) -> str:
    """Speeds as a table, of text or in Markdown: a line each, and below them how they were measured."""
    titles, *lines = _speed_lines(speeds)
    if in_markdown:
        rule = "".join("---|" if number in WORDS else "---:|" for number in range(len(titles)))
        below = [line for note in notes for line in ("", _escaped(note))]
        return "\n".join([_in_bars(titles), f"|{rule}", *map(_in_bars, lines), *below])
    widths = [max(map(len, column)) for column in zip(titles, *lines, strict=True)]
    shown = [
        "  ".join(f"{cell:{'<' if number in WORDS else '>'}{widths[number]}}" for number, cell in enumerate(line))
        for line in (titles, *lines)
    ]
    return "\n".join([*(line.rstrip() for line in shown), "", *map(printable, notes)])


def speeds_to_rows(speeds: Sequence[Speed]) -> Iterator[list[object]]:
    """A header, then a line per model, size and way: what JSON has, each part of a timing in a column of its own."""
    for number, speed in enumerate(speeds):
        flat: dict[str, object] = {}
        for name, value in speed.to_dict().items():
            if name == "size":
                flat |= {"width": value[0], "height": value[1]}
            elif name == "way":
                flat |= value
            else:
                flat |= (
                    {f"{name}_{part}": each for part, each in value.items()}
                    if isinstance(value, dict)
                    else {name: value}
                )
        if number == 0:
            yield list(flat)
        yield list(flat.values())


def _speed_lines(speeds: Sequence[Speed]) -> list[list[str]]:
    """Titles, and the cells of each."""
    titles = ["model", "scale", "input", "way", "network ms", "p95", "GFLOP/s", "of peak", "picture ms", "p95"]
    lines = [[*titles, "frames/s", "file ms", "decode", "upscale", "encode", "slowest", "MB"]]
    for speed in speeds:
        timings = [speed.network.median, speed.network.p95], [speed.picture.median, speed.picture.p95]
        network, whole = ([figure(value, 1) for value in each] for each in timings)
        parts = [figure(each, 1) for each in (speed.file.median, speed.decode, speed.upscale, speed.encode)]
        lines.append(
            [
                *(printable(speed.model), f"x{speed.scale}", f"{speed.size[0]}x{speed.size[1]}", speed.way.name),
                *(*network, figure(speed.gflops, 1), f"{speed.share:.0%}", *whole, figure(speed.frames, 1)),
                *(*parts, speed.bottleneck, figure(speed.memory, 0)),
            ]
        )
    return lines


def _as_text(sheet: Sheet) -> str:
    """Labels, and a block of columns for each method: its name, the titles, and a line for each label."""
    labels = [printable(sheet.title), "", *(printable(line.label) for line in sheet.lines)]
    width = max(map(len, labels))
    blocks = [
        _block(heading, titles, [line.cells[index] for line in sheet.lines])
        for index, (heading, titles) in enumerate(sheet.methods)
    ]
    lines = ["".join(parts) for parts in zip((f"{label:{width}}" for label in labels), *blocks, strict=True)]
    return "\n".join([*lines, "", sheet.note] if sheet.note else lines)


def _block(heading: str, titles: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(8, len(title) + 2) for title in titles]
    lines = ["".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in (titles, *cells)]
    whole = max(len(heading) + 2, len(lines[0]))
    return [f"{line:>{whole}}" for line in (printable(heading), *lines)]


def _as_markdown(sheet: Sheet) -> str:
    titles = [f"{heading} {title}" for heading, each in sheet.methods for title in each]
    lines = [_in_bars([sheet.title, *titles]), "|---|" + "---:|" * len(titles)]
    lines += [_in_bars([line.label.strip(), *(cell for cells in line.cells for cell in cells)]) for line in sheet.lines]
    return "\n".join([*lines, "", _escaped(sheet.note)] if sheet.note else lines)


def _in_bars(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_escaped(cell) for cell in cells)} |"


def _escaped(text: str) -> str:
    for character in "\\|<>*_`[]":
        text = text.replace(character, f"\\{character}")
    return printable(text)
