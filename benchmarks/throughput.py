"""Folders, large PNGs and thumbnails, from file to file: seconds beside what was there before and what others take.

    python benchmarks/throughput.py PICTURE... [--before CHECKOUT] [--espcn FILE.pb] [--repeat 3] [--rows WORD...]

PICTURE: photographs to make the inputs of. --before: a checkout of an older version, whose rows stand beside ours;
--espcn: OpenCV's ESPCN (x2), for which `opencv-contrib-python-headless` must be installed. Every command starts from
nothing, all sides take turns, and medians are compared. Time nothing while anything else runs: the rows "beside two
busy processes" start those themselves.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from espcn_cli import cores
from espcn_cli.pictures import writing
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.raster import Raster

HERE = Path(__file__).parents[1]

OPENCV = """
import sys
from pathlib import Path
import cv2
network = cv2.dnn_superres.DnnSuperResImpl_create()
network.readModel(sys.argv[1])
network.setModel("espcn", 2)
for path in sorted(Path(sys.argv[2]).iterdir()):
    cv2.imwrite(str(Path(sys.argv[3]) / path.name), network.upsample(cv2.imread(str(path))))
"""


@dataclass(frozen=True)
class Time:
    """Seconds by the clock, and of all processors together."""

    wall: float
    cpu: float


def measure(command: list[str], checkout: Path) -> Time:
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed has been compiled
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, env=environment, cwd=checkout, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Time(time.perf_counter() - started, cpu)


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Processes that do nothing but take time."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


@dataclass(frozen=True)
class Row:
    """A folder of inputs, and the options that it is upscaled with."""

    name: str
    folder: Path
    options: tuple[str, ...]
    beside: int = 0
    opencv: bool = False


def make_inputs(pictures: list[Path], folder: Path) -> list[Row]:
    """Folders of pictures cut or made from photographs."""
    images = []
    for path in pictures:
        with Image.open(path) as image:
            images.append(image.convert("RGB"))

    def fill(name: str, count: int, make: Callable[[int], Image.Image]) -> Path:
        (folder / name).mkdir()
        for index in range(count):
            make(index).save(folder / name / f"{index:04}.png")
        return folder / name

    def enlarged(width: int, height: int) -> Callable[[int], Image.Image]:
        return lambda index: images[index % len(images)].resize((width, height), Image.Resampling.BICUBIC)

    def thumbnail(index: int, width: int = 64, height: int = 64) -> Image.Image:
        image = images[index % len(images)]
        left, top = (index * 67) % max(image.width - width, 1), (index * 41) % max(image.height - height, 1)
        return image.crop((left, top, left + width, top + height))

    def odd(index: int) -> Image.Image:
        return thumbnail(index, 40 + index % 40, 40 + index // 40)

    thumbnails = fill("thumbnails", 1000, thumbnail)
    few = fill("few", 300, thumbnail)
    folders = fill("photos", 50, enlarged(960, 540))
    return [
        Row("fifty 960x540 PNGs, fp32", folders, ("--precision", "fp32"), opencv=True),
        Row("fifty 960x540 PNGs, bf16", folders, ("--precision", "bf16"), opencv=True),
        Row("1080p -> 4K PNG, whole command", fill("large", 1, enlarged(1920, 1080)), ()),
        Row("1,000 thumbnails of 64x64", thumbnails, ()),
        Row("1,000 thumbnails of 1,000 sizes", fill("odd", 1000, odd), ()),
        Row("300 thumbnails beside two busy processes", few, (), beside=2),
    ]


def compare(row: Row, model: str, before: Path | None, espcn: Path | None, repeat: int) -> str:
    """The row of a table: medians of all sides, taking turns."""
    sides = {"ours": HERE} | ({"before": before} if before else {})
    times: dict[str, list[Time]] = {name: [] for name in [*sides, *(["OpenCV"] if espcn and row.opencv else [])]}
    for _ in range(repeat):
        for name, found in times.items():
            with tempfile.TemporaryDirectory() as out, busy(row.beside):
                if name == "OpenCV":
                    found.append(measure([sys.executable, "-c", OPENCV, str(espcn), str(row.folder), out], HERE))
                else:
                    command = [sys.executable, "-m", "espcn_cli", "upscale", str(row.folder), f"{out}/", "-q"]
                    found.append(measure([*command, "-m", model, *row.options], sides[name]))
    walls = {name: statistics.median(each.wall for each in found) for name, found in times.items()}
    ours, cpu = walls["ours"], statistics.median(each.cpu for each in times["ours"])
    parts = [
        f"{name} {wall:.2f} s" + (f" ({wall / ours:.2f}x)" if name != "ours" else "") for name, wall in walls.items()
    ]
    return f"{row.name:44} {'; '.join(parts)}; {ours / (cpu / cores.count()):.2f} of CPU seconds / cores"


def encoders(pictures: list[Path], repeat: int) -> str:
    """A 4K PNG by our writer and by Pillow with the settings that we used before."""
    threads = cores.count()
    times: dict[str, list[float]] = {"ours": [], "Pillow": []}
    sizes = dict.fromkeys(times, 0)
    with ThreadPoolExecutor(threads) as pool:
        encoding = writing.Encoding(pool=pool if threads > 1 else None)
        for path in pictures:
            with Image.open(path) as image:
                large = image.convert("RGB").resize((3840, 2160), Image.Resampling.BICUBIC)
            document = Document((Raster(large),))
            for name, spent in times.items():
                tries = []
                for _ in range(repeat):
                    out, started = BytesIO(), time.perf_counter()
                    if name == "ours":
                        writing.encode(document, "PNG", out, "benchmark", encoding)
                    else:
                        large.save(out, "PNG", compress_level=1, compress_type=3)
                    tries.append(time.perf_counter() - started)
                spent.append(statistics.median(tries))
                sizes[name] += len(out.getvalue())
    ours, pillow = (statistics.mean(times[name]) for name in ("ours", "Pillow"))
    bytes_ = sizes["ours"] / sizes["Pillow"]
    return f"{'a 4K PNG':44} ours {ours:.3f} s; Pillow {pillow:.3f} s ({pillow / ours:.2f}x); {bytes_:.2f}x the bytes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--model", default="espcn-m")
    parser.add_argument("--before", type=Path)
    parser.add_argument("--espcn", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--rows", nargs="+", help="only rows that one of these words is in", default=[""])
    arguments = parser.parse_args()
    print(f"{cores.count()} threads; medians of {arguments.repeat}")
    if any(word in "a 4K PNG" for word in arguments.rows):
        print(encoders(arguments.pictures, arguments.repeat), flush=True)
    folder = Path(tempfile.mkdtemp())
    try:
        for row in make_inputs(arguments.pictures, folder):
            if any(word in row.name for word in arguments.rows):
                before = arguments.before.resolve() if arguments.before else None
                espcn = arguments.espcn.resolve() if arguments.espcn else None
                print(compare(row, arguments.model, before, espcn, arguments.repeat), flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
