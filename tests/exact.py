"""Random tensors in float64, and equality to rounding."""

from __future__ import annotations

import torch
from torch import Tensor


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(x: Tensor, y: Tensor) -> bool:
    """Equal to rounding: 1e-12 on values of about 1 to 100."""
    return x.shape == y.shape and torch.allclose(x, y, rtol=1e-12, atol=1e-12)
