"""Who does what, and what happens when somebody dies: a crew that is acted shows it without Ray."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from making import save_picture

from espcn_cli.cluster import head
from espcn_cli.cluster.connection import Machine, shares
from espcn_cli.cluster.crew import DeadError, Hand
from espcn_cli.cluster.head import MOST_TIMES, Head, Order, Rules
from espcn_cli.cluster.worker import Done, Share
from espcn_cli.errors import EspcnError
from espcn_cli.upscaling.outcome import Outcome, Task

Act = Callable[[Hand, str, Any], Any]


class Acted:
    """A crew whose workers do what the test says, at once. `started`: on which machines workers were begun."""

    gpu = False

    def __init__(self, act: Act, opened: dict[str, Any] | None = None) -> None:
        self.heard: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self.act = act
        self.answers = opened or {}
        self.started: list[str] = []

    def start(self, machine: Machine, cores: int, opened: Callable[..., object]) -> Hand:
        self.started.append(machine.id)
        hand = Hand(machine, None)
        said = self.answers.get(machine.id)
        dies = isinstance(said, DeadError)
        self.heard.put(lambda: opened(hand, None if dies else said, said if dies else None))
        return hand

    def give(self, hand: Hand, method: str, work: Any, heard: Callable[..., object]) -> None:
        try:
            result, error = self.act(hand, method, work), None
        except Exception as raised:
            result, error = None, raised
        self.heard.put(lambda: heard(result, error))

    def end(self, hand: Hand) -> None:
        hand.gone = True

    def check_later(self, machine: Machine, tell: Callable[[str | None], object]) -> None:
        self.heard.put(lambda: tell(None))


def machine(name: str, cores: int = 1) -> Machine:
    return Machine(name, name, cores, 0)


@pytest.fixture
def tasks(tmp_path: Path) -> list[tuple[int, Task]]:
    paths = [save_picture(tmp_path / f"{index}.png", 20 + index, 20) for index in range(12)]
    return [(index, Task(path, tmp_path / "out" / path.name)) for index, path in enumerate(paths)]


def do(share: Share) -> Done:
    return Done(tuple(Outcome(task) for task in share.tasks), 0.01)


def led(crew: Any, tasks: list[tuple[int, Task]], *names: str, told: list[str] | None = None) -> list[Outcome]:
    machines = [machine(name) for name in names]
    boss = Head(crew, lambda: machines, Rules(tell=(told if told is not None else []).append))
    return list(boss.run(machines, tasks))


def test_every_picture_comes_back_once(tasks: list[tuple[int, Task]]) -> None:
    outcomes = led(Acted(lambda hand, method, share: do(share)), tasks, "a", "b")
    assert sorted(outcome.task.source for outcome in outcomes) == sorted(task.source for _, task in tasks)


def test_a_picture_that_kills_its_workers_is_named_and_the_rest_is_done(tasks: list[tuple[int, Task]]) -> None:
    poison, deaths = tasks[5][1], []

    def act(hand: Hand, method: str, share: Share) -> Done:
        if poison in share.tasks:
            deaths.append(share)
            raise DeadError
        return do(share)

    crew = Acted(act)
    outcomes = led(crew, tasks, "a")
    [failed] = [outcome for outcome in outcomes if outcome.error]
    assert failed.task == poison and f"died {MOST_TIMES} times" in (failed.error or "")
    assert len(outcomes) == len(tasks) and len(deaths) == MOST_TIMES
    assert [len(share.tasks) for share in deaths[1:]] == [1] * (MOST_TIMES - 1)
    assert deaths[1].again, "what the dead one has written may be there"
    assert len(crew.started) == 1 + MOST_TIMES


def test_what_a_dead_machine_had_is_done_by_the_others(tasks: list[tuple[int, Task]]) -> None:
    alive = [machine("a"), machine("b")]

    def act(hand: Hand, method: str, share: Share) -> Done:
        if hand.machine.id == "a":
            alive[:] = [machine("b")]
            raise DeadError
        return do(share)

    crew = Acted(act)
    outcomes = list(Head(crew, lambda: alive, Rules()).run(list(alive), tasks))  # type: ignore[arg-type]
    assert len(outcomes) == len(tasks) and not any(outcome.error for outcome in outcomes)
    assert crew.started == ["a", "b"]


def test_a_fault_of_ours_fails_one_picture(tasks: list[tuple[int, Task]]) -> None:
    def act(hand: Hand, method: str, share: Share) -> Done:
        if tasks[3][1] in share.tasks:
            raise ZeroDivisionError("division by zero")
        return do(share)

    outcomes = led(Acted(act), tasks, "a")
    [failed] = [outcome for outcome in outcomes if outcome.error]
    assert failed.task == tasks[3][1] and "unexpected ZeroDivisionError (division by zero)" in (failed.error or "")
    assert len(outcomes) == len(tasks)


def test_a_machine_that_cannot_open_the_model_is_left_out_and_named(tasks: list[tuple[int, Task]]) -> None:
    told: list[str] = []
    crew = Acted(lambda hand, method, share: do(share), {"b": "there is no bf16"})
    assert len(led(crew, tasks, "a", "b", told=told)) == len(tasks)
    assert told == ["b is left out: there is no bf16"]


def test_without_machines_the_work_ends_and_the_line_says_how_to_go_on(tasks: list[tuple[int, Task]]) -> None:
    with pytest.raises(EspcnError, match=r"no machine .* is left .*a: there is no bf16.*12 files .*--skip-existing"):
        led(Acted(lambda hand, method, share: do(share), {"a": "there is no bf16"}), tasks, "a")
    crew = Acted(lambda hand, method, share: do(share), {"a": DeadError()})
    with pytest.raises(EspcnError, match="its workers die when they start"):
        led(crew, tasks, "a")
    assert len(crew.started) == head.STARTS


def test_machines_that_come_later_take_part(tasks: list[tuple[int, Task]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "LOOK", 0.0)
    did: set[str] = set()
    there = [machine("a")]

    def act(hand: Hand, method: str, share: Share) -> Done:
        did.add(hand.machine.id)
        there[:] = [machine("a"), machine("b")]
        return do(share)

    assert len(list(Head(Acted(act), lambda: there, Rules()).run([machine("a")], tasks))) == len(tasks)  # type: ignore[arg-type]
    assert "b" in did


def test_an_interruption_waits_for_what_was_begun(tasks: list[tuple[int, Task]]) -> None:
    crew = Acted(lambda hand, method, share: do(share))
    work = Head(crew, lambda: [machine("a")], Rules()).run([machine("a")], tasks)  # type: ignore[arg-type]
    outcomes = [next(work)]
    with pytest.raises(KeyboardInterrupt):
        outcomes.append(work.throw(KeyboardInterrupt()))
        outcomes.extend(work)
    assert 0 < len({outcome.task for outcome in outcomes}) == len(outcomes) < len(tasks)


def test_other_orders_are_tried_as_often_and_go_first(tasks: list[tuple[int, Task]]) -> None:
    called: list[str] = []

    def act(hand: Hand, method: str, work: Any) -> Any:
        called.append(method)
        if method == "part":
            raise DeadError
        return do(work)

    crew = Acted(act)
    boss = Head(crew, lambda: [machine("a")], Rules())  # type: ignore[arg-type]
    failed: list[EspcnError] = []

    def fail(error: EspcnError) -> None:
        failed.append(error)
        boss.settle(Outcome(Task(Path("clip.mp4"), Path("out.mp4")), error=str(error)))

    boss.submit(Order("part", None, "clip.mp4", lambda done: None, fail))
    assert len(list(boss.run([machine("a")], tasks, beside=1))) == len(tasks) + 1
    assert "clip.mp4: its worker died 3 times" in str(failed[0]) and called[:3] == ["part"] * 3


@pytest.mark.parametrize(
    ("cores", "each", "found"),
    [(1, None, (1, 1)), (6, None, (2, 3)), (64, None, (16, 4)), (6, 4, (1, 4)), (2, 4, (0, 4))],
)
def test_a_machine_is_shared_out_evenly(cores: int, each: int | None, found: tuple[int, int]) -> None:
    assert shares(machine("a", cores), False, each) == found


def test_each_gpu_gets_a_worker_with_its_part_of_the_cores() -> None:
    assert shares(Machine("a", "a", 32, 4), True, None) == (4, 8)
    assert shares(Machine("a", "a", 32, 0), True, None)[0] == 0
