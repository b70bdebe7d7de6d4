"""A benchmark as a page: tables, quality against time, each picture in a chart, and pictures to be looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from espcn_cli.reports import charts, page
from espcn_cli.reports.exhibits import CROP, PICTURES, Exhibit, View, gallery
from espcn_cli.scoring.benchmark import BASELINES
from espcn_cli.scoring.places import most_different
from espcn_cli.scoring.sheets import headings_of, sheets_of
from espcn_cli.scoring.table import Again, Key, Row, Score, Shown, Table
from espcn_cli.scoring.tensors import from_levels


def scores_page(table: Table, measured: Sequence[Again] = (), most: int | None = PICTURES) -> str:
    """The whole page. `most` pictures are embedded, those that methods differ most on; None embeds all, uncut.

    `measured` makes the pictures again, those of each scale.
    """
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
    which = f"The {shown} of {total} on which methods differ most"
    if shown == total:
        which = "All of them"
    elif table.rows[0].row:
        which = f"{shown} of {total}: for each damage the picture on which methods differ most, then the next ones"
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


def exhibits(table: Table, measured: Sequence[Again], most: int | None) -> list[Exhibit]:
    """The pictures on which methods differ most in PSNR, made again; of real ones the first of each damage lead."""
    scores = _scores_of_pictures(table)
    order = sorted(scores, key=lambda key: _spread(scores[key]), reverse=True)
    seen: Counter[tuple[str, int, str]] = Counter()
    rank: dict[Key, int] = {}
    for key in order:
        rank[key] = seen[key[:3]] if key.row else 0
        seen[key[:3]] += 1
    wanted = sorted(order, key=rank.__getitem__)[:most]
    made = {shown.key: shown for again in measured for shown in again(wanted)}
    headings = headings_of(table)
    return [_exhibit(made[key], scores[key], headings) for key in wanted if key in made]


def _scores_of_pictures(table: Table) -> dict[Key, dict[str, Score]]:
    """For every picture the score of each method."""
    found: dict[Key, dict[str, Score]] = {}
    for row in table.rows:
        for image in row.images:
            found.setdefault(Key(row.dataset, row.scale, row.row, image.name), {})[row.method] = image
    return found


def _spread(scores: Mapping[str, Score]) -> float:
    values = [score.psnr for score in scores.values()]
    return max(values) - min(values)


def _exhibit(shown: Shown, scores: Mapping[str, Score], headings: Mapping[str, str]) -> Exhibit:
    names = list(shown.answers)
    best = max(names, key=lambda name: (name not in BASELINES, scores[name].psnr))
    first, second = (from_levels(shown.answers[name]) for name in ("bicubic", best))
    [crop] = most_different(first, second, CROP, CROP)
    order = sorted(names, key=lambda name: (name != "bicubic", name != best))
    views = [View(headings[name], shown.answers[name], _caption(scores[name])) for name in order]
    dataset, scale, row, name = shown.key
    return Exhibit(
        f"{name} ({', '.join(filter(None, (dataset, row, f'x{scale}')))})", [*views, View("truth", shown.hr)], crop
    )


def _caption(score: Score) -> str:
    strength = "" if score.strength is None else f", strength {score.strength:g}"
    return f"{score.psnr:.2f} dB{strength}"
