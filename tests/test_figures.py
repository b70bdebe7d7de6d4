"""Numbers as people read them, and as any program does."""

from __future__ import annotations

import math
from typing import Any

import pytest
from command import strict_json

from espcn_cli.figures import amount, figure, to_json


@pytest.mark.parametrize(
    ("value", "text"),
    [(34.418, "34.42"), (0.0, "0.00"), (-0.0, "0.00"), (-0.0049, "0.00"), (-0.0051, "-0.01"), (-12, "-12.00")],
)
def test_a_score_has_two_places_and_zero_no_sign(value: float, text: str) -> None:
    assert figure(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.823, "+1.82"), (-0.3, "-0.30"), (0.0, "+0.00"), (-0.0, "+0.00"), (-1e-9, "+0.00")]
)
def test_a_gain_shows_its_sign_and_none_is_never_a_loss(value: float, text: str) -> None:
    assert figure(value, sign="+") == text


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("sign", ["", "+"])
def test_what_is_not_known_is_a_dash(value: float | None, sign: str) -> None:
    assert figure(value, 4, sign) == "-"


def test_json_is_what_any_parser_takes() -> None:
    value: dict[str, Any] = {"a": math.inf, "b": [1, -math.inf, {"c": (math.nan, 2.5)}], "d": "NaN", "e": True}
    read = strict_json(to_json(value))
    assert read == {"a": None, "b": [1, None, {"c": [None, 2.5]}], "d": "NaN", "e": True}
    assert to_json({"a": 1}, indent=2) == '{\n  "a": 1\n}'


@pytest.mark.parametrize(("number", "text"), [(0, "0 steps"), (1, "1 step"), (2, "2 steps"), (1200, "1,200 steps")])
def test_only_one_is_not_several(number: int, text: str) -> None:
    assert amount(number, "step") == text
