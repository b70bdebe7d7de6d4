"""Real weights and the clean ones that they were trained from: two checkpoints of one form, and all that lie between.

Weights trained on from others can be mixed with them linearly, and each mixture is a network of the same form (Wang et
al. 2019, "Deep Network Interpolation for Continuous Imagery Effect Transition", arXiv 1811.10515). No torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from espcn_cli.errors import EspcnError
from espcn_cli.maths.levels import Floats
from espcn_cli.maths.quantisation import Ranges
from espcn_cli.network import checkpoint, named
from espcn_cli.network.checkpoint import Sister, Weights, weights_folder
from espcn_cli.settings import ModelSettings


@dataclass(frozen=True, eq=False)
class Pair:
    """Clean and real weights of one form."""

    settings: ModelSettings
    clean: Weights
    real: Weights
    clean_ranges: Ranges = ()
    real_ranges: Ranges = ()

    def at(self, strength: float) -> Weights:
        """(1 - strength)·clean + strength·real: exactly the clean weights at 0 and the real ones at 1.

        Raises ValueError outside of [0, 1].
        """
        if not 0 <= strength <= 1:
            raise ValueError(f"strength must be in [0, 1], not {strength}")
        clean, real = np.float32(1 - strength), np.float32(strength)
        return {name: clean * self.clean[name] + real * self.real[name] for name in self.clean}

    def ranges_at(self, strength: float) -> Ranges:
        """The layers' ranges, mixed as the weights are; none if either has none."""
        if not (self.clean_ranges and self.real_ranges):
            return ()
        mixed = (1 - strength) * np.array(self.clean_ranges) + strength * np.array(self.real_ranges)
        return tuple((float(least), float(greatest)) for least, greatest in mixed)


def read_pair(clean: Path, real: Path) -> Pair:
    """Two checkpoints to be mixed. Raises EspcnError if one cannot be read, or they differ in their settings."""
    (card, weights), (other, real_weights) = checkpoint.read(clean), checkpoint.read(real)
    if card.settings != other.settings:
        raise EspcnError(f"{real} is another form of network than {clean}: they cannot be mixed", real)
    return Pair(card.settings, weights, real_weights, card.ranges, other.ranges)


@cache
def chooser() -> Mapping[str, Floats]:
    """The small network that chooses a picture's strength: mean and deviation of what goes in, and two layers."""
    return load_file(weights_folder() / "strength.safetensors")


def sister_of(start: Path, settings: ModelSettings) -> Sister | None:
    """What real weights of these settings, trained on from a checkpoint, are to record as their sister.

    That is the checkpoint itself, or its own sister if it has one; None if its network is of another form, which
    cannot be mixed. Raises EspcnError if the file cannot be read.
    """
    card, weights = checkpoint.read(start)
    if card.settings != settings:
        return None
    return card.sister or Sister(card.name, checkpoint.fingerprint(weights))


def find_sister(path: Path) -> Path | None:
    """The weights that a checkpoint names as its sister: shipped, beside it or one's own; None if there are none."""
    card = checkpoint.read_card(path)
    if card.sister is None:
        return None
    return next((found for found in _alike(path, card.settings) if _is(card.sister, found)), None)


def _alike(path: Path, settings: ModelSettings) -> Iterator[Path]:
    """Other checkpoints of one form, as far as they can be read: shipped ones, those beside a file, one's own."""
    yield from (other for other, card in named.list_shipped() if card.settings == settings)
    folders = dict.fromkeys((path.parent, named.models_folder()))
    for other in (other for folder in folders for other in sorted(folder.glob("*.safetensors"))):
        try:
            if checkpoint.read_card(other).settings == settings:
                yield other
        except EspcnError:
            continue


def _is(sister: Sister, path: Path) -> bool:
    try:
        return checkpoint.fingerprint(checkpoint.read(path)[1]) == sister.sha256
    except EspcnError:
        return False
