"""Other people's .safetensors files: tensors by name, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from espcn_cli.errors import EspcnError
from espcn_cli.exchange.foreign import Array
from espcn_cli.settings import MOST_PARAMETERS

FLOATS = ("F16", "F32", "F64", "BF16")


def read(path: Path) -> dict[str, Array]:
    """All tensors as float32 by name.

    Raises EspcnError, without the file's name, for tensors that are no floats or too many, SafetensorError for a
    damaged file.
    """
    with safe_open(path, framework="numpy") as file:
        parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
        kinds = {name: part.get_dtype() for name, part in parts.items()}
        if sum(int(np.prod(part.get_shape())) for part in parts.values()) > MOST_PARAMETERS:
            raise EspcnError(f"it has more than {MOST_PARAMETERS:,} parameters: it is larger than any of this form")
        for name, kind in kinds.items():
            if kind not in FLOATS:
                raise EspcnError(f"its tensor {name} is {kind}, not float: give the network before it was quantised")
        if "BF16" not in kinds.values():
            return {name: _float32(file.get_tensor(name)) for name in kinds}
    with safe_open(path, framework="pt") as file:  # NumPy has no such numbers
        return {name: file.get_tensor(name).float().numpy() for name in kinds}


def _float32(array: Any) -> Array:
    return np.asarray(array, np.float32)
