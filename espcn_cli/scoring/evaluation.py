"""The scoring protocol: degrade, upscale, quantise, shave, score. Training and benchmarks share it."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from espcn_cli.engines.engine import NotFiniteError
from espcn_cli.engines.torch_engine import TorchEngine, upscale_planes
from espcn_cli.errors import EspcnError
from espcn_cli.maths.colour import luma, studio_luma
from espcn_cli.maths.resize import crop_to_multiple, interpolate
from espcn_cli.scoring import tensors
from espcn_cli.scoring.degradation import DESCRIPTIONS, make_lr
from espcn_cli.scoring.metrics import HIGHEST_PSNR, SSIM_WINDOW, psnr, shave, ssim
from espcn_cli.scoring.table import Score
from espcn_cli.scoring.tensors import quantise

Method = Callable[[Tensor], Tensor]
"""LR picture (1, C, H, W) in [0, 1] -> SR picture, unrounded."""

PROTOCOLS = {
    "picture": "the 8-bit output picture is scored: BT.601 luma 16-235 of both pictures, not rounded again",
    "plane": "the luma plane is scored: BT.601 luma 16-235 of both pictures, rounded to 8 bits",
    "rgb": "the 8-bit output picture is scored: all of R, G and B",
    "full-range": "the 8-bit output picture is scored: BT.601 luma 0-255 of both pictures, not rounded again",
    "no-shave": "the 8-bit output picture is scored up to its edge: BT.601 luma 16-235 of both pictures, not rounded "
    "again",
}


@dataclass(frozen=True)
class Pair:
    """One test picture: (1, C, H, W) in [0, 1], HR cropped to scale times LR."""

    name: str
    lr: Tensor
    hr: Tensor


def describe(protocol: str, scale: int, lr_given: bool = False, degradation: str = "bicubic") -> str:
    """One line that says how the numbers were made."""
    lr = "given LR files" if lr_given else DESCRIPTIONS[degradation]
    border = border_of(protocol, scale)
    return (
        f"x{scale}, {lr}; {PROTOCOLS[protocol]}; grey files are their own luma; "
        f"{border or 'no'} px border left out; PSNR with peak 255, at most {HIGHEST_PSNR:.2f} dB (what 8 bits can "
        "tell), SSIM 11x11 Gaussian sigma 1.5"
    )


def border_of(protocol: str, scale: int) -> int:
    """Pixels at each side that are not scored."""
    return 0 if protocol == "no-shave" else scale


def read_hr(path: Path, scale: int) -> Tensor:
    """HR (1, C, H, W), cropped to a multiple of the scale. Raises EspcnError if it cannot be read or scored."""
    hr = crop_to_multiple(tensors.read(path).pixels, scale)
    if min(hr.shape[-2:]) < SSIM_WINDOW + 2 * scale:
        raise EspcnError(f"{path}: {hr.shape[-1]} x {hr.shape[-2]} pixels are too few to score at x{scale}")
    return hr


def make_pair(path: Path, scale: int, lr_path: Path | None = None, degradation: str = "bicubic") -> Pair:
    """Read HR, crop it to a multiple of the scale, and degrade it or read the LR file.

    A degradation that is drawn is drawn by the file's name: the same each time.
    Raises EspcnError if a file cannot be read, is too small to score, or HR and LR do not fit each other.
    """
    hr = read_hr(path, scale)
    if lr_path is None:
        generator = torch.Generator().manual_seed(zlib.crc32(path.name.encode(errors="surrogateescape")))
        return Pair(path.stem, make_lr(hr, scale, degradation, generator), hr)
    lr = tensors.read(lr_path).pixels
    if (lr.shape[1], lr.shape[2] * scale, lr.shape[3] * scale) != tuple(hr.shape[1:]):
        raise EspcnError(
            f"{lr_path}: {lr.shape[-1]} x {lr.shape[-2]} with {lr.shape[1]} planes is not {path} "
            f"({hr.shape[-1]} x {hr.shape[-2]}, {hr.shape[1]} planes) at 1/{scale}"
        )
    return Pair(path.stem, lr, hr)


def score(sr: Tensor, hr: Tensor, border: int, protocol: str = "picture") -> tuple[float, float]:
    """PSNR and SSIM of an unrounded SR picture against HR, both (1, C, H, W) in [0, 1].

    PSNR is at most `HIGHEST_PSNR`, so that one picture that is right does not make a mean infinite. Raises
    NotFiniteError for a picture that holds NaN.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"unknown protocol {protocol!r}; there are {', '.join(PROTOCOLS)}")
    if protocol == "plane":
        a, b = quantise(studio_luma(sr)), quantise(studio_luma(hr))
    else:
        a, b = quantise(sr), hr
        if protocol != "rgb":
            scored = luma if protocol == "full-range" else studio_luma
            a, b = scored(a), scored(b)
    a, b = shave(a, border), shave(b, border)
    planes = (a.transpose(0, 1), b.transpose(0, 1))  # (1, C, H, W) -> (C, 1, H, W)
    result = min(psnr(a, b), HIGHEST_PSNR), ssim(*planes)
    if not all(map(math.isfinite, result)):
        raise NotFiniteError("the picture holds NaN")
    return result


def score_picture(name: str, sr: Tensor, hr: Tensor, scale: int, protocol: str = "picture") -> Score:
    """All that is measured of one picture, after the protocol. Raises NotFiniteError as `score`."""
    border = border_of(protocol, scale)
    of_luma, similarity = score(sr, hr, border, protocol)
    of_colours = None
    if hr.shape[1] == 3 and protocol != "rgb":
        of_colours = min(psnr(shave(quantise(sr), border), shave(hr, border)), HIGHEST_PSNR)
    return Score(name, of_luma, similarity, of_colours)


def evaluate(method: Method, pairs: Iterable[Pair], scale: int, protocol: str = "picture") -> list[Score]:
    """Score a method on every pair. Every score is finite.

    Raises ValueError for results of another size, NotFiniteError for one that holds NaN.
    """
    scores = []
    for pair in pairs:
        sr = method(pair.lr)
        if sr.shape != pair.hr.shape:
            raise ValueError(
                f"{pair.name}: the method gives {tuple(sr.shape)}, not {tuple(pair.hr.shape)}: is it x{scale}?"
            )
        scores.append(score_picture(pair.name, sr, pair.hr, scale, protocol))
    return scores


def mean(scores: list[Score]) -> tuple[float, float]:
    """Mean PSNR and SSIM over pictures."""
    return fmean(s.psnr for s in scores), fmean(s.ssim or 0.0 for s in scores)


def interpolation(method: str, scale: int) -> Method:
    """`bicubic` or `lanczos` as a method."""
    return partial(interpolate, scale=scale, method=method)


def network(engine: TorchEngine) -> Method:
    """A network as a method."""
    return partial(upscale_planes, engine)
