"""What a file tells of the losses that its picture went through, and what it does not."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making import Bytes, mutations, natural
from PIL import Image

from espcn_cli.pictures import reading
from espcn_cli.pictures.traces import STANDARD, Traces, mean_quantiser, quality, traces_of

PHOTO = Image.fromarray(natural(64, 48))
MOZJPEG = np.array(
    [
        [16, 16, 16, 18, 25, 37, 56, 85],
        [16, 17, 20, 27, 34, 40, 53, 75],
        [16, 20, 24, 31, 43, 62, 91, 135],
        [18, 27, 31, 40, 53, 74, 106, 156],
        [25, 34, 43, 53, 69, 94, 131, 189],
        [37, 40, 62, 74, 94, 124, 169, 238],
        [56, 53, 91, 106, 131, 169, 226, 311],
        [85, 75, 135, 156, 189, 238, 311, 418],
    ]
)
"""mozjpeg's usual table at quality 50 (N. Robidoux), coarser than the standard's for all but flat areas."""


def saved(image: Image.Image = PHOTO, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, **options)
    return file.getvalue()


def told(data: bytes) -> Traces:
    with Image.open(BytesIO(data)) as image:
        return traces_of(image)


@pytest.mark.parametrize("number", [1, 5, 10, 30, 49, 50, 51, 75, 90, 95, 99, 100])
def test_the_quality_of_a_jpeg_is_what_it_was_saved_with(number: int) -> None:
    assert told(saved(format="JPEG", quality=number)) == Traces(jpeg=number, halved=True)
    assert told(saved(PHOTO.convert("L"), format="JPEG", quality=number)) == Traces(jpeg=number)


def test_the_tables_of_a_tiff_and_of_a_jpeg_with_several_pictures_tell_it_too() -> None:
    assert told(saved(format="TIFF", compression="jpeg", quality=60)) == Traces(jpeg=60)  # of RGB, not of chroma
    several = saved(format="MPO", quality=60, save_all=True, append_images=[PHOTO])
    assert told(several) == Traces(jpeg=60, halved=True)
    assert told(saved(format="TIFF", compression="tiff_lzw")) == Traces()


def test_it_is_the_table_of_luma_that_counts() -> None:
    luma, chroma = np.array(STANDARD).ravel(), np.full(64, 99)
    assert told(saved(format="JPEG", qtables=[luma.tolist(), chroma.tolist()])) == Traces(jpeg=50, halved=True)


def test_whether_chroma_was_halved() -> None:
    """In both directions: what was halved in one, or not at all, keeps its detail in the other."""
    for sampling, halved in (("4:4:4", False), ("4:2:2", False), ("4:2:0", True)):
        assert told(saved(format="JPEG", subsampling=sampling)).halved is halved
    assert told(saved(format="WEBP", quality=80)).halved and not told(saved(format="WEBP", lossless=True)).halved
    assert not told(saved(PHOTO.convert("L"), format="JPEG")).halved
    assert not told(saved(PHOTO.convert("CMYK"), format="JPEG")).halved
    assert not told(saved(PHOTO.convert("L"), format="TIFF", compression="jpeg")).halved


def test_tables_of_other_encoders_are_taken_for_the_quality_that_they_are_like() -> None:
    assert quality(MOZJPEG.ravel()) in range(37, 43)
    assert quality((MOZJPEG // 2).ravel()) in range(65, 70)


@pytest.mark.parametrize(
    "table",
    [
        np.full(64, 16),
        np.full(64, 60),
        np.zeros(64),
        np.array(STANDARD)[::-1, ::-1].ravel(),
        np.random.default_rng(0).integers(1, 100, 64),
    ],
    ids=["flat", "coarse and flat", "none", "turned", "random"],
)
def test_a_table_that_is_like_none_tells_nothing(table: Bytes) -> None:
    assert quality(table) is None


def test_a_file_is_told_by_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "lying.png").write_bytes(saved(format="JPEG", quality=80))
    (tmp_path / "lying.jpg").write_bytes(saved(format="PNG"))
    assert reading.read_document(tmp_path / "lying.png").traces == Traces(jpeg=80, halved=True)
    assert reading.read_document(tmp_path / "lying.jpg").traces == Traces()


def test_a_lossy_webp_tells_its_quantiser_and_a_lossless_one_nothing() -> None:
    indices = [told(saved(format="WEBP", quality=number)).webp for number in (100, 90, 75, 50, 20, 0)]
    assert indices[0] == 0
    assert all(index is not None for index in indices)
    assert indices == sorted(indices)  # type: ignore[type-var]
    assert told(saved(format="WEBP", lossless=True)) == Traces()


def test_transparency_and_frames_do_not_hide_it() -> None:
    alone = told(saved(format="WEBP", quality=30)).webp
    clear = PHOTO.copy()
    clear.putalpha(Image.fromarray(natural(64, 48)[..., 0]))
    moving = saved(format="WEBP", quality=30, save_all=True, append_images=[PHOTO.rotate(90)])
    assert alone is not None
    for data in (saved(clear, format="WEBP", quality=30), moving):
        assert told(data).webp == pytest.approx(alone, abs=15)


@pytest.mark.parametrize("frame", [b"", bytes(30), b"\x00\x00\x00\x9d\x01\x2a" + bytes(3), b"\xff" * 40])
def test_a_damaged_frame_tells_no_quantiser(frame: bytes) -> None:
    assert mean_quantiser(frame) is None


def test_a_palette_tells_how_many_colours_are_used() -> None:
    few = PHOTO.quantize(17)
    assert told(saved(few, format="PNG")) == Traces(colours=17)
    assert told(saved(few, format="GIF")) == Traces(colours=17)
    assert told(saved(PHOTO.convert("1"), format="PNG")) == Traces(colours=2)
    assert told(saved(Image.new("P", (9, 9)), format="PNG")) == Traces(colours=1)
    assert told(saved(format="PNG")) == told(saved(PHOTO.convert("L"), format="PNG")) == Traces()


def test_a_picture_of_no_file_tells_nothing() -> None:
    assert traces_of(PHOTO) == traces_of(Image.new("RGBA", (3, 3))) == Traces()


@pytest.mark.parametrize("options", [{"format": "JPEG"}, {"format": "WEBP"}, {"format": "TIFF", "compression": "jpeg"}])
def test_damaged_headers_are_no_trouble(options: dict[str, Any]) -> None:
    """Whatever Pillow still opens tells something or nothing, and nothing else happens."""
    read = 0
    for data in mutations(saved(**options), 0, 300):
        try:
            image = Image.open(BytesIO(data))
        except Exception:
            continue
        with image:
            read += isinstance(traces_of(image), Traces)
    assert read > 20
