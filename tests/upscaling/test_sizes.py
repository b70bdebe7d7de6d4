"""Sizes as they are typed, and the scale that reaches one."""

from __future__ import annotations

import pytest

from espcn_cli.errors import UsageError
from espcn_cli.upscaling import sizes


@pytest.mark.parametrize(
    ("text", "expected"), [("800x600", (800, 600)), ("800x", (800, 400)), ("x600", (1200, 600)), ("150%", (300, 150))]
)
def test_sizes_as_they_are_typed(text: str, expected: tuple[int, int]) -> None:
    assert sizes.parse(text).of((200, 100)) == expected


@pytest.mark.parametrize("text", ["", "x", "0x5", "5", "0%", "-5x5", "5x5x5", "big", "9999999x1"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--size"):
        sizes.parse(text)


def test_the_smallest_scale_that_reaches() -> None:
    scales = (2, 3, 4)
    targets = (80, 50), (101, 50), (200, 101), (301, 1), (999, 1)
    assert [sizes.reach((100, 50), target, scales) for target in targets] == [1, 2, 3, 4, 4]
