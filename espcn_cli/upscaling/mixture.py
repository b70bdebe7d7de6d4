"""Clean and real weights in use: an engine for each strength, opened when a picture first asks for it, and kept."""

from __future__ import annotations

import threading
from typing import Any, Protocol

from espcn_cli.engines.engine import Engine
from espcn_cli.engines.passes import Passes
from espcn_cli.maths.quantisation import Ranges
from espcn_cli.network.checkpoint import Weights
from espcn_cli.network.mixing import Pair
from espcn_cli.settings import STRENGTH_STEPS, ModelSettings


class Open(Protocol):
    """Makes an engine of a network's weights; picklable, if the mixture is to be."""

    def __call__(self, settings: ModelSettings, weights: Weights, *, ranges: Ranges, steady: bool) -> Engine: ...


class Mixture:
    """The engines between a pair of weights; threads may share it, and a copy in another process opens its own."""

    def __init__(self, pair: Pair, open: Open) -> None:
        self.pair = pair
        self._open = open
        self._engines: dict[int, Engine] = {}
        self._lock = threading.Lock()

    def engine(self, strength: float) -> Engine:
        """The engine at a strength in [0, 1], rounded to a step. Raises EspcnError as opening one does."""
        step = round(strength * STRENGTH_STEPS)
        with self._lock:
            if step not in self._engines:
                at = step / STRENGTH_STEPS
                weights, ranges = self.pair.at(at), self.pair.ranges_at(at)
                self._engines[step] = self._open(self.pair.settings, weights, ranges=ranges, steady=True)
            return self._engines[step]

    def __reduce__(self) -> tuple[Any, ...]:
        return Mixture, (self.pair, self._open)


class MixedPasses(Mixture):
    """Two passes of which one at least is mixed: both at the same strength."""

    def __init__(self, first: Engine | Mixture, second: Engine | Mixture) -> None:
        self.first, self.second = first, second
        self._engines = {}
        self._lock = threading.Lock()

    def engine(self, strength: float) -> Engine:
        """The engine at a strength in [0, 1], rounded to a step. Raises EspcnError as opening one does."""
        step = round(strength * STRENGTH_STEPS)
        both = [each.engine(strength) if isinstance(each, Mixture) else each for each in (self.first, self.second)]
        with self._lock:
            return self._engines.setdefault(step, Passes(*both))

    def __reduce__(self) -> tuple[Any, ...]:
        return MixedPasses, (self.first, self.second)
