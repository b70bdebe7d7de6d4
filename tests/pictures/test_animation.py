"""Animations keep their frames, times and runs; what a format cannot hold of them is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import natural
from making_animations import DURATIONS, disc, frames_of, save_animation, through
from PIL import Image

from espcn_cli.pictures import animation, reading, writing
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.raster import Raster
from espcn_cli.upscaling.upscaler import Upscaler


@pytest.mark.parametrize("target", ["gif", "png", "webp"])
@pytest.mark.parametrize("source", ["gif", "png", "webp"])
@pytest.mark.parametrize("background", [(0, 0, 0, 0), (20, 90, 200)], ids=["clear", "opaque"])
def test_an_animation_keeps_every_frame_its_time_and_place(
    tmp_path: Path, bicubic: Upscaler, source: str, target: str, background: tuple[int, ...]
) -> None:
    path = save_animation(tmp_path / f"in.{source}", background, disposal=2 if source == "gif" else 0)
    through(bicubic, path, tmp_path / f"out.{target}")
    before, after = frames_of(path), frames_of(tmp_path / f"out.{target}")
    assert [time for _, time in after] == DURATIONS
    for (small, _), (large, _) in zip(before, after, strict=True):
        assert large.size == (64, 40)
        back = np.asarray(large.resize(small.size, Image.Resampling.BOX)).astype(int)
        there = np.asarray(small).astype(int)
        off = np.abs(back[..., 3] - there[..., 3]).mean() + np.abs(back - there)[there[..., 3] == 255].mean()
        assert off < 12, off


@pytest.mark.parametrize(("plays", "gif_loop"), [(0, 0), (1, None), (4, 3)])
def test_an_animation_runs_as_often_as_before(
    tmp_path: Path, bicubic: Upscaler, plays: int, gif_loop: int | None
) -> None:
    """A GIF counts the repeats after the first run and says nothing for one; APNG and WebP count runs."""
    path = save_animation(tmp_path / "in.png", loop=plays)
    for suffix, expected in ((".gif", gif_loop), (".webp", plays), (".png", plays)):
        through(bicubic, path, tmp_path / f"out{suffix}")
        with Image.open(tmp_path / f"out{suffix}") as image:
            assert image.info.get("loop") == expected
        through(bicubic, tmp_path / f"out{suffix}", tmp_path / f"again{suffix}.png")
        with Image.open(tmp_path / f"again{suffix}.png") as image:
            assert image.info.get("loop") == plays


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_equal_frames_in_a_row_stay_apart_in_png_or_are_said(tmp_path: Path, mode: str) -> None:
    """Pillow would merge them, libwebp does."""
    frames = [Raster(disc(index).convert(mode)) for index in (0, 0, 0, 1)]
    document = Document(tuple(frames), durations=tuple(map(float, DURATIONS)), plays=0)
    assert writing.write_document(document, tmp_path / "out.png").warnings == ()
    after = frames_of(tmp_path / "out.png")
    assert [time for _, time in after] == DURATIONS
    for (image, _), frame in zip(after, frames, strict=True):
        assert np.array_equal(np.asarray(image), np.asarray(frame.image().convert("RGBA")))
    for suffix, kind in (("gif", "GIF"), ("webp", "WEBP")):
        notes = writing.write_document(document, tmp_path / f"out.{suffix}").warnings
        assert f"2 frames equal to what is before: {kind} shows that longer instead" in notes
        assert [time for _, time in frames_of(tmp_path / f"out.{suffix}")] == [sum(DURATIONS[:3]), DURATIONS[3]]


def test_times_and_runs_that_a_format_cannot_hold_are_said(tmp_path: Path) -> None:
    frames = tuple(Raster(disc(index)) for index in range(4))
    document = Document(frames, durations=(5.0, 33.3, 33.3, 33.4), plays=3)
    said = writing.write_document(document, tmp_path / "out.gif").warnings
    assert "GIF counts in hundredths of a second: times were rounded" in said
    assert [time for _, time in frames_of(tmp_path / "out.gif")] == [10, 30, 30, 30]
    said = writing.write_document(document, tmp_path / "out.avif").warnings
    assert said == ("AVIF has no place for the number of runs: it runs for ever",)


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=50))
def test_hundredths_keep_the_pace(durations: list[float]) -> None:
    times = animation.in_hundredths(tuple(durations))
    assert all(time % 10 == 0 and (time > 0) == (wanted > 0) for time, wanted in zip(times, durations, strict=True))
    if all(wanted >= 10 for wanted in durations):
        assert abs(sum(times) - sum(durations)) <= 5


def test_frames_that_hang_over_the_screen_are_cut_off(tmp_path: Path) -> None:
    """Pillow lets the screen grow with them, and no format takes frames of several sizes."""
    image = Image.fromarray(natural(16, 12)).quantize(8)
    image.save(tmp_path / "in.gif", save_all=True, append_images=[image.rotate(90), image.rotate(180)], duration=80)
    data = bytearray((tmp_path / "in.gif").read_bytes())
    place = data.index(b"\x2c", data.index(b"\x2c\0\0\0\0\x10\0\x0c") + 9)
    while data[place + 5 : place + 9] != b"\x10\0\x0c\0":
        place = data.index(b"\x2c", place + 1)
    data[place + 1] = 5  # the second frame begins 5 pixels to the right
    (tmp_path / "in.gif").write_bytes(data)
    document = reading.read_document(tmp_path / "in.gif")
    assert {frame.size for frame in document.frames} == {(16, 12)}
    for suffix in ("gif", "png", "webp", "avif"):
        writing.write_document(document, tmp_path / f"out.{suffix}")
        assert len(frames_of(tmp_path / f"out.{suffix}")) == 3


def test_a_cover_picture_stays_one(tmp_path: Path, bicubic: Upscaler) -> None:
    cover = Image.new("RGBA", (32, 20), "blue")
    cover.save(
        tmp_path / "in.png",
        save_all=True,
        append_images=[disc(0), disc(1)],
        default_image=True,
        duration=[50, 60],
    )
    through(bicubic, tmp_path / "in.png", tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert image.info["default_image"] is True
    assert [time for _, time in frames_of(tmp_path / "out.png")][1:] == [50, 60]
    assert "cover" in through(bicubic, tmp_path / "in.png", tmp_path / "out.webp")[0]
    assert [time for _, time in frames_of(tmp_path / "out.webp")] == [50, 60]
