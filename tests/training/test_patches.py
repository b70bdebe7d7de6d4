"""Training data: aligned, quantised, in eight orientations, and no bad file stops it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from making import save_picture

from espcn_cli.errors import EspcnError
from espcn_cli.maths.colour import luma
from espcn_cli.maths.resize import crop_to_multiple, degrade
from espcn_cli.scoring import tensors
from espcn_cli.training.events import Skipped
from espcn_cli.training.parallel import Group
from espcn_cli.training.patches import DataSet, DetailMaps, DevicePatches, Patches, hold_out, load_data
from espcn_cli.training.samples import Recipe, Sample, detail

RECIPE = Recipe(scale=2, planes=1)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("planes", [1, 3])
def test_lr_is_the_exact_degradation_of_the_whole_picture(tmp_path: Path, scale: int, planes: int) -> None:
    path = save_picture(tmp_path / "a.png", 41, 35)
    (sample,) = load_data([path], Recipe(scale, planes), 12).samples
    assert isinstance(sample, Sample)
    hr = crop_to_multiple(tensors.read(path).pixels, scale)
    lr = degrade(hr, scale)
    expected = (luma(lr) if planes == 1 else lr)[0]
    assert sample.lr.dtype == sample.hr.dtype == torch.uint8
    assert sample.hr.shape == (planes, 35 // scale * scale, 41 // scale * scale)
    assert (sample.lr / 255 - expected).abs().max() <= 0.5 / 255 + 1e-6


def test_patches_stay_aligned_in_every_orientation(tmp_path: Path) -> None:
    """HR made of constant 2×2 blocks degrades to nearly those blocks; a patch out of step would differ greatly."""
    lr = torch.randint(0, 256, (1, 20, 30), dtype=torch.uint8)
    hr = lr.repeat_interleave(2, 1).repeat_interleave(2, 2)
    patches = Patches(DataSet([Sample(tmp_path, hr, lr)], [], 2), patch=8, batch=64)
    small, large = patches.draw(torch.Generator().manual_seed(3))
    assert small.shape == (64, 1, 4, 4)
    assert large.shape == (64, 1, 8, 8)
    assert torch.equal(large, small.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_the_eight_orientations_are_all_different_and_all_drawn(tmp_path: Path) -> None:
    square = torch.arange(9.0).view(1, 3, 3)
    sample = Sample(tmp_path, square.byte().repeat_interleave(2, 1).repeat_interleave(2, 2), square.byte())
    patches = Patches(DataSet([sample], [], 2), patch=6, batch=200)
    lr, _ = patches.draw(torch.Generator().manual_seed(0))
    assert len({tuple(patch.flatten().tolist()) for patch in lr}) == 8


def test_every_picture_is_drawn_as_often_and_every_position_in_it(tmp_path: Path) -> None:
    """Two pictures of 2×3 and 1×1 positions: seven patches, told apart by their first value."""
    one = torch.arange(12, dtype=torch.uint8).view(1, 3, 4)
    two = torch.full((1, 2, 2), 100, dtype=torch.uint8)
    samples = [Sample(tmp_path, x.repeat_interleave(2, 1).repeat_interleave(2, 2), x) for x in (one, two)]
    patches = Patches(DataSet(samples, [], 2), patch=4, batch=700)
    lr, _ = patches.draw(torch.Generator().manual_seed(0))
    counts = Counter((lr * 255).round().amin(dim=(1, 2, 3)).int().tolist())
    assert sorted(counts) == [0, 1, 2, 4, 5, 6, 100]
    assert 310 < counts.pop(100) < 390  # 350 are expected
    assert min(counts.values()) > 35 and max(counts.values()) < 85  # 58 of each


def test_detail_is_how_much_neighbours_differ_in_each_cell() -> None:
    """Two cells and a half: stripes across (each pixel differs from the one below by 100), grey, and grey."""
    lr = torch.full((1, 8, 20), 50, dtype=torch.uint8)
    lr[:, ::2, :8] = 150
    cells = detail(lr)
    assert cells.shape == (1, 3)
    assert cells[0].tolist() == [100 + 4 * 100 / 64, 0, 0]  # four stripes end beside the grey
    assert detail(torch.zeros(3, 1, 1, dtype=torch.uint8)).tolist() == [[0]]


@pytest.mark.parametrize("scale", [2, 3])
def test_of_its_candidates_a_patch_is_the_most_detailed(tmp_path: Path, scale: int) -> None:
    """A picture half flat, half noise: one candidate is flat as often as not, of five hardly one in 2^5."""
    lr = torch.full((1, 40, 80), 128, dtype=torch.uint8)
    lr[:, :, 40:] = torch.randint(0, 256, (1, 40, 40), generator=torch.Generator().manual_seed(0))
    hr = lr.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    pictures = DataSet([Sample(tmp_path, hr, lr)], [], scale)

    def flat(candidates: int) -> float:
        patches = Patches(pictures, 16 * scale, 400, candidates)
        drawn, _ = patches.draw(torch.Generator().manual_seed(1))
        return float((drawn.std(dim=(1, 2, 3)) == 0).float().mean())

    alone = flat(1)
    assert 0.3 < alone < 0.5  # 25 of 65 columns
    assert flat(2) == pytest.approx(alone**2, abs=0.07)
    assert flat(5) < 0.05


@pytest.mark.parametrize("patch", [6, 16, 20, 48])
def test_the_detail_of_a_patch_is_known_to_within_half_a_cell(patch: int) -> None:
    """On a slope that steepens evenly, detail tells the position, in pictures of any size."""
    sizes = [(48, 57), (50, 90)]
    lr = [((torch.arange(w).view(1, 1, w) ** 2) / 40).expand(1, h, w).to(torch.uint8) for h, w in sizes]
    samples = [Sample(Path("a"), x, x) for x in lr]
    maps = DetailMaps(samples, patch)
    for index, (h, w) in enumerate(sizes):
        columns = torch.arange(w - patch + 1)
        for row in (0, h - patch):
            known = maps.at(torch.full_like(columns, index), row * (w - patch + 1) + columns)
            middle = columns + (patch - 1) / 2
            assert (known - 2 * middle / 40).abs().max() <= 2 / 40 * 8 + 0.5  # a cell, and what uint8 rounds
            assert (known.diff() >= -0.1).all()


def test_same_seed_same_batches(tmp_path: Path) -> None:
    loaded = load_data([save_picture(tmp_path / f"{i}.png", 40, 40, i) for i in range(3)], RECIPE, 16)
    patches = Patches(loaded, 16, 4)
    first = [patches.draw(torch.Generator().manual_seed(5))[0] for _ in range(2)]
    assert torch.equal(*first)
    assert not torch.equal(first[0], patches.draw(torch.Generator().manual_seed(6))[0])


@pytest.mark.parametrize("kind", ["plain", "damaged anew", "on a device"])
def test_of_a_batch_each_process_makes_its_share_alone(tmp_path: Path, kind: str) -> None:
    """And the generator is where it is after a whole batch, so that all go on alike."""
    loaded = load_data([save_picture(tmp_path / f"{i}.png", 40, 40, i) for i in range(3)], RECIPE, 16)
    on_cpu = DevicePatches(loaded, 16, 6, 2, device=torch.device("cpu"))
    patches = on_cpu if kind == "on a device" else Patches(loaded, 16, 6, 2, degraded_anew=kind == "damaged anew")
    generators = [torch.Generator().manual_seed(5) for _ in range(3)]
    whole = patches.draw(generators[0])
    for rank, generator in enumerate(generators[1:]):
        share = Group(rank, 2).share
        for own, side in zip(patches.draw(generator, 0, share), whole, strict=True):
            assert len(own) == 3 and torch.equal(own, side[share])
        assert torch.equal(generator.get_state(), generators[0].get_state())


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("candidates", [1, 3])
def test_a_device_cuts_the_same_patches_all_at_once(tmp_path: Path, candidates: int, scale: int, planes: int) -> None:
    """Pictures of different sizes and all orientations, at the first size asked for and at another."""
    paths = [save_picture(tmp_path / f"{i}.png", 40 + 7 * i, 52 - 5 * i, i) for i in range(3)]
    loaded = load_data(paths, Recipe(scale, planes), 24)
    host = Patches(loaded, 12, 32, candidates)
    device = DevicePatches(loaded, 12, 32, candidates, device=torch.device("cpu"))
    for one, other in ((host, device), (host.of_size(24), device.of_size(24))):
        expected = one.draw(torch.Generator().manual_seed(4))
        got = other.draw(torch.Generator().manual_seed(4))
        assert all(torch.equal(a, b) for a, b in zip(expected, got, strict=True))
    assert host.draw(torch.Generator())[1].shape[-1] == 12  # the first is as it was


@pytest.mark.parametrize("candidates", [1, 2])
def test_larger_patches_come_from_the_pictures_that_hold_them(tmp_path: Path, candidates: int) -> None:
    sizes = {10: (25, 25), 20: (44, 30), 30: (40, 60)}
    samples = []
    for value, (h, w) in sizes.items():
        lr = torch.full((1, h, w), value, dtype=torch.uint8)
        samples.append(Sample(tmp_path, lr.repeat_interleave(2, 1).repeat_interleave(2, 2), lr))
    loaded = DataSet(samples, [], 2)
    assert loaded.largest_patch == 80
    patches = Patches(loaded, 40, 300, candidates)
    for size, expected in ((40, {10, 20, 30}), (60, {20, 30}), (80, {30})):
        lr, hr = patches.of_size(size).draw(torch.Generator().manual_seed(0))
        assert hr.shape[-2:] == (size, size)
        assert set((lr * 255).round().int().flatten().tolist()) == expected


def test_files_that_cannot_be_used_are_named_and_passed_over(tmp_path: Path) -> None:
    good = save_picture(tmp_path / "good.png", 40, 40)
    small = save_picture(tmp_path / "small.png", 8, 40)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    loaded = load_data([good, small, tmp_path / "broken.png"], RECIPE, 16)
    assert len(loaded.samples) == 1
    assert loaded.skipped[0] == Skipped(small, f"{small}: 8 x 40 is smaller than a patch of 16 x 16", too_small=True)
    assert loaded.skipped[1].path == tmp_path / "broken.png" and "broken.png" in loaded.skipped[1].line
    assert not loaded.skipped[1].too_small


def test_no_usable_picture_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EspcnError, match=r"no usable picture among 1 file; .*small\.png.*: use a smaller --patch-size"):
        load_data([save_picture(tmp_path / "small.png", 8, 8)], RECIPE, 16)


def test_smaller_patches_are_no_remedy_for_a_file_that_only_sounds_small(tmp_path: Path) -> None:
    """What is known of a file is not looked for in what is said of it, which holds its name."""
    (tmp_path / "is smaller than a patch.png").write_bytes(b"\x89PNG")
    with pytest.raises(EspcnError, match="no usable picture among 1 file") as caught:
        load_data([tmp_path / "is smaller than a patch.png"], RECIPE, 16)
    assert "--patch-size" not in str(caught.value)


def test_the_fingerprint_knows_the_pictures(tmp_path: Path) -> None:
    paths = [save_picture(tmp_path / f"{i}.png", 32, 32, i) for i in range(2)]
    prints = [load_data(some, RECIPE, 16).fingerprint for some in (paths, paths, paths[:1])]
    assert prints[0] == prints[1] != prints[2]
    assert prints[0]["files"] == 2
    assert prints[0]["pixels"] == 2 * 32 * 32


def test_a_tenth_of_what_is_usable_is_held_out_the_same_way_each_time() -> None:
    pixel = torch.zeros(1, 2, 2, dtype=torch.uint8)
    whole = DataSet([Sample(Path(f"{i:02}.png"), pixel, pixel) for i in range(25)], [], 2)
    kept, held = hold_out(whole)
    assert [path.stem for path in held] == ["09", "19"]
    assert sorted([*held, *(sample.path for sample in kept.samples)]) == [sample.path for sample in whole.samples]
    three = DataSet(whole.samples[:3], [], 2)
    assert hold_out(three)[1] == [Path("02.png")]
    with pytest.raises(EspcnError, match="--valid"):
        hold_out(DataSet(whole.samples[:1], [], 2))
