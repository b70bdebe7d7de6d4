"""A picture in whole levels, as files hold it: windows leave it as float32 tensors, and results are put in rounded.

A huge picture and its upscaled twin stay in memory like this, one or two bytes a sample; floats exist for a strip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

BAND = 256
"""Rows at a time where arithmetic needs wider numbers."""

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
    def is_cut_out(self) -> bool:
        """Whether alpha is there and a mask: nowhere between clear and opaque."""
        if not self.has_alpha:
            return False
        if isinstance(self.data, Image.Image):
            return not any(self.data.histogram()[-255:-1])
        alpha = self.data[..., -1]
        return bool(((alpha == 0) | (alpha == 65535)).all())

    @property
    def depth(self) -> int:
        """Bits per sample, 8 or 16."""
        return 8 if isinstance(self.data, Image.Image) and self.data.mode != "I;16" else 16

    def image(self) -> Image.Image:
        """As a Pillow image, which has no mode for colour of 16 bits: that is rounded to 8."""
        data = to_8_bits(self).data if not isinstance(self.data, Image.Image) else self.data
        assert isinstance(data, Image.Image)
        return data

    def array(self) -> NDArray[Any]:
        """All levels, uint8 or uint16 (H, W, C)."""
        values = np.asarray(self.data)
        return values[..., None] if values.ndim == 2 else values

    def window(self, rows: slice, columns: slice) -> Tensor:
        """Pixels of a rectangle, float32 (1, C, h, w) in [0, 1], alpha last."""
        if isinstance(self.data, Image.Image):
            array = np.asarray(self.data.crop((columns.start, rows.start, columns.stop, rows.stop)))
        else:
            array = self.data[rows, columns]
        array = array[..., None] if array.ndim == 2 else array
        values = array.copy() if array.dtype == np.uint8 else array.astype(np.int32)
        return torch.from_numpy(values).permute(2, 0, 1)[None].float().div_(2**self.depth - 1)

    def whole(self) -> Tensor:
        """All pixels, float32 (1, C, H, W) in [0, 1]."""
        width, height = self.size
        return self.window(slice(0, height), slice(0, width))

    def blank(self, width: int, height: int) -> Raster:
        """A raster of the same kind and another size, to be filled with `put`."""
        if isinstance(self.data, Image.Image):
            return Raster(Image.new(self.data.mode, (width, height)))
        return Raster(np.zeros((height, width, self.channels), np.uint16))

    def put(self, pixels: Tensor, row: int, column: int) -> None:
        """Write float pixels (1, C, h, w) with their top left corner there, clipped and rounded to the nearest."""
        array = to_array(pixels, self.depth)
        if isinstance(self.data, Image.Image):
            self.data.paste(_image(array), (column, row))
        else:
            self.data[row : row + array.shape[0], column : column + array.shape[1]] = array


def from_array(array: NDArray[Any]) -> Raster:
    """uint8 or uint16 (H, W, C) -> a raster: Pillow's where it has a mode for it."""
    return Raster(_image(array) if array.dtype == np.uint8 or array.shape[2] == 1 else array)


def from_tensor(pixels: Tensor, depth: int = 8) -> Raster:
    """Float (1, C, H, W) in [0, 1], alpha last -> a raster, clipped and rounded to the nearest level."""
    array = to_array(pixels, depth)
    return Raster(_image(array) if depth == 8 or array.shape[2] == 1 else array)


def to_array(pixels: Tensor, depth: int) -> NDArray[Any]:
    """Float (1, C, H, W) in [0, 1] -> uint8 or uint16 (H, W, C), clipped and rounded."""
    levels = 2**depth - 1
    values = (pixels[0] * levels).add_(0.5).clamp_(0, levels).permute(1, 2, 0).contiguous()
    if depth == 8:
        return np.asarray(values.to(torch.uint8))
    return np.asarray(values.to(torch.int32)).astype(np.uint16)


def _image(array: NDArray[Any]) -> Image.Image:
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


def to_8_bits(raster: Raster) -> Raster:
    """The same picture in 8 bits per sample, rounded to the nearest level; 8 bits stay as they are."""
    if raster.depth == 8:
        return raster
    values = raster.array()
    result = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), BAND):
        result[start : start + BAND] = (values[start : start + BAND].astype(np.uint32) + 128) // 257
    return Raster(_image(result))


def on_white(raster: Raster) -> Raster:
    """A picture with alpha laid on white."""
    if not raster.has_alpha:
        return raster
    if isinstance(raster.data, Image.Image):
        opaque = raster.data.convert("L" if raster.channels == 2 else "RGB")
        sheet = Image.new(opaque.mode, raster.size, "white")
        sheet.paste(opaque, mask=raster.data.getchannel("A"))
        return Raster(sheet)
    result = np.empty((*raster.data.shape[:2], raster.channels - 1), np.uint16)
    for start in range(0, len(result), BAND):
        band = raster.data[start : start + BAND].astype(np.uint64)
        colours, alpha = band[..., :-1], band[..., -1:]
        result[start : start + BAND] = (colours * alpha + 65535 * (65535 - alpha) + 32767) // 65535
    return from_array(result)
