"""Training side by side: threads and, under `torchrun`, processes take shares of a batch; gradients are averaged."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from espcn_cli.errors import UsageError

MOST_THREADS = 4
"""Python runs one thread at a time between two operations, so more than a few would wait for each other there."""

CPU = torch.device("cpu")

WHOLE = slice(None)
"""All of a batch, where no process has a part of it."""

Loss = Callable[[nn.Module, dict[str, Tensor], Tensor, Tensor], Tensor]
"""Network, parameters to use in place of its own, LR and HR -> mean loss (a scalar)."""


class Threads:
    """Gradients of a batch, each thread working out its share from beginning to end.

    PyTorch's own threads share out every single operation and wait for each other after each one. With a busy machine
    beside them, or with operations as small as these, that is most of the time. Here they wait once in a step.
    """

    def __init__(self, network: nn.Module, batch: int, device: torch.device) -> None:
        available = torch.get_num_threads() if device.type == "cpu" else 1
        each = math.ceil(available / MOST_THREADS)  # PyTorch's own, inside each of ours
        count = min(available // each, batch)
        self.networks = [copy.deepcopy(network) for _ in range(count)]  # one each: `functional_call` writes to it
        self.pool: ThreadPoolExecutor | None = None
        if count > 1:
            self.pool = ThreadPoolExecutor(count, initializer=lambda: torch.set_num_threads(each))

    def gradients(
        self, loss: Loss, parameters: Mapping[str, Tensor], lr: Tensor, hr: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """The mean loss over a batch (N, C, H, W), and its gradient by each of the parameters.

        The same bits for the same number of threads: thread i takes every n-th patch from i on, and sums are in order.
        """
        count = min(len(self.networks), len(lr))

        def share(i: int) -> list[Tensor]:
            own = {name: p.detach().requires_grad_() for name, p in parameters.items()}
            mean = loss(self.networks[i], own, lr[i::count], hr[i::count])
            weight = len(lr[i::count]) / len(lr)
            by_each = torch.autograd.grad(mean * weight, list(own.values()))
            return [mean.detach() * weight, *by_each]

        first, *others = self.pool.map(share, range(count)) if self.pool and count > 1 else [share(0)]
        for other in others:
            torch._foreach_add_(first, other)
        return first[0], first[1:]


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch computes on the calling thread alone; after that, on as many as before.

    Its other threads go on spinning for a while after each operation, on the cores that ours would work on.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Group:
    """The processes of this training: `size` of them, this one being `rank`. Rank 0 alone writes and reports.

    Numbers are exchanged from `device`: this process's own GPU, or the CPU.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @property
    def leads(self) -> bool:
        return self.rank == 0

    @property
    def share(self) -> slice:
        """This process's part of a batch: every size-th item, from its rank on."""
        return slice(self.rank, None, self.size)

    def average_(self, tensors: Iterable[Tensor | None]) -> None:
        """Replace tensors by their mean over the processes, in place, in one exchange."""
        if self.size == 1:
            return
        present = [tensor for tensor in tensors if tensor is not None]
        flat = torch.cat([tensor.flatten() for tensor in present])
        dist.all_reduce(flat)
        flat /= self.size
        for tensor, part in zip(present, torch.split(flat, [t.numel() for t in present]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def from_leader(self, *values: float) -> tuple[float, ...]:
        """Rank 0's numbers, at every rank."""
        if self.size == 1:
            return values
        exchanged = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.broadcast(exchanged, 0)
        return tuple(exchanged.tolist())

    def greatest(self, value: int) -> int:
        """The greatest of all ranks' numbers."""
        if self.size == 1:
            return value
        exchanged = torch.tensor(value, device=self.device)
        dist.all_reduce(exchanged, dist.ReduceOp.MAX)
        return int(exchanged)


@contextmanager
def joined(device: torch.device, batch_size: int) -> Iterator[Group]:
    """The group that `torchrun` set up in the environment (gloo on CPUs, NCCL on GPUs), or a group of one.

    Afterwards nothing is left of it: a thread of gloo's that outlives Python's own end aborts the process.
    Raises UsageError if the batch cannot be shared out evenly: the average of gradients would not be the batch's.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Group()
        return
    if batch_size % size:
        raise UsageError(f"--batch-size {batch_size} cannot be shared by {size} processes: use a multiple of {size}")
    import torch.distributed.nn  # noqa: F401  # imported later, its functions' defaults would hold the group for ever

    on_gpus = device.type == "cuda"
    dist.init_process_group("nccl" if on_gpus else "gloo")
    try:
        yield Group(dist.get_rank(), size, device if on_gpus else CPU)
    finally:
        dist.destroy_process_group()


@contextmanager
def own_device(device: torch.device) -> Iterator[torch.device]:
    """The device of this process; if a GPU, it is the current one: streams, graphs and NCCL take that without asking.

    Under `torchrun`, `cuda` is the GPU of the process's number on its machine. Raises UsageError if there is none, or
    if all processes are sent to the same one.
    """
    if device.type != "cuda":
        yield device
        return
    gpu = own_gpu(device)
    with torch.cuda.device(gpu):
        yield gpu


def own_gpu(device: torch.device) -> torch.device:
    """`cuda` or `cuda:N` for this process: see `own_device`."""
    number, processes = os.environ.get("LOCAL_RANK"), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if device != torch.device("cuda"):
        if processes > 1:
            raise UsageError(f"--device {device} is one GPU for {processes} processes: use --device cuda")
        return device
    if number is None:
        return device
    count = torch.cuda.device_count()
    if int(number) >= count:
        raise UsageError(f"{processes} processes need {processes} GPUs, not {count}: use --nproc-per-node {count}")
    return torch.device("cuda", int(number))
