"""Pictures are found by their names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from espcn_cli.pictures import folders, reading, writing


def test_a_folder_is_searched_in_order_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "sub/c.webp", ".hidden.png", ".dir/d.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in folders.find_images(tmp_path)]
    assert found == ["a.JPG", "b.png", "sub/c.webp"]
    assert [path.name for path in folders.find_images(tmp_path, recursive=False)] == ["a.JPG", "b.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_a_folder_is_passed_over(tmp_path: Path) -> None:
    """Whoever read it would wait for ever; a link that leads nowhere is found, and fails when it is read."""
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to("nowhere")
    assert [path.name for path in folders.find_images(tmp_path)] == ["link.png"]
    assert folders.count_others(tmp_path) == 1


OTHERWISE = {
    *(".eps", ".ps"),  # need Ghostscript
    *(".bufr", ".grib", ".h5", ".hdf", ".wmf", ".emf", ".mpg", ".mpeg"),  # known, but not read
    ".pfm",  # floating point, which is refused
    ".fit",  # of sport watches, mostly; .fits is found
}


def test_every_format_that_is_read_when_named_is_found() -> None:
    """Against Pillow's own list of suffixes."""
    Image.init()
    read = {suffix for suffix, kind in Image.registered_extensions().items() if kind in {*Image.OPEN, "MPO"}}
    assert read - OTHERWISE <= folders.SUFFIXES
    assert not folders.SUFFIXES & OTHERWISE


@pytest.mark.parametrize("suffix", ["dds", "qoi", "sgi", "rgb", "icns", "msp", "xbm", "tga", "jpx"])
def test_rarer_formats_are_found_and_read(tmp_path: Path, suffix: str) -> None:
    Image.new("1" if suffix in ("msp", "xbm") else "RGB", (16, 16)).save(tmp_path / f"a.{suffix.upper()}")
    [path] = folders.find_images(tmp_path)
    assert folders.count_others(tmp_path) == 0
    assert reading.read_document(path).frames
    assert writing.is_writable(path) is (suffix == "tga")
