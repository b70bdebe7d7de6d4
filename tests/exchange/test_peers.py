"""Networks that many people run, imported: what ncnn and OpenCV make of a photograph, within a level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from running import by_ncnn, levels

from espcn_cli.engines.engine import Engine
from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.errors import EspcnError
from espcn_cli.exchange import importing
from espcn_cli.exchange.protobuf import field, fields
from espcn_cli.network.espcn import build

PEERS = Path(__file__).parents[2].parent / "shared" / "peers"

PHOTO = Path(__file__).parents[2] / "examples" / "cat.png"


def peer(name: str) -> Path:
    if not (PEERS / name).is_file():
        pytest.skip(f"needs {name} in ../shared/peers")
    return PEERS / name


def engines(path: Path) -> list[Engine]:
    card, weights = importing.read(path)
    found: list[Engine] = [TorchEngine(build(card.settings, weights))]
    openvino = pytest.importorskip("espcn_cli.engines.openvino_engine")
    return [*found, openvino.OpenVinoEngine(card.settings, weights)]


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    return np.array(Image.open(PHOTO).convert("RGB"))[30:110, 40:140]


@pytest.mark.parametrize(
    ("name", "border"),
    [
        ("realesr-animevideov3-x4", 0),
        ("waifu2x-photo-scale2.0x_model", 7),
        ("waifu2x-photo-noise3_scale2.0x_model", 7),
    ],
)
def test_what_ncnn_makes_of_a_photograph(name: str, border: int, photo: NDArray[np.uint8]) -> None:
    path = peer(f"{name}.param")
    padded = np.pad(photo, ((border, border), (border, border), (0, 0)), mode="edge")
    theirs = levels(by_ncnn(path, padded.astype(np.float32).transpose(2, 0, 1) / 255))
    for engine in engines(path):
        [large] = engine.upscale([photo], 0, 255)
        assert np.abs(large.astype(int) - theirs).max() <= 1


def with_opencv_s_word(path: Path) -> NDArray[np.uint8]:
    """A graph whose phase shift OpenCV 5 reads: it looks for `blocksize`, and TensorFlow writes `block_size`."""
    data = b""
    for number, value in fields(path.read_bytes()):
        message = b""
        for part, inner in fields(value) if number == 1 else ():
            entry = dict(fields(inner)) if part == 5 else {}
            if entry.get(1) == b"block_size":
                inner = field(1, "blocksize") + field(2, entry[2])
            message += field(part, inner)
        data += field(number, message or value)
    return np.frombuffer(data, np.uint8)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", ["ESPCN", "FSRCNN", "FSRCNN-small"])
def test_what_opencv_makes_of_a_photograph(name: str, scale: int, photo: NDArray[np.uint8]) -> None:
    """Its luma: OpenCV's dnn_superres enlarges chroma by bicubic interpolation of its own."""
    path = peer(f"{name}_x{scale}.pb")
    cv2 = pytest.importorskip("cv2")
    luma = np.ascontiguousarray(cv2.cvtColor(photo, cv2.COLOR_RGB2YCrCb)[..., :1])
    net = cv2.dnn.readNetFromTensorflow(with_opencv_s_word(path))
    net.setInput(cv2.dnn.blobFromImage(luma, 1 / 255))
    theirs = np.floor(255 * np.squeeze(net.forward()) + 0.5).clip(0, 255).astype(int)
    for engine in engines(path):
        [large] = engine.upscale([luma], 0, 255)
        assert np.abs(large[..., 0].astype(int) - theirs).max() <= 1


def test_a_compact_with_a_resize_behind_it_is_refused() -> None:
    with pytest.raises(EspcnError, match="resizes its result once more"):
        importing.read(peer("realesr-animevideov3-x2.param"))
