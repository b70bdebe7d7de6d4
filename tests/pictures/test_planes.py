"""Layouts of planes by FFmpeg's names, and what their levels mean."""

from __future__ import annotations

from fractions import Fraction

import pytest

from espcn_cli.pictures.planes import Clip, Colours, Layout, layout_of


@pytest.mark.parametrize(
    "name",
    [
        *("gray", "gray10le", "gray16le", "yuv420p", "yuv422p10le", "yuv444p12le", "yuv440p", "yuv411p", "yuv410p"),
        *("yuva420p", "yuva444p10le", "gbrp", "gbrp10le", "gbrap", "gbrap16le"),
    ],
)
def test_names_go_there_and_back(name: str) -> None:
    layout = layout_of(name)
    assert layout is not None
    assert layout.name == name


@pytest.mark.parametrize(
    "name", ["nv12", "rgb24", "pal8", "yuyv422", "p010le", "yuv420p10be", "monow", "bayer_bggr8", ""]
)
def test_what_is_not_planar_has_no_layout(name: str) -> None:
    assert layout_of(name) is None


def test_yuvj_is_yuv_whose_range_is_told_apart() -> None:
    assert layout_of("yuvj420p") == Layout("yuv", 8, 2, 2)


def test_odd_sizes_round_up() -> None:
    assert Layout("yuv", 8, 2, 2).shapes((5, 3)) == [(3, 5), (2, 3), (2, 3)]
    assert Layout("yuv", 8, 1, 1, alpha=True).shapes((5, 3)) == [(3, 5)] * 4


@pytest.mark.parametrize(
    ("depth", "full", "black", "white"),
    [(8, False, 16, 235), (10, False, 64, 940), (8, True, 0, 255), (12, True, 0, 4095)],
)
def test_black_and_white(depth: int, full: bool, black: int, white: int) -> None:
    clip = Clip((8, 8), Layout("yuv", depth, 2, 2), Fraction(1, 25), Fraction(25), Colours(full))
    assert (clip.black, clip.white) == (black, white)


def test_where_chroma_lies() -> None:
    def offsets(name: str, siting: str) -> tuple[float, float]:
        layout = layout_of(name)
        assert layout is not None
        return Clip((8, 8), layout, Fraction(1), Fraction(1), siting=siting).offsets  # type: ignore[arg-type]

    assert offsets("yuv420p", "left") == (0.5, 0.25)
    assert offsets("yuv420p", "topleft") == (0.25, 0.25)
    assert offsets("yuv420p", "centre") == (0.5, 0.5)
    assert offsets("yuv411p", "left") == (0.5, 0.125)
    assert offsets("yuv444p", "left") == (0.5, 0.5)
