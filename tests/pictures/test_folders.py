"""Pictures are found by their names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from espcn_cli.pictures import folders


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
