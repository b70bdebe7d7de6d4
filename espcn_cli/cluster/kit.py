"""A model as values instead of names: what another machine opens the same engines from, in the same arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NoReturn, Self

from espcn_cli.engines import opening
from espcn_cli.engines.engine import arithmetic_of
from espcn_cli.errors import UsageError
from espcn_cli.maths.levels import Levels
from espcn_cli.maths.quantisation import Ranges
from espcn_cli.network.checkpoint import Weights
from espcn_cli.network.mixing import Pair
from espcn_cli.settings import PASSES, Alpha, ModelSettings
from espcn_cli.upscaling.mixture import Mixture, Open
from espcn_cli.upscaling.upscaler import Strength, Upscaler, assemble, in_two

Place = Literal["cpu", "cuda"]
"""What a worker computes on: its cores, or its GPU."""


@dataclass(frozen=True, eq=False)
class Sealed:
    """Stands for an engine where nothing is computed: a network's settings, weights and ranges."""

    settings: ModelSettings
    weights: Weights
    ranges: Ranges = ()
    steady: bool = False
    halo: int = 0
    window: int = 1
    takes_padded: bool = False
    together: int = 1
    arithmetic: str = ""

    def upscale(self, windows: Sequence[Levels], black: int, white: int) -> list[Levels]:
        """Raises TypeError, as everything that computes."""
        self._refuse()

    def interpolate(self, levels: Levels, black: int, white: int) -> Levels:
        """Raises TypeError."""
        self._refuse()

    def exact(self) -> Self:
        return self

    def halved(self) -> Self:
        return self

    def _refuse(self) -> NoReturn:
        raise TypeError("a sealed model computes nothing")


@dataclass(frozen=True, eq=False)
class Network:
    """One scale of a model: its weights, or the pair that is mixed, and the engine and the precision chosen for it."""

    name: str
    settings: ModelSettings
    weights: Weights | Pair
    engine: opening.Name
    precision: str
    ranges: Ranges = ()


@dataclass(frozen=True, eq=False)
class Kit:
    """A model to be opened elsewhere. `networks`: by scale; `first` is the scale that it has without a size.

    That may be one of PASSES, which `networks` has the two scales of.
    """

    networks: dict[int, Network]
    first: int
    place: Place
    strength: Strength
    tile: int | None
    alpha: Alpha
    ensemble: bool
    wrap: bool = False

    def open(self) -> Upscaler:
        """The model with its engines, on this machine.

        Raises EspcnError if the engine, the device or the precision is not there.
        """
        return self._at(self.first)

    def _at(self, scale: int) -> Upscaler:
        if scale not in self.networks:
            return in_two(*(self._at(each) for each in PASSES[scale]))
        network = self.networks[scale]
        open_weights = partial(
            opening.open_engine,
            device=self.place,
            precision=network.precision,
            ensemble=self.ensemble,
            engine=network.engine,
        )
        return self._assembled(scale, open_weights, self._at)

    def sealed(self) -> Upscaler:
        """The model as far as sizes, scales and names go: it computes nothing."""
        return self._sealed_at(self.first)

    def _sealed_at(self, scale: int) -> Upscaler:
        if scale not in self.networks:
            return in_two(*(self._sealed_at(each) for each in PASSES[scale]))
        arithmetic = arithmetic_of(self.networks[scale].precision, self.ensemble)
        return self._assembled(scale, partial(Sealed, arithmetic=arithmetic), self._sealed_at)

    def _assembled(self, scale: int, make: Open, at: Callable[[int], Upscaler]) -> Upscaler:
        network = self.networks[scale]
        engine = (
            Mixture(network.weights, make)
            if isinstance(network.weights, Pair)
            else make(network.settings, network.weights, ranges=network.ranges, steady=False)
        )
        return Upscaler(engine, self.tile, tuple(self.networks), at, self.strength, network.name, self.alpha, self.wrap)


def place_of(device: str, gpus: bool) -> Place:
    """What workers compute on; `gpus`: whether the cluster has any.

    Raises UsageError for what Ray does not share out.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device {device}: with --cluster use auto, cpu or cuda: Ray chooses which GPU")
    if device == "cuda" and not gpus:
        raise UsageError("--device cuda: no machine of the cluster has a GPU: use --device cpu")
    return "cuda" if gpus and device != "cpu" else "cpu"


def pack(
    model: str | Path | None,
    scale: int | None,
    place: Place,
    *,
    all_scales: bool,
    strength: Strength = "auto",
    engine: str = "auto",
    precision: str = "auto",
    tile: int | None = None,
    ensemble: bool = False,
    alpha: Alpha = "blend",
    wrap: bool = False,
) -> Kit:
    """A model for others to open, with engine and precision fixed for all: see `load`, which raises the same.

    `all_scales`: a size is asked for, and each picture may need another scale.
    """
    opened = assemble(model, scale, Sealed, strength, tile, alpha, wrap)
    if opened.scale in PASSES:
        apart: dict[int, Upscaler] = {each: assemble(model, each, Sealed, strength) for each in PASSES[opened.scale]}
    else:
        apart = {each: opened.at(each) for each in (opened.scales if all_scales else (opened.scale,))}
    networks = {each: _network(one, place, engine, precision) for each, one in apart.items()}
    return Kit(networks, opened.scale, place, opened.strength, tile, alpha, ensemble, wrap)


def _network(opened: Upscaler, place: Place, engine: str, precision: str) -> Network:
    sealed = opened.engine
    assert isinstance(sealed, Sealed)
    if place == "cuda":
        name, chosen = _on_gpu(engine, precision)
    else:
        choice = opening.decide(sealed.settings, "cpu", precision, engine, bool(sealed.ranges), sealed.steady)
        name, chosen = choice.engine, choice.precision
    weights = opened.mixture.pair if opened.mixture else sealed.weights
    return Network(opened.name, sealed.settings, weights, name, chosen, sealed.ranges)


def _on_gpu(engine: str, precision: str) -> tuple[opening.Name, str]:
    """Likewise on GPUs, which this machine need not have."""
    if engine == "openvino":
        raise UsageError("OpenVINO does not run on 'cuda': use --device cpu, or --engine torch")
    return "torch", "fp16" if precision == "auto" else precision
