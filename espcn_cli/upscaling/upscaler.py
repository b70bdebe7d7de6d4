"""A picture, upscaled: pixels and alpha, every frame, in strips, and to an exact size if that is wanted."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from espcn_cli.engines import torch_engine
from espcn_cli.engines.device import choose_device, choose_precision
from espcn_cli.errors import EspcnError
from espcn_cli.maths.resize import contributions, resize
from espcn_cli.maths.tiling import Span, span, spans
from espcn_cli.memory import out_of_memory
from espcn_cli.network import checkpoint
from espcn_cli.pictures import reading
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.raster import Raster
from espcn_cli.settings import DEFAULT_MODEL
from espcn_cli.upscaling import sizes
from espcn_cli.upscaling.sizes import Size

SMALLEST_TILE = 32
"""LR pixels of a side: if memory does not suffice for this, it suffices for nothing."""

RESIZE_ROWS = 64
"""Rows of a band when a picture is brought to its exact size."""


class Upscaler:
    """A loaded model, ready for pictures and tensors.

    `tile` is the side of a tile in LR pixels, 0 for the whole picture at once, None for strips that suit the cache;
    the result is the same. `at` gives the same model at another of its `scales`.
    """

    def __init__(
        self,
        engine: torch_engine.Engine,
        tile: int | None = None,
        scales: tuple[int, ...] = (),
        at: Callable[[int], Upscaler] | None = None,
    ) -> None:
        self.engine = engine
        self.tile = tile
        self.scales = scales or (engine.scale,)
        self._at = at

    @property
    def scale(self) -> int:
        return self.engine.scale

    def at(self, scale: int) -> Upscaler:
        """The same model for another scale. Raises EspcnError if there is none."""
        if scale == self.scale:
            return self
        if self._at is None or scale not in self.scales:
            raise EspcnError(f"this model upscales by {self.scale}, not by {scale}")
        return self._at(scale)

    def __call__(self, image: Image.Image) -> Image.Image:
        """Upscale a Pillow image; grey stays grey, alpha and profile are kept. What is not kept is warned about."""
        frame, info, notes = reading.from_image(image)
        result, said = self.raster(frame)
        for note in notes + said:
            warnings.warn(note, stacklevel=2)
        large = result.image()
        large.info.update(info)
        return large

    def upscale(self, x: Tensor) -> Tensor:
        """(N, 1 or 3, H, W) in [0, 1] -> (N, 1 or 3, H·scale, W·scale) in [0, 1], float32, not rounded."""
        return torch_engine.upscale(self.engine, x, self.tile)

    def raster(self, picture: Raster) -> tuple[Raster, list[str]]:
        """A picture in whole levels, strip by strip; and notes. Raises EspcnError as `strips` does."""
        width, height = picture.size
        try:
            canvas = picture.blank(width * self.scale, height * self.scale)
        except MemoryError:
            raise self._no_memory(picture) from None
        notes: list[str] = []
        for _ in self.strips(picture, notes, canvas):
            pass
        return canvas, notes

    def strips(self, picture: Raster, notes: list[str], canvas: Raster | None = None) -> Iterator[tuple[int, Raster]]:
        """The upscaled picture from top to bottom: each strip with its first row, or `canvas` with more of it filled.

        Where memory runs out the tiles are halved, where half precision overflows the rest is done in fp32, and
        `notes` say so. Raises EspcnError if memory does not suffice for the smallest tile.
        """
        width, height = picture.size
        tile, start, cut_out = self.tile, 0, picture.is_cut_out
        reach = self.engine.halo * (2 if picture.has_alpha else 1)  # colours bleed as far again
        while start < height:
            tall, wide = torch_engine.choose_tile(tile, height, width, reach)
            rows = span(start, min(start + tall, height), height, reach)
            try:
                strip = canvas or picture.blank(width * self.scale, (rows.stop - start) * self.scale)
                self._fill(strip, start if canvas else 0, picture, rows, spans(width, wide, reach), cut_out)
            except torch_engine.NotFiniteError as error:
                self.engine.precision = torch.float32
                notes.append(f"{error}: done in fp32")
                continue
            except Exception as error:
                if not out_of_memory(error):
                    raise
                tile = _smaller(tile, width, height)
                if not tile:
                    raise self._no_memory(picture) from None
                notes[:] = [note for note in notes if "memory" not in note]
                notes.append(f"memory ran out: done in tiles of {tile} pixels")
                continue
            yield start * self.scale, strip
            start = rows.stop

    def _fill(self, strip: Raster, top: int, picture: Raster, rows: Span, columns: list[Span], cut_out: bool) -> None:
        """Upscale the rows tile by tile into a strip, from LR row `top` of it on."""
        scale = self.scale
        for column in columns:
            sr = self._window(picture.window(rows.window, column.window), cut_out)
            strip.put(sr[..., rows.inner(scale), column.inner(scale)].cpu(), top * scale, column.start * scale)

    def _window(self, x: Tensor, cut_out: bool) -> Tensor:
        """Colours by the network, alpha too, but a mask's steps by bicubic, where the network rings.

        `benchmarks/alpha.py` measures by how much each is better at its own.
        """
        colours = 1 if x.shape[1] < 3 else 3
        if x.shape[1] == colours:
            return self.engine(x)
        pixels, lr = x[:, :colours], x[:, colours:]
        sr = self.engine.interpolate(lr) if cut_out else self.engine(lr)
        alpha = within_neighbours(sr.cpu(), lr, self.scale)
        return torch.cat([self.engine(bleed(pixels, lr, self.engine.halo)).cpu(), alpha], dim=1)

    def _no_memory(self, picture: Raster) -> EspcnError:
        width, height = picture.size
        return EspcnError(f"not enough memory for {width} x {height} pixels at x{self.scale}")

    def document(self, document: Document, size: Size | None = None) -> Document:
        """Upscale every frame or page; with `size`, by the scale that reaches it and then to it exactly."""
        frames, notes = [], list(document.warnings)
        for frame in document.frames:
            result, said = self._frame(frame, size)
            frames.append(result)
            notes += [note for note in said if note not in notes]
        return replace(document, frames=tuple(frames), warnings=tuple(notes))

    def _frame(self, frame: Raster, size: Size | None) -> tuple[Raster, list[str]]:
        if size is None:
            return self.raster(frame)
        (width, height), target = frame.size, size.of(frame.size)
        scale = sizes.reach(frame.size, target, self.scales)
        if scale == 1:
            return fit(frame, *target), []
        if target == (width * scale, height * scale):
            return self.at(scale).raster(frame)
        notes: list[str] = []
        result = fit(Rising(frame, scale, self.at(scale).strips(frame, notes)), *target)
        if width * scale < target[0] or height * scale < target[1]:
            notes.append(f"the network reaches x{scale}: the rest of the way is interpolated")
        return result, notes

    def output_size(self, source: tuple[int, int], size: Size | None = None) -> tuple[int, int]:
        """What a picture of that width and height becomes."""
        return size.of(source) if size else (source[0] * self.scale, source[1] * self.scale)


def _smaller(tile: int | None, width: int, height: int) -> int:
    """The next smaller tile to try, half as large as what ran out of memory; 0 when there is none."""
    if tile is None:
        tile = 512
    elif tile == 0:
        tile = max(width, height)
    return tile // 2 if tile // 2 >= SMALLEST_TILE else 0


def load(
    model: str = DEFAULT_MODEL,
    scale: int | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    tile: int | None = None,
    ensemble: bool = False,
) -> Upscaler:
    """A shipped model by name, or a checkpoint by path. Raises EspcnError if it is not there or not that scale.

    A name without a scale is opened at its smallest and can be had `at` its others.
    """
    path = checkpoint.find(model, scale)
    network, card = checkpoint.load(path)
    if scale is not None and card.settings.scale != scale:
        raise EspcnError(f"{model} upscales by {card.settings.scale}, not by {scale}: name another model or scale")
    chosen = choose_device(device)
    engine = torch_engine.Engine(network, chosen, choose_precision(precision, chosen), ensemble)
    if scale is not None or path == Path(model):
        return Upscaler(engine, tile)

    @lru_cache
    def at(other: int) -> Upscaler:
        return load(model, other, device=device, precision=precision, tile=tile, ensemble=ensemble)

    scales = tuple(sorted(card.settings.scale for _, card in checkpoint.list_shipped() if card.name == model))
    return Upscaler(engine, tile, scales, at)


class Rising:
    """An upscaled picture as `fit` reads it: rows are made when they are asked for, downwards, and then forgotten."""

    def __init__(self, picture: Raster, scale: int, strips: Iterator[tuple[int, Raster]]) -> None:
        width, height = picture.size
        self.size = (width * scale, height * scale)
        self.has_alpha = picture.has_alpha
        self.blank = picture.blank
        self._strips = strips
        self._held: list[tuple[int, Raster]] = []

    def window(self, rows: slice, columns: slice) -> Tensor:
        """Pixels of a rectangle that begins no higher than the last one, float32 (1, C, h, w) in [0, 1]."""
        while not self._held or _end(self._held[-1]) < rows.stop:
            self._held.append(next(self._strips))
        self._held = [strip for strip in self._held if _end(strip) > rows.start]
        parts = [
            strip.window(slice(max(rows.start - first, 0), min(rows.stop - first, strip.size[1])), columns)
            for first, strip in self._held
            if first < rows.stop
        ]
        return torch.cat(parts, dim=2)


def _end(strip: tuple[int, Raster]) -> int:
    return strip[0] + strip[1].size[1]


def fit(picture: Raster | Rising, width: int, height: int) -> Raster:
    """Bring a picture to an exact size: bicubic, antialiased, band by band; colours are weighted with their alpha."""
    if isinstance(picture, Raster) and picture.size == (width, height):
        return picture
    columns, rows = picture.size
    canvas = picture.blank(width, height)
    weights, indices = contributions(rows, height)
    for band in spans(height, RESIZE_ROWS, 0):
        taps = indices[band.start : band.stop]
        first, last = int(taps.min()), int(taps.max()) + 1
        x = _premultiplied(picture.window(slice(first, last), slice(0, columns)), picture.has_alpha)
        part = torch.zeros(1, x.shape[1], band.stop - band.start, columns)
        for weight, row in zip(weights[band.start : band.stop].T, taps.T, strict=True):
            part += x[:, :, row - first] * weight.float()[:, None]
        part = resize(part, part.shape[2], width)
        canvas.put(_straight(part, picture.has_alpha), band.start, 0)
    return canvas


def _premultiplied(x: Tensor, has_alpha: bool) -> Tensor:
    """Colours times alpha, alpha, and the colours as they are for where alpha vanishes."""
    return torch.cat([x[:, :-1] * x[:, -1:], x[:, -1:], x[:, :-1]], dim=1) if has_alpha else x


def _straight(x: Tensor, has_alpha: bool) -> Tensor:
    if not has_alpha:
        return x
    colours = x.shape[1] // 2
    alpha, plain = x[:, colours : colours + 1], x[:, colours + 1 :]
    return torch.cat([torch.where(alpha > 1e-3, x[:, :colours] / alpha.clamp(min=1e-3), plain), alpha], dim=1)


def bleed(pixels: Tensor, alpha: Tensor, reach: int) -> Tensor:
    """Let visible colours flow `reach` pixels far under fully transparent ones, so that no fringe is made of those.

    What colour lies under a transparent pixel is arbitrary, often black, and would mix into its visible neighbours.
    """
    known = (alpha > 0).to(pixels.dtype)
    if known.all() or not known.any():
        return pixels
    colours = pixels * known
    for _ in range(reach):
        count = F.avg_pool2d(known, 3, stride=1, padding=1)
        spread = F.avg_pool2d(colours, 3, stride=1, padding=1) / count.clamp(min=1e-6)
        fresh = (known == 0) & (count > 0)
        if not fresh.any():
            break
        colours = torch.where(fresh, spread, colours)
        known = torch.maximum(known, fresh.to(known.dtype))
    return torch.where(known > 0, colours, pixels)


def within_neighbours(sr: Tensor, lr: Tensor, scale: int) -> Tensor:
    """Keep each upscaled value between the least and greatest of the 3×3 LR pixels around it.

    For alpha: what is fully opaque or fully transparent all around stays so to the last digit, and nothing rings.
    """
    padded = F.pad(lr, (1, 1, 1, 1), mode="replicate")
    most, least = F.max_pool2d(padded, 3, stride=1), -F.max_pool2d(-padded, 3, stride=1)
    return torch.clamp(sr, *(F.interpolate(bound, scale_factor=scale, mode="nearest") for bound in (least, most)))
