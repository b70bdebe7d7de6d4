"""Shaders give the pictures of the engine in players, borders included, and say what they are."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import player
import pytest
import torch
from making import natural, save_checkpoint
from numpy.typing import NDArray
from PIL import Image

import espcn_cli
from espcn_cli.errors import EspcnError
from espcn_cli.exchange import exported
from espcn_cli.exchange.shader import gigaflop, shader
from espcn_cli.network import checkpoint, named
from espcn_cli.settings import ModelSettings, architecture

needs_vulkan = pytest.mark.skipif(bool(player.why_not()), reason=player.why_not() or "there is one")
needs_mpv = pytest.mark.skipif(not (shutil.which("mpv") and shutil.which("xvfb-run")), reason="needs mpv and xvfb-run")
SLOW = pytest.mark.slow

FORMS = {
    "two kernels": ModelSettings(widths=(6, 5), kernels=(3, 5, 1)),
    "colour": ModelSettings(widths=(6, 5), kernels=(3, 5, 1), planes=3),
    "slope per channel": ModelSettings(
        scale=3, widths=(9,), kernels=(5, 3), planes=3, activation="prelu", slopes="channel", skip="nearest"
    ),
    "another range": ModelSettings(
        scale=4, widths=(3,), kernels=(3, 3), skip="none", value_range=(-1.0, 1.0), last_activation="tanh"
    ),
}
"""What checkpoints can be and the shipped ones are not."""


def expected(model: Path | str, scale: int, levels: NDArray[np.uint8], strength: float | None) -> NDArray[np.float32]:
    """By the reference engine, in levels of 255, not whole."""
    upscaler = espcn_cli.load(
        str(model), scale, engine="torch", device="cpu", strength="auto" if strength is None else strength
    )
    x = torch.from_numpy(levels).permute(2, 0, 1)[None].float() / 255
    result: NDArray[np.float32] = upscaler.upscale(x)[0].permute(1, 2, 0).numpy() * 255
    return result


def write(path: Path, model: Path) -> exported.Network:
    network = exported.read(model)
    path.write_bytes(shader(network)[".glsl"])
    return network


@needs_vulkan
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_engine_s_picture(tmp_path: Path, form: str) -> None:
    settings = FORMS[form]
    model = save_checkpoint(tmp_path / "tiny.safetensors", settings, tail=0.1)
    write(tmp_path / "tiny.glsl", model)
    levels = natural(37, 25)[..., : settings.planes].copy()
    made = player.by_ffmpeg(tmp_path / "tiny.glsl", levels, settings.scale)
    assert np.abs(made - expected(model, settings.scale, levels, None)).max() < 0.5


@needs_vulkan
@pytest.mark.parametrize(
    ("name", "scale"),
    [
        *[(name, scale) for name in ("espcn", "espcn-s") for scale in (2, 3, 4)],
        *[pytest.param(name, scale, marks=SLOW) for name in ("espcn-m", "espcn-m-real") for scale in (2, 3, 4)],
        *[pytest.param("espcn-s-real", scale, marks=SLOW) for scale in (2, 3, 4)],
        *[pytest.param("espcn-l", 2, marks=SLOW)],  # a software device compiles its 90 passes for minutes
    ],
)
def test_shipped_networks_give_the_engine_s_picture(tmp_path: Path, name: str, scale: int) -> None:
    network = write(tmp_path / "network.glsl", named.find(name, scale))
    levels = natural(61, 47)[..., :1].copy()
    made = player.by_ffmpeg(tmp_path / "network.glsl", levels, scale)
    assert np.abs(made - expected(name, scale, levels, network.strength)).max() < 0.5


@needs_vulkan
def test_it_rests_where_the_output_is_hardly_larger(tmp_path: Path) -> None:
    levels = natural(40, 30)[..., :1].copy()
    write(tmp_path / "network.glsl", save_checkpoint(tmp_path / "tiny.safetensors", tail=0.1))
    as_large = player.by_ffmpeg(tmp_path / "network.glsl", levels, 1)
    assert np.abs(as_large - levels).max() < 0.5


@needs_mpv
def test_mpv_shows_the_engine_s_picture(tmp_path: Path) -> None:
    levels = natural(161, 121)[..., :1].copy()
    Image.fromarray(levels[..., 0]).save(tmp_path / "small.png")
    write(tmp_path / "network.glsl", named.find("espcn-s", 2))
    shot = player.by_mpv(tmp_path / "network.glsl", tmp_path / "small.png", (322, 242), tmp_path)
    with Image.open(shot) as image:
        shown = np.asarray(image.convert("RGB"))[..., :1].astype(float)
    assert np.abs(shown - expected("espcn-s", 2, levels, None)).max() <= 1


@needs_vulkan
def test_the_page_s_command_upscales_a_video(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "live.md").read_text(encoding="utf-8")
    [command] = [line for line in text.splitlines() if line.startswith("ffmpeg ")]
    write(tmp_path / "shader.glsl", save_checkpoint(tmp_path / "tiny.safetensors", tail=0.1))
    source = ["-f", "lavfi", "-i", "testsrc2=s=48x32:d=1:r=5", "-f", "lavfi", "-i", "sine=d=1"]
    subprocess.run(["ffmpeg", "-v", "error", *source, "in.mkv"], cwd=tmp_path, check=True)
    done = subprocess.run(shlex.split(command), cwd=tmp_path, check=True, capture_output=True, timeout=player.PATIENCE)
    assert b"Failed" not in done.stderr
    probe = ["ffmpeg", "-v", "error", "-i", "out.mkv", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
    frames = subprocess.run(probe, cwd=tmp_path, check=True, capture_output=True).stdout
    assert len(frames) == 5 * 96 * 64 * 3 // 2


def test_it_says_what_it_is() -> None:
    network = exported.read(named.find("espcn-s-real", 2))
    text = shader(network)[".glsl"].decode()
    head = text.partition("//!HOOK")[0]
    assert "espcn-s-real x2, strength 0.75" in head and "license: MIT" in head
    assert checkpoint.fingerprint(network.weights) in head
    assert text.count("//!HOOK LUMA") == text.count("//!WHEN") == 5 * 4 + 1 + 1


@pytest.mark.parametrize("width", [61, 200])
def test_a_network_too_wide_for_a_player_is_refused_with_its_cost(tmp_path: Path, width: int) -> None:
    model = save_checkpoint(tmp_path / "wide.safetensors", ModelSettings(widths=(width,), kernels=(3, 3)), name="wide")
    with pytest.raises(EspcnError, match=r"wide is too wide for a player: .* GFLOP"):
        shader(exported.read(model))


def test_a_network_too_deep_for_a_player_is_refused_with_its_cost(tmp_path: Path) -> None:
    deep = ModelSettings(widths=(4,) * 260, kernels=(1,) * 261)
    model = save_checkpoint(tmp_path / "deep.safetensors", deep, name="deep")
    with pytest.raises(EspcnError, match=r"deep is too deep for a player: it takes 262 passes .* GFLOP"):
        shader(exported.read(model))


def test_cost() -> None:
    assert gigaflop(architecture("espcn-s"), 1280, 720) == pytest.approx(2 * 9936 * 1280 * 720 / 1e9)
