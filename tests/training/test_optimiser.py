"""The optimisers: SOAP is Adam where nothing can be turned, does not mind a turned problem, and goes on exactly."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from espcn_cli.training.optimiser import LONGEST, OPTIMISERS, REFRESH, Optimiser, Soap

AXES = [(6, 3, 3, 3), (6, 3, 3, 3), (4, 6, 1, 1), (LONGEST + 1, 2), (6,), (1,)]


def parameters(seed: int = 0) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in AXES]


def descend_(optimiser: Optimiser, weights: list[nn.Parameter], steps: range, rate: float = 1e-2) -> None:
    """Towards a target, with a gradient that is different in each step."""
    for step in steps:
        for weight, noise in zip(weights, parameters(step + 1), strict=True):
            weight.grad = (weight - 1 + noise).detach()
        optimiser.step(rate)


def fit(make: Callable[[list[nn.Parameter]], Optimiser], turn: Tensor, steps: int = 40) -> Tensor:
    """Least squares on inputs whose directions differ a hundredfold in strength, turned by an orthogonal matrix."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(64, 8, generator=generator, dtype=torch.float64) * torch.logspace(0, -2, 8, dtype=torch.float64)
    wanted = torch.randn(8, 8, generator=generator, dtype=torch.float64) @ turn
    weight = nn.Parameter(torch.zeros(8, 8, dtype=torch.float64))
    optimiser = make([weight])
    for _ in range(steps):
        loss = (x @ turn @ (weight - wanted).T).square().mean()
        weight.grad = torch.autograd.grad(loss, weight)[0]
        optimiser.step(0.1)
    return weight.detach() @ turn.T


def test_without_axes_to_turn_soap_is_adam() -> None:
    """Biases and slopes are vectors: the reference is PyTorch's Adam with the same two constants."""
    start = torch.linspace(-2, 2, 5)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    soap, adam = Soap([ours]), torch.optim.Adam([theirs], lr=0.1, betas=(0.95, 0.95))
    for step in range(5):
        ours.grad = theirs.grad = torch.sin(start * (step + 1))
        soap.step(0.1)
        adam.step()
    torch.testing.assert_close(ours, theirs)


def test_soap_does_not_care_how_a_problem_is_turned_and_adam_does() -> None:
    """Turning the inputs turns the weights alike: nothing else changes."""
    turn = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64))[0]
    straight = torch.eye(8, dtype=torch.float64)
    torch.testing.assert_close(fit(Soap, straight), fit(Soap, turn), atol=1e-3, rtol=0)
    adam = OPTIMISERS["adam"]
    assert not torch.allclose(fit(adam, straight), fit(adam, turn), atol=0.1)


def test_the_bases_stay_orthogonal() -> None:
    weights = parameters()
    soap = Soap(weights)
    descend_(soap, weights, range(3 * REFRESH))
    bases = [basis for stack in soap.stacks for basis in stack.bases.values()]
    assert sorted({basis.shape[-1] for basis in bases}) == [2, 3, 4, 6, 9]  # not the one that is too long
    for basis in bases:
        torch.testing.assert_close(basis @ basis.mT, torch.eye(basis.shape[-1]).expand_as(basis), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_it_goes_on_with_the_same_bits(name: str) -> None:
    whole, halves = parameters(), parameters()
    descend_(OPTIMISERS[name](whole), whole, range(REFRESH + 7))
    first = OPTIMISERS[name](halves)
    descend_(first, halves, range(REFRESH - 3))
    second = OPTIMISERS[name](halves)
    for key, tensor in second.tensors().items():
        tensor.copy_(first.tensors()[key])
    descend_(second, halves, range(REFRESH - 3, REFRESH + 7))
    assert all(torch.equal(a, b) for a, b in zip(whole, halves, strict=True))


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_weight_without_a_gradient_stays(name: str) -> None:
    used, unused = nn.Parameter(torch.ones(3, 3)), nn.Parameter(torch.ones(3, 3))
    optimiser = OPTIMISERS[name]([used, unused])
    for _ in range(3):
        used.grad = torch.eye(3)
        optimiser.step(0.1)
    assert torch.equal(unused, torch.ones(3, 3)) and not torch.equal(used, torch.ones(3, 3))
