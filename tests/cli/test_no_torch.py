"""Where PyTorch is not installed: what needs none works, and what needs it says so in one line."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from importlib.metadata import distribution
from pathlib import Path

import pytest
from command import Result, one_line
from making import save_picture
from packaging.requirements import Requirement
from PIL import Image

pytest.importorskip("openvino")

ROOT = Path(__file__).parents[2]

LIGHT = ("numpy", "pillow", "safetensors", "tqdm", "typer", "openvino")
"""What the README tells people to install beside espcn itself."""

BLOCKED = """
import sys
from importlib.abc import MetaPathFinder


class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Missing())
"""

COMMAND = BLOCKED + "from espcn_cli.__main__ import main\nmain()\n"

LIBRARY = """
import sys
from PIL import Image
from espcn_cli import load

upscaler = load("espcn-s", 2)
with Image.open("in.png") as image:
    print(upscaler(image).size, "torch" in sys.modules)
"""


def process(program: str, *words: object, cwd: Path) -> Result:
    command = [sys.executable, "-c", program, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)
    return Result(done.returncode, done.stdout.encode(), done.stderr)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, mode in (("in.png", "RGB"), ("grey.png", "L"), ("alpha.png", "RGBA")):
        save_picture(tmp_path / name, 24, 18, mode=mode)
    return tmp_path


@pytest.mark.parametrize(
    "options", [[], ["-m", "espcn"], ["--size", "100x", "--ensemble"], ["--device", "cpu", "-s", "3"]]
)
def test_pictures_are_upscaled(folder: Path, options: list[str]) -> None:
    done = process(COMMAND, "upscale", "in.png", "grey.png", "alpha.png", "out/", *options, "-q", cwd=folder)
    assert (done.code, done.stderr) == (0, "")
    for name, mode in (("in.png", "RGB"), ("grey.png", "L"), ("alpha.png", "RGBA")):
        with Image.open(folder / "out" / name) as image:
            assert image.mode == mode and image.width > 24


def test_the_library_works_too(folder: Path) -> None:
    done = process(BLOCKED + LIBRARY, cwd=folder)
    assert (done.code, done.stdout) == (0, "(48, 36) False\n"), done.stderr


def test_models_are_listed(folder: Path) -> None:
    done = process(COMMAND, "models", "-v", cwd=folder)
    assert (done.code, done.stderr) == (0, "")
    assert "espcn-m-real" in done.stdout
    assert "openvino on CPU in" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["upscale", "in.png", "out.png", "--engine", "torch"],
        ["upscale", "in.png", "out.png", "--device", "cuda"],
        ["upscale", "in.png", "out.png", "--precision", "bf16", "--engine", "torch"],
        ["benchmark", "."],
        ["train", ".", "-o", "out.safetensors"],
        ["autoencoder", "train", ".", "-o", "out.safetensors"],
    ],
)
def test_what_needs_it_says_so(folder: Path, words: list[str]) -> None:
    done = process(COMMAND, *words, cwd=folder)
    one_line(done, 1, "PyTorch", "not installed", "pip install torch")


def test_without_it_blocked_the_same_commands_find_it(folder: Path) -> None:
    """The proof that the tests above can fail."""
    done = process(LIBRARY.replace('espcn-s", 2', 'espcn-s", 2, engine="torch"'), cwd=folder)
    assert (done.code, done.stdout) == (0, "(48, 36) True\n"), done.stderr


# --- an environment without it ---------------------------------------------------------------------------------------


def needed(names: tuple[str, ...]) -> set[str]:
    """These distributions and all that they need in turn, as far as they are installed here."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        for text in distribution(name).requires or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                left.append(requirement.name)
    return found


@pytest.mark.slow  # an environment of its own
def test_the_few_packages_of_the_readme_are_enough(folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True, timeout=300)
    scheme = {"base": str(folder / "env"), "platbase": str(folder / "env")}
    site = Path(sysconfig.get_path("purelib", "venv", scheme) if os.name != "nt" else folder / "env/Lib/site-packages")
    for name in needed(LIGHT):
        package = distribution(name)
        for top in {Path(file).parts[0] for file in package.files or [] if not str(file).startswith("..")}:
            if not (site / top).exists():
                (site / top).symlink_to(package.locate_file(top))  # type: ignore[arg-type]
    (site / "espcn.pth").write_text(str(ROOT))
    python = str(folder / "env" / "bin" / "python")
    environment = os.environ | {"PYTHONPATH": ""}
    missing = subprocess.run([python, "-c", "import torch"], capture_output=True, text=True, env=environment)
    assert "No module named 'torch'" in missing.stderr
    command = [python, "-m", "espcn_cli", "upscale", "in.png", "out.png", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    with Image.open(folder / "out.png") as image:
        assert image.size == (48, 36)
