"""What is exported, run by the programs that it is for: our pictures, within one level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from making import natural
from numpy.typing import NDArray
from running import by_ncnn
from torch import nn

from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.exchange import formats, importing
from espcn_cli.exchange.exported import Network
from espcn_cli.network.checkpoint import Card
from espcn_cli.network.espcn import ESPCN
from espcn_cli.network.layers import Convolution, rounded
from espcn_cli.network.weights import to_arrays
from espcn_cli.settings import ARCHITECTURES, ModelSettings, architecture

Make = Callable[..., ESPCN]

SMALL = ModelSettings(widths=(4, 4), kernels=(3, 3, 3))

FORMS = [
    SMALL,
    replace(SMALL, scale=3, activation="prelu"),
    replace(SMALL, scale=4, planes=3, skip="none", activation="tanh"),
    replace(SMALL, planes=3),
    replace(SMALL, skip="none", kernels=(5, 1, 3)),
    replace(SMALL, skip="nearest", activation="prelu", slopes="channel", value_range=(0, 255)),
    replace(SMALL, planes=3, scale=3, last_activation="prelu", slopes="channel", value_range=(-1, 1)),
    replace(SMALL, planes=3, skip="nearest", last_activation="tanh"),
    replace(SMALL, scale=3, skip="none", last_activation="hardswish", value_range=(-0.5, 0.5)),
    replace(SMALL, skip="none", activation="tanh", last_activation="sigmoid", value_range=(16 / 255, 235 / 255)),
    replace(SMALL, planes=3, skip="none", activation="prelu", border="edge"),
    replace(SMALL, skip="bicubic", border="edge", value_range=(16 / 255, 235 / 255)),
    *map(architecture, ARCHITECTURES),
]
"""Of every scale, activation, skip, border and field, and what is shipped."""


def network_of(module: ESPCN) -> Network:
    return Network(Card(module.settings, "net", license="CC0"), to_arrays(module.state_dict()))


@pytest.fixture(params=FORMS, ids=str)
def module(request: pytest.FixtureRequest, make_network: Make) -> ESPCN:
    return make_network(request.param, tail=0.02).eval()


def made(network: Network, suffix: str, **options: Any) -> dict[str, bytes]:
    return formats.find(suffix, **options)([network])


def ours(module: ESPCN, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    result: NDArray[np.uint8] = TorchEngine(module).upscale([picture], 0, 255)[0]
    return result


def planes_of(picture: NDArray[np.uint8], count: int) -> NDArray[np.float32]:
    return np.ascontiguousarray(picture[..., :count].transpose(2, 0, 1)[None] / 255, np.float32)


def close(found: NDArray[Any], module: ESPCN, x: NDArray[np.float32]) -> None:
    expected = TorchEngine(module).planes(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


# --- ONNX ------------------------------------------------------------------------------------------------------------


def run_onnx(data: bytes, x: NDArray[Any]) -> NDArray[Any]:
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    onnx.checker.check_model(data, full_check=True)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    [result] = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, {"input": x})
    found: NDArray[Any] = result
    return found


def test_onnx_takes_and_gives_pictures(module: ESPCN) -> None:
    """Two of a batch at once, uint8 RGB, colours inside."""
    data = made(network_of(module), ".onnx")[".onnx"]
    pictures = np.stack([natural(23, 17), natural(23, 17, 1)])
    large = run_onnx(data, pictures)
    assert large.dtype == np.uint8
    for picture, found in zip(pictures, large, strict=True):
        assert np.abs(found.astype(int) - ours(module, picture)).max() <= 1


def test_onnx_takes_and_gives_what_the_network_sees(module: ESPCN) -> None:
    data = made(network_of(module), ".onnx", form="plane")[".onnx"]
    for width, height in ((23, 17), (8, 30), (1, 1)):
        x = planes_of(natural(width, height), module.settings.planes)
        close(run_onnx(data, x), module, x)


def test_red_on_blue_in_onnx(make_network: Make) -> None:
    levels = np.zeros((12, 12, 3), np.uint8)
    levels[:, :6, 2], levels[:, 6:, 0] = 200, 200
    module = make_network(SMALL)
    large = run_onnx(made(network_of(module), ".onnx")[".onnx"], levels[None])[0]
    assert np.abs(large.astype(int) - ours(module, levels)).max() <= 1


def test_onnx_says_what_it_is(make_network: Make) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(made(network_of(make_network(FORMS[-1])), ".onnx")[".onnx"])
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert (about["license"], about["scale"], about["name"]) == ("CC0", "2", "net x2")
    assert '"widths"' in about["settings"]
    assert "uint8 (N, H, W, 3)" in about["values"]
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert [size.dim_param or size.dim_value for size in shape] == ["N", "H", "W", 3]
    [shift] = [node for node in model.graph.node if node.op_type == "DepthToSpace"]
    assert {attribute.name: attribute.s or attribute.i for attribute in shift.attribute} == {
        "blocksize": 2,
        "mode": b"CRD",
    }
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 17)]


def test_opencv_runs_onnx(make_network: Make) -> None:
    cv2 = pytest.importorskip("cv2")
    module = make_network(architecture("espcn-s"), tail=0.02).eval()
    data = made(network_of(module), ".onnx", form="plane")[".onnx"]
    net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
    x = planes_of(natural(23, 17), 1)
    net.setInput(x)
    close(net.forward(), module, x)


# --- OpenVINO --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["rgb", "plane"])
def test_openvino_s_own_files(module: ESPCN, form: str, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    for suffix, data in made(network_of(module), ".xml", form=form).items():
        (tmp_path / f"n{suffix}").write_bytes(data)
    core = openvino.Core()
    model = core.read_model(tmp_path / "n.xml")
    assert model.get_rt_info(["espcn", "license"]).value == "CC0"
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})
    picture = natural(23, 17)
    if form == "rgb":
        large = compiled({"input": picture[None]})["output"][0]
        assert np.abs(large.astype(int) - ours(module, picture)).max() <= 1
    else:
        x = planes_of(picture, module.settings.planes)
        close(compiled({"input": x})["output"], module, x)


# --- eight bits ------------------------------------------------------------------------------------------------------


def in_bytes(module: ESPCN, *pictures: NDArray[np.uint8]) -> Network:
    """Rounds to eight bits from now on, in ranges that hold what pictures bring about."""
    found: dict[nn.Module, tuple[float, float]] = {}

    def look(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        least, greatest = found.get(layer, (0.0, 0.0))
        found[layer] = min(least, inputs[0].min().item()), max(greatest, inputs[0].max().item())

    hooks = [layer.register_forward_pre_hook(look) for layer in module.body if isinstance(layer, Convolution)]
    for picture in pictures:
        ours(module, picture)
    for hook in hooks:
        hook.remove()
    ranges = tuple(found.values())
    module.quantise_(ranges)
    return replace(network_of(module), ranges=ranges)


def nearly(found: NDArray[Any], expected: NDArray[Any], level: float = 1) -> None:
    """Of a thousand samples all but one are within a level: sums in another order may end up in the next byte."""
    assert np.mean(np.abs(found.astype(float) - expected) <= level) >= 0.999


def test_onnx_in_bytes_takes_and_gives_pictures(module: ESPCN) -> None:
    picture = natural(46, 34)
    network = in_bytes(module, picture)
    nearly(run_onnx(made(network, ".onnx")[".onnx"], picture[None])[0], ours(module, picture))


def test_onnx_in_bytes_takes_and_gives_what_the_network_sees(module: ESPCN) -> None:
    picture = natural(46, 34)
    network, x = in_bytes(module, picture), planes_of(picture, module.settings.planes)
    found = run_onnx(made(network, ".onnx", form="plane")[".onnx"], x)
    nearly(found, TorchEngine(module).planes(torch.from_numpy(x)).numpy(), 1 / 255)


def test_onnx_in_bytes_stores_bytes(make_network: Make) -> None:
    """The same that PyTorch takes, also for weights halfway between two."""
    onnx = pytest.importorskip("onnx")
    module = make_network(architecture("espcn-m"))
    with torch.no_grad():
        module.tail.weight[0, 0] = torch.arange(-4.5, 4.5).reshape(3, 3) / 127
        module.tail.weight[0, 1] = 1
    plain, network = network_of(module), in_bytes(module, natural(23, 17))
    data = made(network, ".onnx")[".onnx"]
    graph = onnx.load_from_string(data).graph
    assert len(data) < len(made(plain, ".onnx")[".onnx"]) / 2
    stored = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    taken = [node.input for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in stored]
    layers = [layer for layer in module.body if isinstance(layer, Convolution)]
    for (weight, steps, _), layer in zip(taken, layers, strict=True):
        assert stored[weight].dtype == np.int8
        values = stored[weight] * stored[steps][:, None, None, None]
        np.testing.assert_array_equal(values, rounded(layer.weight).detach().numpy())


def compiled_by_openvino(model: Any) -> Any:
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    return pytest.importorskip("openvino").compile_model(model, "CPU", options)


def multiplies_bytes(compiled: Any, module: ESPCN) -> None:
    """By OpenVINO's own word, as many convolutions as there are layers: others mix colours and interpolate."""
    found = [node.get_rt_info() for node in compiled.get_runtime_model().get_ops()]
    kinds = [about["runtimePrecision"].value for about in found if about["layerType"].value == "Convolution"]
    assert sum(kind in ("u8", "i8") for kind in kinds) == len(module.settings.kernels)


@pytest.fixture
def exact_bytes() -> None:
    runtime = pytest.importorskip("espcn_cli.engines.openvino_runtime")
    if not runtime.adds_bytes_exactly():
        pytest.skip("the processor has no VNNI: sums of bytes overflow")


@pytest.mark.usefixtures("exact_bytes")
@pytest.mark.parametrize("form", ["rgb", "plane"])
def test_openvino_s_own_files_in_bytes(module: ESPCN, form: str, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    from espcn_cli.engines.openvino_graph import Blueprint, Form, build

    picture = natural(46, 34)
    network, planes = in_bytes(module, picture), module.settings.planes
    for suffix, data in made(network, ".xml", form=form).items():
        (tmp_path / f"n{suffix}").write_bytes(data)
    compiled = compiled_by_openvino(openvino.Core().read_model(tmp_path / "n.xml"))
    blueprint = Blueprint(network.settings, network.weights, ranges=network.ranges)
    x: NDArray[Any]
    expected: NDArray[Any]
    if form == "rgb":
        kind, shape, x = Form(3), (-1, -1, -1, 3), picture[None]
        expected, level = ours(module, picture)[None], 1.0
    else:
        kind, shape, x = Form(planes, "float32"), (-1, planes, -1, -1), planes_of(picture, planes)
        expected, level = TorchEngine(module).planes(torch.from_numpy(x)).numpy(), 1 / 255
    found = compiled(x)["output"]
    np.testing.assert_array_equal(found, compiled_by_openvino(build(blueprint, kind, shape))(x)[0])
    nearly(found, expected, level)
    multiplies_bytes(compiled, module)


@pytest.mark.usefixtures("exact_bytes")
def test_openvino_multiplies_bytes_of_onnx(module: ESPCN, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    picture = natural(46, 34)
    (tmp_path / "n.onnx").write_bytes(made(in_bytes(module, picture), ".onnx")[".onnx"])
    compiled = compiled_by_openvino(openvino.Core().read_model(tmp_path / "n.onnx"))
    nearly(compiled(picture[None])["output"][0], ours(module, picture))
    multiplies_bytes(compiled, module)


# --- ncnn ------------------------------------------------------------------------------------------------------------


def test_ncnn_s_files(module: ESPCN, tmp_path: Path) -> None:
    for suffix, data in made(network_of(module), ".param").items():
        (tmp_path / f"n{suffix}").write_bytes(data)
    x = planes_of(natural(23, 17), module.settings.planes)
    close(by_ncnn(tmp_path / "n.param", x[0])[None], module, x)


@pytest.mark.parametrize(
    "settings", [each for each in FORMS if each.skip != "bicubic" and each.value_range == (0, 1)], ids=str
)
def test_what_went_to_ncnn_comes_back(settings: ModelSettings, make_network: Make, tmp_path: Path) -> None:
    network = network_of(make_network(settings))
    for suffix, data in made(network, ".param").items():
        (tmp_path / f"n{suffix}").write_bytes(data)
    card, weights = importing.read(tmp_path / "n.param")
    assert card.settings == settings
    assert all(np.array_equal(weights[name], network.weights[name]) for name in weights)


# --- PyTorch ---------------------------------------------------------------------------------------------------------


def test_pytorch_s_espcn_on_studio_luma(make_network: Make, tmp_path: Path) -> None:
    """As yjn870's ESPCN runs it; at the border it sees other zeros than ours."""
    module = make_network(architecture("espcn", 3), tail=0.02).eval()
    (tmp_path / "e.pth").write_bytes(made(network_of(module), ".pth")[".pth"])
    theirs = torch.load(tmp_path / "e.pth", weights_only=True)
    x = torch.from_numpy(planes_of(natural(23, 17), 1))
    y = x * 219 / 255 + 16 / 255
    for name in ("first_part.0", "first_part.2"):
        y = torch.tanh(F.conv2d(y, theirs[f"{name}.weight"], theirs[f"{name}.bias"], padding="same"))
    y = F.pixel_shuffle(F.conv2d(y, theirs["last_part.0.weight"], theirs["last_part.0.bias"], padding="same"), 3)
    found = (y - 16 / 255) * 255 / 219
    inside = slice(4 * 3, -4 * 3)
    expected = module(x).detach()
    torch.testing.assert_close(found[..., inside, inside], expected[..., inside, inside], atol=1e-5, rtol=0)


def test_a_compact_comes_back_as_it_was(make_network: Make, tmp_path: Path) -> None:
    settings = ModelSettings(4, (5, 5), (3, 3, 3), "prelu", "nearest", 3, slopes="channel")
    network = network_of(make_network(settings))
    (tmp_path / "c.pth").write_bytes(made(network, ".pth")[".pth"])
    card, weights = importing.read(tmp_path / "c.pth")
    assert card.settings == settings
    assert all(np.array_equal(weights[name], network.weights[name]) for name in weights)


def test_what_comes_from_studio_range_goes_back_unchanged(make_network: Make, tmp_path: Path) -> None:
    settings = replace(architecture("espcn"), value_range=(16 / 255, 235 / 255))
    network = network_of(make_network(settings))
    (tmp_path / "e.pth").write_bytes(made(network, ".pth")[".pth"])
    theirs = torch.load(tmp_path / "e.pth", weights_only=True)
    assert np.array_equal(theirs["first_part.2.weight"], network.weights["body.2.weight"])
    np.testing.assert_allclose(theirs["last_part.0.weight"], network.weights["body.4.weight"], rtol=1e-6)


def test_other_networks_have_no_twin_in_pytorch(make_network: Make) -> None:
    with pytest.raises(EspcnError, match=r"net x2 has no twin in PyTorch"):
        made(network_of(make_network(SMALL)), ".pth")


def test_a_form_is_for_graphs_alone(make_network: Make) -> None:
    with pytest.raises(UsageError, match=r"--input is for \.onnx and \.xml"):
        made(network_of(make_network(SMALL)), ".param", form="rgb")
    with pytest.raises(UsageError, match=r"is no format of export"):
        formats.find(".tflite")
