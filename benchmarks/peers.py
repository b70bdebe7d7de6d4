"""What a user would pick instead: python benchmarks/peers.py DATA... [--peers FOLDER] [--svg docs/peers.svg]

In one run and on the same pictures: espcn's networks, Pillow's and OpenCV's bicubic and Lanczos, OpenCV's dnn_superres
(ESPCN, FSRCNN, FSRCNN-small) where opencv-contrib-python is installed, and waifu2x's photo networks and
realesr-animevideov3 where ncnn is. FOLDER holds their model files (ESPCN_x2.pb, FSRCNN_x2.pb, FSRCNN-small_x2.pb;
realesr-animevideov3-x2, waifu2x-photo-scale2.0x_model and waifu2x-photo-noise1_scale2.0x_model, each .param and .bin).

Prints PSNR of Y on clean LR (MATLAB's bicubic) and on LR as people have it (--damage: a row of `espcn benchmark
--degradation real`; by itself Lanczos, then JPEG of quality 75), and the milliseconds that a method takes from RGB to
RGB on 960 x 540 pixels; draws both against time. OpenCV's networks were trained on LR made without antialiasing,
realesr-animevideov3 on damaged drawings: they are not at their best here.

With --shader FILE..., user shaders of players are measured instead, beside espcn's networks and Lanczos: luma alone, on
grey pictures, in 8 bits, by PSNR of the whole plane. They run in ffmpeg's libplacebo filter, on a Vulkan device.
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from PIL import Image

from espcn_cli.errors import EspcnError
from espcn_cli.maths.levels import Levels
from espcn_cli.network import named
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.raster import from_array
from espcn_cli.reports import charts, speed
from espcn_cli.scoring import evaluation, recipes, suite
from espcn_cli.scoring.benchmark import Picture, find_pictures
from espcn_cli.scoring.damages import shrink
from espcn_cli.scoring.tensors import from_levels, to_depth
from espcn_cli.upscaling.upscaler import Upscaler, load

SCALE = 2
MODELS = ("espcn-s", "espcn-m", "espcn-l", "espcn-s-real", "espcn-m-real", "espcn-l-real")
OPENCV = {"ESPCN": "espcn", "FSRCNN": "fsrcnn", "FSRCNN-small": "fsrcnn"}
NCNN = {
    "realesr-animevideov3": ("realesr-animevideov3-x2", "data", "output", 0),
    "waifu2x photo": ("waifu2x-photo-scale2.0x_model", "Input1", "Eltwise4", 7),
    "waifu2x photo, clean-up 1": ("waifu2x-photo-noise1_scale2.0x_model", "Input1", "Eltwise4", 7),
}
"""Their files, the names of what goes in and comes out, and the border in LR pixels that they take away."""

GREY_ROWS = {"bicubic": "bicubic", "box": "area", "Lanczos": "lanczos", "Lanczos, JPEG 75": "jpeg-75"}
"""How the LR is made that shaders are measured on: a column's title, and the suite's row."""

GREY_MODELS = ("espcn-s", "espcn-m", "espcn-s-real", "espcn-m-real")

SECONDS = 3.0

Method = Callable[[Document], Levels]
"""A picture as read from its file -> uint8 (H·2, W·2, 3)."""


@dataclass(frozen=True)
class Result:
    """Mean PSNR of Y in dB on clean and on real LR, and median milliseconds."""

    clean: float
    real: float
    milliseconds: float


def rgb_of(document: Document) -> Levels:
    """The picture in colour, uint8 (H, W, 3)."""
    levels = document.frames[0].array()
    return levels if levels.shape[2] == 3 else levels.repeat(3, axis=2)


def methods(peers: Path, threads: int | None) -> dict[str, Method]:
    """All that are there, by name."""
    found: dict[str, Method] = {
        "Pillow bicubic": partial(by_pillow, kernel=Image.Resampling.BICUBIC),
        "Pillow Lanczos": partial(by_pillow, kernel=Image.Resampling.LANCZOS),
    }
    if find_spec("cv2"):
        found |= opencv_methods(peers)
    for name, (file, taken, given, border) in NCNN.items() if find_spec("ncnn") else ():
        if (peers / f"{file}.param").exists():
            found[f"ncnn {name}"] = by_ncnn(peers / file, threads, taken, given, border)
    shipped = {card.name for _, card in named.list_shipped() if card.settings.scale == SCALE}
    return found | {name: partial(by_espcn, load(name, SCALE)) for name in MODELS if name in shipped}


def use_threads(count: int) -> None:
    """As many threads in each of the libraries (Pillow has one always)."""
    import torch

    torch.set_num_threads(count)
    if find_spec("cv2"):
        import cv2

        cv2.setNumThreads(count)


def by_pillow(document: Document, kernel: Image.Resampling) -> Levels:
    image = Image.fromarray(rgb_of(document))
    return np.asarray(image.resize((image.width * SCALE, image.height * SCALE), kernel))


def by_espcn(upscaler: Upscaler, document: Document) -> Levels:
    return upscaler.document(document).frames[0].array()


def opencv_methods(peers: Path) -> dict[str, Method]:
    import cv2

    def resized(document: Document, kernel: int) -> Levels:
        return np.asarray(cv2.resize(rgb_of(document), None, fx=SCALE, fy=SCALE, interpolation=kernel))

    found: dict[str, Method] = {
        "OpenCV bicubic": partial(resized, kernel=cv2.INTER_CUBIC),
        "OpenCV Lanczos": partial(resized, kernel=cv2.INTER_LANCZOS4),
    }
    superres: Any = getattr(cv2, "dnn_superres", None)
    for name, kind in OPENCV.items() if superres else ():
        path = peers / f"{name}_x{SCALE}.pb"
        if path.exists():
            network = superres.DnnSuperResImpl_create()
            network.readModel(str(path))
            network.setModel(kind, SCALE)
            found[f"OpenCV {name}"] = partial(by_dnn_superres, network)
    return found


def by_dnn_superres(network: Any, document: Document) -> Levels:
    return np.ascontiguousarray(np.asarray(network.upsample(rgb_of(document)[..., ::-1].copy()))[..., ::-1])


def by_ncnn(path: Path, threads: int | None, taken: str, given: str, border: int) -> Method:
    import ncnn

    network = ncnn.Net()
    if threads:
        network.opt.num_threads = threads
    network.load_param(f"{path}.param")
    network.load_model(f"{path}.bin")

    def method(document: Document) -> Levels:
        levels = np.pad(rgb_of(document), ((border, border), (border, border), (0, 0)), "edge")
        height, width = levels.shape[:2]
        extractor = network.create_extractor()
        mat = ncnn.Mat.from_pixels(levels, ncnn.Mat.PixelType.PIXEL_RGB, width, height)
        mat.substract_mean_normalize([], [1 / 255] * 3)
        extractor.input(taken, mat)
        _, large = extractor.extract(given)
        planes = np.array(large).transpose(1, 2, 0)
        rounded: Levels = np.clip(planes * 255 + 0.5, 0, 255).astype(np.uint8)
        return rounded

    return method


def samples(pictures: Sequence[Picture], damage: str) -> Iterator[tuple[str, Document, Levels]]:
    """Which LR it is, the picture, and the truth."""
    for picture in pictures:
        pair = evaluation.make_pair(picture.path, SCALE)
        yield "clean", Document((from_array(to_depth(pair.lr)),)), to_depth(pair.hr)
        for sample in suite.damaged(picture.path, picture.name, SCALE, [damage]):
            yield "real", sample.lr, sample.hr


def measure(method: Method, pairs: Sequence[tuple[str, Document, Levels]]) -> Result:
    scores: dict[str, list[float]] = {"clean": [], "real": []}
    for kind, document, hr in pairs:
        sr = suite.alike(method(document), hr)
        scores[kind].append(evaluation.score_picture("", from_levels(sr), from_levels(hr), SCALE).psnr)
    frame = Document((from_array(speed.picture(speed.SIZE)),))
    return Result(
        fmean(scores["clean"]), fmean(scores["real"]), 1000 * median(speed.timed(lambda: method(frame), SECONDS))
    )


# --- shaders ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Grey:
    """A grey picture, uint8 (H, W, 1), and its LR of each row as read from a file."""

    hr: Levels
    lrs: Sequence[Document]


def grey_samples(pictures: Sequence[Picture]) -> list[Grey]:
    return [grey_sample(picture.path) for picture in pictures]


def grey_sample(path: Path) -> Grey:
    levels = suite.read_hr(path)
    luma = np.asarray(Image.fromarray(levels.squeeze()).convert("L"))[..., None]
    hr = luma[: len(luma) - len(luma) % SCALE, : luma.shape[1] - luma.shape[1] % SCALE]
    damages = [recipes.PICTURES[row] for row in GREY_ROWS.values()]
    rng = np.random.default_rng(0)
    lrs = [suite.as_read(damage.file(shrink(hr, SCALE, damage.kernel, damage.blur), rng)) for damage in damages]
    return Grey(hr, lrs)


def by_shader(shader: Path, documents: Sequence[Document]) -> list[Levels]:
    """Grey pictures of one size as frames of a video. Raises EspcnError if ffmpeg or the shader fails."""
    frames = [document.frames[0].array()[..., 0] for document in documents]
    height, width = frames[0].shape
    size = f"w={width * SCALE}:h={height * SCALE}"
    steps = f"hwupload,libplacebo={size}:custom_shader_path={shader}:dithering=none:format=gray,hwdownload,format=gray"
    source = ["-f", "rawvideo", "-pix_fmt", "gray", "-color_range", "pc", "-s", f"{width}x{height}", "-i", "-"]
    device = ["-init_hw_device", "vulkan=v", "-filter_hw_device", "v"]
    command = ["ffmpeg", "-v", "error", *device, *source, "-vf", steps, "-f", "rawvideo", "-"]
    done = subprocess.run(command, input=b"".join(frame.tobytes() for frame in frames), capture_output=True)
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode or "Failed" in said:
        raise EspcnError(f"{shader} does not run: {said[:300] or 'ffmpeg ended early'}", shader)
    large = np.frombuffer(done.stdout, np.uint8).reshape(-1, height * SCALE, width * SCALE, 1)
    return [*large]


def grey_scores(method: Callable[[Sequence[Document]], Sequence[Levels]], samples: Sequence[Grey]) -> list[float]:
    """Mean PSNR in dB of each of GREY_ROWS, of whole planes."""
    scores = [[psnr(large, sample.hr) for large in method(sample.lrs)] for sample in samples]
    return [fmean(column) for column in zip(*scores, strict=True)]


def psnr(sr: Levels, hr: Levels) -> float:
    return float(-10 * np.log10(np.square((sr.astype(float) - hr) / 255).mean()))


def grey_methods(shaders: Sequence[Path]) -> dict[str, Callable[[Sequence[Document]], Sequence[Levels]]]:
    def each(method: Method) -> Callable[[Sequence[Document]], Sequence[Levels]]:
        return lambda documents: [method(document)[..., :1] for document in documents]

    lanczos = {"Lanczos": each(partial(by_pillow, kernel=Image.Resampling.LANCZOS))}
    networks = {name: each(partial(by_espcn, load(name, SCALE))) for name in GREY_MODELS}
    return lanczos | {shader.stem: partial(by_shader, shader.resolve()) for shader in shaders} | networks


def print_shaders(pictures: Sequence[Picture], shaders: Sequence[Path]) -> None:
    samples = grey_samples(pictures)
    print(f"| grey, ×{SCALE} | {' | '.join(GREY_ROWS)} | mean |\n|---|{'---:|' * (len(GREY_ROWS) + 1)}")
    for name, method in grey_methods(shaders).items():
        scores = grey_scores(method, samples)
        print(f"| {name} | {' | '.join(f'{score:.2f}' for score in [*scores, fmean(scores)])} |", flush=True)
    print(f"\nPSNR in dB, {len(samples)} pictures")


# --- all together ----------------------------------------------------------------------------------------------------


def draw(results: Mapping[str, Result], damage: str) -> str:
    """Both qualities against time, one above the other."""
    size = "x".join(map(str, speed.SIZE))
    panels = []
    for number, (field, words) in enumerate((("clean", "clean LR"), ("real", f"LR as {damage}"))):
        points = {name: (result.milliseconds, getattr(result, field)) for name, result in results.items()}
        title = f"PSNR of Y on {words} in dB"
        plot = charts.quality_against_time(points, {}, f"ms for {size} pixels, RGB to RGB, x{SCALE}", title, title)
        panels.append(plot.replace("<svg ", f'<svg y="{number * (charts.HEIGHT + 16)}" ', 1))
    height = 2 * charts.HEIGHT + 16
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {charts.WIDTH} {height}" width="{charts.WIDTH}" '
        f'height="{height}">{"".join(panels)}</svg>\n'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--peers", type=Path, default=Path("../shared/peers"))
    parser.add_argument("--damage", choices=recipes.ROWS, default="jpeg-75", metavar="ROW", help="what real LR is")
    parser.add_argument("--svg", type=Path, help="draw quality against time")
    parser.add_argument("--shader", type=Path, nargs="+", metavar="FILE", help="measure user shaders instead")
    parser.add_argument("--threads", type=int, help="of every library; one each says most on a busy machine")
    arguments = parser.parse_args()
    if arguments.threads:
        use_threads(arguments.threads)
    try:
        if arguments.shader:
            print_shaders(find_pictures(arguments.data, SCALE), arguments.shader)
            return
        pairs = list(samples(find_pictures(arguments.data, SCALE), arguments.damage))
    except EspcnError as error:
        parser.error(str(error))
    print(f"| ×{SCALE} | clean, dB | {arguments.damage}, dB | ms |\n|---|---:|---:|---:|")
    results: dict[str, Result] = {}
    for name, method in methods(arguments.peers, arguments.threads).items():
        results[name] = found = measure(method, pairs)
        print(f"| {name} | {found.clean:.2f} | {found.real:.2f} | {found.milliseconds:.0f} |", flush=True)
    print(f"\n{len(pairs) // 2} pictures; {speed.describe(SECONDS)}")
    if arguments.svg:
        arguments.svg.write_text(draw(results, arguments.damage), encoding="utf-8")


if __name__ == "__main__":
    main()
