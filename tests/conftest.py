"""What several test files share: one thread, repeatable Hypothesis, the benchmark pictures, small stand-ins."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from making import save_picture
from PIL import Image
from torch import Tensor
from trainings import QUICK, TINY

from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.network.espcn import ESPCN
from espcn_cli.settings import ModelSettings
from espcn_cli.training.job import Job, make_job
from espcn_cli.upscaling.upscaler import Upscaler

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it, and so would its children

torch.set_num_threads(1)  # on a busy machine two OpenMP threads run many times slower than one
os.environ["OMP_NUM_THREADS"] = "1"  # so in the processes that tests start, whose bits are compared with ours

os.environ.pop("ESPCN_MODELS", None)  # no models of whoever runs the tests
os.environ["XDG_DATA_HOME"] = os.devnull + "/none"

settings.register_profile("espcn", deadline=None, derandomize=True, database=None, max_examples=40)
settings.load_profile("espcn")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of benchmark and training pictures beside the repository; without it the test is skipped."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the pictures in ../shared/data")
    return folder


@pytest.fixture(scope="session")
def read_png() -> Callable[[Path], Tensor]:
    """8-bit pictures as (1, 1 or 3, H, W) in [0, 1], by Pillow alone, independent of `imageio`."""

    def read(path: Path) -> Tensor:
        with Image.open(path) as image:
            array = np.atleast_3d(np.array(image))
        return torch.from_numpy(array).permute(2, 0, 1)[None].float() / 255

    return read


@pytest.fixture
def photo() -> Tensor:
    """A natural-looking picture, (1, 3, 96, 120) in [0, 1] on the 8-bit grid: shades, edges, fine stripes, grain."""
    generator = torch.Generator().manual_seed(7)
    y, x = torch.meshgrid(torch.linspace(0, 1, 96), torch.linspace(0, 1, 120), indexing="ij")
    sky = torch.stack([0.45 + 0.3 * y, 0.55 + 0.2 * y, 0.8 - 0.2 * y])
    ball = ((x - 0.35) ** 2 + (y - 0.55) ** 2).sqrt() < 0.25
    skin = torch.stack([0.85 - 0.5 * x, 0.6 - 0.4 * x, 0.45 - 0.3 * x])
    stripes = 0.5 + 0.3 * torch.sin(40 * x**2 + 25 * y).expand(3, -1, -1)
    picture = torch.where(ball, skin, torch.where(y > 0.7, stripes, sky))
    picture = picture + 0.02 * torch.randn(3, 96, 120, generator=generator)
    return (picture.clamp(0, 1) * 255).round()[None] / 255


@pytest.fixture(scope="session")
def make_network() -> Callable[..., ESPCN]:
    """Networks as if trained: random weights everywhere, the last layer included, so that outputs leave bicubic."""

    def make(model: ModelSettings, seed: int = 0, tail: float = 0.1) -> ESPCN:
        torch.manual_seed(seed)
        network = ESPCN(model)
        torch.nn.init.normal_(network.tail.weight, std=tail)
        for name, parameter in network.named_parameters():
            if name.endswith("bias") or len(parameter) > 1 == parameter.ndim:  # slopes per channel
                torch.nn.init.normal_(parameter, std=0.05)
        return network

    return make


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A training that takes a moment: see `trainings`."""
    for index in range(4):
        save_picture(tmp_path / "data" / f"{index}.png", 40, 32, index)
    save_picture(tmp_path / "valid" / "v.png", 36, 32, 9)
    return make_job(
        [tmp_path / "data"],
        tmp_path / "out.safetensors",
        "tiny",
        TINY,
        QUICK,
        tmp_path / "valid",
        device="cpu",
        precision="fp32",
    )


@pytest.fixture(scope="session")
def bicubic() -> Upscaler:
    """An untrained network with the bicubic skip is bicubic upsampling."""
    return Upscaler(TorchEngine(ESPCN(ModelSettings(widths=(4,), kernels=(3, 3)))))
