"""GIFs made block by block, and read by the letter of the specification: without the code under test."""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
from making import Bytes, natural
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image, ImageDraw


def shown(data: bytes) -> list[tuple[Bytes, int]]:
    """Each frame as a viewer shows it, RGBA (H, W, 4), clear pixels black, and its milliseconds."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + table_size(flags)
    shared, canvas = data[13:position], np.zeros((height, width, 4), np.uint8)
    control, frames = (0, 0, 0), []
    while data[position : position + 1] != b";":
        if data[position] == 0x21:
            if data[position + 1] == 0xF9:
                control = struct.unpack_from("<BHB", data, position + 3)
            position = after_blocks(data, position + 2)
            continue
        x, y, w, h, flags = struct.unpack_from("<HHHHB", data, position + 1)
        start = position + 10 + table_size(flags)
        table, position = data[position + 10 : start] or shared, after_blocks(data, start + 1)
        indices = decoded(w, h, table, data[start:position])
        flags, duration, clear = control
        before, visible = canvas.copy(), indices != clear if flags & 1 else np.ones((h, w), bool)
        colours = np.frombuffer(table, np.uint8).reshape(-1, 3)[indices]
        canvas[y : y + h, x : x + w][visible] = np.dstack([colours, np.full((h, w), 255)])[visible]
        frames.append((canvas.copy(), duration * 10))
        if flags >> 2 & 7 == 2:
            canvas[y : y + h, x : x + w] = 0
        elif flags >> 2 & 7 == 3:
            canvas = before
        control = (0, 0, 0)
    return frames


def table_size(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 128 else 0


def after_blocks(data: bytes, position: int) -> int:
    while data[position]:
        position += 1 + data[position]
    return position + 1


def decoded(width: int, height: int, table: bytes, pixels: bytes) -> NDArray[np.uint8]:
    """Indices (h, w): Pillow unpacks them, as a picture of their own."""
    flags = 128 | (len(table) // 3).bit_length() - 2
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, flags, 0, 0) + table
    return np.asarray(Image.open(BytesIO(head + struct.pack("<cHHHHB", b",", 0, 0, width, height, 0) + pixels + b";")))


def tables(data: bytes) -> int:
    """How many frames have a palette of their own."""
    position, count = 13 + table_size(data[10]), 0
    while data[position : position + 1] != b";":
        if data[position] == 0x21:
            position = after_blocks(data, position + 2)
        else:
            flags = data[position + 9]
            count += flags >> 7
            position = after_blocks(data, position + 11 + table_size(flags))
    return count


Part = tuple[Image.Image, tuple[int, int], int, int | None]
"""Indices with their palette, where they go, what becomes of them, which of them is clear."""


def made(parts: list[Part], size: tuple[int, int], own_palettes: bool) -> bytes:
    """A GIF of these parts as they are; the first one's palette is the file's, and they repeat theirs or not."""
    screen = Image.new("P", size)
    screen.putpalette(parts[0][0].getpalette() or [])
    blocks = GifImagePlugin.getheader(screen, None, {"loop": 0, "duration": 80})[0]
    for image, corner, disposal, clear in parts:
        options = {"transparency": clear} if clear is not None else {}
        options |= {"duration": 80, "disposal": disposal, "include_color_table": own_palettes}
        blocks += GifImagePlugin.getdata(image, corner, **options)
    return b"".join(blocks) + b";"


def still_life(colours: int = 200, count: int = 6) -> list[Image.Image]:
    """A still background, in one palette, under a mark that moves."""
    still = Image.fromarray(natural(96, 72)).quantize(colours, dither=Image.Dither.NONE)
    frames = [still.copy() for _ in range(count)]
    for index, frame in enumerate(frames):
        ImageDraw.Draw(frame).rectangle((4 + 9 * index, 54, 10 + 9 * index, 66), fill=index % 2)
    return frames
