"""What bf16 and int8 cost in quality: python benchmarks/precision.py PICTURES [--precision int8] [--model NAME ...]

For every network, on the middle of each picture halved by bicubic: PSNR in bf16 less PSNR in fp32, in dB, and the
share of samples within one level of fp32, in the mean and in the worst picture. `--precision auto` may take bf16 where
the mean PSNR loses 0.02 dB at most and 99.8 % of the samples are within one level on average. For int8, of which
networks with ranges are measured, 0.05 dB are allowed; real weights are measured at strength 1 here, where clean LR
seldom is.

Runs in OpenVINO where the processor has bf16, else in PyTorch, which then multiplies in fp32 what is rounded to bf16:
the same arithmetic but for the order of sums.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from espcn_cli.engines.engine import Engine
from espcn_cli.engines.opening import open_engine
from espcn_cli.maths.levels import Levels
from espcn_cli.maths.resize import degrade
from espcn_cli.network import checkpoint, named
from espcn_cli.pictures import folders, reading

MOST_LOST = {"bf16": 0.02, "int8": 0.05}
LEAST_WITHIN = {"bf16": 0.998, "int8": 0.0}


def crops(folder: Path, scale: int, side: int) -> list[Levels]:
    """The middle of each picture in RGB, its sides multiples of the scale."""
    result = []
    for path in folders.find_all([folder], folders.SUFFIXES):
        levels = reading.read_document(path, 8).frames[0].array()[..., :3]
        if levels.shape[2] == 3:
            height, width = (min(side, length) // scale * scale for length in levels.shape[:2])
            top, left = (levels.shape[0] - height) // 2, (levels.shape[1] - width) // 2
            result.append(levels[top : top + height, left : left + width])
    return result


def psnr(a: Levels, b: Levels) -> float:
    return float(10 * np.log10(255**2 / np.square(a.astype(float) - b).mean()))


def compare(exact: Engine, rough: Engine, hr: Levels, scale: int) -> tuple[float, float]:
    """dB that the rough engine loses on a picture, and its share of samples within one level of the exact one's."""
    lr = degrade(hr.transpose(2, 0, 1)[None], scale)[0].transpose(1, 2, 0)
    [a], [b] = exact.upscale([lr], 0, 255), rough.upscale([lr], 0, 255)
    return psnr(a, hr) - psnr(b, hr), float((np.abs(a.astype(int) - b) <= 1).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--model", "-m", action="append", help="a name; may be repeated; else every one")
    parser.add_argument("--scale", "-s", type=int, default=2)
    parser.add_argument("--precision", choices=MOST_LOST, default="bf16")
    parser.add_argument("--side", type=int, default=384, help="pixels of a crop")
    arguments = parser.parse_args()
    pictures = crops(arguments.pictures, arguments.scale, arguments.side)
    print(
        f"| ×{arguments.scale}, {len(pictures)} crops | engine | dB lost | worst | within a level | worst | allowed |"
    )
    print("|---|---|---|---|---|---|---|")
    for path, card in named.list_shipped():
        if card.settings.scale != arguments.scale or (arguments.model and card.name not in arguments.model):
            continue
        settings, weights, kind = card.settings, checkpoint.read(path)[1], arguments.precision
        if kind == "int8" and not card.ranges:
            continue
        rough = open_engine(settings, weights, "cpu", kind, ranges=card.ranges)
        exact = open_engine(settings, weights, "cpu", "fp32")
        pairs = [compare(exact, rough, hr, arguments.scale) for hr in pictures]
        lost, within = (np.array(values) for values in zip(*pairs, strict=True))
        allowed = lost.mean() <= MOST_LOST[kind] and within.mean() >= LEAST_WITHIN[kind]
        print(
            f"| {card.name} | {type(rough).__name__} | {lost.mean():.4f} | {lost.max():.4f} | {within.mean():.3%} | "
            f"{within.min():.3%} | {'yes' if allowed else 'no'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
