"""Frames that follow each other: what has not changed is not computed again, and nobody can tell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making import natural, save_checkpoint

from espcn_cli.engines.engine import Engine, NotFiniteError
from espcn_cli.maths.levels import Levels
from espcn_cli.upscaling.moving import Moving
from espcn_cli.upscaling.upscaler import load


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return load(str(save_checkpoint(tmp_path / "tiny.safetensors", tail=0.1))).engine


def test_a_frame_like_the_last_costs_nothing(engine: Engine) -> None:
    moving, frame = Moving(16, 235), natural(64, 48)[..., :1]
    first, _ = moving(frame, engine)
    again, _ = moving(frame.copy(), engine)
    assert again is first
    assert moving.computed == 1


def test_what_changes_in_one_place_is_computed_there(engine: Engine) -> None:
    """And every frame is what it would be alone, to the bit: the halo sees to it."""
    moving, frame = Moving(16, 235), natural(256, 192)[..., :1].copy()
    moving(frame, engine)
    rng = np.random.default_rng(0)
    for _ in range(6):
        frame = frame.copy()
        top, left = rng.integers(0, 180), rng.integers(0, 240)
        frame[top : top + 12, left : left + 12] = rng.integers(0, 256)
        large, _ = moving(frame, engine)
        assert np.array_equal(large, engine.upscale([frame], 16, 235)[0])
    assert moving.computed < 4


def test_what_changes_everywhere_is_computed_whole(engine: Engine) -> None:
    moving = Moving(16, 235)
    for seed in range(3):
        frame = natural(64, 48, seed)[..., :1]
        assert np.array_equal(moving(frame, engine)[0], engine.upscale([frame], 16, 235)[0])
    assert moving.computed == 3


def test_another_engine_or_size_begins_anew(engine: Engine, tmp_path: Path) -> None:
    other = load(str(save_checkpoint(tmp_path / "other.safetensors", tail=0.3))).engine
    moving, frame = Moving(0, 255), natural(64, 48)[..., :1]
    moving(frame, engine)
    assert np.array_equal(moving(frame, other)[0], other.upscale([frame], 0, 255)[0])
    assert np.array_equal(moving(frame[:40], other)[0], other.upscale([frame[:40]], 0, 255)[0])


def test_tiles_give_the_same(engine: Engine) -> None:
    frame = natural(64, 48)[..., :1]
    assert np.array_equal(Moving(0, 255, 16)(frame, engine)[0], Moving(0, 255, 0)(frame, engine)[0])


def test_frames_that_go_together_are_those_that_go_one_by_one(engine: Engine) -> None:
    """Whole ones, some that changed in one place, and some that did not change."""
    rng, frames = np.random.default_rng(0), [natural(256, 192)[..., :1].copy()]
    for kind in ("place", "none", "place", "whole", "none", "place"):
        frame = frames[-1].copy() if kind != "whole" else natural(256, 192, 5)[..., :1].copy()
        if kind == "place":
            frame[40:52, 60:72] = rng.integers(0, 256)
        frames.append(frame)
    alone, together = Moving(16, 235), Moving(16, 235)
    expected = [alone(frame, engine)[0] for frame in frames]
    found = together.together(frames[:4], engine)[0] + together.together(frames[4:], engine)[0]
    assert all(np.array_equal(one, other) for one, other in zip(expected, found, strict=True))
    assert together.computed == pytest.approx(alone.computed)


class Overflowing:
    """An engine whose half precision overflows on bright frames."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def upscale(self, windows: Sequence[Levels], black: int, white: int) -> list[Levels]:
        if any(window.max() == 255 for window in windows):
            raise NotFiniteError("fp16 overflows on this picture")
        return [large // 2 for large in self.engine.upscale(windows, black, white)]

    def exact(self) -> Engine:
        return self.engine


def test_a_frame_that_overflows_is_done_anew_and_alone(engine: Engine) -> None:
    half: Any = Overflowing(engine)
    frames = [natural(64, 48, seed)[..., :1] // 2 for seed in range(3)]
    frames[1] = frames[0].copy()
    frames[1][3, 3] = 255
    found, notes = Moving(0, 255).together(frames, half)
    assert notes == ["fp16 overflows on this picture: done in fp32"]
    assert np.array_equal(found[0], half.upscale([frames[0]], 0, 255)[0])
    assert np.array_equal(found[1], engine.upscale([frames[1]], 0, 255)[0])
    assert np.array_equal(found[2], half.upscale([frames[2]], 0, 255)[0])
