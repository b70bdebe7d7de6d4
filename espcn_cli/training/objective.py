"""What a training step makes smaller, and how large a step is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from espcn_cli.network.layers import channels_last
from espcn_cli.settings import TrainSettings
from espcn_cli.training.parallel import Loss


def l1(sr: Tensor, hr: Tensor) -> Tensor:
    return F.l1_loss(sr, hr)


def mse(sr: Tensor, hr: Tensor) -> Tensor:
    return F.mse_loss(sr, hr)


def charbonnier(sr: Tensor, hr: Tensor) -> Tensor:
    """L1 rounded off near zero: mean(sqrt(d² + ε²)) with ε = 0.001 (Lai et al. 2017, arXiv 1704.03915)."""
    return ((sr - hr).square() + 1e-6).sqrt().mean()


LOSSES = {"l1": l1, "mse": mse, "charbonnier": charbonnier}


@dataclass(frozen=True, eq=False)
class Mixture:
    """A strength at which the weights that are learned are mixed with clean ones."""

    clean: Mapping[str, Tensor]
    strength: float

    def of(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """(1 - strength)·clean + strength·parameters, by name."""
        return {name: torch.lerp(self.clean[name], own, self.strength) for name, own in parameters.items()}


@cache
def make_loss(name: str, device: str, precision: torch.dtype, mixture: Mixture | None = None) -> Loss:
    """One of the losses on a network's output, worked out in a precision: always the same function for the same.

    With a mixture, the network is that of the clean weights and its own.
    """

    def loss(network: nn.Module, parameters: dict[str, Tensor], lr: Tensor, hr: Tensor) -> Tensor:
        if mixture:
            parameters = mixture.of(parameters)
        with torch.autocast(device, precision, enabled=precision != torch.float32, cache_enabled=False):
            sr = functional_call(network, parameters, (channels_last(lr),))
        return LOSSES[name](sr.float(), hr)

    return loss


def learning_rate(settings: TrainSettings, step: int, done: float) -> float:
    """Linear warm-up over the first steps (`step` counts from 0), times the schedule at `done`, from 0 to 1."""
    warm = min(1.0, (step + 1) / (settings.warmup + 1))
    done = min(done, 1.0)
    fall = {"cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done, "constant": 1.0}
    return settings.learning_rate * warm * fall[settings.schedule]
