"""One self-contained HTML page: it opens from disk, asks for nothing, and can be read without JavaScript."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from pathlib import Path

from espcn_cli.errors import EspcnError
from espcn_cli.files import check_destination, existing, is_folder, is_there, replacing
from espcn_cli.scoring.sheets import Sheet

NAME = "index.html"
"""What the page in a report's folder is called."""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""Nothing is fetched, whatever a file's name is made to look like."""


def page(title: str, sections: Iterable[str]) -> str:
    """The whole page around sections that are HTML already."""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="generator" content="espcn">',
            f"<title>{text(title)}</title>",
            f"<style>{_asset('page.css')}</style></head><body>",
            f"<h1>{text(title)}</h1>",
            *sections,
            f"<script>{_asset('page.js')}</script></body></html>\n",
        ]
    )


def text(words: object) -> str:
    """Text that no page takes for anything else; bytes of a name that are no UTF-8 are shown as escapes."""
    return escape(str(words).encode("utf-8", "backslashreplace").decode(), quote=True)


def section(title: str, *parts: str) -> str:
    return f"<section><h2>{text(title)}</h2>\n{''.join(parts)}</section>"


def note(words: str) -> str:
    return f'<p class="note">{text(words)}</p>\n'


def folded(title: str, *parts: str) -> str:
    """What is long: shown when it is asked for."""
    return f"<details><summary>{text(title)}</summary>{''.join(parts)}</details>\n"


def table(sheet: Sheet) -> str:
    """A part of a table of scores: methods side by side, their columns below them."""
    blocks = "".join(
        f'<th colspan="{len(titles)}" scope="colgroup">{text(name)}</th>' for name, titles in sheet.methods
    )
    titles = "".join(f'<th scope="col">{text(title)}</th>' for _, each in sheet.methods for title in each)
    lines = (
        f"<tr><td>{text(line.label)}</td>{''.join(f'<td>{text(c)}</td>' for cells in line.cells for c in cells)}</tr>"
        for line in sheet.lines
    )
    head = f"<tr><th>{text(sheet.title)}</th>{blocks}</tr><tr><th></th>{titles}</tr>"
    return _wide(head, lines) + (note(sheet.note) if sheet.note else "")


def plain_table(titles: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table of words and figures."""
    head = "".join(f'<th scope="col">{text(title)}</th>' for title in titles)
    return _wide(
        f"<tr>{head}</tr>", (f"<tr>{''.join(f'<td>{text(cell)}</td>' for cell in line)}</tr>" for line in lines)
    )


def _wide(head: str, lines: Iterable[str]) -> str:
    return f'<div class="wide" tabindex="0"><table><thead>{head}</thead><tbody>{"".join(lines)}</tbody></table></div>\n'


def _asset(name: str) -> str:
    return resources.files("espcn_cli.reports").joinpath(name).read_text(encoding="utf-8")


def check_folder(folder: Path) -> Path:
    """The page's path in a report's folder. Raises EspcnError if the folder is something else, or cannot be made."""
    if is_folder(folder):
        others = sorted(path for path in folder.iterdir() if path.name != NAME)
        if others:
            raise EspcnError(
                f"{folder} holds something else, such as {others[0].name}: name a new folder for the report", folder
            )
        check_destination(folder / NAME)
    elif is_there(folder):
        raise EspcnError(f"{folder} is no folder: name one for the report", folder)
    else:
        check_destination(folder)
    return folder / NAME


def there(folder: Path) -> bool:
    """Whether a report is in the folder already."""
    return bool(existing([folder / NAME]))


def write(path: Path, content: str, overwrite: bool = True) -> None:
    """Write a page whole or not at all, and make its folder. Raises EspcnError if it cannot be written."""
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise EspcnError(f"cannot make the folder {path.parent} ({error.strerror})", path.parent) from None
    with replacing(path, overwrite) as temporary:
        temporary.write_text(content, encoding="utf-8")
