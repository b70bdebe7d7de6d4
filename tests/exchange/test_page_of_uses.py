"""The programs in docs/exchange.md do what the page says, as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from command import run
from making import save_picture
from numpy.typing import NDArray
from PIL import Image

import espcn_cli

ROOT = Path(__file__).parents[2]


def program(title: str) -> str:
    """The Python under a heading of the page."""
    page = (ROOT / "docs" / "exchange.md").read_text(encoding="utf-8")
    found = re.search(rf"### {title}\n.*?```python\n(.*?)```", page, re.DOTALL)
    assert found
    return found[1]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}


def run_program(code: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment(), capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_picture(tmp_path / "photo.png", 40, 30)
    return tmp_path


def large(folder: Path) -> NDArray[np.int64]:
    return np.asarray(Image.open(folder / "large.png")).astype(int)


def expected(folder: Path, model: str = "espcn-m-real", engine: str = "torch", **options: float) -> NDArray[np.int64]:
    """PyTorch's, in fp32; `auto` is what the library takes on this machine."""
    upscaler = espcn_cli.load(model, 2, engine=engine, **options)  # type: ignore[arg-type]
    return np.asarray(upscaler(Image.open(folder / "photo.png"))).astype(int)


@pytest.mark.parametrize(("title", "module"), [("ONNX Runtime", "onnxruntime"), ("OpenCV", "cv2")])
def test_programs_that_take_an_onnx_file(title: str, module: str, folder: Path) -> None:
    pytest.importorskip(module)
    assert run("export", "espcn-m-real", "model.onnx", "--scale", "2", cwd=folder).code == 0
    run_program(program(title), folder)
    assert np.abs(large(folder) - expected(folder, strength=0.75)).max() <= 1


def test_the_library_by_pillow_numpy_and_torch(folder: Path) -> None:
    check = "\nassert levels.shape == (80, 120, 3) and tuple(planes.shape) == (1, 3, 80, 120)"
    run_program(program("In Python") + check, folder)
    assert np.abs(large(folder) - expected(folder, engine="auto")).max() <= 1


def test_ffmpeg(folder: Path) -> None:
    if not shutil.which("ffmpeg"):
        pytest.skip("needs ffmpeg")
    lavfi = "-v error -f lavfi -i testsrc=s=64x48:r=25:d=0.2 -f lavfi -i sine=d=0.2 -c:v ffv1 -c:a flac clip.mkv"
    subprocess.run(["ffmpeg", *lavfi.split()], cwd=folder, check=True)
    run_program(program("ffmpeg"), folder)
    shown = "-v error -show_entries stream=codec_name,width,height,nb_read_frames -count_frames -of csv=p=0 large.mkv"
    streams = subprocess.run(["ffprobe", *shown.split()], cwd=folder, check=True, capture_output=True, text=True).stdout
    assert re.search(r"^\w+,128,96,5", streams, re.MULTILINE), streams
    assert "flac" in streams


def test_a_web_service(folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    code = program("A web service").replace("8000", str(port))
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=folder, env=environment(), stderr=subprocess.DEVNULL
    ) as server:
        try:
            data = post(f"http://localhost:{port}", (folder / "photo.png").read_bytes(), server)
        finally:
            server.kill()
    found = np.asarray(Image.open(BytesIO(data))).astype(int)
    assert np.abs(found - expected(folder, engine="auto")).max() <= 1


def post(address: str, data: bytes, server: subprocess.Popen[bytes]) -> bytes:
    """The answer to what is sent, as soon as somebody listens."""
    for _ in range(600):
        assert server.poll() is None
        try:
            with urllib.request.urlopen(address, data) as answer:
                body: bytes = answer.read()
                return body
        except ConnectionError:
            time.sleep(0.1)
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionError):
                raise
            time.sleep(0.1)
    raise AssertionError("nobody listens")
