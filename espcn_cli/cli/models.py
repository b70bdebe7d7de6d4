"""`espcn models` on the command line."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from espcn_cli.cli.terminal import Json, say, show, show_json
from espcn_cli.figures import amount, figure
from espcn_cli.settings import ARCHITECTURES, BEFORE_SETTINGS, PLANES, REAL, TrainSettings

if TYPE_CHECKING:
    from espcn_cli.network.checkpoint import ModelCard
    from espcn_cli.network.named import Named

TRAIN = TrainSettings()

PURPOSES = (
    f"Names ending in {REAL} are for pictures as people have them: compressed, noisy, sharpened, text, drawings.",
    "The others are for pictures made small by clean bicubic, which papers measure and `espcn benchmark` makes.",
)

PURPOSE_OF = {
    "bicubic": "pictures made small by clean bicubic, as papers measure",
    "area": "pictures made small by averaging areas",
    "lanczos": "pictures made small by Lanczos",
    "aliased": "pictures made small by taking every n-th pixel",
    "camera": "photographs that are blurred, noisy and compressed",
    "real": "pictures as people have them: compressed, noisy, sharpened, text, drawings",
}
"""What a network is for, by the degradation that it was trained to undo."""

PLANE_WORDS = {"luma": "luma, which colours follow", "rgb": "RGB"}


def list_models(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH",
            help="Models by name, checkpoints, or files that `espcn import` takes. Default: a list of what is shipped, "
            "and of your own.",
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
    """List the models that have names, or show cards of checkpoints: what each is for, its cost, scores and licence.

    Names are of what is shipped and of your own: checkpoints in the folder that ESPCN_MODELS names, else in the one for
    your data (~/.local/share/espcn/models on Linux). `mine_x2.safetensors` and `mine_x4.safetensors` are `mine`.

    Of the checkerboard, -v tells two things. Ripple is what the network does print on flat grey, in levels of 255.
    The bound is what its last layer could print if it were fed any flat planes in [-1, 1]; 0 would mean never.
    """
    from espcn_cli.network import named

    own = named.list_own()
    listed = [named.Named(card.name, path, card) for path, card in named.list_shipped()] + [*own.models]
    wanted = [model for path in paths for model in models_of(path, listed)] if paths else listed
    described = [card_to_dict(model) | (look_closer(model.path, model.card) if verbose else {}) for model in wanted]
    for trouble in () if paths else own.troubles:
        say(f"espcn: {trouble}")
    if as_json:
        show_json(described)
    elif paths:
        show("\n\n".join(format_card(model) for model in described))
    else:
        show(format_models(described))
        if own.models:
            show(f"Your own lie in {named.models_folder()}.")


def models_of(word: str, listed: Sequence[Named]) -> list[Named]:
    """What a word names: a file that is there, or all models of a name. Raises EspcnError for anything else."""
    from espcn_cli.exchange import importing
    from espcn_cli.files import is_there
    from espcn_cli.network import named
    from espcn_cli.paths import file_of

    found = [] if is_there(Path(word)) else [model for model in listed if word in (model.name, model.path.stem)]
    if found:
        return found
    path = file_of(word) if is_there(Path(word)) else named.find(word)
    card = importing.read_card(path)
    return [named.Named(card.name, path, card)]


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


def format_card(model: dict[str, Any]) -> str:
    """One model for people: a title, and below it what they ask of a network, a line or a few for each."""
    settings, training = model["settings"], model["training"]
    sees = next(name for name, count in PLANES.items() if count == settings["planes"])
    kernels = " ".join(f"{kernel}x{kernel}" for kernel in dict.fromkeys(settings["kernels"]))
    layers = f"{len(settings['kernels'])} layers, up to {amount(max(settings['widths']), 'channel')}, kernels {kernels}"
    parts = {
        "What": [f"{model.get('form', 'ESPCN')}: {layers}, {settings['activation']}; sees {PLANE_WORDS[sees]}"],
        "For": describe_purpose(model),
        "Cost": [
            f"{model['parameters']:,} parameters, {model['macs_per_lr_pixel']:,} multiply-adds per LR pixel, "
            f"{model['bytes'] / 1000:.0f} kB",
            f"has {'ranges' if model['int8'] else 'no ranges'} for --precision int8",
        ],
        "Scores": [
            describe_scores(name, scores) for name, scores in model["metrics"].items() if isinstance(scores, dict)
        ]
        or ["not measured"],
        "Made": describe_making(training),
        "Again": [model["command"]] if model["command"] else [],
        "Import": [model["import"]] if "import" in model else [],
        "Licence": [model["license"] or "not recorded"],
        "Here": [describe_runs(model["runs"])] if "runs" in model else [],
        "Grid": [f"ripple {figure(model['ripple'])}, bound {figure(model['checkerboard'], 1)}, in levels of 255"]
        if "ripple" in model
        else [],
    }
    lines = [f"{model['name']} x{model['scale']} ({model['file']})"]
    for title, texts in parts.items():
        lines += [f"  {title if index == 0 else '':9}{text}" for index, text in enumerate(texts)]
    return "\n".join(lines)


def describe_purpose(model: dict[str, Any]) -> list[str]:
    """Which pictures a model is for, as far as its card tells."""
    settings = model["training"].get("settings")
    degradation = "unknown" if settings is None else settings.get("degradation", TRAIN.degradation)
    mixed = [f"mixes with {model['sister']}: --strength says how much damage it undoes"] if model["sister"] else []
    return [PURPOSE_OF.get(degradation, "not recorded"), *mixed]


def describe_scores(name: str, scores: dict[str, Any]) -> str:
    """The scores on one set of pictures in a line."""
    line = f"{name}: {figure(scores.get('psnr'))} dB, SSIM {figure(scores.get('ssim'), 4)}"
    return line + (f" (bicubic {figure(scores['bicubic'])} dB)" if "bicubic" in scores else "")


def describe_making(training: dict[str, Any]) -> list[str]:
    """How the weights came about: a training, an import, or both."""
    data, imported = training.get("data", {}), training.get("imported")
    lines = [f"imported from {', '.join(imported['files'])}"] if imported else []
    lines += [f"taken from {training['origin']}"] if "origin" in training else []
    if "settings" in training:
        count = amount(data["files"], "picture") if "files" in data else "pictures"
        folders = f" ({', '.join(data['folders'])})" if "folders" in data else ""
        minutes = f" in {amount(round(training['seconds'] / 60), 'minute')}" if "seconds" in training else ""
        start = f", from {training['init']}" if "init" in training else ""
        lines.append(f"trained on {count}{folders}: {amount(training.get('step', 0), 'step')}{minutes}{start}")
    lines += [f"then {training['averaged']}"] if "averaged" in training else []
    if versions := training.get("versions"):
        lines.append("with " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    return lines or ["not recorded"]


def describe_runs(runs: dict[str, Any]) -> str:
    """What a model runs by on this machine."""
    return f"{runs['engine']} on {runs['device']} in {runs['precision']} ({runs['reason']})"


def format_choices(models: list[dict[str, Any]]) -> list[str]:
    """What the models run by here, a line for each way."""
    names: dict[str, list[str]] = {}
    for model in models:
        if runs := model.get("runs"):
            names.setdefault(describe_runs(runs), []).append(model["name"])
    return [f"Here {', '.join(dict.fromkeys(those))}: {line}." for line, those in names.items()]


def look_closer(path: Path, card: ModelCard) -> dict[str, Any]:
    """What a model runs by on this machine; and its checkerboard, which PyTorch measures."""
    from espcn_cli.engines.opening import decide_for, is_installed

    runs = {"runs": asdict(decide_for(card))}
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
        *([f"-m {name}"] if name in ARCHITECTURES or "init" not in card.training else []),  # else the start's own form
        f"-s {card.settings.scale}",
    ]
    parts += [f"--planes {name}" for name in planes]
    parts += ["--drawings DRAWINGS"] if "drawings" in data else []
    parts += [f"--init {shlex.quote(card.training['init'])}"] if "init" in card.training else []
    parts += [f"--precision {card.training['precision']}"] if "precision" in card.training else []
    for name, value in {**BEFORE_SETTINGS, **card.training["settings"]}.items():
        if value != getattr(TRAIN, name, None):
            parts.append(f"--{name.replace('_', '-')}{'' if value is True else f' {value}'}")
    return " ".join(parts)


def card_to_dict(model: Named) -> dict[str, Any]:
    from espcn_cli.exchange import importing

    path, card, settings = model.path, model.card, model.card.settings
    foreign = {} if importing.is_ours(path) else {"form": card.training["imported"]["form"]}
    foreign |= {"import": importing.becomes(path, card)} if foreign else {}
    return {
        "name": model.name,
        **foreign,
        "sister": card.sister.name if card.sister else None,
        "file": str(path),
        "bytes": path.stat().st_size,
        "scale": settings.scale,
        "parameters": settings.parameters,
        "macs_per_lr_pixel": settings.macs,
        "int8": bool(card.ranges),
        "settings": settings.to_dict(),
        "metrics": card.metrics,
        "command": training_command(card),
        "training": card.training,
        "license": card.license,
    }
