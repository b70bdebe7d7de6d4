"""README and pages: their links lead somewhere, and what they show of the command line is what it does."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import run

ROOT = Path(__file__).parents[1]

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

GIVEN = ("examples/cat.png",)
"""What shown commands may read: the others need pictures that are not in the repository, or hours."""

SLOW = ("train", "benchmark")


def blocks() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Each block of commands with the page that it is on: commands, and what is shown of their output."""
    for page in PAGES:
        for block in re.findall(r"^```console\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
            shown = [part.partition("\n") for part in re.split(r"^\$ ", block, flags=re.M) if part]
            commands = [(command, output.rstrip("\n")) for command, _, output in shown]
            if any(output and can_be_run(command) for command, output in commands):
                yield page.name, [each for each in commands if can_be_run(each[0])]


def can_be_run(command: str) -> bool:
    program, *arguments = shlex.split(command, comments=True)
    if program != "espcn" or not arguments or arguments[0] in SLOW or set("|>") & set(command):
        return False
    read = [word for word in arguments[1:-1] if "/" in word or re.search(r"\.\w+$", word)]
    needs = arguments[0] not in ("models", "export")
    return all(word in GIVEN for word in read) and (bool(read) or not needs)


def masked(text: str) -> str:
    """Without seconds, which differ, and spaces at the ends of lines."""
    return "\n".join(re.sub(r"\b\d+(\.\d+)? s\b", "… s", line).rstrip() for line in text.strip().splitlines())


@pytest.mark.parametrize(("page", "commands"), list(blocks()))
def test_shown_commands_do_what_is_shown(page: str, commands: list[tuple[str, str]], tmp_path: Path) -> None:
    for name in GIVEN:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for command, output in commands:
        result = run(*shlex.split(command, comments=True)[1:], cwd=tmp_path)
        assert result.code == 0, f"{page}: {command}: {result.stderr}"
        if output:
            assert masked(result.stdout) == masked(output), f"{page}: {command}"


def test_some_commands_are_shown_and_run() -> None:
    assert {"README.md", "upscaling.md", "live.md"} <= {page for page, _ in blocks()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8").replace("\n", " ")):
        name, _, heading = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), f"{page.name}: {target}"
        if heading:
            assert heading in headings(file), f"{page.name}: {target}"


def headings(page: Path) -> set[str]:
    """As links name them."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found}


def test_the_readme_is_two_screens() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130
