"""No checkerboard: how a sub-pixel layer starts without one, how strong one it can print, and how it is taken out.

Phases and shapes are those of `subpixel`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from espcn_cli.network.subpixel import check_bias, check_kernel, phases


def icnr_(weight: Tensor, scale: int, initialise_: Callable[[Tensor], object] = nn.init.kaiming_normal_) -> Tensor:
    """Initialise a sub-pixel kernel (O·scale², I, k, k) in place so that all phases of a plane start equal.

    The layer then starts as a convolution with the one kernel (O, I, k, k), which `initialise_` fills, followed by
    nearest-neighbour upsampling: ICNR, Aitken et al. 2017 (arXiv 1707.02937). In PyTorch's channel order the phases
    of a plane are neighbours, so the kernel is repeated element by element; tiling it would mix the planes.
    Returns the weight. Raises ValueError if its channels do not divide by scale².
    """
    with torch.no_grad():
        kernel = phases(weight, scale)[:, 0].clone(memory_format=torch.contiguous_format)
        initialise_(kernel)
        return weight.copy_(kernel.repeat_interleave(scale**2, dim=0))


def checkerboard(weight: Tensor, bias: Tensor | None, scale: int) -> float:
    """How strong a checkerboard a sub-pixel kernel can print on a flat input; 0 if and only if it never does.

    Precisely: the largest difference between two output pixels of one plane, away from the border, over all inputs
    whose channels are each constant with a level in [-1, 1]. Phase p of plane o turns the levels v into
    Σ_i S[o, p, i]·v_i + bias[o, p], where S are the sums of the taps, so two phases p and q are apart by at most
    Σ_i |S[o, p, i] - S[o, q, i]| + |bias[o, p] - bias[o, q]|, and the right levels reach it. `weight` is
    (O·scale², I, k, k), `bias` (O·scale²) or None, in PyTorch's order; summed in float64.
    Raises ValueError if the shapes do not fit the scale.
    """
    check_kernel(weight)
    levels = weight.detach().cpu().double().sum(dim=(2, 3))
    if bias is not None:
        check_bias(bias, weight.shape[0])
        levels = torch.cat([levels, bias.detach().cpu().double()[:, None]], dim=1)
    by_phase = phases(levels, scale)  # (O, scale², I or I + 1)
    return torch.cdist(by_phase, by_phase, p=1).max().item()


def remove_checkerboard(weight: Tensor, bias: Tensor | None, scale: int) -> tuple[Tensor, Tensor | None]:
    """The nearest kernel and biases (least squares) for which `checkerboard` is 0, up to rounding.

    Each phase's tap sums are brought to their mean over the phases by one constant per kernel; biases become their
    mean. An orthogonal projection: doing it again changes nothing, and a flat input keeps its mean level.
    Shapes, dtype and gradients are kept. Raises ValueError if the shapes do not fit the scale.
    """
    check_kernel(weight)
    check_bias(bias, weight.shape[0])
    by_phase = phases(weight, scale)
    means = by_phase.mean(dim=(3, 4), keepdim=True)
    flat = (by_phase - (means - means.mean(dim=1, keepdim=True))).flatten(0, 1)
    if bias is None:
        return flat, None
    return flat, phases(bias, scale).mean(dim=1).repeat_interleave(scale**2)
