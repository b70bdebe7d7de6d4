"""Pictures are found by their names."""

from __future__ import annotations

from pathlib import Path

from espcn_cli.pictures import folders


def test_a_folder_is_searched_in_order_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "sub/c.webp", ".hidden.png", ".dir/d.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in folders.find_images(tmp_path)]
    assert found == ["a.JPG", "b.png", "sub/c.webp"]
    assert [path.name for path in folders.find_images(tmp_path, recursive=False)] == ["a.JPG", "b.png"]
