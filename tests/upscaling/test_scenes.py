"""One strength a scene: by what the decoder knows, and by what the picture shows where nothing was lost."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from making import natural, save_pair

from espcn_cli.pictures.planes import Clip, Frame, layout_of
from espcn_cli.upscaling.scenes import COARSE, DOUBT, DOUBT_OF_LOSSY, FINE, Origin, Scenes
from espcn_cli.upscaling.upscaler import Upscaler, load

LAYOUT = layout_of("gray")
assert LAYOUT is not None
CLIP = Clip((96, 64), LAYOUT, Fraction(1, 25), Fraction(25))


@pytest.fixture
def mixed(tmp_path: Path) -> Upscaler:
    return load(str(save_pair(tmp_path)[1]))


def frame(seed: int, quantiser: float | None = None, shift: int = 0) -> Frame:
    plane = np.roll(natural(96, 64, seed)[..., 1], shift, axis=1)
    return Frame(0, (plane,), 0, quantiser=lambda: quantiser)


def test_a_lossy_codec_gets_all_and_a_lossless_one_what_it_shows(mixed: Upscaler) -> None:
    lossless = Scenes(mixed, CLIP, Origin(True)).strength(frame(0))
    coarse = Scenes(mixed, CLIP, Origin(False, "h264")).strength(frame(0, COARSE))
    fine = Scenes(mixed, CLIP, Origin(False, "h264")).strength(frame(0, FINE))
    between = Scenes(mixed, CLIP, Origin(False, "h264")).strength(frame(0, (FINE + COARSE) / 2))
    assert coarse == 1
    assert lossless is not None
    assert fine == lossless - (DOUBT_OF_LOSSY - DOUBT)
    assert between == max(0.5, fine)


def test_without_a_quantiser_the_bits_decide(mixed: Upscaler) -> None:
    few = Scenes(mixed, CLIP, Origin(False, "hevc", 0.05)).strength(frame(0))
    many = Scenes(mixed, CLIP, Origin(False, "hevc", 8.0)).strength(frame(0))
    nothing = Scenes(mixed, CLIP, Origin(False, "vp6")).strength(frame(0))
    lossless = Scenes(mixed, CLIP, Origin(True)).strength(frame(0))
    assert lossless is not None
    assert (few, many, nothing) == (1, lossless - (DOUBT_OF_LOSSY - DOUBT), 1)


def test_it_changes_with_the_scene_alone(mixed: Upscaler) -> None:
    scenes = Scenes(mixed, CLIP, Origin(False, "h264"))
    found = [scenes.strength(frame(0, 40, shift)) for shift in range(4)]
    dark = Frame(4, (np.zeros((64, 96), np.uint8),), 4, quantiser=lambda: 0.0)
    found += [scenes.strength(dark), scenes.strength(dark)]
    assert found[:4] == [1] * 4
    assert found[4] == found[5]
    assert len(scenes.found) == 2


def test_a_strength_that_is_given_holds(mixed: Upscaler, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    fixed = load(str(save_pair(tmp_path / "other")[1]), strength=0.5)
    assert Scenes(fixed, CLIP, Origin(True)).strength(frame(0)) == 0.5
    assert Scenes(None, CLIP, Origin(True)).strength(frame(0)) is None
