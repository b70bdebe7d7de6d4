"""What colours that follow luma are worth: python benchmarks/colours.py [PICTURES] [-m NAME] [--strength 1]

PSNR of RGB and of Y at x2, of crops of 512 x 512, on clean LR and on JPEGs and WebPs: with luma's detail added to all
colours alike; in proportion to their slopes on luma (`network/slopes`); as of pictures whose chroma was halved, which
files tell. --picture FILE draws text and shapes in colour, clean and as a JPEG 4:2:0, in all ways, enlarged; or, with
--place X,Y of HR and PICTURES a file, shows a part of that.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.maths.colour import LUMA
from espcn_cli.maths.levels import Levels
from espcn_cli.pictures import folders, reading
from espcn_cli.scoring.damages import Damage, Jpeg
from espcn_cli.upscaling.upscaler import load

SIDE = 512
SHOWN = 232, 120
"""HR pixels of what --picture shows, each drawn ZOOM times as large."""
ZOOM = 3

LRS = {
    "bicubic": Damage(),
    "area": Damage("area"),
    "Lanczos": Damage("lanczos"),
    "Lanczos, JPEG 95 4:4:4": Damage("lanczos", jpegs=(Jpeg(95, "4:4:4"),)),
    "Lanczos, JPEG 75 4:4:4": Damage("lanczos", jpegs=(Jpeg(75, "4:4:4"),)),
    "Lanczos, JPEG 95 4:2:0": Damage("lanczos", jpegs=(Jpeg(95),)),
    "Lanczos, JPEG 75 4:2:0": Damage("lanczos", jpegs=(Jpeg(75),)),
    "Lanczos, JPEG 40 4:2:0": Damage("lanczos", jpegs=(Jpeg(40),)),
    "Lanczos, WebP 80": Damage("lanczos", webp=80),
}


class Alike(TorchEngine):
    """All colours take the whole of luma's detail, as it was before."""

    def _slopes(self, x: Tensor) -> Tensor:
        return torch.ones(1, 3 * self.settings.scale**2, 1, 1, device=x.device)


def psnr(a: Levels, b: Levels) -> tuple[float, float]:
    """Of RGB and of Y, in dB."""
    error = a.astype(float) - b
    return tuple(float(10 * np.log10(255**2 / np.square(e).mean())) for e in (error, error @ np.array(LUMA)))  # type: ignore[return-value]


def small(hr: Levels, damage: Damage) -> Levels:
    return damage.levels(hr, 2, np.random.default_rng(0))


def drawing() -> Levels:
    image = Image.new("RGB", (360, 120), (20, 30, 200))
    draw = ImageDraw.Draw(image)
    draw.text((8, 8), "Red on blue", (230, 20, 20), ImageFont.load_default(34))
    draw.text((8, 70), "green text", (30, 200, 60), ImageFont.load_default(22))
    draw.ellipse((240, 20, 330, 100), fill=(230, 30, 30))
    draw.polygon([(150, 70), (225, 70), (190, 115)], fill=(240, 220, 0))
    return np.asarray(image)


def read(path: Path) -> Levels | None:
    """HR of even size; None if it is grey."""
    levels = reading.read_document(path, 8).frames[0].array()
    height, width = (length // 2 * 2 for length in levels.shape[:2])
    return np.ascontiguousarray(levels[:height, :width, :3]) if levels.shape[2] >= 3 else None


def picture(engines: Sequence[TorchEngine], hr: Levels, place: tuple[int, int]) -> Image.Image:
    """Two rows: bicubic LR by the first two engines, and a JPEG 4:2:0 by the last two."""
    x, y = place
    rows = []
    for lr, pair in ((small(hr, LRS["bicubic"]), engines[:2]), (small(hr, LRS["Lanczos, JPEG 95 4:2:0"]), engines[1:])):
        parts = [engine.upscale([lr], 0, 255)[0][y : y + SHOWN[1], x : x + SHOWN[0]] for engine in pair]
        large = [part.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1) for part in parts]
        rows.append(np.concatenate([large[0], np.full((len(large[0]), 12, 3), 255, np.uint8), large[1]], axis=1))
    return Image.fromarray(np.concatenate([rows[0], np.full((12, rows[0].shape[1], 3), 255, np.uint8), rows[1]]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="?")
    parser.add_argument("--model", "-m", default="espcn-m-real")
    parser.add_argument("--strength", type=float, default=1)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--place", default="0,0")
    arguments = parser.parse_args()
    upscaler = load(arguments.model, 2, engine="torch", precision="fp32", strength=arguments.strength)
    following = upscaler.engine
    assert isinstance(following, TorchEngine)
    engines = [Alike(following.network), following, following.halved()]
    if arguments.picture:
        hr = read(arguments.pictures) if arguments.pictures else drawing()
        assert hr is not None
        left, top = map(int, arguments.place.split(","))
        picture(engines, hr, (left, top)).save(arguments.picture, optimize=True)
        return
    hrs = [
        hr[:SIDE, :SIDE]
        for path in folders.find_all([arguments.pictures], folders.SUFFIXES)
        if (hr := read(path)) is not None
    ]
    print(f"{arguments.model} at strength {arguments.strength:g}, {len(hrs)} pictures, PSNR of RGB (of Y)")
    print("| LR | alike | by slopes | as halved |\n|---|---|---|---|")
    for name, damage in LRS.items():
        pairs = [(small(hr, damage), hr) for hr in hrs]
        means = [np.mean([psnr(engine.upscale([lr], 0, 255)[0], hr) for lr, hr in pairs], axis=0) for engine in engines]
        print(f"| {name} | {' | '.join(f'{rgb:.2f} ({y:.2f})' for rgb, y in means)} |", flush=True)


if __name__ == "__main__":
    main()
