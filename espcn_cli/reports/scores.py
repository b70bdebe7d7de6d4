"""A benchmark as a page: tables, quality against time, each picture in a chart, and pictures to be looked at."""

from __future__ import annotations

from collections.abc import Sequence

from espcn_cli.reports import charts, page
from espcn_cli.reports.exhibits import CROP, PICTURES, Exhibit, View, gallery
from espcn_cli.scoring.benchmark import Comparison, Picture
from espcn_cli.scoring.places import most_different
from espcn_cli.scoring.sheets import headings_of, sheets_of
from espcn_cli.scoring.table import Row, Table
from espcn_cli.scoring.tensors import alike, to_depth

Measured = Sequence[tuple[Comparison, Sequence[Picture]]]
"""What was compared at each scale, on which pictures."""


def scores_page(table: Table, measured: Measured = (), most: int | None = PICTURES) -> str:
    """The whole page. `most` pictures are embedded, those that methods differ most on; None embeds all, uncut."""
    means = page.section("Means", *(page.table(sheet) for sheet in sheets_of(table)))
    parts = [means, _times(table), _each(table)]
    if shown := exhibits(table, measured, most):
        parts.append(
            page.section("Pictures", page.note(_how_many(table, len(shown))), gallery(shown, most is not None))
        )
    if table.errors or table.notes:
        lines = "".join(f"<li>{page.text(line)}</li>" for line in (*table.errors, *table.notes))
        parts.append(page.section("Notes", f"<ul>{lines}</ul>"))
    sets = list(dict.fromkeys(row.dataset for row in table.rows))
    return page.page(f"espcn benchmark: {', '.join(sets[:4])}{' ...' if len(sets) > 4 else ''}", filter(None, parts))


def _how_many(table: Table, shown: int) -> str:
    total = sum(len(rows[0].images) for rows in _by_set(table).values())
    which = "All of them" if shown == total else f"The {shown} of {total} on which methods differ most"
    return f"{which}. Each begins enlarged, where it differs most: move the bar below it, or drag the picture."


def _by_set(table: Table) -> dict[tuple[str, int, str], list[Row]]:
    found: dict[tuple[str, int, str], list[Row]] = {}
    for row in table.rows:
        found.setdefault((row.dataset, row.scale, row.row), []).append(row)
    return found


def _times(table: Table) -> str:
    """For each set and scale a plot of quality against time, where times are known."""
    headings = headings_of(table)
    plots = []
    for (dataset, scale, _), rows in _by_set(table).items():
        means = {headings[row.method]: row.mean for row in rows}
        timed = {name: (1000 * mean.seconds, mean.psnr) for name, mean in means.items() if mean.seconds}
        rules = {name: mean.psnr for name, mean in means.items() if name not in timed}
        if timed:
            title = f"{dataset}, x{scale}: PSNR against time"
            plot = charts.quality_against_time(timed, rules, "ms per picture", "PSNR in dB", title)
            plots.append(f'<h3>{page.text(f"{dataset}, x{scale}")}</h3><div class="scroll">{plot}</div>')
    if not plots:
        return ""
    words = "Times are means over the pictures, as measured while they were scored, without files. Lines have no time."
    return page.section("Quality against time", page.note(words), *plots)


def _each(table: Table) -> str:
    """PSNR of every picture; of real pictures, the mean of every damage."""
    headings = headings_of(table)
    groups: dict[str, list[list[Row]]] = {}
    for (dataset, scale, damage), rows in _by_set(table).items():
        groups.setdefault(f"{dataset}, x{scale}" if damage else f"{dataset}, x{scale} ", []).append(rows)
    parts = []
    for title, sets in groups.items():
        if sets[0][0].row:
            names = [rows[0].row for rows in sets]
            series = {headings[row.method]: [rows[i].mean.psnr for rows in sets] for i, row in enumerate(sets[0])}
        else:
            names = [image.name for image in sets[0][0].images]
            series = {headings[row.method]: [image.psnr for image in row.images] for row in sets[0]}
        chart = charts.per_picture(names, series, "PSNR in dB", f"{title.strip()}: PSNR of each")
        parts.append(f'<h3>{page.text(title.strip())}</h3><div class="scroll">{chart}</div>')
    numbers = page.folded("All numbers", *(page.table(sheet) for sheet in sheets_of(table, verbose=True)))
    return page.section("One by one", *parts, numbers)


def exhibits(table: Table, measured: Measured, most: int | None) -> list[Exhibit]:
    """The pictures on which methods differ most in PSNR, made again."""
    of_picture: dict[tuple[str, int, str], dict[str, float]] = {}
    for row in table.rows:
        for image in row.images:
            of_picture.setdefault((row.dataset, row.scale, image.name), {})[row.method] = image.psnr
    found = [
        (of_picture[key], comparison, picture)
        for comparison, pictures in measured
        for picture in pictures
        if (key := (picture.dataset, comparison.scale, picture.name)) in of_picture
    ]
    found.sort(key=lambda item: min(item[0].values()) - max(item[0].values()))
    headings = headings_of(table)
    return [_exhibit(comparison, picture, psnr, headings) for psnr, comparison, picture in found[:most]]


def _exhibit(comparison: Comparison, picture: Picture, psnr: dict[str, float], headings: dict[str, str]) -> Exhibit:
    pair = comparison.pair(picture)
    answers = {name: alike(comparison.answer(name, picture, pair), pair.hr) for name in comparison.names}
    best = max(comparison.names, key=lambda name: (name not in ("bicubic", "lanczos"), psnr[name]))
    [crop] = most_different(answers["bicubic"], answers[best], CROP, CROP)
    order = sorted(comparison.names, key=lambda name: (name != "bicubic", name != best))
    views = [View(headings[name], to_depth(answers[name]), f"{psnr[name]:.2f} dB") for name in order]
    views.append(View("truth", to_depth(pair.hr)))
    return Exhibit(f"{picture.name} ({picture.dataset}, x{comparison.scale})", views, crop)
