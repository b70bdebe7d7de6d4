"""What a GPU comes to: python benchmarks/gpu.py PICTURES [--device cuda]

Networks on 1920 × 1080 at ×2, milliseconds, medians of nine: one plane and RGB that lie on the device, an array to an
array, a picture to a picture; how far pictures are from the CPU's in fp32. Then training steps on patches of PICTURES:
to draw a batch and to take a step, the mean of 400, beside the time in which the process had told the GPU its work.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from espcn_cli.engines.device import PRECISIONS, choose_device
from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.network import checkpoint, espcn, named
from espcn_cli.pictures import folders
from espcn_cli.reports.speed import picture
from espcn_cli.settings import Optimiser, TrainSettings, architecture
from espcn_cli.training.job import Job
from espcn_cli.training.objective import make_loss
from espcn_cli.training.parallel import Group, own_device
from espcn_cli.training.patches import DataSet, load_data, make_patches
from espcn_cli.training.run import make_state, make_stepper
from espcn_cli.training.samples import Recipe
from espcn_cli.training.warm_start import warm_start
from espcn_cli.upscaling.upscaler import Upscaler

SIZE, STEPS = (1920, 1080), 400

TRAININGS: tuple[tuple[str, int, str, Optimiser], ...] = (
    ("espcn-m", 16, "bf16", "adam"),
    ("espcn-m", 16, "fp32", "adam"),
    ("espcn-m", 16, "bf16", "soap"),
    ("espcn-s", 64, "bf16", "adam"),
    ("espcn-m", 64, "bf16", "adam"),
    ("espcn-l", 64, "bf16", "adam"),
)
"""Network, patches of 96 × 96 in a batch, arithmetic, optimiser."""


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def milliseconds(work: Callable[[], object], device: torch.device) -> float:
    times = []
    for _ in range(12):
        synchronise(device)
        started = time.perf_counter()
        work()
        synchronise(device)
        times.append(time.perf_counter() - started)
    return 1e3 * statistics.median(times[3:])


def upscaling(name: str, precision: str, device: torch.device) -> str:
    card, weights = checkpoint.read(named.find(name, 2))
    engine = TorchEngine(espcn.build(card.settings, weights), device, PRECISIONS[precision])
    exact = Upscaler(TorchEngine(espcn.build(card.settings, weights)))
    upscaler, image = Upscaler(engine), Image.fromarray(picture(SIZE))
    planes = torch.rand(1, 3, SIZE[1], SIZE[0], device=device)
    cells = [
        milliseconds(lambda: engine.planes(planes[:, :1]), device),
        milliseconds(lambda: engine.planes(planes), device),
        milliseconds(lambda: engine.upscale([np.asarray(image)], 0, 255), device),
        milliseconds(lambda: upscaler(image), device),
    ]
    small = image.crop((0, 0, 253, 187))
    off = np.abs(np.asarray(upscaler(small)).astype(int) - np.asarray(exact(small)))
    return " | ".join([*(f"{cell:.2f}" for cell in cells), f"{off.max()}", f"{(off <= 1).mean():.4%}"])


def training(
    name: str, batch: int, precision: str, optimiser: Optimiser, data: DataSet, device: torch.device
) -> tuple[float, float, float]:
    """Milliseconds to draw a batch, to take a step, and to tell the device of it."""
    settings, shape = TrainSettings(batch_size=batch, optimiser=optimiser), architecture(name, 2)
    start = warm_start(named.find(name, 2), shape, 0)
    state = make_state(Job(Path("unused.safetensors"), name, shape, settings, [], []), device, start)
    step, patches = make_stepper(state, settings, device, Group()), make_patches(data, 96, settings, device)
    loss = make_loss("l1", device.type, PRECISIONS[precision])
    lr, hr = (x.to(device) for x in patches.draw(state.generator))

    def once() -> None:
        step(state, loss, lr, hr, 1e-4, 0.001)
        state.step += 1

    def mean(work: Callable[[], object]) -> tuple[float, float]:
        work()
        synchronise(device)
        started = time.perf_counter()
        for _ in range(STEPS):
            work()
        told = time.perf_counter() - started
        synchronise(device)
        return 1e3 * (time.perf_counter() - started) / STEPS, 1e3 * told / STEPS

    return mean(lambda: patches.draw(state.generator))[0], *mean(once)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    with own_device(device):
        print("| network | arithmetic | plane | RGB | array | picture | levels off at most | within 1 |")
        print("|---|---|---|---|---|---|---|---|")
        for name in ("espcn-s", "espcn-m", "espcn-l"):
            for precision in PRECISIONS if device.type == "cuda" else ("fp32",):
                print(f"| `{name}` | {precision} | {upscaling(name, precision, device)} |", flush=True)
        print("\n| network | batch | arithmetic | optimiser | draw | step | of it told in |")
        print("|---|---|---|---|---|---|---|")
        data = load_data(list(folders.find_all([arguments.pictures])), Recipe(2, 1), 96)
        for row in TRAININGS:
            times = " | ".join(f"{each:.2f}" for each in training(*row, data, device))
            print(f"| `{row[0]}` | {row[1]} | {row[2]} | {row[3]} | {times} |", flush=True)


if __name__ == "__main__":
    main()
