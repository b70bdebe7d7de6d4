"""A palette for many pictures at once: how often colours are there, which of them to take, and which is nearest.

Packed, a colour is one number, R·2^16 + G·2^8 + B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from espcn_cli.maths.levels import Floats, Levels, rounded

Packed = NDArray[np.int32]

MOST = 256
"""Colours of a palette."""

MANY = 2**12
"""Colours that are counted one by one."""

BITS = 6
"""Of each of R, G and B: if there are more, those that share these are counted together."""

CHOOSING = 2**17
"""Pixels, about, of the picture that a palette is chosen for. It holds colours in proportion to the roots of how often
they are there, so that what is small has its share."""

FAR = 16
"""Colours of a palette that are chosen last."""

AT_ONCE = 2**16
"""Colours whose distances to a palette are in memory at a time."""


def packed(colours: NDArray[Any]) -> Packed:
    """uint8 (..., 3) -> int32 (...)."""
    red, green, blue = np.moveaxis(colours.astype(np.int32), -1, 0)
    result: Packed = red << 16 | green << 8 | blue
    return result


def unpacked(colours: NDArray[Any]) -> Levels:
    """int32 (...) -> uint8 (..., 3)."""
    return np.stack([colours >> 16, colours >> 8, colours], axis=-1).astype(np.uint8)


@dataclass(frozen=True)
class Colours:
    """How often colours are there: `totals` (n, 4) are the count and the sums of R, G and B of each of `keys` (n).

    `exact`: a key is a packed colour; else it stands for all colours that share their first BITS.
    """

    keys: NDArray[np.int64]
    totals: Floats
    exact: bool

    @classmethod
    def of(cls, pixels: Packed) -> Colours:
        """Those of packed pixels (n)."""
        colours = unpacked(pixels)
        bins = _coarse(colours)
        counts = np.bincount(bins)
        found = np.flatnonzero(counts)
        if len(found) <= MANY:
            keys, number = np.unique(pixels, return_counts=True)
            if len(keys) <= MANY:
                return cls(
                    keys.astype(np.int64), number[:, None] * np.insert(unpacked(keys).astype(float), 0, 1, axis=1), True
                )
        sums = [np.bincount(bins, weights=plane)[found] for plane in colours.T]
        return cls(found, np.stack([counts[found], *sums], axis=-1), False)

    def __or__(self, other: Colours) -> Colours:
        """Those of both."""
        if self.exact and other.exact:
            both = _summed([self.keys, other.keys], [self.totals, other.totals], True)
            return both if len(both.keys) <= MANY else both.coarse()
        first, second = self.coarse(), other.coarse()
        return _summed([first.keys, second.keys], [first.totals, second.totals], False)

    def coarse(self) -> Colours:
        """The same, not exact."""
        return _summed([_coarse(unpacked(self.keys))], [self.totals], False) if self.exact else self

    @property
    def means(self) -> Levels:
        """The colour that each key stands for, (n, 3)."""
        return rounded(self.totals[:, 1:] / self.totals[:, :1], np.uint8)

    def palette(self, most: int) -> Levels:
        """At most so many of them, (n, 3): all, if that is enough, else median cut and a step of k-means.

        A colour that makes up most of what one of them stands for is taken as it is, so that flat areas keep theirs;
        and the last few are for what is farthest from all others, so that nothing takes on quite another colour.
        """
        means, counts = self.means, self.totals[:, 0]
        if self.exact and len(means) <= most:
            return means
        roots = np.sqrt(counts)
        picture = means.repeat(np.ceil(roots * CHOOSING / roots.sum()).astype(int), axis=0)[None]
        chosen = Image.fromarray(picture).quantize(
            most - FAR, Image.Quantize.MEDIANCUT, kmeans=1, dither=Image.Dither.NONE
        )
        table: Levels = np.array(chosen.getpalette(), np.uint8).reshape(-1, 3)[np.unique(np.asarray(chosen))]
        places, order = nearest(means, table), counts.argsort()
        commonest = np.zeros(len(table), np.int64)
        commonest[places[order]] = order  # the last one stays
        flat = counts[commonest] > np.bincount(places, weights=counts, minlength=len(table)) / 2
        table[flat] = means[commonest[flat]]
        return np.concatenate([table, _farthest(means, table, most - len(table))])


def _farthest(colours: Levels, table: Levels, count: int) -> Levels:
    """So many of the colours (n, 3), each the one that is farthest from the table and from those before it."""
    wide = colours.astype(np.int32)
    distances = np.square(wide - table[nearest(colours, table)]).sum(axis=1)
    chosen = []
    for _ in range(count):
        if not distances.any():
            break
        chosen.append(distances.argmax())
        distances = np.minimum(distances, np.square(wide - wide[chosen[-1]]).sum(axis=1))
    return colours[chosen]


def _coarse(colours: Levels) -> NDArray[np.int64]:
    red, green, blue = (colours >> 8 - BITS).astype(np.int64).T
    bins: NDArray[np.int64] = (red << BITS | green) << BITS | blue
    return bins


def _summed(keys: list[NDArray[np.int64]], totals: list[Floats], exact: bool) -> Colours:
    unique, places = np.unique(np.concatenate(keys), return_inverse=True)
    sums = np.zeros((len(unique), 4))
    np.add.at(sums, places, np.concatenate(totals))
    return Colours(unique, sums, exact)


def nearest(colours: Levels, table: Levels) -> NDArray[np.int64]:
    """The index of the colour of the table (k, 3) that is nearest to each colour (n, 3), the first of several."""
    entries = table.astype(np.float32)
    squares = (entries**2).sum(axis=1)  # whole numbers below 2^24, which float32 holds
    parts = [colours[start : start + AT_ONCE].astype(np.float32) for start in range(0, len(colours), AT_ONCE)]
    found = [(squares - 2 * part @ entries.T).argmin(axis=1) for part in parts]
    return np.concatenate(found) if found else np.zeros(0, np.int64)


class Nearest:
    """`nearest` in one table for packed colours (n) -> uint8 (n), each of them worked out once."""

    def __init__(self, table: Levels) -> None:
        self.table = table
        self._known = np.zeros(2**24, bool)
        self._found = np.zeros(2**24, np.uint8)

    def __call__(self, pixels: Packed) -> NDArray[np.uint8]:
        new = np.unique(pixels[~self._known[pixels]])
        self._found[new] = nearest(unpacked(new), self.table)
        self._known[new] = True
        return self._found[pixels]
