"""A picture through an upscaler: in tiles as whole, alpha apart, and again where memory or precision fail."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from making import natural
from making_animations import disc
from PIL import Image
from torch import Tensor

from espcn_cli.engines.torch_engine import Engine, NotFiniteError
from espcn_cli.network.espcn import ESPCN
from espcn_cli.pictures.raster import Raster
from espcn_cli.settings import ModelSettings
from espcn_cli.upscaling.upscaler import Upscaler

TINY = ModelSettings(widths=(4,), kernels=(3, 3))


def test_strips_of_a_transparent_picture_are_the_whole(tmp_path: Path) -> None:
    """Colours bleed and the network reads beyond a tile: no seam shows in any of the four channels."""
    torch.manual_seed(3)
    network = ESPCN(TINY)
    torch.nn.init.normal_(list(network.parameters())[-2], std=0.1)
    rgba = np.dstack([natural(50, 40), natural(50, 40, 1)[..., 0]])
    rgba[10:30, 5:45, 3] = 0
    image = Raster(Image.fromarray(rgba))
    whole, _ = Upscaler(Engine(network), 0).raster(image)
    for tile in (7, 16):
        tiled, _ = Upscaler(Engine(network), tile).raster(image)
        assert np.array_equal(np.asarray(tiled.data), np.asarray(whole.data))


def test_a_mask_is_interpolated_and_a_soft_edge_goes_through_the_network() -> None:
    torch.manual_seed(3)
    network = ESPCN(TINY)
    torch.nn.init.normal_(list(network.parameters())[-2], std=0.1)
    trained, plain = Upscaler(Engine(network)), Upscaler(Engine(ESPCN(TINY)))
    mask = disc(1)
    soft = mask.copy()
    soft.putpixel((0, 0), (0, 0, 0, 7))
    for image, same in ((mask, True), (soft, False)):
        by_network, by_bicubic = (np.asarray(u(image))[..., 3] for u in (trained, plain))
        assert np.array_equal(by_network, by_bicubic) is same
        strips, _ = trained.raster(Raster(image))
        assert np.array_equal(np.asarray(strips.data), np.asarray(trained(image)))


def test_the_ensemble_is_equivariant() -> None:
    """Turned input, turned output: what the mean over all eight turns is, and one run is not."""
    torch.manual_seed(0)
    network = ESPCN(TINY)
    torch.nn.init.normal_(list(network.parameters())[-2], std=0.1)
    x = torch.rand(1, 3, 9, 12)
    for ensemble, same in ((True, True), (False, False)):
        engine = Engine(network, ensemble=ensemble)
        turned = engine(x.rot90(1, (2, 3))).rot90(-1, (2, 3))
        assert torch.allclose(turned, engine(x), atol=1e-6) is same


def test_overflow_of_half_precision_is_done_again_in_fp32() -> None:
    class Overflowing(Engine):
        def __call__(self, x: Tensor) -> Tensor:
            if self.precision != torch.float32:
                raise NotFiniteError("bf16 overflows on this picture")
            return super().__call__(x)

    image = Raster(Image.fromarray(natural(12, 9)))
    result, notes = Upscaler(Overflowing(ESPCN(TINY), precision=torch.bfloat16)).raster(image)
    assert notes == ["bf16 overflows on this picture: done in fp32"]
    exact, _ = Upscaler(Engine(ESPCN(TINY))).raster(image)
    assert np.array_equal(np.asarray(result.data), np.asarray(exact.data))


def test_when_memory_runs_out_the_tiles_shrink() -> None:
    class Small(Engine):
        def __call__(self, x: Tensor) -> Tensor:
            if x.shape[2] * x.shape[3] > 80 * 80:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
            return super().__call__(x)

    image = Raster(Image.fromarray(natural(150, 140)))
    result, notes = Upscaler(Small(ESPCN(TINY)), 0).raster(image)
    assert notes == ["memory ran out: done in tiles of 75 pixels"]
    exact, _ = Upscaler(Engine(ESPCN(TINY))).raster(image)
    assert np.array_equal(np.asarray(result.data), np.asarray(exact.data))
