"""A picture, upscaled: a loaded model that takes Pillow images, tensors, and all that a file holds."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from espcn_cli.engines.engine import Engine, NotFiniteError, without_overflow
from espcn_cli.engines.opening import open_engine
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.network import checkpoint
from espcn_cli.pictures import reading
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.raster import Raster
from espcn_cli.settings import DEFAULT_MODEL
from espcn_cli.upscaling import sizes
from espcn_cli.upscaling.fit import Rising, fit
from espcn_cli.upscaling.sizes import Size
from espcn_cli.upscaling.strips import no_memory, strips

if TYPE_CHECKING:
    from torch import Tensor


class Upscaler:
    """A loaded model, ready for pictures and tensors.

    `tile` is the side of a tile in LR pixels, 0 for the whole picture at once, None for strips that suit the cache;
    the result is the same. `at` gives the same model at another of its `scales`.
    """

    def __init__(
        self,
        engine: Engine,
        tile: int | None = None,
        scales: tuple[int, ...] = (),
        at: Callable[[int], Upscaler] | None = None,
    ) -> None:
        self.engine = engine
        self.tile = tile
        self.scales = scales or (self.scale,)
        self._at = at

    @property
    def scale(self) -> int:
        return self.engine.settings.scale

    def at(self, scale: int) -> Upscaler:
        """The same model for another scale. Raises EspcnError if there is none."""
        if scale == self.scale:
            return self
        if self._at is None or scale not in self.scales:
            raise EspcnError(f"this model upscales by {self.scale}, not by {scale}")
        return self._at(scale)

    def __call__(self, image: Image.Image) -> Image.Image:
        """Upscale a Pillow image; grey stays grey, alpha and profile are kept. What is not kept is warned about."""
        if not (image.width and image.height):
            raise EspcnError(f"the picture has no pixels: {image.width} x {image.height}")
        frame, info, notes = reading.from_image(image)
        result, said = self.raster(frame)
        for note in notes + said:
            warnings.warn(note, stacklevel=2)
        large = result.image()
        large.info.update(info)
        return large

    def upscale(self, x: Tensor) -> Tensor:
        """(N, 1 or 3, H, W) in [0, 1] -> (N, 1 or 3, H·scale, W·scale) in [0, 1], float32, not rounded.

        A picture of the batch that overflows in half precision is done in fp32, with a warning. Raises ValueError for
        other shapes and for integers, EspcnError for an engine that does not take tensors.
        """
        from torch import cat

        from espcn_cli.engines.torch_engine import TorchEngine, upscale_planes

        if not isinstance(self.engine, TorchEngine):
            raise EspcnError("only PyTorch's engine takes tensors: load the model with it, or upscale an image")
        if x.ndim != 4 or x.shape[1] not in (1, 3) or not x.numel() or not x.is_floating_point():
            raise ValueError(f"upscale needs floats (N, 1 or 3, H, W) in [0, 1], not {x.dtype} {tuple(x.shape)}")
        x = x.float()
        try:
            return upscale_planes(self.engine, x, self.tile)
        except NotFiniteError:
            done = [without_overflow(self.engine, partial(upscale_planes, lr=lr[None], tile=self.tile)) for lr in x]
        for note in dict.fromkeys(note for _, notes in done for note in notes):
            warnings.warn(note, stacklevel=2)
        return cat([large for large, _ in done])

    def raster(self, picture: Raster) -> tuple[Raster, list[str]]:
        """One frame in whole levels, strip by strip; and notes. Raises EspcnError if memory does not suffice."""
        width, height = picture.size
        notes: list[str] = []

        def work(engine: Engine) -> Raster:
            notes.clear()
            canvas = picture.blank(width * self.scale, height * self.scale)
            for _ in strips(engine, picture, self.tile, notes, canvas):
                pass
            return canvas

        try:
            large, said = without_overflow(self.engine, work)
        except MemoryError:
            raise no_memory(picture, self.scale) from None
        return large, said + notes

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
        result, notes = self.at(scale)._fitted(frame, target)
        if width * scale < target[0] or height * scale < target[1]:
            notes.append(f"the network reaches x{scale}: the rest of the way is interpolated")
        return result, notes

    def _fitted(self, frame: Raster, target: tuple[int, int]) -> tuple[Raster, list[str]]:
        notes: list[str] = []

        def work(engine: Engine) -> Raster:
            notes.clear()
            return fit(Rising(frame, self.scale, strips(engine, frame, self.tile, notes)), *target)

        large, said = without_overflow(self.engine, work)
        return large, said + notes

    def output_size(self, source: tuple[int, int], size: Size | None = None) -> tuple[int, int]:
        """What a picture of that width and height becomes."""
        return size.of(source) if size else (source[0] * self.scale, source[1] * self.scale)


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
    card = checkpoint.read_card(path)
    if scale is not None and card.settings.scale != scale:
        raise UsageError(f"{model} upscales by {card.settings.scale}, not by {scale}: name another model or scale")
    engine = open_engine(path, device, precision, ensemble)
    if scale is not None or path == Path(model):
        return Upscaler(engine, tile)

    @lru_cache
    def at(other: int) -> Upscaler:
        return load(model, other, device=device, precision=precision, tile=tile, ensemble=ensemble)

    scales = tuple(sorted(card.settings.scale for _, card in checkpoint.list_shipped() if card.name == model))
    return Upscaler(engine, tile, scales, at)
