"""The sub-pixel convolution on one page: the phase shift, the layer's three equivalent forms, fixed kernels.

Shi et al. 2016, "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural
Network" (arXiv 1609.05158), and Shi et al. 2016b, "Is the deconvolution layer the same as a convolutional layer?"
(arXiv 1609.07009). Throughout, `a` is a row offset and `b` a column offset inside one LR pixel, and a *phase* is one
of the scale² places (a, b), numbered a·scale + b.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from espcn_cli.maths.resize import cubic, phase_kernels, triangle
from espcn_cli.settings import BICUBIC_REACH

# --- the phase shift -------------------------------------------------------------------------------------------------


def phase_shift(x: Tensor, scale: int) -> Tensor:
    """Interleave groups of scale² channels into space.

    (N, C·scale², H, W) -> (N, C, H·scale, W·scale); any dtype, values only move: output pixel (h·scale + a,
    w·scale + b) of plane c is input channel c·scale² + a·scale + b at (h, w). Shi et al. 2016, Eq. 4, but with
    PyTorch's channel order (colour slowest), which differs from the paper's for C > 1.
    Raises ValueError if the channels do not divide by scale².
    """
    if scale < 1 or x.ndim != 4 or x.shape[1] % scale**2:
        raise ValueError(f"phase shift by {scale} needs (N, C·{scale**2}, H, W), not {tuple(x.shape)}")
    return F.pixel_shuffle(x, scale)


def inverse_phase_shift(x: Tensor, scale: int) -> Tensor:
    """Gather each scale × scale block of pixels into channels: (N, C, H·scale, W·scale) -> (N, C·scale², H, W).

    Raises ValueError if the height or width does not divide by the scale.
    """
    if scale < 1 or x.ndim != 4 or x.shape[2] % scale or x.shape[3] % scale:
        raise ValueError(f"inverse phase shift by {scale} needs (N, C, H·{scale}, W·{scale}), not {tuple(x.shape)}")
    return F.pixel_unshuffle(x, scale)


class PhaseShift(nn.Module):
    """`phase_shift` where a module is wanted."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return phase_shift(x, self.scale)

    def extra_repr(self) -> str:
        return f"scale={self.scale}"


ORDERS = {"pytorch": "cab", "tensorflow": "abc", "paper": "bac", "keras": "cba"}
"""Which axis of (plane c, row offset a, column offset b) varies slowest, next and fastest along the channels.

`pytorch` (PixelShuffle, ONNX DepthToSpace CRD): c·r² + a·r + b. `tensorflow` (depth_to_space, ONNX DCR):
(a·r + b)·C + c. `paper` (Shi et al. 2016, Eq. 4, and early TensorFlow ports): C·r·b + C·a + c. `keras` (the
Keras-subpixel package): c·r² + b·r + a. For one plane the first two agree, and the last two.
"""


def reorder(x: Tensor, scale: int, *, source: str = "pytorch", target: str = "pytorch") -> Tensor:
    """Bring the channels of a weight or a bias from one order of `ORDERS` to another: (C·scale², ...) -> the same.

    A convolution with the reordered weight and bias, followed by the target's phase shift, gives what the original
    gave with the source's. Any dtype; values only move, along dim 0.
    Raises ValueError for an unknown order, or if dim 0 does not divide by scale².
    """
    if source not in ORDERS or target not in ORDERS:
        raise ValueError(f"channel orders are {', '.join(ORDERS)}, not {source!r} and {target!r}")
    sizes = {"c": phases(x, scale).shape[0], "a": scale, "b": scale}
    split = torch.unflatten(x, 0, [sizes[axis] for axis in ORDERS[source]])
    axes = [ORDERS[source].index(axis) for axis in ORDERS[target]]
    return split.permute(*axes, *range(3, split.ndim)).flatten(0, 2)


def phases(x: Tensor, scale: int) -> Tensor:
    """Take the planes and their phases apart: (C·scale², ...) -> (C, scale², ...)."""
    if scale < 1 or x.ndim < 1 or not x.shape[0] or x.shape[0] % scale**2:
        raise ValueError(f"scale {scale} needs a multiple of {scale**2} channels, not a tensor of {tuple(x.shape)}")
    return torch.unflatten(x, 0, (-1, scale**2))


# --- one linear map, three forms -------------------------------------------------------------------------------------
#
# Each maps (N, I, H, W) to (N, O, H·scale, W·scale), holds its weight and bias (or None), and is differentiable in
# them and in its input. The methods `to_...` rearrange the same numbers, and so are exact and differentiable too.


@dataclass(frozen=True, eq=False)
class SubpixelConvolution:
    """A convolution on LR planes, then the phase shift: the efficient form (Shi et al. 2016, Section 2.2).

    `weight` is (O·scale², I, k, k) and `bias` (O·scale²), in PyTorch's channel order. `pads` rows and columns of
    zeros lie before and after the input, k - 1 together; for odd k and equal pads this is the usual 'same' layer.
    Raises ValueError if the shapes do not fit the scale or the pads do not keep the size.
    """

    weight: Tensor
    bias: Tensor | None
    scale: int
    pads: tuple[int, int]

    def __post_init__(self) -> None:
        check_kernel(self.weight)
        phases(self.weight, self.scale)
        check_bias(self.bias, self.weight.shape[0])
        _check_pads(self.pads, self.weight.shape[-1])

    def __call__(self, x: Tensor) -> Tensor:
        return phase_shift(F.conv2d(F.pad(x, 2 * self.pads), self.weight, self.bias), self.scale)

    def to_deconvolution(self) -> Deconvolution:
        """The transposed convolution that is the same map: kernel k·scale, padding scale·(pad after).

        Wt[i, o, a + r·(k-1-u), b + r·(k-1-v)] = Ws[o·r² + a·r + b, i, u, v]. Inverts `Deconvolution.to_subpixel`
        exactly when that one's kernel is a multiple of the scale; otherwise the zeros it added stay.
        Raises ValueError if an output plane has different biases in its phases: together they are a periodic map,
        and a transposed convolution adds one value per plane.
        """
        split = torch.unflatten(self.weight, 0, (-1, self.scale, self.scale))  # (O, a, b, I, u, v)
        weight = split.flip(4, 5).permute(3, 0, 4, 1, 5, 2).flatten(4, 5).flatten(2, 3)
        return Deconvolution(weight, self._bias_per_plane(), self.scale, self.scale * self.pads[1])

    def _bias_per_plane(self) -> Tensor | None:
        if self.bias is None:
            return None
        values = phases(self.bias, self.scale)
        different = (values != values[:, :1]).any(dim=1)
        if different.any():
            raise ValueError(
                f"output plane {int(different.nonzero()[0])} has different biases in its {self.scale**2} phases, a"
                " periodic map, and a transposed convolution has one bias per plane: keep the sub-pixel form, or"
                " make the biases equal first (remove_checkerboard)"
            )
        return values[:, 0]


@dataclass(frozen=True, eq=False)
class Deconvolution:
    """A transposed convolution with stride `scale`, cut to H·scale × W·scale: FSRCNN's head, for one.

    `weight` is (I, O, K, K) and `bias` (O); K may be any size, and `padding` in [0, K) rows and columns are cut away
    at the start: input pixel h and tap j meet in output pixel h·scale + j - padding, on either axis.
    Raises ValueError if shapes or padding break this.
    """

    weight: Tensor
    bias: Tensor | None
    scale: int
    padding: int

    def __post_init__(self) -> None:
        check_kernel(self.weight)
        check_bias(self.bias, self.weight.shape[1])
        size = self.weight.shape[-1]
        if self.scale < 1 or not 0 <= self.padding < size:
            raise ValueError(f"scale must be at least 1 and padding in [0, {size}), not {self.scale}, {self.padding}")

    @classmethod
    def of(cls, layer: nn.ConvTranspose2d) -> Deconvolution:
        """A PyTorch layer's map, sharing its parameters.

        Raises ValueError for what is not covered: groups, dilation, rows treated otherwise than columns, and
        padding whose output is not exactly stride times the input.
        """
        (size, width), (scale, scale_x) = layer.kernel_size, layer.stride
        padding, padding_x = (int(p) for p in layer.padding)
        output_padding = scale + 2 * padding - size
        faults = {
            f"{layer.groups} groups": layer.groups != 1,
            f"dilation {layer.dilation}": layer.dilation != (1, 1),
            "rows and columns treated differently": (size, scale, padding) != (width, scale_x, padding_x),
            f"an output other than {scale} times its input (output padding {layer.output_padding}, not"
            f" {output_padding})": layer.output_padding != (output_padding, output_padding),
        }
        if any(faults.values()):
            named = "; ".join(fault for fault, found in faults.items() if found)
            raise ValueError(f"no sub-pixel form for a transposed convolution with {named}")
        return cls(layer.weight, layer.bias, scale, padding)

    def __call__(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2] * self.scale, x.shape[-1] * self.scale
        size = self.weight.shape[-1]
        both = min(self.padding, size - 1 - self.padding)  # PyTorch cuts as much at the end as at the start
        missing = max(both + self.scale + self.padding - size, 0)  # and puts back fewer than `scale` rows there
        out = F.conv_transpose2d(x, self.weight, self.bias, self.scale, both, output_padding=missing)
        start = self.padding - both
        return out[..., start : start + height, start : start + width]

    def to_subpixel(self) -> SubpixelConvolution:
        """The same map as a convolution on LR planes and a phase shift (Shi et al. 2016b, Sections 1 and 2).

        Output pixel h·r + a sees input pixel h + d through tap j = a + P - r·d. The taps in [0, K) need d from
        dmin = ceil((P - K + 1)/r) to dmax = floor((r - 1 + P)/r): k = dmax - dmin + 1 taps in LR, pads -dmin and
        dmax, and zeros where a phase has fewer. Bringing the kernel to k·r taps with those zeros and the padding to
        r·dmax leaves the paper's case: Ws[o·r² + a·r + b, i, u, v] = Wt[i, o, a + r·(k-1-u), b + r·(k-1-v)].
        The bias repeats over the phases. (1, 1, 4, 4) at r = 2 becomes (4, 1, 2, 2).
        """
        r, size = self.scale, self.weight.shape[-1]
        pads = (size - 1 - self.padding) // r, (r - 1 + self.padding) // r  # -dmin, dmax
        k = sum(pads) + 1
        first = r * pads[1] - self.padding
        whole = F.pad(self.weight, 2 * (first, k * r - size - first))
        split = torch.unflatten(torch.unflatten(whole, 3, (k, r)), 2, (k, r))  # (I, O, u, a, v, b)
        weight = split.flip(2, 4).permute(1, 3, 5, 0, 2, 4).flatten(0, 2)
        bias = None if self.bias is None else self.bias.repeat_interleave(r**2)
        return SubpixelConvolution(weight, bias, r, pads)

    def to_fractional(self) -> FractionalConvolution:
        """The same map as a convolution on the zero-stuffed input: the kernel turned by 180°."""
        pads = self.weight.shape[-1] - 1 - self.padding, self.padding
        return FractionalConvolution(self.weight.transpose(0, 1).flip(2, 3), self.bias, self.scale, pads)


@dataclass(frozen=True, eq=False)
class FractionalConvolution:
    """Zeros between the input's pixels, then a plain convolution in HR: 'stride 1/scale' (Shi et al. 2016b, Section 1).

    `weight` is (O, I, K, K) and `bias` (O); `pads` are in HR pixels, K - 1 together. It multiplies mostly zeros,
    scale² times as many products as the other two forms: the definition to compare with, not the way to compute.
    Raises ValueError if shapes or pads break this.
    """

    weight: Tensor
    bias: Tensor | None
    scale: int
    pads: tuple[int, int]

    def __post_init__(self) -> None:
        check_kernel(self.weight)
        check_bias(self.bias, self.weight.shape[0])
        _check_pads(self.pads, self.weight.shape[-1])

    def __call__(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(stuff_zeros(x, self.scale), 2 * self.pads), self.weight, self.bias)

    def to_deconvolution(self) -> Deconvolution:
        return Deconvolution(self.weight.flip(2, 3).transpose(0, 1), self.bias, self.scale, self.pads[1])


def stuff_zeros(x: Tensor, scale: int) -> Tensor:
    """Put each pixel at the top left of a scale × scale block of zeros: (N, C, H, W) -> (N, C, H·scale, W·scale)."""
    n, c, h, w = x.shape
    out = x.new_zeros(n, c, h * scale, w * scale)
    out[..., ::scale, ::scale] = x
    return out


def check_kernel(weight: Tensor) -> None:
    if weight.ndim != 4 or weight.shape[2] != weight.shape[3] or not weight.numel():
        raise ValueError(f"a kernel is (channels, channels, k, k), not {tuple(weight.shape)}")


def check_bias(bias: Tensor | None, channels: int) -> None:
    if bias is not None and bias.shape != (channels,):
        raise ValueError(f"{channels} channels need a bias of ({channels},), not {tuple(bias.shape)}")


def _check_pads(pads: tuple[int, int], size: int) -> None:
    if min(pads) < 0 or sum(pads) != size - 1:
        raise ValueError(f"pads of a {size}×{size} kernel must add up to {size - 1}, not {pads}")


# --- interpolation as fixed kernels ----------------------------------------------------------------------------------


def nearest_kernel(scale: int) -> Tensor:
    """Nearest-neighbour upsampling as a sub-pixel convolution: (scale², 1, 1, 1), float64, ones."""
    return torch.ones(scale**2, 1, 1, 1, dtype=torch.float64)


def bilinear_kernel(scale: int) -> Tensor:
    """Bilinear upsampling as a sub-pixel convolution: (scale², 1, 3, 3), float64."""
    return torch.from_numpy(phase_kernels(scale, 1, triangle))


def bicubic_kernel(scale: int) -> Tensor:
    """Bicubic upsampling as a sub-pixel convolution: (scale², 1, 5, 5), float64."""
    return torch.from_numpy(phase_kernels(scale, BICUBIC_REACH, cubic))
