"""One frame in whole levels, wherever its library holds them: windows of levels are taken out of it, and put in.

A huge picture and its upscaled twin stay in memory like this, one or two bytes a sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from espcn_cli.maths import levels
from espcn_cli.maths.colour import LUMA
from espcn_cli.maths.levels import BAND, Levels, is_padded
from espcn_cli.pictures import arrow

MODES = ("L", "LA", "RGB", "RGBA", "I;16")


@dataclass(frozen=True)
class Raster:
    """`data`: a Pillow image of one of MODES, or uint16 (H, W, C), C = 2 grey + alpha, 3 RGB, 4 RGBA."""

    data: Image.Image | NDArray[np.uint16]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        if isinstance(self.data, Image.Image):
            return self.data.size
        return self.data.shape[1], self.data.shape[0]

    @property
    def channels(self) -> int:
        """Colours and alpha: 1 to 4."""
        return len(self.data.getbands()) if isinstance(self.data, Image.Image) else self.data.shape[2]

    @property
    def has_alpha(self) -> bool:
        """Whether the last channel is alpha."""
        return self.channels in (2, 4)

    @property
    def bytes(self) -> int:
        """Bytes of the pixels as a file holds them uncompressed."""
        width, height = self.size
        return width * height * self.channels * self.depth // 8

    @property
    def is_opaque(self) -> bool:
        """Whether nothing shines through, be there alpha or not."""
        if not self.has_alpha:
            return True
        if isinstance(self.data, Image.Image):
            return not any(self.data.histogram()[-256:-1])
        return bool((self.data[..., -1] == 65535).all())

    @property
    def is_black_and_white(self) -> bool:
        """Whether a picture in grey has only these two, and no alpha."""
        if not isinstance(self.data, Image.Image) or self.data.mode != "L":
            return False
        return not any(self.data.histogram()[1:-1])

    @property
    def depth(self) -> int:
        """Bits per sample, 8 or 16."""
        return 8 if isinstance(self.data, Image.Image) and self.data.mode != "I;16" else 16

    def image(self) -> Image.Image:
        """As a Pillow image, which has no mode for colour of 16 bits: that is rounded to 8."""
        data = to_8_bits(self).data if not isinstance(self.data, Image.Image) else self.data
        assert isinstance(data, Image.Image)
        return data

    def array(self) -> Levels:
        """All levels, uint8 or uint16 (H, W, C)."""
        if isinstance(self.data, Image.Image):  # whole: Pillow's `crop` holds it to the limit for what is read
            return np.atleast_3d(np.asarray(self.data))
        return self.data

    def lent(self) -> Levels:
        """All levels, in Pillow's own memory and padded (see `maths.levels`) where that can be had; read-only."""
        shared = arrow.levels_of(self.data) if isinstance(self.data, Image.Image) else None
        return self.array() if shared is None else shared

    def window(self, rows: slice, columns: slice) -> Levels:
        """The levels of a rectangle, uint8 or uint16 (h, w, C), alpha last."""
        if not isinstance(self.data, Image.Image):
            return self.data[rows, columns]
        if (rows, columns) == (slice(0, self.size[1]), slice(0, self.size[0])):
            return self.array()
        part = Image.new(self.data.mode, (columns.stop - columns.start, rows.stop - rows.start))
        part.paste(self.data, (-columns.start, -rows.start))  # `crop` has the limit for files, which outputs may exceed
        return np.atleast_3d(np.asarray(part))

    def bands(self) -> Iterator[Levels]:
        """All levels from top to bottom, some rows (n, W, C) at a time."""
        width, height = self.size
        for start in range(0, height, BAND):
            yield self.window(slice(start, min(start + BAND, height)), slice(0, width))

    def blank(self, width: int, height: int) -> Raster:
        """A raster of the same kind and another size, to be filled with `put`."""
        if isinstance(self.data, Image.Image):
            return Raster(Image.new(self.data.mode, (width, height)))
        return Raster(np.zeros((height, width, self.channels), np.uint16))

    def filled(self, width: int, height: int, bands: Iterable[Levels]) -> Raster:
        """A raster of the same kind and another size, of bands (n, W, C) from top to bottom."""
        canvas, row = self.blank(width, height), 0
        for band in bands:
            canvas.put(band, row, 0)
            row += len(band)
        return canvas

    def put(self, window: Levels, row: int, column: int) -> None:
        """Write levels (h, w, C) with their top left corner there."""
        if isinstance(self.data, Image.Image):
            self.data.paste(_image(window), (column, row))
        else:
            self.data[row : row + window.shape[0], column : column + window.shape[1]] = window


def from_array(array: Levels) -> Raster:
    """uint8 or uint16 (H, W, C) -> a raster: Pillow's where it has a mode for it."""
    return Raster(_image(array) if array.dtype == np.uint8 or array.shape[2] == 1 else array)


def made(levels: Levels) -> Raster:
    """What an engine has made of `lent` levels -> a raster that keeps its memory, if Pillow can."""
    return Raster(arrow.image_of(levels)) if is_padded(levels) else from_array(levels)


def _image(array: NDArray[Any]) -> Image.Image:
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


def to_8_bits(raster: Raster) -> Raster:
    """The same picture in 8 bits per sample, rounded to the nearest level; 8 bits stay as they are."""
    return raster if raster.depth == 8 else from_array(levels.to_8_bits(raster.array()))


def without_alpha(raster: Raster) -> Raster:
    """The colours as they are, whatever alpha says of them."""
    if not raster.has_alpha:
        return raster
    if isinstance(raster.data, Image.Image):
        return Raster(raster.data.convert("L" if raster.channels == 2 else "RGB"))
    return from_array(raster.data[..., :-1])


def in_grey(raster: Raster) -> Raster:
    """A picture without alpha in grey: its luma by BT.601."""
    if raster.channels == 1:
        return raster
    if isinstance(raster.data, Image.Image):
        return Raster(raster.data.convert("L"))
    result = np.empty((*raster.data.shape[:2], 1), np.uint16)
    for start in range(0, len(result), BAND):
        band = raster.data[start : start + BAND].astype(np.float32)
        result[start : start + BAND, :, 0] = band @ np.array(LUMA, np.float32) + 0.5
    return from_array(result)


def in_colour(raster: Raster) -> Raster:
    """A picture without alpha in RGB; grey is the same in all three."""
    if raster.channels == 3:
        return raster
    if isinstance(raster.data, Image.Image) and raster.depth == 8:
        return Raster(raster.data.convert("RGB"))
    return from_array(raster.array().repeat(3, axis=2))


def in_black_and_white(raster: Raster) -> Raster:
    """Grey of 8 bits without alpha, every pixel the nearer of 0 and 255."""
    assert isinstance(raster.data, Image.Image)
    return Raster(raster.data.point([0] * 128 + [255] * 128))


def on_white(raster: Raster) -> Raster:
    """A picture with alpha laid on white."""
    if not raster.has_alpha:
        return raster
    if isinstance(raster.data, Image.Image):
        opaque = without_alpha(raster).image()
        sheet = Image.new(opaque.mode, raster.size, "white")
        sheet.paste(opaque, mask=raster.data.getchannel("A"))
        return Raster(sheet)
    result = np.empty((*raster.data.shape[:2], raster.channels - 1), np.uint16)
    for start in range(0, len(result), BAND):
        band = raster.data[start : start + BAND].astype(np.uint64)
        colours, alpha = band[..., :-1], band[..., -1:]
        result[start : start + BAND] = (colours * alpha + 65535 * (65535 - alpha) + 32767) // 65535
    return from_array(result)
