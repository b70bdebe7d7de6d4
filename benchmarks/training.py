"""Training speed beside the usual script: python benchmarks/training.py DATA [--rounds 5] [--steps 30] [--busy 1]

DATA is a folder of photographs. *Usual* is how ESPCN retrainings are commonly written: patches cut beforehand into PNG
files, a DataLoader with workers that decode them, float32 in the default memory format, an `nn.Sequential`. *espcn* is
this project's loop (`espcn_cli.training.loop.take_step`), plain and with linear blocks. Same network, batch and patch;
the three take turns, a few steps each, so that what disturbs the machine disturbs all; medians over the rounds. The
share of time that espcn spends drawing patches is measured apart. `--busy` starts so many other processes that compute
all the time, as on a machine that is not ours alone.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from espcn_cli.engines.device import choose_device, choose_precision
from espcn_cli.pictures import folders
from espcn_cli.settings import ARCHITECTURES, ModelSettings, TrainSettings, architecture
from espcn_cli.training.job import Job
from espcn_cli.training.loop import take_step
from espcn_cli.training.parallel import Group, own_device
from espcn_cli.training.patches import Patches, load_data
from espcn_cli.training.run import Run, make_state, make_stepper
from espcn_cli.training.samples import Recipe

BATCH, PATCH = 16, 96


class PatchFiles(Dataset[tuple[Tensor, Tensor]]):
    """Pairs of small PNG files, decoded when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.glob("*_hr.png"))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        hr = self.files[index]
        return self._read(hr.with_name(hr.name.replace("_hr", "_lr"))), self._read(hr)

    def _read(self, path: Path) -> Tensor:
        with Image.open(path) as image:
            return torch.from_numpy(np.array(image.convert("YCbCr"))[..., :1]).permute(2, 0, 1).float() / 255


def cut_patches(patches: Patches, folder: Path, count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    for start in range(0, count, BATCH):
        for index, pair in enumerate(zip(*patches.draw(generator), strict=True)):
            for name, x in zip(("lr", "hr"), pair, strict=True):
                grey = Image.fromarray((x[0] * 255).round().to(torch.uint8).numpy())
                grey.convert("RGB").save(folder / f"{start + index:05d}_{name}.png")


def usual_network(settings: ModelSettings) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs, kernel in zip(settings.channels[:-1], settings.channels[1:], settings.kernels, strict=True):
        activation = {"tanh": nn.Tanh, "prelu": nn.PReLU, "hardswish": nn.Hardswish}[settings.activation]()
        layers += [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), activation]
    return nn.Sequential(*layers[:-1], nn.PixelShuffle(settings.scale))


def usual_steps(settings: ModelSettings, folder: Path, device: torch.device) -> Iterator[None]:
    network = usual_network(settings).to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    loader = DataLoader(PatchFiles(folder), BATCH, shuffle=True, num_workers=2, persistent_workers=True, drop_last=True)
    while True:
        for lr, hr in loader:
            loss = F.l1_loss(network(lr.to(device)), hr.to(device))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            loss.item()
            yield


def our_steps(settings: ModelSettings, patches: Patches, device: torch.device, expansion: int) -> Iterator[None]:
    options = TrainSettings(batch_size=BATCH, patch_size=PATCH, expansion=expansion)
    job = Job(Path("unused.safetensors"), "timed", settings, options, [], [])
    precision = choose_precision("auto", device, training=True)
    state = make_state(job, device)
    descend = make_stepper(state, options, device, Group())
    run = Run(job, Group(), device, precision, patches, patches, [], 0.0, {}, state, descend, None)
    while True:
        take_step(run).item()
        yield


def seconds(step: Callable[[], object], steps: int) -> float:
    started = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - started) / steps


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Other processes that multiply numbers as long as this is entered."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: 3**3"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--busy", type=int, default=0)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    pictures = load_data(folders.find_images(arguments.data), Recipe(2, 1), PATCH)
    patches = Patches(pictures, PATCH, BATCH, TrainSettings().candidates)
    others = f", {arguments.busy} busy processes beside" if arguments.busy else ""
    print(f"{torch.get_num_threads()} threads, {device}{others}; batches of {BATCH} patches of {PATCH} x {PATCH}, x2")
    print("| network | usual steps/s | espcn steps/s | ratio | with linear blocks | ratio | Mpx LR/s | drawing |")
    print("|---|---|---|---|---|---|---|---|")
    with own_device(device), tempfile.TemporaryDirectory() as folder, busy(arguments.busy):
        cut_patches(patches, Path(folder), 40 * BATCH)
        for name in ARCHITECTURES:
            settings = architecture(name, 2)
            loops = {
                "usual": usual_steps(settings, Path(folder), device),
                "plain": our_steps(settings, patches, device, 0),
                "blocks": our_steps(settings, patches, device, 128),
            }
            print(row(name, loops, patches, arguments.rounds, arguments.steps), flush=True)


def row(name: str, loops: dict[str, Iterator[None]], patches: Patches, rounds: int, steps: int) -> str:
    times: dict[str, list[float]] = {loop: [] for loop in loops}
    for turn in range(-1, rounds):
        for loop, iterator in loops.items():
            spent = seconds(iterator.__next__, steps)
            if turn >= 0:  # the first turn warms up
                times[loop].append(spent)
    generator = torch.Generator().manual_seed(0)
    drawing = statistics.median(seconds(lambda: patches.draw(generator), steps) for _ in range(rounds))
    usual, plain, blocks = (statistics.median(times[loop]) for loop in ("usual", "plain", "blocks"))
    ratios = [
        statistics.median(u / o for u, o in zip(times["usual"], times[k], strict=True)) for k in ("plain", "blocks")
    ]
    pixels = BATCH * patches.patch**2 / blocks / 1e6
    return (
        f"| {name} | {1 / usual:.1f} | {1 / plain:.1f} | {ratios[0]:.1f} | {1 / blocks:.1f} | {ratios[1]:.1f} "
        f"| {pixels:.2f} | {drawing / blocks:.1%} |"
    )


if __name__ == "__main__":
    main()
