"""Data-parallel training: two processes under torchrun end where one with the whole batch does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pictures import save_picture

from espcn_cli import checkpoint
from espcn_cli.errors import UsageError
from espcn_cli.parallel import Group, joined

OPTIONS = ["-m", "espcn-s", "--steps", "6", "--batch-size", "4", "--patch-size", "16", "--expansion", "4"]
EXACT = ["--validate-every", "3", "--device", "cpu", "--precision", "fp32", "--valid", "valid"]


def train(folder: Path, output: str, *launcher: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *launcher, "espcn_cli", "train", "data", "-o", output, *OPTIONS, *EXACT]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)


@pytest.mark.skipif(sys.platform == "win32", reason="gloo is tested on Unix")
def test_two_processes_give_the_result_of_one(tmp_path: Path) -> None:
    for index in range(3):
        save_picture(tmp_path / "data" / f"{index}.png", 48, 40, index)
    save_picture(tmp_path / "valid" / "v.png", 40, 40, 9)
    one = train(tmp_path, "one.safetensors")
    two = train(tmp_path, "two.safetensors", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m")
    assert one.returncode == 0, one.stderr
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("dB on 1 validation pictures") == 1  # rank 0 alone speaks
    assert two.stderr.count("step 3:") == 1
    networks = [checkpoint.load(tmp_path / f"{name}.safetensors")[0].state_dict() for name in ("one", "two")]
    for name, tensor in networks[0].items():
        assert torch.allclose(tensor, networks[1][name], atol=1e-5), name


def test_shares_of_a_batch_are_disjoint_and_complete() -> None:
    batch = torch.arange(12).view(6, 2)
    shares = [Group(rank, 3).share(batch) for rank in range(3)]
    assert [share[:, 0].tolist() for share in shares] == [[0, 6], [2, 8], [4, 10]]


def test_alone_nothing_is_exchanged() -> None:
    with joined(torch.device("cpu"), 7) as group:
        assert group == Group(0, 1)
        assert group.from_leader(1.5, 2.0) == (1.5, 2.0)
        assert group.greatest(3) == 3


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with (
        pytest.raises(UsageError, match="--batch-size 6 cannot be shared by 4 processes"),
        joined(torch.device("cpu"), 6),
    ):
        pass
