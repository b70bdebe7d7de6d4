"""Which strength a picture gets, from clean weights to real ones: by its levels and its file, in NumPy alone.

A few windows of the picture are measured: how strong each frequency is and how often it is missing, how steep and how
ringing the edges are, how much of it is flat, how many colours there are, what was cut off at black and white. These
statistics and what the file tells go through a small network, fitted by `benchmarks/strength.py` to what each strength
gained on thousands of damaged pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from espcn_cli.maths.colour import LUMA
from espcn_cli.maths.levels import Floats, white_of
from espcn_cli.network.mixing import chooser
from espcn_cli.pictures.raster import Raster
from espcn_cli.pictures.traces import Traces
from espcn_cli.settings import STRENGTH_STEPS, Alpha

BLOCK = 8
"""Pixels of a side of the blocks whose frequencies are measured: JPEG's, and they lie where its blocks do."""

WINDOW = 8 * BLOCK
"""Pixels of a window's side, unless the picture is smaller."""

ACROSS = 4
"""At most so many windows lie side by side, and so many below each other."""

FRAMES = 3
"""Frames of an animation that are looked at, from the first on: a thing that moves must not make it flicker."""

MISSING = 0.6
"""What is less, in levels, counts as a frequency that is not there."""

SHARES = (0.25, 0.5, 0.75, 0.9, 0.97, 0.995)
"""Of the differences between neighbours: how large those are that so many do not exceed."""

FINENESS = 4
"""Parts of a level in which differences are counted."""

STEEPEST = 0.05
"""The share of differences that are taken for edges."""

STRONGEST = (0.05, 0.01)
"""The shares of differences among which single edges are looked for, ..."""

AROUND = 3
"""... and how many differences on each side of them are looked at."""

MARKED = 1.1
"""How much greater differences over the edges of blocks are than the usual ones, where blocks show."""

FARTHEST = 4.0
"""No statistic counts as farther from what is usual, in standard deviations: what is odder tells nothing more."""


def in_steps(strength: float) -> float:
    """The nearest of the strengths that are made: in eighths."""
    return round(strength * STRENGTH_STEPS) / STRENGTH_STEPS


def choose(frames: Sequence[Raster], traces: Traces, alpha: Alpha = "blend") -> float:
    """The strength in [0, 1] for a picture, or for all frames of an animation, which go by its first.

    With `separate` alpha it goes by the colours alone, whatever alpha is.
    """
    values = np.concatenate([statistics(windows(frames, alpha)), facts(traces)])
    return float(decide(values[None], chooser())[0])


def decide(values: Floats, fitted: Mapping[str, Floats]) -> NDArray[np.float64]:
    """Statistics and facts (N, n) -> strengths (N): a network of one hidden layer."""
    usual = ((values - fitted["mean"]) / fitted["deviation"]).clip(-FARTHEST, FARTHEST)
    hidden = np.tanh(usual @ fitted["hidden.weight"].T + fitted["hidden.bias"])
    strength: NDArray[np.float64] = 1 / (1 + np.exp(-(hidden @ fitted["output.weight"] + fitted["output.bias"])))
    return strength


def facts(traces: Traces) -> Floats:
    """What a file tells, as numbers (7)."""
    jpeg, webp, colours = traces.jpeg, traces.webp, traces.colours
    return np.array(
        [
            jpeg is not None,
            (100 - jpeg) / 50 if jpeg is not None else 0,
            np.log(101 - jpeg) / 4 if jpeg is not None else 0,
            webp is not None,
            webp / 50 if webp is not None else 0,
            colours is not None,
            1 - np.log2(colours) / 8 if colours else 0,
        ],
        np.float32,
    )


# --- where it is looked ----------------------------------------------------------------------------------------------


def windows(frames: Sequence[Raster], alpha: Alpha = "blend") -> Floats:
    """Windows of the first frames, evenly spread, (N, H, W, 3): RGB in levels of 255.

    What is transparent is white; with `separate` alpha nothing is, and the colours are as if it were not there.

    Frames of another size than the first, pages of a document, are passed over.
    """
    alike = [frame for frame in frames if frame.size == frames[0].size][:FRAMES]
    width, height = frames[0].size
    spots = [(rows, columns) for rows in _spread(height) for columns in _spread(width)]
    return np.stack([_opaque(frame, *spot, alpha) for frame in alike for spot in spots])


def _spread(length: int) -> Iterator[slice]:
    """Up to ACROSS windows on one axis, each a multiple of BLOCK long and beginning at one, if there is so much."""
    size = min(WINDOW, max(length // BLOCK * BLOCK, 1))
    count = max(min(length // size, ACROSS), 1) if length >= BLOCK else 1
    for index in range(count):
        start = (length - size) * index // max(count - 1, 1) // BLOCK * BLOCK
        yield slice(start, start + (size if length >= BLOCK else length))


def _opaque(frame: Raster, rows: slice, columns: slice, alpha: Alpha) -> Floats:
    levels = frame.window(rows, columns)
    window = levels.astype(np.float32) * np.float32(255 / white_of(levels))
    if frame.has_alpha:
        opacity = window[..., -1:] / 255 if alpha == "blend" else 1
        window = window[..., :-1] * opacity + 255 * (1 - opacity)
    missing = [(0, max(BLOCK - side, 0)) for side in window.shape[:2]]
    window = np.pad(window, (*missing, (0, 0)), mode="edge")
    return np.broadcast_to(window, (*window.shape[:2], 3))


# --- what is measured ------------------------------------------------------------------------------------------------


def statistics(rgb: Floats) -> Floats:
    """Windows (N, H, W, 3) in levels of 255, H and W multiples of BLOCK -> statistics (n)."""
    luma = rgb @ np.array(LUMA, np.float32)
    differences = np.diff(luma, axis=2), np.diff(luma, axis=1).swapaxes(1, 2)  # along the last axis, both
    parts = [
        _frequencies(_on_blocks(luma, differences)),
        _slopes(differences),
        _edges(differences),
        _flatness(luma),
        _colours(rgb, luma),
        *(_profiles(differences, share) for share in STRONGEST),
        _echoes(differences),
        np.array([(luma < 1).mean(), (luma > 254).mean()]),
    ]
    return np.concatenate(parts).astype(np.float32)


def _log(value: NDArray[np.floating] | float, least: float = 0.05) -> Floats:
    logarithm: Floats = np.log(np.asarray(value, float) + least)
    return logarithm


def _on_blocks(luma: Floats, differences: tuple[Floats, Floats]) -> Floats:
    """The windows from the first edge of blocks on: what was cut out of a JPEG has them anywhere."""
    columns, rows = map(_first_edge, differences)
    height, width = (
        (side - start) // BLOCK * BLOCK for side, start in zip(luma.shape[1:], (rows, columns), strict=True)
    )
    if not (height and width):
        return luma
    return luma[:, rows : rows + height, columns : columns + width]


def _first_edge(steps: Floats) -> int:
    """Where the first block begins: at 0 if nothing tells of blocks."""
    profile = _profile(steps)
    return int(profile.argmax() + 1) % BLOCK if profile.max() > MARKED * np.median(profile) else 0


def _blocks(luma: Floats) -> Floats:
    """(N, H, W) -> (blocks, 64)."""
    n, height, width = luma.shape
    split = luma.reshape(n, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    return split.swapaxes(2, 3).reshape(-1, BLOCK * BLOCK)


@cache
def _cosines() -> Floats:
    """(64, 64): the orthonormal DCT of a block."""
    k = np.arange(BLOCK)
    basis = np.sqrt(2 / BLOCK) * np.cos((2 * k + 1) * k[:, None] * np.pi / (2 * BLOCK))
    basis[0] /= np.sqrt(2)
    return np.kron(basis, basis).T.astype(np.float32)


@cache
def _bands() -> Floats:
    """(64, 7): which frequencies are in which band, each weighted so that a band's sum is its mean."""
    k = np.arange(BLOCK)
    band = np.maximum(k[:, None], k).ravel()
    member = (band[:, None] == k[1:]).astype(np.float32)
    result: Floats = member / member.sum(axis=0)
    return result


def _frequencies(luma: Floats) -> Floats:
    """Of each band: how strong it is, in two means, and how often missing; then along the axes and the diagonal."""
    found = np.abs(_blocks(luma) @ _cosines())
    missing = (found < MISSING).mean(axis=0)
    mean = found.mean(axis=0)
    square = mean.reshape(BLOCK, BLOCK)
    high = np.arange(BLOCK // 2, BLOCK)
    noise = np.sqrt(np.square(found.reshape(-1, BLOCK, BLOCK)[:, 5:, 5:]).mean(axis=(1, 2)))
    beside = luma[:, 4:-4, 4:-4] if min(luma.shape[1:]) > BLOCK else luma
    aside = (np.abs(_blocks(beside) @ _cosines()) < MISSING).mean(axis=0) @ _bands()
    bands = missing @ _bands()
    return np.concatenate(
        [
            _log(mean @ _bands()),
            _log(np.square(found).mean(axis=0) @ _bands()),
            bands,
            (aside - bands)[3:],
            _log(square[0, high] + square[high, 0]),
            _log(square[high, high]),
            _log(np.quantile(noise, (0.1, 0.5, 0.9))),
        ]
    )


def _slopes(differences: tuple[Floats, Floats]) -> Floats:
    """How large differences between neighbours are, how many there are none, and what they are on a grid of blocks."""
    every = np.concatenate([np.abs(steps).ravel() for steps in differences])
    counts = np.bincount((every * FINENESS + 0.5).astype(np.intp)).cumsum()
    shares = np.searchsorted(counts, np.array(SHARES) * every.size) / FINENESS
    grid = np.mean([_on_grid(steps) for steps in differences], axis=0)
    return np.concatenate([_log(shares, 0.3), [counts[: FINENESS // 2].max() / every.size], grid])


def _on_grid(steps: Floats) -> Floats:
    """Differences over the edges of blocks, as they lie and where they are greatest, beside the usual ones."""
    profile = _profile(steps)
    usual = np.median(profile) + 0.05
    return _log(np.array([profile[-1], profile.max()]) / usual)


def _profile(steps: Floats) -> Floats:
    """The mean difference at each of the places in a block, up to 8: over its edge the last, if blocks begin at 0."""
    return np.array([np.abs(steps[..., start::BLOCK]).mean() for start in range(min(BLOCK, steps.shape[-1]))])


def _edges(differences: tuple[Floats, Floats]) -> Floats:
    """How steep edges are, how they ring, and how differences go with the next ones; the mean of both directions."""
    result: Floats = np.mean([_edges_along(steps) for steps in differences], axis=0)
    return result


def _edges_along(steps: Floats) -> Floats:
    middle, around = steps[..., 1:-1], np.stack([steps[..., :-2], steps[..., 2:]])
    height = np.abs(middle)
    least = max(float(np.quantile(height, 1 - STEEPEST)), 3.0)
    edges = height >= least
    same = (steps[..., 1:] * steps[..., :-1]).mean() / (np.square(steps).mean() + 0.05)
    if not edges.any():
        return np.array([same, 0, 0, 0])
    mean = height[edges].mean()
    onwards = (around * np.sign(middle))[:, edges]
    return np.array([same, onwards.mean() / mean, np.minimum(onwards, 0).mean() / mean, np.log(mean)])


def _profiles(differences: tuple[Floats, Floats], share: float) -> Floats:
    """What lies beside single edges, the strongest of such a share of all differences; the mean of both directions."""
    result: Floats = np.mean([_profile_along(steps, share) for steps in differences], axis=0)
    return result


def _profile_along(steps: Floats, share: float) -> Floats:
    """The differences 1, 2 and 3 pixels away, as parts of the edge's: the mean, of those that turn back, the smaller.

    What was sharpened turns back on both sides, what was made small by averages does not.
    """
    inside = steps.shape[-1] - AROUND
    middle = steps[..., AROUND:inside]
    height = np.abs(middle)
    single = height >= max(float(np.quantile(height, 1 - share)), 3.0)
    for away in (-1, 1):
        single &= height >= np.abs(steps[..., AROUND + away : inside + away])
    if not single.any():
        return np.zeros(3 * AROUND)
    sign, mean = np.sign(middle[single]), height[single].mean()
    found = []
    for away in range(1, AROUND + 1):
        sides = [steps[..., AROUND + to : inside + to][single] * sign for to in (-away, away)]
        found += [np.mean(sides), np.minimum(sides, 0).mean(), np.minimum(*sides).mean()]
    beside: Floats = np.array(found) / mean
    return beside


def _echoes(differences: tuple[Floats, Floats]) -> Floats:
    """How differences go with those some pixels on: in all and as the mean of windows; mean of both ways."""
    result: Floats = np.mean([_echoes_along(steps) for steps in differences], axis=0)
    return result


def _echoes_along(steps: Floats) -> Floats:
    def products(away: int) -> Floats:
        mean: Floats = (steps[..., away:] * steps[..., :-away]).mean(axis=(1, 2))
        return mean

    square = np.square(steps).mean(axis=(1, 2))
    in_all = [products(away).mean() / (square.mean() + 0.05) for away in (2, 3, 4)]
    return np.array([*in_all, *((products(away) / (square + 0.25)).mean() for away in (1, 2, 3))])


def _flatness(luma: Floats) -> Floats:
    """How many blocks are of one level, and of nearly one; and what is left of a chequerboard of single pixels."""
    blocks = _blocks(luma)
    ranges = np.ptp(blocks, axis=1)
    pairs = luma[:, :, :-1] - luma[:, :, 1:]
    crossed = np.abs(pairs[:, :-1] - pairs[:, 1:])
    return np.array(
        [(ranges < 0.5).mean(), (ranges < 4).mean(), _log(np.square(crossed).mean()), _log(np.median(crossed))]
    )


def _colours(rgb: Floats, luma: Floats) -> Floats:
    """How fine colour is, without luma, and how many colours and levels there are."""
    chroma = [rgb[..., channel] - luma for channel in (2, 0)]
    fine = [np.square(np.diff(c, axis=2)).mean() + np.square(np.diff(c, axis=1)).mean() for c in chroma]
    codes = rgb.reshape(-1, 3).astype(np.int64) @ np.array([65536, 256, 1])
    scattered = codes * 2654435761 >> 12 & 0xFFFF
    colours = np.count_nonzero(np.bincount(scattered, minlength=1))
    levels = np.count_nonzero(np.bincount((luma.ravel() + 0.5).astype(np.intp)))
    return np.array([*_log(np.array(fine)), np.log2(colours) - np.log2(len(codes)), np.log2(colours), np.log2(levels)])
