"""Folders of pictures -> random training patches. Every source of randomness is passed in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from espcn_cli import imageio
from espcn_cli.colour import luma
from espcn_cli.degradation import camera, make_lr
from espcn_cli.errors import EspcnError
from espcn_cli.resize import crop_to_multiple


@dataclass(frozen=True)
class Sample:
    """One training picture in memory: uint8 (planes, H, W) and its LR (planes, H/scale, W/scale)."""

    path: Path
    hr: Tensor
    lr: Tensor


@dataclass(frozen=True)
class DataSet:
    """What could be read, and for every file that could not be used, why."""

    samples: list[Sample]
    skipped: list[str]
    scale: int

    def holding(self, pictures: dict[str, Tensor]) -> list[str]:
        """Which of these pictures, name -> HR (1, C, H, W) in [0, 1], are among the samples, by content."""
        planes = self.samples[0].hr.shape[0]
        known = {_digest(sample.hr) for sample in self.samples}
        return [name for name, hr in pictures.items() if _digest(_to_bytes(_with_planes(hr, planes))) in known]

    def repeated(self) -> list[Path]:
        """Files whose picture another file before them holds already, by content."""
        first: dict[bytes, Path] = {}
        return [s.path for s in self.samples if first.setdefault(_digest(s.hr), s.path) != s.path]

    @property
    def smallest_side(self) -> int:
        """HR pixels of the shortest side of any picture."""
        return min(min(sample.hr.shape[1:]) for sample in self.samples)

    @property
    def fingerprint(self) -> dict[str, int | str]:
        """Files, HR pixels, and a hash of all HR values: the same pictures in the same order give the same one."""
        digest = hashlib.sha256()
        for sample in self.samples:
            digest.update(repr(tuple(sample.hr.shape)).encode())
            digest.update(sample.hr.numpy().tobytes())
        pixels = sum(sample.hr.shape[1] * sample.hr.shape[2] for sample in self.samples)
        return {"files": len(self.samples), "pixels": pixels, "sha256": digest.hexdigest()}


def load_data(
    paths: Iterable[Path],
    scale: int,
    planes: int,
    patch: int,
    report: Callable[[int], None] = lambda done: None,
    workers: int | None = None,
    degradation: str = "bicubic",
) -> DataSet:
    """Read every picture, degrade it whole, and keep both as uint8. `report` gets the number read so far.

    As many threads read as PyTorch computes with, or `workers`. For `camera`, whose LR is made anew for each patch,
    the LR kept is bicubic.
    Unreadable and too small files are left out and listed. Raises EspcnError if nothing usable remains.
    """
    samples: list[Sample] = []
    skipped: list[str] = []
    paths = list(paths)
    with ThreadPoolExecutor(max_workers=workers or torch.get_num_threads()) as pool:
        for done, result in enumerate(pool.map(lambda path: _load(path, scale, planes, patch, degradation), paths), 1):
            samples.append(result) if isinstance(result, Sample) else skipped.append(result)
            report(done)
    if not samples:
        reason = f"; the first: {skipped[0]}" if skipped else ""
        raise EspcnError(f"no usable picture among {len(paths)} files{reason}")
    return DataSet(samples, skipped, scale)


def _load(path: Path, scale: int, planes: int, patch: int, degradation: str) -> Sample | str:
    """One picture as a Sample, or the reason why it cannot be used."""
    try:
        pixels = imageio.read(path).pixels
    except EspcnError as error:
        return str(error)
    hr = crop_to_multiple(pixels, scale)
    if min(hr.shape[-2:]) < patch:
        return f"{path}: {pixels.shape[-1]} x {pixels.shape[-2]} is smaller than a patch of {patch} x {patch}"
    if planes == 3:
        hr = _with_planes(hr, 3)
    whole = "bicubic" if degradation == "camera" else degradation
    lr = make_lr(hr, scale, whole)  # in colour and whole, as the picture that a user will bring was made
    return Sample(path, _to_bytes(_with_planes(hr, planes)), _to_bytes(_with_planes(lr, planes)))


def _with_planes(x: Tensor, planes: int) -> Tensor:
    """Grey or RGB as luma alone, or as RGB."""
    return luma(x) if planes == 1 else x.expand(-1, 3, -1, -1)


def _digest(hr: Tensor) -> bytes:
    return hashlib.sha256(repr(tuple(hr.shape)).encode() + hr.contiguous().numpy().tobytes()).digest()


def _to_bytes(x: Tensor) -> Tensor:
    return (x[0] * 255).add_(0.5).clamp_(0, 255).to(torch.uint8)


class Patches:
    """Random aligned patches, every position in every picture equally likely, in one of eight orientations.

    With `degraded_anew`, each patch's LR is made by `camera` when it is drawn.
    """

    def __init__(self, data: DataSet, patch: int, batch: int, degraded_anew: bool = False) -> None:
        self.scale = data.scale
        self.patch = patch // data.scale
        self.batch = batch
        self.samples = data.samples
        self.degraded_anew = degraded_anew
        positions = [(s.lr.shape[1] - self.patch + 1) * (s.lr.shape[2] - self.patch + 1) for s in data.samples]
        self.ends = torch.tensor(positions).cumsum(0)

    def draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """One batch: LR (batch, planes, patch/scale, patch/scale) and HR, float32 in [0, 1]."""
        chosen = torch.randint(int(self.ends[-1]), (self.batch,), generator=generator)
        orientations = torch.randint(8, (self.batch,), generator=generator).tolist()
        pictures = torch.searchsorted(self.ends, chosen, right=True).tolist()
        pairs = [
            self._cut(self.samples[picture], int(position - (self.ends[picture - 1] if picture else 0)), orientation)
            for picture, position, orientation in zip(pictures, chosen, orientations, strict=True)
        ]
        hr = torch.stack([hr for _, hr in pairs]).float().div_(255)
        if self.degraded_anew:
            return torch.cat([camera(patch[None], self.scale, generator) for patch in hr]), hr
        return torch.stack([lr for lr, _ in pairs]).float().div_(255), hr

    def _cut(self, sample: Sample, position: int, orientation: int) -> tuple[Tensor, Tensor]:
        y, x = divmod(position, sample.lr.shape[2] - self.patch + 1)
        size, r = self.patch, self.scale
        lr = sample.lr[:, y : y + size, x : x + size]
        hr = sample.hr[:, y * r : (y + size) * r, x * r : (x + size) * r]
        return orient(lr, orientation), orient(hr, orientation)


def orient(x: Tensor, orientation: int) -> Tensor:
    """One of the eight flips and rotations of (..., H, W); 0 leaves it as it is."""
    x = torch.rot90(x, orientation % 4, (-2, -1))
    return x.flip(-1) if orientation >= 4 else x


def hold_out(data: DataSet, every: int = 10) -> tuple[DataSet, list[Path]]:
    """Keep every tenth usable picture (at least one) for validation: the same ones for the same data.

    Raises EspcnError if there is only one.
    """
    if len(data.samples) < 2:
        raise EspcnError("one picture is not enough to train and to measure by: name others with --valid")
    first = min(every, len(data.samples)) - 1
    kept = [sample for index, sample in enumerate(data.samples) if index % every != first]
    return replace(data, samples=kept), [sample.path for sample in data.samples[first::every]]
