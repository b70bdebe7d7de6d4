"""YUV4MPEG2: uncompressed frames in a pipe or a file, as ffmpeg, x264 and many others write and read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import IO, Any

import numpy as np

from espcn_cli.errors import EspcnError
from espcn_cli.maths.sited import Plane
from espcn_cli.pictures.planes import SUBSAMPLING, Clip, Colours, Frame, Layout, Siting

MAGIC = b"YUV4MPEG2"

LONGEST = 4096
"""Bytes of a header, at most: what has no end of line until then is something else."""

LARGEST_SIDE = 2**16

_SITINGS: dict[str, Siting] = {"420jpeg": "centre", "420mpeg2": "left", "420paldv": "topleft", "420": "centre"}

_SITED = {"centre": "420jpeg", "left": "420mpeg2", "topleft": "420paldv"}


class Reader:
    """The frames of a stream that `read` gives bytes of, one after the other.

    Raises EspcnError for a header that is none, for what it asks for and is not here, and where the stream breaks off.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        words = self._line().split(" ")
        if words[0] != MAGIC.decode():
            raise EspcnError("not a Y4M stream: it does not begin with YUV4MPEG2")
        self.tags = [word for word in words[1:] if word]
        self.clip = _clip(self.tags)

    def frames(self) -> Iterator[Frame]:
        """Every frame, numbered from 0. Raises EspcnError if the last one is cut off, or something else comes."""
        shapes = self.clip.layout.shapes(self.clip.size)
        dtype = np.dtype(self.clip.layout.dtype).newbyteorder("<")
        number = 0
        while line := self._line(may_end=True):
            if not re.match(r"FRAME( |$)", line):
                raise EspcnError(f"frame {number} of the Y4M stream does not begin with FRAME: it is damaged")
            planes = tuple(self._plane(shape, dtype, number) for shape in shapes)
            yield Frame(number, planes, number, 1)
            number += 1

    def _line(self, may_end: bool = False) -> str:
        line = self._file.readline(LONGEST)
        if not line and may_end:
            return ""
        if not line.endswith(b"\n"):
            raise EspcnError("the Y4M stream is damaged or breaks off in a header")
        return line[:-1].decode("latin-1")

    def _plane(self, shape: tuple[int, int], dtype: np.dtype[Any], number: int) -> Plane:
        wanted = shape[0] * shape[1] * dtype.itemsize
        data = bytearray()
        while len(data) < wanted:
            part = self._file.read(wanted - len(data))
            if not part:
                raise EspcnError(f"the Y4M stream breaks off in frame {number}")
            data += part
        plane: Plane = np.frombuffer(data, dtype).reshape(shape)
        return plane


def _clip(tags: list[str]) -> Clip:
    found = {tag[0]: tag[1:] for tag in tags if tag[0] != "X"}
    extra = dict(tag[1:].split("=", 1) for tag in tags if tag[0] == "X" and "=" in tag)
    width, height = (_number(found.get(key, "")) for key in "WH")
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
        raise EspcnError("the Y4M stream does not say how large it is")
    if found.get("I", "p") not in ("p", "?"):
        raise EspcnError("interlaced: the rows of two moments lie in each frame; ffmpeg -vf bwdif takes them apart")
    layout, siting = _layout(found.get("C", "420jpeg"))
    rate = _ratio(found.get("F", "")) or Fraction(25)
    colours = Colours(full=extra.get("COLORRANGE") == "FULL", tagged="COLORRANGE" in extra)
    return Clip((width, height), layout, 1 / rate, rate, colours, _ratio(found.get("A", "")), siting)


def _layout(name: str) -> tuple[Layout, Siting]:
    """`420p10` -> 4:2:0 in 10 bits. Raises EspcnError for what is unknown."""
    if match := re.fullmatch(r"mono(\d+)?", name):
        depth = int(match[1] or 8)
        if depth in (8, 9, 10, 12, 14, 16):
            return Layout("grey", depth), "left"
    elif name == "444alpha":
        return Layout("yuv", 8, 1, 1, alpha=True), "left"
    elif name in _SITINGS:
        return Layout("yuv", 8, 2, 2), _SITINGS[name]
    elif (match := re.fullmatch(r"(\d{3})(?:p(9|10|12|14|16))?", name)) and match[1] in SUBSAMPLING:
        return Layout("yuv", int(match[2] or 8), *SUBSAMPLING[match[1]]), "left"
    raise EspcnError(f"a Y4M stream of the kind C{name}, which is not known")


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _ratio(text: str) -> Fraction | None:
    above, _, below = text.partition(":")
    return Fraction(_number(above), _number(below)) if _number(above) and _number(below) else None


class Writer:
    """Frames to a stream. Raises EspcnError for planes that Y4M has no name for; OSError as the stream does."""

    def __init__(self, file: IO[bytes], clip: Clip) -> None:
        self._file = file
        self._dtype = np.dtype(clip.layout.dtype).newbyteorder("<")
        file.write(header(clip))

    def write(self, planes: tuple[Plane, ...]) -> None:
        self._file.write(b"FRAME\n")
        for plane in planes:
            self._file.write(np.ascontiguousarray(plane, self._dtype).data)

    def finish(self) -> None:
        self._file.flush()


def header(clip: Clip) -> bytes:
    """The first line of a stream. Raises EspcnError if there is no word for its planes."""
    width, height = clip.size
    aspect = f"{clip.aspect.numerator}:{clip.aspect.denominator}" if clip.aspect else "0:0"
    rate = f"{clip.rate.numerator}:{clip.rate.denominator}"
    said = f" XCOLORRANGE={'FULL' if clip.colours.full else 'LIMITED'}" if clip.colours.tagged else ""
    kind = _kind(clip)
    return f"{MAGIC.decode()} W{width} H{height} F{rate} Ip A{aspect} C{kind}{said}\n".encode()


def holds(layout: Layout) -> bool:
    """Whether Y4M has a name for these planes."""
    return layout.colour == "grey" or (layout.colour == "yuv" and (not layout.alpha or layout.name == "yuva444p"))


def _kind(clip: Clip) -> str:
    layout = clip.layout
    if not holds(layout):
        raise EspcnError(f"Y4M cannot hold {layout.name}: choose another with --pixel-format")
    if layout.colour == "grey":
        return "mono" + (str(layout.depth) if layout.depth > 8 else "")
    if layout.alpha:
        return "444alpha"
    if layout.depth > 8:
        return f"{layout.sampling}p{layout.depth}"
    return _SITED[clip.siting] if layout.sampling == "420" else layout.sampling
