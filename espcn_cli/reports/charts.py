"""Simple charts as SVG, drawn by ourselves: no library, light and dark, in a page or alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 66, 16, 16, 46
ROW = 18
"""Pixels of a picture's row."""

LETTER = 7.0
"""About how many pixels a letter is wide."""

STYLE = """
.chart{color:#222;font:12px system-ui,sans-serif;max-width:100%;height:auto}
.chart text{fill:currentColor}.chart .grid{stroke:currentColor;opacity:.14}.chart .rule{stroke-dasharray:5 4;fill:none}
.s0{--c:#1f77b4}.s1{--c:#d1601a}.s2{--c:#2a8f3c}.s3{--c:#b5339c}.s4{--c:#8c6d1f}.s5{--c:#6b57c7}.s6{--c:#0f8f94}.s7{--c:#777}
.mark{fill:var(--c);stroke:none}.line{stroke:var(--c);stroke-width:2;fill:none}.rule{stroke:var(--c);stroke-width:1.5}
@media(prefers-color-scheme:dark){.chart{color:#ddd}
.s0{--c:#6db3ea}.s1{--c:#ff9d5c}.s2{--c:#67cf7b}.s3{--c:#f08bdc}.s4{--c:#d8b65a}.s5{--c:#a99bff}.s6{--c:#4fd3d8}.s7{--c:#aaa}}
"""

SHAPES: tuple[Callable[[float, float], str], ...] = (
    lambda x, y: f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>',
    lambda x, y: f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>',
    lambda x, y: f'<path d="M{x:.1f} {y - 5.5:.1f}l5.5 9.5h-11z"/>',
    lambda x, y: f'<path d="M{x:.1f} {y - 6:.1f}l6 6-6 6-6-6z"/>',
)
"""Series differ in shape too: not everybody tells the colours apart."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """Values along one side of a chart: from `low` to `high`, on `pixels` from `start`; upwards where that is < 0."""

    title: str
    low: float
    high: float
    start: float
    pixels: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (math.log10(each) if self.log else each for each in (self.low, self.high, value))
        return self.start + self.pixels * (value - low) / (high - low)

    @property
    def ticks(self) -> list[float]:
        return log_ticks(self.low, self.high) if self.log else round_ticks(self.low, self.high)


def round_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Round numbers between two, not many: 1, 2 or 5 times a power of ten apart."""
    step = 10 ** math.floor(math.log10((high - low) / most))
    step = next(step * factor for factor in (1, 2, 5, 10, 20) if (high - low) / (step * factor) <= most)
    return [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten between two numbers above 0, 1, 2 and 5 times them, or what it takes to have three at least."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for factors in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)):
        ticks = [tick for power in powers for factor in factors if low <= (tick := factor * 10.0**power) <= high]
        if len(ticks) >= 3:
            break
    return ticks


def _axis(title: str, values: Sequence[float], start: float, pixels: float, log: bool = False) -> Axis:
    """An axis with a little room at both ends."""
    low, high = min(values), max(values)
    if log:
        return Axis(title, low / 1.5, high * 1.5, start, pixels, True)
    room = (high - low) * 0.08 or max(abs(high), 1) * 0.05
    return Axis(title, low - room, high + room, start, pixels)


def quality_against_time(
    points: Mapping[str, Point], rules: Mapping[str, float], x_title: str, y_title: str, title: str
) -> str:
    """Methods as points: time along a logarithmic axis, quality upwards; `rules` are qualities of methods without time.

    Raises ValueError without points, or for a time that is not above 0.
    """
    if not points or min(x for x, _ in points.values()) <= 0:
        raise ValueError("points need times above 0")
    x = _axis(x_title, [x for x, _ in points.values()], LEFT, WIDTH - LEFT - RIGHT, log=True)
    heights = [*(y for _, y in points.values()), *rules.values()]
    y = _axis(y_title, heights, HEIGHT - BOTTOM, -(HEIGHT - TOP - BOTTOM))
    parts = [_frame(x, y, HEIGHT)]
    taken: list[tuple[float, float, float, float]] = []
    for number, (name, value) in enumerate(rules.items()):
        parts.append(
            f'<g class="s{7 - number % 2}"><path class="rule" d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}"/></g>'
        )
        parts.append(_placed(name, WIDTH - RIGHT - len(name) * LETTER - 2, y(value) - 4, taken))
    for index, (name, (seconds, quality)) in enumerate(points.items()):
        across, up = x(seconds), y(quality)
        parts.append(f'<g class="s{index % 7} mark">{SHAPES[index % len(SHAPES)](across, up)}')
        parts.append(f"<title>{escape(f'{name}: {quality:.2f}, {seconds:.4g}')}</title></g>")
        taken.append((across - 6, up - 6, 12, 12))
    for name, (seconds, quality) in points.items():
        parts.append(_label(name, x(seconds), y(quality), taken))
    return _svg(WIDTH, HEIGHT, title, parts)


def curves(series: Mapping[str, Sequence[Point]], rules: Mapping[str, float], y_title: str, title: str) -> str:
    """Lines over steps, such as PSNR of trainings; `rules` are constants. Raises ValueError without points."""
    every = [point for points in series.values() for point in points]
    if not every:
        raise ValueError("curves need points")
    x = _axis("step", [x for x, _ in every], LEFT, WIDTH - LEFT - RIGHT)
    heights = [*(y for _, y in every), *rules.values()]
    y = _axis(y_title, heights, HEIGHT - BOTTOM, -(HEIGHT - TOP - BOTTOM))
    parts = [_frame(x, y, HEIGHT)]
    taken: list[tuple[float, float, float, float]] = []
    for name, value in rules.items():
        parts.append(f'<g class="s7"><path class="rule" d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}"/></g>')
        parts.append(_placed(name, LEFT + 6, y(value) - 4, taken))
    for index, (name, points) in enumerate(series.items()):
        path = "L".join(f"{x(step):.1f} {y(value):.1f}" for step, value in points)
        dots = "".join(SHAPES[index % len(SHAPES)](x(step), y(value)) for step, value in points[-1:])
        parts.append(f'<g class="s{index % 7}"><path class="line" d="M{path}"/><g class="mark">{dots}</g>')
        parts.append(f"<title>{escape(name)}</title></g>")
    for name, points in series.items():
        parts.append(_label(name, x(points[-1][0]), y(points[-1][1]), taken))
    return _svg(WIDTH, HEIGHT, title, parts)


def per_picture(names: Sequence[str], series: Mapping[str, Sequence[float]], x_title: str, title: str) -> str:
    """A row for each picture, and on it a mark for each method. Raises ValueError without any."""
    if not names or not series:
        raise ValueError("a chart needs pictures and methods")
    left = min(220, max(60, round(max(map(len, names)) * LETTER) + 14))
    legend, row_of = _legend(list(series), left)
    top = 10 + 18 * row_of
    height = top + ROW * len(names) + BOTTOM
    x = _axis(x_title, [value for values in series.values() for value in values], left, WIDTH - left - RIGHT)
    parts = [*legend, _ticks_below(x, top, height)]
    most = int((left - 12) / LETTER)
    for row, name in enumerate(names):
        middle = top + ROW * (row + 0.5)
        shown = name if len(name) <= most else f"{name[: most - 1]}…"
        parts.append(f'<path class="grid" d="M{left} {middle:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{left - 8}" y="{middle + 4:.1f}" text-anchor="end">{escape(shown)}</text>')
        for index, (method, values) in enumerate(series.items()):
            said = escape(f"{name}, {method}: {values[row]:.2f}")
            mark = SHAPES[index % len(SHAPES)](x(values[row]), middle)
            parts.append(f'<g class="s{index % 8} mark">{mark}<title>{said}</title></g>')
    return _svg(WIDTH, height, title, parts)


def _legend(names: Sequence[str], left: float) -> tuple[list[str], int]:
    """Marks with their names, and how many lines they take."""
    parts: list[str] = []
    across, line = left, 1
    for index, name in enumerate(names):
        wide = len(name) * LETTER + 30
        if across > left and across + wide > WIDTH - RIGHT:
            across, line = left, line + 1
        y = 18 * line - 4
        parts.append(f'<g class="s{index % 8} mark">{SHAPES[index % len(SHAPES)](across + 6, y - 4)}</g>')
        parts.append(f'<text x="{across + 16:.1f}" y="{y}">{escape(name)}</text>')
        across += wide
    return parts, line


def _frame(x: Axis, y: Axis, height: float) -> str:
    lines = [_ticks_below(x, TOP, height)]
    for tick in y.ticks:
        lines.append(f'<path class="grid" d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    middle = (TOP + height - BOTTOM) / 2
    lines.append(
        f'<text transform="translate(12 {middle:.0f}) rotate(-90)" text-anchor="middle">{escape(y.title)}</text>'
    )
    return "".join(lines)


def _ticks_below(x: Axis, top: float, height: float) -> str:
    lines = []
    for tick in x.ticks:
        lines.append(f'<path class="grid" d="M{x(tick):.1f} {top}V{height - BOTTOM}"/>')
        shown = f"{tick:,.0f}" if tick >= 10000 else f"{tick:g}"
        lines.append(f'<text x="{x(tick):.1f}" y="{height - BOTTOM + 17}" text-anchor="middle">{shown}</text>')
    middle = x.start + x.pixels / 2
    lines.append(f'<text x="{middle:.0f}" y="{height - 8}" text-anchor="middle">{escape(x.title)}</text>')
    return "".join(lines)


def _label(name: str, x: float, y: float, taken: list[tuple[float, float, float, float]]) -> str:
    """A name beside its mark, where nothing else is: right, left, above, below, and further away."""
    wide = len(name) * LETTER
    places = [
        (left, y + 4 + down)
        for down in (0, -13, 13, -26, 26, -39, 39)
        for left in (x + 9, x - 9 - wide)
        if left >= LEFT and left + wide <= WIDTH - 2
    ]
    free = (place for place in places if not any(_overlap((place[0], place[1] - 11, wide, 13), box) for box in taken))
    left, base = next(free, places[0] if places else (max(LEFT, x - 9 - wide), y + 4))
    return _placed(name, left, base, taken)


def _placed(name: str, left: float, base: float, taken: list[tuple[float, float, float, float]]) -> str:
    taken.append((left, base - 11, len(name) * LETTER, 13))
    return f'<text x="{left:.1f}" y="{base:.1f}">{escape(name)}</text>'


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


def _svg(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    said = escape(title, quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" aria-label="{said}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}">'
        f"<title>{said}</title><style>{STYLE}</style>{''.join(parts)}</svg>"
    )
