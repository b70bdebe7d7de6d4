"""A training's own folder, beside its checkpoint: the last weights, the state to resume from, the log and pictures."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.files import check_folder, check_name, replacing, write_csv
from espcn_cli.scoring import tensors
from espcn_cli.scoring.tensors import Picture

COLUMNS = ("step", "seconds", "loss", "learning_rate", "psnr", "ssim", "steps_per_second", "waiting")

SAMPLE = 96
"""HR pixels of a sample's side; it is shown twice as large."""


@dataclass(frozen=True)
class RunFolder:
    """For `mine.safetensors`, the folder `mine.run`."""

    path: Path

    @classmethod
    def of(cls, output: Path) -> RunFolder:
        return cls(output.with_suffix(".run"))

    @property
    def state(self) -> Path:
        return self.path / "state.safetensors"

    @property
    def last(self) -> Path:
        return self.path / "last.safetensors"

    @property
    def log(self) -> Path:
        return self.path / "log.csv"

    @property
    def curves(self) -> Path:
        return self.path / "curves.png"

    @property
    def sample(self) -> Path:
        return self.path / "sample.png"

    def check(self) -> None:
        """Raises EspcnError if the folder cannot be made, or a file in it cannot be written."""
        check_folder(self.path)
        for path in (self.last, self.state, self.log, self.curves, self.sample):
            check_name(path)

    def make(self) -> None:
        """Raises EspcnError if the folder cannot be made."""
        try:
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            raise EspcnError(
                f"cannot make the folder {self.path} ({error.strerror}): choose another --output"
            ) from None

    def write_log(self, history: list[dict[str, Any]]) -> None:
        """One row per validation, the whole file each time; and the curves, where matplotlib is installed."""
        write_csv(self.log, [COLUMNS, *([row.get(name, "") for name in COLUMNS] for row in history)])
        if importlib.util.find_spec("matplotlib") is not None:
            draw_curves(self.curves, history)

    def event_writer(self, step: int) -> EventWriter:
        """For TensorBoard, from a step on: what an interrupted training wrote beyond it is crossed out.

        Raises UsageError if the package is not installed.
        """
        if importlib.util.find_spec("tensorboard") is None:
            raise UsageError("--tensorboard needs a package: pip install 'espcn[tensorboard]'")
        return EventWriter(self.path / "tensorboard", step)

    def write_sample(self, bicubic: Tensor, sr: Tensor, hr: Tensor) -> None:
        """Bicubic, network and truth side by side, (1, C, H, W) each, where bicubic errs most."""
        top, left, size = worst_place(bicubic, hr, SAMPLE)
        views = [x[..., top : top + size, left : left + size] for x in (bicubic, sr, hr)]
        row = torch.cat(views, dim=3).clamp(0, 1)
        tensors.write(Picture(F.interpolate(row, scale_factor=2, mode="nearest")), self.sample)


class EventWriter:
    """Writes what the log holds as TensorBoard's scalars, each under its column's name."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder), purge_step=step)

    def write(self, entry: dict[str, float]) -> None:
        for name in COLUMNS[1:]:
            if name in entry:
                self.writer.add_scalar(name, entry[name], int(entry["step"]))
        self.writer.flush()


def worst_place(a: Tensor, b: Tensor, size: int) -> tuple[int, int, int]:
    """Top, left and side of the square of at most `size` pixels in which two pictures differ most."""
    error = (a - b).square().mean(dim=1, keepdim=True)
    size = min(size, *error.shape[-2:])
    sums = F.avg_pool2d(error, size, stride=8)
    index = int(sums.flatten().argmax())
    return 8 * (index // sums.shape[-1]), 8 * (index % sums.shape[-1]), size


def draw_curves(path: Path, history: list[dict[str, Any]]) -> None:
    """Loss and validation PSNR over the steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, name, label in ((left, "loss", "training loss"), (right, "psnr", "validation PSNR (dB)")):
        points = [(row["step"], row[name]) for row in history if row.get(name) is not None]
        axes.plot(*zip(*points, strict=True), marker=".") if points else None
        axes.set(xlabel="step", ylabel=label)
        axes.grid(alpha=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
