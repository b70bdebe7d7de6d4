"""What the settings cost and save with which `espcn upscale` writes pictures: time and size beside Pillow's defaults.

    python benchmarks/encoding.py PICTURE... [--repeat 3]

Each picture is enlarged by 2 first (bicubic), as what is written is always enlarged. Times are the least of the
repetitions, in one process, to memory; PNGs are deflated on all cores. "its fast" is Pillow's level 1 with run lengths.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from espcn_cli.pictures import writing
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.raster import Raster

PILLOWS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {"compression": "raw"},
}
"""Pillow's own settings for what is lossless here as well."""


Write = Callable[[Image.Image, BytesIO], object]


def measure(image: Image.Image, write: Write, repeat: int) -> tuple[float, int]:
    """Seconds and bytes of one way to write a picture."""
    times = []
    for _ in range(repeat):
        out = BytesIO()
        started = time.perf_counter()
        write(image, out)
        times.append(time.perf_counter() - started)
    return min(times), len(out.getvalue())


def by_pillow(kind: str, options: dict[str, Any]) -> Write:
    return lambda image, out: image.save(out, kind, **options)


def by_us(kind: str, encoding: writing.Encoding) -> Write:
    return lambda image, out: writing.encode(Document((Raster(image),)), kind, out, "benchmark", encoding)


def ways() -> Iterator[tuple[str, str, Write]]:
    """Whose settings, the format, and how to write in it."""
    encoding = writing.Encoding(pool=ThreadPoolExecutor(os.cpu_count()))
    for kind, options in PILLOWS.items():
        yield "Pillow's", kind, by_pillow(kind, options)
        if kind == "PNG":
            yield "its fast", kind, by_pillow(kind, {"compress_level": 1, "compress_type": 3})
        yield "espcn's", kind, by_us(kind, encoding)


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
    for name, kind, write in ways():
        results = [measure(image, write, arguments.repeat) for image in images]
        seconds, size = sum(spent for spent, _ in results), sum(length for _, length in results) / 1e6
        print(f"{kind:7} {name:9} {seconds:8.2f} {size:7.2f}")


if __name__ == "__main__":
    main()
