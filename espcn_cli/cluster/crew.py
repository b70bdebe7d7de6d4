"""Workers on the machines of a cluster, by Ray's actors: begun, given work, heard of and ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import wait
from dataclasses import asdict
from queue import SimpleQueue
from typing import Any

from espcn_cli.cluster import connection, sight
from espcn_cli.cluster.connection import Machine
from espcn_cli.cluster.sight import Proof
from espcn_cli.cluster.worker import Order, Worker

AT_ONCE = 2
"""Shares that a worker has at once: while the last pictures of one are encoded, the first of the next are decoded."""

ANSWER = 60.0
"""Seconds that a machine may take to start a process and to say what it sees."""

Heard = Callable[[Any, BaseException | None], object]
"""Called in the end with what a worker returned, or with the error that came instead."""


class DeadError(Exception):
    """A worker is gone, and what it had with it."""


class Hand:
    """A worker, as the head knows it. `jobs`: what it has now; `ready`: its model is loaded."""

    def __init__(self, machine: Machine, actor: Any) -> None:
        self.machine = machine
        self.actor = actor
        self.jobs: list[Any] = []
        self.ready = False
        self.gone = False


Opened = Callable[[Hand, str | None, BaseException | None], object]
"""Called with a worker, and with why it cannot take part or the error that it died of, if so."""


class Crew:
    """The workers that Ray runs for one command. What they return waits in `heard`, to be called in the main thread."""

    def __init__(self, order: Order, proof: Proof, gpu: bool) -> None:
        import ray

        self.heard: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self.gpu = gpu
        self._proof = proof
        self._order = ray.put(order)
        self._class = ray.remote(Worker)

    def check(self, machines: Iterable[Machine]) -> dict[Machine, str]:
        """Those machines that cannot take part, and why: each is asked, and has to show it."""
        asked = {machine: self._ask(machine) for machine in machines}
        wait(asked.values(), ANSWER)
        found = {machine: self._answer(machine, future) for machine, future in asked.items()}
        return {machine: trouble for machine, trouble in found.items() if trouble}

    def check_later(self, machine: Machine, tell: Callable[[str | None], object]) -> None:
        """The same of one that has come late."""
        future = self._ask(machine)
        future.add_done_callback(lambda done: self.heard.put(lambda: tell(self._answer(machine, done))))

    def _ask(self, machine: Machine) -> Any:
        import ray

        ask = ray.remote(sight.question())
        where = self._at(machine)
        ref = ask.options(num_cpus=0, max_retries=0, scheduling_strategy=where).remote(asdict(self._proof), machine.id)
        return ref.future()

    def _answer(self, machine: Machine, future: Any) -> str | None:
        if not future.done():
            return f"has not answered for {ANSWER:.0f} seconds: is it overloaded?"
        if error := future.exception():
            return f"cannot run Python for us ({_first_line(error)}): has it the same espcn?"
        said: str | None = future.result()
        if said is None and not sight.is_answered(self._proof, machine.id):
            return "writes to another destination than this machine: share it under the same path"
        return said

    def start(self, machine: Machine, cores: int, opened: Opened) -> Hand:
        """A new worker with so many cores, and a GPU where GPUs are used; `opened` is told when it is ready."""
        options = {"num_cpus": cores, "num_gpus": int(self.gpu), "max_restarts": 0, "max_concurrency": AT_ONCE}
        actor = self._class.options(scheduling_strategy=self._at(machine), **options).remote(self._order, cores)
        hand = Hand(machine, actor)
        self._call(hand, "open", (), lambda said, error: opened(hand, said, error))
        return hand

    def give(self, hand: Hand, method: str, work: Any, heard: Heard) -> None:
        """Let a worker do something."""
        self._call(hand, method, (work,), heard)

    def end(self, hand: Hand) -> None:
        """End a worker, whatever it is at."""
        hand.gone = True
        connection.quietly_kill(hand.actor)

    def _call(self, hand: Hand, method: str, arguments: tuple[Any, ...], heard: Heard) -> None:
        future = getattr(hand.actor, method).remote(*arguments).future()

        def tell(done: Any) -> None:
            error = _as_ours(done.exception())
            result = None if error else done.result()
            self.heard.put(lambda: heard(result, error))

        future.add_done_callback(tell)

    @staticmethod
    def _at(machine: Machine) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(machine.id, soft=False)


def _as_ours(error: BaseException | None) -> BaseException | None:
    """What a worker raised, or DeadError."""
    import ray

    if isinstance(error, ray.exceptions.RayError) and not isinstance(error, ray.exceptions.RayTaskError):
        return DeadError(type(error).__name__)
    return getattr(error, "cause", None) or error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(_as_ours(error)).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]
