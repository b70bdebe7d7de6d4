"""Where training pictures are kept: memory, disk and nowhere give the same pairs, and a damaged cache mends itself."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from making import save_picture

from espcn_cli.errors import EspcnError
from espcn_cli.files import PART_SUFFIX
from espcn_cli.training import patches, samples
from espcn_cli.training.samples import Cache, Recipe, Reread, Sample, choose_cache, key

RECIPE = Recipe(scale=2, planes=1)


class Usage(NamedTuple):
    free: int


@pytest.fixture
def photo_file(tmp_path: Path) -> Path:
    return save_picture(tmp_path / "photos" / "a.png", 40, 32)


@pytest.mark.parametrize("planes", [1, 3])
def test_every_cache_gives_the_same_pair(tmp_path: Path, photo_file: Path, planes: int) -> None:
    recipe = replace(RECIPE, planes=planes)
    kept = [Cache(kind, tmp_path / "cache").sample(photo_file, recipe) for kind in ("memory", "disk", "none")]
    assert [type(sample) for sample in kept] == [Sample, Sample, Reread]
    for sample in kept:
        assert all(torch.equal(a, b) for a, b in zip(sample.pair, recipe.pair(photo_file), strict=True))
        assert (sample.size, sample.digest) == ((16, 20), kept[0].digest)


@pytest.mark.parametrize("kind", ["memory", "disk", "none"])
def test_every_cache_gives_the_same_batches(tmp_path: Path, kind: str) -> None:
    paths = [save_picture(tmp_path / f"{i}.png", 40, 40, i) for i in range(3)]
    loaded = [patches.load_data(paths, RECIPE, 16, kept=Cache(k, tmp_path / "cache")) for k in ("memory", kind)]
    assert loaded[0].fingerprint == loaded[1].fingerprint
    batches = [patches.Patches(each, 16, 6).draw(torch.Generator().manual_seed(2)) for each in loaded]
    assert all(torch.equal(a, b) for a, b in zip(*batches, strict=True))


def test_the_disk_is_asked_before_a_picture_is_decoded_again(
    tmp_path: Path, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By content: a copy under another name is known, the same name with other content is not."""
    cache = Cache("disk", tmp_path / "cache")
    first = cache.sample(photo_file, RECIPE)
    copied = Path(shutil.copy(photo_file, tmp_path / "copy.png"))
    other = save_picture(tmp_path / "other.png", 40, 32, seed=1)
    with monkeypatch.context() as patch:
        patch.setattr(Recipe, "pair", lambda recipe, path: pytest.fail("decoded again"))
        assert cache.sample(copied, RECIPE).digest == first.digest
    assert cache.sample(other, RECIPE).digest != first.digest
    assert len({key(photo_file, recipe) for recipe in (RECIPE, replace(RECIPE, scale=3), Recipe(2, 1, "area"))}) == 3


@pytest.mark.parametrize("damage", ["emptied", "cut", "overwritten"])
def test_a_damaged_cache_file_is_made_again(tmp_path: Path, photo_file: Path, damage: str) -> None:
    cache = Cache("disk", tmp_path / "cache")
    expected = [t.clone() for t in cache.sample(photo_file, RECIPE).pair]
    (kept,) = cache.folder.iterdir()
    content = kept.read_bytes()
    kept.unlink()  # a mapped file is replaced, not changed
    kept.write_bytes({"emptied": b"", "cut": content[: len(content) // 2], "overwritten": b"?" * 200}[damage])
    assert all(torch.equal(a, b) for a, b in zip(cache.sample(photo_file, RECIPE).pair, expected, strict=True))
    assert kept.read_bytes() == content


def test_what_a_killed_process_left_in_the_cache_is_cleaned(tmp_path: Path, photo_file: Path) -> None:
    left = tmp_path / "cache" / f".abc{PART_SUFFIX}"
    left.parent.mkdir()
    left.write_bytes(b"half")
    choose_cache("disk", [photo_file], RECIPE, left.parent)
    assert not left.exists()


def test_auto_takes_memory_then_disk_then_nothing(
    tmp_path: Path, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = RECIPE.bytes_of(photo_file)
    assert needed == 40 * 32 * 5 // 4
    monkeypatch.setattr(samples, "available_memory", lambda: 10 * needed)
    assert choose_cache("auto", [photo_file], RECIPE, tmp_path).kind == "memory"
    monkeypatch.setattr(samples, "available_memory", lambda: needed)
    cache = choose_cache("auto", [photo_file], RECIPE, tmp_path / "new")
    assert (cache.kind, cache.reason) == ("disk", f"0 MB of pictures do not fit in memory; kept in {tmp_path / 'new'}")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(free=needed))
    cache = choose_cache("auto", [photo_file], RECIPE, tmp_path / "new")
    assert cache.kind == "none" and "read again for each patch" in cache.reason
    with pytest.raises(EspcnError, match="use --cache memory or none"):
        choose_cache("disk", [photo_file], RECIPE, tmp_path / "new")


def test_a_picture_that_changes_during_the_training_is_named(tmp_path: Path, photo_file: Path) -> None:
    sample = Cache("none", tmp_path).sample(photo_file, RECIPE)
    save_picture(photo_file, 20, 20)
    with pytest.raises(EspcnError, match=r"a\.png was changed during the training"):
        _ = sample.pair
    photo_file.unlink()
    with pytest.raises(EspcnError, match=r"a\.png"):
        _ = sample.pair


def test_a_file_without_a_size_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    assert RECIPE.bytes_of(tmp_path / "broken.png") == RECIPE.bytes_of(tmp_path / "absent.png") == 0


def test_the_pairs_used_longest_ago_make_room(tmp_path: Path) -> None:
    """Four pictures are kept and the first is used again: the second and the third are the oldest then."""
    cache = Cache("disk", tmp_path / "cache")
    paths = [save_picture(tmp_path / f"{i}.png", 40, 32, i) for i in range(4)]
    files = [cache.folder / f"{key(path, RECIPE)}.safetensors" for path in paths]
    for age, (path, kept) in enumerate(zip(paths, files, strict=True)):
        cache.sample(path, RECIPE)
        os.utime(kept, (1000 + age, 1000 + age))
    other = cache.folder / "notes.safetensors"
    other.write_bytes(b"mine")
    cache.sample(paths[0], RECIPE)
    size = files[0].stat().st_size
    for limit, spared, left in ((4 * size, 0, [0, 1, 2, 3]), (2 * size, 0, [0, 3]), (0, 1, [0]), (0, 0, [])):
        replace(cache, limit=limit).trim(spared)
        assert [index for index, kept in enumerate(files) if kept.exists()] == left
    assert list(cache.folder.iterdir()) == [other]


def test_a_training_keeps_its_pairs_when_another_makes_room(tmp_path: Path, photo_file: Path) -> None:
    cache = Cache("disk", tmp_path / "cache", limit=0)
    running = cache.sample(photo_file, RECIPE)
    cache.trim(spared=0)
    assert not list(cache.folder.iterdir())
    assert all(torch.equal(a, b) for a, b in zip(running.pair, RECIPE.pair(photo_file), strict=True))


def test_a_pair_that_is_gone_before_it_is_mapped_stays_in_memory(
    tmp_path: Path, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "write_tensors", lambda *_: None)
    sample = Cache("disk", tmp_path / "cache").sample(photo_file, RECIPE)
    assert all(torch.equal(a, b) for a, b in zip(sample.pair, RECIPE.pair(photo_file), strict=True))


def test_loading_makes_room_but_not_for_itself(tmp_path: Path) -> None:
    """However little the disk may hold, the pictures of the training at hand are all kept."""
    cache = Cache("disk", tmp_path / "cache", limit=0)
    for first in (0, 3):
        paths = [save_picture(tmp_path / f"{i}.png", 40, 40, i) for i in range(first, first + 3)]
        patches.load_data(paths, RECIPE, 16, kept=cache)
        names = {f"{key(path, RECIPE)}.safetensors" for path in paths}
        assert {path.name for path in cache.folder.iterdir()} == names
