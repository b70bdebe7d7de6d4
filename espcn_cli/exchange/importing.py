"""The door for networks of others: any file that is known here, as a checkpoint's card and weights."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError, safe_open

from espcn_cli.errors import EspcnError
from espcn_cli.exchange import foreign, ncnn, pth, safe, state_dicts, tensorflow
from espcn_cli.exchange.foreign import Foreign, Layer, Range
from espcn_cli.files import is_file, is_there
from espcn_cli.network import checkpoint
from espcn_cli.network.checkpoint import NATURES, Card, ModelCard, Weights
from espcn_cli.settings import ModelSettings

Hidden = Literal["tanh", "relu", "leaky"]
Last = Literal["none", "tanh", "sigmoid"]


@dataclass(frozen=True)
class Hints:
    """What a user knows of a file that does not tell it; None is found out."""

    scale: int | None = None
    range: Range | None = None
    hidden: Hidden | None = None
    last: Last | None = None


NO_HINTS = Hints()

SUFFIXES = (".safetensors", *checkpoint.FOREIGN_SUFFIXES)


def read(path: Path) -> tuple[ModelCard, Weights]:
    """A checkpoint of ours as it is, or a network of others as one of ours.

    Raises EspcnError for a file that is not there, cannot be read, is not recognised, or cannot be brought into this
    family exactly; nothing in it is run.
    """
    return checkpoint.read(path) if is_ours(path) else read_foreign(path)


def read_foreign(path: Path, hints: Hints = NO_HINTS) -> tuple[ModelCard, Weights]:
    """A network of others as a checkpoint's card and weights. Raises EspcnError as `read`, and for a file of ours."""
    if is_ours(path):
        if is_there(path) and not _is_safetensors(path) and path.suffix.lower() != ".safetensors":
            raise EspcnError(f"{path} is no file that can be imported: those are {', '.join(SUFFIXES)}", path)
        card = checkpoint.read_card(path)
        raise EspcnError(f"{path} is a checkpoint of espcn already ({card.name}): there is nothing to import", path)
    try:
        network, settings, weights = _converted(path, hints)
    except FileNotFoundError as error:
        raise EspcnError(f"{path} cannot be read: {error.filename or path} is not there", path) from None
    except (OSError, SafetensorError) as error:
        raise EspcnError(f"{path} cannot be read ({error}): is it complete?", path) from None
    except EspcnError as error:
        raise EspcnError(f"{path} cannot be imported: {error}", path) from None
    return _card(path, network, settings), weights


def read_card(path: Path) -> ModelCard:
    """The card alone, as `read` gives it."""
    return checkpoint.read_card(path) if is_ours(path) else read(path)[0]


def is_ours(path: Path) -> bool:
    """Whether a file is for `checkpoint` to read, or to refuse: anything in our name, and what is nothing at all."""
    if is_ncnn(path) or path.suffix.lower() == ".pb" or not is_file(path):
        return not is_file(path) and not is_ncnn(path)
    if not _is_safetensors(path):
        return path.suffix.lower() not in checkpoint.PYTORCH_SUFFIXES and not checkpoint.is_pytorchs(path)
    try:
        with safe_open(path, framework="numpy") as file:
            return (file.metadata() or {}).get("format", "") in NATURES or not list(file.keys())
    except (SafetensorError, OSError):
        return True


def files_of(path: Path) -> tuple[Path, ...]:
    """The files that make a network up: two of ncnn's, else the one."""
    return ncnn.files_of(path) if is_ncnn(path) else (path,)


def is_ncnn(path: Path) -> bool:
    """A .param file, or a .bin file that has one beside it (PyTorch's files can be called .bin, too)."""
    suffix = path.suffix.lower()
    return suffix == ".param" or (suffix == ".bin" and is_file(path.with_suffix(".param")))


def becomes(path: Path, card: ModelCard) -> str:
    """The command that makes a checkpoint of a foreign file."""
    return f"espcn import {shlex.quote(str(path))} -o {shlex.quote(f'{card.name}_x{card.settings.scale}.safetensors')}"


def _converted(path: Path, hints: Hints) -> tuple[Foreign, ModelSettings, Weights]:
    candidates, unknown = _as_hinted(_candidates(path), hints)
    converted = [foreign.to_checkpoint(network) for network in candidates]  # what is wrong with all is said first
    chosen = foreign.choose(candidates, unknown)
    return candidates[chosen], *converted[chosen]


def _candidates(path: Path) -> list[Foreign]:
    if is_ncnn(path):
        return [ncnn.read(path)]
    if path.suffix.lower() == ".pb":
        return [tensorflow.read(path)]
    return state_dicts.recognise(safe.read(path) if _is_safetensors(path) else pth.read(path))


def _is_safetensors(path: Path) -> bool:
    """Such files begin with the length of a text in curly brackets."""
    if not is_file(path):
        return False
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def _as_hinted(candidates: Sequence[Foreign], hints: Hints) -> tuple[list[Foreign], str]:
    """The candidates that a user's hints leave, and what only another hint can tell. Raises EspcnError if none fits."""
    left = [network for network in candidates if _fits(network, hints)]
    if not left:
        raise EspcnError("it is not what --scale, --activation and --last say: leave them out, or name others")
    if hints.range is not None:
        left = [replace(network, range=hints.range) for network in left]
    ways: dict[str, set[str]] = {
        "--scale": {str(network.scale) for network in left},
        "--activation": {_hidden_of(network.layers[0]) for network in left},
        "--last": {network.layers[-1].activation for network in left},
    }
    unknown = [name for name, values in ways.items() if len(values) > 1]
    return (
        left,
        f"all that it is, and flat pictures do not either: give it to espcn import with {' and '.join(unknown)}",
    )


def _fits(network: Foreign, hints: Hints) -> bool:
    return (
        hints.scale in (None, network.scale)
        and hints.hidden in (None, _hidden_of(network.layers[0]))
        and hints.last in (None, network.layers[-1].activation)
    )


def _hidden_of(layer: Layer) -> str:
    """In a user's words: a prelu whose slope is fixed at 0 is a ReLU, at another a leaky one."""
    if layer.activation != "prelu" or layer.slopes is None or len(layer.slopes) > 1:
        return layer.activation
    return "relu" if layer.slopes[0] == 0 else "leaky"


def _card(path: Path, network: Foreign, settings: ModelSettings) -> ModelCard:
    name = re.sub(rf"[-_]x{settings.scale}$", "", path.stem)
    return Card(settings, name, {"imported": source_of(path, network.form)})


def source_of(path: Path, form: str) -> dict[str, Any]:
    """Where imported weights come from: the files, what they hold, and what network it was."""
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files_of(path)}
    return {"form": form, "files": files}
