"""The suite of real pictures: what is made of what, what methods see, and what is scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from making import natural, save_picture
from making_clips import save_clip
from PIL import Image

from espcn_cli.errors import EspcnError
from espcn_cli.maths.levels import Levels
from espcn_cli.pictures.document import Document
from espcn_cli.scoring import clips, recipes, suite
from espcn_cli.scoring.metrics import HIGHEST_PSNR
from espcn_cli.scoring.suite import DRAWN_SET, Sample, measure
from espcn_cli.scoring.table import Score, Table

KODAK = ("kodim01", "kodim03", "kodim05", "kodim07", "kodim08", "kodim13", "kodim15", "kodim17")


@pytest.fixture(autouse=True)
def few_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "PAGES", 2)
    monkeypatch.setattr(recipes, "PAGE_SIZE", (60, 40))


def repeated(document: Document) -> tuple[Levels, None]:
    """Each pixel as a square, ×2."""
    return document.frames[0].array().repeat(2, axis=0).repeat(2, axis=1), None


def folder(path: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        save_picture(path / name, 48, 40, seed)
    return path


def cells(table: Table) -> dict[tuple[str, str, str], Score]:
    return {(row.dataset, row.row, row.method): row.mean for row in table.rows}


def sample_of(path: Path, row: str, scale: int = 2) -> Sample:
    [sample] = suite.damaged(path, "a", scale, [row])
    return sample


# --- given pictures --------------------------------------------------------------------------------------------------


def test_every_row_is_scored_for_every_set_method_and_picture(tmp_path: Path) -> None:
    sets = [folder(tmp_path / "photos", "a.png", "b.png"), folder(tmp_path / "drawings", "c.png")]
    table = measure(sets, {"repeated": repeated}, 2)
    methods = ("bicubic", "lanczos", "repeated")
    given = [(name, row, method) for name in ("photos", "drawings") for row in recipes.PICTURES for method in methods]
    drawn = [(DRAWN_SET, row, method) for row in (*recipes.DRAWN, *recipes.PIXELS) for method in methods]
    assert [(row.dataset, row.row, row.method) for row in table.rows] == given + drawn
    names = {row.dataset: [image.name for image in row.images] for row in reversed(table.rows)}
    assert names["photos"] == ["a", "b"] and names["drawings"] == ["c"] and names[DRAWN_SET] == ["page 1", "page 2"]
    assert not table.errors


def test_a_row_is_the_same_whatever_is_measured_beside_it(tmp_path: Path) -> None:
    photos = [folder(tmp_path / "photos", "a.png", "b.png")]
    every, one = (cells(measure(photos, {}, 2, rows)) for rows in (recipes.ROWS, ("noise-8", "interface-drawn")))
    assert len(one) == 4
    assert one.items() <= every.items(), "and the same each time"


def test_the_numbers_are_those_of_the_formulas(tmp_path: Path) -> None:
    """JPEG 75 after Lanczos, repeated pixels, 4 pixels of border left out; by Pillow and NumPy alone."""
    hr = natural(48, 40)
    Image.fromarray(hr).save(tmp_path / "a.png")
    Image.fromarray(hr).resize((24, 20), Image.Resampling.LANCZOS).save(tmp_path / "a.jpg", quality=75)
    with Image.open(tmp_path / "a.jpg") as image:
        sr = np.asarray(image.resize((48, 40), Image.Resampling.NEAREST))
    error = (sr.astype(float) - hr)[4:-4, 4:-4]
    luma = error @ (np.array([65.481, 128.553, 24.966]) / 255)
    found = cells(measure([tmp_path / "a.png"], {"repeated": repeated}, 2, ["jpeg-75"]))["a.png", "jpeg-75", "repeated"]
    assert found.psnr == pytest.approx(10 * np.log10(255**2 / np.mean(luma**2)), abs=1e-3)
    assert found.psnr_rgb == pytest.approx(10 * np.log10(255**2 / np.mean(error**2)), abs=1e-3)
    assert found.brightness == pytest.approx(0, abs=1e-3)


@pytest.mark.slow
def test_the_rows_are_those_of_the_published_table(shared_data: Path) -> None:
    """Eight Kodak pictures at ×2, dB of bicubic and Lanczos, measured apart from this code before it was there."""
    pictures = [shared_data / "valid" / f"{name}.webp" for name in KODAK]
    table = measure(pictures, {}, 2, ["bicubic", "area", "lanczos", "unsharp", "nearest", "jpeg-85", "jpeg-75"])
    found = {
        (row, method): np.mean([score.psnr for (_, r, m), score in cells(table).items() if (r, m) == (row, method)])
        for _, row, method in cells(table)
    }
    for row, bicubic, lanczos in (
        ("bicubic", 29.89, 30.28),
        ("area", 30.10, 30.36),
        ("lanczos", 30.19, 30.56),
        ("unsharp", 29.03, 28.56),
        ("nearest", 27.50, 27.23),
        ("jpeg-85", 29.59, 29.79),
        ("jpeg-75", 29.07, 29.19),
    ):
        assert found[row, "bicubic"] == pytest.approx(bicubic, abs=0.011)
        assert found[row, "lanczos"] == pytest.approx(lanczos, abs=0.011)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_hr_is_cropped_to_a_multiple_of_the_scale(tmp_path: Path, scale: int) -> None:
    save_picture(tmp_path / "a.png", 47, 43)
    for row in recipes.PICTURES:
        sample = sample_of(tmp_path / "a.png", row, scale)
        height, width = 43 // scale, 47 // scale
        assert sample.hr.shape == (height * scale, width * scale, 3)
        assert sample.lr.size == (width, height)


def test_a_method_gets_what_is_read_from_a_file(tmp_path: Path) -> None:
    """So that an answer may depend on all that a file tells, and a grey GIF is grey."""
    save_picture(tmp_path / "a.png", 48, 40, mode="L")
    assert sample_of(tmp_path / "a.png", "jpeg-60").lr.frames[0].channels == 1
    assert sample_of(tmp_path / "a.png", "palette-16").lr.frames[0].channels == 1
    assert sample_of(tmp_path / "a.png", "webp-60").lr.frames[0].channels == 3
    for row in recipes.PICTURES:
        score = suite.score(repeated, sample_of(tmp_path / "a.png", row), 2)
        assert score.psnr == score.psnr_rgb and score.psnr > 10
        assert score.brightness is not None and score.brightness < 0.1


def test_hr_of_16_bits_is_rounded_and_what_is_transparent_lies_on_white(tmp_path: Path) -> None:
    deep = (natural(48, 40)[..., 0].astype(np.uint16) * 257) + 100
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert (suite.read_hr(tmp_path / "deep.png")[..., 0] == natural(48, 40)[..., 0]).all()
    clear = np.dstack([natural(48, 40), np.zeros((40, 48), np.uint8)])
    Image.fromarray(clear).save(tmp_path / "clear.png")
    assert (suite.read_hr(tmp_path / "clear.png") == 255).all()


def test_pictures_that_fail_are_listed_once_and_counted(tmp_path: Path) -> None:
    folder(tmp_path / "photos", "a.png", "z.png")
    save_picture(tmp_path / "photos" / "small.png", 15, 40)
    (tmp_path / "photos" / "text.png").write_text("no picture")
    counted: list[tuple[int, int]] = []
    report = lambda done, total: counted.append((done, total))  # noqa: E731
    table = measure([tmp_path / "photos"], {}, 2, ["jpeg-60", "area"], report)
    assert [[image.name for image in row.images] for row in table.rows] == [["a", "z"]] * 4
    small, text = table.errors
    assert small.startswith(f"{tmp_path / 'photos' / 'small.png'}: 15 x 40 pixels are too few to score: 16 at least")
    assert text.startswith(f"{tmp_path / 'photos' / 'text.png'}: ")
    assert counted[-1] == (8, 8) and [done for done, _ in counted] == sorted(done for done, _ in counted)


def test_a_method_that_fails_on_a_picture_takes_it_out_of_every_row(tmp_path: Path) -> None:
    folder(tmp_path / "photos", "a.png")
    save_picture(tmp_path / "photos" / "b.png", 64, 40)

    def picky(document: Document) -> tuple[Levels, None]:
        if document.size[0] == 32:
            raise EspcnError("not enough memory")
        return repeated(document)

    table = measure([tmp_path / "photos"], {"picky": picky}, 2, ["area", "lanczos"])
    assert [[image.name for image in row.images] for row in table.rows] == [["a"]] * 6
    assert table.errors == ["photos: b, area: picky cannot be scored on it: not enough memory"]


def test_an_answer_of_another_size_is_refused(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 48, 40)
    with pytest.raises(ValueError, match=r"a: the method gives 24 x 20, not 48 x 40: is it x2\?"):
        suite.score(lambda document: (document.frames[0].array(), None), sample_of(tmp_path / "a.png", "area"), 2)


def test_a_method_takes_no_other_ones_place() -> None:
    with pytest.raises(ValueError, match="cannot be called bicubic"):
        measure([], {"bicubic": repeated}, 2)


def test_the_strength_is_the_mean_over_the_pictures_that_have_one(tmp_path: Path) -> None:
    photos = folder(tmp_path / "photos", "a.png", "b.png", "c.png")
    strengths = iter((0.25, None, 0.75))
    table = measure([photos], {"real": lambda document: (repeated(document)[0], next(strengths))}, 2, ["area"])
    *_, real = table.rows
    assert [image.strength for image in real.images] == [0.25, None, 0.75]
    assert real.to_dict()["strength"] == 0.5
    assert table.rows[0].to_dict()["strength"] is None


def test_rows_of_given_pictures_need_some() -> None:
    with pytest.raises(EspcnError, match="name folders that hold some"):
        measure([], {}, 2, ["area"])


# --- what the tool draws ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_pages_and_patterns_are_drawn_at_every_scale(scale: int) -> None:
    table = measure([], {}, scale, [*recipes.DRAWN, *recipes.PIXELS])
    assert {row.row for row in table.rows} == {*recipes.DRAWN, *recipes.PIXELS}
    assert all(np.isfinite(row.mean.psnr) for row in table.rows)


def test_pages_differ_from_each_other_but_not_from_row_to_row() -> None:
    rows = ["text-area", "text-lanczos", "text-drawn", "interface-area"]
    text, again, drawn, interface = suite.page(0, 2, rows)
    [other] = suite.page(1, 2, ["text-area"])
    assert (text.hr == again.hr).all() and (text.hr == drawn.hr).all()
    assert (text.hr != interface.hr).any() and (text.hr != other.hr).any()


def test_a_pattern_s_pixels_become_squares() -> None:
    table = measure([], {"repeated": repeated}, 2, recipes.choose(["pixels"]))
    for (_, _, method), score in cells(table).items():
        assert (score.psnr == score.psnr_rgb == HIGHEST_PSNR) == (method == "repeated")
        assert score.brightness is not None and (method != "repeated" or score.brightness < 0.01)
    first = next(iter(suite.patterns(2, ["pixels-chequerboard"])))
    assert first.hr.mean() == 223


def test_what_comes_out_darker_is_seen() -> None:
    """A chequerboard of light grey and white that turns to dark stripes."""

    def darker(document: Document) -> tuple[Levels, None]:
        return repeated(document)[0] - np.uint8(17), None

    [first, *_] = suite.patterns(2, ["pixels-chequerboard"])
    assert suite.score(darker, first, 2).brightness == pytest.approx(17, abs=1e-3)


# --- clips -----------------------------------------------------------------------------------------------------------


def test_a_clip_without_pyav_is_listed_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "data", "a.png")
    (tmp_path / "data" / "clip.mp4").write_bytes(b"a clip")
    monkeypatch.setattr(clips, "is_there", lambda: False)
    table = measure([tmp_path / "data"], {}, 2, ["area", "h264-23"])
    assert [row.row for row in table.rows] == ["area", "area"]
    assert table.errors == [f"{tmp_path / 'data' / 'clip.mp4'}: videos are measured with PyAV: install 'espcn[video]'"]
    assert not measure([tmp_path / "data"], {}, 2, ["area"]).errors, "not asked for"


def test_frames_of_a_clip_are_compressed_and_scored(tmp_path: Path) -> None:
    pytest.importorskip("av")
    save_clip(tmp_path / "data" / "clip.mp4", 18, 70, 50)
    table = measure([tmp_path / "data"], {"repeated": repeated}, 2, ["h264-18", "h264-33", "area"])
    assert not table.errors
    assert {row.row for row in table.rows} == {"h264-18", "h264-33"}
    assert [image.name for image in table.rows[0].images] == ["clip, frame 6", "clip, frame 16"]
    found = cells(table)
    assert found["data", "h264-18", "lanczos"].psnr > found["data", "h264-33", "lanczos"].psnr + 1


def test_a_clip_that_is_too_short_is_listed(tmp_path: Path) -> None:
    pytest.importorskip("av")
    save_clip(tmp_path / "clip.mp4", 5, 64, 48)
    [error] = measure([tmp_path / "clip.mp4"], {}, 2, ["h264-18"]).errors
    assert error == f"{tmp_path / 'clip.mp4'}: a clip of 5 frames is too short to score"
