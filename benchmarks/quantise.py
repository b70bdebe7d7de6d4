"""Ranges for int8, put into checkpoints whose weights stay as they are.

    python benchmarks/quantise.py PICTURES CHECKPOINT... [--drawings FOLDER] [--valid FOLDER]

They are those with which `espcn train PICTURES --init CHECKPOINT --quantise` begins: for weights that have a clean
sister, by all that `--degradation real` does to pictures and drawings, else by bicubic. Nothing is trained.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from espcn_cli.maths.quantisation import Ranges
from espcn_cli.network import checkpoint
from espcn_cli.settings import TrainSettings
from espcn_cli.training.job import make_job
from espcn_cli.training.parallel import Group
from espcn_cli.training.run import prepare


def ranges_of(path: Path, pictures: Path, drawings: Path | None, valid: Path | None) -> Ranges:
    card = checkpoint.read_card(path)
    settings = TrainSettings(degradation="real" if card.sister else "bicubic", quantise=True)
    more = drawings if card.sister else None
    with TemporaryDirectory() as folder:
        output = Path(folder, "quantised.safetensors")
        job = make_job([pictures], output, card.name, card.settings, settings, valid, more, init=path)
        run = prepare(job, torch.device("cpu"), Group(), resume=False, report=lambda event: None)
        run.patches.close()
    return tuple((least, greatest) for least, greatest in run.state.ranges)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--drawings", type=Path)
    parser.add_argument("--valid", type=Path, help="else a tenth of the pictures are left out")
    arguments = parser.parse_args()
    for path in arguments.checkpoints:
        ranges = ranges_of(path, arguments.pictures, arguments.drawings, arguments.valid)
        card, weights = checkpoint.read(path)
        checkpoint.write(path, weights, replace(card, ranges=ranges))
        print(f"{path}: {', '.join(f'{least:.2f} to {greatest:.2f}' for least, greatest in ranges)}", flush=True)


if __name__ == "__main__":
    main()
