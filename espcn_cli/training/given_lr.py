"""LR pictures of one's own, beside the HR ones: which belong together, and whether they show the same place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.figures import amount
from espcn_cli.maths.resize import degrade
from espcn_cli.scoring import layouts
from espcn_cli.scoring.layouts import File
from espcn_cli.training.events import Skipped

MOST_SHIFT = 0.45
"""LR pixels that a picture may lie beside its HR: every second, third or fourth one lies 0.25 to 0.4 beside."""

LEAST_LIKENESS = 0.5
"""The correlation that two pictures of the same place have at least."""

FLAT = 1.0
"""What has a smaller standard deviation, in levels, does not show where it lies."""

BETTER = 0.02
"""By how much a place pixels away must correlate better than where LR lies, to be believed."""

SIDE = 512
"""LR pixels of the side of the part in the middle that is looked at."""


def match(pictures: Sequence[File], folder: Path, scale: int) -> tuple[dict[Path, Path], list[Skipped]]:
    """HR -> LR for pictures that have one of their name in a folder, and why the others have none.

    Raises UsageError if the folder has none for any of them.
    """
    lr = [file for file in layouts.files_below(folder) if file.kind != "hr" and file.scale in (None, scale)]
    found: dict[Path, Path] = {}
    alone: list[Skipped] = []
    for file in pictures:
        try:
            found[file.path] = layouts.partner(file, lr, "LR picture", folder)
        except EspcnError as error:
            alone.append(Skipped(file.path, str(error)))
    if not found:
        raise UsageError(f"{alone[0].line}, nor of any other picture: --lr names the folder of their LR pictures")
    return found, alone


def unused(pairs: Mapping[Path, Path], folder: Path) -> list[str]:
    """A note if the folder holds pictures that belong to none."""
    left = {file.path for file in layouts.files_below(folder)} - set(pairs.values())
    return [f"{folder} holds {amount(len(left), 'LR picture')} without HR, such as {min(left)}"] if left else []


def check(hr: Tensor, lr: Tensor, scale: int, hr_path: Path, lr_path: Path) -> None:
    """Raises EspcnError if a pair, uint8 (planes, H, W) of fitting sizes, does not show the same place."""
    found = shift(hr, lr, scale)
    if found is None:
        return
    down, right, likeness = found
    if likeness < LEAST_LIKENESS:
        raise EspcnError(f"{lr_path} does not show what {hr_path} shows: name the pair alike", lr_path)
    if max(abs(down), abs(right)) > MOST_SHIFT:
        raise EspcnError(
            f"{lr_path} lies {abs(right):.1f} pixels {'to the left' if right < 0 else 'to the right'} and "
            f"{abs(down):.1f} {'up' if down < 0 else 'down'} of {hr_path} at 1/{scale}: "
            "align them, or leave them out",
            lr_path,
        )


def shift(hr: Tensor, lr: Tensor, scale: int) -> tuple[float, float, float] | None:
    """By how many LR pixels LR lies too low and too far right of HR made small, and their correlation there.

    Whole pixels by the peak of the phase correlation, parts of them by least squares: LR is what HR made small becomes
    by a contrast, a brightness and a small move along its slopes. None where one of them is flat.
    """
    small = degrade(hr.float().mean(dim=0)[None, None] / 255, scale)[0, 0] * 255
    a, b = (_middle(each) for each in (small, lr.float().mean(dim=0)))
    if min(a.std(), b.std()) < FLAT:
        return None
    rows, columns = _whole_pixels(a, b)
    if _correlation(*_overlap(a, b, rows, columns)) < _correlation(a, b) + BETTER:
        rows, columns = 0, 0
    a, b = (_soft(each) for each in _overlap(a, b, rows, columns))
    down, right = _parts_of_pixels(a, b)
    return rows + down, columns + right, _correlation(a, b)


def _middle(x: Tensor) -> Tensor:
    top, left = (max(side - SIDE, 0) // 2 for side in x.shape)
    return x[top : top + SIDE, left : left + SIDE]


def _soft(x: Tensor) -> Tensor:
    """Blurred, so that slopes hold for a pixel."""
    return F.avg_pool2d(F.avg_pool2d(x[None, None], 3, 1), 3, 1)[0, 0] if min(x.shape) > 8 else x


def _whole_pixels(a: Tensor, b: Tensor) -> tuple[int, int]:
    """Rows and columns by which b lies after a."""
    window = torch.outer(*(torch.hann_window(side, periodic=False) for side in a.shape))
    first, second = (torch.fft.rfft2((x - x.mean()) * window) for x in (a, b))
    product = first.conj() * second
    surface = torch.fft.irfft2(product / (product.abs() + 1e-3 * product.abs().mean()), s=a.shape)
    place = divmod(int(surface.argmax()), a.shape[1])
    rows, columns = (at - side if at > side // 2 else at for at, side in zip(place, a.shape, strict=True))
    return rows, columns


def _overlap(a: Tensor, b: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """What both show if b lies so many rows and columns after a."""
    height, width = a.shape
    first = a[max(-rows, 0) : height - max(rows, 0), max(-columns, 0) : width - max(columns, 0)]
    second = b[max(rows, 0) : height - max(-rows, 0), max(columns, 0) : width - max(-columns, 0)]
    return first, second


def _correlation(a: Tensor, b: Tensor) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / (a.norm() * b.norm() + 1e-6))


def _parts_of_pixels(a: Tensor, b: Tensor) -> tuple[float, float]:
    down = (a[2:, 1:-1] - a[:-2, 1:-1]) / 2
    right = (a[1:-1, 2:] - a[1:-1, :-2]) / 2
    inner = a[1:-1, 1:-1]
    terms = torch.stack([x.flatten() for x in (inner, torch.ones_like(inner), down, right)], dim=1).double()
    solved = torch.linalg.lstsq(terms, b[1:-1, 1:-1].flatten().double()).solution
    contrast = max(float(solved[0]), 0.1)
    return -float(solved[2]) / contrast, -float(solved[3]) / contrast
