"""The reference engine, and the one for CUDA: PyTorch. Levels in, levels out; for training and scoring, tensors too."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from espcn_cli.engines.device import PRECISION_NAMES, settle_threads, side_by_side, survive_forks
from espcn_cli.engines.engine import SMALL, NotFiniteError, PlaneEngine, highest
from espcn_cli.engines.tiles import fill
from espcn_cli.maths.colour import HALVED_REACH, SLOPE_REACH, luma
from espcn_cli.maths.levels import Levels
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

GPU_WINDOW = 4 * 1024 * 1024
"""LR pixels: 32 planes of 4 bytes take half a gigabyte."""

CPU = torch.device("cpu")

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
        self.bicubic = BicubicSkip(self.settings.scale).to(device)
        self.of_halved = of_halved
        self._halved: Any = self if of_halved else None
        self.slopes = ColourSlopes(self.settings.scale, of_halved).to(device)

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
        return GPU_WINDOW if self.device.type == "cuda" else STRIP_PIXELS

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

        Raises NotFiniteError as `planes` does.
        """
        work = partial(self._upscale, black=black, white=white)
        threads = torch.get_num_threads() if self.device.type == "cpu" else 1
        if threads > 1 and all(levels.shape[0] * levels.shape[1] <= SMALL for levels in windows):
            return list(side_by_side(threads).map(work, windows))
        return [work(levels) for levels in windows]

    def _upscale(self, levels: Levels, black: int, white: int) -> Levels:
        return to_levels(self.planes(to_planes(levels, black, white, self.device)), black, white, levels.dtype)

    def interpolate(self, levels: Levels, black: int, white: int) -> Levels:
        """A window by bicubic interpolation alone; any number of channels."""
        return to_levels(self._bicubic(to_planes(levels, black, white, self.device)), black, white, levels.dtype)

    def planes(self, x: Tensor) -> Tensor:
        """(N, 1 or 3, H, W) in [0, 1] -> the same, scale times larger, on the device, neither rounded nor clipped.

        Raises NotFiniteError if the network gives NaN or infinity.
        """
        x = x.to(self.device)
        sr = self._mean_of_turns(x) if self.ensemble else self._once(x)
        if not sr.sum().isfinite():  # one pass: what is not finite makes the sum so
            raise NotFiniteError(f"{PRECISION_NAMES[self.precision]} overflows on this picture")
        return sr

    def _mean_of_turns(self, x: Tensor) -> Tensor:
        results = [turned_back(self._once(turned_planes(x, turn)), turn) for turn in TURNS]
        return torch.stack(results).mean(dim=0)

    def _once(self, x: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            if x.shape[1] == self.settings.planes:
                return self._run(x)
            if self.settings.planes == 3:
                return luma(self._run(x.expand(-1, 3, -1, -1)))
            soft = softened(x) if self.of_halved else x
            change = self._run(luma(x)) - self._bicubic(luma(soft))
            return self._bicubic(soft).addcmul_(self._slopes(x), change)

    def _run(self, x: Tensor) -> Tensor:
        sr: Tensor = self.network(x)
        return sr.float()

    def _bicubic(self, x: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            return phase_shift(self.bicubic(x), self.settings.scale)

    def _slopes(self, x: Tensor) -> Tensor:
        with torch.autocast(self.device.type, enabled=False):
            return phase_shift(self.slopes(x), self.settings.scale)


def upscale_planes(engine: PlaneEngine, lr: Tensor, tile: int | None = None) -> Tensor:
    """(N, C, H, W) in [0, 1] -> (N, C, H·scale, W·scale) in [0, 1], float32 on the CPU, clipped but not rounded.

    By any engine that takes planes. `tile` is in LR pixels; None chooses strips, 0 takes the picture whole.
    """
    n, c, height, width = lr.shape
    scale = engine.settings.scale
    if isinstance(engine, TorchEngine):
        out = torch.empty(n, c, height * scale, width * scale, pin_memory=engine.device.type == "cuda")
        fill(out, engine, lr, tile)
    else:  # of arrays
        out = torch.empty(n, c, height * scale, width * scale)
        fill(out.numpy(), engine, lr.cpu().numpy(), tile)
    return out.clamp_(0, 1)


def to_planes(levels: Levels, black: int, white: int, device: torch.device = CPU) -> Tensor:
    """Levels (H, W, C) -> float32 (1, C, H, W), 0 at black and 1 at white. Whole levels go to the device."""
    owned = levels if levels.flags.writeable else levels.copy()  # PyTorch warns of memory that it may not write to
    x = torch.from_numpy(owned).to(device).permute(2, 0, 1)[None].float()
    return (x.sub_(black) if black else x).div_(white - black)


def to_levels(planes: Tensor, black: int, white: int, dtype: np.dtype[Any]) -> Levels:
    """Planes (1, C, H, W) -> whole levels (H, W, C), rounded to the nearest (halves up) and clipped."""
    values = (planes[0] * (white - black)).add_(black + 0.5).clamp_(0, highest(white))
    levels: NDArray[Any] = on_host(values.to(DTYPES[dtype]).permute(1, 2, 0).contiguous()).numpy()
    return levels


def on_host(x: Tensor) -> Tensor:
    """A tensor in the CPU's memory: from a GPU by way of pages that stay where they are, ten times as fast."""
    return x if x.device.type == "cpu" else torch.empty_like(x, device=CPU, pin_memory=x.is_cuda).copy_(x)
