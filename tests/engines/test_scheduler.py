"""Three things at once, and in order: a device that writes down what it is told, and does it when it is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from espcn_cli.engines.scheduler import DEPTH, through


@dataclass
class Slow:
    """A device of which each part works on one thing at a time, each for one tick, as soon as it can."""

    told: list[str] = field(default_factory=list)
    free: dict[str, int] = field(default_factory=dict)
    now: int = 0

    def _do(self, part: str, name: str, since: int) -> tuple[str, int]:
        self.told.append(f"{part} {name}")
        done = max(self.now, since, self.free.get(part, 0)) + 1
        self.free[part] = done
        return name, done

    def upload(self, given: str) -> tuple[str, int]:
        return self._do("upload", given, 0)

    def run(self, there: tuple[str, int]) -> tuple[str, int]:
        return self._do("run", *there)

    def download(self, made: tuple[str, int]) -> tuple[str, int]:
        return self._do("download", *made)

    def wait(self, coming: tuple[str, int]) -> str:
        name, done = coming
        self.told.append(f"wait {name}")
        if name == "bad":
            raise ArithmeticError(name)
        self.now = max(self.now, done)
        return name.upper()


def test_the_results_in_order() -> None:
    assert list(through(Slow(), "abcdefg")) == list("ABCDEFG")
    assert list(through(Slow(), "a")) == ["A"]
    assert list(through(Slow(), "")) == []


@pytest.mark.parametrize(("depth", "ticks"), [(1, 30), (3, 12), (DEPTH, 12), (9, 12)])
def test_ten_windows_take_ten_ticks_and_those_of_the_first_and_last(depth: int, ticks: int) -> None:
    """One after the other it would be three times ten."""
    device = Slow()
    assert len(list(through(device, "abcdefghij", depth))) == 10
    assert device.now == ticks


def test_no_more_are_under_way_than_the_depth() -> None:
    device, under_way = Slow(), 0
    list(through(device, "abcdefgh"))
    for word in device.told:
        under_way += word.startswith("upload") - word.startswith("wait")
        assert under_way <= DEPTH


def test_windows_are_made_when_there_is_room_for_them() -> None:
    asked = list[str]()

    def windows() -> Iterator[str]:
        for name in "abcdef":
            asked.append(name)
            yield name

    results = through(Slow(), windows())
    assert next(results) == "A"
    assert asked == list("abcd")


def test_the_next_is_uploaded_before_the_first_is_waited_for() -> None:
    device = Slow()
    next(through(device, "abc", 2))
    assert device.told == ["upload a", "run a", "download a", "upload b", "run b", "download b", "wait a"]


def test_what_goes_wrong_is_raised_in_its_turn() -> None:
    results = through(Slow(), ["a", "bad", "c"])
    assert next(results) == "A"
    with pytest.raises(ArithmeticError, match="bad"):
        next(results)
