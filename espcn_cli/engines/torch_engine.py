"""LR tensor -> SR tensor, tile by tile: the output is the same, in every 8-bit pixel, however it is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from espcn_cli.engines.device import PRECISION_NAMES
from espcn_cli.maths.colour import luma
from espcn_cli.maths.tiling import Tile, column_width, strip_height, tiles
from espcn_cli.network.espcn import ESPCN, BicubicSkip
from espcn_cli.network.subpixel import phase_shift
from espcn_cli.settings import BICUBIC_REACH

STRIP_PIXELS = 96 * 1024
"""LR pixels of a window when the tile size is `auto`: its 16 planes of 4 bytes stay near the last-level cache."""

STEADY_HALO = 4
"""At least this much, so that a window has 5 columns or all there are: below that, oneDNN's AVX-512 convolution of a
single plane sums in another order, and a tile would differ from the whole in the last bit."""

CPU = torch.device("cpu")


class NotFiniteError(ArithmeticError):
    """Half precision gave NaN or infinity."""


class Engine:
    """A network on its device in its precision: (N, 1 or 3, H, W) in [0, 1] -> the same planes, scale times larger.

    One plane goes through the network as it is. RGB through a one-plane network: luma through the network, chroma
    through bicubic. In full-range Y'CbCr the same change added to R, G and B is a change of Y alone, so
    bicubic(RGB) + network(Y) - bicubic(Y) is just that, without leaving RGB. Grey through a three-plane network is
    repeated, and the luma of the result taken.

    `ensemble` takes the mean over the eight flips and quarter turns of the input, for eight times the work.
    """

    def __init__(
        self,
        network: ESPCN,
        device: torch.device = CPU,
        precision: torch.dtype = torch.float32,
        ensemble: bool = False,
    ) -> None:
        self.settings = network.settings
        self.device = device
        self.precision = precision
        self.ensemble = ensemble
        self.network = network.eval().to(device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.bicubic = BicubicSkip(self.scale).to(self.device)

    @property
    def scale(self) -> int:
        return self.settings.scale

    @property
    def halo(self) -> int:
        """LR pixels around a tile that its output depends on, or more; RGB needs bicubic's reach at least."""
        return max(self.settings.halo, BICUBIC_REACH, STEADY_HALO)

    def __call__(self, x: Tensor) -> Tensor:
        """Raises NotFiniteError if half precision overflows."""
        x = x.to(self.device)
        sr = self._mean_of_turns(x) if self.ensemble else self._once(x)
        if self.precision != torch.float32 and not sr.isfinite().all():
            raise NotFiniteError(f"{PRECISION_NAMES[self.precision]} overflows on this picture")
        return sr

    def _mean_of_turns(self, x: Tensor) -> Tensor:
        results = []
        for quarter in range(4):
            turned = x.rot90(quarter, (2, 3))
            results.append(self._once(turned).rot90(-quarter, (2, 3)))
            results.append(self._once(turned.flip(3)).flip(3).rot90(-quarter, (2, 3)))
        return torch.stack(results).mean(dim=0)

    def _once(self, x: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            if x.shape[1] == self.settings.planes:
                return self._run(x)
            if self.settings.planes == 3:
                return luma(self._run(x.expand(-1, 3, -1, -1)))
            y = luma(x)
            change = self._run(y) - self.interpolate(y)
            return self.interpolate(x) + change

    def _run(self, x: Tensor) -> Tensor:
        sr: Tensor = self.network(x)
        return sr.float()

    def interpolate(self, x: Tensor) -> Tensor:
        """Bicubic alone, unclipped: (N, C, H, W) -> (N, C, H·scale, W·scale)."""
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            return phase_shift(self.bicubic(x.to(self.device)), self.scale)


def choose_tile(tile: int | None, height: int, width: int, halo: int) -> tuple[int, int]:
    """Height and width of the tiles in LR pixels: 0 takes the picture whole, None cuts it to suit the cache."""
    if tile is None:
        columns = column_width(width, STRIP_PIXELS)
        window = columns if columns == width else columns + 2 * halo
        return min(strip_height(window, halo, STRIP_PIXELS), height), columns
    return (tile, tile) if tile else (height, width)


def stream(
    step: Callable[[Tensor], Tensor], lr: Tensor, halo: int, tile: int | None = None
) -> Iterator[tuple[Tile, Tensor]]:
    """Run `step` over the tiles of `lr`: yields each tile and its window's output, halo included."""
    height, width = lr.shape[-2:]
    return windows(step, lambda rows, columns: lr[..., rows, columns], (width, height), halo, tile)


def windows(
    step: Callable[[Tensor], Tensor],
    read: Callable[[slice, slice], Tensor],
    size: tuple[int, int],
    halo: int,
    tile: int | None = None,
) -> Iterator[tuple[Tile, Tensor]]:
    """As `stream`, over a picture of that width and height whose windows are made when they are needed."""
    width, height = size
    for piece in tiles(height, width, *choose_tile(tile, height, width, halo), halo):
        yield piece, step(read(piece.rows.window, piece.columns.window))


def upscale(engine: Engine, lr: Tensor, tile: int | None = None) -> Tensor:
    """(N, C, H, W) in [0, 1] -> (N, C, H·scale, W·scale) in [0, 1], float32 on the CPU, clipped but not rounded.

    `tile` is in LR pixels; None chooses strips, 0 takes the picture whole.
    """
    n, c, height, width = lr.shape
    scale = engine.scale
    out = torch.empty(n, c, height * scale, width * scale)
    for piece, sr in stream(engine, lr, engine.halo, tile):
        inner = sr[..., piece.rows.inner(scale), piece.columns.inner(scale)]
        out[..., piece.rows.output(scale), piece.columns.output(scale)] = inner
    return out.clamp_(0, 1)
