"""Encoders by themselves; films as a whole are in `tests/cli/test_upscale_video.py`."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from making import natural

from espcn_cli.pictures import encoders
from espcn_cli.pictures.encoders import Encoder
from espcn_cli.pictures.planes import Clip, layout_of

av: Any = pytest.importorskip("av", reason="needs PyAV: pip install 'espcn[video]'")


def h264(width: int, height: int) -> Encoder:
    layout, rate = layout_of("yuv420p"), Fraction(25)
    assert layout is not None
    clip = Clip((width, height), layout, 1 / rate, rate)
    return Encoder("libx264", {"crf": "18", "preset": "veryfast"}, clip, "yuv420p", rate)


def coded(encoder: Encoder) -> bytes:
    context = encoder.context()
    packets = []
    for number in range(6):
        levels = np.roll(natural(*encoder.clip.size, seed=number // 2), number, 1)
        frame = av.VideoFrame.from_ndarray(levels, "rgb24").reformat(format="yuv420p")
        frame.pts = number
        packets += context.encode(frame)
    return b"".join(map(bytes, [*packets, *context.encode(None)]))


def test_the_same_frames_are_the_same_bytes_each_time() -> None:
    """With AVX-512, x264 read what lay behind its rows: now and then 96 x 64 came out otherwise."""
    generator, found = np.random.default_rng(0), set()
    for _ in range(30):
        junk = [generator.integers(0, 256, size).astype(np.uint8) for size in generator.integers(1_000, 300_000, 5)]
        found.add(coded(h264(96, 64)))
        del junk
    assert len(found) == 1


@pytest.mark.parametrize(("has", "expected"), [(True, {"x264-params": "asm=avx2"}), (False, {})])
def test_a_machine_is_asked_before_its_instructions_are_named(
    has: bool, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """x264 believes what it is told, and ends a process that has no AVX2."""
    monkeypatch.setattr(encoders, "_has_avx512", lambda: has)
    assert encoders.same_everywhere("libx264") == expected
    assert encoders.same_everywhere("libx265") == {}
