"""`--engine`, `--device` and `--precision` as users meet them: what is taken, and one line where it cannot be."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from pathlib import Path

import numpy as np
import pytest
from command import one_line, run
from making import save_picture
from PIL import Image

from espcn_cli.engines import opening
from espcn_cli.engines.precision import int8_ratio
from espcn_cli.network import checkpoint

pytest.importorskip("openvino")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_picture(tmp_path / "in.png", 31, 22)
    return tmp_path


def levels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_engines_give_one_picture_within_a_level(folder: Path, tiny: Path, precision: str) -> None:
    for engine in ("torch", "openvino", "auto"):
        options = ["-m", tiny, "--engine", engine, "--device", "cpu", "--precision", precision]
        assert run("upscale", "in.png", f"{engine}.png", *options, cwd=folder).code == 0
    assert np.abs(levels(folder / "torch.png") - levels(folder / "openvino.png")).max() <= 1
    assert np.array_equal(levels(folder / "auto.png"), levels(folder / "openvino.png"))


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--engine", "onnx"], 2, "'onnx' is not one of 'auto', 'torch', 'openvino'"),
        (["--engine", "openvino", "--device", "cuda"], 2, "OpenVINO does not run on 'cuda'"),
        (["--engine", "torch", "--device", "gpu"], 2, "use --engine openvino"),
        (["--device", "gpu.63"], 1, "device 'gpu.63' is not available here: OpenVINO finds cpu"),
        (["--engine", "openvino", "--precision", "fp16"], 2, "fp16 needs a GPU"),
    ],
)
def test_what_cannot_be_is_one_line(folder: Path, options: list[str], code: int, said: str) -> None:
    one_line(run("upscale", "in.png", "out.png", *options, cwd=folder), code, said)
    assert not (folder / "out.png").exists()


def test_int8_takes_a_model_with_ranges(folder: Path, tiny: Path) -> None:
    refused = run("upscale", "in.png", "out.png", "-m", tiny, "--precision", "int8", cwd=folder)
    one_line(refused, 2, "--precision int8 needs ranges, which this model has none of")
    assert not (folder / "out.png").exists()
    card, weights = checkpoint.read(tiny)
    with_ranges = folder / "quantised.safetensors"
    checkpoint.write(with_ranges, weights, replace(card, ranges=((0.0, 1.0), (-2.0, 2.0))))
    for engine in ("torch", *(["openvino"] if int8_ratio() < inf else [])):
        options = ["-m", with_ranges, "--precision", "int8", "--engine", engine, "--device", "cpu"]
        assert run("upscale", "in.png", f"{engine}.png", *options, cwd=folder).code == 0
        assert np.abs(levels(folder / "torch.png") - levels(folder / f"{engine}.png")).max() <= 1
    plain = run(
        "upscale", "in.png", "plain.png", "-m", with_ranges, "--precision", "fp32", "--device", "cpu", cwd=folder
    )
    assert plain.code == 0
    assert 0 < np.abs(levels(folder / "torch.png") - levels(folder / "plain.png")).max() < 8


def test_without_the_extra_there_is_one_hint(folder: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = opening.is_installed
    monkeypatch.setattr(opening, "is_installed", lambda name: name != "openvino" and installed(name))
    opening._works.cache_clear()
    loud = run("upscale", "in.png", "a.png", "-m", tiny, "--device", "cpu", cwd=folder)
    quiet = run("upscale", "in.png", "b.png", "-m", tiny, "--device", "cpu", "-q", cwd=folder)
    opening._works.cache_clear()
    assert loud.stderr == f"espcn: {opening.HINT}\n"
    assert (loud.code, quiet.code, quiet.stderr) == (0, 0, "")


def test_an_openvino_that_does_not_work_is_one_warning(
    folder: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "_fault", lambda: "no AVX2")
    opening._works.cache_clear()
    result = run("upscale", "in.png", "a.png", "-m", tiny, "--device", "cpu", cwd=folder)
    opening._works.cache_clear()
    assert (result.code, result.stderr) == (0, "espcn: OpenVINO does not work here (no AVX2): PyTorch is used\n")


def test_models_tells_what_each_runs_by(tiny: Path) -> None:
    """And why; here on whatever processor this is."""
    lines = run("models", "-v").stdout.splitlines()
    [*_, last] = [line for line in lines if line.startswith("Here ")]
    assert "espcn" in last and any(f" in {kind} (" in last for kind in ("fp32", "bf16", "fp16", "int8"))
