"""User shaders run by players: ffmpeg's libplacebo filter on any Vulkan device, in software too, and mpv."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PATIENCE = 600
"""Seconds: a software device compiles a deep network for minutes."""


@cache
def why_not() -> str:
    """Why no shader can be run here; nothing if one can."""
    if shutil.which("ffmpeg") is None:
        return "needs ffmpeg"
    probe = [*FFMPEG, "-f", "lavfi", "-i", "color=s=16x16:d=0.04", "-vf", "hwupload,libplacebo", "-f", "null", "-"]
    found = subprocess.run(probe, capture_output=True, timeout=PATIENCE)
    return "" if found.returncode == 0 else "needs ffmpeg with libplacebo, and a Vulkan device"


FFMPEG = ("ffmpeg", "-v", "error", "-init_hw_device", "vulkan=v", "-filter_hw_device", "v")


def by_ffmpeg(shader: Path, levels: NDArray[np.uint8], scale: int) -> NDArray[np.float64]:
    """uint8 (H, W, 1) grey or (H, W, 3) RGB -> the same, scale times larger, in levels of 255, not whole."""
    height, width, planes = levels.shape
    taken, given = {1: ("gray", "gray16le"), 3: ("rgba", "rgba64le")}[planes]
    whole = levels if planes == 1 else np.dstack([levels, np.full_like(levels[..., :1], 255)])
    size = (height * scale, width * scale, whole.shape[2])
    where = f"w={size[1]}:h={size[0]}:custom_shader_path={shader}:dithering=none:format={given}"
    steps = f"hwupload,libplacebo={where},hwdownload,format={given}"
    command = [*FFMPEG, *raw(taken, width, height), "-vf", steps, "-f", "rawvideo", "-pix_fmt", given, "-"]
    done = subprocess.run(command, input=whole.tobytes(), capture_output=True, timeout=PATIENCE)
    said = done.stderr.decode()
    assert done.returncode == 0 and "Failed" not in said, said[:2000]
    large = np.frombuffer(done.stdout, "<u2").reshape(size)[..., :planes]
    return np.asarray(large / 257)


def raw(name: str, width: int, height: int) -> list[Any]:
    """What tells ffmpeg of raw pictures on its standard input."""
    return ["-f", "rawvideo", "-pix_fmt", name, "-color_range", "pc", "-s", f"{width}x{height}", "-i", "-"]


def by_mpv(shader: Path, picture: Path, size: tuple[int, int], folder: Path) -> Path:
    """A screenshot of mpv's window of that size, drawn by OpenGL in software on a screen that nobody sees."""
    shot, script = folder / "shot.png", folder / "shot.lua"
    script.write_text(
        'mp.register_event("playback-restart", function() mp.add_timeout(1, function() '
        f'mp.commandv("screenshot-to-file", "{shot}", "window"); mp.command("quit") end) end)'
    )
    options = ["--vo=gpu", "--gpu-api=opengl", "--gpu-sw=yes", "--dither-depth=no", "--no-osc", "--osd-level=0"]
    window = ["--no-config", "--no-border", "--pause", f"--geometry={size[0]}x{size[1]}", f"--script={script}"]
    screen = ["xvfb-run", "-a", "-s", "-screen 0 800x600x24"]
    done = subprocess.run(
        [*screen, "mpv", *options, *window, f"--glsl-shader={shader}", picture], capture_output=True, timeout=PATIENCE
    )
    assert shot.is_file(), done.stdout.decode()[-2000:]
    return shot
