"""Weights on the way from one checkpoint to another: python benchmarks/average.py BEFORE AFTER OUTPUT --valid VALID

For weights that were trained on: a part of the way has most of what the second training gained on some kinds of damage,
and little of what it lost on others (Wortsman et al. 2022, "Model soups", arXiv 2203.05482). The card is that of AFTER,
with PSNR and SSIM measured on VALID as `espcn train --degradation real` measures them.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.network import checkpoint, espcn, mixing
from espcn_cli.pictures import folders
from espcn_cli.scoring import evaluation
from espcn_cli.training.run import load_validation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("before", "after", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of the way")
    parser.add_argument("--valid", type=Path, required=True)
    arguments = parser.parse_args()

    pair = mixing.read_pair(arguments.before, arguments.after)
    card, weights = checkpoint.read_card(arguments.after), pair.at(arguments.share)
    pairs, _ = load_validation(list(folders.find_all([arguments.valid])), card.settings.scale, "real")
    engine = TorchEngine(espcn.build(card.settings, weights))
    ways = evaluation.network(engine), evaluation.interpolation("bicubic", card.settings.scale)
    (psnr, ssim), (bicubic, _) = (evaluation.mean(evaluation.evaluate(way, pairs, card.settings.scale)) for way in ways)
    figures = {"psnr": round(psnr, 4), "ssim": round(ssim, 5), "bicubic": round(bicubic, 4)}
    metrics = {**card.metrics["validation"], **figures}
    training = {**card.training, "averaged": f"{arguments.share:g} of the way from {arguments.before.name}"}
    checkpoint.write(
        arguments.output,
        weights,
        replace(card, training=training, metrics={**card.metrics, "validation": metrics}, ranges=()),
    )
    print(f"{arguments.output}: {psnr:.2f} dB on {len(pairs)} validation pictures")


if __name__ == "__main__":
    main()
