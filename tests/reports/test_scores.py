"""A benchmark's page, and how it behaves in a browser."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser
from command import run
from making import save_picture

from espcn_cli.maths.levels import Levels
from espcn_cli.pictures.document import Document
from espcn_cli.reports.scores import exhibits, scores_page
from espcn_cli.scoring import evaluation, recipes, suite
from espcn_cli.scoring.benchmark import Comparison, find_pictures, measure

NAMES = ("a <b>.png", "c & 'd'.png", "e.png")


def compared(folder: Path) -> tuple[Comparison, list[str]]:
    for index, name in enumerate(NAMES):
        save_picture(folder / "set" / name, 150, 120, index, "L" if index == 2 else "RGB")
    methods = {"ours": evaluation.interpolation("lanczos", 2)}
    return Comparison(methods, 2), [Path(name).stem for name in NAMES]


def test_the_pictures_that_methods_differ_most_on_come_first(tmp_path: Path) -> None:
    comparison, names = compared(tmp_path)
    pictures = find_pictures([tmp_path / "set"], 2)
    table = measure(comparison, pictures)
    shown = exhibits(table, [partial(comparison.again, pictures)], 2)
    spread = {
        image.name: max(row.images[index].psnr for row in table.rows)
        - min(row.images[index].psnr for row in table.rows)
        for index, image in enumerate(table.rows[0].images)
    }
    order = sorted(names, key=lambda name: -spread[name])
    assert [exhibit.title for exhibit in shown] == [f"{name} (set, x2)" for name in order[:2]]
    assert [view.name for view in shown[0].views] == ["bicubic", "ours", "lanczos", "truth"]
    assert all(len({view.levels.shape for view in exhibit.views}) == 1 for exhibit in shown)
    html = scores_page(table, [partial(comparison.again, pictures)], 2)
    assert html.count('class="viewer"') == 2 and html.count("<svg") == 2 and "PSNR with peak 255" in html
    assert scores_page(table).count('class="viewer"') == 0, "a table alone"


def test_of_real_pictures_the_worst_of_each_damage_comes_first(tmp_path: Path) -> None:
    for seed, name in enumerate(NAMES):
        save_picture(tmp_path / "set" / name, 96, 80, seed)
    rows = ["jpeg-75", "noise-8"]
    real = [tmp_path / "set"], {"ours": repeated}, 2, [row for row in recipes.ROWS if row in rows or row == PATTERN]
    table = suite.measure(*real)
    shown = exhibits(table, [partial(suite.again, *real)], 4)
    damages = [(exhibit.title.rpartition("(")[2].split(", ")[1]) for exhibit in shown]
    assert sorted(damages[:3]) == sorted([*rows, PATTERN]) and damages[3] in (*rows, PATTERN)
    for exhibit in shown:
        name = exhibit.title.rpartition(" (")[0]
        [score] = [
            image.psnr
            for row in table.rows
            if row.method == "ours" and f", {row.row}, " in exhibit.title
            for image in row.images
            if image.name == name
        ]
        [ours] = [view for view in exhibit.views if view.name == "ours"]
        assert ours.caption == f"{score:.2f} dB, strength 0.5"
        assert {view.levels.shape for view in exhibit.views} == {exhibit.views[-1].levels.shape}
    html = scores_page(table, [partial(suite.again, *real)], 4)
    assert html.count('class="viewer"') == 4 and "for each damage the picture" in html


PATTERN = "pixels-chequerboard"


def repeated(document: Document) -> tuple[Levels, float]:
    return document.frames[0].array().repeat(2, axis=0).repeat(2, axis=1), 0.5


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    folder = tmp_path_factory.mktemp("report")
    compared(folder)
    result = run("benchmark", "set", "-m", tiny_model, "--report", "page", cwd=folder)
    assert result.code == 0, result.stderr
    return folder / "page" / "index.html"


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")


@needs_browser
def test_in_a_browser_all_is_there_and_the_slider_moves(report: Path) -> None:
    with Browser() as tab:
        tab.open(report)
        assert tab.value("[...document.images].every(image => image.complete && image.naturalWidth)") is True
        assert tab.value("document.images.length") == 3 * 4
        position = "parseFloat(document.querySelector('.edge').style.left)"
        start = tab.value(position)
        tab.value("document.querySelector('.split').focus()")
        tab.key("ArrowRight", 39)
        by_key = tab.value(position)
        assert by_key > start
        box = "document.querySelector('.stage').getBoundingClientRect()"
        tab.value("document.querySelector('.stage').scrollIntoView()")
        left, top, width = (tab.value(f"{box}.{side}") for side in ("left", "top", "width"))
        tab.mouse("mousePressed", left + width / 2, top + 60)
        tab.mouse("mouseMoved", left + width / 4, top + 60)
        tab.mouse("mouseReleased", left + width / 4, top + 60)
        assert tab.value(position) < start
        layer = "getComputedStyle(document.querySelectorAll('.views figure')[1]).clipPath"
        assert tab.value(layer).startswith("inset(")
        tab.value(
            "(s => { s.value = 'fit'; s.dispatchEvent(new Event('change')) })(document.querySelectorAll('select')[1])"
        )
        assert tab.value("document.querySelector('.views').offsetWidth") == 150
        assert not tab.errors


@needs_browser
@pytest.mark.parametrize(("width", "dark"), [(360, False), (360, True), (1200, True)])
def test_no_screen_scrolls_sideways_and_the_dark_one_is_dark(report: Path, width: int, dark: bool) -> None:
    with Browser() as tab:
        tab.open(report, width, 700, dark)
        assert tab.value("document.documentElement.scrollWidth") == width
        paper = tab.value("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") is not dark
        assert not tab.errors


@needs_browser
def test_without_scripts_every_version_can_be_seen(report: Path) -> None:
    with Browser() as tab:
        tab.open(report, 800, 700, scripts=False)
        assert "bicubic" in report.read_text() and not tab.errors
        visible = "[...document.querySelectorAll('figure')].filter(figure => figure.offsetHeight > 60).length"
        tab("Emulation.setScriptExecutionDisabled", value=False)  # or nothing can be asked
        assert tab.value(visible) == 3 * 4
