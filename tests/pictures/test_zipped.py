"""Archives: what is a page, members copied as they lie there, and archives that mean harm."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import pytest
from making import mutations
from making_archives import as_through_a_pipe, contents, encrypt, infos, list_twice, member, page, rename, save_book

from espcn_cli.errors import EspcnError
from espcn_cli.pictures import zipped
from espcn_cli.pictures.zipped import Archive, Member, Writer, without


def copied(path: Path) -> Path:
    """An archive copied member by member."""
    copy = path.with_name("copy.cbz")
    with Archive(path) as archive, copy.open("wb") as file:
        writer = Writer(file)
        for each in archive.members:
            writer.copy(archive, each)
        writer.finish(archive.comment)
    return copy


FIELDS = (
    *("filename", "orig_filename", "date_time", "compress_type", "CRC", "compress_size", "file_size", "comment"),
    *("extra", "create_system", "create_version", "internal_attr", "external_attr"),
)


def test_a_copy_has_all_that_the_archive_has(tmp_path: Path) -> None:
    book = save_book(tmp_path / "book.cbz")
    copy = copied(book)
    assert contents(copy) == contents(book) and list(contents(copy)) == list(contents(book))
    for before, after in zip(infos(book), infos(copy), strict=True):
        assert [getattr(after, name) for name in FIELDS] == [getattr(before, name) for name in FIELDS]
    with ZipFile(copy) as again:
        assert again.comment == b"a book of cats" and again.testzip() is None


def test_sizes_behind_the_data_come_before_them(tmp_path: Path) -> None:
    book = save_book(tmp_path / "book.cbz")
    as_through_a_pipe(book)
    assert all(info.flag_bits & zipped.DESCRIPTOR for info in infos(book))
    copy = copied(book)
    assert contents(copy) == contents(book)
    assert not any(info.flag_bits & zipped.DESCRIPTOR for info in infos(copy))


def test_an_encrypted_member_is_copied_to_the_byte(tmp_path: Path) -> None:
    book = save_book(tmp_path / "book.cbz")
    as_through_a_pipe(book)
    encrypt(book, "a/notes.txt")
    copy = copied(book)
    [before], [after] = ([info for info in infos(path) if info.flag_bits & 1] for path in (book, copy))
    assert (after.filename, after.flag_bits) == ("a/notes.txt", before.flag_bits)
    length = 30 + len("a/notes.txt") + len(after.extra) + after.compress_size + 16  # and the sizes behind it
    pieces = [path.read_bytes()[info.header_offset :][:length] for path, info in ((book, before), (copy, after))]
    assert pieces[0][30:] == pieces[1][30:]


def test_names_that_are_no_utf_8_stay_as_they_are(tmp_path: Path) -> None:
    book = save_book(tmp_path / "book.cbz")
    shift_jis = "日本.txt".encode("shift_jis")
    rename(book, b"notes.txt"[-len(shift_jis) :], shift_jis)
    copy = copied(book)
    assert copy.read_bytes().count(shift_jis) == book.read_bytes().count(shift_jis) == 3
    assert [info.orig_filename for info in infos(copy)] == [info.orig_filename for info in infos(book)]
    umlauts = save_book(tmp_path / "umlauts.cbz", **{"ä/ö.jpg": page()})
    assert "ä/ö.jpg" in contents(copied(umlauts))


def test_two_members_of_one_name_stay_two(tmp_path: Path) -> None:
    book = save_book(tmp_path / "book.cbz", **{"a/notes.tx_": b"other"})
    rename(book, b"notes.tx_", b"notes.txt")
    assert [info.filename for info in infos(copied(book))].count("a/notes.txt") == 2


def test_more_members_than_two_bytes_count(tmp_path: Path) -> None:
    book = save_book(tmp_path / "book.cbz")
    many = tmp_path / "many.cbz"
    with Archive(book) as archive, many.open("wb") as file:
        writer = Writer(file)
        for _ in range(0x10000):
            writer.copy(archive, archive.members[0])
        writer.finish(b"")
    assert len(infos(many)) == 0x10000
    with ZipFile(many) as again:
        assert again.read(again.infolist()[-1]).startswith(b"<?xml")


def test_more_bytes_than_four_bytes_count(tmp_path: Path) -> None:
    """A file with a hole of five gigabytes, which takes no room on a disk."""
    book, large = save_book(tmp_path / "book.cbz"), tmp_path / "large.cbz"
    with Archive(book) as archive, large.open("wb") as file:
        writer = Writer(file)
        writer.copy(archive, archive.members[0])
        file.seek(5 * 2**30)
        writer._place = file.tell()
        writer.copy(archive, archive.members[1])
        writer.finish(b"the end")
    with ZipFile(large) as again:
        assert [info.header_offset for info in again.infolist()] == [0, 5 * 2**30]
        assert again.read("b/002.jpg") == page(2) and again.comment == b"the end"
    with Archive(large) as archive:
        assert archive.members[1].name == "b/002.jpg"


def test_a_page_takes_another_s_place(tmp_path: Path) -> None:
    book, new = save_book(tmp_path / "book.cbz"), tmp_path / "new.cbz"
    (tmp_path / "large.webp").write_bytes(page(9, "WEBP"))
    with Archive(book) as archive, new.open("wb") as file:
        writer = Writer(file)
        writer.add(archive, archive.members[1], tmp_path / "large.webp", ".webp")
        writer.finish(b"")
    [after] = infos(new)
    before = infos(book)[1]
    assert (after.filename, after.compress_type) == ("b/002.webp", ZIP_STORED)
    for name in ("date_time", "extra", "comment", "external_attr", "create_system"):
        assert getattr(after, name) == getattr(before, name)
    assert contents(new) == {"b/002.webp": page(9, "WEBP")}


def test_extra_fields_of_a_kind_are_left_out() -> None:
    one, two = struct.pack("<2H3s", 1, 3, b"one"), struct.pack("<2H2s", 2, 2, b"22")
    assert without(one + two, (1,)) == two
    assert without(one + two + b"rest", ()) == one + two + b"rest"
    assert without(one + b"\2\0\xff\xff", (1, 2)) == b"\2\0\xff\xff"  # no field: it says that it is longer
    assert without(b"", (1,)) == b""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("1.jpg", True),
        ("a/b/1.JPG", True),
        ("1.psd", True),
        ("a.jpg/", False),
        ("a/.1.jpg", False),
        (".thumbs/1.jpg", False),
        ("__MACOSX/1.jpg", False),
        ("../1.jpg", True),
        ("1.txt", False),
        ("1.cbz", False),
        ("jpg", False),
    ],
)
def test_pages_are_pictures_by_their_names(name: str, expected: bool) -> None:
    assert Member(member(name)).is_page is expected


def test_a_link_is_no_page() -> None:
    link = member("1.jpg")
    link.external_attr = 0o120777 << 16
    assert not Member(link).is_page


@pytest.mark.parametrize("name", ["../1.jpg", "/1.jpg", "a/../../1.jpg", "C:/1.jpg", "..\\1.jpg"])
def test_names_that_lead_outside_are_known(name: str) -> None:
    assert Member(member(name)).leads_outside
    assert not Member(member("a..b/1.jpg")).leads_outside


# --- what is none, or means harm -------------------------------------------------------------------------------------


def refusal(path: Path) -> str:
    with pytest.raises(EspcnError) as caught, Archive(path):
        pass
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b"no archive at all", "not a ZIP archive, or not all of one (File is not a zip file): is it complete?"),
        (b"Rar!\x1a\7\1\0", "this is a RAR archive, whatever its name says: RAR archives are not read: unpack it"),
        (b"7z\xbc\xaf\x27\x1c", "this is a 7z archive, whatever"),
    ],
)
def test_what_is_no_archive_says_what_it_is(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "book.cbz").write_bytes(data)
    assert refusal(tmp_path / "book.cbz").startswith(words)


def test_half_an_archive_is_none(tmp_path: Path) -> None:
    book = save_book(tmp_path / "book.cbz")
    book.write_bytes(book.read_bytes()[:-100])
    assert "is it complete?" in refusal(book)
    assert "cannot be read" in refusal(tmp_path / "none.cbz")


def test_members_that_share_their_data_are_refused(tmp_path: Path) -> None:
    book = save_book(tmp_path / "book.cbz")
    list_twice(book)
    assert len(infos(book)) == 14
    assert refusal(book).startswith("its members share their data")


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = save_book(tmp_path / "book.cbz")
    monkeypatch.setattr(zipped, "MOST_MEMBERS", 6)
    assert refusal(book) == "7 members are more than 6: split it"
    monkeypatch.setattr(zipped, "MOST_DIRECTORY", 100)
    assert refusal(book).startswith("its list of members takes 0 MB")


def test_a_page_is_not_unpacked_beyond_the_limit(tmp_path: Path) -> None:
    book = save_book(tmp_path / "book.cbz", **{"bomb.png": bytes(10**6)})
    with Archive(book) as archive:
        [bomb] = [each for each in archive.pages if each.name == "bomb.png"]
        with pytest.raises(EspcnError, match="1,000,000 bytes are more than 999,999"):
            archive.extract(bomb, tmp_path / "page.png", 999_999)
        assert not (tmp_path / "page.png").exists()
        archive.extract(bomb, tmp_path / "page.png", 10**6)
    assert (tmp_path / "page.png").read_bytes() == bytes(10**6)


def test_a_member_that_is_not_where_the_list_says_is_refused(tmp_path: Path) -> None:
    book = save_book(tmp_path / "book.cbz")
    data = bytearray(book.read_bytes())
    data[:4] = bytes(4)
    book.write_bytes(data)
    with Archive(book) as archive, pytest.raises(EspcnError, match=r"ComicInfo\.xml is not where its list says"):
        archive.local(archive.members[0])


def test_damage_of_any_kind_is_an_error_of_ours_or_none(tmp_path: Path) -> None:
    data = save_book(tmp_path / "book.cbz").read_bytes()
    broken = tmp_path / "broken.cbz"
    for changed in mutations(data, seed=5, rounds=300):
        broken.write_bytes(changed)
        try:
            with Archive(broken) as archive:
                for each in archive.pages:
                    with suppress(EspcnError):
                        archive.extract(each, tmp_path / "page", 10**6)
            copied(broken)
        except EspcnError as error:
            assert "\n" not in str(error)
