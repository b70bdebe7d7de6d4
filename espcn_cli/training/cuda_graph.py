"""Gradients on a GPU: the networks are so small that starting their kernels is the work, so it is done once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from espcn_cli.training.parallel import Loss

WARM_UP = 3
"""Runs before the recording, in which libraries choose their algorithms and take their memory."""

Work = Callable[[], list[Tensor]]


def capture(work: Work) -> Work:
    """Record the kernels that `work` starts; what comes back starts them all at once, on and into the same tensors."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = work()

    def replay() -> list[Tensor]:
        graph.replay()
        return results

    return replay


class Recorded:
    """Gradients of a batch by a CUDA graph: one for each loss and batch shape, recorded at its first use.

    A graph reads and writes fixed places in memory, so batch and parameters are copied to them before it runs.
    """

    def __init__(self, network: nn.Module, record: Callable[[Work], Work] = capture) -> None:
        self.network = copy.deepcopy(network)
        self.record = record
        self.recordings: dict[Any, tuple[Work, list[Tensor]]] = {}

    def gradients(
        self, loss: Loss, parameters: Mapping[str, Tensor], lr: Tensor, hr: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """The mean loss over a batch (N, C, H, W), and its gradient by each of the parameters.

        The tensors are overwritten by the next call.
        """
        given = [lr, hr, *(p.detach() for p in parameters.values())]
        key = (loss, lr.shape, hr.shape)
        if key not in self.recordings:
            places = [tensor.clone() for tensor in given]
            names = list(parameters)

            def work() -> list[Tensor]:
                own = {name: p.detach().requires_grad_() for name, p in zip(names, places[2:], strict=True)}
                mean = loss(self.network, own, places[0], places[1])
                return [mean.detach(), *torch.autograd.grad(mean, list(own.values()))]

            self.recordings[key] = self.record(work), places
        replay, places = self.recordings[key]
        torch._foreach_copy_(places, given)
        mean, *gradients = replay()
        return mean, gradients
