"""Pictures and folders of pictures, upscaled: one outcome per file, and a file that fails never stops the rest."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from espcn_cli import checkpoint, imageio, inference
from espcn_cli.device import choose_device, choose_precision
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.imageio import Picture
from espcn_cli.settings import DEFAULT_MODEL


class Upscaler:
    """A loaded model, ready for pictures and tensors.

    `tile` is the side of a tile in LR pixels, 0 for the whole picture at once, None for strips that suit the cache;
    the result is the same.
    """

    def __init__(self, engine: inference.Engine, tile: int | None = None) -> None:
        self.engine = engine
        self.tile = tile

    @property
    def scale(self) -> int:
        return self.engine.scale

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
        alpha = within_neighbours(self.upscale(picture.alpha), picture.alpha, self.scale)
        return replace(picture, pixels=pixels, alpha=alpha)


def load(
    model: str = DEFAULT_MODEL,
    scale: int | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    tile: int | None = None,
) -> Upscaler:
    """A shipped model by name, or a checkpoint by path. Raises EspcnError if it is not there or not that scale."""
    network, card = checkpoint.load(checkpoint.find(model, scale))
    if scale is not None and card.settings.scale != scale:
        raise EspcnError(f"{model} upscales by {card.settings.scale}, not by {scale}: name another model or scale")
    chosen = choose_device(device)
    return Upscaler(inference.Engine(network, chosen, choose_precision(precision, chosen)), tile)


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
    there. A new name without a suffix is a folder's. `suffix` (".webp") sets the format in a folder.
    A source that is not there becomes an Outcome with an error. Raises UsageError if an output would be an input, two
    outputs would be one, or the destination does not suit the sources.
    """
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


def run(upscaler: Upscaler, tasks: Iterable[Task | Outcome], skip_existing: bool = False) -> Iterator[Outcome]:
    """Do the tasks in order and yield what became of each.

    While one picture is in the network, the next is decoded and the one before encoded, each in a thread of its own.
    """
    ahead: list[tuple[Task, Future[Picture]]] = []
    behind: list[Future[Outcome]] = []
    with ThreadPoolExecutor(1, "decode") as reader, ThreadPoolExecutor(1, "encode") as writer:
        for task in tasks:
            if isinstance(task, Outcome):
                yield task
            elif skip_existing and task.output.exists():
                yield Outcome(task.source, task.output, warnings=("skipped: the output exists",))
            else:
                ahead.append((task, reader.submit(imageio.read, task.source)))
                if len(ahead) > 1:
                    behind.append(_work(upscaler, *ahead.pop(0), writer))
                if len(behind) > 1:
                    yield behind.pop(0).result()
        behind += [_work(upscaler, *item, writer) for item in ahead]
        yield from (future.result() for future in behind)


def _work(upscaler: Upscaler, task: Task, reading: Future[Picture], writer: ThreadPoolExecutor) -> Future[Outcome]:
    """Upscale one decoded picture and hand it on to be written."""
    started = time.monotonic()
    try:
        before = reading.result()
        after = upscaler.picture(before)
    except EspcnError as error:
        failed: Future[Outcome] = Future()
        failed.set_result(Outcome(task.source, task.output, error=str(error)))
        return failed
    return writer.submit(_finish, task, before.size, after, started)


def _finish(task: Task, size: tuple[int, int], picture: Picture, started: float) -> Outcome:
    try:
        task.output.parent.mkdir(parents=True, exist_ok=True)
        written = imageio.write(picture, task.output)
    except EspcnError as error:
        return Outcome(task.source, task.output, error=str(error))
    except OSError as error:
        return Outcome(task.source, task.output, error=f"cannot write {task.output} ({error.strerror})")
    seconds = time.monotonic() - started
    return Outcome(task.source, task.output, size, picture.size, seconds, written.warnings)
