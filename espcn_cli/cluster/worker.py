"""What runs on the machines of a cluster: a process with the model loaded, which is given pictures a few at a time."""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import dataclass, replace

from espcn_cli import cores
from espcn_cli.cluster.kit import Kit
from espcn_cli.errors import EspcnError
from espcn_cli.pictures import opening
from espcn_cli.upscaling import pieces, pipeline
from espcn_cli.upscaling.outcome import Outcome, Task
from espcn_cli.upscaling.pieces import Made, Piece
from espcn_cli.upscaling.pipeline import Options
from espcn_cli.upscaling.upscaler import Upscaler


@dataclass(frozen=True)
class Order:
    """What all workers are told once. `folder`: where paths start; `max_pixels`: see `opening.limit_pixels`."""

    kit: Kit
    options: Options
    folder: str
    max_pixels: int


@dataclass(frozen=True)
class Share:
    """Pictures for one worker. `again`: it may be that they are there already, as another was at them and died.

    `alone`: the only one of its command.
    """

    tasks: tuple[Task, ...]
    again: bool = False
    alone: bool = False


@dataclass(frozen=True)
class Done:
    """What became of a share, and the seconds that it took."""

    outcomes: tuple[Outcome, ...]
    seconds: float


class Worker:
    """One process of a cluster, with `cores` of its machine's."""

    def __init__(self, order: Order, cores: int) -> None:
        self._order = order
        self._cores = cores
        self._upscaler: Upscaler | None = None

    def open(self) -> str | None:
        """Load the model; why it cannot, if so."""
        if os.path.isdir(self._order.folder):  # noqa: PTH112
            os.chdir(self._order.folder)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        opening.limit_pixels(self._order.max_pixels)
        cores.limit(self._cores)
        try:
            self._upscaler = self._order.kit.open()
        except EspcnError as error:
            return str(error)
        return None

    def part(self, piece: Piece) -> Made:
        """Make one part of a video, where it belongs. Raises EspcnError."""
        assert self._upscaler is not None
        return pieces.make(self._upscaler, piece)

    def pictures(self, share: Share) -> Done:
        """Do them. Raises UsageError for a video that is alone in its command, as `film.upscale`."""
        assert self._upscaler is not None
        started = time.monotonic()
        options = self._order.options
        if share.again:
            options = replace(options, overwrite=True, skip_existing=False)
        outcomes = pipeline.flow(self._upscaler, share.tasks, options, share.alone)
        return Done(tuple(outcomes), time.monotonic() - started)
