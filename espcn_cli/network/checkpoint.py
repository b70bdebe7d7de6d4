"""Checkpoints: safetensors whose metadata rebuilds the network. Saving is atomic, loading checks everything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Generic, TypeVar
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from espcn_cli.errors import EspcnError
from espcn_cli.figures import to_json
from espcn_cli.files import write_tensors
from espcn_cli.maths.quantisation import Ranges
from espcn_cli.settings import AutoencoderSettings, ModelSettings, check_range

S = TypeVar("S", ModelSettings, AutoencoderSettings)
T = TypeVar("T")

FORMATS: dict[type, str] = {ModelSettings: "espcn", AutoencoderSettings: "espcn-autoencoder"}
"""What a checkpoint's metadata calls itself, by the settings that rebuild its network."""

NEWEST: dict[type, int] = {ModelSettings: 2, AutoencoderSettings: 1}
"""The newest format of each. A file is written in the oldest that holds it, and all are read for ever."""

PARTS = ("settings", "name", "training", "metrics", "license")
"""What every checkpoint's metadata hold beside the format and its version."""

NATURES = {
    "espcn": "a super-resolution checkpoint: give it to `espcn upscale`",
    "espcn-autoencoder": "an autoencoder's checkpoint: give it to `espcn autoencoder reconstruct`",
    "espcn-training-state": "a training state, not a checkpoint: finish it with `espcn train --resume`",
}
UNKNOWN = "a safetensors file, but not an espcn checkpoint: `espcn import` may know it"
"""What a file of ours is, and what to do with it where another was expected."""


PYTORCH_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin")
PYTORCH_START = b"\x80\2\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"
PYTORCH_PART = "data.pkl"
"""How PyTorch's files are called; how the old ones begin, and what the new ones, which are archives, have in them.

Both hold pickles, which run whatever is in them.
"""

FOREIGN_SUFFIXES = (*PYTORCH_SUFFIXES, ".param", ".pb")
"""How files with networks of others are called that are no .safetensors."""

Weights = dict[str, NDArray[np.float32]]
"""A network's tensors by name."""


@dataclass(frozen=True)
class Sister:
    """The clean weights that real ones were trained from: their network's name, and their `fingerprint`."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Card(Generic[S]):
    """What a checkpoint says about itself.

    `training` says how it was made (data, steps, seed, versions), `metrics` what it scores:
    data set -> {"psnr": dB, "ssim": ..., "protocol": line}. `sister`: of real weights, what they can be mixed with.
    `ranges`: least and greatest value that goes into each convolution, for quantisation; none if nobody measured them.
    Raises ValueError for ranges that are none, or not one per layer.
    """

    settings: S
    name: str
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    license: str = ""
    sister: Sister | None = None
    ranges: Ranges = ()

    def __post_init__(self) -> None:
        for values in self.ranges:
            check_range(values, "ranges")
        layers = len(self.settings.kernels) if isinstance(self.settings, ModelSettings) else 0
        if len(self.ranges) not in (0, layers):
            raise ValueError(f"{layers} layers need as many ranges, not {len(self.ranges)}")

    @property
    def format_version(self) -> int:
        """The oldest format that holds it."""
        new = isinstance(self.settings, ModelSettings) and (self.settings.is_new or self.ranges)
        return 2 if new else 1

    def to_metadata(self) -> dict[str, str]:
        sister = {"sister": json.dumps(asdict(self.sister))} if self.sister else {}
        ranges = {"ranges": to_json(self.ranges)} if self.ranges else {}
        return (
            sister
            | ranges
            | {
                "format": FORMATS[type(self.settings)],
                "format_version": str(self.format_version),
                "name": self.name,
                "settings": to_json(self.settings.to_dict()),
                "training": to_json(self.training),
                "metrics": to_json(self.metrics),
                "license": self.license,
            }
        )


ModelCard = Card[ModelSettings]


def weights_folder() -> Path:
    """Where the shipped checkpoints lie: inside an installed package, or beside it in a working copy."""
    package = Path(str(resources.files("espcn_cli")))
    inside = package / "weights"
    return inside if inside.is_dir() else package.parent / "weights"


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
        raise _unreadable(path, error) from None
    name = metadata.get("format", "")
    if name != FORMATS[kind]:
        raise EspcnError(
            f"{path} is {NATURES.get(name, UNKNOWN)}",
            path,
        )
    version = metadata.get("format_version", "")
    if not version.isdecimal() or len(version) > 9 or int(version) > NEWEST[kind]:
        raise EspcnError(
            f"{path} has checkpoint format {version or '?'}, this espcn reads up to {NEWEST[kind]}: upgrade", path
        )
    try:
        if missing := [part for part in PARTS if part not in metadata]:
            raise ValueError(f"no {', '.join(missing)}")
        card = Card(
            settings=kind.from_dict(_parsed(metadata, "settings", dict)),
            name=metadata["name"],
            training=_parsed(metadata, "training", dict),
            metrics=_parsed(metadata, "metrics", dict),
            license=metadata["license"],
            sister=_sister(_parsed(metadata, "sister", dict)) if "sister" in metadata else None,
            ranges=_ranges(_parsed(metadata, "ranges", list)) if "ranges" in metadata else (),
        )
        if card.format_version > int(version):
            raise ValueError(f"format {version} has no such settings")
    except ValueError as error:
        raise EspcnError(f"{path} has damaged metadata ({error}): get a fresh copy", path) from None
    return card


def _parsed(metadata: Mapping[str, str], part: str, kind: type[T]) -> T:
    """Raises ValueError for what is not JSON of that kind."""
    try:
        value = json.loads(metadata[part])
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise ValueError(f"{part} cannot be read")
    return value


def _sister(values: dict[str, Any]) -> Sister:
    """Raises ValueError for what is none."""
    if values.keys() != {"name", "sha256"} or not all(isinstance(value, str) for value in values.values()):
        raise ValueError("sister cannot be read")
    return Sister(**values)


def _ranges(values: list[Any]) -> Ranges:
    """Raises ValueError for what is no list of pairs."""
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in values):
        raise ValueError("ranges must be pairs of numbers")
    return tuple((least, greatest) for least, greatest in values)


def read(path: Path) -> tuple[ModelCard, Weights]:
    """A checkpoint's card and tensors. Raises EspcnError if the file is not ours, or damaged, as `read_weights`."""
    card = read_card(path)
    return card, read_weights(path, card.settings.shapes)


def fingerprint(weights: Weights) -> str:
    """SHA-256 of all tensors, with their names and shapes: what a file says beside them does not change it."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name} {weights[name].shape}\n".encode())
        digest.update(weights[name].astype("<f4").tobytes())
    return digest.hexdigest()


def read_weights(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Weights:
    """A checkpoint's tensors by name, exactly those of `shapes`.

    Raises EspcnError naming the first that is missing, superfluous, misshapen, not float32 or not finite.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            _check_tensors(path, file, shapes)
            weights = {name: file.get_tensor(name) for name in shapes}
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from None
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise EspcnError(f"{path}: tensor {name} holds NaN or infinity: the training that made it went wrong", path)
    return weights


def _unreadable(path: Path, error: Exception) -> EspcnError:
    if is_pytorchs(path):
        return EspcnError(f"{path}: PyTorch files are not read here: make a checkpoint of it with `espcn import`", path)
    return EspcnError(f"{path} is not a readable safetensors file ({error}): is it complete?", path)


def is_pytorchs(path: Path) -> bool:
    """Whether a file is one of PyTorch's, by its name or by how it begins."""
    if path.suffix.lower() in PYTORCH_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            if file.read(len(PYTORCH_START)) == PYTORCH_START:
                return True
            with ZipFile(file) as archive:
                return any(Path(name).name == PYTORCH_PART for name in archive.namelist())
    except (OSError, BadZipFile, ValueError):
        return False


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


def write(path: Path, weights: Weights, card: Card[S], overwrite: bool = True) -> None:
    """Write a checkpoint whole or not at all. Raises EspcnError as `replacing`."""
    write_tensors(path, weights, card.to_metadata(), overwrite)
