"""Checkpoints: safetensors whose metadata rebuilds the network. Saving is atomic, loading checks everything."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.files import is_file, write_tensors
from espcn_cli.paths import file_of
from espcn_cli.settings import AutoencoderSettings, ModelSettings

S = TypeVar("S", ModelSettings, AutoencoderSettings)

FORMAT_VERSION = 1

FORMATS: dict[type, str] = {ModelSettings: "espcn", AutoencoderSettings: "espcn-autoencoder"}
"""What a checkpoint's metadata calls itself, by the settings that rebuild its network."""

NATURES = {
    "espcn": "a super-resolution checkpoint: give it to `espcn upscale`",
    "espcn-autoencoder": "an autoencoder's checkpoint: give it to `espcn autoencoder reconstruct`",
    "espcn-training-state": "a training state, not a checkpoint: finish it with `espcn train --resume`",
}
"""What a file of ours is, and what to do with it where another was expected."""


@dataclass(frozen=True)
class Card(Generic[S]):
    """What a checkpoint says about itself.

    `training` says how it was made (data, steps, seed, versions), `metrics` what it scores:
    data set -> {"psnr": dB, "ssim": ..., "protocol": line}.
    """

    settings: S
    name: str
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    license: str = ""

    def to_metadata(self) -> dict[str, str]:
        return {
            "format": FORMATS[type(self.settings)],
            "format_version": str(FORMAT_VERSION),
            "name": self.name,
            "settings": json.dumps(self.settings.to_dict()),
            "training": json.dumps(self.training),
            "metrics": json.dumps(self.metrics),
            "license": self.license,
        }


ModelCard = Card[ModelSettings]


def weights_folder() -> Path:
    """Where the shipped checkpoints lie: inside an installed package, or beside it in a working copy."""
    package = Path(str(resources.files("espcn_cli")))
    inside = package / "weights"
    return inside if inside.is_dir() else package.parent / "weights"


def find(model: str, scale: int | None = None) -> Path:
    """The file of a shipped model's name at a scale, or of a path as it is.

    Raises EspcnError if there is no such file, UsageError for a name that no model has or a scale that it has not.
    """
    if Path(model).suffix == ".safetensors" or os.path.dirname(model):  # noqa: PTH120
        path = file_of(model)
        if not is_file(path):
            raise EspcnError(
                f"no checkpoint at {model}: check the path, or name a model that `espcn models` lists", path
            )
        return path
    shipped = {card.settings.scale: path for path, card in list_shipped() if card.name == model}
    if not shipped:
        names = sorted({card.name for _, card in list_shipped()})
        raise UsageError(f"unknown model {model!r}: there are {', '.join(names)}, or give a .safetensors file")
    wanted = scale or min(shipped)
    if wanted not in shipped:
        raise UsageError(f"model {model} has no scale {wanted}: it has {', '.join(map(str, sorted(shipped)))}")
    return shipped[wanted]


def list_shipped() -> list[tuple[Path, ModelCard]]:
    """Every shipped checkpoint and its card, network by network from small to large, each by scale."""
    cards = [(path, read_card(path)) for path in weights_folder().glob("espcn*.safetensors")]
    sizes: dict[str, int] = {}
    for _, card in cards:
        sizes[card.name] = min(card.settings.parameters, sizes.get(card.name, card.settings.parameters))
    return sorted(cards, key=lambda item: (sizes[item[1].name], item[1].name, item[1].settings.scale))


def read_card(path: Path) -> ModelCard:
    """Read the metadata alone; no tensor is loaded. Raises EspcnError if the file is not a checkpoint of ours."""
    return read_card_of(ModelSettings, path)


def read_card_of(kind: type[S], path: Path) -> Card[S]:
    """Read the metadata of a checkpoint whose settings are of one kind. Raises EspcnError for any other file."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError:
        raise EspcnError(f"no checkpoint at {path}: check the path", path) from None
    except (SafetensorError, OSError) as error:
        raise EspcnError(f"{path} is not a readable safetensors file ({error}): is it complete?", path) from None
    name = metadata.get("format", "")
    if name != FORMATS[kind]:
        raise EspcnError(f"{path} is {NATURES.get(name, 'a safetensors file, but not an espcn checkpoint')}", path)
    version = metadata.get("format_version", "")
    if not version.isdecimal() or len(version) > 9 or int(version) > FORMAT_VERSION:
        raise EspcnError(
            f"{path} has checkpoint format {version or '?'}, this espcn reads {FORMAT_VERSION}: upgrade", path
        )
    try:
        return Card(
            settings=kind.from_dict(json.loads(metadata["settings"])),
            name=metadata["name"],
            training=dict(json.loads(metadata["training"])),
            metrics=dict(json.loads(metadata["metrics"])),
            license=metadata["license"],
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise EspcnError(f"{path} has damaged metadata ({error}): get a fresh copy", path) from None


def read_weights(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    """A checkpoint's tensors by name, exactly those of `shapes`.

    Raises EspcnError naming the first that is missing, superfluous, misshapen, not float32 or not finite.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            _check_tensors(path, file, shapes)
            weights = {name: file.get_tensor(name) for name in shapes}
    except (SafetensorError, OSError) as error:
        raise EspcnError(f"{path} is not a readable safetensors file ({error}): is it complete?", path) from None
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise EspcnError(f"{path}: tensor {name} holds NaN or infinity: the training that made it went wrong", path)
    return weights


def _check_tensors(path: Path, file: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
    names = set(file.keys())
    for name in sorted(names | shapes.keys()):
        if name not in names:
            raise EspcnError(f"{path} lacks the tensor {name}: get a fresh copy", path)
        if name not in shapes:
            raise EspcnError(f"{path} has an unexpected tensor {name}: its settings do not describe it", path)
        found = tuple(file.get_slice(name).get_shape())
        if found != shapes[name]:
            wanted = shapes[name]
            raise EspcnError(
                f"{path}: tensor {name} has shape {found}, its settings say {wanted}: get a fresh copy", path
            )
        kind = file.get_slice(name).get_dtype()
        if kind != "F32":
            raise EspcnError(f"{path}: tensor {name} is {kind}, not F32 (float32): get a fresh copy", path)


def write(path: Path, weights: Mapping[str, NDArray[np.float32]], card: Card[S], overwrite: bool = True) -> None:
    """Write a checkpoint whole or not at all. Raises EspcnError as `replacing`."""
    write_tensors(path, weights, card.to_metadata(), overwrite)
