"""Trainings small enough for a test: what several files of `tests/training` run and compare."""

from __future__ import annotations

import signal
from pathlib import Path

import torch

from espcn_cli.network import espcn
from espcn_cli.settings import ModelSettings, TrainSettings
from espcn_cli.training.events import Event, Step

TINY = ModelSettings(widths=(4, 4), kernels=(3, 3, 3), activation="prelu")
QUICK = TrainSettings(steps=12, batch_size=4, patch_size=16, warmup=2, expansion=8, validate_every=5)


def tensors(path: Path) -> dict[str, torch.Tensor]:
    network, _ = espcn.load(path)
    return dict(network.state_dict())


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


class StopAt:
    """A report that interrupts the training after a step, as Ctrl-C would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, event: Event) -> None:
        if isinstance(event, Step) and event.step == self.step:
            signal.raise_signal(signal.SIGINT)
