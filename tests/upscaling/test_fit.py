"""An exact size: band by band it is the resize of the whole, strip by strip the same as from the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from making import natural
from PIL import Image, ImageDraw

from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.maths.resize import resize
from espcn_cli.network.espcn import ESPCN
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.raster import Raster
from espcn_cli.settings import ModelSettings
from espcn_cli.upscaling import sizes
from espcn_cli.upscaling.fit import fit
from espcn_cli.upscaling.upscaler import Upscaler

TINY = ModelSettings(widths=(4,), kernels=(3, 3))


@given(st.integers(1, 40), st.integers(1, 160), st.integers(0, 99))
def test_bands_of_an_exact_size_are_the_resize_of_the_whole(width: int, height: int, seed: int) -> None:
    levels = natural(23, 90, seed)
    whole = resize(np.moveaxis(levels, 2, 0)[None].astype(np.float64), height, width)[0]
    expected = np.floor(whole + 0.5).clip(0, 255)
    found = np.moveaxis(fit(Raster(Image.fromarray(levels)), width, height).array(), 2, 0)
    assert found.shape[1:] == (height, width)
    assert np.abs(expected - found).max() <= 1


def test_16_bits_keep_their_precision() -> None:
    levels = natural(23, 90).astype(np.uint16) * 257
    whole = resize(np.moveaxis(levels, 2, 0)[None].astype(np.float64), 40, 31)[0]
    found = np.moveaxis(fit(Raster(levels), 31, 40).array(), 2, 0)
    assert found.dtype == np.uint16
    assert np.abs(whole.clip(0, 65535) - found).max() <= 2


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_an_exact_size_is_made_strip_by_strip_as_from_the_whole(mode: str) -> None:
    torch.manual_seed(3)
    network = ESPCN(TINY)
    torch.nn.init.normal_(list(network.parameters())[-2], std=0.1)
    image = Raster(Image.fromarray(natural(30, 70)).convert(mode))
    whole, _ = Upscaler(TorchEngine(network), 0).raster(image)
    document = Document((image,))
    for tile in (0, 5, 16):
        for size in (sizes.Size(45, 131), sizes.Size(33, 71), sizes.Size(60, 140), sizes.Size(70, 150)):
            assert size.width is not None and size.height is not None
            [frame] = Upscaler(TorchEngine(network), tile).document(document, size).frames
            expected = fit(whole, size.width, size.height)
            assert np.array_equal(frame.array(), expected.array())


def test_an_exact_size_leaves_no_fringe() -> None:
    image = Image.new("RGBA", (32, 20))
    ImageDraw.Draw(image).ellipse((2, 4, 12, 14), fill=(220, 0, 20, 255))
    small = np.asarray(fit(Raster(image), 13, 9).data)
    assert (small[small[..., 3] > 8][:, 0] > 200).all()  # red, not the black under it


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([(0, 255), (40, 200)]), st.integers(0, 99))
def test_alpha_does_not_ring_at_an_exact_size(width: int, height: int, pair: tuple[int, int], seed: int) -> None:
    """It stays between its own levels, and flat where all pixels that it is made of are equal."""
    alpha = np.random.default_rng(seed).choice(pair, (16, 20)).astype(np.uint8)
    alpha[:, :12] = pair[1]
    small = fit(Raster(Image.fromarray(np.dstack([natural(20, 16, seed), alpha]))), width, height).array()[..., 3]
    assert pair[0] <= small.min() and small.max() <= pair[1]
    inside = np.arange(width) < (12 - 0.5) * width / 20 - max(1, width / 20) - 0.5
    assert (small[:, inside] == pair[1]).all()
