"""Pictures and folders of pictures, upscaled: one outcome per file, and a file that fails never stops the rest."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from espcn_cli import checkpoint, imageio, inference, sizes
from espcn_cli.device import choose_device, choose_precision
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.files import clean
from espcn_cli.imageio import STREAM, Document, Encoding, Picture
from espcn_cli.raster import Raster
from espcn_cli.resize import contributions, resize
from espcn_cli.settings import DEFAULT_MODEL
from espcn_cli.sizes import Size
from espcn_cli.tiling import spans

SMALLEST_TILE = 32
"""LR pixels of a side: if memory does not suffice for this, it suffices for nothing."""

RESIZE_ROWS = 64
"""Rows of a band when a picture is brought to its exact size."""


class Upscaler:
    """A loaded model, ready for pictures and tensors.

    `tile` is the side of a tile in LR pixels, 0 for the whole picture at once, None for strips that suit the cache;
    the result is the same. `at` gives the same model at another of its `scales`.
    """

    def __init__(
        self,
        engine: inference.Engine,
        tile: int | None = None,
        scales: tuple[int, ...] = (),
        at: Callable[[int], Upscaler] | None = None,
    ) -> None:
        self.engine = engine
        self.tile = tile
        self.scales = scales or (engine.scale,)
        self._at = at

    @property
    def scale(self) -> int:
        return self.engine.scale

    def at(self, scale: int) -> Upscaler:
        """The same model for another scale. Raises EspcnError if there is none."""
        if scale == self.scale:
            return self
        if self._at is None or scale not in self.scales:
            raise EspcnError(f"this model upscales by {self.scale}, not by {scale}")
        return self._at(scale)

    def __call__(self, image: Image.Image) -> Image.Image:
        """Upscale a Pillow image; grey stays grey, alpha and profile are kept."""
        picture = imageio.from_pil(image)
        result = imageio.to_pil(self.picture(picture))
        result.info.update(picture.info)
        return result

    def upscale(self, x: Tensor) -> Tensor:
        """(N, 1 or 3, H, W) in [0, 1] -> (N, 1 or 3, H·scale, W·scale) in [0, 1], float32, not rounded."""
        return inference.upscale(self.engine, x, self.tile)

    def picture(self, picture: Picture) -> Picture:
        """Upscale pixels and alpha; everything else stays."""
        if picture.alpha is None:
            return replace(picture, pixels=self.upscale(picture.pixels))
        pixels = self.upscale(bleed(picture.pixels, picture.alpha, self.engine.halo))
        cut_out = bool(((picture.alpha == 0) | (picture.alpha == 1)).all())
        return replace(picture, pixels=pixels, alpha=self._alpha(picture.alpha, cut_out))

    def _alpha(self, alpha: Tensor, cut_out: bool) -> Tensor:
        """By the network, but a mask's steps by bicubic, where the network rings.

        Measured with espcn-m at x2 on drawn shapes and text: soft edges are 8.0 and 4.0 dB better by the network, cut
        out ones 1.1 and 0.6 dB better by bicubic.
        """
        sr = inference.upscale(self.engine, alpha, self.tile) if not cut_out else self.engine.interpolate(alpha)
        return within_neighbours(sr.cpu(), alpha, self.scale)

    def raster(self, picture: Raster) -> tuple[Raster, list[str]]:
        """The same in whole levels, strip by strip; and notes.

        Where memory runs out the tiles are halved, where half precision overflows the rest is done in fp32. Raises
        EspcnError if memory does not suffice for the smallest tile.
        """
        width, height = picture.size
        tile = self.tile
        notes: list[str] = []
        canvas: Raster | None = None
        while True:
            try:
                canvas = canvas or picture.blank(width * self.scale, height * self.scale)
                self._fill(canvas, picture, tile)
                return canvas, notes
            except inference.NotFiniteError as error:
                self.engine.precision = torch.float32
                notes.append(f"{error}: done in fp32")
            except Exception as error:
                if not inference.out_of_memory(error):
                    raise
            if not notes or not notes[-1].endswith("fp32"):
                tile = _smaller(tile, *picture.size) if canvas else 0
                if not tile:
                    raise EspcnError(f"not enough memory for {width} x {height} pixels at x{self.scale}")
                notes = [note for note in notes if "memory" not in note]
                notes.append(f"memory ran out: done in tiles of {tile} pixels")

    def _fill(self, canvas: Raster, picture: Raster, tile: int | None) -> None:
        reach = self.engine.halo * (2 if picture.has_alpha else 1)  # colours bleed as far again
        scale = self.scale
        step = partial(self._window, cut_out=picture.is_cut_out)
        for piece, sr in inference.windows(step, picture.window, picture.size, reach, tile):
            inner = sr[..., piece.rows.inner(scale), piece.columns.inner(scale)]
            canvas.put(inner.cpu(), piece.rows.start * scale, piece.columns.start * scale)

    def _window(self, x: Tensor, cut_out: bool) -> Tensor:
        colours = 1 if x.shape[1] < 3 else 3
        if x.shape[1] == colours:
            return self.engine(x)
        pixels, lr = x[:, :colours], x[:, colours:]
        sr = self.engine.interpolate(lr) if cut_out else self.engine(lr)
        alpha = within_neighbours(sr.cpu(), lr, self.scale)
        return torch.cat([self.engine(bleed(pixels, lr, self.engine.halo)).cpu(), alpha], dim=1)

    def document(self, document: Document, size: Size | None = None) -> Document:
        """Upscale every frame or page; with `size`, by the scale that reaches it and then to it exactly."""
        frames, notes = [], list(document.warnings)
        for frame in document.frames:
            result, said = self._frame(frame, size)
            frames.append(result)
            notes += [note for note in said if note not in notes]
        return replace(document, frames=tuple(frames), warnings=tuple(notes))

    def _frame(self, frame: Raster, size: Size | None) -> tuple[Raster, list[str]]:
        if size is None:
            return self.raster(frame)
        target = size.of(frame.size)
        scale = sizes.reach(frame.size, target, self.scales)
        result, notes = (frame, []) if scale == 1 else self.at(scale).raster(frame)
        if result.size[0] < target[0] or result.size[1] < target[1]:
            notes.append(f"the network reaches x{scale}: the rest of the way is interpolated")
        return fit(result, *target), notes

    def output_size(self, source: tuple[int, int], size: Size | None = None) -> tuple[int, int]:
        """What a picture of that width and height becomes."""
        return size.of(source) if size else (source[0] * self.scale, source[1] * self.scale)


def _smaller(tile: int | None, width: int, height: int) -> int:
    """The next smaller tile to try, half as large as what ran out of memory; 0 when there is none."""
    if tile is None:
        tile = 512
    elif tile == 0:
        tile = max(width, height)
    return tile // 2 if tile // 2 >= SMALLEST_TILE else 0


def load(
    model: str = DEFAULT_MODEL,
    scale: int | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    tile: int | None = None,
    ensemble: bool = False,
) -> Upscaler:
    """A shipped model by name, or a checkpoint by path. Raises EspcnError if it is not there or not that scale.

    A name without a scale is opened at its smallest and can be had `at` its others.
    """
    path = checkpoint.find(model, scale)
    network, card = checkpoint.load(path)
    if scale is not None and card.settings.scale != scale:
        raise EspcnError(f"{model} upscales by {card.settings.scale}, not by {scale}: name another model or scale")
    chosen = choose_device(device)
    engine = inference.Engine(network, chosen, choose_precision(precision, chosen), ensemble)
    if scale is not None or path == Path(model):
        return Upscaler(engine, tile)

    @lru_cache
    def at(other: int) -> Upscaler:
        return load(model, other, device=device, precision=precision, tile=tile, ensemble=ensemble)

    scales = tuple(sorted(card.settings.scale for _, card in checkpoint.list_shipped() if card.name == model))
    return Upscaler(engine, tile, scales, at)


def fit(picture: Raster, width: int, height: int) -> Raster:
    """Bring a picture to an exact size: bicubic, antialiased, band by band; colours are weighted with their alpha."""
    if picture.size == (width, height):
        return picture
    columns, rows = picture.size
    canvas = picture.blank(width, height)
    weights, indices = contributions(rows, height)
    for band in spans(height, RESIZE_ROWS, 0):
        taps = indices[band.start : band.stop]
        first, last = int(taps.min()), int(taps.max()) + 1
        x = _premultiplied(picture.window(slice(first, last), slice(0, columns)), picture.has_alpha)
        part = torch.zeros(1, x.shape[1], band.stop - band.start, columns)
        for weight, row in zip(weights[band.start : band.stop].T, taps.T, strict=True):
            part += x[:, :, row - first] * weight.float()[:, None]
        part = resize(part, part.shape[2], width)
        canvas.put(_straight(part, picture.has_alpha), band.start, 0)
    return canvas


def _premultiplied(x: Tensor, has_alpha: bool) -> Tensor:
    """Colours times alpha, alpha, and the colours as they are for where alpha vanishes."""
    return torch.cat([x[:, :-1] * x[:, -1:], x[:, -1:], x[:, :-1]], dim=1) if has_alpha else x


def _straight(x: Tensor, has_alpha: bool) -> Tensor:
    if not has_alpha:
        return x
    colours = x.shape[1] // 2
    alpha, plain = x[:, colours : colours + 1], x[:, colours + 1 :]
    return torch.cat([torch.where(alpha > 1e-3, x[:, :colours] / alpha.clamp(min=1e-3), plain), alpha], dim=1)


def bleed(pixels: Tensor, alpha: Tensor, reach: int) -> Tensor:
    """Let visible colours flow `reach` pixels far under fully transparent ones, so that no fringe is made of those.

    What colour lies under a transparent pixel is arbitrary, often black, and would mix into its visible neighbours.
    """
    known = (alpha > 0).to(pixels.dtype)
    if known.all() or not known.any():
        return pixels
    colours = pixels * known
    for _ in range(reach):
        count = F.avg_pool2d(known, 3, stride=1, padding=1)
        spread = F.avg_pool2d(colours, 3, stride=1, padding=1) / count.clamp(min=1e-6)
        fresh = (known == 0) & (count > 0)
        if not fresh.any():
            break
        colours = torch.where(fresh, spread, colours)
        known = torch.maximum(known, fresh.to(known.dtype))
    return torch.where(known > 0, colours, pixels)


def within_neighbours(sr: Tensor, lr: Tensor, scale: int) -> Tensor:
    """Keep each upscaled value between the least and greatest of the 3×3 LR pixels around it.

    For alpha: what is fully opaque or fully transparent all around stays so to the last digit, and nothing rings.
    """
    padded = F.pad(lr, (1, 1, 1, 1), mode="replicate")
    most, least = F.max_pool2d(padded, 3, stride=1), -F.max_pool2d(-padded, 3, stride=1)
    return torch.clamp(sr, *(F.interpolate(bound, scale_factor=scale, mode="nearest") for bound in (least, most)))


@dataclass(frozen=True)
class Task:
    """One picture to make."""

    source: Path
    output: Path


@dataclass(frozen=True)
class Outcome:
    """What became of a task: `error` says why there is no output; sizes are (width, height)."""

    source: Path
    output: Path
    size: tuple[int, int] | None = None
    output_size: tuple[int, int] | None = None
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    error: str | None = None


def plan(
    sources: list[Path], destination: Path, recursive: bool = False, suffix: str | None = None
) -> list[Task | Outcome]:
    """Decide what becomes what before any work starts: `cp`'s rules, sources first, destination last.

    File to file; files and folders to a folder, which keeps the tree with `recursive` and is made when it is not
    there. A new name without a suffix is a folder's. `suffix` (".webp") sets the format in a folder. "-" is standard
    input and standard output, each for one picture.
    A source that is not there becomes an Outcome with an error. Raises UsageError if an output would be an input, two
    outputs would be one, or the destination does not suit the sources.
    """
    if STREAM in (*sources, destination):
        return _plan_stream(sources, destination)
    missing = [source for source in sources if not source.exists()]
    if len(sources) == 1 and not sources[0].is_dir() and not destination.is_dir() and destination.suffix:
        if not destination.parent.is_dir():
            raise EspcnError(f"no folder {destination.parent}: make it, or choose another destination")
        imageio.format_of(destination)
        tasks = [] if missing else [Task(sources[0], destination)]
    else:
        _check_folder(sources, destination, recursive)
        found = [(source, root) for top in sources if top not in missing for source, root in _pictures(top, recursive)]
        tasks = [Task(source, _output(source, root, destination, suffix)) for source, root in found]
    _refuse_collisions(tasks)
    if not tasks and not missing:
        below = "" if recursive else " (folders below it are read with -r)"
        raise EspcnError(f"no pictures in {', '.join(map(str, sources))}{below}")
    gone = [Outcome(path, destination, error=f"{path}: no such file or folder") for path in missing]
    return [*gone, *tasks]


def _plan_stream(sources: list[Path], destination: Path) -> list[Task | Outcome]:
    if len(sources) != 1 or sources[0].is_dir():
        raise UsageError("'-' is for one picture: name one source, not several or a folder")
    if destination.is_dir():
        raise UsageError(f"{destination} is a folder: a picture from standard input needs a file name, or '-'")
    if destination != STREAM:
        if not destination.parent.is_dir():
            raise EspcnError(f"no folder {destination.parent}: make it, or choose another destination")
        imageio.format_of(destination)
    return [Task(sources[0], destination)]


def stream_format(suffix: str | None) -> str:
    """Pillow's name of the format for standard output: what `-f` says, else PNG."""
    return imageio.format_of(Path(f"standard output{suffix or '.png'}"))


def _check_folder(sources: list[Path], destination: Path, recursive: bool) -> None:
    if destination.exists() and not destination.is_dir():
        raise UsageError(f"{destination} is a file: several pictures or a folder need a folder to go to")
    if not destination.is_dir() and destination.suffix.lower() in imageio.SUFFIXES:
        raise UsageError(f"{destination} looks like a picture: several pictures or a folder need a folder to go to")
    for source in sources if recursive else []:
        if source.is_dir() and destination.resolve().is_relative_to(source.resolve()):
            raise UsageError(f"{destination} lies inside {source}: choose a destination outside of it")


def _pictures(source: Path, recursive: bool) -> Iterator[tuple[Path, Path]]:
    """Pictures with the folder that their place in the output tree is relative to."""
    if source.is_dir():
        yield from ((path, source) for path in imageio.find_images(source, recursive))
    else:
        yield source, source.parent


def _output(source: Path, root: Path, destination: Path, suffix: str | None) -> Path:
    target = destination / source.relative_to(root)
    if suffix is None and not imageio.is_writable(target):
        suffix = ".png"
    return target if suffix is None else target.with_name(f"{target.stem}{suffix}")


def _refuse_collisions(tasks: list[Task]) -> None:
    inputs = {task.source.resolve() for task in tasks}
    seen: dict[Path, Path] = {}
    for task in tasks:
        target = task.output.resolve()
        if target in inputs:
            raise UsageError(f"{task.output} is an input and would be overwritten: choose another destination")
        if target in seen:
            raise UsageError(f"{seen[target]} and {task.source} would both become {task.output}: upscale them apart")
        seen[target] = task.source


@dataclass(frozen=True)
class Options:
    """How a batch is done: `depth` 8 cuts 16 bits down; `jobs` pictures are decoded, and as many encoded, at a time."""

    size: Size | None = None
    depth: int | None = None
    encoding: Encoding = field(default_factory=Encoding)
    skip_existing: bool = False
    jobs: int = 1
    stream_format: str = "PNG"


def run(
    upscaler: Upscaler, tasks: Iterable[Task | Outcome], options: Options | None = None
) -> Generator[Outcome, None, None]:
    """Do the tasks in order and yield what became of each.

    While one picture is in the network, the next are decoded and those before encoded, in threads of their own. When
    interrupted, the pictures under way are finished and yielded before the interruption goes on.
    """
    options = options or Options()
    work = _Work(upscaler, options)
    tasks = list(tasks)
    _clean(tasks)
    ahead: list[tuple[Task, Future[Document]]] = []
    behind: list[Future[Outcome]] = []
    reader, writer = (ThreadPoolExecutor(options.jobs, name) for name in ("decode", "encode"))
    try:
        for task in tasks:
            if isinstance(task, Outcome):
                yield task
            elif options.skip_existing and task.output.exists():
                yield Outcome(task.source, task.output, warnings=("skipped: the output exists",))
            else:
                ahead.append((task, reader.submit(imageio.read_document, task.source, options.depth)))
                if len(ahead) > options.jobs:
                    behind.append(work(*ahead.pop(0), writer))
                if len(behind) > options.jobs:
                    yield _first(behind)
        while ahead:
            behind.append(work(*ahead.pop(0), writer))
        while behind:
            yield _first(behind)
    except (KeyboardInterrupt, SystemExit):
        yield from (future.result() for future in behind)
        raise
    finally:
        reader.shutdown(cancel_futures=True)
        writer.shutdown()


def _first(behind: list[Future[Outcome]]) -> Outcome:
    """Wait for the first and only then take it out, so that an interruption meanwhile does not lose it."""
    outcome = behind[0].result()
    del behind[0]
    return outcome


def _clean(tasks: list[Task | Outcome]) -> None:
    """Remove what killed runs left where this one writes."""
    for folder in {task.output.parent for task in tasks if isinstance(task, Task) and task.output != STREAM}:
        clean(folder)


class _Work:
    """The middle of the pipeline: a decoded picture through the network, and on to be written."""

    def __init__(self, upscaler: Upscaler, options: Options) -> None:
        self.upscaler = upscaler
        self.options = options

    def __call__(self, task: Task, reading: Future[Document], writer: ThreadPoolExecutor) -> Future[Outcome]:
        started = time.monotonic()
        try:
            before = reading.result()
            self._check(task, before)
            after = self.upscaler.document(before, self.options.size)
        except (EspcnError, MemoryError) as error:
            failed: Future[Outcome] = Future()
            failed.set_result(Outcome(task.source, task.output, error=_reason(task, error)))
            return failed
        return writer.submit(self._finish, task, before.size, after, started)

    def _check(self, task: Task, document: Document) -> None:
        if task.output != STREAM:
            size = self.upscaler.output_size(document.size, self.options.size)
            imageio.check_size(task.output, imageio.format_of(task.output), size)

    def _finish(self, task: Task, size: tuple[int, int], document: Document, started: float) -> Outcome:
        try:
            written = self._write(task, document)
        except (EspcnError, MemoryError) as error:
            return Outcome(task.source, task.output, error=_reason(task, error))
        except OSError as error:
            return Outcome(task.source, task.output, error=f"cannot write {task.output} ({error.strerror or error})")
        seconds = time.monotonic() - started
        return Outcome(task.source, task.output, size, document.size, seconds, written.warnings)

    def _write(self, task: Task, document: Document) -> Document:
        if task.output == STREAM:
            memory = BytesIO()
            written = imageio.encode(document, self.options.stream_format, memory, "-", self.options.encoding)
            _to_stdout(memory.getvalue())
            return written
        task.output.parent.mkdir(parents=True, exist_ok=True)
        return imageio.write_document(document, task.output, self.options.encoding)


def _to_stdout(data: bytes) -> None:
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # what is left in the buffer must not be tried again at the end of the process
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def _reason(task: Task, error: EspcnError | MemoryError) -> str:
    text = str(error) if isinstance(error, EspcnError) else "not enough memory"
    return (
        text
        if text.startswith((str(task.source), str(task.output), "cannot write", "standard"))
        else (f"{task.source}: {text}")
    )


HELD_BYTES = 4
"""Bytes per pixel of a picture in memory, before and after."""

WORKING_MEMORY = 300_000_000
"""Bytes that the program and a strip in the network take beside the pictures, about."""


@dataclass(frozen=True)
class Preview:
    """What a task would come to: sizes (width, height), seconds in the network, bytes of memory; all estimated."""

    source: Path
    output: Path
    size: tuple[int, int] | None = None
    output_size: tuple[int, int] | None = None
    seconds: float = 0.0
    memory: int = 0
    skipped: bool = False
    error: str | None = None


def preview(upscaler: Upscaler, tasks: Iterable[Task | Outcome], options: Options) -> Iterator[Preview]:
    """Say of each task what it would come to, from the files' headers and a moment's trial of the network."""
    pace = _seconds_per_pixel(upscaler)
    for task in tasks:
        if isinstance(task, Outcome) or (options.skip_existing and task.output.exists()):
            yield Preview(task.source, task.output, skipped=True, error=getattr(task, "error", None))
            continue
        try:
            size = imageio.size_of(task.source)
        except EspcnError as error:
            yield Preview(task.source, task.output, error=str(error))
            continue
        larger = upscaler.output_size(size, options.size)
        before, after = size[0] * size[1], larger[0] * larger[1]
        memory = HELD_BYTES * (before + after) + WORKING_MEMORY
        yield Preview(task.source, task.output, size, larger, before * pace, memory)


def _seconds_per_pixel(upscaler: Upscaler) -> float:
    x = torch.rand(1, 3, 128, 256)
    upscaler.upscale(x)  # the first run pays for starting up
    started = time.monotonic()
    upscaler.upscale(x)
    return (time.monotonic() - started) / (128 * 256)
