"""Seamless textures: whatever is done to a picture, it goes on at its opposite side."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from making import natural

from espcn_cli.engines.engine import Engine
from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.maths.levels import Levels
from espcn_cli.network.espcn import ESPCN
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.raster import from_array
from espcn_cli.pictures.traces import Traces
from espcn_cli.settings import ModelSettings
from espcn_cli.upscaling.sizes import Size, parse
from espcn_cli.upscaling.upscaler import Upscaler, load
from espcn_cli.upscaling.wrap import Around

DEEP = ModelSettings(widths=(4, 4), kernels=(5, 3, 3))


@pytest.fixture(scope="module", params=["torch", "ensemble", "openvino"])
def engine(request: pytest.FixtureRequest, make_network: Callable[..., ESPCN]) -> Engine:
    network = make_network(DEEP)
    if request.param != "openvino":
        return TorchEngine(network, ensemble=request.param == "ensemble")
    pytest.importorskip("openvino")
    from espcn_cli.engines.openvino_engine import OpenVinoEngine
    from espcn_cli.network import weights

    return OpenVinoEngine(DEEP, weights.to_arrays(network.state_dict()))


def texture(width: int, height: int, channels: int = 3, seed: int = 0) -> Levels:
    """With alpha of soft and of hard edges, and wholly transparent places, if there are so many channels."""
    levels = natural(width, height, seed)
    y, x = np.mgrid[0:height, 0:width]
    alpha = np.clip(255 * np.sin(x / 3) * np.cos(y / 2), 0, 255)
    alpha[: height // 2, : width // 3] = 255 * (x[: height // 2, : width // 3] % 4 > 1)
    with_alpha = np.dstack([levels, alpha.astype(np.uint8)])
    return np.ascontiguousarray(with_alpha[..., {1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]])


def made(upscaler: Upscaler, levels: Levels, size: Size | None = None, traces: Traces | None = None) -> Levels:
    document = Document((from_array(levels),), traces=traces or Traces())
    return upscaler.document(document, size).frames[0].array()


def rolled(levels: Levels, down: int, across: int) -> Levels:
    return np.roll(levels, (down, across), (0, 1))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(31, 22), (9, 40), (5, 3), (1, 1), (1, 17)])
def test_a_rolled_picture_becomes_the_rolled_result(engine: Engine, size: tuple[int, int], channels: int) -> None:
    """To the last level, also where the picture is smaller than what the network looks at."""
    upscaler, levels = Upscaler(engine, wrap=True), texture(*size, channels)
    expected = made(upscaler, levels)
    assert expected.shape == (2 * size[1], 2 * size[0], channels)
    for down, across in ((1, 0), (0, 3), (7, 11), (-2, 5)):
        found = made(upscaler, rolled(levels, down, across))
        assert np.array_equal(found, rolled(expected, 2 * down, 2 * across))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_it_is_the_middle_of_the_picture_laid_out_three_by_three(engine: Engine, channels: int) -> None:
    levels = texture(40, 30, channels)
    middle = made(Upscaler(engine), np.tile(levels, (3, 3, 1)))[60:120, 80:160]
    assert np.array_equal(made(Upscaler(engine, wrap=True), levels), middle)
    assert not np.array_equal(made(Upscaler(engine), levels), middle)


@pytest.mark.parametrize("treatment", ["blend", "separate"])
@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_sixteen_bits_other_alpha_and_the_chroma_of_jpegs_too(
    engine: Engine, treatment: Any, halved: bool, dtype: Any
) -> None:
    levels = texture(20, 14, 4).astype(dtype) * (257 if dtype == np.uint16 else 1)
    upscaler, traces = Upscaler(engine, alpha=treatment, wrap=True), Traces(halved=halved)
    expected = made(upscaler, levels, traces=traces)
    assert np.array_equal(made(upscaler, rolled(levels, 5, 3), traces=traces), rolled(expected, 10, 6))


@pytest.mark.parametrize("tile", [0, 5, 16])
@pytest.mark.parametrize("channels", [3, 4])
def test_tiles_do_not_show(engine: Engine, tile: int, channels: int) -> None:
    levels = texture(37, 26, channels)
    expected = made(Upscaler(engine, wrap=True), levels)
    assert np.array_equal(made(Upscaler(engine, tile, wrap=True), levels), expected)


def test_small_pictures_that_go_together_become_what_they_become_alone(engine: Engine) -> None:
    upscaler = Upscaler(engine, wrap=True)
    for size in (None, parse("150%")):
        documents = [Document((from_array(texture(12 + n, 9, 3 + n % 2)),)) for n in range(4)]
        together = upscaler.documents(documents, size, [None] * 4)
        for one, document in zip(together, documents, strict=True):
            assert np.array_equal(one.frames[0].array(), upscaler.document(document, size).frames[0].array())


def test_bands_of_a_large_picture_are_the_whole_one(engine: Engine) -> None:
    upscaler = Upscaler(engine, 16, wrap=True)
    for size in (None, parse("70x55"), parse("20x")):
        document = Document((from_array(texture(37, 26)),))
        flow = upscaler.flow(document, size, None)
        assert np.array_equal(np.concatenate(list(flow.bands)), upscaler.document(document, size).frames[0].array())


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", ["150%", "50%", "25%", "12.5%"])
def test_an_exact_size_goes_on_at_the_opposite_side(engine: Engine, size: str, channels: int) -> None:
    """By the network and then down, or down alone; sums in another order may end a level apart."""
    upscaler, levels = Upscaler(engine, wrap=True), texture(48, 32, channels)
    expected = made(upscaler, levels, parse(size)).astype(int)
    found = made(upscaler, rolled(levels, 8, 16), parse(size)).astype(int)
    factor = len(expected) / 32
    assert np.abs(found - rolled(expected, round(8 * factor), round(16 * factor))).max() <= 1


def test_the_seam_is_no_worse_than_the_inside() -> None:
    """Of a texture that is seamless, by a shipped network: no line of pixels there bends more than those elsewhere."""
    y, x = np.mgrid[0:48, 0:48] * (2 * np.pi / 48)
    waves = [np.sin(3 * x + n) * np.cos(2 * y) + 0.5 * np.sin(5 * y + 2 * x) for n in range(3)]
    levels = np.round(127.5 + 80 * np.stack(waves, 2)).astype(np.uint8)

    def at_seam(upscaler: Upscaler) -> tuple[float, float]:
        """The mean curvature across the seam, and the most across any line of pixels inside."""
        large = np.tile(made(upscaler, levels).astype(float), (3, 3, 1))
        bend = np.abs(np.diff(large, 2, axis=1)).mean(axis=(0, 2))
        return bend[94:96].max(), bend[110:180].max()

    seam, inside = at_seam(load("espcn-m", 2, wrap=True))
    assert seam <= inside
    seam, inside = at_seam(load("espcn-m", 2))
    assert seam > 2 * inside


def test_tensors_too(make_network: Callable[..., ESPCN]) -> None:
    upscaler, x = Upscaler(TorchEngine(make_network(DEEP)), wrap=True), torch.rand(2, 3, 7, 12)
    expected = upscaler.upscale(x)
    assert expected.shape == (2, 3, 14, 24)
    assert torch.equal(upscaler.upscale(x.roll((2, 5), (2, 3))), expected.roll((4, 10), (2, 3)))


def test_a_shipped_model_by_name_wraps_at_every_scale() -> None:
    for name in ("espcn-s", "espcn-s-real"):
        upscaler = pickle.loads(pickle.dumps(load(name, wrap=True, strength="auto")))
        levels = texture(16, 12)
        strength = upscaler.strength_of(Document((from_array(levels),)))
        for scale in (2, 3):
            used = upscaler.at(scale)
            expected = used.raster(from_array(levels), strength)[0].array()
            found = used.raster(from_array(rolled(levels, 3, 5)), strength)[0].array()
            assert np.array_equal(found, rolled(expected, 3 * scale, 5 * scale))


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 25), st.data())
def test_the_margin_is_the_picture_again(width: int, height: int, margin: int, data: st.DataObject) -> None:
    levels = natural(width, height)
    around = Around(from_array(levels), margin)
    whole = np.pad(levels, ((margin, margin), (margin, margin), (0, 0)), mode="wrap")
    assert around.size == whole.shape[1::-1]
    assert np.array_equal(around.levels(), whole)
    rows, columns = (sorted(data.draw(st.tuples(st.integers(0, n - 1), st.integers(1, n)))) for n in whole.shape[:2])
    if rows[0] < rows[1] and columns[0] < columns[1]:
        assert np.array_equal(around.window(slice(*rows), slice(*columns)), whole[slice(*rows), slice(*columns)])


def test_combinations_keep_their_size(bicubic: Upscaler) -> None:
    upscaler = Upscaler(bicubic.engine, wrap=True)
    for (width, height), size in product([(1, 1), (2, 9), (30, 4)], ["1x1", "7x3", "100x", "x200", "33%"]):
        wanted = parse(size)
        assert made(upscaler, texture(width, height), wanted).shape[1::-1] == wanted.of((width, height))
