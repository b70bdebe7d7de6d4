"""A video's frames in another size, plane by plane: luma by the network, chroma by the bicubic kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from espcn_cli.engines.engine import Engine
from espcn_cli.maths.levels import Levels
from espcn_cli.maths.sited import CENTRE, Plane, Step, resample
from espcn_cli.pictures import matrices
from espcn_cli.pictures.planes import Clip, Frame
from espcn_cli.upscaling.moving import Moving


@dataclass(frozen=True)
class Prepared:
    """A frame half done: what the network gets, and the planes of the result that need no network."""

    frame: Frame
    lr: Levels
    rest: tuple[Plane, ...]


class Enlargement:
    """From the frames of one clip to those of another: other sizes, and other planes and depths if need be.

    `prepare` and `complete` are done for each frame in order, and may be in two threads. `colours`: the network takes
    three planes. Where there is no network the planes are resampled alone.
    """

    def __init__(self, source: Clip, target: Clip, colours: bool = False, tile: int | None = None) -> None:
        self.source, self.target = source, target
        self.in_rgb = source.layout.colour == "rgb" or (colours and source.layout.colour == "yuv")
        black, white = (0, source.layout.most) if self.in_rgb else (source.black, source.white)
        self._moving = Moving(black, white, tile)

    @property
    def computed(self) -> float:
        """How many whole frames went through the network, for those that came."""
        return self._moving.computed

    def prepare(self, frame: Frame) -> Prepared:
        """What needs no network."""
        planes, layout = frame.planes, self.source.layout
        alpha = planes[-1:] if layout.alpha else ()
        if self.in_rgb:
            lr = self._rgb(planes)
            colour: tuple[Plane, ...] = ()
        else:
            lr = planes[0][..., None]
            colour = self._chroma(planes)
        if self.target.layout.alpha:
            colour += (self._alpha(alpha),)
        return Prepared(frame, lr, colour)

    def complete(self, prepared: Prepared, engine: Engine | None) -> tuple[tuple[Plane, ...], list[str]]:
        """The frame's planes as the target has them; and notes."""
        [planes], notes = self.complete_all([prepared], engine)
        return planes, notes

    def complete_all(
        self, prepared: Sequence[Prepared], engine: Engine | None
    ) -> tuple[list[tuple[Plane, ...]], list[str]]:
        """The same for frames that follow each other, which go through the network together."""
        frames = [each.lr for each in prepared]
        larges, notes = self._moving.together(frames, engine) if engine else (frames, [])
        return [self._completed(large, each) for large, each in zip(larges, prepared, strict=True)], notes

    def _completed(self, large: Levels, prepared: Prepared) -> tuple[Plane, ...]:
        if not self.in_rgb:
            return (self._deep(self._exact(large[..., 0])), *prepared.rest)
        fitted = [self._exact(large[..., channel]) for channel in range(3)]
        return (*self._from_rgb(fitted), *prepared.rest)

    def _exact(self, plane: Plane) -> Plane:
        """A plane that the network has made, in the size that is wanted."""
        width, height = self.target.size
        steps = Step(height / plane.shape[0]), Step(width / plane.shape[1])
        return resample(plane, (height, width), *steps, self.source.layout.most)

    def _chroma(self, planes: tuple[Plane, ...]) -> tuple[Plane, ...]:
        """Both planes of colour: middle grey for a target that wants them where there are none."""
        source, target = self.source.layout, self.target.layout
        if target.colour == "grey":
            return ()
        shape = target.shapes(self.target.size)[1]
        if source.colour == "grey":
            middle = np.full(shape, 1 << (target.depth - 1), target.dtype)
            return middle, middle
        down, across = self._steps()
        return tuple(self._deep(resample(plane, shape, down, across, source.most)) for plane in planes[1:3])

    def _steps(self) -> tuple[Step, Step]:
        """How chroma's samples are enlarged, down and across: by luma's factor, and from one sampling to another."""
        before, after = self.source, self.target
        factors = [large / small for large, small in zip(after.size, before.size, strict=True)]
        down = factors[1] * before.layout.down / after.layout.down
        across = factors[0] * before.layout.across / after.layout.across
        (top, left), (new_top, new_left) = before.offsets, after.offsets
        return Step(down, top, new_top), Step(across, left, new_left)

    def _alpha(self, planes: tuple[Plane, ...]) -> Plane:
        width, height = self.target.size
        if not planes:
            return np.full((height, width), self.target.layout.most, self.target.layout.dtype)
        steps = Step(height / planes[0].shape[0]), Step(width / planes[0].shape[1])
        return _scaled(
            resample(planes[0], (height, width), *steps, self.source.layout.most),
            self.source.layout.most,
            self.target.layout.most,
            self.target.layout.dtype,
        )

    def _rgb(self, planes: tuple[Plane, ...]) -> Levels:
        if self.source.layout.colour == "rgb":
            green, blue, red = planes[:3]
            return np.stack([red, green, blue], axis=-1)
        (width, height), layout = self.source.size, self.source.layout
        top, left = self.source.offsets
        steps = Step(layout.down, top, CENTRE), Step(layout.across, left, CENTRE)
        cb, cr = (resample(plane, (height, width), *steps, layout.most) for plane in planes[1:3])
        return matrices.to_rgb(planes[0], cb, cr, self.source)

    def _from_rgb(self, channels: list[Plane]) -> tuple[Plane, ...]:
        """Red, green and blue of the target's size -> its planes."""
        most, target = self.source.layout.most, self.target
        if target.layout.colour == "rgb":
            red, green, blue = (_scaled(c, most, target.layout.most, target.layout.dtype) for c in channels)
            return green, blue, red
        planes = matrices.from_rgb(np.stack(channels, axis=-1), target, most)
        if target.layout.colour == "grey":
            return planes[:1]
        shape, (top, left) = target.layout.shapes(target.size)[1], target.offsets
        steps = Step(1 / target.layout.down, CENTRE, top), Step(1 / target.layout.across, CENTRE, left)
        return planes[0], *(resample(plane, shape, *steps, target.layout.most) for plane in planes[1:])

    def _deep(self, plane: Plane) -> Plane:
        """A plane of luma or chroma in the target's depth: in its own range, where white stays white."""
        before, after = self.source.layout, self.target.layout
        if before.depth == after.depth:
            return plane
        if self.source.colours.full:
            return _scaled(plane, before.most, after.most, after.dtype)
        return _scaled(plane, 1 << before.depth, 1 << after.depth, after.dtype, after.most)


def _scaled(plane: Plane, before: int, after: int, dtype: type, most: int | None = None) -> Plane:
    """Levels of one depth in another, rounded to the nearest."""
    if before == after and plane.dtype == dtype:
        return plane
    wide: NDArray[np.uint64] = plane.astype(np.uint64)
    result: Plane = np.minimum((wide * after + before // 2) // before, most or after).astype(dtype)
    return result
