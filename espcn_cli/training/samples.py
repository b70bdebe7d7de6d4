"""A picture file -> a training pair of HR and LR, kept in memory, on disk, or nowhere."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor

from espcn_cli.errors import EspcnError
from espcn_cli.files import cache_folder, clean, write_tensors
from espcn_cli.maths.colour import luma
from espcn_cli.maths.resize import crop_to_multiple
from espcn_cli.memory import available_memory
from espcn_cli.network.weights import to_arrays
from espcn_cli.pictures.extent import extent_of
from espcn_cli.scoring import tensors
from espcn_cli.scoring.degradation import make_lr
from espcn_cli.scoring.tensors import to_bytes
from espcn_cli.settings import CACHE_GIGABYTES
from espcn_cli.training import given_lr

CACHE_VERSION = "1"
"""Part of every key: whoever changes what `Recipe.pair` makes gives it another value."""

KEY_LENGTH = 64
"""Hexadecimal digits of a key."""

MEMORY_SHARE = 0.5
"""How much of the memory that is free the training pictures may take before `auto` turns to the disk."""

DISK_SHARE = 0.8

DETAIL_CELL = 8
"""LR pixels of the side of a cell, of which the detail is known."""

Pair = tuple[Tensor, Tensor]
"""HR (planes, H, W) and LR (planes, H/scale, W/scale), both uint8."""


class CacheError(EspcnError):
    """Not the picture's fault: no other one could be kept either."""


@dataclass(frozen=True)
class Recipe:
    """How a picture becomes a pair. Where LR is made anew later, the pair's is bicubic (`camera`) or bare (`real`).

    `given`: HR -> LR, where that is not made but read.
    """

    scale: int
    planes: int
    degradation: str = "bicubic"
    given: Mapping[Path, Path] = field(default_factory=dict, repr=False, hash=False)

    def pair(self, path: Path) -> Pair:
        """Read and degrade the whole picture, or read the LR that is given.

        Raises EspcnError if a file cannot be read, is smaller than the scale, or is not the other's size at the scale.
        """
        pixels = tensors.read(path).pixels
        if min(pixels.shape[-2:]) < self.scale:
            raise EspcnError(f"{path}: {pixels.shape[-1]} x {pixels.shape[-2]} is too small for x{self.scale}")
        hr = crop_to_multiple(pixels, self.scale)
        if self.planes == 3:
            hr = with_planes(hr, 3)
        if path in self.given:
            lr = self._given(path, hr)
        elif self.degradation == "real":
            lr = hr[..., :: self.scale, :: self.scale]
        else:  # in colour and whole, as the picture that a user will bring was made
            lr = make_lr(hr, self.scale, "bicubic" if self.degradation == "camera" else self.degradation)
        return to_bytes(with_planes(hr, self.planes)[0]), to_bytes(with_planes(lr, self.planes)[0])

    def _given(self, path: Path, hr: Tensor) -> Tensor:
        lr = tensors.read(self.given[path]).pixels
        (height, width), (wide, high) = lr.shape[-2:], (hr.shape[-1], hr.shape[-2])
        if (width * self.scale, height * self.scale) != (wide, high):
            raise EspcnError(
                f"{self.given[path]}: {width} x {height} is not {path} ({wide} x {high}) at 1/{self.scale}",
                self.given[path],
            )
        return lr

    def check(self, path: Path, pair: Pair) -> None:
        """Raises EspcnError if LR was given for a picture, and does not show the same place."""
        if path in self.given:
            given_lr.check(*pair, self.scale, path, self.given[path])

    def bytes_of(self, path: Path) -> int:
        """About how much a picture's pair takes, by the size in its header; 0 if it has none."""
        try:
            width, height = extent_of(path).size
        except EspcnError:
            return 0
        return round(width * height * self.planes * (1 + 1 / self.scale**2))


@dataclass(frozen=True)
class Sample:
    """One training picture: its pair in memory, be it the process's own or a mapped file."""

    path: Path
    hr: Tensor
    lr: Tensor

    @property
    def pair(self) -> Pair:
        return self.hr, self.lr

    @property
    def size(self) -> tuple[int, int]:
        """LR pixels: height, width."""
        return self.lr.shape[1], self.lr.shape[2]

    @cached_property
    def digest(self) -> bytes:
        """The same for two samples with the same HR."""
        return digest(self.hr)

    @cached_property
    def lr_digest(self) -> bytes:
        """The same for two samples with the same LR."""
        return digest(self.lr)

    @cached_property
    def detail(self) -> Tensor:
        """Of each cell: see `detail`."""
        return detail(self.lr)


@dataclass(frozen=True)
class Reread:
    """One training picture that is read again whenever a patch is cut from it."""

    path: Path
    recipe: Recipe
    size: tuple[int, int]
    digest: bytes
    lr_digest: bytes
    detail: Tensor

    @property
    def pair(self) -> Pair:
        """Raises EspcnError if the file is no longer what it was."""
        hr, lr = self.recipe.pair(self.path)
        if (lr.shape[1], lr.shape[2]) != self.size:
            raise EspcnError(f"{self.path} was changed during the training: start again")
        return hr, lr


AnySample = Sample | Reread


@dataclass(frozen=True)
class Cache:
    """Where samples are kept: `memory`, `disk` or `none`. `reason` says why, where the choice was ours.

    The disk keeps `limit` bytes from one training to the next, or as much as the last one needs.
    """

    kind: str
    folder: Path
    reason: str = ""
    limit: int = CACHE_GIGABYTES * 10**9

    def sample(self, path: Path, recipe: Recipe) -> AnySample:
        """Raises EspcnError if the picture cannot be used, CacheError if it cannot be kept."""
        if self.kind == "disk":
            return self._from_disk(path, recipe)
        sample = Sample(path, *recipe.pair(path))
        if self.kind == "memory":
            return sample
        return Reread(path, recipe, sample.size, sample.digest, sample.lr_digest, sample.detail)

    def _from_disk(self, path: Path, recipe: Recipe) -> Sample:
        """From the file that the picture's bytes and the recipe name, which is made if it is not there, or damaged."""
        kept = self.folder / f"{key(path, recipe)}.safetensors"
        try:
            sample = Sample(path, *_mapped(kept))
            _note_use(kept)
            return sample
        except (OSError, SafetensorError):
            hr, lr = recipe.pair(path)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_tensors(kept, to_arrays({"hr": hr, "lr": lr}), {"made by": "espcn train --cache disk"})
        except (OSError, EspcnError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CacheError(
                f"no picture can be kept in {self.folder} ({reason}): use --cache memory or none"
            ) from None
        try:
            return Sample(path, *_mapped(kept))
        except FileNotFoundError:  # another training has just made room for its own
            return Sample(path, hr, lr)

    def trim(self, spared: int) -> None:
        """Remove pairs that were used longest ago, until `limit` bytes are left, or the `spared` ones used last.

        Other trainings may go on with them: what they have mapped outlives its name. (On Windows the file stays.)
        """
        if self.kind != "disk":
            return
        files = sorted((_uses(path) for path in self.folder.glob(f"{'?' * KEY_LENGTH}.safetensors")), reverse=True)
        excess = sum(size for _, size, _ in files) - self.limit
        for _, size, path in reversed(files[spared:]):
            if excess <= 0:
                break
            with suppress(OSError):
                path.unlink()
                excess -= size


def choose_cache(kind: str, paths: list[Path], recipe: Recipe, folder: Path | None = None) -> Cache:
    """`auto` is memory if the pictures fit in half of what is free, else the disk if they fit there, else none.

    Raises EspcnError if the disk is asked for and has too little space.
    """
    folder = folder or cache_folder()
    clean(folder)
    if kind in ("memory", "none"):
        return Cache(kind, folder)
    needed = sum(recipe.bytes_of(path) for path in paths)
    memory = available_memory()
    if kind == "auto" and (memory is None or needed <= MEMORY_SHARE * memory):
        return Cache("memory", folder, f"{_size(needed)} of pictures kept in memory")
    free = shutil.disk_usage(next(p for p in (folder, *folder.parents) if p.exists())).free
    fits = needed <= DISK_SHARE * free
    if kind == "auto":
        large = f"{_size(needed)} of pictures do not fit in memory"
        reason = f"kept in {folder}" if fits else f"nor in {folder}: read again for each patch, which is slow"
        return Cache("disk" if fits else "none", folder, f"{large}; {reason}")
    if not fits and not folder.is_dir():  # what is kept there already may be these very pictures
        raise EspcnError(
            f"{folder} has {_size(free)} free, the pictures need {_size(needed)}: use --cache memory or none"
        )
    return Cache("disk", folder, f"pictures are kept in {folder}")


def key(path: Path, recipe: Recipe) -> str:
    """Name a pair by what it is made from: file bytes and recipe. Raises EspcnError for an unreadable file."""
    content = _content(path)
    if path in recipe.given:
        content.update(b"LR is " + _content(recipe.given[path]).digest())
    content.update(f"{CACHE_VERSION} {recipe}".encode())
    return content.hexdigest()


def _content(path: Path) -> hashlib._Hash:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256")
    except OSError as error:
        raise EspcnError(f"cannot read {path} ({error.strerror})") from None


def _note_use(path: Path) -> None:
    """A file's time is when it was used last."""
    with suppress(OSError):  # a cache that can only be read
        os.utime(path)


def _uses(path: Path) -> tuple[float, int, Path]:
    """When a file was used last, its bytes, and where it is; nothing of a file that is gone."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0, path
    return status.st_mtime, status.st_size, path


def _mapped(path: Path) -> Pair:
    """The pair in a file, read from the disk only where it is looked at."""
    with safe_open(path, framework="pt") as file:
        return file.get_tensor("hr"), file.get_tensor("lr")


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def with_planes(x: Tensor, planes: int) -> Tensor:
    """Grey or RGB (1, C, H, W) as luma alone, or as RGB."""
    return luma(x) if planes == 1 else x.expand(-1, 3, -1, -1)


def digest(hr: Tensor) -> bytes:
    return hashlib.sha256(repr(tuple(hr.shape)).encode() + hr.contiguous().numpy().tobytes()).digest()


def detail(lr: Tensor) -> Tensor:
    """(C, H, W) uint8 -> (H/8, W/8), rounded up: how much neighbouring pixels differ, in each cell of 8×8 pixels."""
    x = lr.float().mean(dim=0)
    return F.avg_pool2d((_differences(x, 0) + _differences(x, 1))[None], DETAIL_CELL, ceil_mode=True)[0]


def _differences(x: Tensor, axis: int) -> Tensor:
    """Of each value, how far the next one is away; of the last, the one before it."""
    before_last = x.narrow(axis, max(x.shape[axis] - 2, 0), 1)
    return x.diff(dim=axis, append=before_last).abs()
