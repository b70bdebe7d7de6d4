"""Short names for paths, no two alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path


def distinct_names(paths: Sequence[Path], shorten: Callable[[Path], Path] = lambda path: path) -> list[str]:
    """A name for each path: the end of what `shorten` makes of it, or of the path itself, as long as it takes.

    `a/photos` and `b/photos` are called so, and `c/night` beside them just `night`. The paths must differ.
    """
    choices = [[*_ends(shorten(path)), *_ends(path)] for path in paths]
    chosen = [0] * len(paths)
    while True:
        names = [choice[index] for choice, index in zip(choices, chosen, strict=True)]
        count = Counter(names)
        clashing = [
            number for number, name in enumerate(names) if count[name] > 1 and chosen[number] + 1 < len(choices[number])
        ]
        if not clashing:
            return names
        for number in clashing:
            chosen[number] += 1


def without_suffix(path: Path) -> Path:
    """What pictures and checkpoints are called unless two differ by nothing else."""
    return path.with_suffix("")


def _ends(path: Path) -> list[str]:
    """The last part, the last two ..., the whole path."""
    return [str(Path(*path.parts[-count:])) for count in range(1, len(path.parts) + 1)]
