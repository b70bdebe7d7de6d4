"""What espcn keeps in the user's cache folder, all of which can be made again: how much it is, and away with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from espcn_cli.errors import EspcnError
from espcn_cli.files import PART_SUFFIX, cache_folder, clean

KINDS = {
    "pictures decoded for trainings": ("[0-9a-f]" * 64 + ".safetensors",),
    "what was found out about this machine": ("openvino.json", "bf16.json", "bf16-rgb.json", "int8.json"),
    "files that are being written, or were when a run was killed": (f".*{PART_SUFFIX}",),
}
"""What lies there, by the patterns of its names. Anything else in that folder is not ours."""


@dataclass(frozen=True)
class Kept:
    """Files of one kind."""

    kind: str
    files: int
    bytes: int


def kept(folder: Path | None = None) -> list[Kept]:
    """What is there, by kind."""
    found = [(kind, list(_sizes(folder or cache_folder(), patterns))) for kind, patterns in KINDS.items()]
    return [Kept(kind, len(sizes), sum(sizes)) for kind, sizes in found if sizes]


def remove(folder: Path | None = None) -> list[Kept]:
    """Remove it all, and tell what it was. Trainings under way keep what they have opened.

    Raises EspcnError for a file that cannot be removed.
    """
    place = folder or cache_folder()
    before = kept(place)
    clean(place)  # those of processes that are still at it stay
    for path in (path for patterns in list(KINDS.values())[:-1] for path in _found(place, patterns)):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise EspcnError(f"cannot remove {path} ({error.strerror or error})", path) from None
    after = {each.kind: each for each in kept(place)}
    gone = [(each, after.get(each.kind, Kept(each.kind, 0, 0))) for each in before]
    return [Kept(each.kind, each.files - left.files, each.bytes - left.bytes) for each, left in gone]


def _found(folder: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        yield from folder.glob(pattern)


def _sizes(folder: Path, patterns: tuple[str, ...]) -> Iterator[int]:
    """Bytes of each file; a file that has just gone has none."""
    for path in _found(folder, patterns):
        try:
            yield path.stat().st_size
        except OSError:
            continue
