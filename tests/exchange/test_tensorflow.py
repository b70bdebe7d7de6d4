"""Frozen graphs of TensorFlow: read by ourselves, run by PyTorch's operations, for OpenCV's see `test_peers`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from making import mutations, natural
from making_foreign import constant, convolution, node, same, save_graph, stack

import espcn_cli
from espcn_cli.errors import EspcnError
from espcn_cli.exchange import importing


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(("hidden", "last"), [("relu", "Tanh"), ("prelu", ""), ("relu", "Sigmoid")])
def test_an_imported_graph_does_what_the_original_does(scale: int, hidden: str, last: str, tmp_path: Path) -> None:
    layers = stack((6, 5), (5, 3, 3), scale**2)
    path = save_graph(tmp_path / "g.pb", layers, scale, hidden, last)
    x = torch.from_numpy(natural(21, 17)).permute(2, 0, 1)[None, :1].float() / 255
    expected = x
    for pair in layers[:-1]:
        expected = same(expected, pair)
        slopes = torch.linspace(-0.2, 0.4, len(pair[1]))
        expected = F.prelu(expected, slopes) if hidden == "prelu" else F.relu(expected)
    expected = F.pixel_shuffle(same(expected, layers[-1]), scale)
    expected = {"Tanh": torch.tanh, "Sigmoid": torch.sigmoid, "": lambda x: x}[last](expected).clamp(0, 1)
    found = espcn_cli.load(path, engine="torch").upscale(x)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def test_three_planes_are_shifted_in_tensorflow_s_order(tmp_path: Path) -> None:
    """Its channels go phase by phase, ours plane by plane: channel (a·2 + b)·3 + c is pixel (a, b) of plane c."""
    layers = stack((4,), (3, 1), 4, planes=3)
    weight = torch.zeros(12, 4, 1, 1)
    path = save_graph(tmp_path / "g.pb", [layers[0], (weight, torch.arange(12) / 12)], 2, "relu", "")
    _, weights = importing.read(path)
    expected = [phase * 3 + plane for plane in range(3) for phase in range(4)]
    np.testing.assert_allclose(weights["body.2.bias"] * 12, expected, atol=1e-6)


def refusal(path: Path) -> str:
    with pytest.raises(EspcnError) as error:
        importing.read(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    for data in (b"", b"hello world", b"\x0a\x05ab", bytes(1000)):
        (tmp_path / "g.pb").write_bytes(data)
        assert "no frozen graph" in refusal(tmp_path / "g.pb")


def graph(*nodes: bytes) -> bytes:
    kernel = constant("k", np.zeros((3, 3, 1, 4), np.float32))
    return node("data", "Placeholder") + kernel + b"".join(nodes)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (graph(convolution("c", "data", "k", stride=2)), "has strides"),
        (graph(convolution("c", "data", "k")), "neither shifts phases"),
        (graph(convolution("c", "data", "k"), node("m", "MaxPool", "c")), "its operation m (MaxPool)"),
        (graph(node("a", "Relu", "data")), "before any convolution"),
        (graph(convolution("c", "data", "k"), node("a", "Add", "c", "data")), "no PReLU"),
        (graph(convolution("c", "missing", "k")), "missing is not there"),
        (graph(node("a", "Relu", "b"), node("b", "Relu", "a"), node("c", "Relu", "b")), "round in circles"),
        (graph(node("a", "Tanh", "data"), node("b", "Relu", "data")), "outputs"),
    ],
)
def test_other_graphs_are_refused_with_the_reason(data: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "g.pb").write_bytes(data)
    assert said in refusal(tmp_path / "g.pb")


def test_damaged_graphs_are_refused_in_a_line(tmp_path: Path) -> None:
    path = save_graph(tmp_path / "g.pb", stack((4,), (3, 3), 4), 2, "prelu")
    for changed in mutations(path.read_bytes(), 3, 200):
        path.write_bytes(changed)
        try:
            importing.read(path)
        except EspcnError as error:
            assert "\n" not in str(error), error
