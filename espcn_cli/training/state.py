"""Training state: what resuming needs, apart from the checkpoint; nothing in it is ever unpickled."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from espcn_cli.errors import EspcnError
from espcn_cli.figures import finite, to_json
from espcn_cli.files import write_tensors
from espcn_cli.maths.quantisation import Range
from espcn_cli.network.espcn import ESPCN
from espcn_cli.network.weights import to_arrays
from espcn_cli.settings import Precision
from espcn_cli.training.linear_blocks import TrainingForm
from espcn_cli.training.optimiser import Optimiser
from espcn_cli.training.run_folder import COLUMNS

STATE_FORMAT = "espcn-training-state"
STATE_VERSION = "3"

GENERATOR = "generator"

UNREADABLE = (SafetensorError, OSError, KeyError, ValueError, RecursionError)
"""What a damaged file may raise."""


MOST_RETREATS = 5
"""How often a training that diverges may go back."""


def is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < 2**63)


def is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def is_duration(value: Any) -> bool:
    return is_number(value) and 0 <= value < math.inf


def is_history(value: Any) -> bool:
    """What validations found: numbers under the log's names; None, or in older states infinity, where there is none."""
    return isinstance(value, list) and all(
        isinstance(entry, dict)
        and {"step", "psnr"} <= entry.keys() <= set(COLUMNS)
        and all(value is None or is_number(value) for value in entry.values())
        and is_count(entry["step"])
        for entry in value
    )


def is_ranges(value: Any) -> bool:
    """Pairs of numbers, the second larger."""
    return isinstance(value, list) and all(
        isinstance(ends, list)
        and len(ends) == 2
        and all(map(is_number, ends))
        and -math.inf < ends[0] < ends[1] < math.inf
        for ends in value
    )


PROGRESS: dict[str, Callable[[Any], bool]] = {
    "step": is_count,
    "seconds": is_duration,
    "history": is_history,
    "losses": lambda value: isinstance(value, list) and all(map(is_number, value)),
    "stepping": is_duration,
    "drawing": is_duration,
    "precision": lambda value: value in get_args(Precision),
    "retreats": lambda value: is_count(value) and value <= MOST_RETREATS,
    "ranges": is_ranges,
}
"""What of a `State` is kept beside its tensors, and how to tell that a file holds nothing else."""


@dataclass
class State:
    """What a step changes, and what resuming needs: network in training form, its average, optimiser, randomness."""

    network: TrainingForm
    average: TrainingForm
    optimiser: Optimiser
    generator: torch.Generator
    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    stepping: float = 0.0
    """Seconds spent on steps since the last validation."""
    drawing: float = 0.0
    """Of them, seconds spent waiting for patches."""
    precision: str = "auto"
    """What `auto` came to, which goes on to hold."""
    retreats: int = 0
    """How often the training diverged and went back, each time to half the learning rate."""
    ranges: tuple[Range, ...] = ()
    """Of what goes into each layer, where that is rounded to eight bits."""

    @property
    def share(self) -> float:
        """What is left of the learning rate."""
        return 0.5**self.retreats

    def quantise_(self, ranges: Sequence[Range]) -> None:
        """Steps and scores are of a network in eight bits from now on. Raises ValueError as `ESPCN.quantise_` does."""
        network = self.network.network
        assert isinstance(network, ESPCN)
        network.quantise_(ranges)
        self.ranges = tuple(ranges)

    def tensors(self) -> dict[str, Tensor]:
        """What steps change, but for the generator, by name: the tensors themselves, which can be written to."""
        parts = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.tensors(),
        }
        return {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}


def save_state(state: State, path: Path, identity: dict[str, Any]) -> None:
    """Write everything that resuming needs; `identity` says which training it belongs to. Safetensors and JSON only."""
    metadata = {
        "format": STATE_FORMAT,
        "format_version": STATE_VERSION,
        "identity": to_json(identity),
        "progress": to_json({name: getattr(state, name) for name in PROGRESS}),
    }
    write_tensors(path, to_arrays({GENERATOR: state.generator.get_state(), **state.tensors()}), metadata)


def check_state(path: Path, wanted: dict[str, Any]) -> int:
    """The step of a state. Raises EspcnError if it cannot be read, or belongs to a training that differs."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        if (metadata.get("format"), metadata.get("format_version")) != (STATE_FORMAT, STATE_VERSION):
            raise EspcnError(f"{path} is not a training state that this espcn can read: start again without --resume")
        saved = json.loads(metadata["identity"])
        if not isinstance(saved, dict):
            raise ValueError("its identity has no names")
        progress = json.loads(metadata["progress"])
        check_progress(progress)
    except UNREADABLE as error:
        raise damaged(path, error) from None
    for part, value in json.loads(json.dumps(wanted)).items():
        if saved.get(part) != value:
            raise EspcnError(f"{path} belongs to another training: its {part} {_difference(saved.get(part), value)}")
    return int(progress["step"])


def restore_(state: State, path: Path) -> None:
    """Go on from a file that `check_state` has passed. Raises EspcnError if anything in it is not as it was saved."""
    try:
        with safe_open(path, framework="pt") as file:
            progress = json.loads((file.metadata() or {})["progress"])
            found = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no dictionary
        check_progress(progress)
        check_tensors(found, {GENERATOR: state.generator.get_state(), **state.tensors()})
        state.quantise_([(least, greatest) for least, greatest in progress.pop("ranges")])
        set_generator_(state.generator, found[GENERATOR])
    except UNREADABLE as error:
        raise damaged(path, error) from None
    progress["history"] = [finite(entry) for entry in progress["history"]]
    with torch.no_grad():
        for name, tensor in state.tensors().items():
            tensor.copy_(found[name])
    for name, value in progress.items():
        setattr(state, name, value)


def damaged(path: Path, error: Exception) -> EspcnError:
    return EspcnError(f"{path} is damaged ({error}): start again without --resume", path)


def check_progress(progress: Any) -> None:
    """Raises ValueError if these are not the values that a state has."""
    if not isinstance(progress, dict) or progress.keys() != PROGRESS.keys():
        raise ValueError("its progress has other names")
    for name, fits in PROGRESS.items():
        if not fits(progress[name]):
            raise ValueError(f"its {name} is impossible")


def check_tensors(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raises ValueError if there are other tensors than the wanted ones, or tensors of another form."""
    for name in sorted(found.keys() ^ wanted.keys()):
        raise ValueError(f"the tensor {name} is {'missing' if name in wanted else 'not expected'}")
    for name, tensor in wanted.items():
        if (found[name].shape, found[name].dtype) != (tensor.shape, tensor.dtype):
            raise ValueError(f"the tensor {name} has another shape or type")


def set_generator_(generator: torch.Generator, state: Tensor) -> None:
    """Raises ValueError if the bytes are no generator's state."""
    try:
        generator.set_state(state)
    except RuntimeError as error:
        raise ValueError(f"its generator: {error}") from None


def _difference(saved: Any, wanted: Any) -> str:
    if isinstance(saved, dict) and isinstance(wanted, dict):
        key = next(k for k in {**wanted, **saved} if k not in saved or k not in wanted or saved[k] != wanted[k])
        return f"had {key} {saved.get(key, 'unset')}, now {wanted.get(key, 'unset')}"
    return f"was {saved}, now {wanted}"
