"""What the settings cost and save with which `espcn upscale` writes pictures: time and size beside Pillow's defaults.

    python benchmarks/encoding.py PICTURE... [--repeat 3]

Each picture is enlarged by 2 first (bicubic), as what is written is always enlarged. Times are the least of the
repetitions, in one process, to memory.
"""

from __future__ import annotations

import argparse
import time
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from espcn_cli.pictures.writing import SAVE_OPTIONS

DEFAULTS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {"compression": "raw"},
}
"""Pillow's own settings for what is lossless here as well."""


def measure(image: Image.Image, kind: str, options: dict[str, Any], repeat: int) -> tuple[float, int]:
    """Seconds and bytes of one way to write a picture."""
    times = []
    for _ in range(repeat):
        out = BytesIO()
        started = time.perf_counter()
        image.save(out, kind, **options)
        times.append(time.perf_counter() - started)
    return min(times), len(out.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    images = []
    for path in arguments.pictures:
        with Image.open(path) as image:
            images.append(image.convert("RGB").resize((2 * image.width, 2 * image.height), Image.Resampling.BICUBIC))
    print("format  settings       s      MB")
    for kind, plain in DEFAULTS.items():
        for name, options in (("Pillow's", plain), ("espcn's", SAVE_OPTIONS[kind])):
            results = [measure(image, kind, options, arguments.repeat) for image in images]
            seconds, size = sum(spent for spent, _ in results), sum(length for _, length in results) / 1e6
            print(f"{kind:7} {name:9} {seconds:8.2f} {size:7.2f}")


if __name__ == "__main__":
    main()
