"""What `upscale` needs to hand its plan to a cluster: two options, and the way from them to the work."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from espcn_cli.cli.terminal import say
from espcn_cli.errors import UsageError

if TYPE_CHECKING:
    from espcn_cli.upscaling.outcome import Outcome, Task
    from espcn_cli.upscaling.pipeline import Options

Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="auto|local|ADDRESS",
        help="Share the files out to a Ray cluster (pip install 'espcn[cluster]'). local: workers on this machine, one "
        "for each GPU; auto: the address in RAY_ADDRESS.",
    ),
]
CoresPerWorker = Annotated[
    int | None,
    typer.Option(
        min=1, help="Cores of each of the cluster's workers. Default: about 4; with GPUs, what there is for each."
    ),
]


def check_options(cluster: str | None, cores_per_worker: int | None, threads: int | None, dry_run: bool) -> None:
    """Raise UsageError for options that do not go together. A dry run tells that it knows no cluster."""
    if cluster is None:
        if cores_per_worker is not None:
            raise UsageError("--cores-per-worker is for the workers of a cluster: add --cluster, or use --threads")
        return
    if threads is not None and cluster != "local":
        raise UsageError("--threads is for one machine: with --cluster use --cores-per-worker")
    if dry_run:
        say("espcn: a dry run does not ask the cluster: its times are those of this machine alone")


def work_on(
    cluster: str,
    cores_per_worker: int | None,
    device: str,
    quiet: bool,
    tasks: Sequence[Task | Outcome],
    model: str | None,
    scale: int | None,
    **how: Any,
) -> Callable[[Options], Generator[Outcome, None, None]]:
    """What does the tasks on a cluster; `how`: the options of `kit.pack`. Raises UsageError for pipes."""
    from espcn_cli.cluster import kit, sharing
    from espcn_cli.cluster.connection import address_of
    from espcn_cli.cluster.head import Rules

    sharing.check_tasks(tasks)
    kit.place_of(device, gpus=True)
    tell = (lambda line: None) if quiet else (lambda line: say(f"espcn: {line}"))
    way = sharing.Way(address_of(cluster), device, Rules(cores_per_worker, tell))
    pack = partial(kit.pack, model, scale, **how)
    return lambda options: sharing.run(way, partial(pack, all_scales=options.size is not None), tasks, options)
