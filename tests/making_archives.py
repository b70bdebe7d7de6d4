"""Archives of pictures that the tests make for themselves, and what is odd about some of them."""

from __future__ import annotations

import struct
import zipfile
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from making import natural
from PIL import Image

COMIC_INFO = b"<?xml version='1.0'?>\n<ComicInfo><Title>Cats</Title></ComicInfo>\n"

EXTENDED_TIME = struct.pack("<2HBL", 0x5455, 5, 1, 981_173_106)
"""An extra field: the time of modification in seconds, as Info-ZIP writes it."""


def page(seed: int = 0, kind: str = "JPEG", width: int = 24, height: int = 32) -> bytes:
    """A picture's file."""
    data = BytesIO()
    Image.fromarray(natural(width, height, seed)).save(data, kind)
    return data.getvalue()


def member(name: str, second: int = 0, method: int = ZIP_DEFLATED) -> ZipInfo:
    """A member of 2001, with the rights that Unix gave it and a time of its own."""
    info = ZipInfo(name, (2001, 2, 3, 4, 5, second))
    info.compress_type, info.create_system, info.external_attr, info.extra = method, 3, 0o640 << 16, EXTENDED_TIME
    info.comment = f"about {name}".encode()
    return info


def save_book(path: Path, **more: bytes) -> Path:
    """Three pages in two folders, what stands beside them, and `more` members by name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(path, "w") as book:
        book.comment = b"a book of cats"
        book.writestr(member("ComicInfo.xml"), COMIC_INFO)
        book.writestr(member("b/002.jpg", 2), page(2))
        book.writestr(member("b/"), b"")
        book.writestr(member("a/001.jpg", 4, ZIP_STORED), page(1))
        book.writestr(member("a/notes.txt", 6), b"notes " * 50)
        book.writestr(member("b/010.png", 8), page(3, "PNG"))
        book.writestr(member("__MACOSX/._001.jpg", 10), b"left behind")
        for name, data in more.items():
            book.writestr(member(name, 12), data)
    return path


class Pipe(BytesIO):
    """Where nobody can go back, so that sizes have to be told behind the data."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise OSError

    def tell(self) -> int:
        raise OSError


def as_through_a_pipe(path: Path) -> None:
    """Write an archive again, with sizes behind each member."""
    pipe = Pipe()
    with ZipFile(path) as book, ZipFile(pipe, "w") as again:
        for info in book.infolist():
            again.writestr(member(info.filename, method=info.compress_type), book.read(info))
    path.write_bytes(pipe.getvalue())


def encrypt(path: Path, name: str) -> None:
    """Have the archive say that a member is encrypted."""
    data = bytearray(path.read_bytes())
    with ZipFile(path) as book:
        local = book.getinfo(name).header_offset
        central = data.index(name.encode(), book.start_dir) - 46
    data[local + 6] |= 1
    data[central + 8] |= 1
    path.write_bytes(data)


def rename(path: Path, old: bytes, new: bytes) -> None:
    """Replace a name by one of the same length, in any bytes."""
    assert len(old) == len(new)
    path.write_bytes(path.read_bytes().replace(old, new))


def list_twice(path: Path) -> None:
    """Have the list of members name each twice, all of them over the same data."""
    data = path.read_bytes()
    with ZipFile(path) as book:
        start = book.start_dir
    end = data.rindex(b"PK\5\6")
    entries = data[start:end]
    fields = list(struct.unpack("<4s4H2LH", data[end : end + 22]))
    fields[3], fields[4], fields[5] = 2 * fields[3], 2 * fields[4], 2 * len(entries)
    path.write_bytes(data[:end] + entries + struct.pack("<4s4H2LH", *fields) + data[end + 22 :])


def damage(path: Path, name: str) -> None:
    """Change a byte of a member's data."""
    data = bytearray(path.read_bytes())
    with ZipFile(path) as book:
        info = book.getinfo(name)
    data[info.header_offset + 30 + len(name) + len(info.extra) + info.compress_size // 2] ^= 0xFF
    path.write_bytes(data)


def contents(path: Path) -> dict[str, bytes]:
    """What each member holds, in the archive's order; raises for what is damaged."""
    with ZipFile(path) as book:
        return {info.filename: book.read(info) for info in book.infolist()}


def infos(path: Path) -> list[zipfile.ZipInfo]:
    with ZipFile(path) as book:
        return book.infolist()
