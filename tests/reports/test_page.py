"""The page around everything: nothing fetched, nothing broken by a name, its folder its own."""

from __future__ import annotations

import os
from html.parser import HTMLParser
from pathlib import Path

import pytest

from espcn_cli.errors import EspcnError
from espcn_cli.reports import page
from espcn_cli.scoring.sheets import Line, Sheet

NASTY = "\"><script>alert(1)</script>&'" + os.fsdecode(b"\xff")


class Tags(HTMLParser):
    """How often each tag is there, and all addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.count: dict[str, int] = {}
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        self.addresses += [value or "" for name, value in attributes if name in ("src", "href")]


def test_names_cannot_break_the_page() -> None:
    sheet = Sheet(NASTY, [(NASTY, ["Y"])], [Line(NASTY, [["1.00"]])], NASTY)
    parts = [page.section(NASTY, page.note(NASTY)), page.table(sheet), page.plain_table([NASTY], [[NASTY]])]
    html = page.page(NASTY, parts)
    tags = Tags(html)
    assert tags.count["script"] == 1 and not tags.addresses
    assert html.encode() and "\\udcff" in html


def test_the_page_asks_for_nothing() -> None:
    html = page.page("t", [])
    assert "default-src 'none'" in html and 'name="viewport"' in html and 'lang="en"' in html
    assert "http" not in html.replace("http-equiv", "")


def test_a_report_s_folder_is_its_own(tmp_path: Path) -> None:
    assert page.check_folder(tmp_path / "new") == tmp_path / "new" / "index.html"
    page.write(tmp_path / "new" / "index.html", "once")
    assert page.check_folder(tmp_path / "new") and page.there(tmp_path / "new")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "photo.png").touch()
    (tmp_path / "file").touch()
    for name, words in (("other", "holds something else, such as photo.png"), ("file", "is no folder")):
        with pytest.raises(EspcnError, match=words) as caught:
            page.check_folder(tmp_path / name)
        assert caught.value.path == tmp_path / name
    with pytest.raises(EspcnError, match="no folder"):
        page.check_folder(tmp_path / "deep" / "er")
