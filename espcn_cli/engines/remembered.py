"""What was found out about this machine, kept in the user's cache folder: it takes time, and should stay as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from espcn_cli.errors import EspcnError
from espcn_cli.files import cache_folder, replacing


def remembered(name: str, here: str, find: Callable[[], float]) -> float:
    """A number by name, for a machine with the software that `here` describes: found now if it is not known yet."""
    file = cache_folder() / f"{name}.json"
    known = _read(file)
    if type(known.get(here)) not in (int, float):
        known[here] = find()
        with suppress(OSError, EspcnError):  # a folder that cannot be written to: it is found again next time
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file) as temporary:
                temporary.write_text(json.dumps(known, indent=1), encoding="utf-8")
    return float(known[here])


def _read(file: Path) -> dict[str, Any]:
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}
