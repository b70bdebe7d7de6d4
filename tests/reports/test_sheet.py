"""One picture by several methods: which versions, where to look, what each is worth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from making import natural, save_picture
from PIL import Image

from espcn_cli.errors import EspcnError
from espcn_cli.maths.resize import degrade
from espcn_cli.pictures import reading
from espcn_cli.pictures.raster import from_array
from espcn_cli.reports.sheet import SIDE, Compared, compare, comparison_page, contact_sheet, shown
from espcn_cli.scoring import evaluation
from espcn_cli.scoring.tensors import from_levels, to_depth
from espcn_cli.upscaling.upscaler import Upscaler


def pair(folder: Path, width: int = 200, height: int = 160, grey: bool = False) -> tuple[Path, Path]:
    """LR and the truth."""
    hr = save_picture(folder / "hr.png", width, height, mode="L" if grey else "RGB")
    levels = np.atleast_3d(np.asarray(Image.open(hr)))
    Image.fromarray(to_depth(degrade(from_levels(levels), 2)).squeeze()).save(folder / "lr.png")
    return folder / "lr.png", hr


def compared(lr: Path, hr: Path | None, model: Upscaler, **options: object) -> Compared:
    truth = reading.read_first(hr)[0] if hr else None
    return compare(lr.name, reading.read_document(lr), {"model": model}, 2, truth, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("grey", [True, False])
def test_versions_stand_from_nearest_to_the_truth_and_score_as_in_a_benchmark(
    grey: bool, tmp_path: Path, bicubic: Upscaler
) -> None:
    lr, hr = pair(tmp_path, grey=grey)
    found = compared(lr, hr, bicubic)
    assert [version.name for version in found.versions] == ["nearest", "bicubic", "model", "truth"]
    expected = evaluation.evaluate(evaluation.interpolation("bicubic", 2), [evaluation.make_pair(hr, 2)], 2)[0].psnr
    nearest, of_bicubic, of_model, of_truth = (found.quality(version) for version in found.versions)
    assert of_bicubic == pytest.approx(expected, abs=0.01) and of_model == pytest.approx(expected, abs=0.01)
    assert nearest is not None and nearest < expected and of_truth is None


def test_the_places_are_where_bicubic_and_the_truth_differ_most(tmp_path: Path, bicubic: Upscaler) -> None:
    levels = np.full((200, 300, 3), 128, np.uint8)
    levels[100:140, 200:240] = natural(40, 40)
    Image.fromarray(levels).save(tmp_path / "hr.png")
    Image.fromarray(levels[::2, ::2]).save(tmp_path / "lr.png")
    first = compared(tmp_path / "lr.png", tmp_path / "hr.png", bicubic).places[0]
    left, top, width, height = first
    assert (width, height) == (SIDE, SIDE)
    assert left <= 200 and left + width >= 240 and top <= 100 and top + height >= 140


def test_places_can_be_chosen_in_pixels_of_the_input(tmp_path: Path, bicubic: Upscaler) -> None:
    lr, _ = pair(tmp_path)
    assert compared(lr, None, bicubic, chosen=[(10, 20, 30, 40)]).places == [(20, 40, 60, 80)]
    for outside in ((90, 0, 20, 20), (-1, 0, 5, 5), (0, 0, 0, 5), (0, 79, 5, 2)):
        with pytest.raises(EspcnError, match=r"lies outside of lr\.png, 100 x 80 pixels"):
            compared(lr, None, bicubic, chosen=[outside])


def test_a_truth_of_another_size_is_refused(tmp_path: Path, bicubic: Upscaler) -> None:
    lr, _ = pair(tmp_path)
    with pytest.raises(EspcnError, match="100 x 80 pixels, not 200 x 160"):
        compared(lr, lr, bicubic)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16", "1", "P"])
@pytest.mark.parametrize("size", [(1, 1), (7, 30), (120, 90)])
def test_a_sheet_and_a_page_of_any_picture(mode: str, size: tuple[int, int], tmp_path: Path, bicubic: Upscaler) -> None:
    image = Image.fromarray(natural(*size))
    if mode == "I;16":
        image = Image.fromarray(natural(*size)[..., 0].astype(np.uint16) * 257)
    elif mode in ("LA", "RGBA"):
        image.putalpha(Image.linear_gradient("L").resize(size))
        image = image.convert(mode)
    else:
        image = image.convert(mode)
    image.save(tmp_path / "a.png")
    found = compared(tmp_path / "a.png", None, bicubic)
    sheet = contact_sheet(found)
    assert sheet.mode == "RGB" and sheet.width > 300 and np.asarray(sheet).min() < 120
    assert comparison_page(found).count("<figure>") == 3


def test_what_is_transparent_lies_on_squares() -> None:
    clear = np.zeros((32, 32, 4), np.uint8)
    levels = shown(from_array(clear))
    assert levels.shape == (32, 32, 3) and set(np.unique(levels)) == {204, 255}
    clear[..., 3] = 255
    assert (shown(from_array(clear)) == 0).all()
