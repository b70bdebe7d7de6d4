"""Files that were cut short, read by who asks for it: what is there as it is, the rest grey, and how much that is."""

from __future__ import annotations

import re
import threading
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making import natural
from making_metadata import camera_exif
from making_png import png
from PIL import Image, ImageFile

from espcn_cli.errors import EspcnError
from espcn_cli.pictures import cut_short, reading

SIZE = (120, 96)


def whole(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    out = BytesIO()
    Image.fromarray(natural(*SIZE)).convert(mode).save(out, kind, **options)
    return out.getvalue()


def cut(path: Path, data: bytes, part: float) -> Path:
    path.write_bytes(data[: int(len(data) * part)])
    return path


def missing(warnings: tuple[str, ...]) -> float:
    """The part of the picture that a warning calls missing."""
    [found] = [re.search(r"cut short: (\d+) % of the picture is missing, and grey", line) for line in warnings]
    assert found is not None, warnings
    return int(found[1]) / 100


JPEGS: dict[str, tuple[str, dict[str, Any]]] = {
    "4:2:0": ("RGB", {}),
    "4:4:4": ("RGB", {"subsampling": 0}),
    "restarts": ("RGB", {"restart_marker_rows": 1}),
    "grey": ("L", {}),
    "CMYK": ("CMYK", {}),
}


@pytest.mark.parametrize("part", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("kind", JPEGS)
def test_of_a_jpeg_what_is_there_stays_and_the_rest_is_grey(tmp_path: Path, kind: str, part: float) -> None:
    mode, options = JPEGS[kind]
    data = whole("JPEG", mode, quality=90, **options)
    path = cut(tmp_path / "in.jpg", data, part)
    with pytest.raises(EspcnError, match=r"in\.jpg: cannot be decoded \(image file is truncated"):
        reading.read_document(path)
    document = reading.read_document(path, lenient=True)
    lost = missing(tuple(line for line in document.warnings if "cut short" in line))
    assert abs(lost - (1 - part)) < 0.25
    found = document.frames[0].array()
    (tmp_path / "whole.jpg").write_bytes(data)
    expected = reading.read_document(tmp_path / "whole.jpg").frames[0].array()
    rows = round(96 * (1 - lost))
    complete = max(rows - 20, 0)  # a row of blocks breaks off, and chroma mixes with the grey below
    assert np.array_equal(found[:complete], expected[:complete])
    assert len(np.unique(found[rows + 1 :])) <= 2
    if mode != "CMYK":
        assert np.abs(found[rows + 1 :].astype(int) - 128).max() <= 1


def test_of_a_progressive_jpeg_the_end_is_coarser(tmp_path: Path) -> None:
    data = whole("JPEG", quality=90, progressive=True)
    document = reading.read_document(cut(tmp_path / "in.jpg", data, 0.6), lenient=True)
    assert document.warnings == ("the file is cut short: its end is missing, or coarser than the rest",)
    assert np.abs(document.frames[0].array().astype(int) - natural(*SIZE)).mean() < 12


@pytest.mark.parametrize("progressive", [False, True])
def test_wherever_a_jpeg_is_cut_behind_its_header_it_is_read(tmp_path: Path, progressive: bool) -> None:
    """Amid a marker, a table between scans, the last byte of its end."""
    data = whole("JPEG", progressive=progressive)
    start = data.index(b"\xff\xda") + 20
    for end in (*range(start, len(data), 61), len(data) - 1):
        (tmp_path / "in.jpg").write_bytes(data[:end])
        document = reading.read_document(tmp_path / "in.jpg", lenient=True)
        assert document.size == SIZE


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_of_a_png_the_rows_that_are_there_stay(tmp_path: Path, mode: str) -> None:
    data = whole("PNG", mode)
    path = cut(tmp_path / "in.png", data, 0.6)
    with pytest.raises(EspcnError, match="is it complete"):
        reading.read_document(path)
    document = reading.read_document(path, lenient=True)
    rows = round(96 * (1 - missing(document.warnings)))
    found = document.frames[0].array()
    (tmp_path / "whole.png").write_bytes(data)
    expected = reading.read_document(tmp_path / "whole.png").frames[0].array()
    assert 10 < rows < 90
    assert np.array_equal(found[: rows - 1], expected[: rows - 1])
    rest = found[rows + 1 :].astype(int)
    if mode in ("RGBA", "LA"):
        assert (rest[..., -1] == 255).all()
        rest = rest[..., :-1]
    assert abs(rest.mean() - 128) < (30 if mode == "P" else 1)


def test_of_a_png_with_16_bits_too(tmp_path: Path) -> None:
    pytest.importorskip("imagecodecs", reason="needs the extra 'deep'")
    levels = natural(*SIZE).astype(np.uint16) * 257
    data = png((row.astype(">u2").tobytes() for row in levels), SIZE, 16, 2)
    document = reading.read_document(cut(tmp_path / "in.png", data, 0.6), lenient=True)
    found = document.frames[0].array()
    assert found.dtype == np.uint16
    assert np.array_equal(found[:30], levels[:30])
    assert (found[-5:] == 0x8080).all()


def test_it_comes_upright_with_its_exif(tmp_path: Path) -> None:
    data = whole("JPEG", quality=90, exif=camera_exif(orientation=6))
    document = reading.read_document(cut(tmp_path / "in.jpg", data, 0.7), lenient=True)
    assert document.size == (96, 120)
    assert "exif" in document.info
    assert np.abs(document.frames[0].array()[:, :8].astype(int) - 128).max() <= 1  # the lowest rows are at the left now


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "BMP"])
def test_other_formats_are_refused_as_ever(tmp_path: Path, kind: str) -> None:
    path = cut(tmp_path / "in.bin", whole(kind), 0.6)
    for lenient in (False, True):
        with pytest.raises(EspcnError, match=r"in\.bin: "):
            reading.read_document(path, lenient=lenient)


@pytest.mark.parametrize("data", [whole("JPEG")[:150], whole("JPEG")[:3], whole("PNG")[:30], b"\x89PNG\r\n\x1a\n"])
def test_so_is_a_file_without_any_pixels(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "in.bin").write_bytes(data)
    with pytest.raises(EspcnError, match=r"in\.bin: "):
        reading.read_document(tmp_path / "in.bin", lenient=True)


def test_whole_files_are_read_as_ever(tmp_path: Path) -> None:
    for kind in ("JPEG", "PNG"):
        assert cut_short.completed(whole(kind)) is None
        (tmp_path / "in.bin").write_bytes(whole(kind))
        assert reading.read_document(tmp_path / "in.bin", lenient=True).warnings == ()


def test_the_limit_of_pixels_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    monkeypatch.setattr(cut_short, "completed", lambda data: pytest.fail("it was unpacked"))
    for kind in ("JPEG", "PNG"):
        with pytest.raises(EspcnError, match="11,520 pixels are more than 1,000"):
            reading.read_document(cut(tmp_path / "in.bin", whole(kind), 0.6), lenient=True)


def test_nobody_else_becomes_lenient(tmp_path: Path) -> None:
    """While one thread reads what is cut short, others refuse it."""
    path = cut(tmp_path / "in.jpg", whole("JPEG"), 0.6)
    seen: list[bool] = []
    done = threading.Event()

    def read_strictly() -> None:
        while not done.is_set():
            with pytest.raises(EspcnError):
                reading.read_document(path)
            seen.append(ImageFile.LOAD_TRUNCATED_IMAGES)

    thread = threading.Thread(target=read_strictly)
    thread.start()
    for _ in range(20):
        reading.read_document(path, lenient=True)
    done.set()
    thread.join()
    assert seen and not any(seen)
