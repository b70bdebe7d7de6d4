"""What Pillow passes over in files: in boxes of AVIF, HEIC, JPEG 2000 and JPEG XL, chunks of PNG and WebP, blocks of
GIF, elsewhere.

Bytes in, bytes out.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import SEEK_CUR, SEEK_END, BytesIO
from typing import IO

Fields = dict[str, bytes]
"""icc_profile, exif, xmp, comment: as Pillow names them; iptc; author: of a TGA; else a PNG's chunk and its data."""

_GAP = rb"(\s|#[^\r\n]*[\r\n])+"
NETPBM_HEADER = re.compile(rb"P([14](%b\d+){2}|[2356](%b\d+){3})" % (_GAP, _GAP))
"""Two or three numbers; what looks like a comment behind them may be pixels."""

BMP_5 = 14 + 124
"""Bytes of a BMP's header in its fifth version, with that of the file."""

TGA_WORDS = 41 + 4 * 81
"""Bytes of an author's name and four lines."""

PNG_READ = (b"cICP", b"gAMA", b"cHRM", b"sRGB")
CONTAINERS = (b"meta", b"iprp", b"ipco", b"jp2h")
PIXELS = (b"mdat", b"jp2c", b"jxlc", b"jxlp")
OF_BOXES = ("AVIF", "HEIF", "JPEG2000", "JXL")
"""Pillow's names of formats that are made of boxes."""

TIFF_STARTS = (b"II*\0", b"MM\0*")
"""How EXIF begins."""

PACKED = b"brob"
"""A box of JPEG XL that holds another one, compressed by Brotli."""

GLANCE = 1024
"""Bytes that are read of a box of pixels: the start of a JPEG 2000 codestream is in them."""

LARGEST = 2**26
"""Bytes of a box that is read; what claims more is taken for damage."""

XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
EXIF_UUID = b"JpgTiffExif->JP2"
IPTC_UUID = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
GIF_XMP, GIF_PROFILE = "XMP DataXMP", "ICCRGBG1012"
GIF_XMP_TAIL = 257
"""Bytes behind XMP in a GIF, by which readers find the end of what is no chain of blocks."""

SIZ = b"\xff\x4f\xff\x51"
"""A JPEG 2000 codestream's start, with the marker of its size segment."""


def boxes(file: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of each box of an ISO base media file from its place on; what is in a container follows it.

    Of pixels only the start is read. A damaged file gives what comes before the damage.
    """
    position = file.tell()
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        header = 8
        if size == 1 and len(more := file.read(8)) == 8:
            (size,) = struct.unpack(">Q", more)
            header = 16
        is_pixels = kind in PIXELS
        if 0 < size < header or size > (2**48 if is_pixels else LARGEST):
            return
        content = file.read(GLANCE if is_pixels else size - header if size else LARGEST)
        yield kind, content
        if kind in CONTAINERS:
            yield from boxes(BytesIO(content[4:] if kind == b"meta" else content))
        if not size:
            return
        position = file.seek(position + size)


def png_chunks(file: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Names of a PNG's chunks, with the content of those that are read here."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name in PNG_READ and length <= LARGEST:
            yield name, file.read(length)
            length = 0
        else:
            yield name, b""
        file.seek(length + 4, SEEK_CUR)


def riff_chunks(file: IO[bytes]) -> Iterator[bytes]:
    """Names of a WebP's chunks; the file stands at a chunk's content while its name is looked at."""
    position = 12
    while len(head := _read_at(file, position, 8)) == 8:
        name, length = struct.unpack("<4sI", head)
        yield name
        position += 8 + length + length % 2


def _read_at(file: IO[bytes], position: int, length: int) -> bytes:
    file.seek(position)
    return file.read(length)


def vp8_frame(file: IO[bytes]) -> bytes | None:
    """The start of the first picture in a WebP that is lossy, alone or a frame of an animation; None if none is."""
    for name in riff_chunks(file):
        if name == b"ANMF":
            frame = BytesIO(bytes(12) + file.read(GLANCE)[16:])
            if found := vp8_frame(frame):
                return found
        elif name == b"VP8 ":
            return file.read(GLANCE)
    return None


def gif_extensions(file: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """Names and content of a GIF's comments and extensions by applications; "text" is drawn over a frame."""
    file.seek(10)
    file.seek(_palette(file.read(3)[:1]), SEEK_CUR)
    while (kind := file.read(1)) in (b"!", b","):
        label = file.read(1) if kind == b"!" else b""
        if not label:
            file.seek(_palette(file.read(9)[8:]) + 1, SEEK_CUR)
        chain = _gif_chain(file, label in (b"\xfe", b"\xff"))
        if label == b"\xff" and chain:
            name = chain[1 : 1 + chain[0]]
            yield name.decode("latin-1"), chain[1 + chain[0] :]
        elif label in (b"\xfe", b"\x01"):
            yield {b"\xfe": "comment", b"\x01": "text"}[label], _joined(chain)


def _palette(flags: bytes) -> int:
    """Bytes of the palette that these flags announce."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


def _gif_chain(file: IO[bytes], is_read: bool) -> bytes:
    """A chain of blocks, each with its length before it; nothing of one that is passed over."""
    blocks: list[bytes] = []
    while (length := file.read(1)) not in (b"", b"\0"):
        if is_read:
            blocks += [length, file.read(length[0])]
        else:
            file.seek(length[0], SEEK_CUR)
    return b"".join(blocks)


def _joined(chain: bytes) -> bytes:
    """A chain of blocks without their lengths."""
    parts, place = [], 0
    while place < len(chain):
        parts.append(chain[place + 1 : place + 1 + chain[place]])
        place += 1 + chain[place]
    return b"".join(parts)


def jpeg_tail(file: IO[bytes]) -> bytes:
    """The first bytes of what stands behind the end of a JPEG, if there is more than padding."""
    with at_start(file):
        data = file.read()
    place = 2
    while data[place : place + 1] == b"\xff" and data[place + 1 : place + 2] not in (b"", b"\xda"):
        padding = data[place + 1] == 0xFF
        place += 1 if padding else 2 + int.from_bytes(data[place + 2 : place + 4])
    if data[place : place + 2] != b"\xff\xda":
        return b""
    end = data.find(b"\xff\xd9", place) + 2  # not within a scan, where 0 follows each 255
    return data[end : end + GLANCE].strip(b"\0\r\n\xff ") if end > 1 else b""


def names(file: IO[bytes], kind: str | None) -> list[str]:
    """What there is in a file of these formats, by the names of `inventory`; its place is kept."""
    with at_start(file):
        if kind == "PNG":
            return [name.decode("latin-1") for name, _ in png_chunks(file)]
        if kind == "WEBP":
            return [name.decode("latin-1") for name in riff_chunks(file)]
        if kind == "GIF":
            return [name for name, _ in gif_extensions(file)]
        return [_name(*box) for box in boxes(file)] if kind in OF_BOXES else []


def _name(kind: bytes, content: bytes) -> str:
    """A box's type, or which user's it is, or which kind of an auxiliary picture it speaks of."""
    if kind == b"uuid":
        return content[:16].hex()
    if kind == PACKED:
        kind, content = content[:4], b""
    if kind == b"auxC":
        return content[4:].split(b"\0")[0].decode("latin-1")
    return "tmap" if kind == b"iinf" and b"tmap" in content else kind.decode("latin-1")


def gif_palettes(file: IO[bytes]) -> Iterator[bytes]:
    """The palette of each image in a GIF, its own or the file's: R, G and B by turns. Damage ends it."""
    file.seek(10)
    head = file.read(3)
    shared = file.read(_gif_palette_size(head[0])) if len(head) == 3 else b""
    while (kind := file.read(1)) not in (b"", b";"):
        if kind == b"!":
            file.seek(1, SEEK_CUR)
        elif kind == b"," and len(place := file.read(9)) == 9:
            yield file.read(_gif_palette_size(place[8])) or shared
            file.seek(1, SEEK_CUR)
        else:
            continue
        while (length := file.read(1)) not in (b"", b"\0"):
            file.seek(length[0], SEEK_CUR)


def _gif_palette_size(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 128 else 0


def fields(file: IO[bytes], kind: str | None) -> Fields:
    """What stands beside the pixels of a file in Pillow's format `kind` and Pillow does not read; its place is kept."""
    readers = {
        "PNG": _of_png,
        "AVIF": _of_avif,
        "HEIF": _of_avif,
        "JXL": _of_jpeg_xl,
        "JPEG2000": _of_jpeg_2000,
        "GIF": _of_gif,
        "PPM": _of_netpbm,
        "BMP": _of_bmp,
        "TGA": _of_tga,
    }
    with at_start(file):
        return readers[kind](file) if kind in readers else {}


@contextmanager
def at_start(file: IO[bytes]) -> Iterator[None]:
    """Go to a file's first byte, and back in the end to where it was."""
    position = file.tell()
    file.seek(0)
    try:
        yield
    finally:
        file.seek(position)


def _of_png(file: IO[bytes]) -> Fields:
    return {name.decode(): content for name, content in png_chunks(file) if name in PNG_READ}


def _of_gif(file: IO[bytes]) -> Fields:
    found: Fields = {}
    comments: list[bytes] = []
    for name, content in gif_extensions(file):
        if name == "comment":
            comments.append(content)
        elif name == GIF_XMP:
            found["xmp"] = content[:-GIF_XMP_TAIL]
        elif name == GIF_PROFILE:
            found["icc_profile"] = _joined(content)
    return found | ({"comment": b"\n".join(comments)} if comments else {})


def _of_netpbm(file: IO[bytes]) -> Fields:
    """The lines behind # in a header."""
    header = NETPBM_HEADER.match(file.read(GLANCE))
    lines = re.findall(rb"#([^\r\n]*)", header[0]) if header else []
    return {"comment": b"\n".join(line.strip() for line in lines)} if lines else {}


def _of_bmp(file: IO[bytes]) -> Fields:
    """The profile that the newest kind of header may have behind the pixels."""
    head = file.read(BMP_5)
    if len(head) < BMP_5 or head[14:18] != b"\x7c\0\0\0" or head[70:74] != b"DEBM":
        return {}
    place, length = struct.unpack_from("<2I", head, 126)
    file.seek(14 + place)
    return {"icc_profile": file.read(min(length, LARGEST))}


def _of_tga(file: IO[bytes]) -> Fields:
    """The author's name and words, which the newer kind has at the end."""
    file.seek(-min(26, file.seek(0, SEEK_END)), SEEK_END)
    foot = file.read(26)
    if foot[8:] != b"TRUEVISION-XFILE.\0":
        return {}
    file.seek(int.from_bytes(foot[:4], "little"))
    area = file.read(2 + TGA_WORDS)[2:] if any(foot[:4]) else b""
    return {"author": area} if any(area) else {}


def _of_avif(file: IO[bytes]) -> Fields:
    """The coding-independent code points, as PNG's cICP for RGB in full range has them."""
    for kind, content in boxes(file):
        if kind == b"colr" and content[:4] == b"nclx" and len(content) >= 8:
            primaries, transfer = struct.unpack_from(">HH", content, 4)
            return {"cICP": bytes((primaries % 256, transfer % 256, 0, 1))}
    return {}


def _of_jpeg_2000(file: IO[bytes]) -> Fields:
    found: Fields = {}
    for kind, content in boxes(file):
        if kind == b"colr" and content[:1] in (b"\2", b"\3"):
            found.setdefault("icc_profile", content[3:])
        elif kind == b"uuid" and content[:16] == XMP_UUID:
            found["xmp"] = content[16:]
        elif kind == b"uuid" and content[:16] == EXIF_UUID:
            found["exif"] = b"Exif\0\0" + content[16:].removeprefix(b"Exif\0\0")
        elif kind == b"uuid" and content[:16] == IPTC_UUID:
            found["iptc"] = content[16:]
    return found


def _of_jpeg_xl(file: IO[bytes]) -> Fields:
    found: Fields = {}
    for kind, content in boxes(file):
        if kind == PACKED and content[:4] in (b"Exif", b"xml "):
            kind, content = content[:4], _unpacked(content[4:])
        if kind == b"Exif":
            start = 0 if content[:4] in TIFF_STARTS else 4 + int.from_bytes(content[:4])  # some leave out where it is
            found.setdefault("exif", b"Exif\0\0" + content[start:])
        elif kind == b"xml " and content:
            found.setdefault("xmp", content)
    return found


def _unpacked(data: bytes) -> bytes:
    """What Brotli has packed, if it is no more than LARGEST; nothing if it is damaged."""
    import brotli

    try:
        content: bytes = brotli.Decompressor().process(data, output_buffer_limit=LARGEST)
    except brotli.error:
        return b""
    return content if len(content) < LARGEST else b""


def bits(file: IO[bytes], kind: str | None) -> int:
    """Bits per sample of an AVIF or JPEG 2000 file, the most of its components; 8 if that is not found."""
    with at_start(file):
        if kind == "AVIF":
            return max([_av1_bits(content) for name, content in boxes(file) if name == b"av1C"], default=8)
        if file.read(4) == SIZ:
            file.seek(0)
            return _codestream_bits(file.read(GLANCE))
        file.seek(0)
        return max([_codestream_bits(content) for name, content in boxes(file) if name == b"jp2c"], default=8)


def _av1_bits(configuration: bytes) -> int:
    high, twelve = (bool(configuration[2] & bit) if len(configuration) > 2 else False for bit in (0x40, 0x20))
    return 12 if high and twelve else 10 if high else 8


def _codestream_bits(data: bytes) -> int:
    if not data.startswith(SIZ) or len(data) < 45:
        return 8
    (count,) = struct.unpack_from(">H", data, 40)
    return max((depth & 0x7F) + 1 for depth in data[42 : 42 + 3 * max(count, 1) : 3])
