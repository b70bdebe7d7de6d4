"""Picture sets × methods -> a table of PSNR and SSIM as data; how it is shown is the command line's affair."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from espcn_cli.engines.engine import NotFiniteError
from espcn_cli.errors import EspcnError
from espcn_cli.paths import source_of
from espcn_cli.pictures import folders
from espcn_cli.pictures.folders import SUFFIXES
from espcn_cli.scoring import evaluation
from espcn_cli.scoring.evaluation import Method, Pair, Score
from espcn_cli.scoring.names import distinct_names, without_suffix
from espcn_cli.settings import Degradation, Protocol

BASELINES = ("bicubic", "lanczos")


@dataclass(frozen=True)
class Row:
    """One method on one set: a score per picture. No two sets, methods or pictures of a set have one name."""

    dataset: str
    scale: int
    method: str
    images: list[Score]

    def to_dict(self) -> dict[str, Any]:
        psnr, ssim = evaluation.mean(self.images)
        images = [{"name": s.name, "psnr": s.psnr, "ssim": s.ssim} for s in self.images]
        row = {"dataset": self.dataset, "scale": self.scale, "method": self.method}
        return {**row, "psnr": psnr, "ssim": ssim, "images": images}


@dataclass(frozen=True)
class Table:
    """All rows, the protocol that made them, and the files that could not be scored."""

    protocol: str
    rows: list[Row]
    errors: list[str]

    def to_dict(self) -> dict[str, Any]:
        return {"protocol": self.protocol, "rows": [row.to_dict() for row in self.rows], "errors": self.errors}


Report = Callable[[int, int], None]
"""Gets how many pictures are done, and of how many."""


def benchmark(
    sources: Sequence[str | Path] | str | Path,
    methods: Mapping[str, Method],
    scale: int,
    lr_folder: Path | None = None,
    protocol: Protocol = "picture",
    report: Report = lambda done, total: None,
    degradation: Degradation = "bicubic",
) -> Table:
    """Score bicubic, Lanczos and the given methods on every set.

    A source is a folder of HR pictures or one picture. Pictures that cannot be scored are listed in the table.
    Raises EspcnError if a source holds none, ValueError if a method is called as one of the two.
    """
    if clash := methods.keys() & set(BASELINES):
        raise ValueError(f"methods cannot be called {', '.join(clash)}: these two are always there")
    every = {name: evaluation.interpolation(name, scale) for name in BASELINES} | dict(methods)
    sets = find_sets([source_of(source) for source in ([sources] if isinstance(sources, (str, Path)) else sources)])
    total, done = sum(len(pictures) for pictures in sets.values()), 0
    rows: list[Row] = []
    errors: list[str] = []
    for dataset, pictures in sets.items():
        scored: list[list[Score]] = []
        for name, path in pictures.items():
            try:
                pair = replace(evaluation.make_pair(path, scale, lr_folder, degradation), name=name)
                scored.append([score(label, method, path, pair, scale, protocol) for label, method in every.items()])
            except EspcnError as error:
                errors.append(str(error))
            done += 1
            report(done, total)
        if scored:
            columns = zip(*scored, strict=True)
            rows += [Row(dataset, scale, name, list(images)) for name, images in zip(every, columns, strict=True)]
    return Table(evaluation.describe(protocol, scale, lr_folder is not None, degradation), rows, errors)


def score(name: str, method: Method, path: Path, pair: Pair, scale: int, protocol: Protocol) -> Score:
    """One method on one picture. Raises EspcnError if it gives none, or one that holds NaN."""
    try:
        return evaluation.evaluate(method, [pair], scale, protocol)[0]
    except (NotFiniteError, EspcnError) as error:
        raise EspcnError(f"{path}: {name} cannot be scored on it: {error}", path) from None


def find_sets(sources: Sequence[Path], suffixes: Container[str] = SUFFIXES) -> dict[str, dict[str, Path]]:
    """Sets by name, and each one's files of these suffixes by name; a source that is given twice is one set.

    A set is called as its folder, or as the folder above one that is just called HR, a picture as its file without
    the suffix; what would be called alike gets longer names. Raises EspcnError for a source without pictures.
    """
    found: dict[Path, dict[str, Path]] = {}
    for source in sources:
        paths = list(folders.find_all([source], suffixes))
        if not paths:
            raise EspcnError(f"no pictures in {source}: name a folder with images", source)
        inside = [path.relative_to(source) if path != source else Path(path.name) for path in paths]
        found[source.resolve()] = dict(zip(distinct_names(inside, without_suffix), paths, strict=True))
    return dict(zip(distinct_names(list(found), _above_hr), found.values(), strict=True))


def _above_hr(source: Path) -> Path:
    return source.parent if source.name.upper() == "HR" else source
