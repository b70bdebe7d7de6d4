"""The wheel carries everything: installed into an empty environment, from another folder, it upscales offline."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from making import save_picture
from PIL import Image

ROOT = Path(__file__).parent.parent

NO_NETWORK = """
import socket
def refuse(*args, **kwargs):
    raise OSError("this test is offline")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
"""


def run(*command: object, cwd: Path) -> str:
    words = [str(word) for word in command]
    environment = os.environ | {"PYTHONPATH": ""}  # nothing of the caller's is found by accident
    result = subprocess.run(words, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT, cwd=folder)
    [path] = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_weights_and_no_more(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    shipped = {path.name for path in (ROOT / "weights").glob("*.safetensors")}
    assert {Path(name).name for name in names if name.startswith("espcn_cli/weights/")} >= shipped
    assert not [name for name in names if name.startswith(("tests/", "weights/", "examples/", "benchmarks/"))]
    assert "espcn_cli/py.typed" in names  # the types of the library are for its users too
    assert wheel.stat().st_size < 5e6


@pytest.mark.slow  # an environment of its own, and three starts of the command in it
def test_installed_elsewhere_it_upscales_offline(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", "env", cwd=tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    run(*pip, "install", "-q", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    (site / "sitecustomize.py").write_text(NO_NETWORK)
    where = run(python, "-c", "import espcn_cli; print(espcn_cli.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(site)
    save_picture(tmp_path / "in.png")
    for scale in (2, 3, 4):
        run(tmp_path / "env" / "bin" / "espcn", "upscale", "in.png", f"x{scale}.png", "-s", scale, cwd=tmp_path)
        with Image.open(tmp_path / f"x{scale}.png") as image:
            assert image.size == (24 * scale, 18 * scale)
