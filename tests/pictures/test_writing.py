"""Writing pictures: what is rounded, what a format cannot hold, and what is refused."""

from __future__ import annotations

import struct
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from making import natural
from making_animations import disc, save_animation, through
from making_png import PICTURE
from PIL import Image

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.paths import STREAM
from espcn_cli.pictures import raster, reading, writing
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.folders import WRITTEN
from espcn_cli.pictures.raster import Raster
from espcn_cli.pictures.writing import EXTRAS, Encoding, format_of, is_writable, pillows_name
from espcn_cli.scoring import tensors
from espcn_cli.scoring.tensors import Picture
from espcn_cli.upscaling.upscaler import Upscaler


def test_values_are_rounded_and_clipped_when_written() -> None:
    pixels = torch.tensor([-0.2, 0.4 / 255, 0.6 / 255, 1.3]).view(1, 1, 2, 2)
    assert list(tensors.to_depth(pixels).flat) == [0, 0, 1, 255]


def test_what_a_format_cannot_hold_is_said(tmp_path: Path) -> None:
    clear = Picture(torch.zeros(1, 3, 4, 4), alpha=torch.zeros(1, 1, 4, 4))
    written = tensors.write(clear, tmp_path / "a.jpg")
    assert "JPEG holds no transparency" in written.warnings[0]
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.getpixel((0, 0)) == (255, 255, 255)
    assert "8 bits" in tensors.write(Picture(torch.zeros(1, 1, 4, 4), depth=16), tmp_path / "b.jpg").warnings[0]


def hidden(grey: bool = False) -> Document:
    """Colours under an alpha that is data: clear on the left, opaque on the right."""
    colours = natural(16, 12)[..., :1] if grey else natural(16, 12)
    alpha = np.where(np.arange(16) < 8, 0, 200).astype(np.uint8)
    levels = np.dstack([colours, np.tile(alpha, (12, 1))])
    return Document((raster.from_array(levels),), alpha="separate")


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".tga", ".jp2"])
def test_hidden_colours_are_kept_where_alpha_is_separate(tmp_path: Path, suffix: str) -> None:
    document = hidden()
    assert writing.write_document(document, tmp_path / f"a{suffix}").warnings == ()
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert np.array_equal(np.asarray(image), document.frames[0].array())


@pytest.mark.parametrize("suffix", [".jpg", ".bmp", ".ppm", ".gif"])
@pytest.mark.parametrize("grey", [False, True])
def test_separate_alpha_is_left_out_where_it_has_no_place(tmp_path: Path, suffix: str, grey: bool) -> None:
    """It is no transparency, so that nothing is laid on white or cut out by it."""
    document = hidden(grey)
    notes = writing.write_document(document, tmp_path / f"a{suffix}").warnings
    assert any("has no place for alpha as data: only the colours are kept" in note for note in notes)
    opaque = document.frames[0].image().convert("L" if grey else "RGB")
    writing.write_document(Document((Raster(opaque),)), tmp_path / f"b{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_hidden_colours_of_an_animation_are_kept_or_said_to_be_lost(tmp_path: Path) -> None:
    first = hidden().frames[0]
    second = Raster(first.image().transpose(Image.Transpose.ROTATE_180))
    document = Document((first, second), durations=(40.0, 40.0), alpha="separate")
    assert writing.write_document(document, tmp_path / "a.png").warnings == ()
    with Image.open(tmp_path / "a.png") as image:
        for index, frame in enumerate(document.frames):
            image.seek(index)
            assert np.array_equal(np.asarray(image), frame.array())
    said = writing.write_document(document, tmp_path / "a.webp").warnings
    assert said == ("an animated WebP does not keep colours where alpha is 0: PNG does",)


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"old")
    broken = Picture(torch.zeros(1, 3, 4, 4), info={"icc_profile": "not bytes"})
    with pytest.raises(EspcnError, match="cannot be written"):
        tensors.write(broken, tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"old"


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    for suffix in (".xyz", ".ico", ".pdf"):  # an icon would be cut down to its fixed sizes
        with pytest.raises(UsageError, match=rf"cannot write \{suffix}"):
            tensors.write(Picture(torch.zeros(1, 1, 2, 2)), tmp_path / f"a{suffix}")


def test_pages_of_a_tiff_keep_number_size_and_mode(tmp_path: Path, bicubic: Upscaler) -> None:
    pages = [Image.fromarray(natural(20, 14)), Image.fromarray(natural(9, 11)).convert("L"), disc(1)]
    pages[0].save(tmp_path / "in.tif", save_all=True, append_images=pages[1:])
    assert through(bicubic, tmp_path / "in.tif", tmp_path / "out.tif") == ()
    with Image.open(tmp_path / "out.tif") as image:
        found = []
        for index in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(index)
            found.append((image.mode, image.size))
    assert found == [("RGB", (40, 28)), ("L", (18, 22)), ("RGBA", (64, 40))]


def test_formats_without_frames_say_what_is_lost(tmp_path: Path, bicubic: Upscaler) -> None:
    path = save_animation(tmp_path / "in.webp", (1, 2, 3))
    assert through(bicubic, path, tmp_path / "a.jpg") == (
        "JPEG cannot hold frames like these: only the first of 4 is kept",
    )
    assert through(bicubic, path, tmp_path / "a.tif") == ("TIFF keeps frames as pages, without their timing",)
    with Image.open(tmp_path / "a.tif") as image:
        assert image.n_frames == 4  # type: ignore[attr-defined]
    pages = [Image.fromarray(natural(20, 14)), Image.fromarray(natural(9, 11))]
    pages[0].save(tmp_path / "in.tif", save_all=True, append_images=pages[1:])
    assert through(bicubic, tmp_path / "in.tif", tmp_path / "b.webp") == (
        "WEBP cannot hold pages like these: only the first of 2 is kept",
    )


def test_grey_avif_stays_grey(tmp_path: Path) -> None:
    writing.write_document(Document((Raster(PICTURE.convert("L")),)), tmp_path / "a.avif")
    assert reading.read_document(tmp_path / "a.avif").frames[0].channels == 1


def test_quality_and_level_are_obeyed(tmp_path: Path) -> None:
    document = Document((Raster(Image.fromarray(natural(64, 64))),))
    for suffix, low, high in (
        ("jpg", Encoding(quality=10), Encoding(quality=99)),
        ("webp", Encoding(quality=10), Encoding()),
        ("png", Encoding(png_level=9), Encoding(png_level=0)),
    ):
        bytes_of = []
        for encoding in (low, high):
            out = BytesIO()
            writing.encode(document, writing.format_of(Path(f"a.{suffix}")), out, "a", encoding)
            bytes_of.append(len(out.getvalue()))
        assert bytes_of[0] < bytes_of[1]


def test_a_side_too_long_for_a_format_is_said(tmp_path: Path) -> None:
    document = Document((Raster(Image.new("L", (20000, 1))),))
    with pytest.raises(EspcnError, match="20000 x 1 is too large for WEBP"):
        writing.write_document(document, tmp_path / "a.webp")


def test_every_failure_carries_the_path_or_stream_that_its_line_begins_with(tmp_path: Path) -> None:
    broken = Document((Raster(Image.new("RGB", (4, 4))),), {"icc_profile": "not bytes"})
    long = Document((Raster(Image.new("L", (20000, 1))),))
    for path, name in ((tmp_path / "a.png", str(tmp_path / "a.png")), (STREAM, "standard output")):
        with pytest.raises(EspcnError, match=f"^{name}: cannot be written as PNG") as caught:
            writing.encode(broken, "PNG", BytesIO(), path, Encoding())
        assert caught.value.path == path
        with pytest.raises(EspcnError, match=f"^{name}: 20000 x 1 is too large for WEBP") as caught:
            writing.encode(long, "WEBP", BytesIO(), path, Encoding())
        assert caught.value.path == path
    with pytest.raises(UsageError, match=r"a\.xyz: cannot write") as refused:
        writing.write_document(long, tmp_path / "a.xyz")
    assert refused.value.path == tmp_path / "a.xyz"


def test_without_the_extra_16_bit_colour_is_refused_with_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    deep = Document((Raster(np.zeros((4, 4, 3), np.uint16)),))
    with pytest.raises(EspcnError, match=r"a\.tif: cannot write more than 8 bits .*--depth 8") as caught:
        writing.write_document(deep, tmp_path / "a.tif")
    assert caught.value.path == tmp_path / "a.tif"


# --- Netpbm: what the suffix promises --------------------------------------------------------------------------------


def netpbm(path: Path) -> tuple[bytes, np.ndarray[Any, Any]]:
    """Its magic number, and its levels by Pillow."""
    with Image.open(path) as image:
        return path.read_bytes()[:2], np.asarray(image)


@pytest.mark.parametrize("stream", [False, True])
def test_colour_becomes_grey_in_a_pgm_and_that_is_said(tmp_path: Path, stream: bool) -> None:
    document = Document((Raster(PICTURE),))
    path = tmp_path / "a.pgm"
    if stream:
        out = BytesIO()
        written = writing.encode(document, writing.format_of(path), out, STREAM, Encoding())
        path.write_bytes(out.getvalue())
    else:
        written = writing.write_document(document, path)
    assert written.warnings == ("PGM holds no colours: the picture was made grey",)
    magic, levels = netpbm(path)
    assert magic == b"P5"
    assert np.array_equal(levels, np.asarray(PICTURE.convert("L")))


def test_black_and_white_is_what_a_pbm_holds(tmp_path: Path) -> None:
    grey = np.array([[0, 127, 128, 255]], np.uint8)
    written = writing.write_document(Document((Raster(Image.fromarray(grey)),)), tmp_path / "a.pbm")
    assert written.warnings == ("PBM holds black and white alone: each pixel became the nearer of them",)
    magic, levels = netpbm(tmp_path / "a.pbm")
    assert magic == b"P4" and levels.tolist() == [[False, False, True, True]]
    extremes = Document((Raster(Image.fromarray(grey[:, ::3])),))
    assert writing.write_document(extremes, tmp_path / "b.pbm").warnings == ()
    coloured = writing.write_document(Document((Raster(PICTURE),)), tmp_path / "c.pbm")
    assert coloured.warnings == written.warnings


def test_a_ppm_is_in_colour_and_a_pnm_as_it_comes(tmp_path: Path) -> None:
    grey = Document((Raster(PICTURE.convert("L")),))
    assert writing.write_document(grey, tmp_path / "a.ppm").warnings == ()
    assert netpbm(tmp_path / "a.ppm")[0] == b"P6"
    writing.write_document(grey, tmp_path / "a.pnm")
    assert netpbm(tmp_path / "a.pnm")[0] == b"P5"
    writing.write_document(Document((Raster(PICTURE),)), tmp_path / "b.pnm")
    assert netpbm(tmp_path / "b.pnm")[0] == b"P6"


def test_16_bits_keep_their_depth_in_grey_and_in_colour(tmp_path: Path) -> None:
    pytest.importorskip("imagecodecs")
    values = np.array([[[0, 0, 0], [65535, 65535, 65535], [65535, 0, 0], [1000, 30000, 5000]]], np.uint16)
    written = writing.write_document(Document((Raster(values),)), tmp_path / "a.pgm")
    assert written.warnings == ("PGM holds no colours: the picture was made grey",)
    magic, levels = netpbm(tmp_path / "a.pgm")
    assert magic == b"P5"
    assert levels[0].tolist() == [0, 65535, 19595, 18479]  # 0.299 R + 0.587 G + 0.114 B
    grey = reading.read_document(tmp_path / "a.pgm")
    writing.write_document(grey, tmp_path / "b.ppm")
    assert (tmp_path / "b.ppm").read_bytes()[:2] == b"P6"
    again = reading.read_document(tmp_path / "b.ppm").frames[0].array()
    assert again[0].tolist() == [[level] * 3 for level in levels[0].tolist()]
    assert "8 bits" in writing.write_document(grey, tmp_path / "c.pbm").warnings[0]


@pytest.mark.parametrize("suffix", ["pgm", "pbm", "ppm", "pnm"])
def test_transparency_is_laid_on_white_in_all_of_them(tmp_path: Path, suffix: str) -> None:
    clear = Document((Raster(Image.new("LA", (3, 2), (0, 0))),))
    written = writing.write_document(clear, tmp_path / f"a.{suffix}")
    assert written.warnings == (f"{suffix.upper()} holds no transparency: the picture was laid on white",)
    assert netpbm(tmp_path / f"a.{suffix}")[1].all()


# --- dots per inch ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["png", "jpg", "tif", "bmp", "dib", "pcx", "webp", "avif", "gif", "jp2", "tga"])
@pytest.mark.parametrize(
    "source", ["png", "jpg", "exif.jpg", "tif", "unit.tif", "bmp", "pcx", "old.pcx", "webp", "gif", "tga", "jp2"]
)
def test_no_resolution_stays_none_in_every_direction(
    tmp_path: Path, bicubic: Upscaler, source: str, target: str
) -> None:
    """Pillow reads 1 dpi of such a TIFF and 72 of such a JPEG with EXIF, and writes 96 into BMP and 100 into PCX."""
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    options: dict[str, dict[str, Any]] = {
        "bmp": {"dpi": (0, 0)},
        "unit.tif": {"resolution": 1, "resolution_unit": 1},
        "exif.jpg": {"exif": exif},
    }
    path = tmp_path / f"in.{source}"
    PICTURE.save(path, **options.get(source, {}))
    if source.endswith("pcx"):
        data = bytearray(path.read_bytes())
        data[12:16] = bytes(4) if source == "pcx" else struct.pack("<2H", *PICTURE.size)
        path.write_bytes(data)
    assert "dpi" not in reading.read_document(path).info
    through(bicubic, path, tmp_path / f"out.{target}")
    assert "dpi" not in reading.read_document(tmp_path / f"out.{target}").info
    with Image.open(tmp_path / f"out.{target}") as image:
        if target == "tif":
            assert not {282, 283, 296} & set(image.tag_v2)  # type: ignore[attr-defined]
        elif (source, target) != ("exif.jpg", "jpg"):  # of which Pillow says 72 again
            assert image.info.get("dpi", (0, 0)) == (0, 0)


def test_16_bits_have_no_made_up_resolution_either(tmp_path: Path, bicubic: Upscaler) -> None:
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "in.tif", np.zeros((6, 8, 3), np.uint16), photometric="rgb", metadata=None)
    for suffix in ("tif", "png"):
        through(bicubic, tmp_path / "in.tif", tmp_path / f"out.{suffix}")
        assert "dpi" not in reading.read_document(tmp_path / f"out.{suffix}").info
        with Image.open(tmp_path / f"out.{suffix}") as image:
            assert "dpi" not in image.info


@pytest.mark.parametrize("target", ["png", "jpg", "tif", "bmp", "pcx"])
@pytest.mark.parametrize("source", ["png", "jpg", "tif", "cm.tif", "bmp", "pcx", "exif.jpg"])
def test_a_resolution_is_kept(tmp_path: Path, bicubic: Upscaler, source: str, target: str) -> None:
    options: dict[str, Any] = {"dpi": (300, 150)}
    if source == "cm.tif":
        options = {"x_resolution": 300 / 2.54, "y_resolution": 150 / 2.54, "resolution_unit": 3}
    elif source == "exif.jpg":
        exif = Image.Exif()
        exif[0x011A], exif[0x011B], exif[0x0128] = 300.0, 150.0, 2
        options = {"exif": exif}
    path = tmp_path / f"in.{source}"
    PICTURE.save(path, **options)
    if source == "pcx":
        data = bytearray(path.read_bytes())
        data[12:16] = struct.pack("<2H", 300, 150)
        path.write_bytes(data)
    through(bicubic, path, tmp_path / f"out.{target}")
    with Image.open(tmp_path / f"out.{target}") as image:
        assert tuple(map(float, image.info["dpi"])) == pytest.approx((300, 150), abs=0.5)


def test_what_exif_says_of_resolution_is_not_lost_where_it_is_kept(tmp_path: Path, bicubic: Upscaler) -> None:
    exif = Image.Exif()
    exif[0x011A], exif[0x011B], exif[0x0128] = 300.0, 300.0, 2
    PICTURE.save(tmp_path / "in.jpg", exif=exif)
    assert through(bicubic, tmp_path / "in.jpg", tmp_path / "out.webp") == ()
    PICTURE.save(tmp_path / "in.jpg", dpi=(300, 300))
    [note] = through(bicubic, tmp_path / "in.jpg", tmp_path / "out.webp")
    assert note == "WEBP has no place for the resolution in dpi"


@pytest.mark.parametrize("suffix", sorted(WRITTEN - EXTRAS.keys()))
def test_a_suffix_means_the_same_before_and_after_all_of_pillow_is_imported(suffix: str) -> None:
    """The usual formats are known sooner, and a picture in one of them need not wait for the others."""
    path = Path(f"a{suffix}")
    known = is_writable(path) and pillows_name(format_of(path))
    Image.init()
    name = Image.registered_extensions().get(suffix)
    assert known == (name if name in Image.SAVE else False)


def test_a_png_keeps_16_bits_in_an_animation_too(tmp_path: Path) -> None:
    """Read again as it was in grey; in colour, which is not read, every frame says its depth and has its levels."""
    values = np.random.default_rng(0).integers(0, 65536, (3, 12, 16, 1)).astype(np.uint16)
    values[1] = values[0]
    values[1, 3:5, 4:9] = 1234
    grey = Document(tuple(map(Raster, values)), durations=(100.0, 50.0, 20.0))
    assert writing.write_document(grey, tmp_path / "grey.png").warnings == ()
    again = reading.read_document(tmp_path / "grey.png")
    assert all(np.array_equal(frame.array(), levels) for frame, levels in zip(again.frames, values, strict=True))
    colour = Document(tuple(Raster(levels.repeat(3, axis=2)) for levels in values), durations=(100.0, 50.0, 20.0))
    assert writing.write_document(colour, tmp_path / "colour.png").warnings == ()
    apng = pytest.importorskip("imagecodecs").apng_decode((tmp_path / "colour.png").read_bytes())
    assert apng.dtype == np.uint16 and np.array_equal(apng[..., :3], values.repeat(3, axis=3))
