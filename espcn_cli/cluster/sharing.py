"""`pipeline.run` on many machines: the same tasks in, the same outcomes out."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace

from PIL import Image

from espcn_cli.cluster import connection, sight
from espcn_cli.cluster.clips import Studio, taken_apart
from espcn_cli.cluster.connection import LOCAL, Machine, address_of, connected, shares
from espcn_cli.cluster.crew import Crew
from espcn_cli.cluster.head import Head, Rules, several
from espcn_cli.cluster.kit import Kit, Place, place_of
from espcn_cli.cluster.worker import Order
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.files import is_stream
from espcn_cli.paths import STREAM
from espcn_cli.settings import MAX_PIXELS
from espcn_cli.upscaling.outcome import Outcome, Task
from espcn_cli.upscaling.outputs import settle
from espcn_cli.upscaling.pipeline import Options, tidy

Check = Callable[[Crew, Sequence[Machine]], dict[Machine, str]]
"""Those machines that cannot take part, and why."""


@dataclass(frozen=True)
class Way:
    """How a batch gets to a cluster: see `connection.address_of`, `kit.place_of` and `Rules`."""

    cluster: str
    device: str = "auto"
    rules: Rules = field(default_factory=Rules)
    check: Check = Crew.check


def check_tasks(tasks: Sequence[Task | Outcome]) -> None:
    """Raise UsageError if a task goes through a pipe or a device, which no other machine can reach."""
    for task in tasks:
        if isinstance(task, Task) and (task.streams or task.source == STREAM or is_stream(task.source)):
            raise UsageError("--cluster is for files: standard input, standard output and pipes stay on this machine")


def run(
    way: Way, pack: Callable[[Place], Kit], tasks: Sequence[Task | Outcome], options: Options
) -> Generator[Outcome, None, None]:
    """Do the tasks on a cluster, and yield what became of each when it is ready.

    `pack` makes the model for what workers compute on. Raises EspcnError, before anything is begun, for a cluster that
    cannot be reached and machines that do not see sources and destination or have another espcn.
    """
    address = address_of(way.cluster)
    settled = [settle(task, options.overwrite, options.skip_existing) for task in tasks]
    yield from (task for task in settled if isinstance(task, Outcome))
    todo = [(index, task) for index, task in enumerate(settled) if isinstance(task, Task)]
    if not todo:
        return
    with connected(address), sight.posted([task for _, task in todo]) as proof:
        machines = connection.machines()
        place = place_of(way.device, any(machine.gpus for machine in machines))
        usable = _usable(machines, place == "cuda", way.rules.cores_each)
        kit = pack(place)
        crew = Crew(_order(kit, options), proof, place == "cuda")
        if address != LOCAL and (troubles := way.check(crew, usable)):
            raise EspcnError(f"--cluster: {several(troubles.items())}")
        tidy(settled)
        workers = sum(shares(machine, crew.gpu, way.rules.cores_each)[0] for machine in usable)
        apart = taken_apart([task for _, task in todo], workers)
        head = Head(crew, connection.machines, way.rules)
        studio = Studio(head, kit.sealed(), options.of_films(), workers, alone=len(tasks) == 1)
        studio.begin(apart)
        try:
            whole = [(index, task) for index, task in todo if task not in apart]
            yield from head.run(usable, whole, beside=len(apart))
        finally:
            studio.close()


def _usable(machines: Sequence[Machine], gpu: bool, cores_each: int | None) -> list[Machine]:
    """The machines that take workers. Raises EspcnError if there are none."""
    usable = [machine for machine in machines if shares(machine, gpu, cores_each)[0]]
    if not usable:
        most = max((machine.cores for machine in machines), default=0)
        wanted = f"has {cores_each} cores: use --cores-per-worker {most} or less" if most else "has cores for workers"
        raise EspcnError(f"--cluster: no machine of the cluster {wanted}")
    return usable


def _order(kit: Kit, options: Options) -> Order:
    quiet = replace(
        options,
        film=replace(options.film, progress=None, tidy=False),
        archive=replace(options.archive, progress=None),
    )
    return Order(kit, quiet, os.getcwd(), Image.MAX_IMAGE_PIXELS or MAX_PIXELS)  # noqa: PTH109
