"""Archives of pictures (.cbz, .zip): what is in one, and another one with the same members but for its pages.

Members that are no pages are copied as they lie in the file: compressed, encrypted or damaged. Python's own `zipfile`
reads; it cannot copy so, nor keep names that are no UTF-8, and so the writer is ours (APPNOTE.TXT 6.3, with ZIP64).
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Self
from zipfile import BadZipFile, ZipFile, ZipInfo

from espcn_cli.errors import EspcnError
from espcn_cli.files import is_file
from espcn_cli.pictures.folders import SUFFIXES as PICTURES

SUFFIXES = frozenset({".cbz", ".zip"})
"""What counts as an archive when it is named."""

SEARCHED = frozenset({".cbz"})
"""And when a folder is searched: a .zip may hold anything."""

OTHER_KINDS = {
    b"Rar!": "RAR",
    b"7z\xbc\xaf": "7z",
    b"\x1f\x8b": "gzip",
}
"""How archives begin that are not read."""

OTHER_SUFFIXES = {".cbr": "RAR", ".rar": "RAR", ".cb7": "7z", ".7z": "7z", ".cbt": "tar", ".cba": "ACE"}

MOST_MEMBERS = 100_000

MOST_DIRECTORY = 2**26
"""Bytes of the list of members: a list is read whole."""

BLOCK = 2**20

ENCRYPTED, DESCRIPTOR, UTF_8 = 1, 8, 0x800
"""Flags of a member; DESCRIPTOR: its sizes stand behind it."""

ZIP64, AES, UNICODE_NAME = 0x0001, 0x9901, 0x7075
"""Extra fields that tell of a member's sizes, of its encryption, and of its name, and change with those."""

STORED = 0

LIMIT = 0xFFFFFFFF
"""What a field of four bytes cannot hold, it says with this value."""

LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")


def is_archive(path: Path) -> bool:
    """Whether a file is taken for an archive, by its name."""
    return path.suffix.lower() in SUFFIXES


def other_kind(path: Path) -> str | None:
    """What kind of archive a name promises that is not read here; None for any other name."""
    return OTHER_SUFFIXES.get(path.suffix.lower())


def unread(kind: str) -> str:
    """What to say of such an archive."""
    return f"{kind} archives are not read: unpack it, and pack its pictures into a .cbz or .zip"


@dataclass(frozen=True)
class Member:
    """A file or a folder in an archive."""

    info: ZipInfo

    @property
    def name(self) -> str:
        return self.info.filename

    @property
    def suffix(self) -> str:
        """Of its name, in lower case."""
        return PurePosixPath(self.name).suffix.lower()

    @property
    def is_page(self) -> bool:
        """Whether it is a picture by its name: no folder, no link, nothing hidden or left behind by macOS."""
        mode = self.info.external_attr >> 16 if self.info.create_system == 3 else 0  # Unix
        parts = PurePosixPath(self.name).parts
        hidden = any((part.startswith(".") and part not in (".", "..")) or part == "__MACOSX" for part in parts)
        return self.suffix in PICTURES and not (self.info.is_dir() or hidden or stat.S_ISLNK(mode))

    @property
    def leads_outside(self) -> bool:
        """Whether a careless program would unpack it somewhere else."""
        name = self.info.orig_filename.replace("\\", "/")
        return name.startswith("/") or name[1:2] == ":" or ".." in name.split("/")

    @property
    def is_encrypted(self) -> bool:
        return bool(self.info.flag_bits & ENCRYPTED)

    @property
    def name_bytes(self) -> bytes:
        """Its name as the archive has it."""
        return self.info.orig_filename.encode("utf-8" if self.info.flag_bits & UTF_8 else "cp437")

    def renamed(self, suffix: str) -> bytes:
        """Its name with another suffix, in the same encoding."""
        own = PurePosixPath(self.name).suffix
        return self.name_bytes[: len(self.name_bytes) - len(own)] + suffix.encode()


class Archive:
    """An archive open for reading. Raises EspcnError naming it if it is none, damaged, or made to do harm."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise EspcnError(f"{path}: cannot be read ({error.strerror})", path) from None
        try:
            self._check_list()
            self._zip = ZipFile(self._file)
            self.members = tuple(map(Member, self._zip.infolist()))
            self.comment = self._zip.comment
            self._check_members()
        except (BadZipFile, ValueError, NotImplementedError, OSError, struct.error, UnicodeDecodeError) as error:
            self._file.close()
            raise EspcnError(f"{path}: {self._reason(error)}", path) from None
        except EspcnError as error:
            self._file.close()
            raise error.about(path, str(path)) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()
        self._file.close()

    @property
    def pages(self) -> list[Member]:
        return [member for member in self.members if member.is_page]

    def extract(self, member: Member, target: Path, most: int) -> None:
        """A page into a file. Raises EspcnError, without its name, if it is damaged or has more than `most` bytes."""
        if member.info.file_size > most:
            raise EspcnError(f"{member.info.file_size:,} bytes are more than {most:,}")
        try:
            with self._zip.open(member.info) as source, target.open("wb") as file:
                while block := source.read(BLOCK):
                    file.write(block)
        except (BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
            raise EspcnError(f"damaged in the archive ({' '.join(str(error).split())})") from None

    def local(self, member: Member) -> bytes:
        """The extra fields before a member's data, where the file then is. Raises EspcnError if it is not there."""
        self._file.seek(member.info.header_offset)
        head = self._file.read(LOCAL.size)
        if len(head) < LOCAL.size or not head.startswith(b"PK\3\4"):
            raise EspcnError(f"{self.path}: {member.name} is not where its list says: it is damaged", self.path)
        *_, name, extra = LOCAL.unpack(head)
        self._file.seek(name, 1)
        return self._file.read(extra)

    def copy(self, member: Member, target: IO[bytes]) -> bytes:
        """Write a member's data as they lie in the archive; returns its extra fields. Raises EspcnError as `local`."""
        extra = self.local(member)
        left = member.info.compress_size
        while left:
            block = self._file.read(min(left, BLOCK))
            if not block:
                raise EspcnError(f"{self.path}: it ends within {member.name}: is it complete?", self.path)
            target.write(block)
            left -= len(block)
        return extra

    def _check_list(self) -> None:
        """Raise EspcnError for a list of members that would fill the memory."""
        length = self._file.seek(0, 2)
        self._file.seek(max(length - 2**16 - 42, 0))
        tail = self._file.read()
        place = tail.rfind(b"PK\5\6")
        if place < 0 or len(tail) < place + 22:
            return  # is reported by `ZipFile`
        size = struct.unpack_from("<L", tail, place + 12)[0]
        if size == LIMIT and place >= 20 and tail[place - 20 : place - 16] == b"PK\6\7":
            self._file.seek(struct.unpack_from("<Q", tail, place - 12)[0])
            size = struct.unpack_from("<Q", self._file.read(56), 40)[0]
        if size > MOST_DIRECTORY:
            raise EspcnError(f"its list of members takes {size / 1e6:.0f} MB: no archive of pictures is like that")

    def _check_members(self) -> None:
        if len(self.members) > MOST_MEMBERS:
            raise EspcnError(f"{len(self.members):,} members are more than {MOST_MEMBERS:,}: split it")
        if any(member.info.header_offset < 0 for member in self.members):
            raise EspcnError("its list of members is damaged: get a fresh copy")
        if sum(member.info.compress_size for member in self.members) > self._file.seek(0, 2):
            raise EspcnError("its members share their data: it is damaged, or made to fill disks")

    def _reason(self, error: Exception) -> str:
        if not is_file(self.path):
            return "no file"
        with suppress(OSError), self.path.open("rb") as file:
            head = file.read(4)
            if not head:
                return "the file is empty"
            for start, kind in OTHER_KINDS.items():
                if head.startswith(start):
                    return f"this is a {kind} archive, whatever its name says: {unread(kind)}"
        said = " ".join(str(error).split())
        return f"not a ZIP archive, or not all of one ({said}): is it complete?"


class Writer:
    """A new archive, member by member; `file` is open for writing and need not be seekable."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._place = 0
        self._list: list[bytes] = []

    def copy(self, archive: Archive, member: Member) -> None:
        """A member of another archive as it is there. Raises EspcnError if it is not all there."""
        info = member.info
        flags = info.flag_bits if member.is_encrypted else info.flag_bits & ~DESCRIPTOR
        extra = archive.local(member)
        sizes = info.CRC, info.compress_size, info.file_size
        offset = self._head(member, member.name_bytes, flags, info.compress_type, sizes, without(extra, (ZIP64,)))
        archive.copy(member, self._file)
        self._place += info.compress_size
        if flags & DESCRIPTOR:  # the password of such a member is checked by it
            wide = max(sizes[1:]) >= LIMIT
            self._write(struct.pack("<4sLQQ" if wide else "<4sLLL", b"PK\7\x08", *sizes))
        self._note(member, member.name_bytes, flags, info.compress_type, sizes, offset, without(info.extra, (ZIP64,)))

    def add(self, archive: Archive, member: Member, data: Path, suffix: str) -> None:
        """A file in the place of a page, stored as it is, under the page's name but for the suffix."""
        name = member.name_bytes if suffix == member.suffix else member.renamed(suffix)
        changed = (ZIP64, AES) if name == member.name_bytes else (ZIP64, AES, UNICODE_NAME)
        size, crc = data.stat().st_size, 0
        with data.open("rb") as file:
            for block in _blocks(file):
                crc = zlib.crc32(block, crc)
            sizes = crc, size, size
            flags = member.info.flag_bits & UTF_8
            offset = self._head(member, name, flags, STORED, sizes, without(archive.local(member), changed))
            file.seek(0)
            for block in _blocks(file):
                self._write(block)
        self._note(member, name, flags, STORED, sizes, offset, without(member.info.extra, changed))

    def finish(self, comment: bytes) -> None:
        """The list of members, and the end."""
        start = self._place
        for entry in self._list:
            self._write(entry)
        count, size = len(self._list), self._place - start
        if count >= 0xFFFF or size >= LIMIT or start >= LIMIT:
            end = self._place
            self._write(struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start))
            self._write(struct.pack("<4sLQL", b"PK\6\7", 0, end, 1))
        short = min(count, 0xFFFF)
        parts = b"PK\5\6", 0, 0, short, short, min(size, LIMIT), min(start, LIMIT), len(comment)
        self._write(struct.pack("<4s4H2LH", *parts) + comment)

    def _head(
        self, member: Member, name: bytes, flags: int, method: int, sizes: tuple[int, int, int], extra: bytes
    ) -> int:
        """What stands before a member's data; returns where."""
        crc, packed, whole = sizes
        version = max(member.info.extract_version, 10)
        if max(packed, whole) >= LIMIT:
            extra += struct.pack("<2H2Q", ZIP64, 16, whole, packed)
            version, packed, whole = max(version, 45), LIMIT, LIMIT
        if flags & DESCRIPTOR:
            crc, packed, whole = 0, *((packed, whole) if packed == LIMIT else (0, 0))
        offset, (time, date) = self._place, _dos_time(member.info)
        fields = b"PK\3\4", version, flags, method, time, date, crc, packed, whole, len(name), len(extra)
        self._write(LOCAL.pack(*fields) + name + extra)
        return offset

    def _note(
        self,
        member: Member,
        name: bytes,
        flags: int,
        method: int,
        sizes: tuple[int, int, int],
        offset: int,
        extra: bytes,
    ) -> None:
        """A line for the list of members."""
        info, (crc, packed, whole) = member.info, sizes
        large = [value for value in (whole, packed, offset) if value >= LIMIT]
        if large:
            extra += struct.pack(f"<2H{len(large)}Q", ZIP64, 8 * len(large), *large)
        version, made = max(info.extract_version, 45 if large else 10), info.create_system << 8 | info.create_version
        fields = [b"PK\1\2", made, version, flags, method, *_dos_time(info), crc, min(packed, LIMIT), min(whole, LIMIT)]
        fields += [len(name), len(extra), len(info.comment), 0, info.internal_attr, info.external_attr]
        self._list.append(CENTRAL.pack(*fields, min(offset, LIMIT)) + name + extra + info.comment)

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._place += len(data)


def without(extra: bytes, kinds: Iterable[int]) -> bytes:
    """Extra fields but for those of some kinds; what is no field stays as it is."""
    kept, place = b"", 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, place)
        end = place + 4 + length
        if end > len(extra):
            break
        kept += b"" if kind in kinds else extra[place:end]
        place = end
    return kept + extra[place:]


def _dos_time(info: ZipInfo) -> tuple[int, int]:
    year, month, day, hour, minute, second = info.date_time
    return hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day


def _blocks(file: IO[bytes]) -> Iterable[bytes]:
    while block := file.read(BLOCK):
        yield block
