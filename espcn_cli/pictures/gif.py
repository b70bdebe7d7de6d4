"""A GIF is written as one picture: frames that can share a palette do, and only what changes is drawn again.

So what stays as it is looks the same in every frame, and takes no room.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import reduce
from io import BytesIO
from operator import or_
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image

from espcn_cli.pictures import boxes
from espcn_cli.pictures.palette import MOST, Colours, Nearest, Packed, packed, unpacked

HOLE = -1
"""Where nothing is shown, among packed colours."""

OPAQUE = 128
"""Alpha from which on a pixel is shown."""

STAYS, CLEARED = 1, 2
"""What becomes of a frame's box before the next one is drawn."""

SLACK = 2
"""Levels of R, G and B by which a pixel may change and still stand: with the next palette it would change more."""

LONGEST = 655350.0
"""Milliseconds that a frame can be shown."""


def palettes(file: IO[bytes]) -> tuple[int, ...]:
    """Which frames of a GIF share a palette: a number for each of them.

    They do if all colours of their palettes fit into one, whatever their order: some programs write for each frame the
    part that it needs.
    """
    together: list[set[bytes]] = []
    numbers = []
    with boxes.at_start(file):
        for table in boxes.gif_palettes(file):
            colours = {table[start : start + 3] for start in range(0, len(table), 3)}
            fitting = (number for number, others in enumerate(together) if len(others | colours) <= MOST)
            number = next(fitting, len(together))
            together += [set()] * (number == len(together))
            together[number] = together[number] | colours
            numbers.append(number)
    return tuple(numbers)


@dataclass(frozen=True)
class Frame:
    """What is shown for how many milliseconds; `shared` is the number of its palette."""

    image: Image.Image
    duration: float
    shared: int


@dataclass(frozen=True)
class Table:
    """A palette, and its index for what is not drawn, if it has one to spare."""

    nearest: Nearest
    clear: int | None

    @property
    def packed(self) -> Packed:
        """Its colours, packed; HOLE for `clear`."""
        colours = packed(self.nearest.table)
        return colours if self.clear is None else np.append(colours, HOLE)

    @property
    def bytes(self) -> bytes:
        """As a file holds it."""
        return self.nearest.table.tobytes() + (b"" if self.clear is None else b"\0\0\0")


@dataclass(frozen=True)
class Drawn:
    """The indices (h, w) to draw with their top left corner at `corner` (x, y), and what becomes of them after that."""

    indices: NDArray[np.uint8]
    corner: tuple[int, int]
    disposal: int


def write(
    images: Sequence[Image.Image],
    file: Path | BytesIO,
    info: dict[str, Any],
    durations: Sequence[float] = (),
    palettes: Sequence[int] = (),
) -> None:
    """Write images of one size, of the modes L, LA, RGB or RGBA; what is less than half opaque becomes a hole.

    `info`: loop and comment as Pillow names them. `durations`: milliseconds, one for each frame; a frame that equals
    the one before it is left out, and that is shown longer. `palettes` as the function of that name gives them; where
    a hole opens on the way all frames share one, as what stands around it must be drawn again.
    """
    alike = [0] * len(images)
    numbers = palettes if len(palettes) == len(images) else alike
    frames = list(map(Frame, images, durations or alike, numbers))
    frames, tables, holes = _surveyed(frames)
    with file.open("wb") if isinstance(file, Path) else nullcontext(file) as stream:
        for place, (frame, drawn) in enumerate(zip(frames, _drawn(frames, tables), strict=True)):
            table = tables[frame.shared]
            image = Image.fromarray(drawn.indices)
            image.putpalette(table.bytes)
            options: dict[str, Any] = {"duration": frame.duration}
            if holes or (drawn.indices == table.clear).any():
                options["transparency"] = table.clear
            if not place:
                stream.write(b"".join(GifImagePlugin.getheader(image, None, options | info)[0]))
            options["include_color_table"] = table is not tables[frames[0].shared]
            options["disposal"] = drawn.disposal if len(frames) > 1 else 0
            stream.write(b"".join(GifImagePlugin.getdata(image, drawn.corner, **options)))
        stream.write(b";")


def _surveyed(frames: list[Frame]) -> tuple[list[Frame], dict[int, Table], bool]:
    """The frames without those that equal the one before, their palettes, and whether there are holes."""
    kept: list[Frame] = []
    colours: dict[int, Colours] = {}
    opens = holes = False
    before = np.full(frames[0].image.size[::-1], HOLE, np.int32)
    for frame in frames:
        now = _packed(frame.image)
        new, hollow = now != before, now == HOLE
        if kept and not new.any() and kept[-1].duration + frame.duration <= LONGEST:
            kept[-1] = replace(kept[-1], duration=kept[-1].duration + frame.duration)
            continue
        kept.append(frame)
        opens, holes = opens or bool((new & hollow).any()), holes or bool(hollow.any())
        found = Colours.of(now[new & ~hollow])
        colours[frame.shared] = colours[frame.shared] | found if frame.shared in colours else found
        before = now
    if opens and len(colours) > 1:
        kept, colours = [replace(frame, shared=0) for frame in kept], {0: reduce(or_, colours.values())}
    spare = holes or len(colours) > 1
    return kept, {number: _table(found, spare) for number, found in colours.items()}, holes


def _table(colours: Colours, spare: bool) -> Table:
    """A palette for these colours, with an index to spare unless they need them all and `spare` does not insist."""
    takes_all = not spare and colours.exact and len(colours.keys) <= MOST
    chosen = colours.palette(MOST if takes_all else MOST - 1)
    return Table(Nearest(chosen), len(chosen) if len(chosen) < MOST else None)


def _drawn(frames: list[Frame], tables: dict[int, Table]) -> Iterator[Drawn]:
    """What to draw of each frame: a box around all that will look other than before or must be cleared after it."""
    now, slack = _packed(frames[0].image), SLACK if len(tables) > 1 else 0
    stands, looks = np.full_like(now, HOLE), np.full_like(now, HOLE)  # what is there, and in which colour of a palette
    for place, frame in enumerate(frames):
        after = _packed(frames[place + 1].image) if place + 1 < len(frames) else now
        table = tables[frame.shared]
        stays = _alike(now, stands, slack)
        wanted = ~stays & (now != HOLE) if table.clear is not None else np.ones_like(now, bool)
        indices = np.full(now.shape, table.clear or 0, np.uint8)
        indices[wanted] = table.nearest(now[wanted])
        taken = np.where(wanted, table.packed[indices], looks)
        drawn, closing = taken != looks, (after == HOLE) & (now != HOLE)
        if table.clear is not None:
            indices[~drawn] = table.clear
        box = _box(drawn | closing) if place else (slice(None), slice(None))
        yield Drawn(indices[box], (box[1].start or 0, box[0].start or 0), CLEARED if closing.any() else STAYS)
        stands, looks = np.where(stays, stands, now), taken
        if closing.any():
            stands[box] = looks[box] = HOLE
        now = after


def _alike(these: Packed, others: Packed, slack: int) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = these == others
    if slack:
        apart = np.abs(unpacked(these).astype(np.int16) - unpacked(others)).max(axis=-1)
        same |= (apart <= slack) & (these != HOLE) & (others != HOLE)
    return same


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns of the smallest rectangle that holds all of it; of one pixel, if there is nothing."""
    places = [np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)]
    rows, columns = (slice(int(place[0]), int(place[-1]) + 1) if len(place) else slice(0, 1) for place in places)
    return rows, columns


def _packed(image: Image.Image) -> Packed:
    """(H, W), HOLE where the image is less than half opaque."""
    if "A" not in image.mode:
        return packed(np.asarray(image.convert("RGB")))
    levels = np.asarray(image.convert("RGBA"))
    return np.where(levels[..., 3] < OPAQUE, HOLE, packed(levels[..., :3]))
