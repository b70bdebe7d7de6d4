"""Which way to x6 and x8: the order of two passes, and the strength of the second.

    python benchmarks/passes.py PICTURE... [-m espcn-m-real]

Each picture is made small by Lanczos, and once more with JPEG of quality 75 on top. All ways are scored by the PSNR of
luma in dB over all pictures. `--size` from x4 is what one pass and a resize give.
"""

from __future__ import annotations

import argparse
import io
import itertools
from collections import defaultdict
from functools import cache
from statistics import mean

import numpy as np
from PIL import Image

from espcn_cli.pictures import reading
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.traces import traces_of
from espcn_cli.upscaling.sizes import Size
from espcn_cli.upscaling.upscaler import load

opened = cache(load)

ORDERS = {6: ((2, 3), (3, 2)), 8: ((2, 4), (4, 2))}


def psnr(a: Image.Image, b: Image.Image) -> float:
    y = [np.asarray(image.convert("L"), np.float64) for image in (a, b)]
    return float(10 * np.log10(255**2 / np.mean((y[0] - y[1]) ** 2)))


def small(hr: Image.Image, scale: int, jpeg: bool) -> Image.Image:
    lr = hr.resize((hr.width // scale, hr.height // scale), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    lr.save(file, "JPEG" if jpeg else "PNG", quality=75)
    return Image.open(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="+")
    parser.add_argument("-m", "--model", help="real weights, which are mixed")
    arguments = parser.parse_args()
    found: dict[tuple[int, str, str], list[float]] = defaultdict(list)
    for path, scale, jpeg in itertools.product(arguments.pictures, ORDERS, (False, True)):
        hr = Image.open(path).convert("RGB")
        hr = hr.crop((0, 0, hr.width - hr.width % scale, hr.height - hr.height % scale))
        lr = small(hr, scale, jpeg)
        frame, _, _ = reading.from_image(lr)
        document = Document((frame,), traces=traces_of(lr))
        results = {"bicubic": lr.resize(hr.size, Image.Resampling.BICUBIC)}
        large = opened(arguments.model, 4).document(document, Size(*hr.size))
        results["x4, --size"] = large.frames[0].image()
        for first, second in ORDERS[scale]:
            network = opened(arguments.model, first)
            strength, between = network.strength_of(document), network(lr)
            for name, given in {"same": strength or 0, "clean": 0, "auto": "auto"}.items():
                results[f"x{first} x{second} {name}"] = opened(arguments.model, second, strength=given)(between)
        for name, sr in results.items():
            found[scale, "JPEG" if jpeg else "clean", name].append(psnr(sr, hr))
    for (scale, damage, name), values in sorted(found.items()):
        print(f"x{scale}  {damage:5}  {name:12}  {mean(values):.3f}")


if __name__ == "__main__":
    main()
