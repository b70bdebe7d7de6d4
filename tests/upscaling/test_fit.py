"""An exact size: band by band as from the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from making import natural
from making_animations import disc
from PIL import Image

from espcn_cli.engines.torch_engine import Engine
from espcn_cli.maths.resize import resize
from espcn_cli.network.espcn import ESPCN
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.raster import Raster
from espcn_cli.settings import ModelSettings
from espcn_cli.upscaling import sizes
from espcn_cli.upscaling.upscaler import Upscaler, fit

TINY = ModelSettings(widths=(4,), kernels=(3, 3))


@given(st.integers(1, 40), st.integers(1, 160), st.integers(0, 99))
def test_bands_of_an_exact_size_are_the_resize_of_the_whole(width: int, height: int, seed: int) -> None:
    picture = Raster(Image.fromarray(natural(23, 90, seed)))
    expected = (resize(picture.whole(), height, width) * 255 + 0.5).clamp(0, 255).floor()
    found = (fit(picture, width, height).whole() * 255).round()
    assert found.shape[2:] == (height, width)
    assert (expected - found).abs().max() <= 1


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_an_exact_size_is_made_strip_by_strip_as_from_the_whole(mode: str) -> None:
    torch.manual_seed(3)
    network = ESPCN(TINY)
    torch.nn.init.normal_(list(network.parameters())[-2], std=0.1)
    image = Raster(Image.fromarray(natural(30, 70)).convert(mode))
    whole, _ = Upscaler(Engine(network), 0).raster(image)
    document = Document((image,))
    for tile in (0, 5, 16):
        for size in (sizes.Size(45, 131), sizes.Size(33, 71), sizes.Size(60, 140), sizes.Size(70, 150)):
            assert size.width is not None and size.height is not None
            [frame] = Upscaler(Engine(network), tile).document(document, size).frames
            expected = fit(whole, size.width, size.height)
            assert np.array_equal(frame.array(), expected.array())


def test_an_exact_size_leaves_no_fringe() -> None:
    picture = Raster(disc(0))
    small = np.asarray(fit(picture, 13, 9).data)
    assert (small[small[..., 3] > 8][:, 0] > 200).all()  # red, not the black under it
