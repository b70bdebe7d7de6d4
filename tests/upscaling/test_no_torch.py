"""The way of a picture, from file to file, needs no torch: a stand-in engine upscales one in a process without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from making import save_picture
from PIL import Image

PROGRAM = """
import sys
from pathlib import Path

import numpy as np

from espcn_cli.network import checkpoint, named
from espcn_cli.settings import ModelSettings
from espcn_cli.upscaling import pipeline, plan, preview
from espcn_cli.upscaling.sizes import Size
from espcn_cli.upscaling.upscaler import Upscaler


class Nearest:
    settings, halo, window, takes_padded, together = ModelSettings(), 1, 96, False, 1

    def upscale(self, windows, black, white):
        return [levels.repeat(2, axis=0).repeat(2, axis=1) for levels in windows]

    def interpolate(self, levels, black, white):
        return self.upscale([levels], black, white)[0]

    def exact(self):
        return self


named.list_shipped()
{extra}
tasks = plan.plan([Path("in.png"), Path("alpha.png")], Path("out"))
for options in (pipeline.Options(), pipeline.Options(size=Size(width=31))):
    outcomes = list(pipeline.run(Upscaler(Nearest()), tasks, options))
    assert not any(outcome.error for outcome in outcomes), outcomes
assert not any(outcome.error for outcome in preview.preview(Upscaler(Nearest()), tasks, options))
print("torch" in sys.modules)
"""


@pytest.mark.parametrize(("extra", "loaded"), [("", False), ("import torch", True)], ids=["without", "with"])
def test_a_picture_is_upscaled_without_torch(tmp_path: Path, extra: str, loaded: bool) -> None:
    """With torch imported on purpose it is found: the test can fail."""
    save_picture(tmp_path / "in.png", 24, 18)
    save_picture(tmp_path / "alpha.png", 24, 18, mode="RGBA")
    (tmp_path / "out").mkdir()
    program = PROGRAM.replace("{extra}", extra)
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{loaded}\n"
    with Image.open(tmp_path / "out" / "in.png") as image:
        assert image.width == 31
