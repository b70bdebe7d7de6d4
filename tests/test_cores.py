"""How many threads the work may use: cores, containers' quotas, and what the user says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from espcn_cli import cores


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    yield
    cores.limit(None)


def groups(folder: Path, line: str, **files: str) -> float | None:
    """The quota under a tree of control groups: a file's path with __ for each slash, and what it holds."""
    (folder / "self").write_text(line)
    for name, text in files.items():
        path = folder / "groups" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return cores.quota(folder / "groups", folder / "self")


def test_a_quota_of_version_2(tmp_path: Path) -> None:
    assert groups(tmp_path, "0::/\n", **{"cpu.max": "150000 100000\n"}) == 1.5
    assert groups(tmp_path, "0::/\n", **{"cpu.max": "max 100000\n"}) is None


def test_the_least_quota_on_the_way_up_counts(tmp_path: Path) -> None:
    files = {"box__cpu.max": "100000 100000", "box__deep__cpu.max": "400000 100000", "other__cpu.max": "1000 100000"}
    assert groups(tmp_path, "0::/box/deep\n", **files) == 1


def test_a_quota_of_version_1(tmp_path: Path) -> None:
    files = {"cpu,cpuacct__box__cpu.cfs_quota_us": "300000", "cpu,cpuacct__box__cpu.cfs_period_us": "100000"}
    line = "5:memory:/box\n4:cpu,cpuacct:/box\n0::/\n"
    assert groups(tmp_path, line, **files) == 3
    files = {"cpu,cpuacct__box__cpu.cfs_quota_us": "-1"}
    assert groups(tmp_path, line, **files) is None


def test_no_control_groups_are_no_limit(tmp_path: Path) -> None:
    assert cores.quota(tmp_path, tmp_path / "gone") is None


@pytest.mark.parametrize(("quota", "expected"), [(None, 8), (0.5, 1), (1.5, 2), (100.0, 8)])
def test_cores_within_the_quota(monkeypatch: pytest.MonkeyPatch, quota: float | None, expected: int) -> None:
    monkeypatch.setattr(cores, "available", lambda: 8)
    monkeypatch.setattr(cores, "quota", lambda: quota)
    assert cores.count() == expected


def test_what_the_user_says_counts_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert cores.count() == 3
    cores.limit(5)
    assert cores.count() == cores.chosen() == 5


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs a choice of cores")
def test_only_the_cores_that_this_process_may_run_on_count() -> None:
    core = min(os.sched_getaffinity(0))
    program = f"import os; os.sched_setaffinity(0, [{core}]); from espcn_cli import cores; print(cores.count())"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "1\n"


def test_waiting_is_passive_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.delenv("KMP_BLOCKTIME", raising=False)
    cores.wait_passively()
    assert (os.environ["OMP_WAIT_POLICY"], os.environ["KMP_BLOCKTIME"]) == ("ACTIVE", "0")
