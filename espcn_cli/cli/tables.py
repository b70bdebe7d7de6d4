"""Tables of scores as text to be read and as rows of a CSV file: of clean LR, and of the suite of real pictures."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from espcn_cli.cli.terminal import printable
from espcn_cli.figures import figure

if TYPE_CHECKING:
    from espcn_cli.scoring import benchmark, suite


def format_table(table: benchmark.Table | suite.Table) -> str:
    """A table as text: sets below each other, and the protocol at the end."""
    from espcn_cli.scoring.benchmark import Table

    return _format_clean(table) if isinstance(table, Table) else _format_suite(table)


def to_rows(table: benchmark.Table | suite.Table) -> Iterator[list[object]]:
    """A header, then a line per set, method and picture."""
    from espcn_cli.scoring.benchmark import Table

    return _clean_rows(table) if isinstance(table, Table) else _suite_rows(table)


def format_csv(table: benchmark.Table | suite.Table) -> str:
    """The rows as a CSV file's text."""
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(to_rows(table))
    return text.getvalue().rstrip("\n")


def _headings(table: benchmark.Table | suite.Table) -> dict[str, str]:
    """What each method is called in a table."""
    from espcn_cli.scoring.names import distinct_names, without_suffix

    methods = list(dict.fromkeys(row.method for row in table.rows))
    return dict(zip(methods, distinct_names([Path(name) for name in methods], without_suffix), strict=True))


def _format_clean(table: benchmark.Table) -> str:
    """Sets below each other: a line per picture, a column per method, the mean, and the protocol at the end."""
    headings = _headings(table)
    lines: list[str] = []
    for dataset in dict.fromkeys(row.dataset for row in table.rows):
        rows = [row for row in table.rows if row.dataset == dataset]
        width = max(len(printable(image.name)) for image in rows[0].images)
        width = max(width, len(printable(dataset)), len("mean"))
        column = max(14, *(len(heading) + 2 for heading in headings.values()))
        lines.append(f"{printable(dataset):{width}}" + "".join(f"{headings[row.method]:>{column}}" for row in rows))
        lines += [
            f"{printable(images[0].name):{width}}" + "".join(f"{_cell(i.psnr, i.ssim):>{column}}" for i in images)
            for images in zip(*(row.images for row in rows), strict=True)
        ]
        means = (row.to_dict() for row in rows)
        lines.append(f"{'mean':{width}}" + "".join(f"{_cell(m['psnr'], m['ssim']):>{column}}" for m in means) + "\n")
    return "\n".join([*lines, f"PSNR in dB / SSIM; {table.protocol}"])


def _cell(psnr: float, ssim: float) -> str:
    return f"{figure(psnr)}/{figure(ssim, 4)}"


def _clean_rows(table: benchmark.Table) -> Iterator[list[object]]:
    yield ["dataset", "scale", "method", "image", "psnr", "ssim"]
    for row in table.rows:
        yield from ([row.dataset, row.scale, row.method, i.name, i.psnr, i.ssim] for i in row.images)


def _format_suite(table: suite.Table) -> str:
    """A line per row of the suite, a block of columns per method: means over the pictures."""
    from espcn_cli.scoring.benchmark import BASELINES

    headings = _headings(table)
    lines: list[str] = []
    for dataset in dict.fromkeys(row.dataset for row in table.rows):
        means: dict[str, dict[str, suite.Score]] = {}
        for row in table.rows:
            if row.dataset == dataset:
                means.setdefault(row.row, {})[row.method] = row.mean
        labels = [printable(dataset), "", *means]
        width = max(map(len, labels))
        blocks = [_block(method, heading, list(means.values())) for method, heading in headings.items()]
        lines += ["".join(parts) for parts in zip((f"{label:{width}}" for label in labels), *blocks, strict=True)]
        lines.append("")
    return "\n".join([*lines, f"dB; gain: Y over the better of {' and '.join(BASELINES)}; {table.protocol}"])


def _block(method: str, heading: str, rows: list[dict[str, suite.Score]]) -> list[str]:
    """What stands below a method's name: lines of one width, a row each, after the name and the titles of columns."""
    from espcn_cli.scoring.benchmark import BASELINES

    scores = [row[method] for row in rows]
    columns = {
        "Y": [figure(score.psnr) for score in scores],
        "RGB": [figure(score.psnr_rgb) for score in scores],
    }
    if method not in BASELINES:
        columns["gain"] = [
            figure(row[method].psnr - max(row[name].psnr for name in BASELINES), sign="+") for row in rows
        ]
    columns["light"] = [figure(score.brightness) for score in scores]
    if any(score.strength is not None for score in scores):
        columns["strength"] = [figure(score.strength) for score in scores]
    widths = [max(8, len(title) + 2) for title in columns]
    table = zip(*([title, *cells] for title, cells in columns.items()), strict=True)
    lines = ["".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)) for cells in table]
    whole = max(len(heading) + 2, len(lines[0]))
    return [f"{line:>{whole}}" for line in (heading, *lines)]


def _suite_rows(table: suite.Table) -> Iterator[list[object]]:
    yield ["dataset", "scale", "row", "method", "image", "psnr", "psnr_rgb", "brightness", "strength"]
    for row in table.rows:
        start = [row.dataset, row.scale, row.row, row.method]
        yield from ([*start, i.name, i.psnr, i.psnr_rgb, i.brightness, i.strength] for i in row.images)
