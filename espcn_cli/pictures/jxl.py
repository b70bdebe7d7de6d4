"""JPEG XL, by pillow-jxl-plugin of the extra `formats`: opened as Pillow's images are, read and written.

The plugin decodes a file as soon as it sees it; here the header is read first, and it says how large the picture is.
The library turns pictures upright while it decodes them; EXIF's orientation says nothing about them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile

from espcn_cli import cores
from espcn_cli.errors import EspcnError
from espcn_cli.maths import turns
from espcn_cli.maths.levels import Levels, Pixels
from espcn_cli.pictures import boxes

NAME, FORMAT, PACKAGE = "JPEG XL", "JXL", "pillow-jxl-plugin"
"""What people call it, what Pillow's plugin does, and who reads it."""

SUFFIXES = (".jxl",)

CODESTREAM, CONTAINER = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"

JPEG_INSIDE = b"jbrd"
"""The box by which the JPEG that a file was made from can be had again, byte by byte."""

LOSSLESS_EFFORT, LOSSY_EFFORT = 3, 7
"""Of 1 to 9. Lossless: an eighth smaller than 1 on a photograph, and as fast as the network; 7 takes five times as
long."""

RGB, GREY = 0, 1
D65, SRGB_PRIMARIES, LINEAR, SRGB_CURVE = 1, 1, 8, 13
ALPHA, SPOT, BLACK, CFA = 0, 2, 4, 5
"""Numbers of colour spaces and kinds of channels in a header."""

Range = tuple[int, int]


def is_one(head: bytes) -> bool:
    """Whether a file that begins so is a JPEG XL."""
    return head.startswith((CODESTREAM, CONTAINER))


def is_there() -> bool:
    """Whether the library is installed."""
    try:
        import brotli
        import pillow_jxl
    except ImportError:
        return False
    return bool(brotli and pillow_jxl)


# --- the header ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Header:
    """What a file says before its pixels: `size` as they are stored, `orientation` as EXIF counts it.

    `bits` of a sample, 32 for floats; `channels`: colours, and alpha if there is any; `is_srgb`: no other profile is
    needed; `is_premultiplied`: colours were multiplied with alpha; `has_black`: it is CMYK.
    """

    size: Pixels
    orientation: int = 1
    moves: bool = False
    bits: int = 8
    is_float: bool = False
    channels: int = 3
    is_srgb: bool = True
    is_premultiplied: bool = False
    has_black: bool = False

    @property
    def upright(self) -> Pixels:
        """The size as the library decodes it."""
        return self.size[::-1] if turns.BY_ORIENTATION[self.orientation].swaps_sides else self.size

    @property
    def mode(self) -> str:
        """Pillow's mode for what the library decodes."""
        if self.is_float:
            return "F"
        if self.channels == 1 and self.bits > 8:
            return "I;16"
        return ("L", "La" if self.is_premultiplied else "LA", "RGB", "RGBa" if self.is_premultiplied else "RGBA")[
            self.channels - 1
        ]


def header(file: IO[bytes]) -> Header:
    """The header of a file (ISO 18181-1, annexes D and E). Raises SyntaxError if it is damaged."""
    with boxes.at_start(file):
        bits = _Bits(_codestream(file))
    try:
        return _header(bits)
    except IndexError:
        raise SyntaxError("the header breaks off") from None


def _codestream(file: IO[bytes]) -> bytes:
    """How the codestream begins, which a container may hold in pieces; without its signature."""
    data = file.read(boxes.GLANCE)
    if not data.startswith(CODESTREAM):
        file.seek(0)
        data = b""
        for kind, content in boxes.boxes(file):
            data += {b"jxlc": content, b"jxlp": content[4:]}.get(kind, b"")
            if len(content) >= boxes.GLANCE and data:
                break
    if not data.startswith(CODESTREAM):
        raise SyntaxError("no JPEG XL codestream is in it")
    return data[2:]


def _header(bits: _Bits) -> Header:
    size = bits.size()
    if bits.flag():  # all as usual
        return Header(size)
    orientation, moves = 1, False
    if bits.flag():
        orientation = bits.number(3) + 1
        if bits.flag():
            bits.size()  # that it wants to be shown in
        if bits.flag():
            bits.preview()
        if moves := bits.flag():
            bits.animation()
    depth, is_float = bits.depth()
    bits.flag()
    kinds = [bits.channel() for _ in range(bits.choice((0, 0), (1, 0), (2, 4), (1, 12)))]
    bits.flag()  # stored as XYB
    space, is_srgb = bits.colours()
    alphas = [associated for kind, associated in kinds if kind == ALPHA]
    channels = (1 if space == GREY else 3) + bool(alphas)
    has_black = any(kind == BLACK for kind, _ in kinds)
    return Header(size, orientation, moves, depth, is_float, channels, is_srgb, any(alphas[:1]), has_black)


class _Bits:
    """A header's fields; each byte from its lowest bit on. Raises IndexError at the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0
        self.curve_at: int | None = None
        """The bit where `colours` found the number of the curve of grey or RGB."""

    def number(self, bits: int) -> int:
        value = 0
        for place in range(bits):
            value |= (self._data[self._place >> 3] >> (self._place & 7) & 1) << place
            self._place += 1
        return value

    def at(self, place: int, bits: int) -> int:
        """The number at another place."""
        self._place = place
        return self.number(bits)

    def flag(self) -> bool:
        return bool(self.number(1))

    def choice(self, *ranges: Range) -> int:
        """One of four ranges: where it starts, and how many bits say how far from there."""
        start, bits = ranges[self.number(2)]
        return start + self.number(bits)

    def kind(self) -> int:
        return self.choice((0, 0), (1, 0), (2, 4), (18, 6))

    def size(self) -> Pixels:
        small = self.flag()
        side = (lambda: 8 * (1 + self.number(5))) if small else (lambda: self.choice((1, 9), (1, 13), (1, 18), (1, 30)))
        return self._by_ratio(side)

    def preview(self) -> None:
        small = self.flag()
        sides = ((16, 0), (32, 0), (1, 5), (33, 9)) if small else ((1, 6), (65, 8), (321, 10), (1345, 12))
        self._by_ratio(lambda: self.choice(*sides))

    def _by_ratio(self, side: Callable[[], int]) -> Pixels:
        height = side()
        across, down = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[self.number(3)]
        return (height * across // down if across else side()), height

    def animation(self) -> None:
        self.choice((100, 0), (1000, 0), (1, 10), (1, 30))
        self.choice((1, 0), (1001, 0), (1, 8), (1, 10))
        self.choice((0, 0), (0, 3), (0, 16), (0, 32))
        self.flag()

    def depth(self) -> tuple[int, bool]:
        """Bits of a sample, and whether they are a floating-point number's."""
        if not self.flag():
            return self.choice((8, 0), (10, 0), (12, 0), (1, 6)), False
        bits = self.choice((32, 0), (16, 0), (24, 0), (1, 6))
        self.number(4)
        return bits, True

    def channel(self) -> tuple[int, bool]:
        """The kind of a channel beside the colours, and whether these were multiplied with it."""
        if self.flag():
            return ALPHA, False
        kind = self.kind()
        self.depth()
        self.choice((0, 0), (3, 0), (4, 0), (1, 3))
        for _ in range(self.choice((0, 0), (0, 4), (16, 5), (48, 10))):
            self.number(8)
        associated = kind == ALPHA and self.flag()
        if kind == SPOT:
            self.number(4 * 16)
        if kind == CFA:
            self.choice((1, 0), (0, 2), (3, 4), (19, 8))
        return kind, associated

    def colours(self) -> tuple[int, bool]:
        """The colour space, and whether it is sRGB or a grey of the same curve."""
        if self.flag():
            return RGB, True
        has_profile, space = self.flag(), self.kind()
        if has_profile or space not in (RGB, GREY) or self.kind() != D65:
            return space, False
        if space == RGB and self.kind() != SRGB_PRIMARIES:
            return space, False
        if self.flag():  # a gamma
            return space, False
        self.curve_at = self._place
        return space, self.kind() == SRGB_CURVE


# --- reading ---------------------------------------------------------------------------------------------------------


class Picture(ImageFile.ImageFile):
    """A JPEG XL as Pillow has its images: decoded when it is loaded."""

    format = FORMAT
    format_description = "JPEG XL"

    def _open(self) -> None:
        assert self.fp is not None
        self.header = header(self.fp)
        self._size = self.header.upright
        self._mode = self.header.mode
        self._is_decoded = False
        self.tile = []

    def load(self) -> Any:
        if not self._is_decoded and self.fp is not None:
            self.fp.seek(0)
            _, found, pixels, profile, _ = _decoded(self.fp.read())
            if (found.width, found.height) != self.size or found.mode != self.mode.upper():
                raise OSError("the header is not that of the picture")
            self.take_profile(profile)
            self._is_decoded = True
            if self._exclusive_fp:
                self.fp.close()
            self.fp = BytesIO(pixels)
            self.tile = [ImageFile._Tile("raw", (0, 0, *self.size), 0, self.mode)]
        return super().load()

    def take_profile(self, profile: bytes) -> None:
        """Keep what the library says of the colours, if the header leaves anything to be said."""
        if profile and not self.header.is_srgb:
            self.info["icc_profile"] = profile


def _decoded(data: bytes) -> tuple[bool, Any, bytes, bytes, Any]:
    """Whether a JPEG could be had again; what was found; the JPEG or the pixels; the profile; boxes."""
    from pillow_jxl import Decoder

    found: tuple[bool, Any, bytes, bytes, Any] = Decoder(num_threads=cores.count())(data)
    return found


def opened(file: Path | BytesIO, check: Callable[[int], None]) -> Image.Image:
    """The picture in a file, not decoded yet; what was made from a JPEG becomes that JPEG again.

    `check` is called with the number of its pixels before that, and may raise. Raises SyntaxError if it is damaged,
    EspcnError if it is in CMYK.
    """
    image = Picture(file)
    width, height = image.size
    try:
        if image.header.has_black:
            raise EspcnError("a JPEG XL in CMYK: convert it to RGB")
        assert image.fp is not None
        check(width * height)
        image.fp.seek(0)
        if any(kind == JPEG_INSIDE for kind, _ in boxes.boxes(image.fp)):
            image.fp.seek(0)
            is_jpeg, _, jpeg, _, _ = _decoded(image.fp.read())
            if is_jpeg:
                image.close()
                return Image.open(BytesIO(jpeg))
    except BaseException:
        image.close()
        raise
    return image


def read_deep(image: Image.Image, file: IO[bytes]) -> Levels:
    """Colour with all its bits, from 0 to 2^bits - 1: uint16 (H, W, C); by the extra `deep`."""
    import imagecodecs

    data = file.read()
    if isinstance(image, Picture) and not image.header.is_srgb:
        image.take_profile(_decoded(data)[3])
    array: Levels = imagecodecs.jpegxl_decode(data, index=-1 if _moves(image) else None, numthreads=cores.count())
    return array


def _moves(image: Image.Image) -> bool:
    return isinstance(image, Picture) and image.header.moves


def is_premultiplied(image: Image.Image) -> bool:
    """Whether its colours were multiplied with alpha."""
    return isinstance(image, Picture) and image.header.is_premultiplied


# --- writing ---------------------------------------------------------------------------------------------------------


def write(levels: Levels, stream: IO[bytes], options: dict[str, Any]) -> None:
    """(H, W, C), uint8 or uint16; lossless unless `options` have a quality. They may have exif and xmp too.

    16 bits are always lossless, and in colour or with alpha they need the extra `deep`.
    """
    exif, xmp = options.get("exif", b"").removeprefix(b"Exif\0\0"), options.get("xmp", b"")
    if levels.dtype == np.uint16:
        encode = _encoded if levels.shape[2] == 1 else _encoded_deep
        stream.write(_as_srgb(encode(levels)))
    else:
        quality = options.get("quality")
        stream.write(_encoded(levels, None if quality == 100 else quality))
    for kind, data in ((b"Exif", exif and bytes(4) + exif), (b"xml ", xmp)):
        if data:
            stream.write(struct.pack(">I4s", 8 + len(data), kind) + data)


def _encoded(levels: Levels, quality: int | None = None) -> bytes:
    """In a container, at whose end more can be written. `quality` from 1 to 99, None for lossless."""
    from pillow_jxl import Encoder

    height, width, channels = levels.shape
    encoder = Encoder(
        mode="I;16" if levels.dtype == np.uint16 else ("L", "LA", "RGB", "RGBA")[channels - 1],
        lossless=quality is None,
        quality=100 if quality is None else quality,
        decoding_speed=0,
        effort=LOSSLESS_EFFORT if quality is None else LOSSY_EFFORT,
        use_container=True,
        use_original_profile=quality is None,
        num_threads=cores.count(),
    )
    data: bytes = encoder(np.ascontiguousarray(levels).tobytes(), width, height, jpeg_encode=False)
    return data


def _encoded_deep(levels: Levels) -> bytes:
    import imagecodecs

    threads = cores.count()
    data: Any = imagecodecs.jpegxl_encode(
        levels, lossless=True, effort=LOSSLESS_EFFORT, usecontainer=True, numthreads=threads
    )
    return bytes(data)


def _as_srgb(data: bytes) -> bytes:
    """A lossless file with another word on its colours: encoders call 16 bits linear, whatever they are.

    Both curves have numbers of four bits in the header, which count from 2 on.
    """
    start = data.index(CODESTREAM, data.index(b"jxlc")) + len(CODESTREAM)
    bits = _Bits(data[start : start + boxes.GLANCE])
    _header(bits)
    if bits.curve_at is None or bits.at(bits.curve_at, 6) != 2 | LINEAR - 2 << 2:
        return data
    changed = bytearray(data)
    for place in range(4):
        byte, bit = divmod(bits.curve_at + 2 + place, 8)
        changed[start + byte] &= ~(1 << bit)
        changed[start + byte] |= (SRGB_CURVE - 2 >> place & 1) << bit
    return bytes(changed)
