"""Which shapes get a graph of their own, and which graphs are kept; the graphs are words here."""

from __future__ import annotations

from espcn_cli.engines.shelf import FREE, LEAST_ROOM, MOST_ROOM, OFTEN, Shelf, Size, room_in


class Compiler:
    """Counts what is compiled."""

    def __init__(self) -> None:
        self.made: list[Size] = []

    def __call__(self, size: Size) -> str:
        self.made.append(size)
        return f"graph of {size}"


def get(shelf: Shelf[str], make: Compiler, size: Size, kind: str = "rgb", planes: int = 16) -> str:
    return shelf.get(kind, size, planes, make)


def test_pictures_of_one_size_are_one_graph() -> None:
    shelf, make = Shelf[str](), Compiler()
    assert {get(shelf, make, (540, 960)) for _ in range(9)} == {"graph of (540, 960)"}
    assert make.made == [(540, 960)]


def test_a_thousand_sizes_are_two_graphs() -> None:
    shelf, make = Shelf[str](), Compiler()
    for side in range(1, 1001):
        get(shelf, make, (side, 64))
    assert make.made == [(1, 64), FREE]


def test_a_size_that_comes_often_gets_its_own() -> None:
    shelf, make = Shelf[str](), Compiler()
    get(shelf, make, (8, 8))
    uses = OFTEN // (512 * 512)
    assert {get(shelf, make, (512, 512)) for _ in range(uses)} == {f"graph of {FREE}"}
    assert get(shelf, make, (512, 512)) == "graph of (512, 512)"
    assert make.made == [(8, 8), FREE, (512, 512)]


def test_each_kind_has_its_own_graphs() -> None:
    shelf, make = Shelf[str](), Compiler()
    get(shelf, make, (8, 8), "rgb")
    get(shelf, make, (8, 8), "grey")
    assert make.made == [(8, 8), (8, 8)]


def test_what_was_used_longest_ago_goes_where_they_hold_too_much() -> None:
    shelf, make = Shelf[str](room=2 * 100 * 16), Compiler()
    for kind in ("a", "b", "a", "c"):
        get(shelf, make, (10, 10), kind)
    make.made.clear()
    for kind in ("a", "c", "b"):  # b had to go
        get(shelf, make, (10, 10), kind)
    assert make.made == [(10, 10)]


def test_the_room_is_a_share_of_the_memory_that_is_free() -> None:
    assert [room_in(free) for free in (None, 0, 10**9, 2**40)] == [LEAST_ROOM] * 3 + [MOST_ROOM]
    assert LEAST_ROOM < room_in(8 * 2**30) < MOST_ROOM


def test_one_is_kept_however_large() -> None:
    shelf, make = Shelf[str](room=1), Compiler()
    for _ in range(3):
        get(shelf, make, (10, 10))
    assert make.made == [(10, 10)]


def test_what_is_dropped_is_made_again_for_the_same_sizes() -> None:
    shelf, make = Shelf[str](), Compiler()
    get(shelf, make, (10, 10))
    get(shelf, make, (5, 5))
    shelf.clear()
    get(shelf, make, (10, 10))
    assert make.made == [(10, 10), FREE, (10, 10)]


def test_a_kind_is_forgotten() -> None:
    shelf, make = Shelf[str](), Compiler()
    get(shelf, make, (10, 10), "a")
    get(shelf, make, (10, 10), "b")
    shelf.forget(lambda kind: kind == "a")
    get(shelf, make, (3, 3), "a")
    get(shelf, make, (10, 10), "b")
    assert make.made == [(10, 10), (10, 10), (3, 3)]
