"""Methods scored on the pictures that people have: given pictures damaged, drawn pages, clips; the suite of `recipes`.

Every row is the same each time: what is drawn is drawn by the names of row and picture.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from espcn_cli.errors import EspcnError
from espcn_cli.figures import amount
from espcn_cli.maths import levels as whole
from espcn_cli.maths.colour import studio_luma
from espcn_cli.maths.levels import Levels, rounded
from espcn_cli.maths.resize import interpolate
from espcn_cli.pictures import raster, reading
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.folders import SUFFIXES
from espcn_cli.scoring import clips, drawn, recipes
from espcn_cli.scoring.benchmark import BASELINES, Report, find_pictures
from espcn_cli.scoring.damages import Damage, Rng, encoded, from_image, shrink, to_image
from espcn_cli.scoring.metrics import BRIGHTNESS_WINDOW, HIGHEST_PSNR, brightness_error, psnr, shave
from espcn_cli.scoring.table import REAL, Key, Row, Score, Shown, Table
from espcn_cli.scoring.tensors import from_levels

Method = Callable[[Document], tuple[Levels, float | None]]
"""A picture as read from its file -> uint8 (H·scale, W·scale, C), and the strength taken, None where there is none."""

DRAWN_SET = "drawn by espcn"
"""What the set of pages and patterns is called."""


@dataclass(frozen=True)
class Sample:
    """A picture of a row, as people have it, and what it should become: HR, uint8 (H, W, 1 or 3)."""

    row: str
    name: str
    lr: Document
    hr: Levels


@dataclass(frozen=True)
class Source:
    """What samples are made of: a picture, a page, a clip, or all patterns.

    `samples` makes those of given rows, `each` of every row; their names begin with `name`. `rows` are those that it
    is scored in.
    """

    dataset: str
    name: str
    rows: Sequence[str]
    samples: Callable[[Iterable[str]], Iterable[Sample]]
    each: int = 1

    @property
    def count(self) -> int:
        return self.each * len(self.rows)


def describe(scale: int) -> str:
    """One line that says how the numbers were made."""
    return (
        f"x{scale}, LR and files by the damages of docs/real-pictures.md, Pillow's 8 bits; the 8-bit output picture is "
        "scored: BT.601 luma 16-235 of both pictures, not rounded again, and RGB; grey files are their own luma; "
        f"{2 * scale} px border left out; PSNR with peak 255, at most {HIGHEST_PSNR:.2f} dB; light: mean difference in "
        f"brightness from the input, in levels, over windows of {BRIGHTNESS_WINDOW} x {BRIGHTNESS_WINDOW} of its pixels"
    )


def measure(
    sources: Sequence[Path],
    methods: Mapping[str, Method],
    scale: int,
    rows: Sequence[str] = recipes.ROWS,
    report: Report = lambda done, total: None,
) -> Table:
    """Score bicubic, Lanczos and the given methods on these rows of every set, and of what the tool draws.

    A source is a folder of HR pictures and clips, or one of them. What cannot be scored is listed in the table.
    Raises EspcnError if a source holds neither or nothing is to be done, ValueError if a method is called as one of
    the two or gives another size.
    """
    if clash := methods.keys() & set(BASELINES):
        raise ValueError(f"methods cannot be called {', '.join(clash)}: these two are always there")
    every = _every(methods, scale)
    found = [*_given(sources, scale, rows), *_drawn(scale, rows)]
    if not found:
        raise EspcnError("these rows are made from given pictures or videos: name folders that hold some")
    total, done = sum(source.count for source in found), 0
    scores: dict[tuple[str, str], list[list[Score]]] = {}
    errors: list[str] = []
    for source in found:
        try:
            for row, of_methods in _scored(source, every, scale, partial(_add, report, done, total)):
                scores.setdefault((source.dataset, row), []).append(of_methods)
        except EspcnError as error:
            errors.append(str(error))
        done += source.count
        report(done, total)
    return Table(list(_rows(scores, list(every), scale)), errors)


def again(
    sources: Sequence[Path],
    methods: Mapping[str, Method],
    scale: int,
    rows: Sequence[str],
    wanted: Collection[Key],
) -> Iterator[Shown]:
    """Those samples of what `measure` has scored that are wanted, and what every method makes of them."""
    every = _every(methods, scale)
    for source in (*_given(sources, scale, rows), *_drawn(scale, rows)):
        mine = [key for key in wanted if key.dataset == source.dataset and key.name.startswith(source.name)]
        if asked := [row for row in source.rows if any(key.row == row for key in mine)]:
            with suppress(EspcnError):  # of another picture, whose name only begins so
                for sample in source.samples(asked):
                    key = Key(source.dataset, scale, sample.row, sample.name)
                    if key in mine:
                        answers = {name: alike(method(sample.lr)[0], sample.hr) for name, method in every.items()}
                        yield Shown(key, answers, sample.hr)


def _every(methods: Mapping[str, Method], scale: int) -> dict[str, Method]:
    """Bicubic and Lanczos, and the given ones."""
    return {name: partial(interpolated, scale=scale, method=name) for name in BASELINES} | dict(methods)


def _add(report: Report, done: int, total: int, more: int) -> None:
    report(done + more, total)


def _scored(
    source: Source, methods: Mapping[str, Method], scale: int, report: Callable[[int], None]
) -> list[tuple[str, list[Score]]]:
    """All rows of a source, with a score for each method. Raises EspcnError if one of them cannot be scored."""
    scored: list[tuple[str, list[Score]]] = []
    for count, sample in enumerate(source.samples(source.rows), 1):
        of_methods: list[Score] = []
        for name, method in methods.items():
            try:
                of_methods.append(score(method, sample, scale))
            except EspcnError as error:
                where = f"{source.dataset}: {sample.name}, {sample.row}"
                raise EspcnError(f"{where}: {name} cannot be scored on it: {error}") from None
        scored.append((sample.row, of_methods))
        report(count)
    return scored


def _rows(scores: Mapping[tuple[str, str], list[list[Score]]], methods: Sequence[str], scale: int) -> Iterator[Row]:
    """Set by set, row by row in the suite's order, method by method."""
    datasets = list(dict.fromkeys(dataset for dataset, _ in scores))
    for dataset, row in sorted(scores, key=lambda key: (datasets.index(key[0]), recipes.ROWS.index(key[1]))):
        for method, images in zip(methods, zip(*scores[dataset, row], strict=True), strict=True):
            yield Row(dataset, scale, method, list(images), describe(scale), row, REAL)


def score(method: Method, sample: Sample, scale: int) -> Score:
    """How good a method's answer to one picture is. Raises ValueError for an answer of another size."""
    sr, strength = method(sample.lr)
    if sr.shape[:2] != sample.hr.shape[:2]:
        raise ValueError(
            f"{sample.name}: the method gives {sr.shape[1]} x {sr.shape[0]}, "
            f"not {sample.hr.shape[1]} x {sample.hr.shape[0]}: is it x{scale}?"
        )
    brightness = brightness_error(from_levels(sr), from_levels(sample.lr.frames[0].array()), scale)
    a, b = (shave(from_levels(picture), 2 * scale) for picture in (alike(sr, sample.hr), sample.hr))
    of_luma, of_all = (min(psnr(x, y), HIGHEST_PSNR) for x, y in ((studio_luma(a), studio_luma(b)), (a, b)))
    return Score(sample.name, of_luma, None, of_all, 255 * brightness, strength)


def alike(levels: Levels, like: Levels) -> Levels:
    """The same picture, uint8, with as many planes as `like`: grey may be saved in colours, and a grey RGB as grey."""
    return levels if levels.shape[2] == like.shape[2] else from_image(to_image(levels), like)


def interpolated(document: Document, scale: int, method: str) -> tuple[Levels, None]:
    """A method without a network: `bicubic` or `lanczos`, exact and rounded once."""
    levels = document.frames[0].array()
    planes = interpolate(levels.transpose(2, 0, 1)[None].astype(np.float64), scale, method)
    return rounded(planes[0].transpose(1, 2, 0), levels.dtype), None


def _given(sources: Sequence[Path], scale: int, rows: Sequence[str]) -> Iterator[Source]:
    damages = [row for row in rows if row in recipes.PICTURES]
    factors = [row for row in rows if row in recipes.CRF]
    for picture in find_pictures(sources, scale, SUFFIXES | clips.SUFFIXES):
        of_picture = picture.path, picture.name, scale
        if clips.is_clip(picture.path):
            each = len(recipes.SCORED_FRAMES)
            source = Source(picture.dataset, picture.name, factors, partial(frames, *of_picture), each)
        else:
            source = Source(picture.dataset, picture.name, damages, partial(damaged, *of_picture))
        if source.rows:
            yield source


def _drawn(scale: int, rows: Sequence[str]) -> Iterator[Source]:
    pages = [row for row in rows if row in recipes.DRAWN]
    for number in range(recipes.PAGES if pages else 0):
        yield Source(DRAWN_SET, f"page {number + 1}", pages, partial(page, number, scale))
    patterned = [row for row in rows if row in recipes.PIXELS]
    if patterned:
        yield Source(DRAWN_SET, "pattern", patterned, partial(patterns, scale), recipes.PATTERNS)


def damaged(path: Path, name: str, scale: int, rows: Iterable[str]) -> Iterator[Sample]:
    """A given picture in these rows. Raises EspcnError if it cannot be read or is too small to score."""
    hr = _fitting(read_hr(path), path, scale)
    for row in rows:
        yield Sample(row, name, as_read(_file(recipes.PICTURES[row], hr, scale, _rng(row, path.name))), hr)


def read_hr(path: Path) -> Levels:
    """The first frame of a file, uint8 (H, W, 1 or 3): more bits are rounded, what is transparent lies on white."""
    frame, _, _ = reading.read_first(path)
    return whole.to_8_bits(raster.on_white(frame).array())


def page(number: int, scale: int, rows: Iterable[str]) -> Iterator[Sample]:
    """A page of each kind in these rows: number for number another, and the same each time."""
    for row in rows:
        drawing = recipes.DRAWN[row]
        sheet = recipes.PAGE_KINDS[drawing.kind](_rng(drawing.kind, str(number)), recipes.PAGE_SIZE)
        hr, rng = sheet.draw(scale), _rng(row, str(number))
        file = drawing.damage.file(sheet.draw(1), rng) if drawing.twice else _file(drawing.damage, hr, scale, rng)
        yield Sample(row, f"page {number + 1}", as_read(file), hr)


def patterns(scale: int, rows: Iterable[str]) -> Iterator[Sample]:
    """Patterns of single pixels in these rows."""
    for row in rows:
        for number in range(recipes.PATTERNS):
            colours = None if number else recipes.GREY_AND_WHITE
            lr = drawn.single_pixels(_rng(row, str(number)), recipes.PATTERN_SIZE, recipes.PIXELS[row], colours)
            hr = lr.repeat(scale, axis=0).repeat(scale, axis=1)
            yield Sample(row, f"pattern {number + 1}", as_read(encoded(lr, "PNG")), hr)


def frames(path: Path, name: str, scale: int, rows: Iterable[str]) -> Iterator[Sample]:
    """Frames of a clip, made small and compressed. Raises EspcnError if there is no PyAV, or no video in the file."""
    lrs: list[Levels] = []
    hrs: dict[int, Levels] = {}
    for index, frame in enumerate(clips.read(path, recipes.CLIP_FRAMES)):
        hr = _fitting(frame, path, 2 * scale)
        lrs.append(shrink(hr, scale, "lanczos"))
        if index in recipes.SCORED_FRAMES:
            hrs[index] = hr
    if not hrs:
        raise EspcnError(f"{path}: a clip of {amount(len(lrs), 'frame')} is too short to score", path)
    for row in rows:
        compressed = clips.through_h264(lrs, recipes.CRF[row])
        for index, hr in hrs.items():
            yield Sample(row, f"{name}, frame {index + 1}", Document((raster.from_array(compressed[index]),)), hr)


def _fitting(hr: Levels, path: Path, multiple: int) -> Levels:
    """Cut at the right and bottom to a multiple. Raises EspcnError if there is too little to score."""
    height, width = hr.shape[:2]
    if min(height, width) < BRIGHTNESS_WINDOW * multiple:
        raise EspcnError(
            f"{path}: {width} x {height} pixels are too few to score: {BRIGHTNESS_WINDOW * multiple} at least"
        )
    return hr[: height - height % multiple, : width - width % multiple]


def _file(damage: Damage, hr: Levels, scale: int, rng: Rng) -> bytes:
    return damage.file(shrink(hr, scale, damage.kernel, damage.blur), rng)


def as_read(file: bytes) -> Document:
    """A file as a user's: written, and read by the door that all pictures come through."""
    with TemporaryDirectory(prefix="espcn-") as folder:
        path = Path(folder, "picture")
        path.write_bytes(file)
        return reading.read_document(path)


def _rng(*names: str) -> Rng:
    return np.random.default_rng(zlib.crc32("/".join(names).encode(errors="surrogateescape")))
