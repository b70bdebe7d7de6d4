"""The sub-pixel autoencoder: 28×28 grey pictures through a narrow code and back, its training, and its contact sheet.

The decoder grows 7×7 planes twice by a 2×2 convolution and a phase shift. `upsampler` swaps these two steps for a
deconvolution, or for nearest-neighbour resizing and a convolution, at the same multiply-adds, so that the question of
Shi et al. 2016b (arXiv 1609.07009), what the sub-pixel form is good for, can be answered by measuring.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from espcn_cli.autoencoder.mnist import SIZE, batches, read_pictures, read_training_data, to_unit
from espcn_cli.engines.device import choose_device, choose_precision
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.files import check_destination, is_there, replacing, write_tensors
from espcn_cli.network import checkpoint
from espcn_cli.network.subpixel import SubpixelConvolution, inverse_phase_shift, phase_shift
from espcn_cli.pictures import writing
from espcn_cli.pictures.document import Picture
from espcn_cli.settings import SHEET_PICTURES, AutoencoderSettings

PLANES = 32
"""Planes of 7×7 pixels between the dense layers and the convolutions, on either side of the code."""

SCALE = 2
"""Each of the decoder's two steps doubles the size."""

SHIPPED = "autoencoder"
"""The name of the checkpoint that comes with the tool."""


# --- The network -----------------------------------------------------------------------------------------------------


class SubpixelUpsampling(nn.Module):
    """2×2 convolution to four times the planes, ReLU, phase shift: (N, I, H, W) -> (N, O, 2H, 2W).

    Output pixels of LR pixel (h, w) see x at h, h + 1 and w, w + 1; beyond the last row and column there are zeros.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs * SCALE**2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return phase_shift(F.relu(self.convolution(pad_end(x))), SCALE)


class DeconvolutionUpsampling(nn.Module):
    """Transposed 4×4 convolution with stride 2, then ReLU: (N, I, H, W) -> (N, O, 2H, 2W).

    Every input pixel meets 4·4·I·O weights, as many as in `SubpixelUpsampling`, so parameters (but for the biases: one
    per plane, not one per phase) and multiply-adds are the same. With the first two rows and columns cut off it is
    the same map, as `SubpixelConvolution.to_deconvolution` says with pads (0, 1).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose2d(inputs, outputs, 2 * SCALE, stride=SCALE)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.convolution(x)[:, :, SCALE:, SCALE:])  # 2H + 2 rows, the first two cut


class ResizeUpsampling(nn.Module):
    """Nearest-neighbour doubling, 2×2 convolution, ReLU: (N, I, H, W) -> (N, O, 2H, 2W).

    The convolution has a quarter of the outputs at four times the pixels: the same multiply-adds as
    `SubpixelUpsampling` with a quarter of the weights. Its maps are those sub-pixel convolutions whose phases share
    them: along one axis the weights (p, q) are (p + q, 0) in phase 0 and (p, q) in phase 1.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 2)

    def forward(self, x: Tensor) -> Tensor:
        grown = F.interpolate(x, scale_factor=SCALE, mode="nearest")
        return F.relu(self.convolution(pad_end(grown)))


def pad_end(x: Tensor) -> Tensor:
    """One row and one column of zeros at the end: what keeps the size under a 2×2 kernel ('same' padding)."""
    return F.pad(x, (0, 1, 0, 1))


Upsampling = SubpixelUpsampling | DeconvolutionUpsampling | ResizeUpsampling

UPSAMPLINGS: dict[str, Callable[[int, int], Upsampling]] = {
    "subpixel": SubpixelUpsampling,
    "deconvolution": DeconvolutionUpsampling,
    "resize": ResizeUpsampling,
}


OUTPUT_GAIN = 0.1
"""What the last layer's weights are shrunk by at the start, so that its bias decides which pixels are open."""


class Autoencoder(nn.Module):
    """(N, 1, 28, 28) in [0, 1] -> (N, 1, 28, 28), at least 0, not clipped at 1.

    28×28×1, 3×3 to 16, pool, 14×14×16, 3×3 to 32, pool, 7×7×32, code, 7×7×32, upsampling, 14×14×32, upsampling,
    28×28×1. ReLU after every layer but the code. Freshly made, it draws almost flat grey.
    """

    def __init__(self, settings: AutoencoderSettings, brightness: float = 0.5) -> None:
        super().__init__()
        self.settings = settings
        features = PLANES * (SIZE // 4) ** 2
        upsampling = UPSAMPLINGS[settings.upsampler]
        with torch.random.fork_rng(devices=[]):  # their own initialisation is replaced: it shall not use up the seed
            self.first = nn.Conv2d(1, 16, 3, padding=1)
            self.second = nn.Conv2d(16, PLANES, 3, padding=1)
            self.code = nn.Linear(features, settings.code)
            self.spread = nn.Linear(settings.code, features)
            self.grow = upsampling(PLANES, PLANES)
            self.draw = upsampling(PLANES, 1)
        self._initialise_(brightness)

    @torch.no_grad()
    def _initialise_(self, brightness: float) -> None:
        """He's normal initialisation before each ReLU; the last layer starts as almost flat grey of `brightness`.

        Its ReLU could die: the gradient first moves all of the output towards the pictures' mean, and Adam
        overshoots. Begun at that mean, it does not have to move, and nearly every output pixel is open. The
        deconvolution begins as the sub-pixel layer of the same seed: the same map, written the other way.
        """
        for layer in (self.first, self.second, self.code, self.spread, self.grow.convolution, self.draw.convolution):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
            if isinstance(layer, nn.ConvTranspose2d):
                weight = nn.init.kaiming_normal_(torch.empty(layer.out_channels * SCALE**2, layer.in_channels, 2, 2))
                layer.weight.copy_(SubpixelConvolution(weight, None, SCALE, pads=(0, 1)).to_deconvolution().weight)
            else:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="linear" if layer is self.code else "relu")
        assert self.draw.convolution.bias is not None
        self.draw.convolution.weight.mul_(OUTPUT_GAIN)
        nn.init.constant_(self.draw.convolution.bias, brightness)

    def encode(self, x: Tensor) -> Tensor:
        """Pictures (N, 1, 28, 28) in [0, 1] -> codes (N, code), any real numbers."""
        x = F.max_pool2d(F.relu(self.first(x)), 2)
        x = F.max_pool2d(F.relu(self.second(x)), 2)
        codes: Tensor = self.code(x.flatten(1))
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (N, code) -> pictures (N, 1, 28, 28), at least 0."""
        x = F.relu(self.spread(codes)).view(-1, PLANES, SIZE // 4, SIZE // 4)
        picture: Tensor = self.draw(self.grow(x.contiguous(memory_format=torch.channels_last)))
        return picture

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


# --- Checkpoints -----------------------------------------------------------------------------------------------------


Card = checkpoint.Card[AutoencoderSettings]


def find(name: str) -> Path:
    """A checkpoint's path: as given, or the shipped one's if the name is `autoencoder` and no such file is there."""
    shipped = checkpoint.weights_folder() / f"{SHIPPED}.safetensors"
    return shipped if name == SHIPPED and not is_there(Path(name)) else Path(name)


def read_card(path: Path) -> Card:
    """Read a checkpoint's metadata. Raises EspcnError if the file is not an autoencoder's checkpoint of ours."""
    return checkpoint.read_card_of(AutoencoderSettings, path)


def load(path: Path) -> tuple[Autoencoder, Card]:
    """Rebuild an autoencoder on the CPU. Raises EspcnError if the file is not one's, is damaged, or does not fit."""
    card = read_card(path)
    network = Autoencoder(card.settings)
    checkpoint.check_and_load_(network, path)
    return network.eval().requires_grad_(False), card


# --- Training --------------------------------------------------------------------------------------------------------


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
) -> Result:
    """Train on the pictures of `source` with Adam and MSE; `output` is written whole after every epoch.

    Interrupted, it holds the last finished epoch. On one CPU, with as many threads, the same seed gives the same bits.
    Raises EspcnError for unusable data, an output that cannot be written, and a training that diverges or dies.
    """
    chosen = choose_device(device)
    dtype = choose_precision(precision, chosen, training=True)
    check_destination(output, [source])
    train, test = read_training_data(source)
    check_destination(output, [*train.files, *test.files])
    held_out = train.files == test.files
    report(Loaded(len(train.pixels), len(test.pixels), held_out, train.skipped + ([] if held_out else test.skipped)))
    about = {
        "data": {**describe_data(train.pixels), "test": len(test.pixels), "held_out": held_out},
        "precision": str(dtype).removeprefix("torch."),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
    }
    torch.manual_seed(settings.seed)
    network = Autoencoder(settings, to_unit(train.pixels).mean().item()).to(chosen, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, foreach=True)
    generator = torch.Generator().manual_seed(settings.seed)
    pixels, held = train.pixels.to(chosen), test.pixels.to(chosen)
    history: list[Epoch] = []
    for epoch in range(1, settings.epochs + 1):
        started = time.perf_counter()
        shuffled = torch.randperm(len(pixels), generator=generator).to(chosen)
        orders = [shuffled[start : start + settings.batch_size] for start in range(0, len(pixels), settings.batch_size)]
        losses: list[Tensor] = []
        for order in orders:
            losses.append(take_step(network, optimiser, pixels[order], dtype))
            report(Step(len(losses) + (epoch - 1) * len(orders), settings.epochs * len(orders)))
        loss = torch.stack(losses).mean().item()
        seconds = time.perf_counter() - started
        history.append(Epoch(epoch, settings.epochs, loss, *measure(network, held), seconds))
        checkpoint.save(output, network, describe(settings, about, history, len(held)))
        report(history[-1])
    return Result(
        settings.upsampler,
        settings.code,
        settings.parameters,
        settings.macs,
        settings.epochs,
        statistics.median(epoch.seconds for epoch in history),
        history[-1].test_mse,
    )


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


PROTOCOL = "mean squared error over all pixels in [0, 1], fp32, output not clipped"


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


def describe_data(pixels: Tensor) -> dict[str, Any]:
    """Number and hash of the training pictures: the same pictures in the same order give the same one."""
    return {"pictures": len(pixels), "sha256": hashlib.sha256(pixels.numpy().tobytes()).hexdigest()}


def describe(settings: AutoencoderSettings, about: dict[str, Any], history: list[Epoch], test: int) -> Card:
    """The card after the last epoch of `history`. Times stay out: equal trainings have equal cards."""
    curve = [{"epoch": e.epoch, "loss": round(e.loss, 6), "test_mse": round(e.test_mse, 6)} for e in history]
    metrics = {"test": {"mse": round(history[-1].test_mse, 6), "pictures": test, "protocol": PROTOCOL}}
    return Card(
        settings, f"{SHIPPED}-{settings.upsampler}", {**about, "epochs": len(history), "history": curve}, metrics
    )


# --- Reconstruction --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reconstruction:
    """What `reconstruct` did: MSE over all pictures of the source, how many it has and how many the sheet shows."""

    pictures: int
    shown: int
    mse: float
    skipped: list[str]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


COLUMNS = 16
"""Pictures in a row of the contact sheet."""

MAGNIFY = 2
"""Screen pixels per pixel of the contact sheet, along each side."""


def reconstruct(
    model: Path, source: Path, output: Path, codes: Path | None = None, count: int = SHEET_PICTURES
) -> Reconstruction:
    """Put the pictures of `source` through a trained autoencoder; `output` shows the first `count` of them.

    Of MNIST's folder the test pictures are taken. `codes` gets the codes of all pictures: .npy (N, code),
    .safetensors (the tensor `codes`) or .csv (a row for each, its name first). Raises EspcnError for unusable input,
    an output that would overwrite it, or that cannot be written.
    """
    if count < 1:
        raise UsageError(f"the sheet needs at least one picture, not {count}")
    writing.format_of(output)
    if codes is not None and codes.suffix.lower() not in CODE_WRITERS:
        raise UsageError(f"{codes}: codes are written as {', '.join(CODE_WRITERS)}: choose one of these suffixes")
    network, _ = load(model)
    pictures = read_pictures(source)
    for destination in (output, codes):
        if destination is not None:
            check_destination(destination, [model, source, *pictures.files])
    encoded, decoded = run(network, pictures.pixels)
    originals = to_unit(pictures.pixels)
    if codes is not None:
        CODE_WRITERS[codes.suffix.lower()](codes, encoded, pictures.names)
    writing.write(Picture(contact_sheet(originals[:count], decoded[:count])), output)
    mse = F.mse_loss(decoded, originals).item()
    return Reconstruction(len(originals), min(count, len(originals)), mse, pictures.skipped)


@torch.no_grad()
def run(network: Autoencoder, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Codes (N, code) and reconstructions (N, 1, 28, 28) of uint8 pictures, float32, not clipped."""
    codes = torch.cat([network.encode(to_unit(batch)) for batch in batches(pixels)])
    return codes, torch.cat([network.decode(batch) for batch in batches(codes)])


def contact_sheet(originals: Tensor, reconstructions: Tensor) -> Tensor:
    """Rows of originals (N, 1, 28, 28), each over its reconstruction, on white: (1, 1, H, W) in [0, 1].

    A pixel is left free between pictures, three between the pairs of rows.
    """
    count, gap = len(originals), 1
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    pair_height, cell = 2 * (SIZE + gap) + 2 * gap, SIZE + gap
    sheet = torch.ones(1, 1, rows * pair_height - gap, columns * cell + gap)
    for index in range(count):
        row, column = divmod(index, columns)
        left = column * cell + gap
        for line, picture in enumerate((originals[index], reconstructions[index])):
            top = row * pair_height + line * cell + gap
            sheet[0, :, top : top + SIZE, left : left + SIZE] = picture.clamp(0, 1)
    return sheet.repeat_interleave(MAGNIFY, 2).repeat_interleave(MAGNIFY, 3)


def _write_npy(path: Path, codes: Tensor, names: list[str]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, codes.numpy())


def _write_csv(path: Path, codes: Tensor, names: list[str]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["picture", *(f"c{index}" for index in range(codes.shape[1]))])
        for name, row in zip(names, codes.tolist(), strict=True):
            table.writerow([name, *(f"{value:.9g}" for value in row)])


def _write_safetensors(path: Path, codes: Tensor, names: list[str]) -> None:
    write_tensors(path, {"codes": codes}, {"format": "espcn-autoencoder-codes", "pictures": json.dumps(names)})


CODE_WRITERS = {".npy": _write_npy, ".csv": _write_csv, ".safetensors": _write_safetensors}
