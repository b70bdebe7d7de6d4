"""The pool of scenes: what it holds follows from the patches drawn, whatever its threads do."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Iterator

import pytest
import torch

from espcn_cli.errors import EspcnError
from espcn_cli.training import pool
from espcn_cli.training.pool import FIRST, STEPS_PER_SCENE, Pool, ScenePatches
from espcn_cli.training.scenes import Scene


def numbered(number: int, side: int = 24) -> Scene:
    """A scene that shows its number, on LR and HR."""
    lr = torch.full((1, side, side), number % 256, dtype=torch.uint8)
    return Scene.of(torch.full((1, 2 * side, 2 * side), number % 256, dtype=torch.uint8), lr)


@pytest.fixture
def scenes() -> Iterator[Pool]:
    made = Pool(numbered, workers=2)
    yield made
    made.close()


def test_it_starts_with_a_stock_and_grows_by_what_is_drawn(scenes: Pool) -> None:
    for step, count in ((0, FIRST), (STEPS_PER_SCENE - 1, FIRST), (10 * STEPS_PER_SCENE, FIRST + 10)):
        scenes.reach(step)
        assert scenes.numbers == range(count)
        assert int(next(scenes.from_(count - 1))[1].lr[0, 0, 0]) == (count - 1) % 256


def test_a_full_pool_forgets_the_oldest(scenes: Pool) -> None:
    scenes.most = FIRST
    scenes.reach(5 * STEPS_PER_SCENE)
    assert scenes.numbers == range(5, FIRST + 5)
    assert int(next(scenes.from_(0))[1].lr[0, 0, 0]) == 5


def test_what_is_held_is_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MOST_BYTES", 2 * FIRST * 5 * 24 * 24)
    assert Pool(numbered).most == 2 * FIRST


@pytest.mark.parametrize("candidates", [1, 3])
def test_a_batch_depends_on_the_generator_and_the_step_alone(candidates: int) -> None:
    """Not on what was drawn before, as in a training that resumes, nor on who is first."""
    fresh, used = (ScenePatches(Pool(numbered, workers), 2, 16, 8, candidates) for workers in (1, 3))
    for step in range(5):
        used.draw(torch.Generator().manual_seed(9), step)
    for side, other in zip(*(p.draw(torch.Generator().manual_seed(1), 40) for p in (fresh, used)), strict=True):
        assert torch.equal(side, other)
    fresh.close()
    used.close()


def test_patches_are_aligned_and_turned_together(scenes: Pool) -> None:
    """HR is LR with each pixel four times, in every orientation."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (1, 24, 24), generator=generator, dtype=torch.uint8)
    made = Pool(lambda number: Scene.of(noise.repeat_interleave(2, 1).repeat_interleave(2, 2), noise))
    lr, hr = ScenePatches(made, 2, 16, 64, 2).draw(generator, 0)
    assert lr.shape == (64, 1, 8, 8) and hr.shape == (64, 1, 16, 16)
    assert torch.equal(hr, lr.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert (float(lr.min()), float(lr.max())) == (0, 1)
    made.close()


def test_large_patches_pass_over_small_scenes() -> None:
    made = Pool(lambda number: numbered(number, 24 if number % 2 else 12))
    lr, _ = ScenePatches(made, 2, 24, 32).of_size(48).draw(torch.Generator().manual_seed(0), 0)
    assert {int(level * 255 + 0.5) % 2 for level in lr[:, 0, 0, 0].tolist()} == {1}
    made.close()


def test_the_most_detailed_candidate_is_taken() -> None:
    half = torch.zeros(1, 64, 64, dtype=torch.uint8)
    half[:, :, ::2] = 200
    half[:, :, :32] = 0
    made = Pool(lambda number: Scene.of(half.repeat_interleave(2, 1).repeat_interleave(2, 2), half))
    few, many = (
        float(ScenePatches(made, 2, 16, 200, n).draw(torch.Generator().manual_seed(0), 0)[0].mean()) for n in (1, 4)
    )
    assert many > 1.5 * few
    made.close()


def test_what_goes_wrong_in_a_thread_is_told_where_the_scene_is_needed() -> None:
    def make(number: int) -> Scene:
        if number:
            raise EspcnError("a.png was changed during the training: start again")
        return numbered(0)

    with pytest.raises(EspcnError, match="was changed"):
        ScenePatches(Pool(make), 2, 16, 8).draw(torch.Generator().manual_seed(0), 0)


def test_closing_waits_for_no_more_than_what_is_being_made() -> None:
    gate, made = threading.Event(), []

    def make(number: int) -> Scene:
        if number:
            gate.wait(5)
        made.append(number)
        return numbered(number)

    scenes = Pool(make, workers=1)
    scenes.reach(0)
    scenes.close()
    gate.set()
    scenes._makers.shutdown(wait=True)
    assert len(made) <= 3  # the pool's first look, and two at most


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_processes_make_the_same_scenes_and_end_with_the_pool() -> None:
    pool = Pool(numbered, workers=2, processes=True)
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    by_threads = Pool(numbered, workers=1)
    for side, other in zip(
        *(ScenePatches(p, 2, 16, 8).draw(g, 40) for p, g in zip((pool, by_threads), generators, strict=True)),
        strict=True,
    ):
        assert torch.equal(side, other)
    children = [*pool._makers._processes.values()]  # type: ignore[attr-defined]
    pool.close()
    by_threads.close()
    patience = time.monotonic() + 60
    while any(child.exitcode is None for child in children):  # a thread of the pool may be joining one just now
        assert time.monotonic() < patience
        time.sleep(0.01)
    assert [child.exitcode for child in children] == [0, 0]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_what_goes_wrong_in_a_process_is_told_too() -> None:
    def make(number: int) -> Scene:
        if number:
            raise EspcnError("a.png was changed during the training: start again")
        return numbered(0)

    pool = Pool(make, workers=1, processes=True)
    with pytest.raises(EspcnError, match="was changed"):
        ScenePatches(pool, 2, 16, 8).draw(torch.Generator().manual_seed(0), 0)
    pool.close()


def test_batches_can_take_turns_by_the_numbers_of_their_scenes(scenes: Pool) -> None:
    patches = ScenePatches(scenes, 2, 16, 32, turns_of=4)
    for step in (0, 1, 6, 403):
        numbers = {place.number for place in patches.places(torch.Generator().manual_seed(step), step)}
        assert len(numbers) > 10 and {number % 4 for number in numbers} == {step % 4}
    assert {p.number % 4 for p in patches.of_size(32).places(torch.Generator(), 2)} == {2}
