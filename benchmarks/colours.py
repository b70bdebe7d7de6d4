"""What colours that follow luma are worth: python benchmarks/colours.py PICTURES [-m NAME] [--picture docs/colours.png]

PSNR of RGB and of Y at x2, LR by bicubic, once with luma's detail added to all colours alike and once in proportion to
their slopes on luma (`network/slopes`). --picture also draws text and shapes in colour, and both results enlarged.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.maths.colour import LUMA
from espcn_cli.maths.levels import Levels
from espcn_cli.maths.resize import degrade
from espcn_cli.network import checkpoint, espcn
from espcn_cli.pictures import folders, reading

SIDE = 512


class Alike(TorchEngine):
    """All colours take the whole of luma's detail, as it was before."""

    def _slopes(self, x: Tensor) -> Tensor:
        return torch.ones(1, 3 * self.settings.scale**2, 1, 1, device=x.device)


def psnr(a: Levels, b: Levels) -> tuple[float, float]:
    """Of RGB and of Y, in dB."""
    error = a.astype(float) - b
    return tuple(float(10 * np.log10(255**2 / np.square(e).mean())) for e in (error, error @ np.array(LUMA)))  # type: ignore[return-value]


def halved(hr: Levels) -> Levels:
    return np.ascontiguousarray(degrade(hr.transpose(2, 0, 1)[None], 2)[0].transpose(1, 2, 0))


def drawing() -> Levels:
    image = Image.new("RGB", (360, 120), (20, 30, 200))
    draw = ImageDraw.Draw(image)
    draw.text((8, 8), "Red on blue", (230, 20, 20), ImageFont.load_default(34))
    draw.text((8, 70), "green text", (30, 200, 60), ImageFont.load_default(22))
    draw.ellipse((240, 20, 330, 100), fill=(230, 30, 30))
    draw.polygon([(150, 70), (225, 70), (190, 115)], fill=(240, 220, 0))
    return np.asarray(image)


def enlarged(levels: Levels) -> Levels:
    return levels[:, :232].repeat(3, axis=0).repeat(3, axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="?")
    parser.add_argument("--model", "-m", default="espcn-m-real")
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    card, weights = checkpoint.read(checkpoint.find(arguments.model, 2))
    engines = [kind(espcn.build(card.settings, weights)) for kind in (Alike, TorchEngine)]
    if arguments.picture:
        hr = drawing()
        done = [enlarged(engine.upscale([halved(hr)], 0, 255)[0]) for engine in engines]
        gap = np.full((12, done[0].shape[1], 3), 255, np.uint8)
        Image.fromarray(np.concatenate([done[0], gap, done[1]])).save(arguments.picture, optimize=True)
    if arguments.pictures:
        scores = []
        for path in folders.find_all([arguments.pictures], folders.SUFFIXES):
            levels = reading.read_document(path, 8).frames[0].array()
            if levels.shape[2] >= 3:
                hr = levels[: SIDE // 2 * 2, :SIDE, :3]
                hr = hr[: hr.shape[0] // 2 * 2, : hr.shape[1] // 2 * 2]
                scores.append([psnr(engine.upscale([halved(hr)], 0, 255)[0], hr) for engine in engines])
        (rgb, y), (rgb_after, y_after) = np.mean(scores, axis=0)
        print(
            f"{arguments.model}, {len(scores)} pictures: RGB {rgb:.2f} -> {rgb_after:.2f}, Y {y:.2f} -> {y_after:.2f}"
        )


if __name__ == "__main__":
    main()
