"""Training state: what resuming needs, apart from the checkpoint; nothing in it is ever unpickled."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from espcn_cli.errors import EspcnError
from espcn_cli.files import is_file, write_tensors
from espcn_cli.network.weights import to_arrays
from espcn_cli.training.linear_blocks import TrainingForm
from espcn_cli.training.optimiser import Optimiser

STATE_FORMAT = "espcn-training-state"
STATE_VERSION = "2"

PROGRESS = ("step", "seconds", "history", "losses", "stepping", "drawing", "precision", "retreats")


@dataclass
class State:
    """What a step changes, and what resuming needs: network in training form, its average, optimiser, randomness."""

    network: TrainingForm
    average: TrainingForm
    optimiser: Optimiser
    generator: torch.Generator
    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    stepping: float = 0.0
    """Seconds spent on steps since the last validation."""
    drawing: float = 0.0
    """Of them, seconds spent waiting for patches."""
    precision: str = "auto"
    """What `auto` came to, which goes on to hold."""
    retreats: int = 0
    """How often the training diverged and went back, each time to half the learning rate."""

    @property
    def share(self) -> float:
        """What is left of the learning rate."""
        return 0.5**self.retreats


def save_state(state: State, path: Path, identity: dict[str, Any]) -> None:
    """Write everything that resuming needs; `identity` says which training it belongs to. Safetensors and JSON only."""
    tensors = {"generator": state.generator.get_state()}
    tensors |= {f"network.{k}": v for k, v in state.network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in state.average.state_dict().items()}
    tensors |= {f"optimiser.{k}": v for k, v in state.optimiser.tensors().items()}
    metadata = {
        "format": STATE_FORMAT,
        "format_version": STATE_VERSION,
        "identity": json.dumps(identity),
        "progress": json.dumps({name: getattr(state, name) for name in PROGRESS}),
    }
    write_tensors(path, to_arrays(tensors), metadata)


def check_state(path: Path, wanted: dict[str, Any]) -> None:
    """Raises EspcnError if there is no state, it cannot be read, or it belongs to a training that differs."""
    if not is_file(path):
        raise EspcnError(f"nothing to resume: there is no {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        if (metadata.get("format"), metadata.get("format_version")) != (STATE_FORMAT, STATE_VERSION):
            raise EspcnError(f"{path} is not a training state that this espcn can read: start again without --resume")
        saved = json.loads(metadata["identity"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise EspcnError(f"{path} is damaged ({error}): start again without --resume") from None
    for part, value in json.loads(json.dumps(wanted)).items():
        if saved.get(part) != value:
            raise EspcnError(f"{path} belongs to another training: its {part} {_difference(saved.get(part), value)}")


def restore_(state: State, path: Path) -> None:
    """Fill a fresh state from a file that `check_state` has passed."""
    tensors: dict[str, Tensor] = {}
    with safe_open(path, framework="pt") as file:
        progress = json.loads(file.metadata()["progress"])
        for key in file.keys():  # noqa: SIM118 - a safetensors file is no dictionary
            tensors[key] = file.get_tensor(key)
    state.generator.set_state(tensors.pop("generator"))
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimiser": {}}
    for key, tensor in tensors.items():
        part, name = key.split(".", 1)
        parts[part][name] = tensor
    state.network.load_state_dict(parts["network"])
    state.average.load_state_dict(parts["average"])
    state.optimiser.restore_(parts["optimiser"])
    for name, value in progress.items():
        setattr(state, name, value)


def _difference(saved: Any, wanted: Any) -> str:
    if isinstance(saved, dict) and isinstance(wanted, dict):
        key = next(k for k in wanted if saved.get(k) != wanted[k])
        return f"had {key} {saved.get(key)}, now {wanted[key]}"
    return f"was {saved}, now {wanted}"
