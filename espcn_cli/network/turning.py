"""A network turned: the same weights for pictures that lie otherwise, in NumPy.

Convolutions of odd kernels, padded alike on all sides, do not mind which way is up: turning a picture, convolving and
turning back is to convolve with kernels turned back. So the mean over the turns of a picture is the mean of turned
networks on the picture as it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from espcn_cli.maths.turns import Turn
from espcn_cli.network.checkpoint import Weights
from espcn_cli.settings import ModelSettings


def turned_weights(settings: ModelSettings, weights: Weights, turn: Turn) -> Weights:
    """The weights that make of a picture what the given ones make of it turned, turned back."""
    last = 2 * len(settings.widths)
    turned = {name: _turned_back(array, turn) if array.ndim == 4 else array for name, array in weights.items()}
    for name in (f"body.{last}.weight", f"body.{last}.bias", f"body.{last + 1}.weight"):
        if name in turned and len(turned[name]) > 1:  # not the one slope for all
            turned[name] = _phases_turned_back(turned[name], settings.scale, turn)
    return turned


def _phases_turned_back(array: NDArray[np.float32], scale: int, turn: Turn) -> NDArray[np.float32]:
    """The phases (planes·scale², ...) are pixels too: a square of scale × scale for each LR pixel."""
    split = array.reshape(-1, scale, scale, *array.shape[1:])
    pixels = _turned_back(np.moveaxis(split, (1, 2), (-2, -1)), turn)
    return np.moveaxis(pixels, (-2, -1), (1, 2)).reshape(array.shape)


def _turned_back(array: NDArray[np.float32], turn: Turn) -> NDArray[np.float32]:
    """(..., k, k) -> the same as it was before `turned_planes`."""
    if turn.flipped:
        array = np.flip(array, -1)
    return np.rot90(array, -turn.quarters, (-2, -1)).copy()  # PyTorch takes no negative strides, not even of one pixel
