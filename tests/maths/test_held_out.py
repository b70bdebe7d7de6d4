"""Holding out: every tenth, at least one, never all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espcn_cli.maths.held_out import held_out


@pytest.mark.parametrize(
    ("count", "places"), [(2, [1]), (3, [2]), (9, [8]), (10, [9]), (19, [9]), (20, [9, 19]), (25, [9, 19])]
)
def test_every_tenth_is_held_out_or_the_last(count: int, places: list[int]) -> None:
    assert list(held_out(count)) == places


@given(st.integers(2, 10_000))
def test_a_tenth_is_held_out_and_the_rest_is_left(count: int) -> None:
    held = held_out(count)
    assert len(held) == max(count // 10, 1) < count
    assert held[-1] < count


@pytest.mark.parametrize("count", [0, 1])
def test_one_thing_cannot_be_shared(count: int) -> None:
    with pytest.raises(ValueError, match="cannot be shared"):
        held_out(count)
