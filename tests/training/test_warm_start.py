"""A trained network as the start of another training: wider, narrower, at another scale, or all at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from espcn_cli.errors import EspcnError
from espcn_cli.maths.resize import interpolate
from espcn_cli.network import checkpoint, weights
from espcn_cli.network.espcn import ESPCN
from espcn_cli.network.layers import Convolution
from espcn_cli.network.linear_path import follows, linear_path
from espcn_cli.settings import ACTIVATIONS, Activation, ModelSettings
from espcn_cli.training.warm_start import narrowed, warm_start, widened

NARROW = ModelSettings(widths=(4, 6, 5), kernels=(3, 3, 5, 3))


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def trained(settings: ModelSettings) -> ESPCN:
    """A network that has left its start: all weights are drawn, small enough to stay near the picture."""
    torch.manual_seed(1)
    network = ESPCN(settings)
    for parameter in network.parameters():
        parameter.data.normal_(std=0.1)
    return network


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_widened_network_does_the_same_and_can_learn_more(activation: Activation) -> None:
    """Net2Net (Chen et al. 2016, arXiv 1511.05641): the function is kept. All new kernels are alive, and the old
    planes would listen to them after the first step."""
    network = trained(replace(NARROW, activation=activation))
    wide = widened(network, (7, 6, 8))
    assert wide.settings == replace(network.settings, widths=(7, 6, 8))
    x = noise(2, 1, 9, 11)
    torch.testing.assert_close(wide(x), network(x), atol=1e-6, rtol=0)
    (wide(x) - noise(2, 1, 18, 22)).square().mean().backward()
    assert wide.tail.weight.grad is not None
    assert (wide.tail.weight.grad[:, 5:].flatten(2).abs().amax(dim=2) > 0).all()


def test_a_network_of_the_same_widths_is_widened_by_nothing() -> None:
    network = trained(NARROW)
    assert widened(network, NARROW.widths) is network


def test_a_narrowed_network_keeps_the_strongest_planes_in_their_order() -> None:
    """Strong is what is made by large kernels and read by large ones: either alone is not enough."""
    network = trained(NARROW)
    first, second, third, _ = (layer for layer in network.body if isinstance(layer, Convolution))
    assert second.bias is not None
    with torch.no_grad():
        first.weight[1], second.weight[:, 1] = 10.0, 1e-5  # made large, hardly read
        second.weight[[2, 4]] *= 10.0
        third.weight[:, [2, 4]] *= 10.0
    narrow = narrowed(network, (3, 2, 5))
    assert narrow.settings == replace(NARROW, widths=(3, 2, 5))
    torch.testing.assert_close(narrow.get_parameter("body.0.weight"), first.weight[[0, 2, 3]])
    torch.testing.assert_close(narrow.get_parameter("body.2.weight"), second.weight[[2, 4]][:, [0, 2, 3]])
    torch.testing.assert_close(narrow.get_parameter("body.2.bias"), second.bias[[2, 4]])
    torch.testing.assert_close(narrow.get_parameter("body.4.weight"), third.weight[:, [2, 4]])
    torch.testing.assert_close(narrow.tail.weight, network.tail.weight)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_narrowing_leaves_out_first_what_widening_added(activation: Activation) -> None:
    """Planes that nothing listens to are the weakest there are."""
    network = trained(replace(NARROW, activation=activation))
    back = narrowed(widened(network, (7, 6, 8)), NARROW.widths)
    x = noise(2, 1, 9, 11)
    torch.testing.assert_close(back(x), network(x), atol=1e-6, rtol=0)


def test_a_network_that_is_narrow_enough_is_narrowed_by_nothing() -> None:
    network = trained(NARROW)
    assert narrowed(network, (4, 9, 5)) is network


def test_a_warm_start_narrows_one_layer_and_widens_another(tmp_path: Path) -> None:
    weights.save(tmp_path / "start.safetensors", trained(NARROW), checkpoint.Card(NARROW, "mine"))
    settings = replace(NARROW, widths=(8, 2, 5))
    start = warm_start(tmp_path / "start.safetensors", settings, seed=0)
    assert start.settings == settings
    x = noise(1, 1, 9, 11)
    torch.testing.assert_close(start(x), narrowed(trained(NARROW), (4, 2, 5))(x), atol=1e-6, rtol=0)


def test_the_held_path_survives_narrowing() -> None:
    wide = ESPCN(ModelSettings(widths=(9, 12), kernels=(5, 3, 3), activation="tanh", skip="none"))
    narrow = narrowed(wide, (2, 5))
    assert follows(narrow.state_dict(), linear_path(narrow.settings))


def test_the_held_path_of_a_network_without_a_skip_survives_widening() -> None:
    small = ModelSettings(widths=(4, 6), kernels=(5, 3, 3), activation="tanh", skip="none")
    wide = widened(ESPCN(small), (9, 12))
    assert follows(wide.state_dict(), linear_path(wide.settings))


def test_a_warm_start_widens_and_changes_the_scale_at_once(tmp_path: Path) -> None:
    """The hidden planes are the trained ones and new ones; the last layer is new, and so the picture is bicubic."""
    network = trained(NARROW)
    weights.save(tmp_path / "start.safetensors", network, checkpoint.Card(NARROW, "mine"))
    settings = replace(NARROW, widths=(8, 8, 8), scale=3)
    start = warm_start(tmp_path / "start.safetensors", settings, seed=0)
    assert start.settings == settings
    assert all(parameter.requires_grad for parameter in start.parameters())
    x = noise(1, 1, 9, 11)
    hidden = network.body[:-1](x)
    torch.testing.assert_close(start.body[:-1](x)[:, :5], hidden, atol=1e-6, rtol=0)
    torch.testing.assert_close(start(x), interpolate(x, 3), atol=1e-6, rtol=0)
    again = warm_start(tmp_path / "start.safetensors", settings, seed=1)
    assert not torch.equal(again.get_parameter("body.0.weight"), start.get_parameter("body.0.weight"))


@pytest.mark.parametrize(
    "other",
    [
        replace(NARROW, widths=(8, 8, 8, 8), kernels=(3, 3, 5, 3, 3)),
        replace(NARROW, widths=(8, 8, 8), kernels=(3, 3, 3, 3)),
        replace(NARROW, widths=(8, 8, 8), skip="none"),
        replace(NARROW, widths=(8, 8, 8), planes=3),
    ],
    ids=["deeper", "other kernels", "no skip", "colour"],
)
def test_what_cannot_be_kept_is_refused(other: ModelSettings, tmp_path: Path) -> None:
    weights.save(tmp_path / "start.safetensors", trained(NARROW), checkpoint.Card(NARROW, "mine"))
    with pytest.raises(EspcnError, match=r"start\.safetensors is another kind of network \(mine\): start from one"):
        warm_start(tmp_path / "start.safetensors", other, seed=0)
