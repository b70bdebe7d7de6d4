"""Y4M: every layout goes through it and comes back."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from io import BytesIO

import numpy as np
import pytest

from espcn_cli.errors import EspcnError
from espcn_cli.pictures.planes import Clip, Colours, layout_of
from espcn_cli.pictures.y4m import Reader, Writer, header


def clip(name: str, **more: object) -> Clip:
    layout = layout_of(name)
    assert layout is not None
    return replace(Clip((7, 5), layout, Fraction(1001, 30000), Fraction(30000, 1001)), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name",
    [
        *("gray", "gray9le", "gray10le", "gray16le", "yuv420p", "yuv422p", "yuv444p", "yuv411p", "yuv440p"),
        *("yuv420p9le", "yuv420p10le", "yuv422p12le", "yuv444p14le", "yuv444p16le", "yuva444p"),
    ],
)
def test_every_layout_comes_back(name: str) -> None:
    written = clip(name, aspect=Fraction(4, 3), colours=Colours(full=True))
    rng = np.random.default_rng(0)
    frames = [
        tuple(
            rng.integers(0, written.layout.most + 1, shape).astype(written.layout.dtype)
            for shape in written.layout.shapes((7, 5))
        )
        for _ in range(3)
    ]
    file = BytesIO()
    writer = Writer(file, written)
    for planes in frames:
        writer.write(planes)  # type: ignore[arg-type]
    file.seek(0)
    reader = Reader(file)
    assert reader.clip == written
    for frame, planes in zip(reader.frames(), frames, strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(frame.planes, planes, strict=True))


def test_a_header_by_hand() -> None:
    """Words as mjpegtools and FFmpeg write them."""
    reader = Reader(BytesIO(b"YUV4MPEG2 W720 H576 F25:1 Ip A12:11 C420mpeg2 XYSCSS=420MPEG2 XCOLORRANGE=LIMITED\n"))
    found = reader.clip
    assert (found.size, found.rate, found.aspect, found.siting) == ((720, 576), Fraction(25), Fraction(12, 11), "left")
    assert header(found) == b"YUV4MPEG2 W720 H576 F25:1 Ip A12:11 C420mpeg2 XCOLORRANGE=LIMITED\n"
    plain = Reader(BytesIO(b"YUV4MPEG2 W4 H4 F30:1\n")).clip
    assert (plain.siting, plain.layout.name, plain.colours.tagged) == ("centre", "yuv420p", False)


@pytest.mark.parametrize("name", ["gbrp", "yuva420p"])
def test_what_has_no_word_is_refused(name: str) -> None:
    with pytest.raises(EspcnError, match="cannot hold"):
        header(clip(name))


def test_a_frame_may_have_words_of_its_own() -> None:
    data = b"YUV4MPEG2 W2 H2 F1:1 Cmono\nFRAME Ip XSOMETHING\nabcd"
    [frame] = Reader(BytesIO(data)).frames()
    assert frame.planes[0].tobytes() == b"abcd"
