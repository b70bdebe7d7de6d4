"""Folders of pictures -> random training patches. Every source of randomness is passed in."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from espcn_cli.errors import EspcnError
from espcn_cli.figures import amount
from espcn_cli.interruption import READER
from espcn_cli.maths.held_out import held_out
from espcn_cli.maths.turns import TURNS, turned_planes
from espcn_cli.scoring.degradation import camera
from espcn_cli.scoring.tensors import to_bytes
from espcn_cli.settings import TrainSettings
from espcn_cli.training.events import Skipped
from espcn_cli.training.parallel import WHOLE
from espcn_cli.training.samples import (
    DETAIL_CELL,
    AnySample,
    Cache,
    CacheError,
    Recipe,
    Sample,
    choose_cache,
    digest,
    with_planes,
)

DEVICE_SHARE = 0.5
"""How much of a GPU's free memory the training pictures may take."""


@dataclass(frozen=True)
class DataSet:
    """What could be read, and for every file that could not be used, why."""

    samples: Sequence[AnySample]
    skipped: list[Skipped]
    scale: int
    planes: int = 1
    lr_given: bool = False

    def holding(self, pictures: dict[str, Tensor]) -> list[str]:
        """Which of these pictures, name -> HR (1, C, H, W) in [0, 1], are among the samples, by content."""
        known = {sample.digest for sample in self.samples}
        return [name for name, hr in pictures.items() if digest(to_bytes(with_planes(hr, self.planes)[0])) in known]

    def repeated(self) -> list[Path]:
        """Files whose picture another file before them holds already, by content."""
        first: dict[bytes, Path] = {}
        return [s.path for s in self.samples if first.setdefault(s.digest, s.path) != s.path]

    def and_(self, other: DataSet) -> DataSet:
        """Both together."""
        return replace(self, samples=[*self.samples, *other.samples], skipped=self.skipped + other.skipped)

    @property
    def largest_patch(self) -> int:
        """HR pixels of the side of the largest patch that any picture holds."""
        return self.scale * max(min(sample.size) for sample in self.samples)

    @property
    def fingerprint(self) -> dict[str, int | str]:
        """Files, HR pixels, and hashes of all HR and of given LR: the same for the same pictures in one order."""
        together = hashlib.sha256(b"".join(sample.digest for sample in self.samples))
        pixels = self.scale**2 * sum(sample.size[0] * sample.size[1] for sample in self.samples)
        found: dict[str, int | str] = {"files": len(self.samples), "pixels": pixels, "sha256": together.hexdigest()}
        if self.lr_given:
            found["lr_sha256"] = hashlib.sha256(b"".join(sample.lr_digest for sample in self.samples)).hexdigest()
        return found


def load_data(
    paths: Iterable[Path],
    recipe: Recipe,
    patch: int,
    report: Callable[[int], None] = lambda done: None,
    workers: int | None = None,
    kept: Cache | None = None,
) -> DataSet:
    """Read every picture as a sample of `recipe`, into memory if `kept` does not say otherwise.

    `report` gets the number read so far. As many threads read as PyTorch computes with, or `workers`.
    Unreadable and too small files are left out and listed. Raises EspcnError if nothing usable remains, or a picture
    cannot be kept.
    """
    samples: list[AnySample] = []
    skipped: list[Skipped] = []
    paths = list(paths)
    kept = kept or choose_cache("memory", paths, recipe)

    def load(path: Path) -> AnySample | Skipped:
        try:
            sample = kept.sample(path, recipe)
            recipe.check(path, sample.pair)
        except CacheError:
            raise
        except EspcnError as error:
            return Skipped(path, str(error))
        height, width = (side * recipe.scale for side in sample.size)
        if min(height, width) < patch:
            line = f"{path}: {width} x {height} is smaller than a patch of {patch} x {patch}"
            return Skipped(path, line, too_small=True)
        return sample

    pool = ThreadPoolExecutor(workers or torch.get_num_threads(), READER)
    try:
        for done, result in enumerate(pool.map(load, paths), 1):
            skipped.append(result) if isinstance(result, Skipped) else samples.append(result)
            report(done)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # whoever stops it does not want to wait for what is not used
    kept.trim(spared=len(samples))
    if not samples:
        reason = f"; the first: {skipped[0].line}" if skipped else ""
        remedy = ": use a smaller --patch-size" if any(file.too_small for file in skipped) else ""
        raise EspcnError(f"no usable picture among {amount(len(paths), 'file')}{reason}{remedy}")
    return DataSet(samples, skipped, recipe.scale, recipe.planes, lr_given=bool(recipe.given))


class Patches:
    """Random aligned patches from every position in every picture, in one of eight orientations.

    A picture is drawn first, and then a position in it: small pictures count as much as large ones, as they do in a
    mean score. Each patch is the most detailed of `candidates` drawn so: a flat one, which bicubic gets right already,
    teaches nothing. With `degraded_anew`, each patch's LR is made by `camera` when it is drawn.
    """

    def __init__(self, data: DataSet, patch: int, batch: int, candidates: int = 1, degraded_anew: bool = False) -> None:
        self.scale = data.scale
        self.batch = batch
        self.samples = data.samples
        self.largest_patch = data.largest_patch
        self.candidates = candidates
        self.degraded_anew = degraded_anew
        self._fit(patch)

    def _fit(self, patch: int) -> None:
        self.patch = patch // self.scale
        positions = [math.prod(max(side - self.patch + 1, 0) for side in sample.size) for sample in self.samples]
        self.positions = torch.tensor(positions)
        self.large_enough = self.positions.nonzero()[:, 0]
        if self.candidates > 1:
            self.detail = DetailMaps(self.samples, self.patch)

    def of_size(self, patch: int) -> Self:
        """Patches of another size from the same pictures, of which smaller ones are passed over."""
        other = copy.copy(self)
        other._fit(patch)
        return other

    def draw(self, generator: torch.Generator, step: int = 0, share: slice = WHOLE) -> tuple[Tensor, Tensor]:
        """One batch: LR (batch, planes, patch/scale, patch/scale) and HR, float32 in [0, 1]. All steps are alike.

        Of the batch only a `share` is made; which one changes nothing for the others, nor for the next step.
        """
        cut = WHOLE if self.degraded_anew else share
        pairs = [self._cut(*place) for place in zip(*(t[cut].tolist() for t in self.places(generator)), strict=True)]
        hr = torch.stack([hr for _, hr in pairs]).float().div_(255)
        if self.degraded_anew:
            return camera(hr, self.scale, generator)[share], hr[share]
        return torch.stack([lr for lr, _ in pairs]).float().div_(255), hr

    def close(self) -> None:
        """Nothing goes on beside the steps."""

    def places(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Of each patch in a batch: the picture's index, the position counted row by row, the orientation."""
        drawn = torch.randint(len(self.large_enough), (self.batch, self.candidates), generator=generator)
        where = torch.rand(drawn.shape, dtype=torch.float64, generator=generator)
        orientations = torch.randint(8, (self.batch,), generator=generator)
        pictures = self.large_enough[drawn]
        positions = (where * self.positions[pictures]).long()
        if self.candidates > 1:
            best = self.detail.at(pictures, positions).argmax(dim=1, keepdim=True)
            pictures, positions = pictures.gather(1, best), positions.gather(1, best)
        return pictures[:, 0], positions[:, 0], orientations

    def _cut(self, picture: int, position: int, orientation: int) -> tuple[Tensor, Tensor]:
        """LR and HR patch, uint8."""
        sample, size, r = self.samples[picture], self.patch, self.scale
        hr, lr = sample.pair
        y, x = divmod(position, sample.size[1] - size + 1)
        lr = lr[:, y : y + size, x : x + size]
        hr = hr[:, y * r : (y + size) * r, x * r : (x + size) * r]
        return turned_planes(lr, TURNS[orientation]), turned_planes(hr, TURNS[orientation])


class DetailMaps:
    """How much detail the patches of one size have, at every position of every picture, to within half a cell."""

    def __init__(self, samples: Sequence[AnySample], patch: int) -> None:
        cells = max(patch // DETAIL_CELL, 1)
        nowhere = torch.zeros(0, 0)
        maps = [
            F.avg_pool2d(sample.detail[None], cells, stride=1)[0] if min(sample.size) >= patch else nowhere
            for sample in samples
        ]
        self.rows, self.columns = torch.tensor([m.shape for m in maps]).T
        self.starts = F.pad((self.rows * self.columns).cumsum(0), (1, 0))[:-1]
        self.values = torch.cat([m.flatten() for m in maps])
        self.widths = torch.tensor([sample.size[1] - patch + 1 for sample in samples])

    def at(self, pictures: Tensor, positions: Tensor) -> Tensor:
        """The detail at positions counted row by row; any shape."""
        half, width = DETAIL_CELL // 2, self.widths[pictures]
        row = ((positions // width + half) // DETAIL_CELL).minimum(self.rows[pictures] - 1)
        column = ((positions % width + half) // DETAIL_CELL).minimum(self.columns[pictures] - 1)
        return self.values[self.starts[pictures] + row * self.columns[pictures] + column]


class DevicePatches(Patches):
    """The same patches, cut all at once out of pictures that lie on a device: nothing but their places goes there.

    On a CPU, where `Patches` only copies rows, looking up every single pixel takes eight times as long.
    """

    def __init__(self, data: DataSet, patch: int, batch: int, candidates: int = 1, *, device: torch.device) -> None:
        super().__init__(data, patch, batch, candidates)
        pairs = [sample.pair for sample in data.samples]
        self.hr, self.lr = (torch.cat([pair[i].flatten() for pair in pairs]).to(device) for i in (0, 1))
        self.sizes = torch.tensor([sample.size for sample in data.samples], device=device)
        areas = self.sizes.prod(dim=1)
        self.starts = F.pad(areas.cumsum(0), (1, 0))[:-1] * data.planes
        self.planes = data.planes

    def draw(self, generator: torch.Generator, step: int = 0, share: slice = WHOLE) -> tuple[Tensor, Tensor]:
        pictures, positions, orientations = (t[share].to(self.sizes.device) for t in self.places(generator))
        width = self.sizes[pictures, 1] - self.patch + 1
        corners = torch.stack([positions // width, positions % width], dim=1)
        lr = self._gather(self.lr, 1, pictures, corners, orientations)
        return lr, self._gather(self.hr, self.scale, pictures, corners, orientations)

    def _gather(self, buffer: Tensor, r: int, pictures: Tensor, corners: Tensor, orientations: Tensor) -> Tensor:
        """Patches (batch, planes, r·patch, r·patch) in [0, 1] from a buffer of pictures r times as large as LR."""
        return gathered(
            buffer,
            self.starts[pictures] * r**2,
            self.sizes[pictures] * r,
            corners * r,
            orientations,
            self.patch * r,
            self.planes,
        )


def gathered(
    buffer: Tensor, starts: Tensor, sizes: Tensor, corners: Tensor, turns: Tensor, side: int, planes: int
) -> Tensor:
    """Square patches (batch, planes, side, side) in [0, 1] from pictures (planes, H, W) of a flat uint8 buffer.

    Of each patch: where its picture starts, that picture's height and width, the patch's upper left corner and turn.
    """
    height, width = sizes.T.reshape(2, -1, 1, 1, 1)
    y, x = (_grids(side, buffer.device)[turns] + corners[:, :, None, None]).unsqueeze(2).unbind(1)
    plane = torch.arange(planes, device=buffer.device).view(1, -1, 1, 1)
    return buffer[starts.view(-1, 1, 1, 1) + (plane * height + y) * width + x].float().div_(255)


@cache
def _grids(side: int, device: torch.device) -> Tensor:
    """(8, 2, side, side): row and column that each pixel of an oriented square comes from."""
    rows, columns = torch.meshgrid(*2 * [torch.arange(side, device=device)], indexing="ij")
    return torch.stack([torch.stack([turned_planes(rows, t), turned_planes(columns, t)]) for t in TURNS])


def make_patches(data: DataSet, patch: int, settings: TrainSettings, device: torch.device) -> Patches:
    """Patches from where they are drawn fastest: from the GPU's memory if the pictures fit there."""
    batch, candidates, anew = settings.batch_size, settings.candidates, settings.degradation == "camera"
    if device.type == "cuda" and not anew and all(isinstance(sample, Sample) for sample in data.samples):
        needed = sum(side.numel() for sample in data.samples for side in sample.pair)
        if needed < DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
            return DevicePatches(data, patch, batch, candidates, device=device)
    return Patches(data, patch, batch, candidates, degraded_anew=anew)


def hold_out(data: DataSet) -> tuple[DataSet, list[Path]]:
    """Keep every tenth usable picture (at least one) for validation: the same ones for the same data.

    Raises EspcnError if there is only one.
    """
    if len(data.samples) < 2:
        raise EspcnError("one picture is not enough to train and to measure by: name others with --valid")
    held = held_out(len(data.samples))
    kept = [sample for index, sample in enumerate(data.samples) if index not in held]
    return replace(data, samples=kept), [data.samples[index].path for index in held]
