"""Pictures in a page: as they are, or cut around the place where they differ most."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from making import natural
from PIL import Image

from espcn_cli.maths.levels import Levels
from espcn_cli.reports import exhibits
from espcn_cli.reports.exhibits import Exhibit, View, cut, data_uri, gallery


def read(uri: str) -> Levels:
    kind, data = uri.split(";base64,")
    assert kind in ("data:image/webp", "data:image/png")
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return np.atleast_3d(np.asarray(image))


def test_a_picture_is_in_the_page_without_loss() -> None:
    for levels in (natural(31, 20), natural(31, 20)[..., :1]):
        assert (read(data_uri(levels))[..., : levels.shape[2]] == levels).all()


@pytest.mark.parametrize("place", [(0, 0, 20, 20), (80, 60, 20, 20), (40, 30, 20, 20)])
def test_a_large_picture_is_cut_around_its_place(place: tuple[int, int, int, int]) -> None:
    levels = natural(100, 80)
    whole = Exhibit("a", [View("one", levels), View("two", levels)], place)
    assert cut(whole, 8000) is whole
    part = cut(whole, 2000)
    x, y, w, h = part.crop
    left, top, wide, high = place
    for view in part.views:
        assert (view.levels[y : y + h, x : x + w] == levels[top : top + high, left : left + wide]).all()
        assert view.levels.shape[0] * view.levels.shape[1] == pytest.approx(2000, rel=0.1)
    assert "of 100 x 80 pixels" in part.note


def test_a_page_of_many_pictures_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exhibits, "BUDGET", 200_000)
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    many = [Exhibit(str(number), [View("a", noise), View("b", noise)], (0, 0, 96, 96)) for number in range(3)]
    assert len(gallery(many)) < 3 * 2 * 128 * 128 * 3 * 1.5
    assert len(gallery(many, bounded=False)) > 2 * len(gallery(many))


def test_every_version_is_named_for_those_who_do_not_see_it() -> None:
    html = gallery(
        [Exhibit('a "b"', [View("bicubic", natural(20, 20), "30.00 dB"), View("truth", natural(20, 20))], (0, 0, 9, 9))]
    )
    assert 'alt="a &quot;b&quot;: bicubic, 30.00 dB"' in html and "<figcaption>truth</figcaption>" in html
