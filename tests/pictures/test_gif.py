"""GIFs as a viewer shows them: equal pixels in are equal pixels out, from one palette where there was one."""

from __future__ import annotations

from io import BytesIO
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import Bytes, natural
from making_animations import disc, through
from making_gif import Part, made, shown, still_life, tables
from PIL import Image

from espcn_cli.pictures import gif, reading
from espcn_cli.upscaling.upscaler import Upscaler


def written(images: list[Image.Image], durations: list[float] | None = None, palettes: tuple[int, ...] = ()) -> bytes:
    file = BytesIO()
    gif.write(images, file, {"loop": 0, "comment": b"made here"}, durations or [40.0] * len(images), palettes)
    return file.getvalue()


def enlarged(upscaler: Upscaler, data: bytes, folder: Path) -> bytes:
    """File to file."""
    (folder / "in.gif").write_bytes(data)
    through(upscaler, folder / "in.gif", folder / "out.gif")
    return (folder / "out.gif").read_bytes()


def as_a_gif_holds_it(image: Image.Image) -> Bytes:
    levels = np.array(image.convert("RGBA"))
    levels[..., 3] = np.where(levels[..., 3] < 128, 0, 255)
    levels[levels[..., 3] == 0] = 0
    return levels


@st.composite
def animations(draw: Any) -> tuple[list[Image.Image], list[float], tuple[int, ...]]:
    """Random frames of few or many colours, each the one before with a random piece changed, or not."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    height, width, count = (int(number) for number in rng.integers(1, 12, 3))
    colours = rng.integers(0, 256, (draw(st.sampled_from([2, 5, 40, 400])), 4), np.uint8)
    colours[:, 3] = rng.choice(draw(st.sampled_from([[255], [0, 255], [0, 127, 128, 255]])), len(colours))
    frame = rng.choice(colours, (height, width))
    frames = []
    for _ in range(count):
        frames.append(Image.fromarray(frame))
        frame = frame.copy()
        y, x, h, w = rng.integers(0, 8, 4)
        frame[y : y + h, x : x + w] = rng.choice(colours, frame[y : y + h, x : x + w].shape[:2])
    palettes = draw(st.sampled_from([(), tuple(range(count)), tuple(index % 2 for index in range(count))]))
    return frames, [float(time * 10) for time in rng.integers(1, 30, count)], palettes


@given(animations(), st.sampled_from(["L", "LA", "RGB", "RGBA"]))
def test_frames_of_few_colours_are_shown_as_they_were(
    animation: tuple[list[Image.Image], list[float], tuple[int, ...]], mode: str
) -> None:
    """By the specification, and by Pillow; a frame that equals the one before makes that one longer."""
    images = [image.convert(mode) for image in animation[0]]
    expected: list[tuple[Bytes, float]] = []
    for image, duration in zip(images, animation[1], strict=True):
        frame = as_a_gif_holds_it(image)
        if expected and np.array_equal(expected[-1][0], frame):
            duration += expected.pop()[1]
        expected.append((frame, duration))
    data = written(images, animation[1])
    found = shown(data)
    assert [duration for _, duration in found] == [duration for _, duration in expected]
    if len(np.unique(np.concatenate([frame.reshape(-1, 4) for frame, _ in expected]), axis=0)) <= 255:
        assert all(np.array_equal(now, then) for (now, _), (then, _) in zip(found, expected, strict=True))
    with Image.open(BytesIO(data)) as image:
        for index, (frame, _) in enumerate(found):
            image.seek(index)
            assert np.array_equal(as_a_gif_holds_it(image), frame)


@given(animations())
def test_what_is_equal_stays_equal_however_many_colours_there_are(
    animation: tuple[list[Image.Image], list[float], tuple[int, ...]],
) -> None:
    """Within one palette in any two frames; with several, from each frame to the next."""
    images, _, palettes = animation
    kept = [images[0], *(after for before, after in pairwise(images) if before.tobytes() != after.tobytes())]
    if len(kept) < len(images):
        return
    found = [frame for frame, _ in shown(written(images, palettes=palettes))]
    for first, second in pairwise(range(len(images))) if palettes else combinations(range(len(images)), 2):
        same = (as_a_gif_holds_it(images[first]) == as_a_gif_holds_it(images[second])).all(axis=2)
        assert np.array_equal(found[first][same], found[second][same])


def test_all_256_colours_are_kept_where_none_is_free_for_holes() -> None:
    greys = np.arange(256, dtype=np.uint8).reshape(16, 16)
    images = [Image.fromarray(np.roll(greys, shift, axis=1)) for shift in (0, 1, 1, 5)]
    for (frame, _), image in zip(shown(written(images)), [images[0], images[1], images[3]], strict=True):
        assert np.array_equal(frame, as_a_gif_holds_it(image))
    clear = [image.convert("LA") for image in images]
    clear[1].putpixel((3, 3), (0, 0))
    for (frame, _), image in zip(shown(written(clear)), clear, strict=False):
        assert np.abs(frame.astype(int) - as_a_gif_holds_it(image)).max() <= 4


@pytest.mark.parametrize("own_palettes", [False, True])
@pytest.mark.parametrize("disposal", [0, 1, 2, 3])
@pytest.mark.parametrize("colours", [4, 200, 256])
def test_a_still_background_stays_still(
    tmp_path: Path, bicubic: Upscaler, colours: int, disposal: int, own_palettes: bool
) -> None:
    """One palette in, also if each frame repeats it, is one palette out; and the file grows as the picture does."""
    images = still_life(colours)
    parts: list[Part] = [(image, (0, 0), disposal, None) for image in images]
    data = enlarged(bicubic, made(parts, (96, 72), own_palettes), tmp_path)
    frames = [frame for frame, _ in shown(data)]
    assert len(frames) == len(images)
    assert tables(data) == 0
    for frame in frames[1:]:
        assert np.array_equal(frame[: 2 * 50], frames[0][: 2 * 50])
    assert len(data) < 1.5 * len(enlarged(bicubic, made(parts[:1], (96, 72), own_palettes), tmp_path))


def test_partial_frames_and_holes_of_the_source(tmp_path: Path, bicubic: Upscaler) -> None:
    """A sticker that moves over a still one, in parts that begin anywhere and go again."""
    still, moving = Image.new("P", (40, 30), 1), Image.new("P", (9, 8), 2)
    for image in (still, moving):
        image.putpalette([0, 0, 0, 20, 200, 60, 220, 30, 20])
    still.paste(0, (0, 0, 40, 12))
    parts: list[Part] = [(still, (0, 0), 1, 0), *((moving, (4 * index, 1), 3 - index % 2, 0) for index in range(5))]
    data = enlarged(bicubic, made(parts, (40, 30), True), tmp_path)
    frames = [frame for frame, _ in shown(data)]
    assert (len(frames), tables(data)) == (6, 0)
    for index, frame in enumerate(frames[1:]):
        assert np.array_equal(frame[26:], frames[0][26:])
        assert (frame[6:14, 8 * index + 4 : 8 * index + 14] == (220, 30, 20, 255)).all()
        assert not frame[:20, 8 * index + 22 :].any() and not frame[:20, : max(8 * index - 4, 0)].any()


def test_frames_that_had_palettes_of_their_own_have_them_again(tmp_path: Path, bicubic: Upscaler) -> None:
    """A slide show in a still border: every slide in its own colours, and the border stands."""
    border = Image.fromarray(natural(60, 50)).quantize(256)
    slides = [Image.fromarray(natural(30, 24, seed) // (seed + 1)).quantize(256) for seed in (1, 2, 1)]
    parts: list[Part] = [(border, (0, 0), 1, None), *((slide, (15, 13), 1, None) for slide in slides)]
    data = enlarged(bicubic, made(parts, (60, 50), True), tmp_path)
    document = reading.read_document(tmp_path / "in.gif")
    assert document.palettes == (0, 1, 2, 1)
    frames = [frame for frame, _ in shown(data)]
    assert tables(data) == 3
    for frame in frames[1:]:
        assert np.array_equal(frame[:22], frames[0][:22]) and np.array_equal(frame[:, :26], frames[0][:, :26])
    for frame, exact in zip(frames, bicubic.document(document).frames, strict=True):
        assert np.abs(frame[..., :3].astype(int) - exact.array()).mean() < 4


def test_other_animations_get_one_palette(tmp_path: Path, bicubic: Upscaler) -> None:
    for suffix in ("png", "webp"):
        frames = [disc(index, (20, 90, 200)) for index in range(4)]
        source = tmp_path / f"in.{suffix}"
        frames[0].save(source, save_all=True, append_images=frames[1:], duration=80, lossless=True)
        through(bicubic, source, tmp_path / "out.gif")
        assert tables((tmp_path / "out.gif").read_bytes()) == 0


def test_which_frames_share_a_palette() -> None:
    """Those whose colours fit into one, whatever their order and number."""
    rng = np.random.default_rng(0)
    full, other = (rng.integers(0, 256, 768, np.uint8).tobytes() for _ in range(2))
    part = np.frombuffer(full[300:492], np.uint8).reshape(-1, 3)[::-1].tobytes()
    parts: list[Part] = []
    for table in (full, other, part, full, other[:48], bytes(6)):
        image = Image.new("P", (4, 3))
        image.putpalette(table)
        parts.append((image, (0, 0), 1, None))
    own = made(parts, (4, 3), own_palettes=True)
    assert gif.palettes(BytesIO(own)) == (0, 1, 0, 0, 1, 2)
    assert gif.palettes(BytesIO(made(parts, (4, 3), own_palettes=False))) == (0,) * 6
    assert gif.palettes(BytesIO(own[: len(own) // 2])) == (0, 1)
    assert gif.palettes(BytesIO(b"GIF89a")) == ()


def test_a_single_picture_is_a_plain_gif(tmp_path: Path) -> None:
    file = tmp_path / "a.gif"
    gif.write([disc(1)], file, {})
    [(frame, duration)] = shown(file.read_bytes())
    assert np.array_equal(frame, as_a_gif_holds_it(disc(1))) and duration == 0
    assert b"NETSCAPE" not in file.read_bytes()
