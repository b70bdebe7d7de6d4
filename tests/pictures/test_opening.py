"""Files that are no pictures for us: called by their name, in one line."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pytest
from making import save_picture
from making_animations import save_animation
from making_png import PICTURE, read
from PIL import Image

from espcn_cli.errors import EspcnError
from espcn_cli.paths import STREAM
from espcn_cli.pictures import reading
from espcn_cli.pictures.extent import Extent, extent_of
from espcn_cli.pictures.opening import opened
from espcn_cli.scoring import tensors
from espcn_cli.settings import MAX_PIXELS


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"#?RADIANCE\n", "Radiance HDR is not a format"),
        (b"\xff\xd8\xff\xc3\0\0", "a damaged JPEG file, or a kind of JPEG that Pillow does not read"),
        (b"8BPS\0\1", "a damaged PSD file"),
        (b"hello", "not a picture in a format that Pillow knows"),
        (b"", "the file is empty"),
    ],
)
def test_what_cannot_be_read_is_called_by_its_name(tmp_path: Path, start: bytes, words: str) -> None:
    with pytest.raises(EspcnError, match=rf"odd\.bin: {words}"):
        read(tmp_path / "odd.bin", start)


def test_a_bomb_is_refused_with_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    save_picture(tmp_path / "big.png", 30, 20)
    with pytest.raises(EspcnError, match=r"big\.png: 600 pixels are more than 400: .*--max-pixels 600"):
        reading.read_document(tmp_path / "big.png")
    save_picture(tmp_path / "huge.png", 100, 20)
    with pytest.raises(EspcnError, match="2,000 pixels"):
        reading.read_document(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(EspcnError, match="2,560 pixels"):
        reading.read_document(save_animation(tmp_path / "many.gif"))


def test_pages_count_together_against_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PICTURE.save(tmp_path / "in.tif", save_all=True, append_images=[Image.new("L", (40, 40))])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(EspcnError, match="--max-pixels"):
        reading.read_document(tmp_path / "in.tif")


def test_every_failure_carries_the_path_that_its_line_begins_with(tmp_path: Path) -> None:
    whole = save_picture(tmp_path / "whole.png", 64, 64).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "odd.tif").write_bytes(b"II*\0" + bytes(40))
    (tmp_path / "round").symlink_to("round")
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "float.tif")
    names = ("cut.png", "text.png", "odd.tif", "float.tif", "missing.png", "round", "x" * 300, ".")
    for path in (*(tmp_path / name for name in names), Path(os.devnull)):
        for ask in (reading.read_document, tensors.read, extent_of):
            if path.name in ("cut.png", "float.tif") and ask is extent_of:
                continue
            with pytest.raises(EspcnError) as caught:
                ask(path)
            assert caught.value.path == path
            assert str(caught.value).startswith(f"{path}: ") and str(caught.value).count(str(path)) == 1


def test_standard_input_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(b"no picture")))
    with pytest.raises(EspcnError, match=r"^standard input: not a picture in a format") as caught:
        reading.read_document(STREAM)
    assert caught.value.path == STREAM


def test_what_a_caller_does_with_an_open_picture_is_named_once(tmp_path: Path) -> None:
    path = save_picture(tmp_path / "a.png")
    for raised, line in (
        (EspcnError("too grey"), f"{path}: too grey"),
        (EspcnError("b.png: too grey", Path("b.png")), "b.png: too grey"),
        (ValueError("odd\nthing"), f"{path}: cannot be decoded (odd thing): is it complete?"),
    ):
        with pytest.raises(EspcnError) as caught, opened(path):
            raise raised
        assert str(caught.value) == line
    with pytest.raises(MemoryError), opened(path):
        raise MemoryError


def test_filters_of_warnings_are_as_before_when_threads_open_at_the_same_time(tmp_path: Path) -> None:
    path = save_picture(tmp_path / "a.png")
    interval, before = sys.getswitchinterval(), list(warnings.filters)
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(extent_of, 400 * [path])) == {Extent(((24, 18),), 4)}
    finally:
        sys.setswitchinterval(interval)
    assert warnings.filters == before


def test_the_limit_of_pixels_is_ours_for_all_who_read(tmp_path: Path) -> None:
    """Pillow's own, 89 million, would refuse a scanned page."""
    program = "from PIL import Image; {}; from espcn_cli.pictures import reading; print(Image.MAX_IMAGE_PIXELS)"
    for before, limit in (("pass", MAX_PIXELS), ("Image.MAX_IMAGE_PIXELS = 1000", 1000)):
        command = [sys.executable, "-c", program.format(before)]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"{limit}\n"
    Image.new("1", (10_000, 10_000)).save(tmp_path / "page.png")
    assert extent_of(tmp_path / "page.png").size == (10_000, 10_000)
