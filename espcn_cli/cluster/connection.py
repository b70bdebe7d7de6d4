"""The way to a Ray cluster: one that runs, or one that is started here for the time of a command."""

from __future__ import annotations

import logging
import os
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import Any

from espcn_cli import cores
from espcn_cli.errors import EspcnError, UsageError

AUTO, LOCAL = "auto", "local"

VARIABLE = "RAY_ADDRESS"
"""Where Ray's own tools look for a cluster too."""

REMEDY = "pip install 'espcn[cluster]'"

STORE = 80 * 2**20
"""Bytes of a local cluster's object store: tasks and outcomes are small, pictures stay in their files."""

PATIENCE = 5.0
"""Seconds that an address may take to answer."""

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent anywhere
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True)
class Machine:
    """One of the cluster: Ray's name of it, and the one that people know it by."""

    id: str
    name: str
    cores: int
    gpus: int


def address_of(cluster: str) -> str:
    """What `--cluster` means. Raises UsageError if that is nothing, EspcnError if Ray is not installed."""
    if not cluster.strip():
        raise UsageError("--cluster: name an address such as 10.0.0.1:6379, or use auto or local")
    if find_spec("ray") is None:
        raise EspcnError(f"--cluster needs Ray, which is not installed: {REMEDY}")
    if cluster != AUTO:
        return cluster
    if address := os.environ.get(VARIABLE):
        return address
    raise UsageError(f"--cluster auto: {VARIABLE} is not set: set it, name an address, or use local for this machine")


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Ray, connected to a cluster while the block runs. Raises EspcnError, in one line, if that does not work."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if address not in (LOCAL, AUTO):
        _check_answers(address)
    import ray

    said: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    with TemporaryDirectory(prefix="espcn-ray-", ignore_cleanup_errors=True) as folder, _without_its_lines():
        if address == LOCAL:
            said |= {"num_cpus": cores.count(), "include_dashboard": False, "object_store_memory": STORE}
            said |= {"_temp_dir": folder}
        try:
            ray.init(address=address, **said)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise EspcnError(_no_way(address, error)) from None
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _without_its_lines() -> Iterator[None]:
    """What Ray prints of dying workers would go to standard output, amid the results; we tell of them ourselves."""
    import ray._private.worker as worker

    before = getattr(worker, "_worker_logs_enabled", True)
    worker._worker_logs_enabled = False
    try:
        yield
    finally:
        worker._worker_logs_enabled = before


def _check_answers(address: str) -> None:
    """Ray itself would try for a minute."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if "://" in address.removeprefix("ray://") or not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--cluster {address}: use auto, local, HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
    except OSError as error:
        reason = error.strerror or error
        raise EspcnError(f"--cluster {address}: nothing answers there ({reason}): is the cluster running?") from None


def _no_way(address: str, error: Exception) -> str:
    where = "Ray cannot be started here" if address == LOCAL else f"--cluster {address}: Ray cannot connect"
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    own = (
        ""
        if address == LOCAL or address.startswith("ray://")
        else ("; run the command on a machine of the cluster, with the cluster's versions of Python and Ray")
    )
    return f"{where} ({reason}){own}"


def machines() -> list[Machine]:
    """Those that are alive and have cores, in the order of their names."""
    import ray

    alive = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    names = Counter(map(_name, alive))
    return sorted(
        (
            Machine(
                node["NodeID"],
                _name(node) if names[_name(node)] == 1 else f"{_name(node)}, node {node['NodeID'][:8]}",
                int(node["Resources"]["CPU"]),
                int(node["Resources"].get("GPU", 0)),
            )
            for node in alive
        ),
        key=lambda machine: machine.name,
    )


def _name(node: dict[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"


def shares(machine: Machine, gpu: bool, cores_each: int | None) -> tuple[int, int]:
    """How many workers a machine takes, and how many cores each has.

    With GPUs one for each. Else one for every `cores_each` cores; by default for about four, so that all are used.
    """
    if gpu:
        count = machine.gpus
        each = cores_each or max(machine.cores // max(count, 1), 1)
        return min(count, machine.cores // each), each
    if cores_each:
        return machine.cores // cores_each, cores_each
    count = -(-machine.cores // USUAL_CORES)
    return count, machine.cores // count


USUAL_CORES = 4
"""Cores of a worker, about: more of them in one process wait for each other, fewer hold more models in memory."""


def quietly_kill(actor: Any) -> None:
    """End an actor that may have ended already."""
    import ray

    with suppress(ray.exceptions.RayError, ValueError, ConnectionError):
        ray.kill(actor)
