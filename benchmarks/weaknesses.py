"""Where the networks fail, as pictures: python benchmarks/weaknesses.py [-m espcn-m] [-o benchmarks/weaknesses.png]

Three rows of bicubic | network | truth at x2, each made small by the clean bicubic that the networks were trained on:
small text, fine stripes that turn to moire, and a photograph (examples/cat.png) that went through JPEG at quality 30
before it was enlarged. The PSNR of each is printed under it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from espcn_cli.maths.resize import degrade, interpolate
from espcn_cli.scoring import evaluation, tensors
from espcn_cli.scoring.degradation import jpeg
from espcn_cli.scoring.tensors import Picture
from espcn_cli.upscaling.upscaler import load

SCALE, SIDE, ZOOM, GAP = 2, 96, 3, 8
QUALITY = 30


def text() -> Tensor:
    """Lines of print, (1, 1, SIDE, SIDE) in [0, 1]."""
    page = Image.new("L", (SIDE, SIDE), 245)
    draw = ImageDraw.Draw(page)
    for line in range(9):
        words = "sub-pixel convolution" if line % 2 else "phase shift 0123456789"
        draw.text((3, 2 + 10.4 * line), words, fill=20, font=ImageFont.load_default(size=5.5 + 0.6 * line))
    return torch.from_numpy(np.array(page)).float()[None, None] / 255


def stripes() -> Tensor:
    """Rings that grow finer outwards, up to more than the small picture can hold."""
    y, x = torch.meshgrid(torch.arange(SIDE) - SIDE / 2, torch.arange(SIDE) - SIDE / 2, indexing="ij")
    rings = 0.5 + 0.45 * torch.cos((x**2 + y**2) * torch.pi * 0.62 / SIDE)
    return (rings * 255).round()[None, None] / 255


def photograph() -> Tensor:
    return tensors.read(Path(__file__).parents[1] / "examples" / "cat.png").pixels[..., 40 : 40 + SIDE, 80 : 80 + SIDE]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", default="espcn-m")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).with_suffix(".png"))
    arguments = parser.parse_args()
    upscaler = load(arguments.model, SCALE)
    rows = []
    for name, hr, quality in (("text", text(), 0), ("stripes", stripes(), 0), ("jpeg", photograph(), QUALITY)):
        lr = degrade(hr, SCALE)
        lr = jpeg(lr, quality) if quality else lr
        views = [interpolate(lr, SCALE), upscaler.upscale(lr), hr]
        scores = [evaluation.score(view, hr, SCALE)[0] for view in views[:2]]
        print(f"{name}: bicubic {scores[0]:.2f} dB, {arguments.model} {scores[1]:.2f} dB")
        rows.append(torch.cat([view.expand(-1, 3, -1, -1).clamp(0, 1) for view in views], dim=3))
    sheet = torch.cat(rows, dim=2).repeat_interleave(ZOOM, 2).repeat_interleave(ZOOM, 3)
    tensors.write(Picture(sheet), arguments.output)


if __name__ == "__main__":
    main()
