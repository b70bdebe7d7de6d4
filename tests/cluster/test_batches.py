"""In which order pictures are given out: large ones first, small ones in groups, and nobody waits for the last."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from making import save_picture

from espcn_cli.cluster import batches
from espcn_cli.cluster.batches import OVERHEAD, Batch, Batches, Item, weigh
from espcn_cli.upscaling.outcome import Task
from espcn_cli.upscaling.pipeline import LARGE


def items(*weights: float) -> list[Item]:
    return [Item(index, Task(Path(f"{index}.png"), Path(f"out/{index}.png")), w) for index, w in enumerate(weights)]


def given_out(queue: Batches, workers: int) -> list[Batch]:
    found = []
    while batch := queue.next(workers, idle=True):
        found.append(batch)
    return found


def test_the_largest_go_first_and_small_ones_in_groups_that_shrink_towards_the_end() -> None:
    queue = Batches(61, pace=1e-5)
    queue.add(items(3e6, *[2e4] * 60))
    first, *rest = given_out(queue, 2)
    assert [item.weight for item in first.items] == [3e6]
    counts = [len(batch.items) for batch in rest]
    assert counts[0] == 5 and counts[-1] == 1 and counts == sorted(counts, reverse=True)


@given(weights=st.lists(st.floats(1, 1e9), max_size=60), workers=st.integers(1, 50))
def test_each_picture_is_given_out_once(weights: list[float], workers: int) -> None:
    queue = Batches(len(weights))
    queue.add(items(*weights))
    out = [item.index for batch in given_out(queue, workers) for item in batch.items]
    assert sorted(out) == list(range(len(weights))) and queue.left == 0


def test_what_fills_the_memory_waits_for_a_worker_that_has_nothing_else() -> None:
    queue = Batches(2)
    queue.add(items(LARGE, 100))
    assert queue.next(1, idle=False) is None
    huge = queue.next(1, idle=True)
    assert huge and huge.alone and huge.items[0].weight == LARGE
    assert queue.next(1, idle=False)


def test_what_a_dead_worker_had_begun_is_done_alone_and_last() -> None:
    queue = Batches(4)
    queue.add(items(5, 6, 7, 8))
    batch = queue.next(1, idle=True)
    assert batch
    queue.again(batch.items, begun=True)
    rest = given_out(queue, 1)
    assert [each.alone for each in rest] == [False] * (4 - len(batch.items)) + [True] * len(batch.items)
    assert all(len(each.items) == 1 for each in rest if each.alone)


def test_groups_follow_the_pace_of_the_workers() -> None:
    slow, fast = Batches(1000), Batches(1000)
    for queue, seconds in ((slow, 1.0), (fast, 0.01)):
        queue.add(items(*[1e5] * 1000))
        for _ in range(50):
            queue.learn(1e5, seconds)
    sizes = [len(batch.items) for queue in (slow, fast) if (batch := queue.next(2, idle=True))]
    assert sizes[0] == 1 and 90 < sizes[1] < 110


def test_weights_are_pixels_and_of_most_pictures_their_files_tell(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(batches, "READ", 2)
    tasks = [
        Task(save_picture(tmp_path / f"{index}.bmp", 20 * side, 10 * side), Path("out"))
        for index, side in enumerate((1, 2, 4))
    ]
    tasks.append(Task(tmp_path / "gone.bmp", Path("out")))
    [found] = weigh(list(enumerate(tasks)))
    pixels = [item.weight - OVERHEAD for item in found]
    assert pixels[:2] == [200, 800] and 3000 < pixels[2] < 3400 and pixels[3] == 0
