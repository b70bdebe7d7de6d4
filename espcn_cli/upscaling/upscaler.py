"""A picture, upscaled: a loaded model that takes Pillow images, tensors, and all that a file holds."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from PIL import Image

from espcn_cli.engines.engine import Engine, NotFiniteError, without_overflow
from espcn_cli.engines.opening import open_engine
from espcn_cli.errors import EspcnError
from espcn_cli.maths.levels import Pixels
from espcn_cli.network import checkpoint
from espcn_cli.pictures import reading
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.raster import Raster
from espcn_cli.settings import DEFAULT_MODEL, Alpha
from espcn_cli.upscaling import sizes
from espcn_cli.upscaling.fit import Rising, fit
from espcn_cli.upscaling.sizes import Size
from espcn_cli.upscaling.strips import no_memory, strips

if TYPE_CHECKING:
    from torch import Tensor


RINGING = 0.5
"""How far beyond [0, 1] the values of a tensor may lie: interpolation rings, but 0 to 255 or -1 to 1 is a mistake."""


class Upscaler:
    """A loaded model, ready for pictures and tensors.

    `tile` is the side of a tile in LR pixels, 0 for the whole picture at once, None for strips that suit the cache;
    the result is the same. `alpha`: `blend` takes it for transparency and does not let what is hidden under it show;
    `separate` upscales it as one more grey picture, and the colours as if it were not there. `at` gives the same model
    at another of its `scales`. Raises ValueError for another `alpha`.
    """

    def __init__(
        self,
        engine: Engine,
        tile: int | None = None,
        scales: tuple[int, ...] = (),
        at: Callable[[int], Upscaler] | None = None,
        alpha: Alpha = "blend",
    ) -> None:
        if alpha not in get_args(Alpha):
            raise ValueError(f"alpha must be one of {', '.join(get_args(Alpha))}, not {alpha!r}")
        self.engine = engine
        self.tile = tile
        self.alpha: Alpha = alpha
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

        A picture of the batch that overflows in half precision is done in fp32, with a warning. Values may lie as far
        outside [0, 1] as interpolation rings. Raises ValueError for other shapes, for integers, and for values that
        must be on another scale (see RINGING); EspcnError for an engine that does not take tensors.
        """
        from torch import cat

        from espcn_cli.engines.torch_engine import TorchEngine, upscale_planes

        if not isinstance(self.engine, TorchEngine):
            raise EspcnError("only PyTorch's engine takes tensors: load the model with it, or upscale an image")
        if x.ndim != 4 or x.shape[1] not in (1, 3) or not x.numel() or not x.is_floating_point():
            raise ValueError(f"upscale needs floats (N, 1 or 3, H, W) in [0, 1], not {x.dtype} {tuple(x.shape)}")
        x = x.float()
        low, high = (bound.item() for bound in x.aminmax())
        if not (low >= -RINGING and high <= 1 + RINGING):  # NaN is neither
            raise ValueError(f"upscale needs values in [0, 1], not {low:g} to {high:g}: divide 8-bit levels by 255")
        try:
            return upscale_planes(self.engine, x, self.tile)
        except NotFiniteError:
            done = [without_overflow(self.engine, partial(upscale_planes, lr=lr[None], tile=self.tile)) for lr in x]
        for note in dict.fromkeys(note for _, notes in done for note in notes):
            warnings.warn(note, stacklevel=2)
        return cat([large for large, _ in done])

    def raster(self, picture: Raster) -> tuple[Raster, list[str]]:
        """One frame in whole levels, strip by strip; and notes. Raises EspcnError if memory does not suffice."""
        [large], notes = self._together((picture,), None)
        return large, notes

    def document(self, document: Document, size: Size | None = None) -> Document:
        """Upscale every frame or page; with `size`, by the scale that reaches it and then to it exactly."""
        parts = [document.frames] if document.durations else [(page,) for page in document.frames]
        done = [self._together(part, size) for part in parts]
        frames = tuple(frame for part, _ in done for frame in part)
        notes = dict.fromkeys((*document.warnings, *(note for _, said in done for note in said)))
        return replace(document, frames=frames, alpha=self.alpha, warnings=tuple(notes))

    def _together(self, frames: tuple[Raster, ...], size: Size | None) -> tuple[list[Raster], list[str]]:
        """Frames of one size, all by one engine: what is equal in them stays so, also if one of them overflows."""
        (width, height), target = frames[0].size, self.output_size(frames[0].size, size)
        scale = sizes.reach(frames[0].size, target, self.scales) if size else self.scale
        if scale == 1:
            return [fit(frame, *target, self.alpha) for frame in frames], []
        notes: list[str] = []

        def work(engine: Engine) -> list[Raster]:
            notes.clear()
            return [self._upscaled(engine, frame, target, notes) for frame in frames]

        try:
            done, said = without_overflow(self.at(scale).engine, work)
        except MemoryError:
            raise no_memory(frames[0], scale) from None
        if width * scale < target[0] or height * scale < target[1]:
            notes.append(f"the network reaches x{scale}: the rest of the way is interpolated")
        return done, list(dict.fromkeys(said + notes))

    def _upscaled(self, engine: Engine, frame: Raster, target: Pixels, notes: list[str]) -> Raster:
        (width, height), scale = frame.size, engine.settings.scale
        if target != (width * scale, height * scale):
            rows = strips(engine, frame, self.tile, notes, treatment=self.alpha)
            return fit(Rising(frame, scale, rows), *target, self.alpha)
        canvas = frame.blank(*target)
        for _ in strips(engine, frame, self.tile, notes, canvas, self.alpha):
            pass
        return canvas

    def output_size(self, source: Pixels, size: Size | None = None) -> Pixels:
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
    alpha: Alpha = "blend",
) -> Upscaler:
    """A shipped model by name, or a checkpoint by path. Raises EspcnError if it is not there or not that scale.

    A name without a scale is opened at its smallest and can be had `at` its others.
    """
    path = checkpoint.find(model, scale)
    card = checkpoint.read_card(path)
    if scale is not None and card.settings.scale != scale:
        raise EspcnError(f"{model} upscales by {card.settings.scale}, not by {scale}: name another model or scale")
    engine = open_engine(path, device, precision, ensemble)
    if scale is not None or path == Path(model):
        return Upscaler(engine, tile, alpha=alpha)

    @lru_cache
    def at(other: int) -> Upscaler:
        return load(model, other, device=device, precision=precision, tile=tile, ensemble=ensemble, alpha=alpha)

    scales = tuple(sorted(card.settings.scale for _, card in checkpoint.list_shipped() if card.name == model))
    return Upscaler(engine, tile, scales, at, alpha)
