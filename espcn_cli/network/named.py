"""Which models have names: those that are shipped, and the user's own, which lie in a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.files import data_folder, is_file
from espcn_cli.network import checkpoint
from espcn_cli.network.checkpoint import FOREIGN_SUFFIXES, ModelCard
from espcn_cli.paths import file_of
from espcn_cli.settings import DEFAULT_FOR_PICTURES, DEFAULT_MODEL, ModelSettings

VARIABLE = "ESPCN_MODELS"
"""Names another folder of own models."""

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Named:
    """A checkpoint of one's own: its name and scale are its file's, `mine_x2.safetensors` is mine at x2."""

    name: str
    path: Path
    card: ModelCard


@dataclass(frozen=True)
class Own:
    """What lies in the folder of own models, by name and scale; `troubles`: what cannot be had by a name, and why."""

    models: tuple[Named, ...]
    troubles: tuple[EspcnError, ...]


def find(model: str | None, scale: int | None = None) -> Path:
    """The file of a model's name at a scale, shipped or one's own, or of a path as it is.

    None is the default for pictures: real weights, or clean ones at a scale where those are not shipped. Raises
    EspcnError if there is no such file, UsageError for a name that no model has or a scale that it has not.
    """
    if model is None:
        wanted = scale or min(scales(None))
        return find(DEFAULT_FOR_PICTURES if wanted in scales(DEFAULT_FOR_PICTURES) else DEFAULT_MODEL, wanted)
    if is_path(model):
        path = file_of(model)
        if not is_file(path):
            raise EspcnError(
                f"no checkpoint at {model}: check the path, or name a model that `espcn models` lists", path
            )
        return path
    found = _by_scale(model)
    if not found:
        raise _unknown(model)
    wanted = scale or min(found)
    if wanted not in found:
        raise UsageError(f"model {model} has no scale {wanted}: it has {', '.join(map(str, sorted(found)))}")
    return found[wanted]


def is_path(model: str | None) -> bool:
    """Whether a model is told by its file's path, and not by a name."""
    if model is None:
        return False
    return bool(Path(model).suffix.lower() in (SUFFIX, *FOREIGN_SUFFIXES) or os.path.dirname(model))  # noqa: PTH120


def scales(model: str | None) -> list[int]:
    """The scales at which there is a model of a name, from small to large; None as in `find`."""
    names = (DEFAULT_FOR_PICTURES, DEFAULT_MODEL) if model is None else (model,)
    return sorted({scale for name in names for scale in _by_scale(name)})


def form(name: str, scale: int, planes: int | None = None) -> ModelSettings | None:
    """The form of one's own model at a scale, with its own planes unless others are asked for; None for another name.

    Raises EspcnError for a file of that name that cannot be read.
    """
    own = _own_by_scale(name)
    if not own:
        if error := _trouble_of(name):
            raise error
        return None
    settings = checkpoint.read_card(own[scale] if scale in own else own[min(own)]).settings
    return replace(settings, scale=scale, planes=settings.planes if planes is None else planes)


def _by_scale(name: str) -> dict[int, Path]:
    """The files of a name: a shipped model's, or else one's own."""
    shipped = {card.settings.scale: path for path, card in list_shipped() if card.name == name}
    return shipped or _own_by_scale(name)


def _own_by_scale(name: str) -> dict[int, Path]:
    """The files of one's own model: by its name, or the whole stem of one file."""
    own = list_own().models
    found = {each.card.settings.scale: each.path for each in own if each.name == name}
    return found or {each.card.settings.scale: each.path for each in own if each.path.stem == name}


def _unknown(name: str) -> EspcnError:
    if error := _trouble_of(name):
        return error
    own = list_own()
    names = sorted({card.name for _, card in list_shipped()} | {each.name for each in own.models})
    unread = "".join(f"; {each}" for each in own.troubles if each.path == models_folder())
    return UsageError(f"unknown model {name!r}: there are {', '.join(names)}, or give a .safetensors file{unread}")


def _trouble_of(name: str) -> EspcnError | None:
    """Why a file in the folder of own models, which is called so, is of no use."""
    files = re.compile(rf"{re.escape(name)}([-_]x\d+)?")
    return next((each for each in list_own().troubles if each.path and files.fullmatch(each.path.stem)), None)


# --- shipped ---------------------------------------------------------------------------------------------------------


def list_shipped() -> list[tuple[Path, ModelCard]]:
    """Every shipped checkpoint and its card, network by network from small to large, each by scale."""
    files = [(path, path.stat()) for path in checkpoint.weights_folder().glob("espcn*.safetensors")]
    return list(_in_order(tuple((path, stat.st_ino, stat.st_size, stat.st_mtime_ns) for path, stat in files)))


@lru_cache(1)
def _in_order(files: tuple[tuple[Path, int, int, int], ...]) -> tuple[tuple[Path, ModelCard], ...]:
    """Files, and what tells that they are still the same, with their cards: a command asks for them several times."""
    cards = [(path, checkpoint.read_card(path)) for path, *_ in files]
    sizes: dict[str, int] = {}
    for _, card in cards:
        sizes[card.name] = min(card.settings.parameters, sizes.get(card.name, card.settings.parameters))
    return tuple(sorted(cards, key=lambda item: (sizes[item[1].name], item[1].name, item[1].settings.scale)))


# --- one's own -------------------------------------------------------------------------------------------------------


def models_folder() -> Path:
    """Where own models lie: what ESPCN_MODELS says, else `models` in the user's folder for data."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else data_folder() / "models"


def list_own() -> Own:
    """The user's own models. Nothing is raised for what is wrong with one of them, or with their folder.

    A name that a shipped model has stays that one's, so that it means the same on every machine; of two files of one
    name and scale, the first by its file's name has it.
    """
    shipped = {card.name for _, card in list_shipped()}
    found: dict[tuple[str, int], Named] = {}
    troubles: list[EspcnError] = []
    for path in _files(troubles):
        try:
            model = _named(path)
        except EspcnError as error:
            troubles.append(error)
            continue
        key = model.name, model.card.settings.scale
        if model.name in shipped:
            why = f"{model.name} is a shipped model, which keeps its name"
            troubles.append(EspcnError(f"{path}: {why}: rename the file, or name it by its path", path))
        elif key in found:
            why = f"{found[key].path.name} is {model.name} at x{key[1]} already"
            troubles.append(EspcnError(f"{path}: {why}: rename one of them", path))
        else:
            found[key] = model
    return Own(tuple(found[key] for key in sorted(found)), tuple(troubles))


def _files(troubles: list[EspcnError]) -> Iterator[Path]:
    """What may be meant as a model, by file name; what keeps the folder from being read goes to `troubles`."""
    folder = models_folder()
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        if os.environ.get(VARIABLE) or not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            reason = f"{folder} cannot be read ({error.strerror})"
            what = f"{VARIABLE}: {reason}" if os.environ.get(VARIABLE) else reason
            troubles.append(EspcnError(f"{what}: own models are not found", folder))
        return
    for name in names:
        path = folder / name
        if not name.startswith(".") and path.suffix.lower() in (SUFFIX, *FOREIGN_SUFFIXES) and is_file(path):
            yield path


def _named(path: Path) -> Named:
    """Raises EspcnError for what is no checkpoint."""
    if path.suffix.lower() != SUFFIX:
        raise EspcnError(
            f"{path}: a network of others has no name here: make a checkpoint of it with `espcn import`", path
        )
    card = checkpoint.read_card(path)
    return Named(re.sub(rf"[-_]x{card.settings.scale}$", "", path.stem), path, card)
