"""Recorded gradients: with a stand-in for the recording on a CPU, and with a GPU where there is one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from espcn_cli.network.espcn import ESPCN
from espcn_cli.settings import ModelSettings
from espcn_cli.training.cuda_graph import Recorded, Work, capture
from espcn_cli.training.parallel import own_device

Make = Callable[..., ESPCN]


def squares(network: nn.Module, parameters: dict[str, Tensor], lr: Tensor, hr: Tensor) -> Tensor:
    sr: Tensor = functional_call(network, parameters, (lr,))
    return (sr - hr).square().mean()


def absolutes(network: nn.Module, parameters: dict[str, Tensor], lr: Tensor, hr: Tensor) -> Tensor:
    sr: Tensor = functional_call(network, parameters, (lr,))
    return (sr - hr).abs().mean()


class Tape:
    """Records as a GPU does: the work runs once, and again into the same tensors whenever it is replayed."""

    def __init__(self) -> None:
        self.recorded = 0

    def __call__(self, work: Work) -> Work:
        self.recorded += 1
        results = work()

        def replay() -> list[Tensor]:
            torch._foreach_copy_(results, work())
            return results

        return replay


def check(recorded: Recorded, network: ESPCN, device: str) -> None:
    """New batches, new parameters, another loss, another size: always what autograd gives."""
    generator = torch.Generator().manual_seed(0)
    for loss in (squares, absolutes):
        for side in (6, 8, 6):
            lr = torch.rand(4, 1, side, side, generator=generator).to(device)
            hr = torch.rand(4, 1, 2 * side, 2 * side, generator=generator).to(device)
            with torch.no_grad():
                network.tail.weight.add_(0.1)
            parameters: dict[str, Tensor] = dict(network.named_parameters())
            expected = loss(network, parameters, lr, hr)
            mean, gradients = recorded.gradients(loss, parameters, lr, hr)
            torch.testing.assert_close(mean, expected.detach())
            torch.testing.assert_close(gradients, [*torch.autograd.grad(expected, list(parameters.values()))])


def test_each_loss_and_size_is_recorded_once(make_network: Make) -> None:
    network = make_network(ModelSettings(widths=(4,), kernels=(3, 3))).requires_grad_()
    tape = Tape()
    check(Recorded(network, tape), network, "cpu")
    assert tape.recorded == 4


@pytest.mark.parametrize("number", [0, 1])
def test_a_gpu_replays_the_same_gradients(number: int, make_network: Make) -> None:
    if torch.cuda.device_count() <= number:
        pytest.skip(f"needs {number + 1} GPUs")
    with own_device(torch.device("cuda", number)) as device:
        network = make_network(ModelSettings(widths=(4,), kernels=(3, 3))).requires_grad_().to(device)
        check(Recorded(network, capture), network, str(device))
