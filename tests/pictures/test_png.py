"""Our own PNGs, as others read them: Pillow, libpng in OpenCV and imagecodecs, FFmpeg, and `pngcheck`."""

from __future__ import annotations

import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making import natural
from making_png import ICC, chunks_of
from PIL import Image, PngImagePlugin

from espcn_cli.errors import EspcnError
from espcn_cli.maths.levels import Levels
from espcn_cli.pictures import png, raster, reading, writing
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.raster import Raster
from espcn_cli.pictures.writing import Encoding

LEVELS = (None, *range(10))


def picture(width: int, height: int, channels: int, depth: int, seed: int = 0) -> Levels:
    colours = natural(width, height, seed)
    levels = np.concatenate([colours, colours[..., :1][::-1]], axis=2)[..., : channels if channels > 2 else 4]
    levels = levels if channels > 2 else levels[..., [0, 3]][..., :channels]
    low = np.random.default_rng(seed).integers(0, 256, levels.shape, np.uint16)
    return np.ascontiguousarray(levels if depth == 8 else levels.astype(np.uint16) * 256 + low)


def encoded(levels: Levels, level: int | None = None, tall: int = 7, **options: Any) -> bytes:
    """With its rows given a few at a time."""
    out = BytesIO()
    rows = (levels[start : start + tall] for start in range(0, len(levels), tall))
    png.write(out, png.shape_of(levels), rows, options, level)
    return out.getvalue()


def by_pillow(data: bytes) -> Levels:
    with Image.open(BytesIO(data)) as image:
        return np.atleast_3d(np.asarray(image))


def by_opencv(data: bytes) -> Levels:
    cv2 = pytest.importorskip("cv2", reason="needs OpenCV")
    decoded = np.atleast_3d(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))
    return decoded if decoded.shape[2] == 1 else decoded[..., [2, 1, 0, 3][: decoded.shape[2]]]


def by_imagecodecs(data: bytes) -> Levels:
    return np.atleast_3d(pytest.importorskip("imagecodecs", reason="needs imagecodecs").png_decode(data))


@pytest.fixture(params=["isal", "zlib"])
def deflate(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """By ISA-L, or as where it is not installed."""
    if request.param == "isal":
        pytest.importorskip("isal", reason="needs the extra 'fast'")
    else:
        monkeypatch.setattr(png, "has_isal", lambda: False)
    return str(request.param)


def check(path: Path, data: bytes) -> None:
    """What `pngcheck` says of a file."""
    if shutil.which("pngcheck") is None:
        pytest.skip("needs pngcheck")
    path.write_bytes(data)
    done = subprocess.run(["pngcheck", "-q", path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


# --- pixels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("channels", "depth"), [(1, 8), (2, 8), (3, 8), (4, 8), (1, 16)])
def test_pillow_reads_what_was_written(deflate: str, channels: int, depth: int, level: int | None) -> None:
    levels = picture(45, 38, channels, depth)
    assert np.array_equal(by_pillow(encoded(levels, level)), levels)


@pytest.mark.parametrize("level", [None, 1, 6])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("read", [by_opencv, by_imagecodecs])
def test_libpng_reads_what_was_written(
    deflate: str, read: Callable[[bytes], Levels], channels: int, depth: int, level: int | None
) -> None:
    levels = picture(45, 38, channels, depth)
    assert np.array_equal(read(encoded(levels, level)), levels)


def test_libpng_reads_grey_with_alpha_of_16_bits(deflate: str) -> None:
    levels = picture(45, 38, 2, 16)
    assert np.array_equal(by_imagecodecs(encoded(levels)), levels)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pngcheck_finds_nothing(deflate: str, tmp_path: Path, channels: int, depth: int) -> None:
    levels = picture(45, 38, channels, depth)
    check(tmp_path / "a.png", encoded(levels, icc_profile=ICC if channels > 2 else None, dpi=(300, 300)))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_the_smallest_pictures(deflate: str, size: tuple[int, int]) -> None:
    for level in LEVELS:
        levels = picture(*size, 4, 8)
        assert np.array_equal(by_pillow(encoded(levels, level)), levels)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_pieces_side_by_side_are_one_picture(
    deflate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """Whatever the rows come by, and however many threads deflate them, the bytes are the same."""
    monkeypatch.setattr(png, "PIECE", 3000)
    levels = picture(101, 97, 3, 8)
    expected = encoded(levels, tall=97)
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        for tall in (1, 2, 13, 50):
            out = BytesIO()
            rows = (levels[start : start + tall] for start in range(0, 97, tall))
            png.write(out, png.shape_of(levels), rows, {}, pool=pool if workers else None)
            assert out.getvalue() == expected
    assert np.array_equal(by_pillow(expected), levels)
    assert expected.count(b"IDAT") > 10
    check(tmp_path / "a.png", expected)


def test_memory_is_bounded_as_rows_are_not_taken_before_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """One piece for each row here: those that were given and are not yet in the file stay few."""
    monkeypatch.setattr(png, "PIECE", 300)
    levels, out, waiting = picture(100, 400, 3, 8), BytesIO(), []

    def rows() -> Iterator[Levels]:
        for start in range(400):
            waiting.append(start - out.getvalue().count(b"IDAT"))
            yield levels[start : start + 1]

    with ThreadPoolExecutor(2) as pool:
        png.write(out, png.shape_of(levels), rows(), {}, pool=pool)
    assert max(waiting) <= png.AHEAD * 2 + 1  # and the last, until it is known whether it ends the picture


@pytest.mark.parametrize("rows", [5, 7])
def test_rows_that_are_too_few_or_too_many_are_an_error(rows: int) -> None:
    levels = picture(5, rows, 3, 8)
    with pytest.raises(ValueError, match=f"{rows} rows of 6"):
        png.write(BytesIO(), png.Shape(5, 6, 3, 8), [levels], {})


def test_filters_are_those_of_the_standard() -> None:
    """By the formulas, byte by byte."""
    rng = np.random.default_rng(0)
    above, lines = rng.integers(0, 256, (1, 12), np.uint8), rng.integers(0, 256, (3, 12), np.uint8)

    def paeth(a: int, b: int, c: int) -> int:
        return min((a, b, c), key=lambda x: abs(a + b - c - x))  # the first of equals

    predictors = [lambda a, b, c: 0, lambda a, b, c: a, lambda a, b, c: b, lambda a, b, c: (a + b) // 2, paeth]
    filters = (png.none, png.sub, png.up, png.average, png.paeth)
    whole = np.concatenate([above, lines]).astype(int)
    for number, (function, predict) in enumerate(zip(filters, predictors, strict=True)):
        result = function(above, lines, 3)
        assert (result[:, 0] == number).all()
        for row in range(3):
            for x in range(12):
                a, c = (whole[y, x - 3] if x >= 3 else 0 for y in (row + 1, row))
                assert result[row, 1 + x] == (whole[row + 1, x] - predict(a, whole[row, x], c)) % 256


def test_the_checksum_of_joined_pieces_is_that_of_the_whole() -> None:
    data = np.random.default_rng(1).integers(0, 256, 100_000, np.uint8).tobytes()
    for cut in (0, 1, 70_000, 100_000):
        first, second = data[:cut], data[cut:]
        assert png._joined(zlib.adler32(first), zlib.adler32(second), len(second)) == zlib.adler32(data)


def test_levels_are_obeyed(deflate: str) -> None:
    """0 stores; the highest is smaller than the default, which is not far from Pillow's fastest."""
    levels = picture(300, 200, 3, 8)
    sizes = {level: len(encoded(levels, level)) for level in LEVELS}
    assert sizes[0] > levels.nbytes
    assert sizes[9] <= sizes[6] <= sizes[4] < 1.02 * sizes[1] and sizes[9] < (sizes[None] or 0)
    out = BytesIO()
    Image.fromarray(levels).save(out, "PNG", compress_level=1, compress_type=3)
    assert sizes[None] < 1.4 * len(out.getvalue())


# --- beside the pixels -----------------------------------------------------------------------------------------------


def test_chunks_are_those_that_pillow_writes(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", (45455).to_bytes(4, "big"))
    info.add_text("Comment", "words")
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    options: dict[str, Any] = {"icc_profile": ICC, "dpi": (300, 150), "exif": exif.tobytes(), "pnginfo": info}
    for channels in (3, 4):
        levels = picture(20, 15, channels, 8)
        (tmp_path / "a.png").write_bytes(encoded(levels, **options))
        Image.fromarray(levels).save(tmp_path / "b.png", **options)
        ours, theirs = chunks_of(tmp_path / "a.png"), chunks_of(tmp_path / "b.png")
        assert list(ours) == list(theirs)
        assert {name: data for name, data in ours.items() if name != "IDAT"} == {
            name: data for name, data in theirs.items() if name != "IDAT"
        }


def test_16_bits_in_colour_need_no_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("imagecodecs", "tifffile"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    levels = picture(9, 7, 3, 16)
    assert writing.write_document(Document((Raster(levels),)), tmp_path / "a.png").warnings == ()
    monkeypatch.undo()
    assert np.array_equal(by_imagecodecs((tmp_path / "a.png").read_bytes()), levels)


def test_a_picture_that_fails_on_its_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Raster) -> Iterator[Levels]:
        yield self.window(slice(0, 5), slice(0, 20))
        raise MemoryError

    monkeypatch.setattr(Raster, "bands", broken)
    with pytest.raises(MemoryError):
        writing.write_document(Document((Raster(Image.new("RGB", (20, 15))),)), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


# --- animations ------------------------------------------------------------------------------------------------------


def moving(mode: str, count: int = 5) -> list[Image.Image]:
    """A square that moves, stands still, and is gone; over a ground that is clear where there is alpha."""
    frames = []
    for x in (3, 9, 9, 20, None, 1)[:count]:
        image = raster.from_array(picture(40, 30, len(mode), 8)).image()
        if mode in ("LA", "RGBA"):
            image.putalpha(0)
        if x is not None:
            square = Image.fromarray(natural(8, 8, x)).convert(mode)
            image.paste(square, (x, 5))
        frames.append(image)
    return frames


@pytest.mark.parametrize("cover", [False, True])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_an_animation_shows_what_was_written(deflate: str, tmp_path: Path, mode: str, cover: bool) -> None:
    frames = moving(mode, 6)
    durations = (40.0, 100 / 3, 70.5, 0.0, 1000.0, 40.0)
    document = Document(tuple(map(Raster, frames)), durations=durations, plays=3, cover=cover)
    path = tmp_path / "a.png"
    assert writing.write_document(document, path).warnings == ()
    again = reading.read_document(path)
    assert (again.plays, again.cover, len(again.frames)) == (3, cover, 6)
    assert again.durations[cover:] == pytest.approx(durations[cover:], abs=0.01)
    for frame, read in zip(frames, again.frames, strict=True):
        assert np.array_equal(np.asarray(frame.convert("RGBA")), np.asarray(read.image().convert("RGBA")))
    check(path, path.read_bytes())


def test_ffmpeg_shows_the_same_frames(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="needs PyAV")
    frames = moving("RGBA")
    document = Document(tuple(map(Raster, frames)), durations=(40.0,) * 5, plays=0)
    writing.write_document(document, tmp_path / "a.apng")
    with av.open(str(tmp_path / "a.apng")) as file:
        shown = [frame.to_ndarray(format="rgba") for frame in file.decode(video=0)]
    for frame, image in zip(shown, frames, strict=True):
        assert np.array_equal(frame, np.asarray(image))


def test_a_frame_too_long_for_a_png_is_an_error(tmp_path: Path) -> None:
    document = Document(tuple(map(Raster, moving("RGB"))), durations=(1e9,) * 5)
    with pytest.raises(EspcnError, match=r"a\.png: cannot be written as PNG \(a frame of 1e\+09 ms is too long\)"):
        writing.write_document(document, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_only_what_changes_is_stored(tmp_path: Path) -> None:
    ground = natural(200, 150)
    frames = []
    for x in (10, 20, 30):
        levels = ground.copy()
        levels[40:50, x : x + 10] = 255
        frames.append(raster.from_array(levels))
    sizes = []
    for name, document in (
        ("one", Document(tuple(frames[:1]))),
        ("all", Document(tuple(frames), durations=(40.0,) * 3)),
    ):
        writing.write_document(document, tmp_path / f"{name}.png", Encoding())
        sizes.append((tmp_path / f"{name}.png").stat().st_size)
    assert sizes[1] < 1.1 * sizes[0]
