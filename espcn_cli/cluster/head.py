"""The command's side of a cluster: who does what, what comes back, and what happens when somebody dies."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from queue import Empty
from typing import Any

from espcn_cli.cluster.batches import Batch, Batches, weigh
from espcn_cli.cluster.connection import Machine, shares
from espcn_cli.cluster.crew import AT_ONCE, Crew, DeadError, Hand
from espcn_cli.cluster.worker import Done, Share
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.figures import amount
from espcn_cli.interruption import Interruption
from espcn_cli.upscaling.outcome import Outcome, Task
from espcn_cli.upscaling.pipeline import tidy

MOST_TIMES = 3
"""How often a picture is begun: whoever it kills, it kills no more of them."""

STARTS = 3
"""How often a worker may die on a machine before it was ready, or be refused, until that machine is left out."""

TICK = 0.25
"""Seconds after which the head looks up: for signals, and for what else has changed."""

LOOK = 5.0
"""Seconds between two looks for machines that are new or gone."""

LOST = 60.0
"""Seconds that a cluster may be without any machine before the work ends: others may come in its place."""

BUSY = 60.0
"""Seconds without a worker after which a line tells what is waited for."""


@dataclass(frozen=True)
class Rules:
    """How the machines are used: see `connection.shares`. `tell` gets what users should know."""

    cores_each: int | None = None
    tell: Callable[[str], object] = lambda line: None


@dataclass(eq=False)
class Order:
    """Something else than pictures that a worker is to do, for a thread that waits for it."""

    method: str
    work: Any
    name: str
    done: Callable[[Any], object]
    failed: Callable[[EspcnError], object]
    begun: int = 0


class Head:
    """Gives out pictures and other orders to workers, and yields what became of the pictures."""

    def __init__(self, crew: Crew, machines: Callable[[], list[Machine]], rules: Rules) -> None:
        self.crew = crew
        self.rules = rules
        self._look_up = machines
        self._machines: dict[str, Machine] = {}
        self._left_out: set[str] = set()
        self._failures: Counter[str] = Counter()
        self._hands: list[Hand] = []
        self._orders: list[Order] = []
        self._outcomes: list[Outcome] = []
        self._tasks: dict[Any, int] = {}
        self._waiting_for = 0
        self._most_hands = 0
        self._hope = False
        self._told_busy = False
        self._stopping = False
        self._error: BaseException | None = None
        self._last_trouble = ""
        self.batches = Batches(0)

    # --- from other threads

    @property
    def stopping(self) -> bool:
        """Whether nothing more is begun."""
        return self._stopping

    def submit(self, order: Order) -> None:
        """Let a worker do something; may be called in any thread."""
        self.crew.heard.put(lambda: self._orders.append(order))

    def settle(self, outcome: Outcome) -> None:
        """What became of a task that is not given out; may be called in any thread."""
        self.crew.heard.put(lambda: self._settle(outcome))

    def fail(self, error: BaseException) -> None:
        """End the work with an error; may be called in any thread."""
        self.crew.heard.put(lambda: self._fail(error))

    # --- the work

    def run(
        self, machines: Sequence[Machine], tasks: Sequence[tuple[int, Task]], beside: int = 0
    ) -> Generator[Outcome, None, None]:
        """Do the tasks, whose numbers are theirs in the plan; outcomes come in the order in which they are ready.

        `beside`: so many more come by `settle`. When interrupted, what workers have begun is finished and yielded
        before the interruption goes on. Raises EspcnError if no machine is left.
        """
        self.batches = Batches(len(tasks))
        self._waiting_for = len(tasks) + beside
        self._most_hands = len(tasks) if not beside else 2**30
        weigher = threading.Thread(target=self._weigh, args=(tasks,), name="espcn-weigh", daemon=True)
        weigher.start()
        with Interruption():
            for machine in machines:
                self._join(machine)
        try:
            yield from self._work()
        except (KeyboardInterrupt, SystemExit):
            self._stopping = True
            yield from self._finish()
            raise
        finally:
            self._stopping = True
            tidy([task for _, task in tasks])  # what dead workers had begun

    def _work(self) -> Iterator[Outcome]:
        began = looked = lost = time.monotonic()
        while self._waiting_for or self._outcomes:
            with Interruption():
                self._hear(TICK)
                now = time.monotonic()
                if now - looked > LOOK:
                    looked = now
                    self._look()
                lost = now if self._hands else lost
                if now - lost > (LOST if self._hope or self._machines else 0):
                    self._error = self._error or EspcnError(self._nobody())
                if now - began > BUSY and not (self._told_busy or any(hand.ready for hand in self._hands)):
                    self._told_busy = True
                    self.rules.tell("no worker has begun yet: the cluster's cores may be in use by other work")
            if self._error is not None:
                yield from self._given()
                raise self._error
            yield from self._given()

    def _finish(self) -> Iterator[Outcome]:
        """What was begun; of orders nothing is lost if they are cut off."""
        for hand in self._hands:
            if any(isinstance(job, Order) for job in hand.jobs):
                self.crew.end(hand)
        while any(isinstance(job, Batch) for hand in self._hands if not hand.gone for job in hand.jobs):
            with Interruption():
                self._hear(TICK)
            yield from self._given()
        yield from self._given()

    def _given(self) -> Iterator[Outcome]:
        """The outcomes that are there, each taken out only when it is given."""
        while self._outcomes:
            yield self._outcomes.pop(0)

    def _hear(self, seconds: float) -> None:
        """Everything that was said until now, or is within a moment; and give out work."""
        try:
            self.crew.heard.get(timeout=seconds)()
            while True:
                self.crew.heard.get_nowait()()
        except Empty:
            pass
        if not self._stopping:
            for hand in self._hands:
                self._feed(hand)

    def _weigh(self, tasks: Sequence[tuple[int, Task]]) -> None:
        try:
            for items in weigh(tasks):
                if self._stopping:
                    return
                self.crew.heard.put(lambda items=items: self.batches.add(items))  # type: ignore[misc]
        except BaseException as error:
            self.fail(error)

    def _settle(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        self._waiting_for -= 1

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error

    def _nobody(self) -> str:
        why = f" ({self._last_trouble})" if self._last_trouble else ""
        return (
            f"no machine of the cluster is left{why}: {amount(self._waiting_for, 'file')} not done; "
            "the same command with --skip-existing goes on"
        )

    # --- machines and workers

    def _join(self, machine: Machine) -> None:
        """Workers on a machine."""
        self._machines[machine.id] = machine
        count, cores = shares(machine, self.crew.gpu, self.rules.cores_each)
        for _ in range(min(count, self._most_hands - len(self._hands))):
            self._start(machine, cores)

    def _start(self, machine: Machine, cores: int) -> None:
        self._hands.append(self.crew.start(machine, cores, self._opened))

    def _opened(self, hand: Hand, said: str | None, error: BaseException | None) -> None:
        if hand.gone:
            return
        if said is None and error is None:
            hand.ready = True
            return
        if said is not None:
            self._leave_out(hand.machine, said)
            self.crew.end(hand)
            self._hands.remove(hand)
            return
        self._lose(hand)

    def _lose(self, hand: Hand) -> None:
        """A worker is dead: what it had goes to others, and its machine gets a new one."""
        if hand not in self._hands:
            return
        self._hands.remove(hand)
        self.crew.end(hand)
        jobs, hand.jobs = hand.jobs, []
        for job in jobs:
            self._again(job)
        machine = hand.machine
        alive = {each.id for each in self._look_up()}
        if machine.id not in alive:
            self._machines.pop(machine.id, None)
            self._hope = True
            return
        if not hand.ready:
            self._failures[machine.id] += 1
            if self._failures[machine.id] >= STARTS:
                self._leave_out(machine, "its workers die when they start")
                return
        if machine.id not in self._left_out and not self._stopping:
            self._start(machine, shares(machine, self.crew.gpu, self.rules.cores_each)[1])

    def _leave_out(self, machine: Machine, trouble: str) -> None:
        if machine.id not in self._left_out:
            self._last_trouble = f"{machine.name}: {trouble}"
            self.rules.tell(f"{machine.name} is left out: {trouble}")
        self._left_out.add(machine.id)
        self._machines.pop(machine.id, None)

    def _look(self) -> None:
        """Take in machines that have come; the dead make themselves felt."""
        for machine in self._look_up():
            if machine.id in self._machines or machine.id in self._left_out or len(self._hands) >= self._most_hands:
                continue
            if shares(machine, self.crew.gpu, self.rules.cores_each)[0]:
                self._machines[machine.id] = machine
                self.crew.check_later(machine, lambda trouble, machine=machine: self._checked(machine, trouble))  # type: ignore[misc]

    def _checked(self, machine: Machine, trouble: str | None) -> None:
        if trouble:
            self._leave_out(machine, trouble)
        elif not self._stopping:
            self._join(machine)

    # --- work for them

    def _feed(self, hand: Hand) -> None:
        """Give a worker as much as it can have."""
        while hand.ready and not hand.gone and len(hand.jobs) < AT_ONCE:
            if any(not isinstance(job, Batch) or job.alone for job in hand.jobs):
                return
            if self._orders and not hand.jobs:
                self._give_order(hand, self._orders.pop(0))
                return
            if self._orders or not (batch := self.batches.next(len(self._hands), not hand.jobs)):
                return
            self._give_batch(hand, batch)

    def _give_order(self, hand: Hand, order: Order) -> None:
        order.begun += 1
        hand.jobs.append(order)
        self.crew.give(hand, order.method, order.work, lambda done, error: self._heard_order(hand, order, done, error))

    def _heard_order(self, hand: Hand, order: Order, done: Any, error: BaseException | None) -> None:
        if order not in hand.jobs:
            return
        if error is None:
            hand.jobs.remove(order)
            order.done(done)
        elif isinstance(error, DeadError):
            self._lose(hand)
        else:
            hand.jobs.remove(order)
            order.failed(error if isinstance(error, EspcnError) else EspcnError(f"{order.name}: {unexpected(error)}"))

    def _give_batch(self, hand: Hand, batch: Batch) -> None:
        hand.jobs.append(batch)
        again = any(item.begun for item in batch.items)
        share = Share(tuple(item.task for item in batch.items), again, self._most_hands == 1)
        self.crew.give(hand, "pictures", share, lambda done, error: self._heard_batch(hand, batch, done, error))

    def _heard_batch(self, hand: Hand, batch: Batch, done: Done | None, error: BaseException | None) -> None:
        if batch not in hand.jobs:
            return
        if done is not None:
            beside = len(hand.jobs)
            hand.jobs.remove(batch)
            self._failures[hand.machine.id] = 0
            self.batches.learn(batch.weight, done.seconds / beside)
            for outcome in done.outcomes:
                self._settle(outcome)
        elif isinstance(error, DeadError):
            self._lose(hand)
        elif error is not None:
            hand.jobs.remove(batch)
            if isinstance(error, UsageError):
                self._fail(error)
            elif len(batch.items) > 1:
                self.batches.again([replace(item, begun=item.begun + 1) for item in batch.items], begun=True)
            else:
                task = batch.items[0].task
                self._settle(Outcome(task, error=f"{task.source_name}: {unexpected(error)}"))

    def _again(self, job: Batch | Order) -> None:
        """What a dead worker had: done again elsewhere, unless that has been tried often enough."""
        if isinstance(job, Order):
            if job.begun >= MOST_TIMES:
                job.failed(EspcnError(f"{job.name}: {killed()}"))
            else:
                self._orders.insert(0, job)
            return
        items = [replace(item, begun=item.begun + 1) for item in job.items]
        for item in items:
            if item.begun >= MOST_TIMES:
                self._settle(Outcome(item.task, error=f"{item.task.source_name}: {killed()}"))
        self.batches.again([item for item in items if item.begun < MOST_TIMES], begun=True)


def killed() -> str:
    return f"its worker died {MOST_TIMES} times, which may be for want of memory: it is not tried again"


def unexpected(error: BaseException) -> str:
    """A fault of ours, in one line: the others' work goes on."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"unexpected {type(error).__name__}" + (f" ({lines[-1][:200]})" if lines else "")


def several(troubles: Iterable[tuple[Machine, str]]) -> str:
    """What keeps machines from taking part, the first few of them."""
    lines = [f"{machine.name} {trouble}" for machine, trouble in troubles]
    more = f"; and {amount(len(lines) - 3, 'more machine')}" if len(lines) > 3 else ""
    return "; ".join(lines[:3]) + more
