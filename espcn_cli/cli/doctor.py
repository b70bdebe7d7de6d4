"""`espcn doctor` on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from espcn_cli.cli.terminal import Json, show, show_json
from espcn_cli.figures import amount

if TYPE_CHECKING:
    from espcn_cli.reports.caches import Kept
    from espcn_cli.reports.health import Engines, Health
    from espcn_cli.reports.installed import Extra, Package
    from espcn_cli.reports.machine import Memory

WIDTH = 13
"""Characters of the first column."""


def doctor(
    clean: Annotated[
        bool, typer.Option("--clean", help="Remove what espcn keeps in its cache folder, and say how much it was.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Try PyTorch and plots too, which take seconds to import.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Examine the installation and the machine: versions, extras, engines, processor, threads, memory, caches.

    What is wrong comes last, each with its remedy, and makes the exit code 1. Paste it all into a report of a fault:
    your home folder is called ~ in it. Nothing is sent anywhere.
    """
    from espcn_cli.reports import caches
    from espcn_cli.reports.health import examine, without_home

    if clean:
        removed = caches.remove()
        if as_json:
            show_json([{"kind": each.kind, "files": each.files, "bytes": each.bytes} for each in removed])
        else:
            show(without_home("\n".join(describe_kept(each) for each in removed)) or "nothing is kept")
        return
    health = examine(verbose)
    if as_json:
        show_json(health.to_dict())
    else:
        show(without_home(format_health(health)))
    if health.problems:
        raise typer.Exit(1)


def format_health(health: Health) -> str:
    """A block of plain text: a title and its lines, one after the other."""
    parts = {
        "espcn": [f"{health.version} in {health.folder}"],
        "Python": [f"{health.python}, {health.executable}"],
        "System": [health.system],
        "Packages": [describe_package(each) for each in health.packages],
        "Pillow has": [", ".join(f"{name} {version or 'missing'}" for name, version in health.pillow.items())],
        "Extras": [describe_extra(each) for each in health.extras],
        "Engines": describe_engines(health.engines),
        "Processor": [health.processor.name, describe_features(health.processor.features)],
        "Threads": [f"{health.threads.used} ({health.threads.reason})"],
        "Memory": [describe_memory(health.memory)],
        "Own models": [f"{', '.join(health.own_models) or 'none'} in {health.models_folder}"],
        "Caches": [health.cache_folder, *map(describe_kept, health.caches)],
        "Environment": [f"{name}={value}" for name, value in health.environment.items()],
        "Problems": list(health.problems) or ["none found"],
    }
    return "\n".join(
        f"{title if index == 0 else '':{WIDTH}}{line}"
        for title, lines in parts.items()
        for index, line in enumerate(line for line in lines if line)
    )


def describe_package(package: Package) -> str:
    """Name and version, and whether it is of use."""
    broken = ", does not work" if package.version and package.error else ""
    return f"{package.name} {package.version or 'not installed'}{broken}"


def describe_extra(extra: Extra) -> str:
    """What is there of it, what it is for, and how to get the rest."""
    there = ", ".join(describe_package(each) for each in extra.packages) or "newer than this installation"
    return f"{extra.name}: {there}" + (f" ({extra.purpose}: {extra.remedy})" if extra.remedy else "")


def describe_engines(engines: Engines) -> list[str]:
    """What models run by and why, a line for each way; then the devices that there are."""
    lines = [
        f"{way.engine} on {way.device} in {way.precision} ({way.reason})"
        + (f": {', '.join(way.models)}" if len(engines.ways) > 1 else "")
        for way in engines.ways
    ]
    if engines.openvino_devices:
        lines.append(
            "OpenVINO finds " + ", ".join(f"{name} ({what})" for name, what in engines.openvino_devices.items())
        )
    if engines.gpus:
        lines.append(f"PyTorch with CUDA {engines.cuda} finds {', '.join(engines.gpus)}")
    elif not engines.driver:
        lines.append("no GPU of NVIDIA's")
    return lines


def describe_features(features: tuple[str, ...] | None) -> str:
    return "features not known" if features is None else " ".join(features)


def describe_memory(memory: Memory) -> str:
    """How much is free of how much, and what a container allows."""
    limit = f", a container allows {size(memory.limit)}" if memory.limit is not None else ""
    return f"{size(memory.free)} free of {size(memory.total)}{limit}"


def describe_kept(kept: Kept) -> str:
    return f"{amount(kept.files, 'file')}, {size(kept.bytes)}: {kept.kind}"


def size(count: int | None) -> str:
    """Bytes for people."""
    if count is None:
        return "?"
    for limit, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= limit:
            return f"{count / limit:.1f} {unit}"
    return f"{count} bytes"
