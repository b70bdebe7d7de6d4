"""PyTorch's files (.pth, .pt, .ckpt, .bin): pickles, of which nothing is unpickled that is not a tensor."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from espcn_cli.errors import EspcnError
from espcn_cli.exchange.foreign import Array
from espcn_cli.settings import MOST_PARAMETERS

LARGEST = 5 * 4 * MOST_PARAMETERS
"""Bytes: the largest network of this form, its average, its gradients and what an optimiser keeps of each."""

WRAPPERS = (
    "params_ema",
    "params",
    "ema_state_dict",
    "state_dict",
    "model_state_dict",
    "model",
    "net_g",
    "generator",
)
"""Where in a training's checkpoint the weights are; averaged ones first."""

REMEDY = "save the weights alone where it was trained, torch.save(model.state_dict(), ...), and import that file"


def read(path: Path) -> dict[str, Array]:
    """The tensors of a state dict, plain or in a training's checkpoint, as float32 by name.

    Raises EspcnError, without the file's name, for what is no such file, holds other things than tensors and numbers,
    or is too large.
    """
    if _bytes_in(path) > LARGEST:
        raise EspcnError(f"it takes more than {LARGEST // 10**9} GB: it is larger than any network of this form")
    tensors = _state_dict(_loaded(path))
    if sum(tensor.numel() for tensor in tensors.values()) > MOST_PARAMETERS:
        raise EspcnError(f"it has more than {MOST_PARAMETERS:,} parameters: it is larger than any network of this form")
    return {name: _array(name, tensor) for name, tensor in tensors.items()}


def _bytes_in(path: Path) -> int:
    """What a file holds when it is unpacked."""
    try:
        with ZipFile(path) as archive:
            return max(path.stat().st_size, sum(part.file_size for part in archive.infolist()))
    except (BadZipFile, ValueError, NotImplementedError):
        return path.stat().st_size


def _loaded(path: Path) -> Any:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # whatever a damaged or hostile pickle makes of the reader
        said = str(error)
        if other := re.search(r"GLOBAL (\S+)|Unsupported (?:class|type) (\S+)", said):
            name = other[1] or other[2]
            raise EspcnError(f"it holds more than tensors ({name}), which is never unpickled: {REMEDY}") from None
        if "TorchScript" in said:
            raise EspcnError(f"it is a TorchScript archive, which holds code: {REMEDY}") from None
        raise EspcnError("it is no file of PyTorch's, or damaged: get a fresh copy") from None


def _state_dict(loaded: Any) -> dict[str, Any]:
    """The weights among what was loaded."""
    import torch

    for _ in range(3):  # a wrapper in a wrapper
        if not isinstance(loaded, Mapping):
            raise EspcnError(f"it holds no weights by name: {REMEDY}")
        inside = next((loaded[name] for name in WRAPPERS if isinstance(loaded.get(name), Mapping)), None)
        if inside is None:
            break
        loaded = inside
    tensors = {name: value for name, value in loaded.items() if isinstance(value, torch.Tensor)}
    if not tensors or len(tensors) < len(loaded) or not all(isinstance(name, str) for name in tensors):
        raise EspcnError(f"it holds no weights by name, or other things among them: {REMEDY}")
    return tensors


def _array(name: str, tensor: Any) -> Array:
    import torch

    plain = tensor.layout == torch.strided and not tensor.is_quantized and tensor.device.type == "cpu"
    if not plain or not (tensor.is_floating_point() or not tensor.ndim):
        raise EspcnError(f"its tensor {name} is {tensor.dtype}, not float: give the network before it was quantised")
    array: Array = tensor.detach().float().contiguous().numpy()
    return array
