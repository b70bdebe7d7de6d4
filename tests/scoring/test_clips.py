"""Clips: their first frames, and what H.264 leaves of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from making_clips import moving, save_clip

from espcn_cli.errors import EspcnError
from espcn_cli.scoring import clips

pytest.importorskip("av")


def test_the_first_frames_are_read_as_grey_pictures(tmp_path: Path) -> None:
    save_clip(tmp_path / "clip.mp4", 9, 64, 48)
    frames = list(clips.read(tmp_path / "clip.mp4", 5))
    assert len(frames) == 5 and len(list(clips.read(tmp_path / "clip.mp4", 50))) == 9
    for frame, drawn in zip(frames, moving(9, 64, 48), strict=False):
        assert frame.shape == (48, 64, 1) and frame.dtype == np.uint8
        assert np.abs(frame[..., 0].astype(int) - drawn).mean() < 1.5, "in full range, not 16-235"


def test_the_greater_the_factor_the_less_is_left_and_the_bits_are_the_same_each_time() -> None:
    frames = [frame[..., None] for frame in moving(6, 64, 48)]
    errors = []
    for crf in (1, 18, 33):
        left = clips.through_h264(frames, crf)
        assert [frame.shape for frame in left] == [(48, 64, 1)] * 6
        assert all((a == b).all() for a, b in zip(left, clips.through_h264(frames, crf), strict=True))
        errors.append(np.mean([np.abs(a.astype(int) - b).mean() for a, b in zip(left, frames, strict=True)]))
    assert errors[0] < 1 < errors[1] < errors[2]


@pytest.mark.parametrize("content", [b"", b"no video at all"])
def test_what_is_no_video_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clip.mp4").write_bytes(content)
    with pytest.raises(EspcnError, match=r"clip\.mp4: cannot be decoded .*: is it a video\?") as caught:
        list(clips.read(tmp_path / "clip.mp4", 3))
    assert "\n" not in str(caught.value)


def test_a_clip_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EspcnError, match=r"clip\.mp4: .*No such file"):
        list(clips.read(tmp_path / "clip.mp4", 3))
