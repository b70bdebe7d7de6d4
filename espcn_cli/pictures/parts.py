"""Finished groups of frames, kept in a folder beside a video that is being made: what a killed job goes on from.

A part is two files: the encoder's packets one after the other, and a description, which appears when the packets are
on the disk. Frames are told by their numbers; when they are shown is written down beside.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from espcn_cli.errors import EspcnError
from espcn_cli.figures import amount
from espcn_cli.files import is_folder, is_there
from espcn_cli.maths.sited import Plane
from espcn_cli.pictures.encoders import Encoder

SECONDS = 5
"""Length of a part, at most LONGEST frames: each begins with a key frame, and is what a kill can cost."""

LONGEST = 150


@dataclass(frozen=True)
class Part:
    """What is in a file of packets: frames from `first` on, and each packet's frame, whether it is a key, its bytes."""

    first: int
    pts: list[int]
    durations: list[int]
    packets: list[tuple[int, bool, int]]
    crc: int

    @property
    def stop(self) -> int:
        return self.first + len(self.pts)


def folder_of(output: Path) -> Path:
    """Where the parts of a video are kept: hidden, beside it."""
    return output.with_name(f".{output.name}.espcn-parts")


def length_of(encoder: Encoder) -> int:
    """Frames of every part but the last."""
    return min(max(round(SECONDS * encoder.rate), 1), LONGEST)


def forget(folder: Path) -> None:
    """Remove the parts."""
    if is_folder(folder):
        shutil.rmtree(folder, ignore_errors=True)


class Parts:
    """The parts of one video. `done`: those without a gap before them.

    `identity` tells what they are made of: others are not gone on from. Nothing goes on from any if the source is not
    `lasting`, and cannot be read again.

    Raises EspcnError if nothing can be written there, or with `resume` what is there was made of something else.
    """

    def __init__(self, output: Path, identity: dict[str, Any], resume: bool, lasting: bool = True) -> None:
        self.output = output
        self.lasting = lasting
        self.folder = folder_of(output)
        self.done: list[Part] = []
        stamp, text = self.folder / "made-of.json", json.dumps(identity, sort_keys=True)
        if resume and is_there(stamp) and stamp.read_text(encoding="utf-8") != text:
            raise EspcnError(
                f"{output}: what --resume finds was made from another source or with other options: "
                "start again without it",
                output,
            )
        if not (resume and is_there(stamp)):
            forget(self.folder)
            try:
                self.folder.mkdir(parents=True)
                stamp.write_text(text, encoding="utf-8")
            except OSError as error:
                raise self._cannot(error) from None
        self.done = list(self._finished())

    @property
    def frames(self) -> int:
        """Frames that are finished, from the first on."""
        return self.done[-1].stop if self.done else 0

    def path(self, index: int) -> Path:
        return self.folder / f"{index:06d}.packets"

    def _finished(self) -> Iterator[Part]:
        """The parts that are there without a gap."""
        index, stop = 0, 0
        while (part := self._read(index)) and part.first == stop:
            yield part
            index, stop = index + 1, part.stop

    def _read(self, index: int) -> Part | None:
        """A part that is whole, None for any other."""
        try:
            found = json.loads(self.path(index).with_suffix(".json").read_text(encoding="utf-8"))
            part = Part(**{**found, "packets": [(number, key, size) for number, key, size in found["packets"]]})
            crc = 0
            with self.path(index).open("rb") as file:
                while block := file.read(2**20):
                    crc = zlib.crc32(block, crc)
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return part if crc == part.crc and part.packets else None

    def packets(self) -> Iterator[tuple[int, bool, bytes]]:
        """Of all parts in the order of decoding: a packet's frame, whether it is a key, and its bytes."""
        for index, part in enumerate(self.done):
            with self.path(index).open("rb") as file:
                for number, key, size in part.packets:
                    yield number, key, file.read(size)

    def _cannot(self, error: OSError) -> EspcnError:
        useful = self.done and self.lasting
        kept = f"{amount(self.frames, 'frame')} kept: make room, and add --resume" if useful else "nothing was changed"
        return EspcnError(f"cannot write {self.output} ({error.strerror or error}): {kept}", self.output)

    def writer(self, encoder: Encoder) -> Writer:
        """What goes on after those that are done; what lies after a gap is removed."""
        for path in self.folder.glob("*.packets"):
            if int(path.stem) >= len(self.done):
                path.unlink(missing_ok=True)
                path.with_suffix(".json").unlink(missing_ok=True)
        return Writer(self, encoder)

    def found(self, length: int) -> dict[int, Part]:
        """All whole parts of so many frames, by number, with gaps between them where several processes were at it."""
        there = {int(path.stem): self._read(int(path.stem)) for path in self.folder.glob("*.packets")}
        whole = {number: part for number, part in there.items() if part is not None}
        return {number: part for number, part in whole.items() if _is_at(part, number, length)}

    def remove(self) -> None:
        forget(self.folder)


def _is_at(part: Part, number: int, length: int) -> bool:
    return (part.first, part.stop) == (number * length, (number + 1) * length)


class Lone(Parts):
    """One of the parts, made apart from the others: it has its name when it is whole, whoever else is at it."""

    def __init__(self, output: Path, number: int, first: int) -> None:
        self.output = output
        self.folder = folder_of(output)
        self.done = []
        self._first = first
        self._place = super().path(number)
        self._beside = self.folder / f"{number:06d}-{secrets.token_hex(4)}.made"

    @property
    def frames(self) -> int:
        return self._first

    def path(self, index: int) -> Path:
        return self._beside

    def writer(self, encoder: Encoder) -> Writer:
        return Writer(self, encoder)

    def settle(self) -> Part:
        """Give it its name. Raises EspcnError if that does not work."""
        try:
            self._beside.replace(self._place)
            self._beside.with_suffix(".json").replace(self._place.with_suffix(".json"))
        except OSError as error:
            raise self._cannot(error) from None
        [part] = self.done
        return part


class Writer:
    """Frames, one after the other, into parts. Raises EspcnError if the disk is full, or the encoder gives up."""

    def __init__(self, parts: Parts, encoder: Encoder) -> None:
        self._parts = parts
        self._encoder = encoder
        self._length = length_of(encoder)
        self._first = parts.frames
        self._file: IO[bytes] | None = None
        self._context: Any = None
        self._clear()

    def _clear(self) -> None:
        self._pts: list[int] = []
        self._durations: list[int] = []
        self._packets: list[tuple[int, bool, int]] = []
        self._crc = 0

    def write(self, planes: Sequence[Plane], pts: int, duration: int, carrier: Any = None) -> None:
        """The next frame."""
        if self._file is None:
            self._begin()
        self._pts.append(pts)
        self._durations.append(duration)
        self._encode(self._encoder.frame(planes, len(self._pts) - 1, carrier))
        if len(self._pts) == self._length:
            self.finish()

    def finish(self) -> None:
        """End the part that was begun: from now on it counts."""
        if self._file is None:
            return
        self._encode(None)
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            part = Part(self._first, self._pts, self._durations, self._packets, self._crc)
            description = self._parts.path(len(self._parts.done)).with_suffix(".json")
            beside = description.with_suffix(".writing")
            with beside.open("w", encoding="utf-8") as file:
                json.dump(asdict(part), file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(description)
        except OSError as error:
            raise self._parts._cannot(error) from None
        self._parts.done.append(part)
        self._first, self._file, self._context = part.stop, None, None
        self._clear()

    def abandon(self) -> None:
        """Close the file of a part that will not be finished."""
        if self._file is not None:
            with suppress(OSError):  # the disk is full, and the buffer is not empty
                self._file.close()
            self._file = None

    def _begin(self) -> None:
        try:
            self._file = self._parts.path(len(self._parts.done)).open("wb")
        except OSError as error:
            raise self._parts._cannot(error) from None
        self._context = self._encoder.context()

    def _encode(self, frame: Any) -> None:
        import av

        assert self._file is not None
        try:
            packets = self._context.encode(frame)
        except (av.FFmpegError, ValueError) as error:
            what = getattr(error, "strerror", None) or str(error)
            raise EspcnError(
                f"{self._parts.output}: {self._encoder.name} gave up ({what})", self._parts.output
            ) from None
        try:
            for packet in packets:
                data = bytes(packet)
                self._file.write(data)
                self._crc = zlib.crc32(data, self._crc)
                self._packets.append((self._first + packet.pts, bool(packet.is_keyframe), len(data)))
        except OSError as error:
            raise self._parts._cannot(error) from None
