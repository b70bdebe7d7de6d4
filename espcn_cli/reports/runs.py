"""Trainings as a page, side by side: what each came to, its curves, how its settings differ, and its sample."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from espcn_cli.errors import EspcnError
from espcn_cli.figures import figure
from espcn_cli.files import is_file
from espcn_cli.network import checkpoint
from espcn_cli.reports import charts, page
from espcn_cli.reports.exhibits import data_uri
from espcn_cli.scoring.names import distinct_names
from espcn_cli.training.run_folder import RunFolder, best_of, gain_in_words

SUFFIX = ".run"


@dataclass(frozen=True)
class Told:
    """What a training's folder tells: one entry per validation, bicubic's PSNR, and how it was asked for."""

    name: str
    folder: RunFolder
    history: list[dict[str, float]]
    bicubic: float | None
    settings: dict[str, Any]


def read_runs(paths: Sequence[Path]) -> list[Told]:
    """Runs by their folders, or by the checkpoints beside them. Raises EspcnError if one holds no log."""
    folders = [path if path.suffix == SUFFIX or path.is_dir() else RunFolder.of(path).path for path in paths]
    names = distinct_names([folder.resolve() for folder in folders], lambda path: path.with_suffix(""))
    return [_read(RunFolder(folder), name) for folder, name in zip(folders, names, strict=True)]


def _read(folder: RunFolder, name: str) -> Told:
    try:
        with folder.log.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        history = [{key: float(value) for key, value in line.items() if value} for line in lines]
    except FileNotFoundError:
        raise EspcnError(f"{folder.path} is no training's folder: it holds no {folder.log.name}", folder.path) from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise EspcnError(f"{folder.log} cannot be read ({error})", folder.log) from None
    history = [entry for entry in history if "step" in entry and "psnr" in entry]
    if not history:
        raise EspcnError(f"{folder.log} holds no validation yet: wait for the first", folder.log)
    card = checkpoint.read_card(folder.last) if is_file(folder.last) else None
    bicubic = history[-1].get("bicubic") or (card.metrics.get("validation", {}).get("bicubic") if card else None)
    asked = {"network": card.name, "scale": card.settings.scale, **card.training.get("settings", {})} if card else {}
    return Told(name, folder, history, bicubic, asked)


def runs_page(runs: Sequence[Told]) -> str:
    """The whole page."""
    title = f"espcn train: {', '.join(run.name for run in runs[:4])}{' ...' if len(runs) > 4 else ''}"
    return page.page(title, filter(None, [_table(runs), _curves(runs), _settings(runs), *map(_sample, runs)]))


def _table(runs: Sequence[Told]) -> str:
    titles = ["", "best, dB", "at step", "over bicubic", "over its start", "SSIM", "steps", "minutes"]
    lines = []
    for run in runs:
        best, last = best_of(run.history), run.history[-1]
        start = run.history[0]["psnr"] if run.history[0]["step"] == 0 else None
        gains = [figure(None if before is None else best["psnr"] - before, sign="+") for before in (run.bicubic, start)]
        minutes = figure(last["seconds"] / 60, 1) if "seconds" in last else "-"
        found = [figure(best["psnr"]), f"{best['step']:,.0f}", *gains, figure(best.get("ssim"), 4)]
        lines.append([run.name, *found, f"{last['step']:,.0f}", minutes])
    words = [page.note(f"{run.name}: {gain_in_words(run.history, run.bicubic)}") for run in runs]
    return page.section("What came of it", page.plain_table(titles, lines), *words)


def _curves(runs: Sequence[Told]) -> str:
    known = {round(run.bicubic, 2) for run in runs if run.bicubic is not None}
    rules = {f"bicubic {value:.2f}" if len(known) > 1 else "bicubic": value for value in sorted(known)}
    psnr = {run.name: [(entry["step"], entry["psnr"]) for entry in run.history] for run in runs}
    plots = [charts.curves(psnr, rules, "validation PSNR in dB", "PSNR over steps")]
    loss = {
        run.name: points
        for run in runs
        if (points := [(entry["step"], entry["loss"]) for entry in run.history if "loss" in entry])
    }
    if loss:
        plots.append(charts.curves(loss, {}, "training loss", "Loss over steps"))
    return page.section("Curves", *(f'<div class="scroll">{plot}</div>' for plot in plots))


def _settings(runs: Sequence[Told]) -> str:
    """Those in which the runs differ; all of them, if there is one run."""
    names = list(dict.fromkeys(name for run in runs for name in run.settings))
    lines = [[name, *(str(run.settings.get(name, "-")) for run in runs)] for name in names]
    differ = [line for line in lines if len(runs) == 1 or len(set(line[1:])) > 1]
    if not differ:
        return ""
    title = "Settings" if len(runs) == 1 else "Settings in which they differ"
    return page.section(title, page.plain_table(["", *(run.name for run in runs)], differ))


def _sample(run: Told) -> str:
    if not is_file(run.folder.sample):
        return ""
    try:
        with Image.open(run.folder.sample) as image:
            levels = np.asarray(image.convert("RGB"))
    except OSError as error:
        raise EspcnError(f"{run.folder.sample} cannot be read ({error})", run.folder.sample) from None
    alt = page.text(f"{run.name}: bicubic, network and truth side by side")
    return page.section(f"Sample of {run.name}", f'<img alt="{alt}" style="max-width:100%" src="{data_uri(levels)}">')
