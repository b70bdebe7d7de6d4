"""Pages that the tool draws by itself."""

from collections.abc import Callable

import numpy as np
import pytest

from espcn_cli.scoring import drawn
from espcn_cli.scoring.drawn import Page

PAGES = [drawn.text_page, drawn.interface_page]


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize("make", PAGES)
def test_a_page_is_made_from_its_seed_alone(make: Callable[..., Page]) -> None:
    first, second = (make(rng(), (70, 50)).draw(2) for _ in range(2))
    assert first.shape == (100, 140, 3) and first.dtype == np.uint8
    assert (first == second).all()
    assert len(np.unique(first.reshape(-1, 3), axis=0)) > 1


@pytest.mark.parametrize("make", PAGES)
@pytest.mark.parametrize("zoom", [2, 3, 4])
def test_a_page_is_the_same_at_both_sizes(make: Callable[..., Page], zoom: int) -> None:
    page = make(rng(), (96, 96))
    small, large = page.draw(1).astype(float), page.draw(zoom).astype(float)
    shrunk = large.reshape(96, zoom, 96, zoom, 3).mean(axis=(1, 3))
    assert np.corrcoef(small.ravel(), shrunk.ravel())[0, 1] > 0.6


def test_without_matplotlib_pillows_own_font_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn, "find_spec", lambda name: None)
    assert drawn.fonts.__wrapped__() == (None,)


def test_a_font_that_cannot_be_read_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn, "_is_font", lambda path: path.stem != "DejaVuSans")
    stems = [path.stem for path in drawn.fonts.__wrapped__() if path]
    assert "DejaVuSans" not in stems


def test_single_pixels_are_of_two_colours() -> None:
    random = rng()
    for _ in range(20):
        pattern = drawn.single_pixels(random, (40, 30))
        assert pattern.shape == (30, 40, 3)
        assert len(np.unique(pattern.reshape(-1, 3), axis=0)) <= 2


def test_a_pattern_may_be_asked_for_with_its_colours() -> None:
    """A chequerboard of light grey and white, whose mean is 223."""
    pattern = drawn.single_pixels(rng(), (8, 6), "chequerboard", ((191,) * 3, (255,) * 3))
    assert pattern[:2, :2, 0].tolist() == [[191, 255], [255, 191]]
    assert pattern.mean() == 223


@pytest.mark.parametrize("kind", drawn.PATTERNS)
def test_every_pattern_has_both_colours(kind: drawn.Pattern) -> None:
    pattern = drawn.single_pixels(rng(), (64, 48), kind, ((0, 0, 0), (255, 255, 255)))
    assert np.unique(pattern).tolist() == [0, 255]


@pytest.mark.parametrize("smooth", [True, False])
def test_shapes_have_smooth_edges_or_steps_of_whole_pixels(smooth: bool) -> None:
    things = [
        drawn._ellipse(3, 4, 20, 14, (255,) * 3, smooth),
        drawn._line([(30, 5), (60, 40)], 2, (255,) * 3, smooth),
        drawn._polygon([(5, 45), (25, 28), (31, 50)], (255,) * 3, smooth),
    ]
    page = Page((64, 56), (0, 0, 0), things).draw(2)
    between = ((page > 0) & (page < 255)).mean()
    assert 0.01 < between < 0.05 if smooth else between == 0
    assert 0.08 < (page == 255).mean() < 0.2


def test_shapes_may_hang_over_the_edge_and_boxes_lie_on_whole_pixels() -> None:
    things = drawn._framed(-3, 2, 8, 5, 0, (255,) * 3, (9,) * 3, smooth=True)
    page = Page((8, 8), (0, 0, 0), things).draw(1)[..., 0]
    assert page[2:7, :5].tolist() == [[9] * 5, [255] * 4 + [9], [255] * 4 + [9], [255] * 4 + [9], [9] * 5]
    assert not page[:2].any() and not page[:, 5:].any()


def test_a_box_too_small_for_a_frame_is_all_frame() -> None:
    page = Page((4, 4), (0, 0, 0), drawn._framed(1, 1, 2, 3, 0, (255,) * 3, (9,) * 3, smooth=False)).draw(1)
    assert set(page[1:4, 1:3].ravel().tolist()) == {9}


def test_a_font_writes_only_the_letters_that_it_has() -> None:
    """Computer Modern has no letters with accents: it draws a box for each."""
    every = {path.stem if path else None: drawn.letters_of(path) for path in drawn.fonts()}
    assert all(set("abcxyzABCXYZ0123456789") <= letters for letters in every.values())
    assert {"é", "ß"} <= every["DejaVuSans"]
    assert not {"é", "ß"} & every["cmr10"]
    path = next(path for path in drawn.fonts() if path and path.stem == "cmr10")
    words = "".join(drawn._words(rng(), 40, path) for _ in range(20))
    assert set(words) <= drawn.letters_of(path) | {" "}
