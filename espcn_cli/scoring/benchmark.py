"""Picture sets × methods -> a table of PSNR and SSIM as data; how it is shown is the command line's affair."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from torch import Tensor

from espcn_cli.engines.engine import NotFiniteError
from espcn_cli.errors import EspcnError
from espcn_cli.paths import source_of
from espcn_cli.pictures.extent import extent_of
from espcn_cli.pictures.folders import SUFFIXES
from espcn_cli.scoring import evaluation, layouts, tensors
from espcn_cli.scoring.evaluation import Method, Pair
from espcn_cli.scoring.layouts import File, Group
from espcn_cli.scoring.names import distinct_names, without_suffix
from espcn_cli.scoring.table import Key, Row, Score, Shown, Table, mean_of
from espcn_cli.settings import Degradation, Protocol

BASELINES = ("bicubic", "lanczos")

Report = Callable[[int, int], None]
"""Gets how many pictures are done, and of how many."""


@dataclass(frozen=True)
class Picture:
    """One HR picture of a set, and the LR ones beside it that could be its own."""

    dataset: str
    name: str
    file: File
    group: Group

    @property
    def path(self) -> Path:
        return self.file.path


@dataclass(frozen=True)
class Comparison:
    """What is compared, and how: methods by name, and folders with what other tools made of the same pictures.

    LR is taken from `lr_folder` or else made by the `degradation`; if neither is given, from beside HR where it lies
    there for this scale, else by bicubic. Raises ValueError if a method is called as one that is always there.
    """

    methods: Mapping[str, Method]
    scale: int
    lr_folder: Path | None = None
    protocol: Protocol = "picture"
    degradation: Degradation | None = None
    outputs: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if clash := {*self.methods, *self.outputs} & set(BASELINES) or self.methods.keys() & self.outputs.keys():
            raise ValueError(f"methods cannot be called {', '.join(clash)}: others are always called so")

    @cached_property
    def every(self) -> dict[str, Method]:
        """Methods that are asked for an answer: bicubic, Lanczos and the given ones."""
        return {name: evaluation.interpolation(name, self.scale) for name in BASELINES} | dict(self.methods)

    @property
    def names(self) -> list[str]:
        return [*self.every, *self.outputs]

    @cached_property
    def _lr_files(self) -> list[File]:
        files = layouts.files_below(self.lr_folder) if self.lr_folder else []
        return [file for file in _of_scale(files, self.scale) if file.kind != "hr"]

    @cached_property
    def _output_files(self) -> dict[str, list[File]]:
        return {name: _of_scale(layouts.files_below(folder), self.scale) for name, folder in self.outputs.items()}

    def lr_of(self, picture: Picture) -> Path | None:
        """The given LR file; None where LR is to be made. Raises EspcnError if it is missing, or not known."""
        if self.lr_folder:
            return layouts.partner(picture.file, self._lr_files, "LR picture", self.lr_folder)
        beside = picture.group.at(self.scale).lr if self.degradation is None else []
        return layouts.partner(picture.file, beside, "LR picture", picture.group.folder) if beside else None

    def describe(self, picture: Picture) -> str:
        """How this picture is scored, in one line."""
        given = self.lr_folder is not None or (self.degradation is None and bool(picture.group.at(self.scale).lr))
        return evaluation.describe(self.protocol, self.scale, given, self.degradation or "bicubic")

    def pair(self, picture: Picture) -> Pair:
        """HR and LR. Raises EspcnError if there is no such pair."""
        pair = evaluation.make_pair(picture.path, self.scale, self.lr_of(picture), self.degradation or "bicubic")
        return replace(pair, name=picture.name)

    def answer(self, name: str, picture: Picture, pair: Pair) -> Tensor:
        """What a method makes of a picture, or another tool made. Raises EspcnError if that cannot be scored."""
        if name in self.outputs:
            return self._output(name, picture, pair.hr)
        try:
            sr = self.every[name](pair.lr)
        except (NotFiniteError, EspcnError) as error:
            raise EspcnError(f"{picture.path}: {name} cannot be scored on it: {error}", picture.path) from None
        if sr.shape != pair.hr.shape:
            raise ValueError(
                f"{picture.name}: {name} gives {tuple(sr.shape)}, not {tuple(pair.hr.shape)}: is it x{self.scale}?"
            )
        return sr

    def _output(self, name: str, picture: Picture, hr: Tensor) -> Tensor:
        path = layouts.partner(picture.file, self._output_files[name], "output", self.outputs[name], loosely=True)
        sr = tensors.read(path).pixels
        if sr.shape[-2:] != hr.shape[-2:]:
            raise EspcnError(
                f"{path}: {sr.shape[-1]} x {sr.shape[-2]} is not the size of {picture.path}, which is scored as "
                f"{hr.shape[-1]} x {hr.shape[-2]}: is it x{self.scale}?",
                path,
            )
        return tensors.alike(sr, hr)

    def scores(self, picture: Picture) -> tuple[list[Score], dict[str, list[Score]]]:
        """A score for each of `names`; and for each choice that was made, the scores had it alone not been made.

        Raises EspcnError if one of them cannot be scored.
        """
        pair = self.pair(picture)
        answers: list[tuple[Tensor, float | None]] = []
        for name in self.names:
            started = time.perf_counter()
            sr = self.answer(name, picture, pair)
            answers.append((sr, time.perf_counter() - started if name in self.methods else None))

        def by(protocol: Protocol) -> list[Score]:
            return [
                replace(self._score(name, picture, sr, pair.hr, protocol), seconds=seconds)
                for name, (sr, seconds) in zip(self.names, answers, strict=True)
            ]

        otherwise = {} if self.protocol == "picture" else {f"--protocol {self.protocol}": by("picture")}
        if self.lr_folder or self.degradation not in (None, "bicubic"):
            choice = f"--lr {self.lr_folder}" if self.lr_folder else f"--degradation {self.degradation}"
            otherwise[choice] = replace(self, lr_folder=None, degradation="bicubic").scores(picture)[0]
        return by(self.protocol), otherwise

    def _score(self, name: str, picture: Picture, sr: Tensor, hr: Tensor, protocol: Protocol) -> Score:
        try:
            return evaluation.score_picture(picture.name, sr, hr, self.scale, protocol)
        except NotFiniteError as error:
            raise EspcnError(f"{picture.path}: {name} cannot be scored on it: {error}", picture.path) from None

    def again(self, pictures: Sequence[Picture], wanted: Collection[Key]) -> Iterator[Shown]:
        """Those of the pictures that are wanted, with what every method makes of them."""
        for picture in pictures:
            key = Key(picture.dataset, self.scale, "", picture.name)
            if key in wanted:
                pair = self.pair(picture)
                answers = {name: tensors.alike(self.answer(name, picture, pair), pair.hr) for name in self.names}
                yield Shown(
                    key, {name: tensors.to_depth(sr) for name, sr in answers.items()}, tensors.to_depth(pair.hr)
                )

    def superfluous(self, pictures: Sequence[Picture]) -> Iterator[str]:
        """Outputs that belong to none of the pictures."""
        for files in self._output_files.values():
            used = {path for picture in pictures for path in layouts.partners(picture.file, files, loosely=True)}
            left = [file.path for file in files if file.path not in used]
            if left:
                more = f" and {len(left) - 1} more" if len(left) > 1 else ""
                yield f"{left[0]}{more}: no HR picture of that name, so it is not scored"


def benchmark(
    sources: Sequence[str | Path] | str | Path,
    methods: Mapping[str, Method],
    scale: int,
    lr_folder: Path | None = None,
    protocol: Protocol = "picture",
    report: Report = lambda done, total: None,
    degradation: Degradation | None = None,
    outputs: Mapping[str, Path] | None = None,
) -> Table:
    """Score bicubic, Lanczos and the given methods on every set.

    A source is a folder of HR pictures, one with LR beside them (see `layouts`), or one picture. Pictures that cannot
    be scored are listed in the table. Raises EspcnError if a source holds none, or no telling which they are,
    ValueError if a method is called as one of the two.
    """
    comparison = Comparison(methods, scale, lr_folder, protocol, degradation, outputs or {})
    sources = [sources] if isinstance(sources, (str, Path)) else sources
    return measure(comparison, find_pictures([source_of(source) for source in sources], scale), report)


def measure(comparison: Comparison, pictures: Sequence[Picture], report: Report = lambda done, total: None) -> Table:
    """A row for each set and method; all rows of a set have the same pictures."""
    scored: dict[str, list[tuple[Picture, list[Score], dict[str, list[Score]]]]] = {}
    errors: list[str] = []
    for done, picture in enumerate(pictures, 1):
        try:
            scores = comparison.scores(picture)
            scored.setdefault(picture.dataset, []).append((picture, *scores))
        except EspcnError as error:
            errors.append(str(error))
        report(done, len(pictures))
    rows = [row for dataset, of_set in scored.items() for row in _rows(dataset, of_set, comparison)]
    return Table(rows, [*errors, *comparison.superfluous(pictures)], list(_cropped(pictures, comparison.scale)))


def _rows(
    dataset: str, scored: Sequence[tuple[Picture, list[Score], dict[str, list[Score]]]], comparison: Comparison
) -> Iterator[Row]:
    protocol = comparison.describe(scored[0][0])
    for index, name in enumerate(comparison.names):
        otherwise = {choice: mean_of([others[choice][index] for _, _, others in scored]) for choice in scored[0][2]}
        images = [scores[index] for _, scores, _ in scored]
        yield Row(dataset, comparison.scale, name, images, protocol, otherwise=otherwise)


def _cropped(pictures: Sequence[Picture], scale: int) -> Iterator[str]:
    """A note for each set of which pictures are not scored whole."""
    counts: dict[str, int] = {}
    for picture in pictures:
        try:
            width, height = extent_of(picture.path).size
        except EspcnError:
            continue
        if width % scale or height % scale:
            counts[picture.dataset] = counts.get(picture.dataset, 0) + 1
    for dataset, count in counts.items():
        some = "1 picture is" if count == 1 else f"{count} pictures are"
        yield f"{dataset}: {some} no multiple of {scale}, and cropped to one at the right and bottom"


def _of_scale(files: Sequence[File], scale: int) -> list[File]:
    return [file for file in files if file.scale in (None, scale)]


def find_pictures(sources: Sequence[Path], scale: int, suffixes: Container[str] = SUFFIXES) -> list[Picture]:
    """The HR pictures of all sets; a source that is given twice is one set.

    A set is called as its folder, or as the folder above one that is just called HR, a picture as its file without
    the suffix; what would be called alike gets longer names. Raises EspcnError for a source without pictures, and for
    one where there is no telling which of them are HR.
    """
    found: dict[Path, Group] = {}
    for source in sources:
        groups = [group for group in layouts.find_groups(source, suffixes) if group.at(scale).hr]
        if not groups:
            raise EspcnError(f"no pictures in {source}: name a folder with images", source)
        found |= {group.folder.resolve(): group for group in groups}
    datasets = distinct_names(list(found), _above_hr)
    return [
        Picture(dataset, name, file, group)
        for dataset, group in zip(datasets, found.values(), strict=True)
        for name, file in _named(group.at(scale).hr)
    ]


def _named(files: Sequence[File]) -> Iterator[tuple[str, File]]:
    """HR pictures and what they are called: without what only says HR or the scale, if they differ all the same."""
    bare = [file.short.with_name(f"{file.short.name}{file.path.suffix}") for file in files]
    paths = bare if len(set(bare)) == len(bare) else [file.inside for file in files]
    return zip(distinct_names(paths, without_suffix), files, strict=True)


def _above_hr(source: Path) -> Path:
    return source.parent if source.name.upper() == "HR" else source
