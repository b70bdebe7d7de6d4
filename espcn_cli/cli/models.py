"""`espcn models` on the command line."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from espcn_cli.cli.terminal import Json, show, show_json
from espcn_cli.figures import figure
from espcn_cli.settings import ARCHITECTURES, BEFORE_SETTINGS, PLANES, REAL, TrainSettings

if TYPE_CHECKING:
    from espcn_cli.network.checkpoint import ModelCard

TRAIN = TrainSettings()

PURPOSES = (
    f"Names ending in {REAL} are for pictures as people have them: compressed, noisy, sharpened, text, drawings.",
    "The others are for pictures made small by clean bicubic, which papers measure and `espcn benchmark` makes.",
)


def list_models(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH", help="Checkpoints to describe, or files that `espcn import` takes; else what is shipped."
        ),
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="What each runs by on this machine and why; with PyTorch also the checkerboard."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """List the shipped models, or describe checkpoints: size, cost, how they were made and what they score.

    Of the checkerboard, -v tells two things. Ripple is what the network does print on flat grey, in levels of 255.
    The bound is what its last layer could print if it were fed any flat planes in [-1, 1]; 0 would mean never.
    """
    from espcn_cli.exchange import importing
    from espcn_cli.network import checkpoint
    from espcn_cli.paths import file_of

    named = [file_of(path) for path in paths or []]
    cards = [(path, importing.read_card(path)) for path in named] if named else checkpoint.list_shipped()
    described = [card_to_dict(path, card) | (look_closer(path, card) if verbose else {}) for path, card in cards]
    if named or as_json:
        show_json(described)
    else:
        show(format_models(described))


def format_models(models: list[dict[str, Any]]) -> str:
    measured = any("ripple" in model for model in models)
    width = max([len(model["name"]) for model in models], default=8) + 2
    lines = [f"{'name':{width}}{'scale':>6}{'parameters':>12}{'MACs/pixel':>12}{'kB':>6}{'PSNR':>8}{'bicubic':>9}"]
    lines[0] += f"{'ripple':>8}{'bound':>8}" if measured else ""
    for model in models:
        scores = model["metrics"].get("validation", {})
        line = f"{model['name']:{width}}{'x' + str(model['scale']):>6}{model['parameters']:>12,}"
        line += f"{model['macs_per_lr_pixel']:>12,}"
        line += f"{model['bytes'] / 1000:>6.0f}{figure(scores.get('psnr')):>8}{figure(scores.get('bicubic')):>9}"
        lines.append(line + (f"{figure(model['ripple']):>8}{figure(model['checkerboard'], 1):>8}" if measured else ""))
    lines.append("MACs per LR pixel; PSNR in dB on the pictures each model was validated on, bicubic on the same.")
    return "\n".join([*lines, *PURPOSES, *format_choices(models)])


def format_choices(models: list[dict[str, Any]]) -> list[str]:
    """What the models run by here, a line for each way."""
    names: dict[str, list[str]] = {}
    for model in models:
        if runs := model.get("runs"):
            line = f"{runs['engine']} on {runs['device']} in {runs['precision']} ({runs['reason']})"
            names.setdefault(line, []).append(model["name"])
    return [f"Here {', '.join(dict.fromkeys(those))}: {line}." for line, those in names.items()]


def look_closer(path: Path, card: ModelCard) -> dict[str, Any]:
    """What a model runs by on this machine; and its checkerboard, which PyTorch measures."""
    from espcn_cli.engines.opening import decide, is_installed

    runs = {"runs": asdict(decide(card.settings))}
    return runs | (measure_checkerboard(path) if is_installed("torch") else {})


def measure_checkerboard(path: Path) -> dict[str, float]:
    """In levels of 255: what a network prints on flat grey, and what its last layer could."""
    from espcn_cli.exchange import importing
    from espcn_cli.network.checkerboard import checkerboard
    from espcn_cli.network.espcn import build, ripple

    card, weights = importing.read(path)
    network = build(card.settings, weights)
    bound = checkerboard(network.tail.weight, network.tail.bias, network.settings.scale)
    return {"ripple": 255 * ripple(network), "checkerboard": 255 * bound}


def training_command(card: ModelCard) -> str | None:
    """The command that makes a checkpoint again, from the folders that it names; None if it does not say."""
    if "settings" not in card.training:
        return None
    data = card.training.get("data", {})
    name = card.name.removesuffix(REAL) if card.sister else card.name
    planes = [name for name, count in PLANES.items() if count == card.settings.planes and name != "luma"]
    parts = [
        "espcn train",
        *map(shlex.quote, data.get("folders", ["DATA"])),
        "--valid VALID",
        *([f"-m {name}"] if name in ARCHITECTURES else []),  # an imported network goes on in its own form
        f"-s {card.settings.scale}",
    ]
    parts += [f"--planes {name}" for name in planes]
    parts += ["--drawings DRAWINGS"] if "drawings" in data else []
    parts += [f"--init {shlex.quote(card.training['init'])}"] if "init" in card.training else []
    parts += [f"--precision {card.training['precision']}"] if "precision" in card.training else []
    for name, value in {**BEFORE_SETTINGS, **card.training["settings"]}.items():
        if value != getattr(TRAIN, name, None):
            parts.append(f"--{name.replace('_', '-')} {value}")
    return " ".join(parts)


def card_to_dict(path: Path, card: ModelCard) -> dict[str, Any]:
    from espcn_cli.exchange import importing

    settings = card.settings
    foreign = {} if importing.is_ours(path) else {"form": card.training["imported"]["form"]}
    foreign |= {"import": importing.becomes(path, card)} if foreign else {}
    return {
        "name": card.name,
        **foreign,
        "sister": card.sister.name if card.sister else None,
        "file": str(path),
        "bytes": path.stat().st_size,
        "scale": settings.scale,
        "parameters": settings.parameters,
        "macs_per_lr_pixel": settings.macs,
        "settings": settings.to_dict(),
        "metrics": card.metrics,
        "command": training_command(card),
        "training": card.training,
        "license": card.license,
    }
