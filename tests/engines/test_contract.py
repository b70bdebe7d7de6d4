"""What every engine keeps to: levels in, the same windows scale times larger out, in the same dtype."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from making import natural
from numpy.typing import NDArray

from espcn_cli.engines.engine import Engine, NotFiniteError, PlaneEngine, highest
from espcn_cli.engines.torch_engine import TorchEngine, upscale_planes
from espcn_cli.maths.levels import Levels
from espcn_cli.maths.tiling import tiles
from espcn_cli.network.espcn import ESPCN
from espcn_cli.network.weights import to_arrays
from espcn_cli.scoring import tensors
from espcn_cli.settings import ARCHITECTURES, ModelSettings, architecture

Make = Callable[..., ESPCN]
MakeEngine = Callable[..., Engine]

SMALL = ModelSettings(widths=(4, 4), kernels=(3, 3, 3))

FORMS = [
    replace(SMALL, scale=3, activation="prelu"),
    replace(SMALL, scale=4, planes=3, skip="none", activation="tanh"),
    replace(SMALL, skip="none", kernels=(5, 1, 3)),
    ModelSettings(widths=(3,), kernels=(1, 1), skip="none"),
    replace(SMALL, skip="nearest", activation="prelu", slopes="channel", value_range=(0, 255)),
    replace(SMALL, planes=3, scale=3, last_activation="prelu", slopes="channel", value_range=(-1, 1)),
    replace(SMALL, planes=3, skip="nearest", last_activation="tanh"),
    replace(SMALL, scale=3, skip="none", last_activation="hardswish", value_range=(-0.5, 0.5)),
    replace(SMALL, skip="none", kernels=(5, 1, 3), activation="tanh", last_activation="sigmoid"),
    replace(SMALL, planes=3, skip="none", activation="prelu", border="edge"),
    replace(SMALL, skip="bicubic", border="edge", value_range=(16 / 255, 235 / 255)),
]
"""Of every scale, activation, skip, border and field."""


def open_openvino(network: ESPCN, ensemble: bool = False) -> Engine:
    openvino_engine = pytest.importorskip("espcn_cli.engines.openvino_engine")
    engine: Engine = openvino_engine.OpenVinoEngine(
        network.settings, to_arrays(network.state_dict()), ensemble=ensemble
    )
    return engine


KINDS: dict[str, Callable[..., Engine]] = {"torch": TorchEngine, "openvino": open_openvino}


@pytest.fixture(params=KINDS)
def make_engine(request: pytest.FixtureRequest, make_network: Make) -> MakeEngine:
    """Each engine, of a network as if trained."""

    def make(model: ModelSettings = SMALL, ensemble: bool = False, tail: float = 0.1) -> Engine:
        return KINDS[request.param](make_network(model, tail=tail), ensemble=ensemble)

    return make


def picture(channels: int = 3, width: int = 23, height: int = 17, deep: bool = False) -> Levels:
    levels: Levels = natural(width, height)[..., :channels]
    return levels.astype(np.uint16) * 257 if deep else levels


def white(levels: Levels) -> int:
    return int(np.iinfo(levels.dtype).max)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("deep", [False, True])
def test_the_same_window_scale_times_larger_in_the_same_dtype(
    make_engine: MakeEngine, scale: int, planes: int, channels: int, deep: bool
) -> None:
    engine = make_engine(replace(SMALL, scale=scale, planes=planes))
    levels = picture(channels, deep=deep)
    [large] = engine.upscale([levels], 0, white(levels))
    assert large.shape == (17 * scale, 23 * scale, channels)
    assert large.dtype == levels.dtype


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (2, 3)])
def test_windows_of_any_size(make_engine: MakeEngine, size: tuple[int, int]) -> None:
    [large] = make_engine().upscale([picture(3, *size)], 0, 255)
    assert large.shape == (2 * size[1], 2 * size[0], 3)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("ensemble", [False, True])
def test_levels_are_the_planes_rounded_once(make_engine: MakeEngine, channels: int, ensemble: bool) -> None:
    """The unrounded door and the contract's give one picture, halves up."""
    engine = make_engine(ensemble=ensemble)
    assert isinstance(engine, PlaneEngine)
    levels = picture(channels)
    exact = upscale_planes(engine, tensors.from_levels(levels), 0)
    assert np.array_equal(engine.upscale([levels], 0, 255)[0], tensors.to_depth(exact))


def test_several_windows_are_the_same_one_by_one(make_engine: MakeEngine) -> None:
    engine = make_engine()
    windows = [picture(3), picture(1), picture(3, 9, 31)]
    together = engine.upscale(windows, 0, 255)
    assert [large.shape for large in together] == [(34, 46, 3), (34, 46, 1), (62, 18, 3)]
    for window, large in zip(windows, together, strict=True):
        assert np.array_equal(engine.upscale([window], 0, 255)[0], large)


@pytest.mark.parametrize("halved", [False, True])
def test_a_window_with_its_halo_is_the_whole_s(make_engine: MakeEngine, halved: bool) -> None:
    engine, levels = make_engine(), picture(3, 60, 50)
    engine = engine.halved() if halved else engine
    [whole] = engine.upscale([levels], 0, 255)
    halo = engine.halo
    [part] = engine.upscale([levels[10 : 30 + halo, 20 - halo : 41]], 0, 255)
    inner = part[: 2 * (30 - 10), 2 * halo : 2 * halo + 2 * 10]
    assert np.array_equal(inner[2 * halo :], whole[20 + 2 * halo : 60, 40:60])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("tile", [(1, 29), (17, 13)])
def test_however_it_is_cut_the_bytes_are_the_same(
    make_engine: MakeEngine, channels: int, deep: bool, tile: tuple[int, int]
) -> None:
    plain = [(model, False) for model in (SMALL, FORMS[1], FORMS[4], *FORMS[-2:])]
    for model, halved in (*plain, (SMALL, True), (FORMS[3], True)):
        engine, levels = make_engine(model), picture(channels, 53, 41, deep)
        engine = engine.halved() if halved else engine
        [whole] = engine.upscale([levels], 0, white(levels))
        out = np.zeros_like(whole)
        for piece in tiles(41, 53, *tile, engine.halo):
            window = levels[piece.rows.window, piece.columns.window]
            [large] = engine.upscale([window], 0, white(levels))
            inner = large[piece.rows.inner(model.scale), piece.columns.inner(model.scale)]
            out[piece.rows.output(model.scale), piece.columns.output(model.scale)] = inner
        assert np.array_equal(out, whole)


@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("model", [SMALL, replace(SMALL, planes=3), *FORMS])
def test_every_engine_is_within_a_level_of_the_reference(
    make_engine: MakeEngine, make_network: Make, model: ModelSettings, channels: int, deep: bool, ensemble: bool
) -> None:
    levels = picture(channels, deep=deep)
    engine, reference = make_engine(model, ensemble), TorchEngine(make_network(model), ensemble=ensemble)
    for one, other in ((engine, reference), (engine.halved(), reference.halved())):
        [large] = one.upscale([levels], 0, white(levels))
        [expected] = other.upscale([levels], 0, white(levels))
        assert np.abs(large.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_engine_runs_what_is_shipped(make_engine: MakeEngine, make_network: Make, name: str) -> None:
    model = architecture(name)
    [large] = make_engine(model, tail=0.02).upscale([picture()], 0, 255)
    [expected] = TorchEngine(make_network(model, tail=0.02)).upscale([picture()], 0, 255)
    assert np.abs(large.astype(int) - expected).max() <= 1


def test_grey_in_a_file_of_colour_stays_grey(make_engine: MakeEngine) -> None:
    """Exactly, and it is what the same picture in a file of grey becomes."""
    for deep in (False, True):
        grey = picture(1, deep=deep)
        for ensemble in (False, True):
            engine = make_engine(ensemble=ensemble)
            for each in (engine, engine.halved()):
                colour, alone = each.upscale([grey.repeat(3, axis=2), grey], 0, white(grey))
                assert np.array_equal(colour, colour[..., :1].repeat(3, axis=2))
                assert np.abs(colour[..., :1].astype(int) - alone).max() <= 1


def test_red_on_blue_is_parted_by_its_colours(make_engine: MakeEngine, make_network: Make) -> None:
    """Where red begins, red takes more of luma's detail than blue, which goes the other way."""
    levels = np.zeros((12, 12, 3), np.uint8)
    levels[:, :6, 2], levels[:, 6:, 0] = 200, 200
    [large] = make_engine().upscale([levels], 0, 255)
    [expected] = TorchEngine(make_network(SMALL)).upscale([levels], 0, 255)
    assert np.abs(large.astype(int) - expected).max() <= 1
    bicubic = make_engine().interpolate(levels, 0, 255).astype(int)
    moved = np.abs(large - bicubic)[:, 10:14].mean(axis=(0, 1))
    assert moved[0] > 2 * moved[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_are_never_a_picture(kind: str, value: float, make_network: Make) -> None:
    network = make_network(SMALL)
    torch.nn.init.constant_(network.tail.weight, value)
    engine = KINDS[kind](network)
    for levels in (picture(1), picture(3)):
        with pytest.raises(NotFiniteError):
            engine.upscale([levels], 0, 255)


def test_an_engine_goes_to_another_process_and_threads_share_it(make_engine: MakeEngine) -> None:
    engine = make_engine()
    windows = [picture(3, 20 + index, 15) for index in range(4)]
    alone = [engine.upscale([window], 0, 255)[0] for window in windows]
    copy: Engine = pickle.loads(pickle.dumps(engine))
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda window: copy.upscale([window], 0, 255)[0], windows))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_a_window_has_room_for_halos(make_engine: MakeEngine) -> None:
    for model in (SMALL, ModelSettings(widths=(4096,), kernels=(3, 3))):
        engine = make_engine(model)
        assert engine.window > (4 * engine.halo) ** 2


def test_the_same_input_gives_the_same_bytes(make_engine: MakeEngine) -> None:
    engine = make_engine()
    first, again = (engine.upscale([picture()], 0, 255)[0] for _ in range(2))
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize(
    ("black", "top", "dtype"), [(16, 235, np.uint8), (64, 940, np.uint16), (4096, 60160, np.uint16)]
)
def test_black_and_white_are_0_and_1(
    make_engine: MakeEngine, make_network: Make, black: int, top: int, dtype: type
) -> None:
    """A video's plane: the same network output, spread from black to white."""
    values = natural(20, 16)[..., :1].astype(np.float64) / 255
    levels: NDArray[np.unsignedinteger] = (black + values * (top - black)).round().astype(dtype)
    x = torch.from_numpy((levels.astype(np.float32) - black) / (top - black)).permute(2, 0, 1)[None]
    expected = TorchEngine(make_network(SMALL)).planes(x)[0, 0].numpy() * (top - black) + black
    [large] = make_engine().upscale([levels], black, top)
    assert large.dtype == dtype
    assert np.abs(large[..., 0] - expected.clip(0, highest(top))).max() <= (0.51 if dtype == np.uint8 else 0.6)


def test_results_are_clipped_to_the_bits_that_white_takes(make_engine: MakeEngine) -> None:
    """10 bits of video have room above white, to 1023; whole levels end at white."""
    assert [highest(white) for white in (235, 255, 940, 1023, 65535)] == [255, 255, 1023, 1023, 65535]
    levels = picture(1, deep=True) // 64
    [large] = make_engine(tail=9.0).upscale([levels], 64, 940)
    assert (large.min(), large.max()) == (0, 1023)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_interpolation_is_bicubic_for_any_number_of_channels(make_engine: MakeEngine, channels: int) -> None:
    levels = np.concatenate([picture(3), picture(1)], axis=2)[..., :channels]
    large = make_engine().interpolate(levels, 0, 255)
    [expected] = TorchEngine(ESPCN(SMALL)).upscale([levels[..., :1]], 0, 255)  # untrained it is bicubic
    assert large.shape == (34, 46, channels)
    assert np.abs(large[..., :1].astype(int) - expected).max() <= 1


def test_the_input_is_left_alone_and_may_be_read_only(make_engine: MakeEngine) -> None:
    levels = picture()
    before = levels.copy()
    levels.flags.writeable = False
    make_engine().upscale([levels], 0, 255)
    assert np.array_equal(levels, before)


def test_an_exact_engine_is_its_own_exact_twin(make_engine: MakeEngine) -> None:
    engine = make_engine()
    assert engine.exact() is engine
    assert engine.arithmetic == "fp32"


@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("settings", FORMS)
def test_openvino_runs_every_network_in_bf16_where_the_processor_has_it(
    settings: ModelSettings, halved: bool, make_network: Make
) -> None:
    """A processor with AVX-512 fails at fp32's subtractions once anything in the graph is in bf16."""
    openvino_engine = pytest.importorskip("espcn_cli.engines.openvino_engine")
    if not openvino_engine.runtime.has("CPU", "bf16"):
        pytest.skip("the processor has no bf16")
    network = make_network(settings)
    weights = to_arrays(network.state_dict())
    for channels in (1, 3):
        window = natural(60, 80)[..., :channels]
        rough, exact = (
            openvino_engine.OpenVinoEngine(settings, weights, precision=precision, of_halved=halved)
            for precision in ("bf16", "fp32")
        )
        found, expected = (engine.upscale([window], 0, 255)[0].astype(int) for engine in (rough, exact))
        assert np.mean(np.abs(found - expected) <= 4) > 0.99


@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("settings", FORMS)
def test_bf16_is_for_hidden_layers_alone_in_graphs_for_one_shape_and_for_any(
    settings: ModelSettings, halved: bool, make_network: Make
) -> None:
    """What OpenVINO rewrites loses its mark: then the picture itself would go through 8 significant bits."""
    runtime = pytest.importorskip("espcn_cli.engines.openvino_runtime")
    graph = pytest.importorskip("espcn_cli.engines.openvino_graph")
    if not runtime.has("CPU", "bf16"):
        pytest.skip("the processor has no bf16")
    weights = to_arrays(make_network(settings).state_dict())
    blueprint = graph.Blueprint(settings, weights, halved=halved, rough=True)
    window = natural(40, 56)[None]
    found = []
    for shape in (window.shape, (1, -1, -1, 3)):
        request = runtime.request(graph.build(blueprint, graph.Form(3), shape), "CPU", "bf16", graph.HIDDEN)
        for node in request.get_compiled_model().get_runtime_model().get_ordered_ops():
            told = {key: str(getattr(value, "value", value)) for key, value in node.get_rt_info().items()}
            if told["layerType"] != "Reorder" and "bf16" in told["runtimePrecision"] + told["outputPrecisions"]:
                assert graph.HIDDEN in told["originalLayersNames"], told
        request.infer([window])
        found.append(request.get_output_tensor(0).data.tobytes())
    assert found[0] == found[1]


@pytest.fixture
def exact_bytes() -> None:
    """Only where products of bytes are added without overflow: with VNNI."""
    runtime = pytest.importorskip("espcn_cli.engines.openvino_runtime")
    if not runtime.adds_bytes_exactly():
        pytest.skip("the processor has no VNNI")


def int8_ranges(settings: ModelSettings) -> tuple[tuple[float, float], ...]:
    """Wide enough for a small network's values."""
    return (settings.value_range, *((-1.0, 2.0) for _ in settings.widths))


@pytest.mark.usefixtures("exact_bytes")
@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["espcn-s", "espcn-m"])
def test_int8_is_what_pytorch_simulates_within_a_level(
    name: str, channels: int, ensemble: bool, make_network: Make
) -> None:
    openvino_engine = pytest.importorskip("espcn_cli.engines.openvino_engine")
    settings = architecture(name)
    ranges = int8_ranges(settings)
    network = make_network(settings, tail=0.02)
    weights = to_arrays(network.state_dict())
    plain = openvino_engine.OpenVinoEngine(settings, weights, ensemble=ensemble)
    in_bytes = openvino_engine.OpenVinoEngine(settings, weights, "CPU", "int8", ensemble, ranges=ranges)
    simulated = TorchEngine(network.quantise_(ranges), ensemble=ensemble)
    assert simulated.arithmetic == in_bytes.arithmetic == ("int8, ensemble" if ensemble else "int8")
    window = picture(channels, 60, 50)
    expected, found, exact = (each.upscale([window], 0, 255)[0].astype(int) for each in (simulated, in_bytes, plain))
    assert np.mean(np.abs(found - expected) <= 1) >= 0.999
    assert np.any(found != exact)
    assert np.array_equal(in_bytes.exact().upscale([window], 0, 255)[0], exact)
    assert np.array_equal(pickle.loads(pickle.dumps(in_bytes)).upscale([window], 0, 255)[0], found)


@pytest.mark.usefixtures("exact_bytes")
@pytest.mark.parametrize("halved", [False, True])
def test_however_it_is_cut_the_bytes_are_the_same_in_int8(halved: bool, make_network: Make) -> None:
    openvino_engine = pytest.importorskip("espcn_cli.engines.openvino_engine")
    weights = to_arrays(make_network(SMALL, tail=0.1).state_dict())
    engine = openvino_engine.OpenVinoEngine(
        SMALL, weights, precision="int8", of_halved=halved, ranges=int8_ranges(SMALL)
    )
    whole = picture(3, 61, 47)
    large = engine.upscale([whole], 0, 255)[0]
    halo = engine.halo
    for top, left, bottom, right in [(0, 0, 30, 40), (10, 20, 47, 61), (13, 7, 40, 50)]:
        inside = whole[top:bottom, left:right]
        cut = engine.upscale([np.ascontiguousarray(inside)], 0, 255)[0]
        y, x = (0 if top == 0 else halo), (0 if left == 0 else halo)
        y_end, x_end = (bottom - top - (0 if bottom == 47 else halo)), (right - left - (0 if right == 61 else halo))
        expected = large[2 * (top + y) : 2 * (top + y_end), 2 * (left + x) : 2 * (left + x_end)]
        assert np.array_equal(cut[2 * y : 2 * y_end, 2 * x : 2 * x_end], expected)


@pytest.mark.usefixtures("exact_bytes")
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_are_done_in_fp32_where_8_are_in_int8(channels: int, make_network: Make) -> None:
    openvino_engine = pytest.importorskip("espcn_cli.engines.openvino_engine")
    settings = architecture("espcn-m")
    weights = to_arrays(make_network(settings, tail=0.1).state_dict())
    in_bytes = openvino_engine.OpenVinoEngine(settings, weights, precision="int8", ranges=int8_ranges(settings))
    deep = picture(channels, 40, 30, deep=True)
    found, exact = (each.upscale([deep], 0, 65535)[0] for each in (in_bytes, in_bytes.exact()))
    assert np.array_equal(found, exact)


@pytest.mark.usefixtures("exact_bytes")
def test_layers_in_int8_multiply_bytes(make_network: Make) -> None:
    runtime = pytest.importorskip("espcn_cli.engines.openvino_runtime")
    graph = pytest.importorskip("espcn_cli.engines.openvino_graph")
    settings = architecture("espcn-m")
    weights = to_arrays(make_network(settings, tail=0.1).state_dict())
    blueprint = graph.Blueprint(settings, weights, ranges=int8_ranges(settings))
    request = runtime.request(graph.build(blueprint, graph.Form(3), (1, 40, 56, 3)), "CPU", "int8")
    nodes = [node.get_rt_info() for node in request.get_compiled_model().get_runtime_model().get_ordered_ops()]
    kinds = [
        str(getattr(each["runtimePrecision"], "value", each["runtimePrecision"]))
        for each in nodes
        if str(getattr(each["layerType"], "value", each["layerType"])) == "Convolution"
    ]
    assert sum(kind in ("u8", "i8") for kind in kinds) == len(settings.kernels)


def test_the_engine_for_halved_chroma_is_one_and_differs_in_colour_alone(make_engine: MakeEngine) -> None:
    engine = make_engine()
    halved = engine.halved()
    assert engine.halved() is halved and halved.halved() is halved and halved.exact() is halved
    assert halved.settings == engine.settings and halved.halo >= 4
    copy: Engine = pickle.loads(pickle.dumps(halved))
    [grey], [again] = (each.upscale([picture(1)], 0, 255) for each in (engine, halved))
    assert np.array_equal(grey, again)
    [colour], [other], [third] = (each.upscale([picture(3)], 0, 255) for each in (engine, halved, copy))
    assert not np.array_equal(colour, other) and np.array_equal(other, third)
