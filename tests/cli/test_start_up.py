"""What only a process can show: a fast start, exit codes and streams as a shell sees them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from command import one_line, run, run_process
from making import save_picture


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from typer.testing import CliRunner; from espcn_cli.cli.app import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "print([name for name in ('torch', 'numpy', 'PIL', 'safetensors') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
    heavy = subprocess.run(
        [sys.executable, "-c", program.replace("from espcn_cli.cli", "import numpy; from espcn_cli.cli")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert heavy.stdout.strip() == "['numpy']"  # the check can fail


def test_the_package_alone_imports_nothing_heavy() -> None:
    program = "import sys, espcn_cli; print(sorted(m for m in sys.modules if m in ('torch', 'numpy', 'PIL', 'typer')))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


HEAVY = (
    "torch",
    "tqdm",
    "PIL.PdfImagePlugin",
    "imagecodecs",
    "tifffile",
    "matplotlib",
    "av",
    "scipy",
    "openvino.tools.ovc",
    "openvino_telemetry",
)


@pytest.mark.parametrize(("engine", "found"), [("openvino", "[]"), ("torch", "['torch', 'tqdm']")])
def test_a_picture_imports_only_what_it_needs(tmp_path: Path, engine: str, found: str) -> None:
    """With the other engine, PyTorch is found, and tqdm, which it imports: the check can fail."""
    pytest.importorskip("openvino")
    save_picture(tmp_path / "a.png")
    program = (
        "import sys; from espcn_cli.cli.app import app\n"
        f"app(['upscale', 'a.png', 'b.png', '-q', '--engine', '{engine}'], standalone_mode=False)\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert result.stdout.strip() == found, result.stderr


def test_version_and_module_entry() -> None:
    assert re.fullmatch(r"espcn \d+\.\d+\.\d+\n", run_process("--version").stdout)


def test_a_shell_sees_what_the_other_tests_see(tmp_path: Path, tiny: Path) -> None:
    """Most tests run commands inside their own process; the exit code and both streams are those of a real one."""
    save_picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "bad.png").write_text("no picture")
    result = run_process("upscale", "in", "out", "-m", tiny, cwd=tmp_path)
    assert (result.code, result.stdout) == (1, "1 upscaled, 1 failed\n")
    done, bad = result.stderr.splitlines()
    assert re.fullmatch(r"in/a\.png -> out/a\.png: 24 x 18 -> 48 x 36, \d+\.\d s", done)
    assert bad == "espcn: in/bad.png: not a picture in a format that Pillow knows"
    again = run("upscale", "in", "again", "-m", tiny, cwd=tmp_path)
    assert (again.code, again.stdout, again.stderr.splitlines()[1:]) == (1, result.stdout, [bad])
    assert (tmp_path / "out" / "a.png").read_bytes() == (tmp_path / "again" / "a.png").read_bytes()


def test_misuse_is_exit_code_2_in_a_shell() -> None:
    result = run_process("upscale", "a", "b", "--scale", "two")
    one_line(result, 2, "--scale", "see python -m espcn_cli upscale --help")
    assert result.stdout == ""
