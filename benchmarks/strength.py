"""Fit which strength `auto` takes: python benchmarks/strength.py TRAIN VALID [-m espcn-m-real] [-s 2] [--write]

TRAIN and VALID are folders of photographs; --drawings and --valid-drawings add drawn pictures. Parts of them, and pages
of text, interfaces and single pixels drawn here, go through damages of all sorts, are enlarged at strengths 0, 0.25,
0.5, 0.75 and 1, and scored: PSNR of Y in dB. That table is made once and kept in --cache, so that an interrupted run
continues. Then a small network is fitted on TRAIN: from statistics of a picture and what its file tells to a strength,
with the dB lost to the best strength as its loss. While it learns it also has to tell what happened to the picture and
what each strength loses, which teaches it more from as many pictures. Losses are printed for TRAIN and VALID; --write
ships the network.

Between the measured strengths the squared error is interpolated: a polynomial of the fourth degree, as it is nearly one
of the second.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from espcn_cli.engines.torch_engine import TorchEngine, to_planes
from espcn_cli.files import replacing, write_tensors
from espcn_cli.maths.colour import luma, studio_luma
from espcn_cli.maths.levels import Floats, Levels
from espcn_cli.maths.resize import interpolate
from espcn_cli.network import checkpoint, espcn, mixing, named
from espcn_cli.pictures import folders
from espcn_cli.pictures.traces import Traces
from espcn_cli.scoring import drawn, suite
from espcn_cli.scoring.damages import Damage, Jpeg, any_damage, shrink
from espcn_cli.settings import STRENGTH_STEPS
from espcn_cli.upscaling import strength

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Those that are measured."""

SIDE = 256
"""LR pixels of a part's side: all of it shows which strength it needs ..."""

SCORED = 96
"""... and a square of this side is enlarged and scored, but for a border."""

BORDER = 8
"""LR pixels of the border, or an eighth of the side."""

SMALLER = (32, 48, 64, 96)
"""Sides of some parts, as icons and thumbnails are."""

PAGES = 40
"""Pages of each kind that are drawn for TRAIN; a quarter as many for VALID."""

MOST_SHIFT = 1.5
"""Levels by which brightness may be off in the worst tenth of a picture's areas before it counts as a loss ..."""

SHIFT_COSTS = 0.3
"""... of so many dB for each level more."""

TIMES = {"text": 3}
"""How often inputs of these kinds count: there are fewer of them than of photographs."""

AVERAGED = 2
"""How often photographs count that were made small by the mean of squares and no more: the commonest of those that are
hard to tell from sharpened ones."""

SEEDS, HIDDEN, EPOCHS = 3, 64, 200
"""Networks whose mean is taken, their hidden units, and how long they learn."""

MOST_LOST = 3.0
"""Of dB: more counts as so many."""

BESIDE = 0.5
"""The weight of what they have to tell beside the strength."""

NAMED = (
    *(Damage(kernel) for kernel in ("bicubic", "bicubic", "area", "area", "lanczos", "lanczos", "nearest")),
    *(Damage("lanczos", sharpen=percent) for percent in (30, 60, 80, 80, 120, 150)),
    *(Damage(kernel, sharpen=80) for kernel in ("bicubic", "area")),
    Damage(blur=0.5),
    *(Damage("lanczos", halftone=period) for period in (2.5, 4)),
    *(Damage("lanczos", noise=deviation) for deviation in (1.5, 3, 6)),
    Damage("lanczos", shot=2000),
    *(Damage("lanczos", jpegs=(Jpeg(quality),)) for quality in (97, 95, 90, 85, 80, 75, 60, 50, 40, 30)),
    *(Damage("lanczos", jpegs=(Jpeg(quality, "4:4:4"),)) for quality in (95, 85, 60)),
    *(Damage("lanczos", jpegs=(Jpeg(quality),), resaved=True) for quality in (90, 75, 50)),
    *(Damage("lanczos", jpegs=(Jpeg(quality, cropped=3),)) for quality in (85, 60)),
    *(Damage("lanczos", jpegs=(Jpeg(first), Jpeg(last))) for first, last in ((75, 90), (50, 85))),
    *(Damage(kernel, jpegs=(Jpeg(85),)) for kernel in ("bicubic", "area", "nearest")),
    *(Damage("lanczos", sharpen=80, jpegs=(Jpeg(quality),)) for quality in (95, 85)),
    *(Damage("lanczos", webp=quality) for quality in (90, 80, 60, 40)),
    Damage("lanczos", webp=75, resaved=True),
    *(Damage("lanczos", colours=colours) for colours in (256, 64, 16)),
    Damage("lanczos", colours=16, resaved=True),
)
"""What a third of the inputs go through."""

ALIKE = (
    *(Damage(kernel) for kernel in (*3 * ("bicubic", "lanczos"), *5 * ("area",), "nearest")),
    *(Damage("lanczos", sharpen=percent) for percent in (50, 80, 120)),
    *(Damage(kernel, sharpen=80) for kernel in ("bicubic", "area")),
    Damage("bicubic", blur=0.5),
    *(Damage("lanczos", noise=deviation) for deviation in (2, 2, 4, 4)),
    *(Damage("lanczos", jpegs=(Jpeg(quality),)) for quality in (97, 95, 95, 92, 90, 88)),
    Damage("lanczos", sharpen=80, jpegs=(Jpeg(92),)),
)
"""What another third goes through: hard to tell apart, of very different strengths; the last third through anything."""


@dataclass(frozen=True)
class Scene:
    """A part of a picture or a drawn page, and the seed that decides all about it. `path` is None for a drawn one."""

    name: str
    kind: str
    path: Path | None = None

    @property
    def seed(self) -> int:
        return zlib.crc32(self.name.encode(errors="surrogateescape"))


@dataclass(frozen=True)
class Table:
    """Inputs, a row each: kind and damage, statistics and facts (n, m), squared errors and shifts at the STRENGTHS.

    `happened` says in numbers what the damage was.
    """

    kinds: list[str]
    damages: list[str]
    happened: Floats
    values: Floats
    errors: Floats
    shifts: Floats
    lanczos: Floats

    def psnr(self) -> Floats:
        """(n, 9): dB at each step of strength."""
        steps = np.arange(STRENGTH_STEPS + 1) / STRENGTH_STEPS
        through = np.vander(steps, len(STRENGTHS)) @ np.linalg.inv(np.vander(STRENGTHS, len(STRENGTHS)))
        least = 0.9 * self.errors.min(axis=1, keepdims=True)
        return to_psnr(np.maximum(self.errors @ through.T, least))

    def lost(self) -> Floats:
        """(n, 9): dB lost to the best strength at each step, and what a shift of brightness costs."""
        steps = np.arange(STRENGTH_STEPS + 1) / STRENGTH_STEPS
        shifts = np.stack([np.interp(steps, STRENGTHS, row) for row in self.shifts])
        gained = self.psnr() - SHIFT_COSTS * np.maximum(shifts - MOST_SHIFT, 0)
        lost: Floats = gained.max(axis=1, keepdims=True) - gained
        return lost


def to_psnr(squared_error: Floats) -> Floats:
    """Of levels of 255; at most what rounding to whole levels leaves."""
    psnr: Floats = 10 * np.log10(255**2 / np.maximum(squared_error, 1 / 12))
    return psnr


# --- the inputs ------------------------------------------------------------------------------------------------------


def scenes(photographs: Path, drawings: Path | None, parts: int, pages: int) -> list[Scene]:
    """Every picture in the folders, `parts` times, and so many pages of each kind."""
    found = [("photograph", photographs), *([("drawing", drawings)] if drawings else [])]
    taken = [
        Scene(f"{folder.name}/{path.relative_to(folder)}#{part}", kind, path)
        for kind, folder in found
        for path in sorted(folders.find_all([folder]))
        for part in range(parts)
    ]
    kinds = ("text", "text at both sizes", "interface", "single pixels")
    return taken + [Scene(f"{photographs.name} {kind} {number}", kind) for kind in kinds for number in range(pages)]


def inputs(scene: Scene, scale: int, count: int) -> Iterator[tuple[Damage, bytes, Levels]]:
    """Damages, files and HR of a scene; nothing if its picture is too small."""
    rng = np.random.default_rng(scene.seed)
    hr, small = pair(scene, scale, rng)
    if min(hr.shape[:2]) < scale * min(SMALLER):
        return
    third = count // 3
    named = [some[index] for some in (NAMED, ALIKE) for index in rng.permutation(len(some))[:third]]
    for damage in [*named, *(any_damage(rng) for _ in range(count - 2 * third))]:
        if small is not None:
            damage = replace(damage, kernel="bicubic", blur=0, sharpen=0)
        damage = replace(damage, resaved=damage.resaved or rng.random() < 0.15)
        lr = small if small is not None else shrink(hr, scale, damage.kernel, damage.blur)
        yield damage, damage.file(lr, rng), hr


def pair(scene: Scene, scale: int, rng: np.random.Generator) -> tuple[Levels, Levels | None]:
    """HR, and LR where that is drawn by itself."""
    side = int(rng.choice(SMALLER)) if rng.random() < 0.15 else SIDE
    if scene.path is not None:
        return part_of(scene.path, scale, side, rng), None
    if scene.kind == "single pixels":
        lr = drawn.single_pixels(rng, (side, side))
        return lr.repeat(scale, axis=0).repeat(scale, axis=1), lr
    page = (drawn.interface_page if scene.kind == "interface" else drawn.text_page)(rng, (side, side))
    return page.draw(scale), page.draw(1) if scene.kind == "text at both sizes" else None


def part_of(path: Path, scale: int, side: int, rng: np.random.Generator) -> Levels:
    """A random square of a picture, in grey now and then; a picture smaller than that whole."""
    levels = suite.read_hr(path)
    height, width = (min(scale * side, length // scale * scale) for length in levels.shape[:2])
    y, x = (int(rng.integers(whole - part + 1)) for whole, part in zip(levels.shape, (height, width), strict=False))
    part = np.ascontiguousarray(levels[y : y + height, x : x + width])
    return part[..., 1:2] if rng.random() < 0.1 else part


# --- the table -------------------------------------------------------------------------------------------------------


def measure(scene: Scene, scale: int, engines: Sequence[TorchEngine], count: int, folder: Path) -> Path | None:
    """The file of a scene's rows: measured now, or before; None if it has none."""
    path = folder / f"{scene.seed:08x}.npz"
    if path.exists():
        return path
    made = list(inputs(scene, scale, count))
    if not made:
        return None
    rng = np.random.default_rng(scene.seed)
    scored = [score(file, hr, scale, engines, rng) for _, file, hr in made]
    errors, shifts, lanczos = (np.array(column) for column in zip(*scored, strict=True))
    with replacing(path) as temporary, temporary.open("wb") as out:
        np.savez(
            out,
            damages=np.array([str(damage) for damage, _, _ in made]),
            happened=np.array([happened(damage) for damage, _, _ in made]),
            files=np.frombuffer(b"".join(file for _, file, _ in made), np.uint8),
            lengths=np.array([len(file) for _, file, _ in made]),
            errors=errors,
            shifts=shifts,
            lanczos=lanczos,
        )
    return path


def happened(damage: Damage) -> list[float]:
    """A damage in numbers around 1."""
    qualities = [jpeg.quality for jpeg in damage.jpegs]
    return [
        *(float(damage.kernel == kernel) for kernel in ("bicubic", "area", "lanczos", "nearest")),
        2 * damage.blur,
        min(damage.sharpen / 80, 1.5),
        float(damage.sharpen > 0),
        float(damage.sharpen > 0 and not qualities),
        min(damage.noise / 4, 2),
        float(damage.shot > 0),
        float(damage.halftone > 0),
        float(damage.colours > 0),
        (100 - damage.webp) / 50 if damage.webp else 0,
        (100 - min(qualities)) / 50 if qualities else 0,
    ]


def score(
    file: bytes, hr: Levels, scale: int, engines: Sequence[TorchEngine], rng: np.random.Generator
) -> tuple[list[float], list[float], float]:
    """Squared errors and shifts of brightness at each strength, and Lanczos' squared error, in a square somewhere."""
    lr = suite.as_read(file).frames[0].array()
    top, left = (int(rng.integers(max(side - SCORED, 0) + 1)) for side in lr.shape[:2])
    lr, hr = lr[top : top + SCORED, left : left + SCORED], hr[scale * top :, scale * left :]
    hr = hr[: scale * lr.shape[0], : scale * lr.shape[1]]
    y, truth = (luma(to_planes(np.ascontiguousarray(levels), 0, 255)) for levels in (lr, hr))
    border = scale * min(BORDER, min(lr.shape[:2]) // 8)
    results = [engine.planes(y).clamp(0, 1) for engine in engines]
    errors = [squared_error(result, truth, border) for result in results]
    lanczos = squared_error(interpolate(y, scale, "lanczos").clamp(0, 1), truth, border)
    return errors, [shift(result, y, scale) for result in results], lanczos


def squared_error(result: Tensor, truth: Tensor, border: int) -> float:
    """Of Y in levels of 255."""
    difference = (result - truth)[..., border:-border, border:-border]
    studio = studio_luma(torch.ones(1, 3, 1, 1)) - studio_luma(torch.zeros(1, 3, 1, 1))
    return float((255 * studio.squeeze() * difference).square().mean())


def shift(result: Tensor, y: Tensor, scale: int) -> float:
    """By how many levels areas of 8×8 LR pixels come out brighter or darker, in the worst tenth of them."""
    change = F.avg_pool2d(result, 8 * scale) - F.avg_pool2d(y, 8)
    return float(torch.quantile(255 * change.abs(), 0.9))


def read(scenes_and_files: Sequence[tuple[Scene, Path]]) -> Table:
    """All rows, with statistics as they are computed now."""
    rows = [(scene, np.load(path)) for scene, path in scenes_and_files]
    values = [
        describe(file.tobytes()) for _, row in rows for file in np.split(row["files"], np.cumsum(row["lengths"])[:-1])
    ]
    return Table(
        [scene.kind for scene, row in rows for _ in row["damages"]],
        [str(damage) for _, row in rows for damage in row["damages"]],
        np.concatenate([row["happened"] for _, row in rows]),
        np.array(values),
        *(np.concatenate([row[name] for _, row in rows]) for name in ("errors", "shifts", "lanczos")),
    )


def describe(file: bytes) -> Floats:
    """Statistics and facts of a file."""
    document = suite.as_read(file)
    return np.concatenate([strength.statistics(strength.windows(document.frames)), strength.facts(document.traces)])


# --- the fit ---------------------------------------------------------------------------------------------------------


def fit(table: Table, columns: NDArray[np.intp], seeds: int, hidden: int, epochs: int) -> dict[str, Floats]:
    """The mean of a few networks of one hidden layer, as one: what `strength.decide` takes, for some columns."""
    kinds = zip(table.kinds, table.damages, strict=True)
    rows = np.repeat(np.arange(len(table.kinds)), [times(kind, damage) for kind, damage in kinds])
    values = table.values[rows][:, columns]
    mean, deviation = values.mean(axis=0), values.std(axis=0) + 1e-3
    usual = torch.from_numpy(((values - mean) / deviation).clip(-strength.FARTHEST, strength.FARTHEST)).float()
    lost = torch.from_numpy(table.lost()[rows]).float().clamp(max=MOST_LOST)
    told = torch.from_numpy(table.happened[rows]).float()
    told = torch.cat([(told - told.mean(dim=0)) / (told.std(dim=0) + 1e-3), lost], dim=1)
    parts = [descend(usual, lost, told, hidden, epochs, seed) for seed in range(seeds)]
    layers = [np.concatenate([part[index] for part in parts]) for index in range(4)]
    return {
        "mean": mean,
        "deviation": deviation,
        "hidden.weight": layers[0],
        "hidden.bias": layers[1],
        "output.weight": layers[2] / seeds,
        "output.bias": layers[3].mean(keepdims=True),
    }


def times(kind: str, damage: str) -> int:
    """How often an input counts."""
    return AVERAGED if kind == "photograph" and damage == str(Damage("area")) else TIMES.get(kind, 1)


def descend(values: Tensor, lost: Tensor, told: Tensor, hidden: int, epochs: int, seed: int) -> list[Floats]:
    """Two layers whose strengths lose the fewest dB, in the mean, and from whose first layer `told` can be told."""
    torch.manual_seed(seed)
    first, last, beside = nn.Linear(values.shape[1], hidden), nn.Linear(hidden, 1), nn.Linear(hidden, told.shape[1])
    learning = nn.ModuleList([first, last, beside])
    batches = max(len(values) // 256, 1)
    optimiser = torch.optim.AdamW(learning.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, total_steps=epochs * batches)
    for _ in range(epochs):
        for some in torch.randperm(len(values)).chunk(batches):
            blurred = values[some] + 0.05 * torch.randn(len(some), values.shape[1])
            inner = F.dropout(torch.tanh(first(blurred)), 0.1)
            place = STRENGTH_STEPS * torch.sigmoid(last(inner))
            below = place.detach().floor().clamp(max=STRENGTH_STEPS - 1).long()
            ends = lost[some].gather(1, torch.cat([below, below + 1], dim=1))
            loss = torch.lerp(ends[:, :1], ends[:, 1:], place - below).mean()
            loss = loss + BESIDE * ((beside(inner) - told[some]).square().mean())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return [array.detach().numpy() for array in (first.weight, first.bias, last.weight[0], last.bias)]


# --- what it comes to ------------------------------------------------------------------------------------------------


def losses(table: Table, strengths: NDArray[np.float64]) -> Floats:
    """(n) dB lost to the best of the STRENGTHS, for what is taken in whole steps."""
    psnr = table.psnr()
    best: Floats = psnr[:, :: STRENGTH_STEPS // (len(STRENGTHS) - 1)].max(axis=1)
    return best - at(psnr, strengths)


def at(psnr: Floats, strengths: NDArray[np.float64]) -> Floats:
    """(n, 9) -> (n): dB at the nearest step."""
    taken: Floats = psnr[np.arange(len(psnr)), np.rint(strengths * STRENGTH_STEPS).astype(int)]
    return taken


def report(name: str, table: Table, strengths: NDArray[np.float64]) -> None:
    lost, kinds = losses(table, strengths), np.array(table.kinds)
    each = ", ".join(f"{kind} {lost[kinds == kind].mean():.3f}" for kind in dict.fromkeys(table.kinds))
    print(f"{name:24}{lost.mean():.3f}   {each}")


def report_damages(table: Table, strengths: NDArray[np.float64]) -> None:
    """What the named damages of photographs and drawings lose, and gain over Lanczos."""
    lost, psnr = losses(table, strengths), table.psnr()
    gained, best = at(psnr, strengths) - to_psnr(table.lanczos), psnr.argmax(axis=1) / STRENGTH_STEPS
    for kind in ("photograph", "drawing"):
        for damage in dict.fromkeys(map(str, NAMED)):
            rows = np.array([k == kind and d == damage for k, d in zip(table.kinds, table.damages, strict=True)])
            if rows.any():
                means = [column[rows].mean() for column in (lost, gained, strengths, best)]
                print("{:7.3f} lost, {:6.2f} over Lanczos, {:5.2f} taken, {:5.2f} best".format(*means), end="")
                print(f" {rows.sum():4} x {kind}, {damage}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("valid", type=Path)
    parser.add_argument("--drawings", type=Path)
    parser.add_argument("--valid-drawings", type=Path)
    parser.add_argument("-m", "--model", default="espcn-m-real", help="real weights, a name or a file")
    parser.add_argument("--clean", help="clean weights, where the real ones do not name them: a name or a file")
    parser.add_argument("-s", "--scale", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path("runs/strength"))
    parser.add_argument("--inputs", type=int, default=12, help="of each scene of TRAIN; twice as many of VALID's")
    parser.add_argument("--write", type=Path, nargs="?", const=checkpoint.weights_folder() / "strength.safetensors")
    arguments = parser.parse_args()

    real = named.find(arguments.model, arguments.scale)
    clean = named.find(arguments.clean, arguments.scale) if arguments.clean else mixing.find_sister(real)
    if clean is None:
        parser.error(f"{real} names no sister that is there: name one with --clean")
    weights = mixing.read_pair(clean, real)
    engines = [TorchEngine(espcn.build(weights.settings, weights.at(s))) for s in STRENGTHS]
    key = f"{checkpoint.fingerprint(weights.clean)[:8]}-{checkpoint.fingerprint(weights.real)[:8]}"
    folder = arguments.cache / f"{key}_x{arguments.scale}"
    folder.mkdir(parents=True, exist_ok=True)

    tables = []
    for photographs, drawings, parts, pages, count in (
        (arguments.train, arguments.drawings, 2, PAGES, arguments.inputs),
        (arguments.valid, arguments.valid_drawings, 2, PAGES // 4, 2 * arguments.inputs),
    ):
        wanted = scenes(photographs, drawings, parts, pages)
        found = []
        for number, scene in enumerate(wanted):
            print(f"\r{photographs}: {number} of {len(wanted)} scenes", end="", flush=True)
            if path := measure(scene, arguments.scale, engines, count, folder):
                found.append((scene, path))
        tables.append(read(found))
        print(f"\r{photographs}: {len(tables[-1].kinds)} inputs from {len(found)} scenes")

    train = tables[0]
    every = np.arange(train.values.shape[1])
    by_file = every[-len(strength.facts(Traces())) :]
    fitted = fit(train, every, SEEDS, HIDDEN, EPOCHS)
    of_file = fit(train, by_file, 1, HIDDEN, EPOCHS)
    print("\ndB lost to the best of", *STRENGTHS)
    for name, table in zip(("TRAIN", "VALID"), tables, strict=True):
        ones = np.ones(len(table.kinds))
        report(f"{name} always 0.5", table, 0.5 * ones)
        report(f"{name} always 1", table, ones)
        report(f"{name} by the file alone", table, strength.decide(table.values[:, by_file], of_file))
        report(f"{name} by file and picture", table, strength.decide(table.values, fitted))
    report_damages(tables[1], strength.decide(tables[1].values, fitted))
    if arguments.write:
        arrays = {name: np.asarray(array, np.float32) for name, array in fitted.items()}
        lost = float(losses(tables[1], strength.decide(tables[1].values, fitted)).mean())
        made = {
            "format": "espcn-strength",
            "model": real.name,
            "lost": f"{lost:.3f} dB on {len(tables[1].kinds)} inputs",
        }
        write_tensors(arguments.write, arrays, made)


if __name__ == "__main__":
    main()
