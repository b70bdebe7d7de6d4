"""`--size` as it is typed, and the scale that reaches it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espcn_cli.errors import UsageError
from espcn_cli.upscaling import sizes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("800x600", (800, 600)),
        ("800x", (800, 400)),
        ("x600", (1200, 600)),
        ("150%", (300, 150)),
        ("0.1%", (1, 1)),
        ("1000000x1", (1_000_000, 1)),
        ("1000000%", (2_000_000, 1_000_000)),
    ],
)
def test_sizes_as_they_are_typed(text: str, expected: tuple[int, int]) -> None:
    assert sizes.parse(text).of((200, 100)) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "0x5", "5", "0%", "-5x5", "5x5x5", "big", "9999999x1", "1000001x", "x1000001", "1000001%"),
        *("100000000%", f"{'9' * 400}%", f"{'9' * 5000}x"),
    ],
)
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--size .* at most 1,000,000"):
        sizes.parse(text)


def test_the_smallest_scale_that_reaches() -> None:
    scales = (2, 3, 4)
    targets = (80, 50), (101, 50), (200, 101), (301, 1), (999, 1)
    assert [sizes.reach((100, 50), target, scales) for target in targets] == [1, 2, 3, 4, 4]


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_a_scale_that_fits_exactly_is_enough(scale: int) -> None:
    for target in ((10 * scale, 10 * scale), (10 * scale, 1), (1, 10 * scale)):
        assert sizes.reach((10, 10), target, (4, 3, 2)) == scale


SIDES = st.integers(1, 5000)


@given(SIDES, SIDES, SIDES, SIDES)
def test_into_a_box_without_distortion_and_with_a_word_where_that_shrinks(
    width: int, height: int, most: int, highest: int
) -> None:
    fit, source = sizes.parse_fit(f"{most}x{highest}"), (width, height)
    target = fit.of(source)
    assert (target[0] == most and target[1] <= highest) or (target[0] <= most and target[1] == highest)
    smaller = target[0] < width or target[1] < height
    told = f"--fit makes it smaller: {width} x {height} -> {target[0]} x {target[1]}"
    assert fit.warnings(source) == ((told,) if smaller else ())
