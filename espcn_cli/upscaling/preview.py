"""A dry run: what a batch would come to, from the files' headers and a moment's trial of the network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial

import numpy as np
from PIL import Image

from espcn_cli.errors import EspcnError
from espcn_cli.pictures.extent import extent_of
from espcn_cli.pictures.raster import Raster
from espcn_cli.upscaling import archive, film, wrap
from espcn_cli.upscaling.outcome import Outcome, Task
from espcn_cli.upscaling.outputs import settle
from espcn_cli.upscaling.pipeline import Options, held, targets
from espcn_cli.upscaling.upscaler import Upscaler

WORKING_MEMORY = 350_000_000
"""Bytes that the program and a strip in the network take beside the pictures, about."""

TRIAL = (256, 128)
"""Width and height of the noise that is upscaled to see how long a pixel takes."""


def preview(upscaler: Upscaler, tasks: Iterable[Task | Outcome], options: Options) -> Iterator[Outcome]:
    """Say of each task what a run would make of it, with the sizes, seconds and memory that are to be expected."""
    tasks = list(tasks)
    pace = cache(_seconds_per_pixel)
    for task in (settle(task, options.overwrite, options.skip_existing) for task in tasks):
        if isinstance(task, Task) and task.archive:
            expected = partial(_expected, upscaler, options=options, pace=pace)
            yield archive.preview(task, expected, options.of_archives())
        elif isinstance(task, Task) and task.video is not None:
            yield wrap.refused(upscaler, task) or film.preview(upscaler, task, options.of_films(), len(tasks) == 1)
        else:
            yield task if isinstance(task, Outcome) else _expected(upscaler, task, options, pace)


def _expected(upscaler: Upscaler, task: Task, options: Options, pace: Callable[[Upscaler], float]) -> Outcome:
    try:
        extent = extent_of(task.source, options.depth)
        outputs = targets(upscaler, task, extent.frames, options)
    except EspcnError as error:
        return Outcome(task, error=str(error))
    memory = held(extent, outputs) + WORKING_MEMORY
    used = upscaler.reaching(extent.size, options.size)
    name, strength = (used.name, used.fixed_strength) if used else (None, None)
    seconds = extent.pixels * pace(used) if used else 0.0
    expected = Outcome(task, extent.size, outputs[0], seconds, memory, name, strength)
    return expected.noting(options.size)


def _seconds_per_pixel(upscaler: Upscaler) -> float:
    width, height = TRIAL
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    picture = Raster(Image.fromarray(noise))
    upscaler.raster(picture)  # the first run pays for starting up
    started = time.monotonic()
    upscaler.raster(picture)
    return (time.monotonic() - started) / (width * height)
