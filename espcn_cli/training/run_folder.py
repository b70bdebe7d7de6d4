"""A training's own folder, beside its checkpoint: the last weights, the state to resume from, the log and pictures."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.figures import figure
from espcn_cli.files import check_folder, check_name, replacing, write_csv
from espcn_cli.maths.colour import studio_luma
from espcn_cli.pictures import labels, raster
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.writing import write_document
from espcn_cli.scoring import tensors
from espcn_cli.scoring.metrics import HIGHEST_PSNR, psnr
from espcn_cli.scoring.places import most_different

COLUMNS = ("step", "seconds", "loss", "learning_rate", "psnr", "ssim", "steps_per_second", "waiting", "bicubic")

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

    def write_log(self, history: list[dict[str, Any]], bicubic: float) -> None:
        """One row per validation, the whole file each time; and the curves, where matplotlib is installed.

        `bicubic` is its PSNR on the same pictures.
        """
        rows = [{**row, "bicubic": round(bicubic, 6)} for row in history]
        write_csv(self.log, [COLUMNS, *([row.get(name, "") for name in COLUMNS] for row in rows)])
        if importlib.util.find_spec("matplotlib") is not None:
            draw_curves(self.curves, history, bicubic)

    def event_writer(self, step: int) -> EventWriter:
        """For TensorBoard, from a step on: what an interrupted training wrote beyond it is crossed out.

        Raises UsageError if the package is not installed.
        """
        if importlib.util.find_spec("tensorboard") is None:
            raise UsageError("--tensorboard needs a package: pip install 'espcn[tensorboard]'")
        return EventWriter(self.path / "tensorboard", step)

    def write_sample(self, bicubic: Tensor, sr: Tensor, hr: Tensor) -> None:
        """Bicubic, network and truth side by side, (1, C, H, W) each, where bicubic errs most; with names and PSNR."""
        [(left, top, width, height)] = most_different(bicubic, hr, SAMPLE, SAMPLE)
        truth = hr[..., top : top + height, left : left + width]
        views = []
        for name, x in (("bicubic", bicubic), ("network", sr), ("truth", hr)):
            place = x[..., top : top + height, left : left + width]
            quality = "" if x is hr else f" {min(psnr(studio_luma(place), studio_luma(truth)), HIGHEST_PSNR):.2f} dB"
            image = raster.from_array(tensors.to_depth(place)).image()
            large = image.resize((2 * width, 2 * height), Image.Resampling.NEAREST)
            views.append(labels.captioned(large, f"{name}{quality}"))
        write_document(Document((raster.Raster(labels.beside(views)),)), self.sample)


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


def best_of(history: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The validation that scored best; the first of several. Raises ValueError if there is none."""
    return max(history, key=lambda row: -math.inf if row["psnr"] is None else row["psnr"])


def gain_in_words(history: Sequence[Mapping[str, Any]], bicubic: float | None) -> str:
    """`best 34.42 dB at step 5615, +1.82 dB over bicubic`, and over its start where that was measured."""
    best, first = best_of(history), history[0]
    words = f"best {figure(best['psnr'])} dB at step {best['step']:.0f}"
    if bicubic is not None and best["psnr"] is not None:
        words += f", {figure(best['psnr'] - bicubic, sign='+')} dB over bicubic"
    if first["step"] == 0 and None not in (first["psnr"], best["psnr"]):
        words += f", {figure(best['psnr'] - first['psnr'], sign='+')} dB over its start"
    return words


def draw_curves(path: Path, history: list[dict[str, Any]], bicubic: float) -> None:
    """Loss and validation PSNR over the steps, with bicubic, the start and the best step; what was gained in words."""
    from matplotlib.figure import Figure

    sheet = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = sheet.subplots(1, 2)
    for axes, name, label in ((left, "loss", "training loss"), (right, "psnr", "validation PSNR (dB)")):
        points = [(row["step"], row[name]) for row in history if row.get(name) is not None]
        axes.plot(*zip(*points, strict=True), marker=".") if points else None
        axes.set(xlabel="step", ylabel=label)
        axes.grid(alpha=0.3)
    right.axhline(bicubic, color="tab:grey", linestyle="--", label=f"bicubic, {bicubic:.2f} dB")
    if history[0]["step"] == 0 and history[0]["psnr"] is not None:
        right.plot(0, history[0]["psnr"], "s", color="tab:green", label=f"start, {history[0]['psnr']:.2f} dB")
    best = best_of(history)
    if best["psnr"] is not None:
        said = f"best, step {best['step']}, {best['psnr']:.2f} dB"
        right.plot(best["step"], best["psnr"], "*", markersize=13, color="tab:orange", label=said)
    right.legend()
    sheet.suptitle(gain_in_words(history, bicubic))
    with replacing(path) as temporary:
        sheet.savefig(temporary, format="png", dpi=100)
