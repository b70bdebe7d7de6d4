"""However a picture is cut, and in whatever company it travels, its pixels are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from making import natural
from torch import Tensor

from espcn_cli import cores
from espcn_cli.engines.tiles import stream
from espcn_cli.engines.torch_engine import CPU, TorchEngine, upscale_planes
from espcn_cli.maths.colour import luma
from espcn_cli.maths.resize import interpolate
from espcn_cli.maths.tiling import STRIP_PIXELS, choose_tile
from espcn_cli.network.espcn import ESPCN
from espcn_cli.network.layers import HAS_ONEDNN
from espcn_cli.network.slopes import slopes, smoothed
from espcn_cli.scoring.tensors import quantise
from espcn_cli.settings import ACTIVATIONS, ARCHITECTURES, PLANES, SCALES, SKIPS, ModelSettings, architecture

SMALL = ModelSettings(widths=(4, 4), kernels=(3, 3, 3))
RGB = replace(SMALL, planes=3)

Make = Callable[..., ESPCN]

networks = st.builds(
    lambda kernels, **options: ModelSettings(widths=(5,) * (len(kernels) - 1), kernels=kernels, **options),
    kernels=st.sampled_from([(3, 3), (5, 3, 3), (1, 3), (3, 1, 5), (1, 1), (3, 3, 3, 3), (7, 3)]),
    scale=st.sampled_from(SCALES),
    activation=st.sampled_from(ACTIVATIONS),
    skip=st.sampled_from(SKIPS),
    planes=st.sampled_from(list(PLANES.values())),
)
sizes = st.tuples(st.integers(1, 22), st.integers(1, 22))


def noise(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def assert_same_picture(a: Tensor, b: Tensor) -> None:
    assert torch.equal(quantise(a), quantise(b))
    if HAS_ONEDNN:  # there even every bit before rounding
        assert torch.equal(a, b)


# --- tiles -----------------------------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(
    model=networks,
    planes=st.sampled_from([1, 3]),
    size=sizes,
    tile=st.none() | st.integers(1, 24),
    seed=st.integers(0, 100),
)
@example(model=SMALL, planes=1, size=(40, 37), tile=1, seed=0)
@example(model=SMALL, planes=3, size=(17, 33), tile=2, seed=1)
def test_tiled_is_whole(
    model: ModelSettings, planes: int, size: tuple[int, int], tile: int | None, seed: int, make_network: Make
) -> None:
    engine = TorchEngine(make_network(model, seed))
    lr = noise(seed, 1, planes, *size)
    assert_same_picture(upscale_planes(engine, lr, tile), upscale_planes(engine, lr, 0))


@pytest.mark.parametrize("planes", PLANES.values())
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_tiled_is_whole_for_the_shipped_architectures(name: str, planes: int, make_network: Make) -> None:
    engine = TorchEngine(make_network(architecture(name, 2, planes), tail=0.02))
    lr = noise(1, 1, 3, 33, 38)
    whole = upscale_planes(engine, lr, 0)
    for tile in (7, 16, 32):
        assert_same_picture(upscale_planes(engine, lr, tile), whole)


@given(model=networks, size=sizes, tile=st.none() | st.integers(1, 24), seed=st.integers(0, 100))
def test_tiled_is_whole_in_bf16(
    model: ModelSettings, size: tuple[int, int], tile: int | None, seed: int, make_network: Make
) -> None:
    engine = TorchEngine(make_network(model, seed), precision=torch.bfloat16)
    lr = noise(seed, 1, 3, *size)
    assert_same_picture(upscale_planes(engine, lr, tile), upscale_planes(engine, lr, 0))


def test_too_small_a_halo_would_show(make_network: Make) -> None:
    """The proof that the tests above can fail."""
    engine = TorchEngine(make_network(SMALL))
    lr = noise(2, 1, 1, 20, 20)
    whole = engine.planes(lr)
    for halo, exact in ((engine.halo, True), (SMALL.halo - 1, False)):
        same = [
            torch.equal(
                out[..., t.rows.inner(2), t.columns.inner(2)], whole[..., t.rows.output(2), t.columns.output(2)]
            )
            for t, out in stream(engine.planes, lr, halo, 8)
        ]
        assert all(same) is exact


def test_the_halo_covers_the_network_and_bicubic() -> None:
    assert TorchEngine(ESPCN(architecture("espcn-m"))).halo == 12
    assert TorchEngine(ESPCN(ModelSettings(widths=(4,), kernels=(1, 1), skip="none"))).halo >= 2


def test_tile_sizes() -> None:
    """0 takes the picture whole, a number makes squares, None strips of the whole width, or wide columns."""
    assert choose_tile(0, 500, 700, 4) == (500, 700)
    assert choose_tile(64, 500, 700, 4) == (64, 64)
    assert choose_tile(None, 50, 70, 4) == (50, 70)
    height, width = choose_tile(None, 5000, 600, 4)
    assert (height, width) == (152, 600)  # 33 strips; 32 would be too high
    assert (height + 8) * width <= STRIP_PIXELS < (5000 // 32 + 8) * width
    height, width = choose_tile(None, 5000, 1920, 4)
    assert (height, width) == (193, 1920 / 4)  # 26 strips
    assert (height + 8) * (width + 8) <= STRIP_PIXELS < (5000 // 25 + 8) * (width + 8)
    assert choose_tile(None, 540, 960, 12, 540 * 960) == (540, 960)


@pytest.mark.parametrize("width", [1, 627, 20_000, 1_000_000])
def test_a_window_is_bounded_however_wide_the_picture(width: int) -> None:
    height, columns = choose_tile(None, 20_000, width, 12)
    assert (height + 24) * min(columns + 24, width) <= STRIP_PIXELS


def test_a_negative_tile_is_refused(make_network: Make) -> None:
    with pytest.raises(ValueError, match="cannot cut"):
        upscale_planes(TorchEngine(make_network(SMALL)), noise(0, 1, 1, 4, 4), -1)


# --- in company ------------------------------------------------------------------------------------------------------


@given(model=networks, planes=st.sampled_from([1, 3]), size=sizes, count=st.integers(2, 4), seed=st.integers(0, 100))
def test_a_batch_is_its_pictures_one_by_one(
    model: ModelSettings, planes: int, size: tuple[int, int], count: int, seed: int, make_network: Make
) -> None:
    engine = TorchEngine(make_network(model, seed))
    lr = noise(seed, count, planes, *size)
    assert_same_picture(
        upscale_planes(engine, lr), torch.cat([upscale_planes(engine, picture[None]) for picture in lr])
    )


# --- planes ----------------------------------------------------------------------------------------------------------


@given(size=sizes, scale=st.sampled_from(SCALES), seed=st.integers(0, 100))
def test_rgb_through_a_luma_network_takes_its_detail_by_slopes(
    size: tuple[int, int], scale: int, seed: int, make_network: Make
) -> None:
    """Bicubic colours, and luma's detail in proportion to their slopes, which are linear in HR: spelt out here."""
    network = make_network(replace(SMALL, scale=scale), seed)
    rgb = noise(seed, 1, 3, *size)
    y = luma(rgb)
    with torch.no_grad():
        detail = network(y) - interpolate(y, scale)
    share = interpolate(slopes(F.pad(rgb, [1] * 4, mode="replicate")), scale, "bilinear")
    explicit = interpolate(rgb, scale) + share * detail
    torch.testing.assert_close(upscale_planes(TorchEngine(network), rgb), explicit.clamp(0, 1), atol=2e-5, rtol=0)


@given(size=sizes, scale=st.sampled_from(SCALES), seed=st.integers(0, 100))
def test_where_chroma_was_halved_it_takes_its_share_of_what_luma_has_beyond_it(
    size: tuple[int, int], scale: int, seed: int, make_network: Make
) -> None:
    """Bicubic chroma, and in proportion to the slopes what luma has in HR that as smooth a luma as chroma has not."""
    network = make_network(replace(SMALL, scale=scale), seed)
    rgb = noise(seed, 1, 3, *size)
    y = luma(rgb)
    change = interpolate(slopes(F.pad(rgb, [3] * 4, mode="replicate"), halved=True), scale, "bilinear") - 1
    with torch.no_grad():
        sr = network(y)
    left = smoothed(smoothed(F.pad(y, [2] * 4, mode="replicate")))
    explicit = sr + interpolate(rgb - y, scale) + change * (sr - interpolate(left, scale))
    found = upscale_planes(TorchEngine(network).halved(), rgb)
    torch.testing.assert_close(found, explicit.clamp(0, 1), atol=2e-5, rtol=0)


@given(size=sizes, scale=st.sampled_from(SCALES), seed=st.integers(0, 100), halved=st.booleans())
def test_the_luma_of_a_picture_in_colour_is_the_network_s(
    size: tuple[int, int], scale: int, seed: int, halved: bool, make_network: Make
) -> None:
    engine = TorchEngine(make_network(replace(SMALL, scale=scale), seed), of_halved=halved)
    rgb = noise(seed, 1, 3, *size)
    torch.testing.assert_close(luma(engine.planes(rgb)), engine.planes(luma(rgb)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("planes", PLANES.values())
def test_an_untrained_network_is_bicubic_for_rgb_and_grey(planes: int, scale: int, photo: Tensor) -> None:
    engine = TorchEngine(ESPCN(ModelSettings(scale=scale, widths=(4,), kernels=(3, 3), planes=planes)))
    for lr in (photo[..., :20, :30], photo[:, :1, :20, :30]):
        torch.testing.assert_close(upscale_planes(engine, lr), interpolate(lr, scale).clamp(0, 1), atol=3e-6, rtol=0)


@pytest.mark.parametrize("model", [SMALL, RGB])
def test_a_grey_rgb_picture_is_the_grey_picture(model: ModelSettings, make_network: Make, photo: Tensor) -> None:
    """Equal planes stay equal through a luma network, and have the luma of the plane through any."""
    engine = TorchEngine(make_network(model))
    grey = photo[:, 1:2, :20, :20]
    colour = upscale_planes(engine, grey.expand(-1, 3, -1, -1))
    if model.planes == 1:
        torch.testing.assert_close(colour, upscale_planes(engine, grey).expand(-1, 3, -1, -1), atol=2e-6, rtol=0)
    assert upscale_planes(engine, grey).shape == (1, 1, 40, 40)


def test_grey_through_an_rgb_network_is_the_luma_of_the_result(make_network: Make, photo: Tensor) -> None:
    network = make_network(RGB)
    grey = photo[:, :1, :15, :17]
    with torch.no_grad():
        expected = luma(network(grey.expand(-1, 3, -1, -1))).clamp(0, 1)
    torch.testing.assert_close(upscale_planes(TorchEngine(network), grey), expected, atol=1e-6, rtol=0)


def test_other_numbers_of_planes_are_refused(make_network: Make) -> None:
    with pytest.raises(ValueError, match="RGB needs three planes"):
        upscale_planes(TorchEngine(make_network(SMALL)), noise(0, 1, 4, 5, 5))


# --- edges of the range ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("model", [SMALL, RGB, replace(SMALL, skip="none", activation="tanh", scale=3)])
def test_one_pixel_becomes_scale_by_scale(model: ModelSettings, planes: int, make_network: Make) -> None:
    sr = upscale_planes(TorchEngine(make_network(model)), noise(3, 1, planes, 1, 1))
    assert sr.shape == (1, planes, model.scale, model.scale)
    assert sr.isfinite().all()


@pytest.mark.parametrize("model", [SMALL, RGB])
@pytest.mark.parametrize("planes", [1, 3])
def test_output_is_clipped_float32_and_not_rounded(model: ModelSettings, planes: int, make_network: Make) -> None:
    sr = upscale_planes(TorchEngine(make_network(model, tail=1.0)), noise(4, 1, planes, 16, 16))
    assert (sr.dtype, sr.device) == (torch.float32, CPU)
    assert sr.min() == 0 and sr.max() == 1
    assert not torch.equal(quantise(sr), sr)


def test_the_input_is_left_alone(make_network: Make, photo: Tensor) -> None:
    before = photo.clone()
    for model in (SMALL, RGB):
        upscale_planes(TorchEngine(make_network(model)), photo, 32)
    assert torch.equal(photo, before)


# --- precision -------------------------------------------------------------------------------------------------------


def test_bf16_is_close_to_fp32(make_network: Make, photo: Tensor) -> None:
    network = make_network(SMALL)
    exact, rough = (upscale_planes(TorchEngine(network, precision=p), photo) for p in (torch.float32, torch.bfloat16))
    assert (exact - rough).abs().max() < 0.03


def test_bf16_asked_for_is_bf16_done(make_network: Make, photo: Tensor) -> None:
    """bfloat16 has 8 bits of mantissa: the results cannot be those of fp32 to the last bit."""
    network = make_network(SMALL)
    exact, rough = (upscale_planes(TorchEngine(network, precision=p), photo) for p in (torch.float32, torch.bfloat16))
    assert not torch.equal(exact, rough)


# --- the ensemble ----------------------------------------------------------------------------------------------------


def test_the_ensemble_is_equivariant(make_network: Make) -> None:
    """Turned input, turned output: what the mean over all eight turns is, and one run is not."""
    x = noise(5, 1, 3, 9, 12)
    for ensemble, same in ((True, True), (False, False)):
        engine = TorchEngine(make_network(SMALL), ensemble=ensemble)
        turned = engine.planes(x.rot90(1, (2, 3))).rot90(-1, (2, 3))
        assert torch.allclose(turned, engine.planes(x), atol=1e-6) is same


# --- threads ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets how many this thread computes with; afterwards it is as before."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_small_windows_side_by_side_are_the_same_pictures(make_network: Make, threads: Callable[[int], None]) -> None:
    engine = TorchEngine(make_network(SMALL))
    windows = [natural(20 + index, 15, index) for index in range(9)]
    threads(1)
    alone = [engine.upscale([levels], 0, 255)[0] for levels in windows]
    threads(3)
    for one, other in zip(alone, engine.upscale(windows, 0, 255), strict=True):
        assert np.array_equal(one, other)


def test_a_small_window_is_worked_on_by_one_thread_and_a_large_one_by_all(
    make_network: Make, threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, counts = TorchEngine(make_network(SMALL)), []
    detail = engine.network.detail

    def counting(y: Tensor) -> Tensor:
        counts.append(torch.get_num_threads())
        return detail(y)

    monkeypatch.setattr(engine.network, "detail", counting)
    threads(2)
    engine.upscale([natural(64, 64)], 0, 255)
    engine.upscale([natural(256, 256)], 0, 255)
    assert counts == [1, 2] and torch.get_num_threads() == 2


def test_what_was_chosen_or_granted_is_what_pytorch_uses(
    make_network: Make, threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for chosen, granted, expected in ((None, None, 4), (None, 3, 3), (None, 8, 4), (2, None, 2), (6, 3, 6)):
        threads(4)
        monkeypatch.setattr(cores, "_chosen", chosen)
        monkeypatch.setattr(cores, "granted", lambda granted=granted: granted)
        TorchEngine(make_network(SMALL))
        assert torch.get_num_threads() == expected
