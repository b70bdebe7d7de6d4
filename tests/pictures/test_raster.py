"""What a raster says of its alpha, whichever library holds it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from espcn_cli.pictures import raster
from espcn_cli.pictures.raster import Raster


def with_alpha(colours: int, depth: int, alpha: list[int]) -> Raster:
    """A row of pixels whose colours are anything and whose alpha is this."""
    kind = np.uint8 if depth == 8 else np.uint16
    values: NDArray[np.uint8 | np.uint16] = np.empty((1, len(alpha), colours + 1), kind)
    values[..., :colours] = np.arange(len(alpha) * colours).reshape(1, -1, colours)
    values[..., colours] = alpha
    return Raster(Image.fromarray(values)) if depth == 8 else Raster(values.astype(np.uint16))


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize(
    ("alpha", "opaque"),
    [
        ([1, 1, 1], True),
        ([0, 0, 0], False),
        ([1, 1, 0], False),
        ([1, "almost", 1], False),
        ([0, "hardly", 0], False),
        (["half", "half", "half"], False),
    ],
)
def test_one_pixel_decides_whether_alpha_is_opaque(
    depth: int, colours: int, alpha: list[int | str], opaque: bool
) -> None:
    white = 2**depth - 1
    levels = {0: 0, 1: white, "almost": white - 1, "hardly": 1, "half": white // 2}
    raster = with_alpha(colours, depth, [levels[value] for value in alpha])
    assert raster.has_alpha and raster.channels == colours + 1 and raster.depth == depth
    assert raster.is_opaque == opaque


@pytest.mark.parametrize(
    "raster",
    [
        Raster(Image.new("L", (3, 2))),
        Raster(Image.new("RGB", (3, 2))),
        Raster(Image.fromarray(np.zeros((2, 3), np.uint16))),
        Raster(np.zeros((2, 3, 3), np.uint16)),
    ],
    ids=["L", "RGB", "I;16", "RGB;16"],
)
def test_without_alpha_all_is_opaque(raster: Raster) -> None:
    assert not raster.has_alpha
    assert raster.is_opaque


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_windows_of_outputs_may_exceed_the_limit_for_files(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (40, 30, 4), np.uint8)
    picture = raster.from_array(levels[..., :1].astype(np.uint16) * 257 if mode == "I;16" else levels[..., : len(mode)])
    expected = picture.array()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert np.array_equal(picture.window(slice(7, 31), slice(3, 28)), expected[7:31, 3:28])
    assert np.array_equal(np.concatenate(list(picture.bands())), expected)
