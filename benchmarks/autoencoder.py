"""The autoencoder's three upsamplings at the same multiply-adds: parameters, epoch time and test MSE of each.

    python benchmarks/autoencoder.py DATA [--epochs 25] [--seed 0 1 2] [--device cpu] [--precision bf16] [--json]

DATA is MNIST's folder. The epoch time is the median over a training's epochs, without the test; the trainings run one
after the other, so only times from an idle machine compare. Several seeds show how much of a difference is chance:
MSE is their mean, with the smallest and largest.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from espcn_cli.autoencoder.training import Result, train_autoencoder
from espcn_cli.settings import UPSAMPLERS, AutoencoderSettings

DEFAULT = AutoencoderSettings()


def measure(options: argparse.Namespace) -> dict[str, list[Result]]:
    """Train every upsampling with every seed, the seeds in the outer loop."""
    results: dict[str, list[Result]] = {upsampler: [] for upsampler in UPSAMPLERS}
    with tempfile.TemporaryDirectory() as folder:
        for seed in options.seed:
            for upsampler in UPSAMPLERS:
                settings = replace(DEFAULT, upsampler=upsampler, epochs=options.epochs, seed=seed)
                output = Path(folder) / f"{upsampler}.safetensors"
                result = train_autoencoder(options.data, output, settings, options.device, options.precision)
                print(f"{upsampler}, seed {seed}: {result.test_mse:.6f}", file=sys.stderr)
                results[upsampler].append(result)
    return results


def table(results: dict[str, list[Result]]) -> str:
    """Markdown, a row for each upsampling."""
    lines = [
        "| upsampling | parameters | multiply-adds | s per epoch | test MSE | smallest | largest |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for upsampler, runs in results.items():
        errors = [run.test_mse for run in runs]
        seconds = statistics.median(run.epoch_seconds for run in runs)
        lines.append(
            f"| {upsampler} | {runs[0].parameters:,} | {runs[0].macs:,} | {seconds:.1f} "
            f"| {statistics.mean(errors):.5f} | {min(errors):.5f} | {max(errors):.5f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the autoencoder's three upsamplings.")
    parser.add_argument("data", type=Path, help="MNIST's folder")
    parser.add_argument("--epochs", type=int, default=DEFAULT.epochs)
    parser.add_argument("--seed", type=int, nargs="+", default=[DEFAULT.seed])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = measure(options)
    if options.json:
        print(json.dumps({name: [run.to_dict() for run in runs] for name, runs in results.items()}, indent=2))
        return
    print(table(results))
    seeds = ", ".join(map(str, options.seed))
    print(f"\n{options.epochs} epochs, seeds {seeds}; torch {torch.__version__}, {torch.get_num_threads()} threads,")
    print(f"device {options.device}, precision {options.precision}, {platform.machine()}")


if __name__ == "__main__":
    main()
