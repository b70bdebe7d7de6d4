"""The way of the picture through a network without a skip: bicubic at the start, held while the rest learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from espcn_cli.maths.resize import interpolate
from espcn_cli.network import checkpoint, weights
from espcn_cli.network.espcn import ESPCN
from espcn_cli.network.linear_path import follows, linear_path
from espcn_cli.settings import SCALES, ModelSettings, TrainSettings, architecture
from espcn_cli.training import run
from espcn_cli.training.job import Job
from espcn_cli.training.linear_blocks import plain_network
from espcn_cli.training.state import State
from espcn_cli.training.warm_start import warm_start

SMALL = ModelSettings(widths=(4, 6), kernels=(5, 3, 3), activation="tanh", skip="none")


def noise(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    "settings",
    [
        architecture("espcn"),
        SMALL,
        replace(SMALL, widths=(2, 3, 5), kernels=(1, 3, 3, 5)),
    ],
)
def test_an_untrained_network_is_bicubic_but_for_the_bend_of_tanh(
    settings: ModelSettings, scale: int, photo: Tensor
) -> None:
    """tanh(t) = t - t³/3 + ..., and t <= 0.05: at most 0.0004 of 1 is lost in one layer, at black and white. Beyond
    the border it sees grey."""
    settings = replace(settings, scale=scale)
    lr = photo[:, :1, :16, :18]
    with torch.no_grad():
        sr = ESPCN(settings)(lr)
    inner = (..., slice(2 * scale, -2 * scale), slice(2 * scale, -2 * scale))
    bend = len(settings.widths) * 0.5 * 0.05**2 / 3
    torch.testing.assert_close(sr[inner], interpolate(lr, scale)[inner], atol=1.6 * bend + 1e-6, rtol=0)


@pytest.mark.parametrize(
    "settings",
    [
        architecture("espcn-s"),  # has a skip
        replace(SMALL, activation="prelu"),
        replace(SMALL, planes=3),
        replace(SMALL, widths=(4, 4)),  # the path would be all there is
        replace(SMALL, widths=(8,), kernels=(5, 3)),
        replace(SMALL, kernels=(5, 1, 3)),
        replace(SMALL, kernels=(5, 3, 1)),
    ],
)
def test_there_is_no_path_where_it_has_no_place(settings: ModelSettings) -> None:
    assert linear_path(settings) == {}


def test_every_other_unit_is_free() -> None:
    held = {name: int(where.sum()) for name, (where, _) in linear_path(SMALL).items()}
    assert held == {
        "body.0.weight": 1 * 1 * 25,
        "body.0.bias": 1,
        "body.2.weight": 4 * 4 * 9,
        "body.2.bias": 4,
        "body.4.weight": 4 * 4 * 9,
        "body.4.bias": 0,
    }


def make_state(settings: ModelSettings, start: ESPCN | None = None, expansion: int = 8) -> State:
    training = TrainSettings(expansion=expansion)
    job = Job(Path("unused.safetensors"), "mine", settings, training, [], [])
    return run.make_state(job, torch.device("cpu"), start)


def train_(state: State, settings: ModelSettings, steps: int = 3) -> ESPCN:
    r = settings.scale
    for step in range(steps):
        state.network.zero_grad()
        (state.network(noise(step, 2, 1, 8, 8)) - noise(step + 100, 2, 1, 8 * r, 8 * r)).abs().mean().backward()
        state.optimiser.step(1e-2)
    return plain_network(state.network, settings)


@pytest.mark.parametrize("expansion", [0, 8])
def test_training_goes_on_around_the_path(expansion: int) -> None:
    state = make_state(SMALL, expansion=expansion)
    before = plain_network(state.network, SMALL).state_dict()
    after = train_(state, SMALL).state_dict()
    for name, (where, values) in linear_path(SMALL).items():
        assert torch.equal(after[name][where], values[where])
        assert not torch.equal(after[name][~where], before[name][~where])


def test_a_trained_network_with_its_path_keeps_it_and_one_without_is_free() -> None:
    trained = train_(make_state(SMALL), SMALL)
    path = linear_path(SMALL)
    assert follows(train_(make_state(SMALL, trained), SMALL).state_dict(), path)
    with torch.no_grad():
        trained.get_parameter("body.0.weight")[0, 0, 0, 0] = 0.01
    free = train_(make_state(SMALL, trained), SMALL).state_dict()
    changed = [not torch.equal(free[name][where], values[where]) for name, (where, values) in path.items()]
    assert all(changed[:-1])  # the last bias has no part in the path


@pytest.mark.parametrize("kept", [True, False])
def test_a_warm_start_of_another_scale_is_bicubic_if_the_body_has_the_path(kept: bool, tmp_path: Path) -> None:
    """Where it has none, the bicubic kernels would meet units that are something else, ten times too strongly."""
    trained = train_(make_state(SMALL), SMALL)
    if not kept:
        trained.get_parameter("body.0.weight").data.normal_()
    weights.save(tmp_path / "start.safetensors", trained, checkpoint.Card(SMALL, "mine"))
    other = replace(SMALL, scale=3)
    start = warm_start(tmp_path / "start.safetensors", other, seed=0)
    assert follows(start.state_dict(), linear_path(other)) == kept
    assert kept or start.tail.weight.abs().max() < 1.5
    x = noise(0, 1, 1, 12, 12)
    if kept:
        with torch.no_grad():
            sr = start(x)
        torch.testing.assert_close(sr[..., 6:-6, 6:-6], interpolate(x, 3)[..., 6:-6, 6:-6], atol=2e-3, rtol=0)
