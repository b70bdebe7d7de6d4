"""The README's module table is the floor plan: it names every module, and imports point only down it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENTRIES = {"__init__", "__main__"}


def floors() -> dict[str, int]:
    """Module -> its row in the table."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if re.match(r"\| `\w+\.py`", line)]
    return {name: floor for floor, row in enumerate(rows) for name in re.findall(r"`(\w+)\.py`", row.split("|")[1])}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "espcn_cli":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("espcn_cli."):
            found.add(node.module.split(".")[1])
    return found


def test_the_table_names_every_module() -> None:
    assert set(floors()) == {path.stem for path in (ROOT / "espcn_cli").glob("*.py")} - ENTRIES


def test_imports_point_down_the_table() -> None:
    floor = floors()
    upwards = [
        f"{path.stem} imports {name}"
        for path in (ROOT / "espcn_cli").glob("*.py")
        if path.stem not in ENTRIES
        for name in imports(path)
        if floor[name] < floor[path.stem]
    ]
    assert not upwards
