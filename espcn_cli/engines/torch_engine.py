"""The reference engine, and the one for CUDA: PyTorch. Levels in, levels out; for training and scoring, tensors too."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from espcn_cli.engines.device import PRECISION_NAMES, settle_threads, side_by_side, survive_forks
from espcn_cli.engines.engine import SMALL, NotFiniteError, PlaneEngine, arithmetic_of, highest
from espcn_cli.engines.passes import Passes
from espcn_cli.engines.scheduler import through
from espcn_cli.engines.tiles import fill
from espcn_cli.maths.colour import HALVED_REACH, SLOPE_REACH, luma
from espcn_cli.maths.levels import Levels, is_padded, unlocked
from espcn_cli.maths.tiling import STRIP_PIXELS
from espcn_cli.maths.turns import TURNS, turned_back, turned_planes
from espcn_cli.network.espcn import ESPCN
from espcn_cli.network.layers import BicubicSkip
from espcn_cli.network.slopes import ColourSlopes, softened
from espcn_cli.network.subpixel import phase_shift
from espcn_cli.settings import BICUBIC_REACH, ModelSettings

STEADY_HALO = 4
"""At least this much, so that a window has 5 columns or all there are: below that, oneDNN's AVX-512 convolution of a
single plane sums in another order, and a tile would differ from the whole in the last bit."""

TOGETHER = 8
"""Frames that a card gets at a time: with fewer, it would wait for the first and the last more than it works."""

CPU = torch.device("cpu")

Step = Callable[[Tensor], tuple[Tensor, int]]
"""Planes (1, C, H, W) -> (1, C·s², H, W), and the s that is still to be shifted."""

DTYPES = {np.dtype(np.uint8): torch.uint8, np.dtype(np.uint16): torch.uint16}


class TorchEngine:
    """A network on its device in its precision.

    One plane goes through the network as it is. RGB through a one-plane network: luma through the network, and each
    colour is bicubic(C) + slope·(network(Y) - bicubic(Y)): it takes the detail in proportion to its own slope on luma
    nearby (`network/slopes`), and the luma of the three is the network's. With `of_halved`, chroma was held at half the
    resolution: bicubic is then of a picture whose luma is as soft as its chroma, so that chroma gets its share of what
    only luma still has. Grey through a three-plane network is repeated, and the luma of the result taken.

    `ensemble` takes the mean over the eight flips and quarter turns of the input, for eight times the work.
    """

    def __init__(
        self,
        network: ESPCN,
        device: torch.device = CPU,
        precision: torch.dtype = torch.float32,
        ensemble: bool = False,
        of_halved: bool = False,
    ) -> None:
        survive_forks()
        settle_threads()
        self.device = device
        self.precision = precision
        self.ensemble = ensemble
        self.network = network.eval().to(device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network = self.network.lowered(precision) if device.type == "cuda" else self.network
        self._owner: object | None = None
        self.bicubic = BicubicSkip(self.settings.scale).to(device)
        self.of_halved = of_halved
        self._halved: Any = self if of_halved else None
        self.slopes = ColourSlopes(self.settings.scale, of_halved).to(device)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_owner": None}

    @property
    def settings(self) -> ModelSettings:
        return self.network.settings

    @property
    def halo(self) -> int:
        """RGB needs the reach of bicubic and of the slopes at least."""
        slopes = HALVED_REACH if self.of_halved else SLOPE_REACH
        return max(self.settings.halo, BICUBIC_REACH, slopes, STEADY_HALO)

    @property
    def window(self) -> int:
        """A CPU's cache holds little; a GPU is the faster the more it has to do at once."""
        if self.device.type != "cuda":
            return STRIP_PIXELS
        from espcn_cli.engines.cuda import window_on

        return window_on(self.device)

    @property
    def takes_padded(self) -> bool:
        return self.device.type == "cuda"

    @property
    def together(self) -> int:
        """On a card one comes up while one runs and one goes down."""
        return TOGETHER if self.device.type == "cuda" else 1

    @property
    def arithmetic(self) -> str:
        quantised = self.network.tail.grid is not None
        return arithmetic_of("int8" if quantised else PRECISION_NAMES[self.precision], self.ensemble)

    def exact(self) -> Self:
        """The same network in fp32; itself if it is in fp32."""
        if self.precision == torch.float32:
            return self
        return type(self)(self.network, self.device, torch.float32, self.ensemble, self.of_halved)

    def halved(self) -> Self:
        """The same network for RGB whose chroma was held at half the resolution."""
        if self._halved is None:
            self._halved = type(self)(self.network, self.device, self.precision, self.ensemble, of_halved=True)
        halved: Self = self._halved
        return halved

    def upscale(self, windows: Sequence[Levels], black: int, white: int) -> list[Levels]:
        """Windows (H, W, 1 or 3) through the network: small ones side by side on a CPU, each on a thread of its own.

        On CUDA the next is uploaded while one runs. Raises NotFiniteError as `planes` does.
        """
        if self.device.type == "cuda":
            return self._on_card(windows, self._enlarged, black, white)
        work = partial(self._here, self._enlarged, black=black, white=white)
        threads = torch.get_num_threads() if self.device.type == "cpu" else 1
        if threads > 1 and all(levels.shape[0] * levels.shape[1] <= SMALL for levels in windows):
            return list(side_by_side(threads).map(work, windows))
        return [work(levels) for levels in windows]

    def interpolate(self, levels: Levels, black: int, white: int) -> Levels:
        """A window by bicubic interpolation alone; any number of channels."""
        if self.device.type == "cuda":
            return self._on_card([levels], self._interpolated, black, white)[0]
        return self._here(self._interpolated, levels, black, white)

    def _here(self, step: Step, levels: Levels, black: int, white: int) -> Levels:
        given = torch.from_numpy(unlocked(levels)).to(self.device)
        large, total = self._levels(step, black, white, False, given)
        self._check(total)
        result: Levels = large.cpu().numpy()
        return result

    def _on_card(self, windows: Sequence[Levels], step: Step, black: int, white: int) -> list[Levels]:
        """Through the card's scheduler; padded windows (see `maths.levels`) give padded results."""
        from espcn_cli.engines.cuda import Window, card_of

        card = card_of(self.device)
        if self._owner is None:
            self._owner = object()
            weakref.finalize(self, card.forget, self._owner).atexit = False
        wide = [is_padded(levels) for levels in windows]
        works = {padded: partial(self._levels, step, black, white, padded) for padded in set(wide)}
        given = (
            Window(levels, (self._owner, step.__name__, black, white, padded), works[padded])
            for levels, padded in zip(windows, wide, strict=True)
        )
        try:
            with card.lock:
                made = list(through(card, given))
        except NotFiniteError:
            raise self._overflow() from None
        return [levels[..., :3] if padded else levels for levels, padded in zip(made, wide, strict=True)]

    def _levels(self, step: Step, black: int, white: int, padded: bool, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Levels on the device -> the result's there, and the sum of its values: it tells whether all are finite."""
        planes = planes_of(levels[..., :3] if padded else levels, black, white)
        phases, scale = step(planes)
        return levels_of(phases, scale, black, white, levels.dtype, padded), phases.sum()

    def _enlarged(self, x: Tensor) -> tuple[Tensor, int]:
        return (self._mean_of_turns(x), 1) if self.ensemble else (self._phases(x), self.settings.scale)

    def _interpolated(self, x: Tensor) -> tuple[Tensor, int]:
        return self._bicubic(x), self.settings.scale

    def _check(self, total: Tensor) -> None:
        if not total.isfinite():
            raise self._overflow()

    def _overflow(self) -> NotFiniteError:
        return NotFiniteError(f"{PRECISION_NAMES[self.precision]} overflows on this picture")

    def planes(self, x: Tensor) -> Tensor:
        """(N, 1 or 3, H, W) in [0, 1] -> the same, scale times larger, on the device, neither rounded nor clipped.

        Raises NotFiniteError if the network gives NaN or infinity.
        """
        x = x.to(self.device)
        sr = self._mean_of_turns(x) if self.ensemble else self._once(x)
        self._check(sr.sum())  # one pass: what is not finite makes the sum so
        return sr

    def _mean_of_turns(self, x: Tensor) -> Tensor:
        results = [turned_back(self._once(turned_planes(x, turn)), turn) for turn in TURNS]
        return torch.stack(results).mean(dim=0)

    def _once(self, x: Tensor) -> Tensor:
        return phase_shift(self._phases(x), self.settings.scale)

    def _phases(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C·scale², H, W), float32: all that is done to a picture but the phase shift."""
        by_autocast = self._network.precision != self.precision
        with torch.no_grad(), torch.autocast(self.device.type, self.precision, enabled=by_autocast):
            if x.shape[1] == self.settings.planes:
                return self._network.phases(x)
            if self.settings.planes == 3:
                colours = self._network.phases(x.expand(-1, 3, -1, -1))
                return luma(torch.unflatten(colours, 1, (3, -1)).transpose(1, 2)).squeeze(2)
            soft = softened(x) if self.of_halved else x
            change = self._change(luma(x), luma(soft))[:, None]
        bicubic, slopes = (torch.unflatten(x, 1, (3, -1)) for x in (self._bicubic(soft), self._slopes(x)))
        return bicubic.addcmul_(slopes, change).flatten(1, 2)

    def _change(self, y: Tensor, soft: Tensor) -> Tensor:
        """By how much the network's luma is not bicubic of the softened: (N, 1, H, W) -> (N, scale², H, W)."""
        if self.settings.skip == "bicubic" and not self.of_halved:
            return self._network.detail(y)
        return self._network.phases(y) - self._bicubic(soft)

    def _bicubic(self, x: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            phases: Tensor = self.bicubic(x)
            return phases

    def _slopes(self, x: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            phases: Tensor = self.slopes(x)
            return phases


def upscale_planes(engine: PlaneEngine, lr: Tensor, tile: int | None = None) -> Tensor:
    """(N, C, H, W) in [0, 1] -> (N, C, H·scale, W·scale) in [0, 1], float32 on the CPU, clipped but not rounded.

    By any engine that takes planes. `tile` is in LR pixels; None chooses strips, 0 takes the picture whole.
    """
    n, c, height, width = lr.shape
    scale = engine.settings.scale
    last = engine.second if isinstance(engine, Passes) else engine
    if isinstance(last, TorchEngine):
        out = torch.empty(n, c, height * scale, width * scale, pin_memory=last.device.type == "cuda")
        fill(out, engine, lr, tile)
    else:  # of arrays
        out = torch.empty(n, c, height * scale, width * scale)
        fill(out.numpy(), engine, lr.cpu().numpy(), tile)
    return out.clamp_(0, 1)


def to_planes(levels: Levels, black: int, white: int) -> Tensor:
    """Levels (H, W, C) -> float32 (1, C, H, W), 0 at black and 1 at white."""
    return planes_of(torch.from_numpy(unlocked(levels)), black, white)


def to_levels(planes: Tensor, black: int, white: int, dtype: np.dtype[Any]) -> Levels:
    """Planes (1, C, H, W) -> whole levels (H, W, C), rounded to the nearest (halves up) and clipped."""
    levels: Levels = levels_of(planes, 1, black, white, DTYPES[dtype]).cpu().numpy()
    return levels


def planes_of(levels: Tensor, black: int, white: int) -> Tensor:
    """Levels (H, W, C), where they lie, -> float32 (1, C, H, W) there."""
    x = levels.permute(2, 0, 1)[None].float()
    return (x.sub_(black) if black else x).div_(white - black)


def levels_of(
    phases: Tensor, scale: int, black: int, white: int, dtype: torch.dtype, with_fourth: bool = False
) -> Tensor:
    """(1, C·scale², H, W) -> levels (H·scale, W·scale, C), or 4 with a fourth byte of 255 after each pixel.

    Rounded to the nearest (halves up) and clipped; the phase shift comes last, when values are a quarter as large.
    """
    values = (phases[0] * (white - black)).add_(black + 0.5).clamp_(0, highest(white)).to(dtype)
    height, width = values.shape[1:]
    split = torch.unflatten(values, 0, (-1, scale, scale)).permute(3, 1, 4, 2, 0)  # (H, scale, W, scale, C)
    if with_fourth:
        wide = torch.full((*split.shape[:4], 4), 255, dtype=dtype, device=values.device)
        wide[..., :3] = split
        split = wide
    return split.reshape(height * scale, width * scale, -1)
