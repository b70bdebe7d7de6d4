"""Turning a network's weights is turning the picture, and its result back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from espcn_cli.maths.turns import TURNS, Turn, turned_back, turned_planes
from espcn_cli.network.espcn import ESPCN, build
from espcn_cli.network.turning import turned_weights
from espcn_cli.network.weights import to_arrays
from espcn_cli.settings import ModelSettings


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize(
    "model",
    [
        ModelSettings(scale=2, widths=(4, 3), kernels=(3, 5, 3), activation="prelu"),
        ModelSettings(scale=3, widths=(4,), kernels=(1, 3), planes=3, skip="none", activation="tanh"),
        ModelSettings(widths=(4,), kernels=(3, 3), activation="prelu", last_activation="prelu", slopes="channel"),
        ModelSettings(widths=(4,), kernels=(3, 3), last_activation="prelu", skip="nearest"),
    ],
)
def test_a_turned_network_sees_the_picture_turned(
    turn: Turn, model: ModelSettings, make_network: Callable[..., ESPCN]
) -> None:
    network = make_network(model).eval()
    turned = build(model, turned_weights(model, to_arrays(network.state_dict()), turn))
    x = torch.rand(1, model.planes, 7, 9, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = turned_back(network(turned_planes(x, turn)), turn)
        torch.testing.assert_close(turned(x), expected, atol=1e-6, rtol=0)
        if turn != TURNS[0]:
            assert not torch.allclose(network(x), expected, atol=1e-3)  # the test can fail
