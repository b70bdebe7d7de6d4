"""A step as recorded graphs: with a stand-in for the recording, the same as the step in parts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from espcn_cli.settings import ModelSettings, Optimiser, TrainSettings
from espcn_cli.training.cuda_graph import Work
from espcn_cli.training.job import Job
from espcn_cli.training.objective import make_loss
from espcn_cli.training.optimiser import REFRESH
from espcn_cli.training.parallel import CPU, Group, Threads
from espcn_cli.training.run import make_state
from espcn_cli.training.state import State
from espcn_cli.training.step import Replayed, Stepper, Stepwise

CLIP = 0.1


class Tape:
    """Records as a GPU does: the work runs before it is recorded too, and then again into the same tensors."""

    def __init__(self) -> None:
        self.recorded = 0

    def __call__(self, work: Work) -> Work:
        self.recorded += 1
        work()
        results = work()

        def replay() -> list[Tensor]:
            for place, value in zip(results, work(), strict=True):
                place.copy_(value)
            return results

        return replay


def state(optimiser: Optimiser) -> State:
    settings = TrainSettings(optimiser=optimiser, expansion=8)
    return make_state(
        Job(Path("x.safetensors"), "x", ModelSettings(widths=(4,), kernels=(3, 3)), settings, [], []), CPU
    )


def stepped(state: State, step: Stepper, count: int) -> list[float]:
    """Steps with another rate and batch each, of two sizes and losses. Returns the losses."""
    generator = torch.Generator().manual_seed(0)
    losses = []
    for number in range(count):
        side = 6 if number % 3 else 8
        lr = torch.rand(4, 1, side, side, generator=generator)
        hr = torch.rand(4, 1, 2 * side, 2 * side, generator=generator)
        loss = make_loss("l1" if number % 3 else "mse", "cpu", torch.float32)
        losses.append(float(step(state, loss, lr, hr, 1e-2 / (number + 1), 1 / (number + 2))))
        state.step += 1
    return losses


@pytest.mark.parametrize("optimiser", ["adam", "soap"])
def test_recorded_steps_are_the_same_as_steps_in_parts(optimiser: Optimiser) -> None:
    parts, replayed = state(optimiser), state(optimiser)
    tape = Tape()
    expected = stepped(parts, Stepwise(Threads(parts.network.network, 4, CPU), Group(), CLIP), REFRESH + 3)
    losses = stepped(replayed, Replayed(CLIP, tape), REFRESH + 3)
    assert tape.recorded == 2 * 2  # two graphs, for each of two kinds of batch
    assert losses == pytest.approx(expected, rel=1e-4)
    for name, tensor in parts.tensors().items():
        torch.testing.assert_close(replayed.tensors()[name], tensor, rtol=1e-3, atol=1e-5, msg=name)


def test_recording_leaves_no_trace() -> None:
    """Its runs are steps as well: after it, everything is as before."""
    one = state("soap")
    before = {name: tensor.clone() for name, tensor in one.tensors().items()}
    batch = torch.rand(2, 1, 6, 6), torch.rand(2, 1, 12, 12)
    Replayed(CLIP, Tape())._record(one, make_loss("l1", "cpu", torch.float32), *batch)
    assert all(torch.equal(tensor, before[name]) for name, tensor in one.tensors().items())
