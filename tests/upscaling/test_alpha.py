"""Transparency in whole levels: no fringe under it, soft and hard edges each in its way, colours weighted with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from making import natural
from making_animations import disc
from PIL import Image, ImageDraw

from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.maths.levels import Levels
from espcn_cli.network.espcn import ESPCN
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.raster import Raster, from_array
from espcn_cli.settings import ModelSettings
from espcn_cli.upscaling import sizes
from espcn_cli.upscaling.alpha import bleed, enlarged, premultiplied, straight
from espcn_cli.upscaling.edges import REACH, within_neighbours
from espcn_cli.upscaling.upscaler import Upscaler

RED, HIDDEN = (200, 0, 0), (0, 0, 77)


def row(*alphas: int, dtype: type = np.uint8) -> tuple[Levels, Levels]:
    """Colours and alpha of a row: red where anything is visible, else something hidden."""
    alpha: Levels = np.array(alphas, dtype).reshape(1, -1, 1)
    return np.where(alpha > 0, np.array(RED, dtype), np.array(HIDDEN, dtype)), alpha


@pytest.mark.parametrize("reach", [0, 1, 3, 9])
def test_colours_bleed_as_far_as_asked_and_no_further(reach: int) -> None:
    pixels, alpha = row(255, 0, 0, 0, 0, 0, 0)
    reds = min(1 + reach, 7)
    assert bleed(pixels, alpha, reach).tolist() == [[list(RED)] * reds + [list(HIDDEN)] * (7 - reds)]


def test_between_two_colours_they_mix() -> None:
    pixels = np.array([[[100], [0], [201]]], np.uint8)
    alpha = np.array([[[1], [0], [255]]], np.uint8)
    assert bleed(pixels, alpha, 1)[0, :, 0].tolist() == [100, 151, 201]  # 150.5, rounded up


@pytest.mark.parametrize("alphas", [(255, 1, 128), (0, 0, 0)])
def test_where_nothing_or_everything_is_hidden_nothing_bleeds(alphas: tuple[int, ...]) -> None:
    pixels, alpha = row(*alphas)
    assert bleed(pixels, alpha, 4) is pixels


def test_16_bits_bleed_too() -> None:
    pixels, alpha = row(65535, 0, dtype=np.uint16)
    result = bleed(pixels, alpha, 1)
    assert result.dtype == np.uint16
    assert result.tolist() == [[list(RED), list(RED)]]


def test_premultiplied_and_back() -> None:
    x = np.random.default_rng(0).random((4, 5, 4)).astype(np.float32)
    assert np.allclose(straight(premultiplied(x)), x, atol=1e-6)


def test_where_alpha_vanishes_the_colours_are_kept() -> None:
    x = np.array([[[0.25, 0.5, 0.75, 0.0]]], np.float32)
    assert straight(premultiplied(x)).tolist() == x.tolist()


def engine(scale: int = 2, tail: float = 0.1) -> TorchEngine:
    """A network that makes of every edge what bicubic does not; with a `tail` of 0, bicubic."""
    torch.manual_seed(3)
    network = ESPCN(ModelSettings(scale=scale, widths=(4,), kernels=(3, 3)))
    torch.nn.init.normal_(list(network.parameters())[-2], std=tail)
    return TorchEngine(network)


def cut_out(side: int = 32, dtype: type = np.uint8) -> Levels:
    """A disc without any level between clear and opaque."""
    y, x = np.mgrid[0:side, 0:side]
    result: Levels = (((x - 15) ** 2 + (y - 14) ** 2 < 40) * np.iinfo(dtype).max).astype(dtype)[..., None]
    return result


def antialiased() -> Levels:
    """A disc with the levels between."""
    sheet = Image.new("L", (256, 256))
    ImageDraw.Draw(sheet).ellipse((60, 52, 180, 172), fill=255)
    return np.atleast_3d(np.asarray(sheet.reduce(8)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_hard_edge_is_bicubic_s_and_a_soft_one_the_network_s(scale: int, dtype: type) -> None:
    ringing, white = engine(scale), int(np.iinfo(dtype).max)
    y, x = np.mgrid[0:32, 0:32]
    waves: Levels = ((1 + np.sin((x + 3 * y) / 5)) / 2 * white).astype(dtype)[..., None]
    for alpha, way in ((cut_out(dtype=dtype), "bicubic"), (waves, "network")):
        ways = {"bicubic": ringing.interpolate(alpha, 0, white), "network": ringing.upscale([alpha], 0, white)[0]}
        held = {name: within_neighbours(large, alpha, scale) for name, large in ways.items()}
        assert [name for name in held if np.array_equal(held[name], enlarged(ringing, alpha))] == [way]


@given(st.integers(0, 31), st.integers(0, 31), st.integers(0, 255), st.sampled_from([2, 3, 4]))
def test_a_pixel_changes_nothing_beyond_its_reach(row: int, column: int, level: int, scale: int) -> None:
    """A half-transparent one in a corner once turned the whole picture from bicubic to the network."""
    ringing, hard = engine(scale), cut_out()
    changed = hard.copy()
    changed[row, column] = level
    far = max(REACH, ringing.halo)
    away = np.ones((32, 32), bool)
    away[max(row - far, 0) : row + far + 1, max(column - far, 0) : column + far + 1] = False
    away = away.repeat(scale, axis=0).repeat(scale, axis=1)
    assert np.array_equal(enlarged(ringing, changed)[away], enlarged(ringing, hard)[away])


@pytest.mark.parametrize("tile", [0, 7, 16, None])
def test_soft_and_hard_edges_side_by_side_show_no_tile(tile: int | None) -> None:
    shape = np.maximum(cut_out(), np.roll(antialiased(), 9, axis=(0, 1)) // 2)
    shape[3:9, 20:26] = 200
    picture = Raster(Image.fromarray(np.dstack([shape // 2, 255 - shape, shape, shape])))
    whole, _ = Upscaler(engine(), 0).raster(picture)
    tiled, _ = Upscaler(engine(), tile).raster(picture)
    assert np.array_equal(tiled.array(), whole.array())


def test_no_ghosts_round_a_shape_that_moves() -> None:
    """What is clear, and so are its neighbours, stays clear, in frames with a soft pixel as in those without."""
    frames = [disc(index) for index in range(4)]
    frames[1].putpixel((31, 19), (0, 0, 0, 128))
    document = Document(tuple(Raster(frame) for frame in frames), durations=(40.0,) * 4)
    for small, large in zip(frames, Upscaler(engine()).document(document).frames, strict=True):
        padded = np.pad(np.asarray(small)[..., 3] > 0, 1)
        near = np.any([np.roll(padded, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)], axis=0)[1:-1, 1:-1]
        assert not large.array()[..., 3][~near.repeat(2, axis=0).repeat(2, axis=1)].any()


def gloss(channels: int, dtype: type = np.uint8) -> Levels:
    """A texture whose alpha, a chequerboard, says nothing about its colours."""
    colours = natural(24, 20)[..., : channels - 1]
    board = (np.indices((20, 24)) // 4).sum(0) % 2 * 255
    return np.dstack([colours, board]).astype(dtype) * (int(np.iinfo(dtype).max) // 255)


@pytest.mark.parametrize("size", [None, sizes.Size(31, 27), sizes.Size(15, 12), sizes.Size(60, 70)], ids=str)
@pytest.mark.parametrize("tile", [0, 7, None])
@pytest.mark.parametrize("kind", ["LA", "RGBA", "RGBA;16"])
def test_separate_alpha_is_one_more_grey_picture(kind: str, tile: int | None, size: sizes.Size | None) -> None:
    """The colours are those of the picture without alpha, to the last digit, also where it is 0."""
    levels = gloss(2 if kind == "LA" else 4, np.uint16 if "16" in kind else np.uint8)
    upscaler = Upscaler(engine(), tile, alpha="separate")

    def large(part: Levels) -> Levels:
        return upscaler.document(Document((from_array(part),)), size).frames[0].array()

    expected = np.concatenate([large(levels[..., :-1]), large(levels[..., -1:])], axis=2)
    assert np.array_equal(large(levels), expected)
    blended = Upscaler(engine(), tile).document(Document((from_array(levels),)), size).frames[0].array()
    assert not np.array_equal(blended[..., :-1], expected[..., :-1])


def test_alpha_is_blend_or_separate() -> None:
    with pytest.raises(ValueError, match="alpha must be one of blend, separate, not 'off'"):
        Upscaler(engine(), alpha="off")  # type: ignore[arg-type]
