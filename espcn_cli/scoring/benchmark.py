"""Picture sets × methods -> a table of PSNR and SSIM as data; how it is shown is the command line's affair."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from espcn_cli.errors import EspcnError
from espcn_cli.pictures import folders
from espcn_cli.scoring import evaluation
from espcn_cli.scoring.evaluation import Method, Pair, Score

BASELINES = ("bicubic", "lanczos")


@dataclass(frozen=True)
class Row:
    """One method on one set: a score per picture."""

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


def benchmark(
    sources: list[Path],
    methods: Mapping[str, Method],
    scale: int,
    lr_folder: Path | None = None,
    protocol: str = "picture",
    report: Callable[[str], None] = lambda name: None,
    degradation: str = "bicubic",
) -> Table:
    """Score bicubic, Lanczos and the given methods on every set. `report` gets the name of each picture done.

    A source is a folder of HR pictures or one picture. Pictures that cannot be scored are listed in the table.
    Raises EspcnError if a source holds none.
    """
    table = {name: evaluation.interpolation(name, scale) for name in BASELINES} | dict(methods)
    rows: list[Row] = []
    errors: list[str] = []
    for source in sources:
        paths = list(folders.find_all([source]))
        if not paths:
            raise EspcnError(f"no pictures in {source}: name a folder with images")
        scores: dict[str, list[Score]] = {name: [] for name in table}
        for pair in _pairs(paths, scale, lr_folder, degradation, errors):
            for name, method in table.items():
                scores[name] += evaluation.evaluate(method, [pair], scale, protocol)
            report(pair.name)
        rows += [Row(set_name(source), scale, name, images) for name, images in scores.items() if images]
    return Table(evaluation.describe(protocol, scale, lr_folder is not None, degradation), rows, errors)


def _pairs(
    paths: list[Path], scale: int, lr_folder: Path | None, degradation: str, errors: list[str]
) -> Iterator[Pair]:
    for path in paths:
        try:
            yield evaluation.make_pair(path, scale, lr_folder, degradation)
        except EspcnError as error:
            errors.append(str(error))


def set_name(source: Path) -> str:
    """What a set is called: its folder, or the folder above one that is just called HR."""
    source = source.resolve()
    return source.parent.name if source.name.upper() == "HR" else source.name
