"""A loaded model in other processes: pickled to them, or there already when they fork."""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from making import natural, save_checkpoint
from PIL import Image

from espcn_cli.upscaling.upscaler import Upscaler, load

FORKING = """
import multiprocessing, sys
import numpy, torch
from PIL import Image
from espcn_cli import load

torch.set_num_threads(2)
upscaler, image = load(sys.argv[1]), Image.open(sys.argv[2]).copy()


def enlarge(_):
    return numpy.asarray(upscaler(image))


here = [enlarge(0) for _ in range(int(sys.argv[3]))]
with multiprocessing.get_context("fork").Pool(2) as pool:
    there = pool.map_async(enlarge, range(3)).get(timeout=60)
assert all((picture == there[0]).all() for picture in [*here, *there])
assert torch.get_num_threads() == 2
print("equal")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="does not fork")
@pytest.mark.parametrize("before", [0, 1], ids=["loaded", "used"])
def test_a_forked_pool_works_after_use_in_its_parent(tmp_path: Path, before: int) -> None:
    """OpenMP's threads do not come along, and whoever waits for them waits for ever."""
    Image.fromarray(natural(300, 200)).save(tmp_path / "in.png")
    model = save_checkpoint(tmp_path / "tiny.safetensors")
    command = [sys.executable, "-c", FORKING, str(model), str(tmp_path / "in.png"), str(before)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "equal\n"), done.stderr


@pytest.mark.parametrize("scale", [None, 3])
def test_a_model_comes_back_from_a_pickle_with_all_its_scales(scale: int | None) -> None:
    image = Image.fromarray(natural(20, 14))
    upscaler = load("espcn-s", scale, device="cpu")
    expected = np.asarray(upscaler.at(3)(image))  # opened before, or not
    for again in (pickle.loads(pickle.dumps(upscaler)), pickle.loads(pickle.dumps(load("espcn-s", scale)))):
        assert again.scales == upscaler.scales == ((3,) if scale else (2, 3, 4))
        assert np.array_equal(np.asarray(again.at(3)(image)), expected)


@pytest.mark.skipif(sys.platform == "win32", reason="slow there")
def test_a_spawned_process_is_given_a_model() -> None:
    upscaler, image = load("espcn-s", device="cpu"), Image.fromarray(natural(20, 14))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply_async(enlarge, (upscaler, image)).get(timeout=60)
    assert np.array_equal(np.asarray(there), np.asarray(upscaler(image)))


def enlarge(upscaler: Upscaler, image: Image.Image) -> Image.Image:
    return upscaler(image)


def test_a_scale_is_opened_once() -> None:
    upscaler = load("espcn-s", device="cpu")
    assert upscaler.at(4) is upscaler.at(4)
    assert upscaler.at(upscaler.scale) is upscaler
