"""What a training reports while it runs: small records that the command line draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Afresh:
    """The training was to be resumed, but there is no state: it starts from the beginning."""

    state: Path


@dataclass(frozen=True)
class Saved:
    """From now on the training can be resumed from this step."""

    step: int


@dataclass(frozen=True)
class Loading:
    """`done` of `total` training pictures are read."""

    done: int
    total: int


@dataclass(frozen=True)
class Skipped:
    """A file that is not used. `line` says why, and names it; one that is too small may do for smaller patches."""

    path: Path
    line: str
    too_small: bool = False


@dataclass(frozen=True)
class Loaded:
    """The data is ready; `skipped` says of each unusable file why, `warnings` what is odd about the others.

    `cache` says where they are kept and why, if that was for us to decide.
    """

    pictures: int
    validation: int
    skipped: list[Skipped]
    warnings: list[str] = field(default_factory=list)
    cache: str = ""


@dataclass(frozen=True)
class Step:
    step: int
    steps: int
    loss: float


@dataclass(frozen=True)
class Validation:
    """Mean scores of the averaged network on the validation pictures, beside bicubic's PSNR."""

    step: int
    psnr: float
    ssim: float
    bicubic: float
    steps_per_second: float = 0.0
    """Since the validation before; 0 where no step was taken."""
    waiting: float = 0.0
    """Share of the steps' time that was spent waiting for patches."""


@dataclass(frozen=True)
class Retreat:
    """The training diverged, and goes on from an earlier step at half the learning rate; `share` is what is left."""

    diverged: int
    step: int
    loss: float
    share: float


Event = Afresh | Saved | Loading | Loaded | Step | Validation | Retreat
Report = Callable[[Event], None]
