"""How an interrupted training goes on: with the words that started it, and --resume."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path


def describe_rest(state: Path, resumed: bool) -> list[str]:
    """Lines: what is saved, and the command that continues from it; `resumed` if this one has --resume already."""
    if not state.is_file():
        return ["espcn: stopped; nothing was saved yet"]
    start = launcher(os.environ)
    where = " (on each machine, with its own --node-rank)" if "--node-rank" in start else ""
    command = shlex.join([*start, *sys.argv[1:], *([] if resumed else ["--resume"])])
    return [f"espcn: stopped; {state} is saved; this command continues{where}:", f"  {command}"]


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
