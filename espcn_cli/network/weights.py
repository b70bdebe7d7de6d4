"""A PyTorch module's weights, out of a checkpoint and into one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import Module

from espcn_cli.network import checkpoint
from espcn_cli.network.checkpoint import Card, S


def fill_(module: Module, path: Path) -> None:
    """Fill a module with a file's tensors, strictly. Raises EspcnError naming the first thing that does not fit."""
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    arrays = checkpoint.read_weights(path, shapes)
    module.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})


def save(path: Path, module: Module, card: Card[S], overwrite: bool = True) -> None:
    """Write a checkpoint whole or not at all; the weights are stored as float32. Raises EspcnError as `replacing`."""
    floats = {name: tensor.float() for name, tensor in module.state_dict().items()}
    checkpoint.write(path, to_arrays(floats), card, overwrite)


def to_arrays(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Tensors from any device as arrays in main memory."""
    return {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in tensors.items()}
