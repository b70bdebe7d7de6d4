"""How fast models are here: the network alone, from picture to picture, from file to file, and what bounds it.

Each model, size and way to run is measured in a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from espcn_cli.errors import EspcnError
from espcn_cli.figures import amount
from espcn_cli.maths.levels import Levels, Pixels
from espcn_cli.memory import peak_memory
from espcn_cli.settings import ModelSettings

if TYPE_CHECKING:
    from espcn_cli.upscaling.upscaler import Upscaler

SIZE: Pixels = (960, 540)
"""Width and height of the input, unless another is asked for."""

SECONDS = 2.0
"""How long each thing is repeated, at least."""

WARM_UP, LEAST, MOST = 2, 5, 200
"""Rounds that do not count, and how many count at least and at most."""

PEAK = ModelSettings(widths=(64,) * 8, kernels=(3,) * 9, activation="prelu", skip="none")
PEAK_SIZE: Pixels = (256, 256)
"""A network that computes far more than it moves: what it reaches is what counts as the machine's peak."""


@dataclass(frozen=True)
class Way:
    """An engine on a device in a precision, by the words of the options."""

    engine: str
    device: str
    precision: str

    @property
    def name(self) -> str:
        return f"{self.engine} {self.device} {self.precision}"


@dataclass(frozen=True)
class Timing:
    """Milliseconds of a round: the median, and what 95 % of the rounds stay below."""

    median: float
    p95: float
    rounds: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Timing:
        """Raises ValueError without rounds."""
        ordered = sorted(seconds)
        if not ordered:
            raise ValueError("a timing needs rounds")
        high = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        return cls(1000 * median(ordered), 1000 * high, len(ordered))


@dataclass(frozen=True)
class Speed:
    """One model on one size of input in one way.

    `network`: grey levels to grey levels; `picture`: RGB to RGB; `file`: PNG to PNG, of which `decode`, `upscale` and
    `encode` are parts, medians in milliseconds. `gflops`: what the network's convolutions reach, `peak_gflops`: what
    the same engine reaches at most here, both 10⁹ floating point operations a second. `memory`: megabytes that the
    process took at most, the program among them; None where the system does not say.
    """

    model: str
    scale: int
    size: Pixels
    way: Way
    network: Timing
    picture: Timing
    file: Timing
    decode: float
    upscale: float
    encode: float
    gflops: float
    peak_gflops: float
    memory: float | None

    @property
    def frames(self) -> float:
        """Pictures a second, without files."""
        return 1000 / self.picture.median

    @property
    def share(self) -> float:
        """Of the peak."""
        return self.gflops / self.peak_gflops

    @property
    def bottleneck(self) -> str:
        """The part that takes longest from file to file."""
        parts = {"decode": self.decode, "upscale": self.upscale, "encode": self.encode}
        return max(parts, key=parts.__getitem__)

    def to_dict(self) -> dict[str, Any]:
        more = {"frames_per_second": self.frames, "share_of_peak": self.share, "bottleneck": self.bottleneck}
        return {**asdict(self), **more}


def ways(engine: str = "auto", device: str = "auto", precision: str = "auto") -> list[Way]:
    """Every engine, device and precision that is there, or those that are asked for.

    Raises EspcnError for an engine, a device or a precision that is not there.
    """
    from espcn_cli.engines import opening

    opening.decide(PEAK, device, precision, engine, quantised=True)  # refuses what is not there
    places = [("openvino", "cpu"), ("torch", "cpu"), ("torch", "cuda")] if device in ("auto", "cpu") else []
    there = [
        (name, place)
        for name, place in places or [(opening.choose(engine, device), device)]
        if engine in ("auto", name) and device in ("auto", place) and opening.is_there(name, place)
    ]
    return [
        Way(name, place, each)
        for name, place in there
        for each in ([precision] if precision != "auto" else opening.precisions(name, place))
    ]


def timed(work: Callable[[], object], seconds: float = SECONDS) -> list[float]:
    """Seconds of each round: repeated for as long, after a few rounds that do not count."""
    for _ in range(WARM_UP):
        work()
    rounds: list[float] = []
    end = time.perf_counter() + seconds
    while len(rounds) < LEAST or (time.perf_counter() < end and len(rounds) < MOST):
        started = time.perf_counter()
        work()
        rounds.append(time.perf_counter() - started)
    return rounds


def picture(size: Pixels, seed: int = 0) -> Levels:
    """Something like a photograph, shades, edges and grain: RGB uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    planes = [
        128 + 60 * np.sin(x / a + phase) * np.cos(y / b) + 30 * ((x // 31 + y // 23) % 2)
        for a, b, phase in zip((41, 67, 97), (53, 31, 71), rng.uniform(0, 6, 3), strict=True)
    ]
    grain = rng.normal(0, 2.5, (size[1], size[0], 3))
    levels: Levels = np.clip(np.stack(planes, axis=-1) + grain, 0, 255).astype(np.uint8)
    return levels


def measure(
    models: Sequence[tuple[str, int]],
    sizes: Sequence[Pixels],
    all_ways: Sequence[Way],
    seconds: float = SECONDS,
) -> Iterator[Speed | EspcnError]:
    """Every model (a name or a path, and a scale) on every size in every way, one after the other.

    What cannot be measured is an EspcnError among them.
    """
    context = multiprocessing.get_context("spawn")
    peaks: dict[Way, float] = {}
    left_out = without_int8(models, all_ways)
    for way in all_ways:
        for model, scale in models:
            if way.precision == "int8" and (model, scale) in left_out:
                continue
            for size in sizes:
                with ProcessPoolExecutor(1, mp_context=context) as process:
                    work = partial(_measure, model, scale, size, way, seconds, peaks.get(way))
                    try:
                        speed = process.submit(work).result()
                    except (EspcnError, MemoryError, RuntimeError) as error:
                        yield EspcnError(f"{model} x{scale}, {way.name}: {error or 'not enough memory'}")
                        continue
                peaks[way] = speed.peak_gflops
                yield speed


def without_int8(models: Sequence[tuple[str, int]], all_ways: Sequence[Way]) -> list[tuple[str, int]]:
    """The models that are not measured in int8: they have no ranges, and nobody asked for it alone.

    Raises EspcnError if one is not there.
    """
    from espcn_cli.exchange import importing
    from espcn_cli.network import named

    kinds = {way.precision for way in all_ways}
    if "int8" not in kinds or len(kinds) == 1:
        return []
    return [(name, scale) for name, scale in models if not importing.read_card(named.find(name, scale)).ranges]


def _measure(model: str, scale: int, size: Pixels, way: Way, seconds: float, peak: float | None) -> Speed:
    """In the process of its own."""
    from espcn_cli.pictures.raster import from_array
    from espcn_cli.upscaling.upscaler import load

    upscaler = load(model, scale, engine=way.engine, device=way.device, precision=way.precision)
    rgb = picture(size)
    grey, colours = from_array(rgb[..., :1].copy()), from_array(rgb)
    strength = upscaler.fixed_strength if upscaler.mixture is None else 1.0
    network = Timing.of(timed(lambda: upscaler.raster(grey, strength), seconds))
    whole = Timing.of(timed(lambda: upscaler.raster(colours, strength), seconds))
    file, (decode, upscale, encode) = _files(upscaler, rgb, strength, seconds)
    memory = peak_memory()
    gflops = 2 * upscaler.engine.settings.macs * size[0] * size[1] / network.median / 1e6
    highest = peak or measure_peak(way, seconds)
    return Speed(model, scale, size, way, network, whole, file, decode, upscale, encode, gflops, highest, memory)


def _files(
    upscaler: Upscaler, rgb: Levels, strength: float | None, seconds: float
) -> tuple[Timing, tuple[float, float, float]]:
    """From PNG to PNG as `espcn upscale` does one: the whole, and the medians of decoding, network and encoding."""
    from espcn_cli.pictures import reading, writing
    from espcn_cli.pictures.document import Document
    from espcn_cli.pictures.raster import from_array

    rounds: list[tuple[float, float, float]] = []
    with TemporaryDirectory(prefix="espcn-") as folder:
        source, output = Path(folder, "in.png"), Path(folder, "out.png")
        writing.write_document(Document((from_array(rgb),)), source)

        def once() -> None:
            times = [time.perf_counter()]
            document = reading.read_document(source)
            document.frames[0].array()  # a decoder may wait until it is asked
            times.append(time.perf_counter())
            large = upscaler.document(document, strength=strength)
            times.append(time.perf_counter())
            writing.write_document(large, output)
            times.append(time.perf_counter())
            rounds.append((times[1] - times[0], times[2] - times[1], times[3] - times[2]))

        whole = timed(once, seconds)
    decode, upscale, encode = (1000 * median(part) for part in zip(*rounds[WARM_UP:], strict=True))
    return Timing.of(whole), (decode, upscale, encode)


def measure_peak(way: Way, seconds: float = SECONDS) -> float:
    """GFLOP/s of a wide network in this way: the best of its rounds."""
    from espcn_cli.engines.opening import open_engine

    rng = np.random.default_rng(0)
    weights = {name: rng.normal(0, 0.02, shape).astype(np.float32) for name, shape in PEAK.shapes.items()}
    ranges = ((0.0, 1.0),) * len(PEAK.kernels)
    engine = open_engine(PEAK, weights, way.device, way.precision, engine=way.engine, ranges=ranges)
    window = [picture(PEAK_SIZE)[..., :1].copy()]
    best = min(timed(lambda: engine.upscale(window, 0, 255), seconds))
    return 2 * PEAK.macs * PEAK_SIZE[0] * PEAK_SIZE[1] / best / 1e9


def describe(seconds: float = SECONDS) -> str:
    """One line that says where and how the times were taken."""
    import torch

    cores, threads = amount(os.cpu_count() or 1, "core"), amount(torch.get_num_threads(), "thread")
    return (
        f"medians of at least {LEAST} rounds and {seconds:g} s after {WARM_UP} that do not count, each row in its own "
        "process; network: grey to grey; picture: RGB to RGB; file: PNG to PNG = decode + upscale + encode; "
        f"peak: a network of {PEAK.widths[0]} planes by the same engine; {processor()}, {cores}, "
        f"{threads}, PyTorch {torch.__version__}; other work on the machine makes times longer"
    )


def processor(file: Path = Path("/proc/cpuinfo")) -> str:
    """What the processor is called."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        lines = []
    names: Iterable[str] = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(iter(names), "") or platform.processor() or platform.machine()
