"""Names of paths: as short as may be, and no two alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espcn_cli.scoring.names import distinct_names, without_suffix


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["photos"], ["photos"]),
        (["/x/a/photos", "/x/b/photos", "/x/night"], ["a/photos", "b/photos", "night"]),
        (["/x/a/in/photos", "/x/b/in/photos"], ["a/in/photos", "b/in/photos"]),
        (["photos", "a/photos"], ["photos", "a/photos"]),
        (["a.png", "b.png", "v1.5.png"], ["a", "b", "v1.5"]),
        (["a.png", "a.jpg", "b.png"], ["a.png", "a.jpg", "b"]),
        (["a.png", "night/a.png"], ["a.png", "night/a"]),
        (["a/x.safetensors", "b/x.safetensors"], ["a/x", "b/x"]),
        (["bicubic", "bicubic.safetensors"], ["bicubic", "bicubic.safetensors"]),
        (["bicubic", "/m/bicubic.safetensors"], ["bicubic", "m/bicubic"]),
        (["a.png", "a.jpg", "a.png.jpg"], ["a.png", "a.jpg", "a.png.jpg"]),
    ],
)
def test_names_are_as_long_as_it_takes_to_tell_them_apart(paths: list[str], names: list[str]) -> None:
    assert distinct_names([Path(path) for path in paths], without_suffix) == names


parts = st.sampled_from(["a", "b", "a.b", "b.a"])


@given(st.lists(st.lists(parts, min_size=1, max_size=4).map(lambda parts: Path(*parts)), unique=True, max_size=12))
def test_no_two_names_are_ever_alike(paths: list[Path]) -> None:
    names = distinct_names(paths, without_suffix)
    assert len(set(names)) == len(paths)
    assert all(str(path).startswith(name) or name in str(path) for path, name in zip(paths, names, strict=True))
    assert distinct_names(paths[::-1], without_suffix) == names[::-1], "the order does not matter"
