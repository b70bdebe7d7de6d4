"""How an interrupted training goes on: with the words that started it, and --resume."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path


def describe_rest(state: Path, resumed: bool, lost: int = 0) -> list[str]:
    """Lines: what is saved, and the command that continues from it.

    `resumed` if this one has --resume already; `lost` steps were taken since the state was saved.
    """
    start = launcher(os.environ)
    where = " (on each machine, with its own --node-rank)" if "--node-rank" in start else ""
    words = sys.argv[1:]
    if not resumed:
        words.insert(words.index("--") if "--" in words else len(words), "--resume")
    gone = f"the last {'step is' if lost == 1 else f'{lost} steps are'} lost; " if lost > 0 else ""
    return [
        f"espcn: stopped; {gone}{state} is saved; this command continues{where}:",
        f"  {shlex.join([*start, *words])}",
    ]


def launcher(environment: Mapping[str, str]) -> list[str]:
    """`espcn`, or `torchrun` with as many processes and machines as it has told this process of."""
    if "LOCAL_WORLD_SIZE" not in environment:
        return ["espcn"]
    each = environment["LOCAL_WORLD_SIZE"]
    machines = int(environment["WORLD_SIZE"]) // int(each)
    words = ["torchrun", "--nproc-per-node", each]
    if machines > 1:
        words += ["--nnodes", str(machines), "--node-rank", environment["GROUP_RANK"]]
        words += ["--master-addr", environment["MASTER_ADDR"], "--master-port", environment["MASTER_PORT"]]
    return [*words, "-m", "espcn_cli"]
