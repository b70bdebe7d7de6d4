"""What every export starts from: a checkpoint's card, and its weights at one strength. No torch."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from espcn_cli.errors import UsageError
from espcn_cli.exchange import importing
from espcn_cli.figures import to_json
from espcn_cli.maths.quantisation import Ranges
from espcn_cli.network import checkpoint, mixing
from espcn_cli.network.checkpoint import ModelCard, Weights
from espcn_cli.network.mixing import Pair
from espcn_cli.settings import REAL, ModelSettings

STRENGTH = 0.75
"""Of real weights, unless another is asked for: what is exported seldom chooses one for each picture."""

Precision = Literal["fp32", "int8"]
"""What a network is computed in by whoever runs it."""

Files = dict[str, bytes]
"""What an export writes: content by suffix, the one that was asked for among them."""


@dataclass(frozen=True, eq=False)
class Network:
    """One network to be exported.

    `weights` are mixed at `strength`, which is None where nothing was mixed. `pair`: the clean and real weights that
    they lie between, for a format that mixes them itself; None for one network as it is. `ranges`: of what goes into
    each layer, which is then rounded to eight bits, as its weights are; none for fp32.
    """

    card: ModelCard
    weights: Weights
    strength: float | None = None
    pair: Pair | None = None
    ranges: Ranges = ()

    @property
    def settings(self) -> ModelSettings:
        return self.card.settings

    @property
    def title(self) -> str:
        """Name, scale, strength and eight bits if it has them: `espcn-m-real x2, strength 0.75`, or `any strength`."""
        mixed = (
            "" if self.strength is None else f", strength {self.strength:g}" if self.pair is None else ", any strength"
        )
        return f"{self.card.name} x{self.settings.scale}{mixed}{', int8' if self.ranges else ''}"

    @property
    def facts(self) -> dict[str, str]:
        """What an export says about itself in words, by name."""
        return {
            "name": self.title,
            "settings": to_json(self.settings.to_dict()),
            "license": self.card.license or "not recorded",
            "weights": f"sha256 {checkpoint.fingerprint(self.weights)}",
            "cost": f"{self.settings.macs:,} multiply-adds per LR pixel",
        }


def read(path: Path, strength: float | Literal["auto"] | None = None, precision: Precision = "fp32") -> Network:
    """A checkpoint, its weights mixed with their clean sister's at a strength in [0, 1].

    By default real weights are mixed at STRENGTH, others taken as they are. `auto` keeps the pair. In int8 ranges are
    mixed too, and weights whose sister has none are taken as they are. Raises EspcnError if the file cannot be read,
    UsageError for a strength of weights that cannot be mixed, or that is none, and for int8 without ranges.
    """
    if strength not in (None, "auto") and not 0 <= float(strength) <= 1:
        raise UsageError(f"strength {strength}: use auto, or a number from 0 to 1")
    card, weights = importing.read(path)
    ranges = _ranges_of(card, path) if precision == "int8" else ()
    sister = mixing.find_sister(path) if card.sister else None
    if sister is None:
        if strength is None:
            return Network(card, weights, ranges=ranges)
        way = (
            f"the weights of {card.sister.name}, which it is mixed with, are not there: put them beside it"
            if card.sister
            else f"it has no clean sister to be mixed with: leave it out, or choose weights ending in {REAL}"
        )
        raise UsageError(f"strength {strength} of {path.name}: {way}", path)
    pair = mixing.read_pair(sister, path)
    value = STRENGTH if strength in (None, "auto") else float(strength)
    if ranges and pair.clean_ranges:
        ranges = pair.ranges_at(value)
    elif ranges:
        if strength not in (None, 1):
            reason = f"{sister.name} has no ranges for int8, so that strength 1 alone has: leave it out or use fp32"
            raise UsageError(f"strength {strength} of {path.name}: {reason}", path)
        value = 1.0
    return Network(card, pair.at(value), value, pair if strength == "auto" else None, ranges)


def _ranges_of(card: ModelCard, path: Path) -> Ranges:
    if not card.ranges:
        source = shlex.quote(str(path))
        raise UsageError(
            f"{path.name} has no ranges for int8: `espcn train --init {source} --quantise` finds them", path
        )
    return card.ranges
