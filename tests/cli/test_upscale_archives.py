"""`espcn upscale book.cbz`: pages are upscaled, all else stays; an archive is whole or not there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from command import COMMAND, PLAIN, one_line, run, strict_json
from making import save_picture
from making_archives import COMIC_INFO, contents, damage, encrypt, infos, page, save_book
from PIL import Image

from espcn_cli.upscaling import archive, pipeline
from espcn_cli.upscaling.archive import ArchiveOptions, page_suffixes
from espcn_cli.upscaling.outcome import Outcome, Task
from espcn_cli.upscaling.upscaler import Upscaler


@pytest.fixture
def book(tmp_path: Path) -> Path:
    return save_book(tmp_path / "book.cbz")


def upscale(folder: Path, tiny: Path, *words: object) -> str:
    """Run it and return what it printed; it must do."""
    result = run("upscale", *words, "-m", tiny, cwd=folder)
    assert result.code == 0, result.stderr
    return result.stdout


def sizes(path: Path) -> dict[str, tuple[str | None, tuple[int, int]]]:
    """Format and size of each page."""
    found = {}
    for name, data in contents(path).items():
        if name.endswith((".jpg", ".png", ".webp")) and "MACOSX" not in name:
            with Image.open(BytesIO(data)) as image:
                found[name] = image.format, image.size
    return found


def test_pages_are_upscaled_and_all_else_stays(book: Path, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "book_x2.cbz"
    assert upscale(tmp_path, tiny, "book.cbz", "book_x2.cbz").startswith("book_x2.cbz: 24 x 32 -> 48 x 64, 3 pages, ")
    before, after = contents(book), contents(out)
    assert list(after) == list(before)
    assert after["ComicInfo.xml"] == COMIC_INFO
    pages = {"a/001.jpg": ("JPEG", (48, 64)), "b/002.jpg": ("JPEG", (48, 64)), "b/010.png": ("PNG", (48, 64))}
    assert sizes(out) == pages
    for name in before.keys() - pages.keys():
        assert after[name] == before[name]
    for old, new in zip(infos(book), infos(out), strict=True):
        for field in ("date_time", "external_attr", "extra", "comment"):
            assert getattr(new, field) == getattr(old, field)


def test_a_page_is_what_the_same_picture_alone_becomes(book: Path, tiny: Path, tmp_path: Path) -> None:
    upscale(tmp_path, tiny, book, "out.zip", "--quality", 80)
    (tmp_path / "page.jpg").write_bytes(contents(book)["a/001.jpg"])
    upscale(tmp_path, tiny, "page.jpg", "large.jpg", "--quality", 80)
    assert contents(tmp_path / "out.zip")["a/001.jpg"] == (tmp_path / "large.jpg").read_bytes()


def test_another_format_changes_suffixes_and_no_two_names_become_one(tiny: Path, tmp_path: Path) -> None:
    save_book(tmp_path / "book.cbz", **{"a/001.png": page(5, "PNG"), "a/001.webp": page(6, "WEBP"), "x.tga": b""})
    assert run("upscale", "book.cbz", "out/", "-f", "webp", "-m", tiny, cwd=tmp_path).code == 1  # x.tga is empty
    assert [name for name in contents(tmp_path / "out" / "book.cbz") if name.endswith((".webp", ".tga"))] == [
        "b/002.webp",
        "a/001.jpg.webp",
        "b/010.webp",
        "a/001.png.webp",
        "a/001.webp",
        "x.tga",
    ]


def test_folders_may_hold_books_and_a_zip_is_meant_only_by_its_name(tiny: Path, tmp_path: Path) -> None:
    save_book(tmp_path / "in" / "below" / "book.cbz")
    save_book(tmp_path / "in" / "backup.zip")
    save_picture(tmp_path / "in" / "a.png")
    assert upscale(tmp_path, tiny, "-r", "in", "out") == "2 upscaled; 1 other file passed over\n"
    assert sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")) == [
        "a.png",
        "below/book.cbz",
    ]
    upscale(tmp_path, tiny, "in/backup.zip", "in/a.png", "again/")
    assert len(sizes(tmp_path / "again" / "backup.zip")) == 3


def test_a_dry_run_tells_pages_and_writes_nothing(book: Path, tiny: Path, tmp_path: Path) -> None:
    said = upscale(tmp_path, tiny, "book.cbz", "out/", "--dry-run").splitlines()
    assert said[0].startswith("book.cbz -> out/book.cbz: 24 x 32 -> 48 x 64, 3 pages, ")
    assert said[1].startswith("1 to upscale, ")
    [record] = strict_json(upscale(tmp_path, tiny, "book.cbz", "out/", "--dry-run", "--json"))
    assert (record["pages"], record["size"], record["output_size"]) == (3, [24, 32], [48, 64])
    assert record["memory"] > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["book.cbz"]
    [record] = strict_json(upscale(tmp_path, tiny, "book.cbz", "out/", "--json"))
    assert (record["pages"], record["warnings"], record["error"]) == (3, [], None)


def test_pages_that_become_smaller_are_told_by_a_dry_run_too(book: Path, tiny: Path, tmp_path: Path) -> None:
    for option in ((), ("--dry-run",)):
        result = run("upscale", "book.cbz", "out/", "-m", tiny, "--fit", "20x20", *option, "--overwrite", cwd=tmp_path)
        said = "book.cbz: 3 pages, such as b/002.jpg: --fit makes it smaller: 24 x 32 -> 15 x 20"
        assert (result.code, result.stderr.splitlines()) == (0, [said])


def test_an_archive_that_exists_is_refused_skipped_or_replaced(book: Path, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "out.cbz").write_bytes(b"mine")
    one_line(run("upscale", book, "out.cbz", "-m", tiny, cwd=tmp_path), 2, "1 output exists already, out.cbz")
    assert upscale(tmp_path, tiny, "book.cbz", "out.cbz", "--skip-existing") == "0 upscaled, 1 skipped\n"
    assert (tmp_path / "out.cbz").read_bytes() == b"mine"
    upscale(tmp_path, tiny, "book.cbz", "out.cbz", "--overwrite")
    assert len(sizes(tmp_path / "out.cbz")) == 3
    one_line(run("upscale", "book.cbz", ".", "-m", tiny, "--overwrite", cwd=tmp_path), 2, "would be overwritten")


# --- pages that cannot be done ---------------------------------------------------------------------------------------


def test_a_page_that_cannot_be_read_stays_and_is_named(tiny: Path, tmp_path: Path) -> None:
    book = save_book(tmp_path / "book.cbz", **{"b/003.jpg": b"no picture", "b/004.jpg": page(7)[:300]})
    damage(book, "b/010.png")
    result = run("upscale", "book.cbz", "out.cbz", "-m", tiny, cwd=tmp_path)
    assert (result.code, result.stdout.split(", ")[1]) == (1, "2 of 5 pages")
    lines = result.stderr.splitlines()
    assert [line.split(" stays as it was: ")[0] for line in lines] == [
        "espcn: book.cbz: b/010.png",
        "espcn: book.cbz: b/003.jpg",
        "espcn: book.cbz: b/004.jpg",
    ]
    assert "damaged in the archive (Bad CRC-32" in lines[0] and lines[1].endswith("format that Pillow knows")
    out = tmp_path / "out.cbz"
    assert [info.filename for info in infos(out)] == [info.filename for info in infos(book)]
    [before], [after] = ([info for info in infos(path) if info.filename == "b/010.png"] for path in (book, out))
    length = 30 + len("b/010.png") + len(before.extra) + before.compress_size
    whole = [path.read_bytes()[info.header_offset :][:length] for path, info in ((book, before), (out, after))]
    assert whole[0] == whole[1]  # damage and all
    quiet = run("upscale", "book.cbz", "out.cbz", "-m", tiny, "--overwrite", "--json", "-q", cwd=tmp_path)
    assert (quiet.code, quiet.stderr) == (1, result.stderr)
    [record] = strict_json(quiet.stdout)
    assert (record["pages"], len(record["failed_pages"]), record["warnings"], record["error"]) == (2, 3, [], None)
    expected = run("upscale", "book.cbz", "x.cbz", "-m", tiny, "--dry-run", cwd=tmp_path)
    assert expected.code == 1 and " 3 pages" not in expected.stdout


def test_a_book_with_a_page_that_failed_is_done_again_once_it_is_mended(tiny: Path, tmp_path: Path) -> None:
    save_book(tmp_path / "book.cbz", **{"b/003.jpg": b"no picture"})
    save_picture(tmp_path / "a.png")
    log = run("upscale", "book.cbz", "a.png", "out/", "-m", tiny, "--json", cwd=tmp_path)
    assert log.code == 1
    (tmp_path / "log").write_text(log.stdout)
    save_book(tmp_path / "book.cbz", **{"b/003.jpg": page()})
    again = ("book.cbz", "a.png", "out/", "--retry-failed", "log", "--overwrite")
    assert upscale(tmp_path, tiny, *again).startswith("out/book.cbz: 24 x 32 -> 48 x 64, 4 pages, ")


def test_an_archive_none_of_whose_pages_can_be_read_has_failed(tiny: Path, tmp_path: Path) -> None:
    book = save_book(tmp_path / "book.cbz")
    for name in ("b/002.jpg", "a/001.jpg", "b/010.png"):
        damage(book, name)
    result = run("upscale", "book.cbz", "out.cbz", "-m", tiny, cwd=tmp_path)
    assert result.code == 1
    assert result.stderr.startswith("espcn: book.cbz: none of its 3 pages can be done, such as b/002.jpg: damaged in")
    assert [path.name for path in tmp_path.iterdir()] == ["book.cbz"]


def test_encrypted_pages_and_archives_without_pages_have_failed(book: Path, tiny: Path, tmp_path: Path) -> None:
    encrypt(book, "a/001.jpg")
    result = run("upscale", "book.cbz", "out.cbz", "-m", tiny, cwd=tmp_path)
    assert (result.code, result.stderr) == (
        1,
        "espcn: book.cbz: encrypted pages, 1 of 3: unpack it with its password first\n",
    )
    (tmp_path / "text.zip").write_bytes(b"PK\5\6" + bytes(18))
    result = run("upscale", "text.zip", "out/", "-m", tiny, cwd=tmp_path)
    assert (result.code, result.stderr) == (1, "espcn: text.zip: no pictures are in it\n")
    assert not (tmp_path / "out.cbz").exists()


def test_what_is_large_is_not_unpacked(tiny: Path, tmp_path: Path) -> None:
    """A page of 20 megabytes that is packed into 20 kilobytes."""
    save_book(tmp_path / "book.cbz", **{"bomb.png": bytes(20 * 10**6)})
    result = run("upscale", "book.cbz", "out.cbz", "-m", tiny, "--max-pixels", 10_000, cwd=tmp_path)
    assert result.code == 1
    assert result.stderr == "espcn: book.cbz: bomb.png stays as it was: 20,000,000 bytes are more than 16,857,216\n"


def test_a_page_that_would_be_too_large_stops_the_archive(book: Path, tiny: Path, tmp_path: Path) -> None:
    result = run("upscale", "book.cbz", "out.cbz", "-m", tiny, "--size", "20000x", "-f", "webp", cwd=tmp_path)
    assert result.code == 1
    assert "book.cbz: b/002.jpg: 20000 x 26667 is too large for WEBP" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["book.cbz"]


def test_names_that_lead_outside_write_nothing_there(tiny: Path, tmp_path: Path) -> None:
    save_book(tmp_path / "in" / "book.cbz", **{"../../outside.jpg": page(), "nested.cbz": b"PK", "/etc/x.jpg": page()})
    result = run("upscale", "in/book.cbz", "in/out.cbz", "-m", tiny, cwd=tmp_path)
    assert result.stderr == ("in/book.cbz: 2 names lead out of the archive, such as ../../outside.jpg: kept as it is\n")
    assert list(sizes(tmp_path / "in" / "out.cbz"))[3:] == ["../../outside.jpg", "/etc/x.jpg"]
    assert contents(tmp_path / "in" / "out.cbz")["nested.cbz"] == b"PK"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["book.cbz", "in", "out.cbz"]


def test_many_pages_with_one_note_are_told_in_a_line(tiny: Path, tmp_path: Path) -> None:
    data = BytesIO()
    Image.new("RGBA", (8, 8), (9, 9, 9, 99)).save(data, "PNG")
    save_book(tmp_path / "book.cbz", **{f"{number}.png": data.getvalue() for number in range(4)})
    result = run("upscale", "book.cbz", "out.cbz", "-m", tiny, "-f", "jpg", cwd=tmp_path)
    assert result.stderr.startswith("book.cbz: 4 pages, such as 0.png: ") and len(result.stderr.splitlines()) == 1


# --- misuse ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("book.cbz out.png", 2, "book.cbz is an archive: it cannot become out.png; name a .cbz, a .zip or a folder"),
        ("book.cbz -", 2, "book.cbz is an archive, which cannot go to standard output"),
        ("a.png out.cbz", 2, "a.png is no archive: it cannot become out.cbz"),
        ("a.png book.cbz out.cbz", 2, "out.cbz looks like an archive: several pictures or a folder need a folder"),
        ("book.cbr out/", 1, "book.cbr: RAR archives are not read: unpack it, and pack its pictures into a .cbz or"),
        ("text.cbz out/", 1, "text.cbz: not a ZIP archive, or not all of one"),
        ("none.cbz out/", 1, "none.cbz: no such file"),
        ("book.cbz none/out.cbz", 1, "no folder none for out.cbz"),
    ],
)
def test_misuse_and_what_is_no_archive_are_one_line(
    book: Path, tiny: Path, tmp_path: Path, words: str, code: int, said: str
) -> None:
    save_picture(tmp_path / "a.png")
    (tmp_path / "book.cbr").write_bytes(b"Rar!")
    (tmp_path / "text.cbz").write_bytes(b"text")
    one_line(run("upscale", *words.split(), "-m", tiny, cwd=tmp_path), code, said)


# --- whole or not at all ---------------------------------------------------------------------------------------------


def test_an_interruption_leaves_nothing(book: Path, tmp_path: Path, bicubic: Upscaler) -> None:
    def interrupted(tasks: Iterator[Task]) -> Iterator[Outcome]:
        yield next(pipeline.run(bicubic, [next(tasks)]))
        assert len(list(tmp_path.iterdir())) == 3  # the archive, the new one and a folder
        next(tasks)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archive.upscale(Task(book, tmp_path / "out.cbz", archive=True), interrupted, ArchiveOptions())
    assert [path.name for path in tmp_path.iterdir()] == ["book.cbz"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_and_says_what_is_left(tmp_path: Path, number: signal.Signals) -> None:
    save_book(tmp_path / "book.cbz", **{f"{index}.png": page(index, "PNG", 300, 300) for index in range(40)})
    command = [*COMMAND, "upscale", "book.cbz", "out.cbz", "--engine", "torch", "--ensemble", "-m", "espcn-l"]
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | PLAIN
    ) as process:
        while not list(tmp_path.glob(".*/large/*")):
            assert process.poll() is None
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert said.startswith("espcn: interrupted: 0 upscaled, 1 left; the same command")
    assert [path.name for path in tmp_path.iterdir()] == ["book.cbz"]


def test_what_a_killed_run_left_is_removed_by_the_next(book: Path, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / ".out-0123.espcn-part" / "large").mkdir(parents=True)
    (tmp_path / ".out-0123.espcn-part" / "large" / "1.jpg").touch()
    upscale(tmp_path, tiny, "book.cbz", "out.cbz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["book.cbz", "out.cbz"]


def test_few_pages_are_unpacked_at_a_time(tiny: Path, tmp_path: Path) -> None:
    """Small ones are done in groups; with one job, a group waits and a group is on its way."""
    more = {f"{number:03}.jpg": page(number, width=8, height=8) for number in range(120)}
    save_book(tmp_path / "book.cbz", **more)
    seen: list[int] = []

    def count(progress: archive.Progress) -> None:
        seen.append(len([path for path in tmp_path.rglob("*") if path.suffix in (".jpg", ".png")]))
        assert progress.total == 123

    from espcn_cli.upscaling.upscaler import load

    options = pipeline.Options(jobs=1, archive=ArchiveOptions(progress=count))
    [outcome] = pipeline.run(load(tiny), [Task(tmp_path / "book.cbz", tmp_path / "out.cbz", archive=True)], options)
    assert outcome.pages == 123 and len(seen) == 123
    assert max(seen) <= 5 * pipeline.GROUP


def test_a_full_disk_stops_the_archive(
    book: Path, tmp_path: Path, bicubic: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("espcn_cli.pictures.writing.encode", full)
    task = Task(book, tmp_path / "out.cbz", archive=True)
    [outcome] = pipeline.run(bicubic, [task])
    assert outcome.error is not None
    assert "No space left on device" in outcome.error and ".espcn-part" not in outcome.error
    assert [path.name for path in tmp_path.iterdir()] == ["book.cbz"]


def test_suffixes_that_cannot_be_written_become_png() -> None:
    from making_archives import member

    from espcn_cli.pictures.zipped import Member

    members = [Member(member(name)) for name in ("a.psd", "b.JPG", "c.txt", "d.ico", "d.png", "d.ico.png")]
    assert page_suffixes(members, None) == {0: ".png", 1: ".jpg", 3: ".ico.png.png", 4: ".png", 5: ".png"}


def test_an_archive_is_as_old_as_its_source_if_asked_for(book: Path, tiny: Path, tmp_path: Path) -> None:
    os.utime(book, ns=(10**18, 10**18 + 5))
    upscale(tmp_path, tiny, "book.cbz", "out.cbz", "--keep-time", "--dpi", "150")
    assert (tmp_path / "out.cbz").stat().st_mtime_ns == 10**18 + 5
    with Image.open(BytesIO(contents(tmp_path / "out.cbz")["b/010.png"])) as image:
        assert round(image.info["dpi"][0]) == 150
