"""Ranges for networks in eight bits: they hold nearly all values, and trials only make the difference smaller."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from trainings import TINY

from espcn_cli.engines.engine import NotFiniteError
from espcn_cli.maths.quantisation import Range
from espcn_cli.network.espcn import ESPCN
from espcn_cli.network.layers import Convolution
from espcn_cli.settings import Activation, ModelSettings
from espcn_cli.training.calibration import EXTREME, calibrate, measured, refined, widened


def made(settings: ModelSettings = TINY) -> ESPCN:
    torch.manual_seed(0)
    network = ESPCN(settings).requires_grad_(False)
    network.tail.weight.normal_(0, 0.1)
    return network


def drawn(count: int = 8, side: int = 40, planes: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(4, planes, side, side, generator=generator) for _ in range(count)]


def inputs(network: ESPCN, batches: list[Tensor]) -> list[Tensor]:
    """All values that go into each layer, worked out one layer after another."""
    found = []
    x = torch.cat(batches)
    for layer in network.body:
        if isinstance(layer, Convolution):
            found.append(x)
        x = layer(x.clone())
    return found


def difference(network: ESPCN, ranges: tuple[Range, ...], lr: Tensor) -> float:
    wanted = network.quantise_(())(lr)
    found = network.quantise_(ranges)(lr)
    network.quantise_(())
    return float((found - wanted).square().mean())


@pytest.mark.parametrize("activation", ["prelu", "hardswish", "tanh"])
@torch.no_grad()
def test_ranges_hold_0_and_all_values_but_the_most_extreme(activation: Activation) -> None:
    network, batches = made(replace(TINY, activation=activation)), drawn()
    ranges = measured(network, batches)
    assert ranges[0] == (0.0, 1.0)
    for (least, greatest), values in zip(ranges[1:], inputs(network, batches)[1:], strict=True):
        assert least <= 0 < greatest
        assert (values < least).float().mean() <= EXTREME >= (values > greatest).float().mean()
        assert (values >= greatest).float().mean() >= EXTREME
        assert least == 0 or (values <= least).float().mean() >= EXTREME


def test_batches_of_other_sizes_count_by_their_values() -> None:
    """Cut up or whole, the same values have the same ends."""
    network, lr = made(replace(TINY, kernels=(1, 1, 1))), torch.cat(drawn())
    parts = [lr[:3], lr[3:4], lr[4:, :, :, :7], lr[4:, :, :, 7:]]
    for whole, cut in zip(measured(network, [lr]), measured(network, parts), strict=True):
        assert cut == pytest.approx(whole, rel=1e-5)


def test_trials_never_make_it_worse() -> None:
    network, batches = made(replace(TINY, widths=(4, 4, 4), kernels=(3, 3, 3, 3))), drawn(2)
    lr = torch.cat(batches)
    first = measured(network, batches)
    wide = tuple((4 * least, 4 * greatest) for least, greatest in first)
    for start in (first, wide):
        assert difference(network, refined(network, start, batches), lr) <= difference(network, start, lr)
    assert difference(network, refined(network, wide, batches), lr) < 0.9 * difference(network, wide, lr)


def test_the_same_ranges_each_time_and_the_network_stays_as_it_is() -> None:
    network, batches = made(), drawn()
    before = network(batches[0])
    ranges = calibrate(network, batches)
    assert torch.equal(network(batches[0]), before)
    assert calibrate(network, batches) == ranges
    assert calibrate(network.quantise_(ranges), batches) == ranges
    assert network.body[0].grid is not None


@pytest.mark.parametrize(
    "settings",
    [
        replace(TINY, planes=3, scale=3),
        replace(TINY, border="edge", value_range=(-0.5, 0.5)),
        replace(TINY, last_activation="sigmoid", skip="none", slopes="channel"),
    ],
    ids=["three planes", "edges of its own", "imported"],
)
def test_every_form_of_network_has_ranges(settings: ModelSettings) -> None:
    network, batches = made(settings), drawn(planes=settings.planes)
    ranges = calibrate(network, batches)
    assert len(ranges) == len(settings.kernels) and ranges[0] == settings.value_range
    assert difference(network, ranges, batches[0]) < 1e-4


def test_layers_that_see_nothing_but_0_have_ranges_too() -> None:
    network = made()
    network.load_state_dict({name: torch.zeros_like(tensor) for name, tensor in network.state_dict().items()})
    assert all(least < greatest for least, greatest in calibrate(network, drawn()))


def test_what_is_not_finite_is_refused() -> None:
    network = made()
    network.tail.weight.fill_(float("nan"))
    with pytest.raises(NotFiniteError):
        calibrate(network, drawn())


def test_patterns_widen_ranges_and_no_range_gets_narrower() -> None:
    network = made(ModelSettings(widths=(4, 4), kernels=(3, 3, 3)))
    narrow = ((0.0, 1.0), (-0.01, 0.01), (-0.01, 0.01))
    wide = widened(network, narrow)
    assert wide[0] == narrow[0]
    assert all(low <= -0.01 and high > 0.01 for low, high in wide[1:])
    enough = ((0.0, 1.0), (-99.0, 99.0), (-99.0, 99.0))
    assert widened(network, enough) == enough
