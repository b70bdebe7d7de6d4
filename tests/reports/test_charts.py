"""Charts: well-formed SVG, every value where its axis says, names that break nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from espcn_cli.reports.charts import Axis, curves, log_ticks, per_picture, quality_against_time, round_ticks

NAMES = ("a", "<script>", '"&quot;', "x" * 80)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_an_axis_brings_values_to_pixels() -> None:
    up, log = Axis("", 30, 40, 300, -200), Axis("", 1, 100, 0, 200, log=True)
    assert [up(30), up(35), up(40)] == [300, 200, 100]
    assert [round(log(value)) for value in (1, 10, 100)] == [0, 100, 200]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (33.6, 37.9, [34, 35, 36, 37]), (-0.02, 0.03, [-0.02, -0.01, 0, 0.01, 0.02, 0.03])],
)
def test_ticks_are_round_numbers(low: float, high: float, ticks: list[float]) -> None:
    assert round_ticks(low, high) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(1, 1000, [1, 10, 100, 1000]), (3, 70, [5, 10, 20, 50]), (17, 46, [20, 30, 40])],
)
def test_ticks_of_a_logarithmic_axis(low: float, high: float, ticks: list[float]) -> None:
    assert log_ticks(low, high) == pytest.approx(ticks)


def test_every_method_stands_in_the_plot_of_quality_against_time() -> None:
    points = {name: (10.0 ** (index + 1), 30.0 + index) for index, name in enumerate(NAMES)}
    svg = quality_against_time(points, {"bicubic": 29.5, "lanczos": 29.6}, "ms", "dB", 'a "title" & more')
    assert {*NAMES, "bicubic", "lanczos", "ms", "dB"} <= set(texts(svg))
    circles = [float(x) for x in re.findall(r'cx="([\d.]+)"', svg)]
    assert circles == sorted(circles)
    assert ElementTree.fromstring(svg).get("aria-label") == 'a "title" & more'


def test_names_do_not_lie_on_each_other() -> None:
    """Five methods of one quality and nearly one time."""
    svg = quality_against_time({f"method {i}": (10 + i / 100, 30.0) for i in range(5)}, {}, "ms", "dB", "")
    places = re.findall(r'<text x="([\d.-]+)" y="([\d.-]+)">method', svg)
    assert len(set(places)) == 5


def test_what_cannot_be_drawn_is_refused() -> None:
    calls: list[Callable[[], str]] = [
        lambda: quality_against_time({}, {}, "", "", ""),
        lambda: quality_against_time({"a": (0, 1)}, {}, "", "", ""),
        lambda: curves({}, {}, "", ""),
        lambda: per_picture([], {}, "", ""),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"points|pictures"):
            call()


def test_curves_of_one_point_and_of_many() -> None:
    svg = curves({"a": [(5, 30)], "<b>": [(1, 29), (5, 31)]}, {"bicubic": 28}, "dB", "t")
    assert {"a", "<b>", "bicubic"} <= set(texts(svg))


def test_each_picture_has_a_row_with_a_mark_for_each_method() -> None:
    svg = per_picture(NAMES, {"bicubic": [1, 2, 3, 4], "ours & theirs": [2, 3, 4, 5]}, "dB", "t")
    said = [element.text for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}title")]
    assert f"{NAMES[1]}, ours & theirs: 3.00" in said and len(said) == 1 + 2 * 4
    assert max(map(len, texts(svg))) < 40, "long names are cut, and whole in the title"
