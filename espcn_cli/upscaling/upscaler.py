"""A picture, upscaled: a loaded model that takes Pillow images, tensors, and all that a file holds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args, overload

import numpy as np
from PIL import Image

from espcn_cli.engines.engine import SMALL, Engine, NotFiniteError, PlaneEngine, without_overflow
from espcn_cli.engines.opening import open_engine
from espcn_cli.engines.passes import Passes
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.exchange import importing
from espcn_cli.maths.levels import Levels, Pixels, white_of
from espcn_cli.memory import out_of_memory
from espcn_cli.network import checkpoint, mixing, named
from espcn_cli.pictures import metadata, reading
from espcn_cli.pictures.change import Change
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.metadata import Info
from espcn_cli.pictures.raster import Raster, from_array, made
from espcn_cli.pictures.traces import Traces, traces_of
from espcn_cli.settings import PASSES, REAL, Alpha
from espcn_cli.upscaling import alpha as alphas
from espcn_cli.upscaling import sizes
from espcn_cli.upscaling import strength as strengths
from espcn_cli.upscaling import wrap as wraps
from espcn_cli.upscaling.fit import Rising, fit, fitted
from espcn_cli.upscaling.mixture import MixedPasses, Mixture, Open
from espcn_cli.upscaling.sizes import Size
from espcn_cli.upscaling.strips import no_memory, strips

if TYPE_CHECKING:
    from torch import Tensor


Strength = float | Literal["auto"]
"""From 0, the clean weights, to 1, the real ones; `auto` goes by each picture."""

RINGING = 0.5
"""How far beyond [0, 1] the values of a tensor may lie: interpolation rings, but 0 to 255 or -1 to 1 is a mistake."""


@dataclass
class Flow:
    """A picture on its way: its bands (n, W, C) from top to bottom, and what is known of it before they are made.

    `late`: notes that are complete when all bands are taken.
    """

    size: Pixels
    info: Info
    bands: Iterator[Levels]
    warnings: tuple[str, ...]
    late: list[str]


class Upscaler:
    """A loaded model, ready for Pillow images, NumPy arrays (call it) and tensors (`upscale`); threads may share it.

    `tile` is the side of a tile in LR pixels, 0 for the whole picture at once, None for strips that suit the cache;
    the result is the same. `alpha`: `blend` takes it for transparency and does not let what is hidden under it show;
    `separate` upscales it as one more grey picture, and the colours as if it were not there. `wrap`: a picture goes on
    at its opposite side, as a texture that is laid out side by side does. `at` opens the same model at another of its
    `scales`, or at what two of them make one after the other (see PASSES). A `Mixture` stands for an engine at each
    `strength`. `name` is what the checkpoint calls itself. Other processes can have it: it can be pickled, and used on
    either side of a fork. Raises ValueError for another `alpha`.
    """

    def __init__(
        self,
        engine: Engine | Mixture,
        tile: int | None = None,
        scales: tuple[int, ...] = (),
        at: Callable[[int], Upscaler] | None = None,
        strength: Strength = "auto",
        name: str = "",
        alpha: Alpha = "blend",
        wrap: bool = False,
    ) -> None:
        if alpha not in get_args(Alpha):
            raise ValueError(f"alpha must be one of {', '.join(get_args(Alpha))}, not {alpha!r}")
        self.mixture = engine if isinstance(engine, Mixture) else None
        self.engine = engine.engine(1 if strength == "auto" else strength) if isinstance(engine, Mixture) else engine
        self.tile = tile
        self.alpha: Alpha = alpha
        self.wrap = wrap
        self.scales = scales or (self.scale,)
        self.strength: Strength = strengths.in_steps(strength) if strength != "auto" else strength
        self.name = name
        self._open = at
        self._others: dict[int, Upscaler] = {}

    @property
    def scale(self) -> int:
        return self.engine.settings.scale

    def at(self, scale: int) -> Upscaler:
        """The same model for another scale, or for one that two of them make. Raises EspcnError if there is none."""
        if scale == self.scale:
            return self
        if self._open is None or scale not in self._reached:
            raise EspcnError(f"this model upscales by {self.scale}, not by {scale}")
        if scale not in self._others:
            once = scale in self.scales
            self._others[scale] = self._open(scale) if once else in_two(*(self.at(each) for each in PASSES[scale]))
        return self._others[scale]

    @property
    def _reached(self) -> tuple[int, ...]:
        """All scales that can be had `at`, in one pass or two."""
        twice = (scale for scale, passes in PASSES.items() if {*passes} <= {*self.scales})
        return self.scales if self._open is None else (*self.scales, *twice)

    def reaching(self, source: Pixels, size: Size | None = None) -> Upscaler | None:
        """The same model for what `size` makes of a picture; None if that is no larger, and no network is needed."""
        scale = sizes.reach(source, size.of(source), self._reached) if size else self.scale
        return None if scale == 1 else self.at(scale)

    def strength_of(self, document: Document) -> float | None:
        """The strength that all frames of a document get, in eighths; None where nothing is mixed."""
        if self.mixture is None or self.strength != "auto":
            return self.fixed_strength
        return strengths.in_steps(strengths.choose(document.frames, document.traces, self.alpha))

    @property
    def fixed_strength(self) -> float | None:
        """The strength that every picture gets; None where it is chosen for each, or nothing is mixed."""
        return None if self.mixture is None or self.strength == "auto" else self.strength

    def engine_at(self, strength: float | None, traces: Traces | None = None) -> Engine:
        """The engine for a strength, None where nothing is mixed, and for what a file tells of its colours."""
        engine = self.engine if self.mixture is None or strength is None else self.mixture.engine(strength)
        return engine.halved() if traces and traces.halved else engine

    @overload
    def __call__(self, picture: Image.Image) -> Image.Image: ...

    @overload
    def __call__(self, picture: Levels) -> Levels: ...

    def __call__(self, picture: Image.Image | Levels) -> Image.Image | Levels:
        """Upscale a Pillow image, or an array of levels, and give back the same kind.

        Of an image, grey stays grey, alpha and profile are kept; what is not kept is warned about. An array is uint8
        or uint16, (H, W) or (H, W, C): grey, grey and alpha, RGB or RGB and alpha. Raises ValueError for any other.
        """
        return self._levels(picture) if isinstance(picture, np.ndarray) else self._image(picture)

    def _levels(self, levels: Levels) -> Levels:
        channels = levels[..., None] if levels.ndim == 2 else levels
        if channels.ndim != 3 or not 1 <= channels.shape[2] <= 4 or levels.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"a picture is uint8 or uint16, (H, W) or (H, W, C), not {levels.dtype} {levels.shape}")
        if not channels.size:
            raise ValueError(f"the picture has no pixels: {levels.shape}")
        result, notes = self.raster(from_array(channels))
        for note in notes:
            warnings.warn(note, stacklevel=3)
        return result.array().reshape(-1, result.size[0], *levels.shape[2:])

    def _image(self, image: Image.Image) -> Image.Image:
        if not (image.width and image.height):
            raise EspcnError(f"the picture has no pixels: {image.width} x {image.height}")
        traces = traces_of(image)
        frame, info, notes = reading.from_image(image)
        document = Document((frame,), traces=traces)
        [result], said = self._together((frame,), None, self.strength_of(document), traces)
        for note in notes + said:
            warnings.warn(note, stacklevel=3)
        large = result.image()
        info, damage = metadata.moved(info, Change(frame.size, large.size))
        for note in damage:
            warnings.warn(note, stacklevel=3)
        large.info.update(info)
        return large

    def upscale(self, x: Tensor) -> Tensor:
        """(N, 1 or 3, H, W) in [0, 1] -> (N, 1 or 3, H·scale, W·scale) in [0, 1], float32, not rounded.

        A picture of the batch that overflows in half precision is done in fp32, with a warning. Values may lie as far
        outside [0, 1] as interpolation rings. Raises ValueError for other shapes, for integers, and for values that
        must be on another scale (see RINGING); EspcnError for an engine that does not take tensors.
        """
        from torch import cat

        from espcn_cli.engines.torch_engine import to_levels

        if x.ndim != 4 or x.shape[1] not in (1, 3) or not x.numel() or not x.is_floating_point():
            raise ValueError(f"upscale needs floats (N, 1 or 3, H, W) in [0, 1], not {x.dtype} {tuple(x.shape)}")
        x = x.float()
        low, high = (bound.item() for bound in x.aminmax())
        if not (low >= -RINGING and high <= 1 + RINGING):  # NaN is neither
            raise ValueError(f"upscale needs values in [0, 1], not {low:g} to {high:g}: divide 8-bit levels by 255")
        if self.mixture is None or self.strength != "auto":
            return self._planes(x, self.engine)
        pictures = [from_array(to_levels(planes[None], 0, 255, np.dtype(np.uint8))) for planes in x]
        engines = [self.engine_at(self.strength_of(Document((picture,)))) for picture in pictures]
        return cat([self._planes(planes[None], engine) for planes, engine in zip(x, engines, strict=True)])

    def _planes(self, x: Tensor, engine: Engine) -> Tensor:

        if not isinstance(engine, PlaneEngine):
            raise EspcnError("this engine does not take tensors: load the model with another, or upscale an image")
        if self.wrap:
            margin, scale = engine.halo, engine.settings.scale
            height, width = (length * scale for length in x.shape[-2:])
            large = self._whole_planes(wraps.planes_around(x, margin), engine)
            return large[..., margin * scale :, margin * scale :][..., :height, :width]
        return self._whole_planes(x, engine)

    def _whole_planes(self, x: Tensor, engine: PlaneEngine) -> Tensor:
        from torch import cat

        from espcn_cli.engines.torch_engine import upscale_planes

        try:
            return upscale_planes(engine, x, self.tile)
        except NotFiniteError:
            done = [without_overflow(engine, partial(upscale_planes, lr=lr[None], tile=self.tile)) for lr in x]
        for note in dict.fromkeys(note for _, notes in done for note in notes):
            warnings.warn(note, stacklevel=4)
        return cat([large for large, _ in done])

    def raster(self, picture: Raster, strength: float | None = None) -> tuple[Raster, list[str]]:
        """One frame in whole levels, strip by strip; and notes. Raises EspcnError if memory does not suffice.

        Where weights are mixed and no strength is given, it is the model's, or goes by this frame.
        """
        if strength is None:
            strength = self.strength_of(Document((picture,)))
        [large], notes = self._together((picture,), None, strength)
        return large, notes

    def document(self, document: Document, size: Size | None = None, strength: float | None = None) -> Document:
        """Upscale every frame or page; with `size`, by the scale that reaches it and then to it exactly.

        All get one strength: `strength_of` the document, unless one is given.
        """
        if strength is None and (used := self.reaching(document.size, size)):
            strength = used.strength_of(document)
        parts = [document.frames] if document.durations else [(page,) for page in document.frames]
        done = [self._together(part, size, strength, document.traces) for part in parts]
        frames = [frame for part, _ in done for frame in part]
        return self._after(document, frames, [note for _, said in done for note in said])

    def documents(
        self, documents: Sequence[Document], size: Size | None, strengths: Sequence[float | None]
    ) -> list[Document]:
        """Small pictures, each as `document` makes it, with one call of each engine for all that it has to do.

        Each `is_small`. Raises NotFiniteError, MemoryError or a library's own word for it, if any of them does not go.
        """
        frames = [document.frames[0] for document in documents]
        used = [self.reaching(frame.size, size) for frame in frames]
        large = list(frames)
        calls: dict[tuple[int, int], list[int]] = {}
        engines = [
            each.engine_at(strength, document.traces) if each else None
            for each, strength, document in zip(used, strengths, documents, strict=True)
        ]
        for index, engine in enumerate(engines):
            calls.setdefault((id(engine), frames[index].depth), []).append(index)
        for indices in calls.values():
            if engine := engines[indices[0]]:
                arrays = [self._levels_for(engine, frames[index]) for index in indices]
                parts = [alphas.windows(engine, levels, self.alpha) for levels in arrays]
                done = iter(engine.upscale([window for part in parts for window in part], 0, white_of(arrays[0])))
                for index, levels, part in zip(indices, arrays, parts, strict=True):
                    whole = alphas.joined(engine, levels, self.alpha, [next(done) for _ in part])
                    large[index] = made(wraps.inside(engine, whole, frames[index], self.alpha) if self.wrap else whole)
        targets = [self.output_size(frame.size, size) for frame in frames]
        return [
            self._after(document, [self._fit(frame, target)], self._shortfall(each, document.size, target))
            for document, frame, target, each in zip(documents, large, targets, used, strict=True)
        ]

    def is_small(self, document: Document) -> bool:
        """Whether a picture is best done together with others: one frame of few pixels."""
        width, height = document.size
        return len(document.frames) == 1 and width * height <= SMALL and not self.tile

    def flow(self, document: Document, size: Size | None, strength: float | None) -> Flow:
        """The only frame of a document, made as its bands are taken, which raises what the engine does."""
        [frame], target, notes = document.frames, self.output_size(document.size, size), list[str]()
        used = self.reaching(document.size, size)
        after = self._after(document, [frame], self._shortfall(used, frame.size, target), target)
        if used:
            bands = used._bands(used.engine_at(strength, document.traces), frame, target, notes)
        else:
            bands = (wraps.fitted if self.wrap else fitted)(frame, *target, self.alpha)
        return Flow(target, after.info, bands, after.warnings, notes)

    def _after(
        self, document: Document, frames: Sequence[Raster], notes: Sequence[str], size: Pixels | None = None
    ) -> Document:
        """A document of upscaled frames with all that stands beside them; `size` where the frames are not yet made."""
        info, moved = metadata.moved(document.info, Change(document.size, size or frames[0].size))
        said = tuple(dict.fromkeys((*document.warnings, *notes, *moved)))
        return replace(document, frames=tuple(frames), info=info, alpha=self.alpha, warnings=said)

    def _shortfall(self, used: Upscaler | None, source: Pixels, target: Pixels) -> list[str]:
        """A note if the network does not go all the way."""
        if used is None:
            return []
        reached = used.output_size(source)
        if reached[0] >= target[0] and reached[1] >= target[1]:
            return []
        return [f"the network reaches x{used.scale}: the rest of the way is interpolated"]

    def _together(
        self, frames: tuple[Raster, ...], size: Size | None, strength: float | None, traces: Traces | None = None
    ) -> tuple[list[Raster], list[str]]:
        """Frames of one size, all by one engine: what is equal in them stays so, also if one of them overflows."""
        used, target = self.reaching(frames[0].size, size), self.output_size(frames[0].size, size)
        if used is None:
            return [self._fit(frame, target) for frame in frames], []
        notes: list[str] = []

        def work(engine: Engine) -> list[Raster]:
            notes.clear()
            if self._fits(engine, frames[0], target):
                try:
                    windows = [levels_for(engine, frame) for frame in frames]
                    return [made(levels) for levels in engine.upscale(windows, 0, white_of(windows[0]))]
                except Exception as error:
                    if not out_of_memory(error):
                        raise
            return [frame.filled(*target, self._bands(engine, frame, target, notes)) for frame in frames]

        try:
            done, said = without_overflow(used.engine_at(strength, traces), work)
        except MemoryError:
            raise no_memory(frames[0], used.scale) from None
        return done, list(dict.fromkeys(said + notes + self._shortfall(used, frames[0].size, target)))

    def _fits(self, engine: Engine, frame: Raster, target: Pixels) -> bool:
        """Whether one window covers an opaque frame, and its result is what is wanted."""
        (width, height), scale = frame.size, engine.settings.scale
        whole = self.tile == 0 or (self.tile is None and width * height <= engine.window)
        return whole and not (frame.has_alpha or self.wrap) and target == (width * scale, height * scale)

    def _bands(self, engine: Engine, frame: Raster, target: Pixels, notes: list[str]) -> Iterator[Levels]:
        """The upscaled frame from top to bottom, in bands (n, W, C)."""
        if self.wrap:
            return wraps.bands(engine, frame, target, self.tile, notes, self.alpha)
        (width, height), scale = frame.size, engine.settings.scale
        rows = strips(engine, frame, self.tile, notes, self.alpha)
        if target == (width * scale, height * scale):
            return rows
        return fitted(Rising(frame, scale, rows), *target, self.alpha)

    def _fit(self, frame: Raster, target: Pixels) -> Raster:
        """A frame brought to an exact size."""
        return (wraps.fit if self.wrap else fit)(frame, *target, self.alpha)

    def _levels_for(self, engine: Engine, frame: Raster) -> Levels:
        """A whole frame for `documents`."""
        return wraps.around(engine, frame, self.alpha) if self.wrap else levels_for(engine, frame)

    def output_size(self, source: Pixels, size: Size | None = None) -> Pixels:
        """What a picture of that width and height becomes."""
        return size.of(source) if size else (source[0] * self.scale, source[1] * self.scale)


def levels_for(engine: Engine, frame: Raster) -> Levels:
    """A whole frame without alpha as it costs the engine least."""
    return frame.lent() if engine.takes_padded else frame.array()


def load(
    model: str | Path | None = None,
    scale: int | None = None,
    *,
    strength: Strength = "auto",
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    tile: int | None = None,
    ensemble: bool = False,
    alpha: Alpha = "blend",
    wrap: bool = False,
) -> Upscaler:
    """A shipped model by name, or a file by path; by default the one for pictures, `espcn-m-real`.

    A file is a checkpoint, or a network of others that `espcn import` knows: .pth, .safetensors, .param and .bin, .pb.

    A name without a scale is opened at its smallest and can be had `at` its others. Scales 6, 8, 9, 12 and 16
    of a name are two passes, through the networks of two scales. Real weights, whose clean sister is shipped too or
    lies beside them, are mixed with it: `strength` 0 is clean, 1 is real, in steps of an eighth, and `auto` chooses for
    each picture. At a scale without real weights the default is `espcn-m`. The `engine` is `torch`
    or `openvino`; `auto` takes OpenVINO on a CPU where it is installed.

    Raises EspcnError if the model is not there or not that scale, or the engine, device or precision is not there;
    UsageError for a strength that is none, or is given for weights that cannot be mixed.
    """
    open_weights = partial(open_engine, device=device, precision=precision, ensemble=ensemble, engine=engine)
    return assemble(model, scale, open_weights, strength, tile, alpha, wrap)


def assemble(
    model: str | Path | None,
    scale: int | None,
    open_weights: Open,
    strength: Strength = "auto",
    tile: int | None = None,
    alpha: Alpha = "blend",
    wrap: bool = False,
) -> Upscaler:
    """`load`, with whatever makes an engine of a network's settings and weights."""
    check_strength(strength)
    model = None if model is None else str(model)
    if scale in PASSES and not named.is_path(model):
        if (there := named.scales(model)) and not {*PASSES[scale]} <= {*there}:
            first, second = PASSES[scale]
            has = f"it has {', '.join(map(str, there))}"
            raise UsageError(f"model {model} cannot go x{scale}, which takes x{first} and then x{second}: {has}")
        return in_two(*(assemble(model, each, open_weights, strength, tile, alpha, wrap) for each in PASSES[scale]))
    path = named.find(model, scale)
    card, weights = importing.read(path)
    if scale is not None and card.settings.scale != scale:
        raise UsageError(f"{model} upscales by {card.settings.scale}, not by {scale}: name another model or scale")
    opened: Engine | Mixture
    if card.sister and (sister := mixing.find_sister(path)):
        opened = Mixture(mixing.read_pair(sister, path), open_weights)
    elif strength == "auto":
        opened = open_weights(card.settings, weights, ranges=card.ranges, steady=False)
    else:
        raise UsageError(f"strength {strength:g}: {_why_not_mixed(model, card)}", path)
    if scale is not None or (model is not None and path == Path(model)):
        return Upscaler(opened, tile, strength=strength, name=card.name, alpha=alpha, wrap=wrap)
    at = partial(assemble, model, open_weights=open_weights, strength=strength, tile=tile, alpha=alpha, wrap=wrap)
    scales = named.scales(model)
    if strength != "auto":
        scales = [other for other in scales if mixing.find_sister(named.find(model, other))]
    return Upscaler(opened, tile, tuple(scales), at, strength, card.name, alpha, wrap)


def in_two(first: Upscaler, second: Upscaler) -> Upscaler:
    """A model that does what the first does, and then the second with that; all else is as in the first."""
    engine: Engine | Mixture
    if first.mixture or second.mixture:
        engine = MixedPasses(first.mixture or first.engine, second.mixture or second.engine)
    else:
        engine = Passes(first.engine, second.engine)
    strength, name = first.strength, first.name
    return Upscaler(engine, first.tile, strength=strength, name=name, alpha=first.alpha, wrap=first.wrap)


def check_strength(strength: Strength) -> None:
    """Raise UsageError for what is no strength."""
    is_number = isinstance(strength, (int, float)) and 0 <= strength <= 1
    if strength != "auto" and not is_number:
        raise UsageError(f"strength {strength!r}: use auto, or a number from 0 to 1")


def _why_not_mixed(model: str | None, card: checkpoint.ModelCard) -> str:
    name = model or card.name
    if card.sister:
        return f"{name} was trained from {card.sister.name}, whose weights are not there: put them beside it"
    alone = f"{name} has no clean sister to be mixed with"
    if model is None:  # the default, where there are no real weights
        return f"{alone}, and no weights for real pictures are shipped at x{card.settings.scale}: leave it out"
    return f"{alone}: leave it out, or choose weights whose name ends in {REAL}"
