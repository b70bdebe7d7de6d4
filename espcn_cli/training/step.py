"""How a network follows its gradients: one step of a training, in parts or, on a GPU of its own, as recorded graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from espcn_cli.training.cuda_graph import Recorded, Work, capture
from espcn_cli.training.parallel import Group, Loss, Threads
from espcn_cli.training.state import State


class Stepper(Protocol):
    """Descends once on the loss of a batch, and moves the average towards the network."""

    def __call__(self, state: State, loss: Loss, lr: Tensor, hr: Tensor, rate: float, towards: float) -> Tensor:
        """Take a step at a learning rate; the average goes this share of the way. Returns the loss, a scalar."""


@dataclass(frozen=True)
class Stepwise:
    """Gradients of each process's share of a batch, averaged over the group, then the optimiser's step."""

    worker: Threads | Recorded
    group: Group
    clip: float

    def __call__(self, state: State, loss: Loss, lr: Tensor, hr: Tensor, rate: float, towards: float) -> Tensor:
        merged = state.network.merged()
        mean, gradients = self.worker.gradients(loss, merged, lr, hr)
        self.group.average_([*gradients, mean])
        state.network.zero_grad()
        torch.autograd.backward(list(merged.values()), gradients)
        shorten_(state.network.parameters(), self.clip)
        state.optimiser.step(rate)
        with torch.no_grad():
            torch._foreach_lerp_(list(state.average.parameters()), list(state.network.parameters()), towards)
        return mean


@dataclass(frozen=True)
class Recording:
    """The two graphs of a step, and the places in memory that they read: the batch, the rate and the average's way."""

    places: list[Tensor]
    observe: Callable[[], list[Tensor]]
    move: Callable[[], list[Tensor]]


class Replayed:
    """The same step as two CUDA graphs, recorded at the first use of each loss and batch shape.

    What the optimiser does between them, now and then, cannot be recorded. Nothing here waits for the GPU.
    """

    def __init__(self, clip: float, record: Callable[[Work], Work] = capture) -> None:
        self.clip = clip
        self.record = record
        self.recordings: dict[Any, Recording] = {}

    def __call__(self, state: State, loss: Loss, lr: Tensor, hr: Tensor, rate: float, towards: float) -> Tensor:
        key = (loss, lr.shape, hr.shape)
        if key not in self.recordings:
            self.recordings[key] = self._record(state, loss, lr, hr)
        recording = self.recordings[key]
        batch, numbers = recording.places[:2], recording.places[2:]
        torch._foreach_copy_(batch, [lr, hr])
        for place, number in zip(numbers, (rate, towards), strict=True):
            place.fill_(number)
        (mean,) = recording.observe()
        state.optimiser.turn(state.step)
        recording.move()
        return mean.clone()

    def _record(self, state: State, loss: Loss, lr: Tensor, hr: Tensor) -> Recording:
        """Recording takes steps too: everything is put back to where it was."""
        before = {name: tensor.clone() for name, tensor in state.tensors().items()}
        places = [lr.clone(), hr.clone(), *(lr.new_zeros(()) for _ in range(2))]
        own: list[Tensor] = list(state.network.parameters())
        averages: list[Tensor] = list(state.average.parameters())

        def observe() -> list[Tensor]:
            mean = loss(state.network.network, state.network.merged(), places[0], places[1])
            state.network.zero_grad()
            torch.autograd.backward(mean)
            shorten_(own, self.clip)
            state.optimiser.observe()
            return [mean.detach()]

        @torch.no_grad()
        def move() -> list[Tensor]:
            state.optimiser.move(places[2])
            ways = torch._foreach_sub(own, averages)
            torch._foreach_mul_(ways, places[3])
            torch._foreach_add_(averages, ways)
            return []

        recording = Recording(places, self.record(observe), self.record(move))
        with torch.no_grad():
            for name, tensor in state.tensors().items():
                tensor.copy_(before[name])
        return recording


def shorten_(parameters: Iterable[Tensor], longest: float) -> None:
    """Shorten the gradients so that their norm is at most this; 0 leaves them as they are."""
    if longest:
        torch.nn.utils.clip_grad_norm_(parameters, longest)
