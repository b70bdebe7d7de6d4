"""Data-parallel training: two processes under torchrun end where one with the whole batch does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from making import save_picture
from torch import Tensor, nn
from torch.func import functional_call

from espcn_cli.errors import UsageError
from espcn_cli.network import espcn
from espcn_cli.network.espcn import ESPCN
from espcn_cli.settings import ModelSettings
from espcn_cli.training.parallel import Group, Threads, joined, one_thread, own_device

Make = Callable[..., ESPCN]

OPTIONS = ["-m", "espcn-s", "--steps", "6", "--batch-size", "4", "--patch-size", "16"]
ADAM = ["--optimiser", "adam", "--learning-rate", "2e-3", "--expansion", "4"]
TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
EXACT = ["--validate-every", "3", "--device", "cpu", "--precision", "fp32", "--valid", "valid"]


def train(folder: Path, output: str, *launcher: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *launcher, "espcn_cli", "train", "data", "-o", output, *OPTIONS, *ADAM, *EXACT]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)


@pytest.mark.skipif(sys.platform == "win32", reason="gloo is tested on Unix")
def test_two_processes_give_the_result_of_one(tmp_path: Path) -> None:
    for index in range(3):
        save_picture(tmp_path / "data" / f"{index}.png", 48, 40, index)
    save_picture(tmp_path / "valid" / "v.png", 40, 40, 9)
    one = train(tmp_path, "one.safetensors")
    two = train(tmp_path, "two.safetensors", *TORCHRUN, "-m")
    assert one.returncode == 0, one.stderr
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("dB on 1 validation picture,") == 1  # rank 0 alone speaks
    assert two.stderr.count("step 3:") == 1
    networks = [espcn.load(tmp_path / f"{name}.safetensors")[0].state_dict() for name in ("one", "two")]
    for name, tensor in networks[0].items():
        assert torch.allclose(tensor, networks[1][name], atol=1e-5), name


AFTERWARDS = """
import weakref
import torch
import torch.distributed as dist
from espcn_cli.training.parallel import joined

with joined(torch.device("cpu"), 2):
    import torch.distributed.nn.functional  # as PyTorch does itself sooner or later
    held = weakref.ref(dist.distributed_c10d._get_default_group())
assert held() is None
"""


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand-ins for two GPUs: the list of what has become the current device, and of what is no more."""
    current: list[str] = []

    class Current:
        def __init__(self, device: torch.device) -> None:
            self.device = device

        def __enter__(self) -> None:
            current.append(str(self.device))

        def __exit__(self, *_: object) -> None:
            current.append(f"not {self.device}")

    monkeypatch.setattr(torch.cuda, "device", Current)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    return current


def under_torchrun(monkeypatch: pytest.MonkeyPatch, local_rank: int, processes: int) -> None:
    for name, value in (("LOCAL_RANK", local_rank), ("LOCAL_WORLD_SIZE", processes), ("WORLD_SIZE", processes)):
        monkeypatch.setenv(name, str(value))


@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_the_device_of_a_training_is_the_current_one_while_it_runs(name: str, gpus: list[str]) -> None:
    with own_device(torch.device(name)) as device:
        assert (str(device), gpus) == (name, [name])
    assert gpus == [name, f"not {name}"]


@pytest.mark.parametrize("rank", [0, 1])
def test_each_process_of_torchrun_has_a_gpu_of_its_own(
    rank: int, gpus: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    under_torchrun(monkeypatch, rank, 2)
    started: list[str] = []
    monkeypatch.setattr(dist, "init_process_group", lambda backend: started.append(f"{backend} on {gpus[-1]}"))
    monkeypatch.setattr(dist, "destroy_process_group", lambda: None)
    monkeypatch.setattr(dist, "get_rank", lambda: rank)
    with own_device(torch.device("cuda")) as device, joined(device, 4) as group:
        assert device == torch.device("cuda", rank)
        assert group == Group(rank, 2, device)
    assert started == [f"nccl on cuda:{rank}"]


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize(
    ("name", "local_rank", "processes", "complaint"),
    [
        ("cuda:1", 0, 2, "--device cuda:1 is one GPU for 2 processes: use --device cuda"),
        ("cuda", 2, 3, "3 processes need 3 GPUs, not 2: use --nproc-per-node 2"),
    ],
)
def test_processes_without_a_gpu_of_their_own_are_refused(
    name: str, local_rank: int, processes: int, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_torchrun(monkeypatch, local_rank, processes)
    with pytest.raises(UsageError, match=complaint), own_device(torch.device(name)):
        pass


def test_one_process_on_each_of_several_machines_may_name_its_gpu(
    gpus: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    under_torchrun(monkeypatch, 0, 1)
    with own_device(torch.device("cuda:1")):
        assert gpus == ["cuda:1"]


def test_processes_on_a_cpu_share_it(gpus: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    under_torchrun(monkeypatch, 1, 2)
    with own_device(torch.device("cpu")) as device:
        assert device == torch.device("cpu")
    assert not gpus


@pytest.mark.skipif(sys.platform == "win32", reason="gloo is tested on Unix")
def test_nothing_is_left_of_a_group_to_end_after_python_does(tmp_path: Path) -> None:
    """A thread of gloo's that did so aborted a finished training now and then."""
    script = tmp_path / "afterwards.py"
    script.write_text(AFTERWARDS)
    command = [sys.executable, "-m", *TORCHRUN, str(script)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(("threads", "batch"), [(1, 4), (2, 4), (2, 5), (3, 2), (9, 8)])
def test_threads_work_out_the_gradients_of_the_whole_batch(threads: int, batch: int, make_network: Make) -> None:
    """However many there are, and however unevenly the batch falls to them: up to the order of sums, and the same bits
    each time."""
    network = make_network(ModelSettings(widths=(4,), kernels=(3, 3))).requires_grad_()
    generator = torch.Generator().manual_seed(0)
    lr, hr = torch.rand(batch, 1, 6, 6, generator=generator), torch.rand(batch, 1, 12, 12, generator=generator)
    parameters: dict[str, Tensor] = dict(network.named_parameters())
    expected = squares(network, parameters, lr, hr)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        crew = Threads(network, batch, torch.device("cpu"))
        loss, gradients = crew.gradients(squares, parameters, lr, hr)
        again = crew.gradients(squares, parameters, lr, hr)[1]
        assert torch.get_num_threads() == threads  # what comes after the training is not slowed down
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(gradients, [*torch.autograd.grad(expected, list(parameters.values()))])
    assert all(torch.equal(a, b) for a, b in zip(gradients, again, strict=True))
    assert all(parameter.grad is None for parameter in network.parameters())


def test_one_thread_is_for_the_block_alone() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyError), one_thread():
        assert torch.get_num_threads() == 1
        raise KeyError
    assert torch.get_num_threads() == before


def squares(network: nn.Module, parameters: dict[str, Tensor], lr: Tensor, hr: Tensor) -> Tensor:
    sr: Tensor = functional_call(network, parameters, (lr,))
    return (sr - hr).square().mean()


def test_shares_of_a_batch_are_disjoint_and_complete() -> None:
    batch = torch.arange(12).view(6, 2)
    shares = [batch[Group(rank, 3).share] for rank in range(3)]
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
