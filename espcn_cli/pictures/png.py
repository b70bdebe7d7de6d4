"""PNGs, written row by row while a picture is made: filtered in NumPy, deflated in pieces side by side.

Libraries spend most of a command's time on this. Each piece of rows gets the filter that suits it, and is deflated for
itself: by ISA-L (`isal`, extra `fast`) where it is installed, else by zlib. Joined by sync flushes, the pieces are one
stream, as any reader expects it.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from io import BytesIO
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from espcn_cli.maths.levels import Levels

Bytes = NDArray[np.uint8]

SIGNATURE = b"\x89PNG\r\n\x1a\n"

COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""Channels -> what a PNG's header calls them."""

PIECE = 1 << 20
"""Bytes of rows that are deflated as one: some stay in the cache, and what they share with those before is little."""

SAMPLE = 1 << 14
"""At least so many bytes of whole rows show which filter suits a piece."""

AHEAD = 2
"""Pieces for each thread that may wait to be written, so that memory stays bounded."""

ISAL_LEVELS = (1, 2, 3)
ADLER = 65521
LONGEST = 65535
"""The largest numerator and denominator of a frame's seconds."""


@dataclass(frozen=True)
class Shape:
    """What a PNG's rows are: pixels in each direction, 1 to 4 channels with alpha last, 8 or 16 bits per sample."""

    width: int
    height: int
    channels: int
    depth: int

    @property
    def header(self) -> bytes:
        """The data of IHDR."""
        return struct.pack(">2I5B", self.width, self.height, self.depth, COLOUR_TYPES[self.channels], 0, 0, 0)


def shape_of(levels: Levels) -> Shape:
    """The shape of a whole picture, uint8 or uint16 (H, W, C)."""
    height, width, channels = levels.shape
    return Shape(width, height, channels, 8 * levels.itemsize)


# --- a file ----------------------------------------------------------------------------------------------------------


def write(
    file: IO[bytes],
    shape: Shape,
    rows: Iterable[Levels],
    options: dict[str, Any],
    level: int | None = None,
    pool: Executor | None = None,
) -> None:
    """One picture whose rows, uint8 or uint16 (n, W, C) from top to bottom, are written as they come.

    `options` are Pillow's, for what stands beside the pixels; `level` as `deflater` takes it; `pool` deflates pieces
    side by side. Raises ValueError if the rows are more or fewer than the shape says.
    """
    file.write(SIGNATURE)
    _chunk(file, b"IHDR", shape.header)
    file.write(_beside(shape, options))
    _image_data(file, shape, rows, level, pool, lambda data: (b"IDAT", data))
    _chunk(file, b"IEND")


def write_animation(
    file: IO[bytes],
    frames: Iterable[Levels],
    options: dict[str, Any],
    durations: Sequence[float],
    plays: int,
    cover: bool,
    level: int | None = None,
    pool: Executor | None = None,
) -> None:
    """Frames of one size and kind, one for each duration in milliseconds; with `cover`, the first is not shown by them.

    Of each frame what differs from the one before is stored. Raises ValueError for a duration that has no place.
    """
    numbers, before = itertools.count(), None
    for index, frame in enumerate(frames):
        if before is None:
            file.write(SIGNATURE)
            _chunk(file, b"IHDR", shape_of(frame).header)
            file.write(_beside(shape_of(frame), options))
            _chunk(file, b"acTL", struct.pack(">2I", len(durations) - cover, plays))
        top, left, part = (0, 0, frame) if before is None or index <= cover else _difference(before, frame)
        before, kind = frame, shape_of(part)
        if index or not cover:
            place = struct.pack(">5I", next(numbers), kind.width, kind.height, left, top)
            _chunk(file, b"fcTL", place + _seconds(durations[index]) + b"\0\0")

        def data(piece: bytes, first: bool = index == 0) -> tuple[bytes, bytes]:
            return (b"IDAT", piece) if first else (b"fdAT", struct.pack(">I", next(numbers)) + piece)

        _image_data(file, kind, [part], level, pool, data)
    _chunk(file, b"IEND")


def _chunk(file: IO[bytes], name: bytes, data: bytes = b"") -> None:
    file.write(struct.pack(">I", len(data)) + name)
    file.write(data)
    file.write(struct.pack(">I", checks().crc32(data, zlib.crc32(name))))


def _beside(shape: Shape, options: dict[str, Any]) -> bytes:
    """The chunks that Pillow writes before the pixels of a tiny picture of this kind with the same options."""
    small = BytesIO()
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[shape.channels]
    Image.new(mode, (1, 1)).save(small, format="PNG", **options)
    png, found, position = small.getvalue(), b"", len(SIGNATURE)
    while position < len(png):
        (length,) = struct.unpack(">I", png[position : position + 4])
        if png[position + 4 : position + 8] not in (b"IHDR", b"IDAT", b"IEND"):
            found += png[position : position + 12 + length]
        position += 12 + length
    return found


def _seconds(milliseconds: float) -> bytes:
    """How long a frame is shown, as a fraction of a second."""
    seconds = Fraction(milliseconds / 1000).limit_denominator(LONGEST)
    if seconds.numerator > LONGEST:
        raise ValueError(f"a frame of {milliseconds:g} ms is too long")
    return struct.pack(">2H", seconds.numerator, seconds.denominator)


def _difference(before: Levels, frame: Levels) -> tuple[int, int, Levels]:
    """The first row and column, and the pixels, of the rectangle that a frame changes; one pixel if it is equal."""
    changed = (before != frame).any(axis=2)
    rows, columns = (np.flatnonzero(changed.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return 0, 0, frame[:1, :1]
    return rows[0], columns[0], frame[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


# --- pixels ----------------------------------------------------------------------------------------------------------


def _image_data(
    file: IO[bytes],
    shape: Shape,
    rows: Iterable[Levels],
    level: int | None,
    pool: Executor | None,
    named: Callable[[bytes], tuple[bytes, bytes]],
) -> None:
    """Rows as one deflate stream in chunks; `named` gives a chunk's name and data for a piece of the stream.

    What begins and what ends the stream is in the chunks of the first and the last rows: some readers of animations
    take nothing after these.
    """
    stride = shape.width * shape.channels * shape.depth // 8
    tall = max(PIECE // stride, 1)
    pool = pool if tall < shape.height else None
    waiting: deque[Future[_Piece]] = deque()
    most = AHEAD * getattr(pool, "_max_workers", 1) if pool else 0
    check, start, held = 1, b"\x78\x01", b""

    def drain(left: int) -> None:
        nonlocal check, start, held
        while len(waiting) > left:
            piece = waiting.popleft().result()
            check = _joined(check, piece.check, piece.length)
            if held:
                _chunk(file, *named(held))
            start, held = b"", start + piece.data

    try:
        above, count = np.zeros((1, stride), np.uint8), 0
        for part in _pieces(rows, tall):
            lines = _lines(part, shape)
            count += len(lines)
            waiting.append(_submit(pool, _deflated, above, lines, shape, level))
            above = lines[-1:]
            drain(most)
        if count != shape.height:
            raise ValueError(f"{count} rows of {shape.height}")
        drain(0)
    finally:
        for piece in waiting:
            piece.cancel()
    _chunk(file, *named(held + b"\x03\x00" + struct.pack(">I", check)))  # an empty last block


def _submit(pool: Executor | None, function: Callable[..., _Piece], *arguments: Any) -> Future[_Piece]:
    if pool is not None:
        return pool.submit(function, *arguments)
    done: Future[_Piece] = Future()
    done.set_result(function(*arguments))
    return done


def _pieces(rows: Iterable[Levels], tall: int) -> Iterable[Levels]:
    """The same rows in parts of `tall` rows; the last one may be flatter."""
    left: list[Levels] = []
    held = 0
    for part in rows:
        while held + len(part) >= tall:
            needed = tall - held
            yield np.concatenate([*left, part[:needed]]) if left else part[:needed]
            left, held, part = [], 0, part[needed:]
        if len(part):
            left.append(part)
            held += len(part)
    if left:
        yield np.concatenate(left)


def _lines(levels: Levels, shape: Shape) -> Bytes:
    """Rows (n, W, C) as the bytes that a PNG has for them (n, stride)."""
    if levels.shape[1:] != (shape.width, shape.channels) or levels.itemsize * 8 != shape.depth:
        raise ValueError(f"rows {levels.shape} of {levels.dtype} in a picture of {shape}")
    samples = np.ascontiguousarray(levels if shape.depth == 8 else levels.astype(">u2"))
    return samples.reshape(len(levels), -1).view(np.uint8)


@dataclass(frozen=True)
class _Piece:
    """A piece of the stream, and the checksum and the length of what it was before."""

    data: bytes
    check: int
    length: int


def _deflated(above: Bytes, lines: Bytes, shape: Shape, level: int | None) -> _Piece:
    chosen = _filtered(above, lines, shape.channels * shape.depth // 8, level)
    data = chosen.data.cast("B")
    return _Piece(_compressed(data, level), checks().adler32(data), len(data))


def _joined(first: int, second: int, length: int) -> int:
    """Adler-32 of two pieces, of which the second has this length, from theirs."""
    low = (first & 0xFFFF) + (second & 0xFFFF) - 1
    high = (first >> 16) + (second >> 16) + length * ((first & 0xFFFF) - 1)
    return high % ADLER << 16 | low % ADLER


# --- deflate ---------------------------------------------------------------------------------------------------------


@cache
def has_isal() -> bool:
    """Whether ISA-L is there."""
    try:
        import isal.isal_zlib  # noqa: F401
    except ImportError:
        return False
    return True


@cache
def checks() -> Any:
    """The module with `crc32` and `adler32`: ISA-L's, which take a quarter of the time, or zlib's."""
    if not has_isal():
        return zlib
    from isal import isal_zlib

    return isal_zlib


def deflater(level: int | None) -> Any:
    """A raw deflate stream of zlib's interface, for a `--png-level`.

    None is fast: ISA-L's level 1, or zlib's run lengths, twice as fast as its level 1 on what is filtered. 1 to 3 are
    ISA-L's where it is there; all others are zlib's.
    """
    if has_isal() and (level is None or level in ISAL_LEVELS):
        from isal import isal_zlib

        return isal_zlib.compressobj(1 if level is None else level, zlib.DEFLATED, -15)
    strategy = zlib.Z_RLE if level is None else zlib.Z_DEFAULT_STRATEGY
    return zlib.compressobj(1 if level is None else level, zlib.DEFLATED, -15, 9, strategy)


def _compressed(data: memoryview, level: int | None) -> bytes:
    """A piece of a stream that others can follow."""
    stream = deflater(level)
    compressed: bytes = stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)
    return compressed


# --- filters ---------------------------------------------------------------------------------------------------------


def _filtered(above: Bytes, lines: Bytes, step: int, level: int | None) -> Bytes:
    """Rows (n, stride) with the filter's number before each (n, 1 + stride); `step` is the bytes of a pixel.

    All rows of a piece share the filter under which a few of them, deflated, are smallest. Levels from 4 on choose for
    each row, by the least sum of differences: that is slow, and pays by a few percent.
    """
    if level == 0:
        return none(above, lines, step)
    if level is not None and level not in ISAL_LEVELS:
        return _least_of_each(above, lines, step)
    count = min(-(-SAMPLE // lines.shape[1]), len(lines))
    start = (len(lines) - count) // 2
    over, some = lines[start - 1 : start] if start else above, lines[start : start + count]
    sizes = [len(_compressed(each(over, some, step).data.cast("B"), level)) for each in FAST]
    return FAST[sizes.index(min(sizes))](above, lines, step)


def _least_of_each(above: Bytes, lines: Bytes, step: int) -> Bytes:
    every = [each(above, lines, step) for each in (none, sub, up, average, paeth)]
    sums = [np.abs(rows[:, 1:].view(np.int8).astype(np.int16)).sum(axis=1, dtype=np.int64) for rows in every]
    chosen: Bytes = np.stack(every, axis=1)[np.arange(len(lines)), np.argmin(sums, axis=0)]
    return chosen


def _room(lines: Bytes, number: int) -> Bytes:
    out = np.empty((len(lines), lines.shape[1] + 1), np.uint8)
    out[:, 0] = number
    return out


def none(above: Bytes, lines: Bytes, step: int) -> Bytes:
    """Filter 0: bytes as they are."""
    out = _room(lines, 0)
    out[:, 1:] = lines
    return out


def sub(above: Bytes, lines: Bytes, step: int) -> Bytes:
    """Filter 1: less those of the pixel before."""
    out = _room(lines, 1)
    out[:, 1 : 1 + step] = lines[:, :step]
    np.subtract(lines[:, step:], lines[:, :-step], out=out[:, 1 + step :])
    return out


def up(above: Bytes, lines: Bytes, step: int) -> Bytes:
    """Filter 2: less those of the pixel above."""
    out = _room(lines, 2)
    np.subtract(lines[:1], above, out=out[:1, 1:])
    np.subtract(lines[1:], lines[:-1], out=out[1:, 1:])
    return out


def average(above: Bytes, lines: Bytes, step: int) -> Bytes:
    """Filter 3: less the mean of both, rounded down: (a & b) + (a ^ b) / 2 stays within a byte."""
    a, b = _before(lines, step), _over(above, lines)
    mean = a ^ b
    mean >>= 1
    a &= b
    mean += a
    out = _room(lines, 3)
    np.subtract(lines, mean, out=out[:, 1:])
    return out


def paeth(above: Bytes, lines: Bytes, step: int) -> Bytes:
    """Filter 4: less whichever of left, above and above left is nearest to left + above - above left."""
    over = _over(above, lines)
    a, b, c = (x.astype(np.int16) for x in (_before(lines, step), over, _before(over, step)))
    to_a, to_b, to_c = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    nearest = np.where((to_a <= to_b) & (to_a <= to_c), a, np.where(to_b <= to_c, b, c))
    out = _room(lines, 4)
    np.subtract(lines, nearest.astype(np.uint8), out=out[:, 1:])
    return out


def _over(above: Bytes, lines: Bytes) -> Bytes:
    """For each byte the one of the pixel above."""
    return np.concatenate([above, lines[:-1]])


def _before(lines: Bytes, step: int) -> Bytes:
    """For each byte the one of the pixel before; 0 where there is none."""
    out = np.zeros_like(lines)
    out[:, step:] = lines[:, :-step]
    return out


FAST = (up, average, none)
"""What is tried where speed counts, the likeliest first."""
