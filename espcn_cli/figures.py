"""Numbers as text: for people, and for machines as JSON that any parser takes."""

from __future__ import annotations

import json
import math
from typing import Any


def figure(value: float | None, places: int = 2, sign: str = "") -> str:
    """A score or a difference: `34.42`, never `-0.00`, and `-` for what is not known: None, NaN or infinity.

    With `sign` `+` a gain shows its own: `+1.82`, `+0.00`.
    """
    return "-" if value is None or not math.isfinite(value) else f"{value:{sign}z.{places}f}"


def amount(number: int, word: str) -> str:
    """`1 picture`, `0 pictures`, `1,200 pictures`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON as its standard has it, which knows neither NaN nor infinity: such a number becomes null."""
    return json.dumps(finite(value), indent=indent, allow_nan=False)


def finite(value: Any) -> Any:
    """The same lists and dictionaries with None for every number that is NaN or infinite."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
