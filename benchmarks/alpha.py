"""Whether transparency is enlarged better by the network or by bicubic interpolation: soft edges, and cut out ones.

    python benchmarks/alpha.py [-m espcn-m] [-s 2 3 4]

The pictures are drawn here, so anybody gets the same: discs, stars and letters, antialiased at HR by drawing them eight
times as large. The soft LR picture is MATLAB's bicubic of that; the cut out one is the same with every pixel made fully
clear or fully opaque, as in a GIF. All are scored against the antialiased drawing: PSNR in dB over all pixels, after
every value was kept between those around it. The last column is what `espcn upscale` does: one way or the other, as the
edges of each place are.
"""

from __future__ import annotations

import argparse
import random

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from espcn_cli.maths.resize import degrade
from espcn_cli.pictures.raster import Raster
from espcn_cli.scoring import tensors
from espcn_cli.scoring.metrics import psnr
from espcn_cli.upscaling.alpha import enlarged
from espcn_cli.upscaling.edges import within_neighbours
from espcn_cli.upscaling.upscaler import Upscaler, load

SIDE = 288
"""HR pixels of a drawing's side: a multiple of every scale."""

FINER = 8
"""How many times larger a drawing is made, for its edges to be soft at HR."""


def shapes(seed: int) -> Image.Image:
    """Discs and stars of all sizes, white on black."""
    rng = random.Random(seed)
    sheet = Image.new("L", (SIDE * FINER, SIDE * FINER))
    draw = ImageDraw.Draw(sheet)
    for _ in range(8):
        x, y = (rng.uniform(0, SIDE * FINER) for _ in range(2))
        radius = rng.uniform(8, 50) * FINER
        if rng.random() < 0.5:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=rng.choice((0, 255, 255)))
        else:
            sides, turn = rng.randint(3, 9), rng.uniform(0, 360)
            draw.regular_polygon((x, y, radius), sides, turn, fill=rng.choice((0, 255, 255)))
    return sheet


def letters(seed: int) -> Image.Image:
    """Lines of text in the font that comes with Pillow, from 10 to 40 pixels high."""
    rng = random.Random(seed)
    sheet = Image.new("L", (SIDE * FINER, SIDE * FINER))
    draw = ImageDraw.Draw(sheet)
    top = 0.0
    while top < SIDE * FINER:
        height = rng.uniform(10, 40) * FINER
        text = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLM 0123456789") for _ in range(60))
        draw.text((-rng.uniform(0, 9) * FINER, top), text, fill=255, font=ImageFont.load_default(height))
        top += 1.2 * height
    return sheet


def drawn(sheet: Image.Image) -> Tensor:
    """(1, 1, SIDE, SIDE) in [0, 1], each pixel the mean of those it was drawn with."""
    return tensors.from_levels(Raster(sheet.reduce(FINER)).array())


def compare(upscaler: Upscaler, hr: Tensor) -> dict[str, tuple[float, ...]]:
    """PSNR by the network, by bicubic and by `espcn upscale`, for the soft and for the cut out edges."""
    soft, engine = degrade(hr, upscaler.scale), upscaler.engine
    result = {}
    for name, lr in (("soft", soft), ("cut out", (soft >= 0.5).float())):
        levels = tensors.to_depth(lr)
        ways = (engine.upscale([levels], 0, 255)[0], engine.interpolate(levels, 0, 255))
        alphas = [within_neighbours(way, levels, upscaler.scale) for way in ways] + [enlarged(engine, levels)]
        result[name] = tuple(float(psnr(tensors.from_levels(alpha), hr)) for alpha in alphas)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", default="espcn-m")
    parser.add_argument("-s", "--scale", type=int, nargs="+", default=[2, 3, 4])
    arguments = parser.parse_args()
    print("scale  picture  edges     network  bicubic  upscale   (dB, means of 8 drawings)")
    for scale in arguments.scale:
        upscaler = load(arguments.model, scale)
        for name, draw in (("shapes", shapes), ("letters", letters)):
            scores = [compare(upscaler, drawn(draw(seed))) for seed in range(8)]
            for edges in ("soft", "cut out"):
                means = torch.tensor([score[edges] for score in scores]).mean(dim=0).tolist()
                print(f"x{scale}     {name:8} {edges:8}", *(f"{mean:8.2f}" for mean in means))


if __name__ == "__main__":
    main()
