"""Losses and learning rates by hand."""

from __future__ import annotations

import pytest
import torch

from espcn_cli.settings import SCHEDULES, TrainSettings
from espcn_cli.training import objective


def test_the_schedules_end_at_nothing_except_the_constant_one() -> None:
    settings = {name: TrainSettings(learning_rate=1.0, warmup=0, schedule=name) for name in SCHEDULES}
    at = {name: [objective.learning_rate(each, 0, done) for done in (0, 0.25, 1)] for name, each in settings.items()}
    assert at["cosine"] == pytest.approx([1, 0.5 + 0.5 * 0.5**0.5, 0])
    assert at["linear"] == [1, 0.75, 0]
    assert at["constant"] == [1, 1, 1]


def test_the_learning_rate_rises_then_falls_on_a_cosine() -> None:
    settings = TrainSettings(steps=1000, learning_rate=1.0, warmup=99)
    rates = [objective.learning_rate(settings, step, step / 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[500] == pytest.approx(0.5)
    assert rates[999] == pytest.approx(0, abs=1e-5)
    peak = rates.index(max(rates))
    assert 90 <= peak <= 110
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


@pytest.mark.parametrize(
    ("loss", "expected"), [("l1", 0.02), ("mse", 0.0008), ("charbonnier", (0.001601**0.5 + 0.001) / 2)]
)
def test_losses_by_hand(loss: str, expected: float) -> None:
    """Of two pixels, off by 0.04 and by 0."""
    result = objective.LOSSES[loss](torch.tensor([0.5, 0.5]), torch.tensor([0.54, 0.5]))
    assert float(result) == pytest.approx(expected, rel=1e-4)


def test_a_mixture_has_the_loss_of_the_network_between() -> None:
    """w = 0.75·1 + 0.25·3 = 1.5; of an error of w·x - y = 1.5·2 - 1, and moved by what is learned at a quarter."""
    network = torch.nn.Conv2d(1, 1, 1, bias=False)
    mixture = objective.Mixture({"weight": torch.full((1, 1, 1, 1), 1.0)}, 0.25)
    learned = {"weight": torch.full((1, 1, 1, 1), 3.0, requires_grad=True)}
    lr, hr = torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), 1.0)
    loss = objective.make_loss("mse", "cpu", torch.float32, mixture)(network, learned, lr, hr)
    assert float(loss.detach()) == 4
    (gradient,) = torch.autograd.grad(loss, learned["weight"])
    assert float(gradient) == 2 * 2 * 2 * 0.25


def test_a_loss_is_the_same_function_for_the_same_mixture() -> None:
    one, other = (objective.Mixture({}, strength) for strength in (0.5, 1.0))
    losses = [objective.make_loss("l1", "cpu", torch.float32, mixture) for mixture in (one, other, one, None)]
    assert losses[0] is losses[2] and len(set(losses)) == 3
