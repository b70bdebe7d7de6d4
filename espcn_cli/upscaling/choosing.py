"""Which of the pictures that are found are upscaled, and how many are passed over and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.files import is_file
from espcn_cli.maths.levels import Pixels
from espcn_cli.pictures.extent import size_of

NEVER = ("@eaDir", ".thumbnails", "._*")
"""Names in folders that no picture of a user's has: what devices and systems put beside theirs."""

EXCLUDED, MADE_BEFORE, OTHER_SIZE = "excluded", "made by an earlier run", "of another size"


@dataclass(frozen=True)
class Choosing:
    """Rules for sources. `passed` counts those passed over, by reason.

    `exclude`: globs of names, or of paths below a folder that is searched. `larger` and `smaller` are boxes: only a
    picture that does not fit into the first, and one that lies within the second with room on all sides, is taken.
    """

    exclude: Sequence[str] = ()
    larger: Pixels | None = None
    smaller: Pixels | None = None
    passed: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Raises UsageError if no picture has such a size."""
        if self.larger and self.smaller and all(b <= a + 1 for a, b in zip(self.larger, self.smaller, strict=True)):
            raise UsageError("no picture is larger than --larger-than and smaller than --smaller-than: swap them?")

    def excludes(self, relative: Path) -> bool:
        """Whether a file or a folder is passed over, by its path below the folder that is searched."""
        if any(fnmatchcase(relative.name, pattern) for pattern in NEVER):
            return True
        return self.excludes_named(relative)

    def excludes_named(self, path: Path) -> bool:
        """Likewise for a file named outright, whatever devices may call theirs; it is counted."""
        texts = (path.name, path.as_posix())
        excluded = any(fnmatchcase(text, pattern.rstrip("/")) for pattern in self.exclude for text in texts)
        self.passed[EXCLUDED] += excluded
        return excluded

    def fits(self, path: Path) -> bool:
        """Whether a picture has a size that is wanted, by its header; one that cannot be read has, and fails later."""
        if not (self.larger or self.smaller) or not is_file(path):
            return True
        try:
            width, height = size_of(path)
        except EspcnError:
            return True
        larger = not self.larger or width > self.larger[0] or height > self.larger[1]
        smaller = not self.smaller or (width < self.smaller[0] and height < self.smaller[1])
        self.passed[OTHER_SIZE] += not (larger and smaller)
        return larger and smaller

    def describe(self) -> str:
        """How many were passed over, in words; empty if none."""
        return ", ".join(f"{number} {reason}" for reason, number in self.passed.items() if number)


def parse_box(text: str, option: str) -> Pixels:
    """`800x600`, or `800` for 800x800. Raises UsageError for anything else."""
    match = re.fullmatch(r"(\d{1,7})(?:[xX×](\d{1,7}))?", text)
    if not match:
        raise UsageError(f"{option} {text!r}: use WxH in pixels, or N for a square")
    return int(match[1]), int(match[2] or match[1])
