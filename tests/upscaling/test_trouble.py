"""Where memory runs out the tiles shrink; where half precision overflows the picture is done in fp32, and alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from making import natural
from PIL import Image

from espcn_cli.engines.torch_engine import CPU, TorchEngine
from espcn_cli.errors import EspcnError
from espcn_cli.maths.levels import Levels
from espcn_cli.network.espcn import ESPCN
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.raster import Raster
from espcn_cli.settings import ModelSettings
from espcn_cli.upscaling.sizes import Size
from espcn_cli.upscaling.upscaler import Upscaler

TINY = ModelSettings(widths=(4,), kernels=(3, 3))


class Small(TorchEngine):
    """Has memory for windows of 90×90 pixels."""

    def upscale(self, windows: Sequence[Levels], black: int, white: int) -> list[Levels]:
        if any(levels.size > 3 * 90 * 90 for levels in windows):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return super().upscale(windows, black, white)


def test_when_memory_runs_out_the_tiles_shrink() -> None:
    image = Raster(Image.fromarray(natural(150, 140)))
    result, notes = Upscaler(Small(ESPCN(TINY)), 0).raster(image)
    assert notes == ["memory ran out: done in tiles of 75 pixels"]
    exact, _ = Upscaler(TorchEngine(ESPCN(TINY))).raster(image)
    assert np.array_equal(result.array(), exact.array())


@pytest.fixture
def delicate() -> ESPCN:
    """White becomes 3.3995e38 inside, which float32 holds and bfloat16 rounds to infinity; mid-grey does not."""
    network = ESPCN(ModelSettings(widths=(1,), kernels=(1, 1), activation="prelu", skip="none"))
    weights = {"body.0.weight": 3.38953e38, "body.0.bias": 1e36, "body.2.weight": 2e-39, "body.2.bias": 0.125}
    with torch.no_grad():
        for name, value in weights.items():
            network.get_parameter(name).fill_(value)
    return network


def grey(level: int) -> Raster:
    levels = natural(24, 18)[..., 0] // 4 + 20
    levels[9, 12] = level
    return Raster(Image.fromarray(levels))


HARMLESS, BRIGHT = grey(100), grey(255)
NOTE = "bf16 overflows on this picture: done in fp32"


def test_overflow_of_half_precision_is_done_again_in_fp32(delicate: ESPCN) -> None:
    half, full = Upscaler(TorchEngine(delicate, CPU, torch.bfloat16)), Upscaler(TorchEngine(delicate))
    result, notes = half.raster(BRIGHT)
    assert notes == [NOTE]
    assert np.array_equal(result.array(), full.raster(BRIGHT)[0].array())
    assert half.raster(HARMLESS)[1] == []


@pytest.mark.parametrize("tile", [0, 5, None])
def test_overflow_is_the_picture_s_not_the_tile_s(delicate: ESPCN, tile: int | None) -> None:
    """The whole picture is done in fp32, so that it is the same however it is cut."""
    half = Upscaler(TorchEngine(delicate, CPU, torch.bfloat16), tile)
    result, notes = half.raster(BRIGHT)
    assert notes == [NOTE]
    assert np.array_equal(result.array(), Upscaler(TorchEngine(delicate)).raster(BRIGHT)[0].array())


def test_overflow_on_the_way_to_an_exact_size(delicate: ESPCN) -> None:
    half, full = Upscaler(TorchEngine(delicate, CPU, torch.bfloat16), 5), Upscaler(TorchEngine(delicate))
    size = Size(width=31)
    after = half.document(Document((BRIGHT,)), size)
    assert after.warnings == (NOTE,)
    assert np.array_equal(after.frames[0].array(), full.document(Document((BRIGHT,)), size).frames[0].array())


def test_overflow_of_tensors_is_done_again_too(delicate: ESPCN) -> None:
    half, full = Upscaler(TorchEngine(delicate, CPU, torch.bfloat16)), Upscaler(TorchEngine(delicate))
    x = torch.full((1, 1, 6, 5), 1.0)
    with pytest.warns(UserWarning, match=NOTE):
        result = half.upscale(x)
    assert torch.equal(result, full.upscale(x))
    dark = torch.full((1, 1, 6, 5), 0.4)
    with pytest.warns(UserWarning, match=NOTE):
        both = half.upscale(torch.cat([dark, x]))
    assert torch.equal(both, torch.cat([half.upscale(dark), result]))  # one that overflows leaves the others alone


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_network_that_gives_nan_makes_no_picture(precision: torch.dtype) -> None:
    """Written as levels, NaN would be black."""
    network = ESPCN(TINY)
    with torch.no_grad():
        network.get_parameter("body.2.bias").fill_(torch.nan)
    upscaler = Upscaler(TorchEngine(network, precision=precision))
    image = Image.fromarray(natural(12, 9))
    for work in (
        lambda: upscaler(image),
        lambda: upscaler.raster(Raster(image)),
        lambda: upscaler.document(Document((Raster(image),), {}), Size(20, 15)),
        lambda: upscaler.upscale(torch.rand(1, 3, 9, 12)),
    ):
        with pytest.raises(EspcnError, match="the model gives NaN or infinity on this picture"):
            work()


def test_a_picture_that_overflows_changes_nothing_for_the_next(delicate: ESPCN) -> None:
    """An engine never changes: a batch gives what its pictures give one by one."""
    half = Upscaler(TorchEngine(delicate, CPU, torch.bfloat16))
    alone = half.raster(HARMLESS)[0].array()
    after = half.document(Document((BRIGHT, HARMLESS, BRIGHT)))
    assert after.warnings == (NOTE,)
    assert np.array_equal(after.frames[1].array(), alone)
    assert half.engine.precision == torch.bfloat16  # type: ignore[attr-defined]
    assert not np.array_equal(alone, Upscaler(TorchEngine(delicate)).raster(HARMLESS)[0].array())


def test_frames_of_an_animation_are_all_done_in_fp32_if_one_overflows(delicate: ESPCN) -> None:
    """Else what stands still would change by a level from frame to frame."""
    half, full = Upscaler(TorchEngine(delicate, CPU, torch.bfloat16)), Upscaler(TorchEngine(delicate))
    for size in (None, Size(width=31)):
        document = Document((HARMLESS, BRIGHT, HARMLESS), durations=(40.0,) * 3)
        after = half.document(document, size)
        assert after.warnings == (NOTE,)
        for frame, exact in zip(after.frames, full.document(document, size).frames, strict=True):
            assert np.array_equal(frame.array(), exact.array())
