"""The picture of the README: python benchmarks/front.py DATA [-o docs/front.png]

DATA holds `valid/` with two photographs in the public domain (CC0, of the backgrounds of Buddies of Budgie): the one is
made small cleanly, the other by Lanczos with JPEG 75, as the web has it. A line for each: input | Lanczos | espcn |
truth, with the PSNR of Y on the whole picture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image
from real_pictures import GAP, Panel, damaged, line, methods

from espcn_cli.scoring.damages import Damage, Jpeg
from espcn_cli.settings import DEFAULT_MODEL, REAL

ROOT = Path(__file__).parents[1]

PANELS = (
    Panel("made small cleanly", "valid/budgie_roman-colosseum.webp", (384, 400), Damage("bicubic")),
    Panel(
        "off the web, JPEG 75",
        "valid/budgie_orange-hallway.webp",
        (208, 496),
        Damage("lanczos", jpegs=(Jpeg(75),)),
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "front.png")
    arguments = parser.parse_args()
    shown = {name: method for name, method in methods().items() if name in ("Lanczos", DEFAULT_MODEL + REAL)}
    strips = [line(panel.title, panel.corner, damaged(arguments.data, panel), shown) for panel in PANELS]
    page = Image.new("RGB", (strips[0].width, sum(strip.height + GAP for strip in strips)), "white")
    for index, strip in enumerate(strips):
        page.paste(strip, (0, index * (strip.height + GAP)))
    page.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(arguments.output, optimize=True)


if __name__ == "__main__":
    main()
