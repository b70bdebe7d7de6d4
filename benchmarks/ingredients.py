"""What each ingredient of the recipe gives: python benchmarks/ingredients.py TRAIN VALID [--minutes 3] [--seeds 0]

TRAIN and VALID are folders of photographs. espcn-m x2 (the last rows: x3, and the paper's network) is trained once per
row and seed, changed in one thing against the default settings, for the same processor time on one thread each: rows
can be run side by side, and on a busy machine. PSNR and SSIM of the averaged network are means over VALID by the
protocol of `espcn benchmark`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from espcn_cli.engines.device import choose_precision
from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.network import named
from espcn_cli.network.espcn import ESPCN
from espcn_cli.network.layers import Convolution
from espcn_cli.pictures import folders
from espcn_cli.scoring import evaluation
from espcn_cli.settings import ModelSettings, TrainSettings, architecture
from espcn_cli.training import patches
from espcn_cli.training.job import Job
from espcn_cli.training.linear_blocks import plain_network
from espcn_cli.training.loop import finished, take_step
from espcn_cli.training.parallel import Group
from espcn_cli.training.run import Run, make_state, make_stepper
from espcn_cli.training.samples import Recipe
from espcn_cli.training.warm_start import warm_start

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Row:
    """One change: of the network's or the training's settings, or of where it starts; `options` say it as a command."""

    options: str
    model: dict[str, Any]
    training: dict[str, Any]
    scale: int = 2
    init: str | None = None
    ensemble: bool = False
    name: str = "espcn-m"
    random: bool = False
    """Whether all weights are drawn anew, where the network itself would start as bicubic."""


PAPER = "-m espcn --optimiser soap --learning-rate 5e-3 --expansion 0"
SOAP: dict[str, Any] = {"optimiser": "soap", "learning_rate": 5e-3, "expansion": 0}

ROWS = {
    "default": Row("", {}, {}),
    "plain: no skip, no linear blocks": Row("(settings: skip none) --expansion 0", {"skip": "none"}, {"expansion": 0}),
    "skip, no linear blocks": Row("--expansion 0", {}, {"expansion": 0}),
    "SOAP, no linear blocks": Row(
        "--optimiser soap --learning-rate 1e-2 --expansion 0",
        {},
        {"optimiser": "soap", "learning_rate": 1e-2, "expansion": 0},
    ),
    "leaky ReLU": Row("(settings: activation prelu)", {"activation": "prelu"}, {}),
    "half the learning rate": Row("--learning-rate 5e-4", {}, {"learning_rate": 5e-4}),
    "twice the learning rate": Row("--learning-rate 2e-3", {}, {"learning_rate": 2e-3}),
    "four times the learning rate": Row("--learning-rate 4e-3", {}, {"learning_rate": 4e-3}),
    "any patch": Row("--candidates 1", {}, {"candidates": 1}),
    "the most detailed of four patches": Row("--candidates 4", {}, {"candidates": 4}),
    "no clipping": Row("--clip 0", {}, {"clip": 0.0}),
    "smaller patches": Row("--patch-size 64", {}, {"patch_size": 64}),
    "no weight averaging": Row("--ema-decay 0", {}, {"ema_decay": 0.0}),
    "MSE": Row("--loss mse", {}, {"loss": "mse"}),
    "L1, then MSE on larger patches": Row("--finish 0.2", {}, {"finish": 0.2}),
    "the mean over eight flips and turns": Row("(espcn benchmark) --ensemble", {}, {}, ensemble=True),
    "the strongest half of espcn-l as the start": Row("--init espcn-l", {}, {}, init="espcn-l"),
    "x3": Row("-s 3", {}, {}, scale=3),
    "x3, warm start from x2": Row("-s 3 --init weights/espcn-m_x2.safetensors", {}, {}, scale=3, init="espcn-m"),
    "the paper's network": Row(PAPER, {}, SOAP, name="espcn"),
    "the paper's network, random start": Row(f"(all weights drawn) {PAPER}", {}, SOAP, name="espcn", random=True),
}


class Pictures:
    """Training and validation pictures, read once per scale."""

    def __init__(self, train: Path, valid: Path) -> None:
        self.train, self.valid = train, valid
        self.read: dict[int, tuple[patches.DataSet, list[evaluation.Pair]]] = {}

    def at(self, scale: int) -> tuple[patches.DataSet, list[evaluation.Pair]]:
        if scale not in self.read:
            pairs = [evaluation.make_pair(path, scale) for path in folders.find_all([self.valid])]
            self.read[scale] = patches.load_data(folders.find_all([self.train]), Recipe(scale, 1), 96), pairs
        return self.read[scale]


def draw_all(settings: ModelSettings, seed: int) -> ESPCN:
    """A network without the path by which it would start as bicubic."""
    torch.manual_seed(seed)
    network = ESPCN(settings)
    for layer in network.body:
        if isinstance(layer, Convolution):
            layer.draw_(settings.activation)
    return network


def run(row: Row, pictures: Pictures, minutes: float, seed: int) -> tuple[float, float, int]:
    """PSNR, SSIM and steps taken after `minutes` of processor time."""
    settings = TrainSettings(minutes=minutes, seed=seed, **row.training)
    model = replace(architecture(row.name, row.scale), **row.model)
    start = named.find(row.init, 2) if row.init else None
    job = Job(Path("unused.safetensors"), row.name, model, settings, [], [], init=start)
    training, pairs = pictures.at(row.scale)
    network = draw_all(model, seed) if row.random else warm_start(start, model, seed) if start else None
    state = make_state(job, CPU, network)
    small = patches.make_patches(training, job.patch, settings, CPU)
    descend = make_stepper(state, settings, CPU, Group())
    precision = choose_precision("auto", CPU, training=True)
    large = small.of_size(min(2 * job.patch, training.largest_patch))
    loop = Run(job, Group(), CPU, precision, small, large, pairs, 0.0, {}, state, descend, None)
    began = time.process_time()
    while not finished(loop):
        take_step(loop)
        state.seconds = time.process_time() - began
    method = evaluation.network(TorchEngine(plain_network(state.average, model), CPU, ensemble=row.ensemble))
    return *evaluation.mean(evaluation.evaluate(method, pairs, row.scale)), state.step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("valid", type=Path)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", default=list(ROWS), choices=list(ROWS), metavar="ROW")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pictures = Pictures(arguments.train, arguments.valid)
    print(f"{arguments.minutes:g} minutes of processor time on one thread, seeds {arguments.seeds}", flush=True)
    print("| change | options | steps | PSNR | SSIM |\n|---|---|---|---|---|", flush=True)
    for name in arguments.only:
        results = [run(ROWS[name], pictures, arguments.minutes, seed) for seed in arguments.seeds]
        psnr, ssim, steps = (statistics.fmean(column) for column in zip(*results, strict=True))
        spread = f" ({', '.join(f'{result[0]:.2f}' for result in results)})" if len(results) > 1 else ""
        options = f"`{ROWS[name].options}`" if ROWS[name].options else ""
        print(f"| {name} | {options} | {steps:,.0f} | {psnr:.2f}{spread} | {ssim:.4f} |", flush=True)


if __name__ == "__main__":
    main()
