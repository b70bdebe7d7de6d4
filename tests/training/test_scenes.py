"""Scenes of `--degradation real`: what they are made of, and that a number says all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from espcn_cli.scoring import damages
from espcn_cli.scoring.damages import Damage, Jpeg, Rng
from espcn_cli.training import scenes
from espcn_cli.training.samples import Sample
from espcn_cli.training.scenes import ROUND, SIDE, STRENGTHS, Kind, Scene, Scenes


def flat(level: int, height: int = 300, width: int = 400) -> Sample:
    hr = torch.full((3, height, width), level, dtype=torch.uint8)
    return Sample(Path(str(level)), hr, hr[:, ::2, ::2])


def of(*levels: int, drawings: tuple[int, ...] = (), scale: int = 2, planes: int = 1, seed: int = 0) -> Scenes:
    return Scenes([flat(level) for level in levels], [flat(level) for level in drawings], scale, planes, seed)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("planes", [1, 3])
def test_a_scene_is_made_from_seed_and_number_alone(scale: int, planes: int) -> None:
    rows = [of(100, drawings=(50,), scale=scale, planes=planes) for _ in range(2)]
    for number in range(12):
        one, same = (row.make(number) for row in rows)
        assert torch.equal(one.hr, same.hr) and torch.equal(one.lr, same.lr)
        assert one.hr.shape == (planes, SIDE, SIDE) and one.lr.shape == (planes, SIDE // scale, SIDE // scale)
        assert one.hr.dtype == one.lr.dtype == torch.uint8
    other = of(100, scale=scale, planes=planes, seed=1)
    assert any(not torch.equal(other.make(n).lr, rows[0].make(n).lr) for n in range(12))


def test_a_small_picture_is_a_scene_whole() -> None:
    small = Scenes([flat(9, 48, 60)], [], 2, 1, 0)
    sizes = {small.make(number).size for number in range(20)}
    assert (24, 30) in sizes


def test_the_mixture_has_the_shares_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flat pictures tell themselves from pages that are drawn."""
    monkeypatch.setattr(scenes, "damage_to_learn", lambda rng: Damage("nearest"))
    row = of(100, drawings=(50,))
    kinds = [sorted(set(row.make(number).hr.flatten().tolist())) for number in range(400)]
    photographs, drawings = kinds.count([100]) / 400, kinds.count([50]) / 400
    assert drawings / (photographs + drawings) == pytest.approx(scenes.DRAWINGS, abs=0.05)
    drawn = sum(scenes.DRAWN_HERE.values())
    assert 1 - photographs - drawings == pytest.approx(drawn, abs=0.04)


def test_without_drawings_all_pictures_are_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "damage_to_learn", lambda rng: Damage("nearest"))
    row = of(100)
    assert sum(bool((row.make(n).hr == 100).all()) for n in range(100)) > 80


def test_lr_lies_where_hr_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean of each square of HR is its pixel of LR, if nothing but the size changes."""
    monkeypatch.setattr(scenes, "damage_to_learn", lambda rng: Damage("area"))
    noise = np.random.default_rng(0).integers(0, 256, (3, 320, 320), dtype=np.uint8)
    hr = torch.from_numpy(noise)
    row = Scenes([Sample(Path("noise"), hr, hr[:, ::2, ::2])], [], 2, 1, 0)
    errors = []
    for number in range(10):
        scene = row.make(number)
        means = torch.nn.functional.avg_pool2d(scene.hr[None].float(), 2)[0]
        errors.append(float((means - scene.lr).abs().mean()))
    assert np.median(errors) < 1


def test_detail_is_told_to_within_half_a_cell() -> None:
    lr = torch.zeros(1, 64, 64, dtype=torch.uint8)
    lr[0, 32:, 32:] = torch.randint(0, 256, (32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    scene = Scene.of(lr.repeat_interleave(2, 1).repeat_interleave(2, 2), lr)
    assert scene.detail(32, 32, 32) > 5 * scene.detail(16, 16, 32) / 4 > 0
    assert scene.detail(0, 0, 24) == 0


def test_every_damage_is_drawn_sooner_or_later() -> None:
    rng: Rng = np.random.default_rng(0)
    drawn = [damages.any_damage(rng) for _ in range(500)]
    assert {damage.kernel for damage in drawn} == set(damages.KERNELS)
    for name in ("blur", "sharpen", "noise", "shot", "colours", "webp", "jpegs"):
        share = sum(bool(getattr(damage, name)) for damage in drawn) / len(drawn)
        assert 0.03 < share < 0.6, name
    assert all(not (damage.noise and damage.shot) for damage in drawn)
    assert {len(damage.jpegs) for damage in drawn} == {0, 1, 2}


def test_more_is_learned_of_sharpening_and_palettes_than_there_is() -> None:
    rng: Rng = np.random.default_rng(0)
    usual, learned = ([draw(rng) for _ in range(6000)] for draw in (damages.any_damage, scenes.damage_to_learn))
    for name, more in (("sharpen", 0.063), ("colours", 0.028)):
        shares = [sum(getattr(damage, name) > 0 for damage in drawn) / len(drawn) for drawn in (usual, learned)]
        assert shares[1] - shares[0] == pytest.approx(more, abs=0.02), name
    assert {damage.kernel for damage in learned} == set(damages.KERNELS)


def test_strengths_take_turns_where_mixtures_are_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[float] = []
    found = scenes.strength_for

    def note(kind: Kind, damage: Damage) -> float:
        made.append(found(kind, damage))
        return made[-1]

    monkeypatch.setattr(scenes, "strength_for", note)
    row = replace(of(100, drawings=(50,)), in_turn=True)
    for number in range(12):
        row.make(number)
        assert made[-1] == ROUND[number % 6]


def test_a_round_has_every_strength_and_the_last_half_the_time() -> None:
    assert sorted(set(ROUND)) == list(STRENGTHS)
    assert ROUND.count(1.0) == len(ROUND) / 2


@pytest.mark.parametrize(
    ("kind", "damage", "strength"),
    [
        ("photograph", Damage("bicubic"), 0.25),
        ("text", Damage("lanczos"), 0.25),
        ("photograph", Damage("area"), 0.5),
        ("photograph", Damage("lanczos", noise=2), 0.5),
        ("photograph", Damage("lanczos", jpegs=(Jpeg(95),)), 0.5),
        ("photograph", Damage("lanczos", webp=85), 0.5),
        ("photograph", Damage("lanczos", shot=255 / 4), 0.75),
        ("photograph", Damage("area", jpegs=(Jpeg(85),)), 0.75),
        ("photograph", Damage("area", colours=64), 0.75),
        ("photograph", Damage("bicubic", jpegs=(Jpeg(95), Jpeg(70))), 1),
        ("photograph", Damage("nearest"), 1),
        ("photograph", Damage("lanczos", sharpen=40), 1),
        ("photograph", Damage("bicubic", halftone=3), 1),
        ("drawing", Damage("bicubic"), 1),
        ("single pixels", Damage("bicubic"), 1),
    ],
)
def test_the_strength_that_a_scene_needs(kind: Kind, damage: Damage, strength: float) -> None:
    assert scenes.strength_for(kind, damage) == strength
