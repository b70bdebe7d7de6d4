"""Training the sub-pixel autoencoder: epochs of Adam on mean squared error, a whole checkpoint after each of them."""

from __future__ import annotations

import hashlib
import math
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from espcn_cli.autoencoder.mnist import Pictures, batches, read_training_data, to_unit
from espcn_cli.autoencoder.network import SCALE, SHIPPED, Autoencoder, Card
from espcn_cli.engines.device import choose_device, choose_precision
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.files import check_destination, refuse_existing
from espcn_cli.network import weights
from espcn_cli.network.subpixel import inverse_phase_shift
from espcn_cli.settings import AutoencoderSettings

PROTOCOL = "mean squared error over all pixels in [0, 1], fp32, output not clipped"


@dataclass(frozen=True)
class Loaded:
    """The data is ready; `held_out` tells that the test pictures were taken from the training set."""

    pictures: int
    test: int
    held_out: bool
    skipped: list[str]


@dataclass(frozen=True)
class Step:
    step: int
    steps: int


@dataclass(frozen=True)
class Epoch:
    """Mean loss over the epoch's batches, test MSE after it, and what its training (not its test) took.

    `dead` is how many of the output's four phases are black in every test picture; more than none in the last epoch
    calls for another seed.
    """

    epoch: int
    epochs: int
    loss: float
    test_mse: float
    dead: int
    seconds: float


Event = Loaded | Step | Epoch
Report = Callable[[Event], None]


@dataclass(frozen=True)
class Result:
    """What the article's question is answered with. Multiply-adds per picture; MSE of pixels in [0, 1]."""

    upsampler: str
    code: int
    parameters: int
    macs: int
    epochs: int
    epoch_seconds: float
    test_mse: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def train_autoencoder(
    source: Path,
    output: Path,
    settings: AutoencoderSettings,
    device: str = "auto",
    precision: str = "auto",
    report: Report = lambda event: None,
    overwrite: bool = True,
) -> Result:
    """Train on the pictures of `source` with Adam and MSE; `output` is written whole after every epoch.

    Interrupted, it holds the last finished epoch. On one CPU, with as many threads, the same seed gives the same bits.
    Raises EspcnError for unusable data, an output that cannot be written or, without `overwrite`, exists, and a
    training that diverges or dies.
    """
    chosen = choose_device(device)
    dtype = choose_precision(precision, chosen, training=True)
    check_destination(output, [source])
    if output.suffix != ".safetensors":
        raise UsageError(f"{output}: a checkpoint's name ends in .safetensors")
    if not overwrite:
        refuse_existing([output])
    train, test = read_training_data(source)
    check_destination(output, [*train.files, *test.files])
    held_out = train.files == test.files
    skipped = train.skipped + ([] if held_out else test.skipped)
    report(Loaded(len(train.pixels), len(test.pixels), held_out, skipped))
    torch.manual_seed(settings.seed)
    network = Autoencoder(settings, to_unit(train.pixels).mean().item()).to(chosen, memory_format=torch.channels_last)  # type: ignore[call-overload]
    making = describe_making(train, test, dtype)
    history: list[Epoch] = []
    for epoch in run_epochs(network, train.pixels.to(chosen), test.pixels.to(chosen), dtype, report):
        history.append(epoch)
        weights.save(output, network, describe(settings, making, history), overwrite or len(history) > 1)
        report(epoch)
    return Result(
        upsampler=settings.upsampler,
        code=settings.code,
        parameters=settings.parameters,
        macs=settings.macs,
        epochs=settings.epochs,
        epoch_seconds=statistics.median(epoch.seconds for epoch in history),
        test_mse=history[-1].test_mse,
    )


def run_epochs(
    network: Autoencoder, pixels: Tensor, test: Tensor, precision: torch.dtype, report: Report
) -> Iterator[Epoch]:
    """Train on uint8 pictures (N, 1, 28, 28); after each epoch the network stands as it was measured on `test`.

    The settings are the network's. `report` gets the steps. Raises EspcnError as `measure` does.
    """
    settings = network.settings
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, foreach=True)
    generator = torch.Generator().manual_seed(settings.seed)
    for epoch in range(1, settings.epochs + 1):
        started = time.perf_counter()
        shuffled = torch.randperm(len(pixels), generator=generator).to(pixels.device)
        chosen = torch.split(shuffled, settings.batch_size)
        losses: list[Tensor] = []
        for indices in chosen:
            losses.append(take_step(network, optimiser, pixels[indices], precision))
            report(Step(len(losses) + (epoch - 1) * len(chosen), settings.epochs * len(chosen)))
        loss = torch.stack(losses).mean().item()
        seconds = time.perf_counter() - started
        yield Epoch(epoch, settings.epochs, loss, *measure(network, test), seconds)


def take_step(network: Autoencoder, optimiser: torch.optim.Adam, batch: Tensor, precision: torch.dtype) -> Tensor:
    """Descend once on a batch of uint8 pictures. Returns its loss, still on the device."""
    x = to_unit(batch)
    with torch.autocast(x.device.type, precision, enabled=precision != torch.float32):
        y = network(x)
    loss = F.mse_loss(y.float(), x)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return loss.detach()


@torch.no_grad()
def measure(network: Autoencoder, pixels: Tensor) -> tuple[float, int]:
    """Test MSE by `PROTOCOL` on uint8 pictures (N, 1, 28, 28), and how many output phases are black in all of them.

    Raises EspcnError if the MSE is not a number, or if every phase is black where the pictures have light: behind a
    ReLU that never opens nothing is learned any more.
    """
    total = 0.0
    lit = torch.zeros(2, SCALE**2, dtype=torch.bool, device=pixels.device)
    for batch in batches(pixels):
        x = to_unit(batch)
        y = network(x)
        total += F.mse_loss(y, x, reduction="sum").item()
        lit |= torch.stack([(inverse_phase_shift(picture, SCALE) > 0).any(3).any(2).any(0) for picture in (x, y)])
    if not math.isfinite(total):
        raise EspcnError("the training diverged: try a lower --learning-rate")
    dead = int((lit[0] & ~lit[1]).sum())
    if dead == SCALE**2:
        raise EspcnError("the network died (all its output is black): try a lower --learning-rate or another --seed")
    return total / pixels.numel(), dead


def describe_making(train: Pictures, test: Pictures, precision: torch.dtype) -> dict[str, Any]:
    """What a card says of a training before it begins.

    The hash is of the training pictures: the same ones in the same order give the same.
    """
    return {
        "data": {
            "pictures": len(train.pixels),
            "sha256": hashlib.sha256(train.pixels.numpy().tobytes()).hexdigest(),
            "test": len(test.pixels),
            "held_out": train.files == test.files,
        },
        "precision": str(precision).removeprefix("torch."),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
    }


def describe(settings: AutoencoderSettings, making: dict[str, Any], history: list[Epoch]) -> Card:
    """The card after the last epoch of `history`. Times stay out: equal trainings have equal cards."""
    curve = [{"epoch": e.epoch, "loss": round(e.loss, 6), "test_mse": round(e.test_mse, 6)} for e in history]
    test = {"mse": round(history[-1].test_mse, 6), "pictures": making["data"]["test"], "protocol": PROTOCOL}
    training = {**making, "epochs": len(history), "history": curve}
    return Card(settings, f"{SHIPPED}-{settings.upsampler}", training, {"test": test})
