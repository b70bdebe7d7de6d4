"""What the networks are made of: convolutions with steady bits, activations, and the bicubic skip."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from espcn_cli.maths.quantisation import LARGEST, LEAST, LEVELS, Grid
from espcn_cli.network.subpixel import bicubic_kernel
from espcn_cli.settings import BICUBIC_REACH, Slopes

HAS_ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]

PRELU_SLOPE = 0.25
"""The learned slope's start."""

HARDSWISH_GAIN = 2.6
"""Between 4 for small values, which hardswish halves, and the 2 of a ReLU for large ones: with it, eleven layers keep
normal values' scale within a factor of about three."""


class Convolution(nn.Conv2d):
    """A convolution with the same bits at a pixel whatever the size of the picture around it.

    It keeps the size, with zeros beyond the border; without `padded`, the result is smaller by k - 1.

    On a CPU, PyTorch takes another algorithm for small inputs, whose sums differ in the last bit; a tile would then
    differ from the whole. Outside training, oneDNN is therefore called by name, which autocast does not know.

    `grid`: what goes in and the weights are rounded to eight bits, which gradients go through as if they were not; see
    `maths/quantisation`. None leaves them as they are.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, padded: bool = True) -> None:
        self.pad = (kernel - 1) // 2 if padded else 0
        self.grid: Grid | None = None
        super().__init__(inputs, outputs, kernel, padding=self.pad)

    def draw_(self, activation: str) -> None:
        """Random weights, of the variance that keeps the scale of what goes through an activation; biases of zero."""
        if activation == "tanh":
            nn.init.xavier_normal_(self.weight, gain=nn.init.calculate_gain("tanh"))
        elif activation == "prelu":
            nn.init.kaiming_normal_(self.weight, a=PRELU_SLOPE)
        else:
            nn.init.normal_(self.weight, std=math.sqrt(HARDSWISH_GAIN / self.weight[0].numel()))
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        if self.grid is not None:
            wide = torch.fake_quantize_per_tensor_affine(x.float(), self.grid.step, self.grid.zero, 0, LEVELS - 1)
            x = wide.to(x.dtype)
            weight = rounded(weight)
        if not wants_onednn(x):
            return F.conv2d(x, weight, self.bias, padding=self.pad)
        assert self.bias is not None
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        return convolve_by_onednn(x.to(dtype), weight.to(dtype), self.bias.to(dtype), self.pad)


def rounded(weight: Tensor) -> Tensor:
    """Weights (O, I, k, k) on the grids of eight bits that their channels have; differentiable as if they were not."""
    with torch.no_grad():
        steps = (weight.abs().amax(dim=(1, 2, 3)) / LARGEST).clamp_min(LEAST)
        zeros = torch.zeros_like(steps)  # of whole numbers, a GPU would be asked whether they fit: see `cuda_graph`
    return torch.fake_quantize_per_channel_affine(weight, steps, zeros, 0, -LARGEST, LARGEST)


def wants_onednn(x: Tensor) -> bool:
    return HAS_ONEDNN and x.device.type == "cpu" and x.dtype != torch.float64 and not torch.is_grad_enabled()


@cache
def multiplies_bf16() -> bool:
    """Whether oneDNN takes bfloat16 on this processor: on x86 it wants AVX-512 or AVX-NE-CONVERT."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def convolve_by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """A convolution with the same bits at a pixel whatever lies around it; any float dtype but float64.

    Where the processor has no bfloat16, its values are multiplied and added in float32 and the result is rounded.
    """
    if x.dtype == torch.bfloat16 and not multiplies_bf16():
        wide = convolve_by_onednn(x.float(), weight.float(), None if bias is None else bias.float(), padding)
        return wide.to(torch.bfloat16)
    result: Tensor = torch.mkldnn_convolution(x, weight, bias, (padding, padding), (1, 1), (1, 1), 1)
    return result


class ScalarPReLU(nn.PReLU):
    """Leaky ReLU with one learned slope; works in place where no gradient is wanted."""

    def __init__(self) -> None:
        super().__init__(num_parameters=1, init=PRELU_SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return F.leaky_relu_(x, self.weight.detach().item())
        return prelu(x, self.weight) if x.device.type == "cpu" else super().forward(x)


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """Leaky ReLU of x (any shape) with a slope (1,) that is learned too, faster to train than PyTorch's on a CPU."""
    result: Tensor = LeakyReLU.apply(x, slope)  # type: ignore[no-untyped-call]
    return result


class LeakyReLU(torch.autograd.Function):
    """What `prelu` does, and its gradients.

    PyTorch's own backward pass of a PReLU writes a slope's gradient for each element before it adds them up, and works
    them out one by one in bf16: it takes longer than a convolution does. Here, both gradients are a few fast passes.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope)
        return F.leaky_relu(x, slope.item())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, slope = ctx.saved_tensors
        by_slope = torch.clamp_max(x, 0).mul_(gradient).sum()  # inside, bf16 is added up in fp32
        return torch.ops.aten.leaky_relu_backward(gradient, x, slope.item(), False), by_slope.to(slope.dtype).view(1)


class Hardswish(nn.Hardswish):
    """x·clip(x + 3, 0, 6)/6, a ReLU with a soft knee (Howard et al. 2019, arXiv 1905.02244, Section 5.2).

    Works in place where no gradient is wanted.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.hardswish(x, inplace=not torch.is_grad_enabled())


class ChannelPReLU(nn.PReLU):
    """Leaky ReLU with a learned slope for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__(num_parameters=channels, init=PRELU_SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        return F.prelu(x, self.weight.to(x.dtype))


def activation(name: str, channels: int = 1, slopes: Slopes = "layer") -> nn.Module:
    """One of `settings.LastActivation` as a layer; a prelu with one slope, or with one per channel."""
    if name == "prelu" and slopes == "channel":
        return ChannelPReLU(channels)
    kinds: dict[str, type[nn.Module]] = {
        "tanh": nn.Tanh,
        "prelu": ScalarPReLU,
        "hardswish": Hardswish,
        "sigmoid": nn.Sigmoid,
    }
    return kinds[name]()


def without_questions(layer: nn.Module) -> nn.Module:
    """A layer that starts no work on a GPU before it has waited for a number from it: a slope becomes a constant."""
    return nn.LeakyReLU(float(layer.weight), inplace=True) if isinstance(layer, ScalarPReLU) else layer


class BicubicSkip(nn.Module):
    """Bicubic upsampling before the phase shift: (N, C, H, W) -> (N, C·scale², H, W), each plane by itself.

    The picture goes on beyond its border with the edge pixel, as in `resize`. Nothing is learned, nothing is stored.
    """

    kernel: Tensor

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.register_buffer("kernel", bicubic_kernel(scale).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        padded = F.pad(x.reshape(n * c, 1, h, w), [BICUBIC_REACH] * 4, mode="replicate")
        if wants_onednn(padded):
            out = convolve_by_onednn(padded, self.kernel, None, 0)
        else:
            out = F.conv2d(padded, self.kernel)
        return out.reshape(n, -1, h, w)


class NearestSkip(nn.Module):
    """The nearest pixel, before the phase shift: (N, C, H, W) -> (N, C·scale², H, W)."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.phases = scale**2

    def forward(self, x: Tensor) -> Tensor:
        return x.repeat_interleave(self.phases, dim=1)


def channels_last(x: Tensor) -> Tensor:
    """The same values with the channels innermost in memory, where CPU and GPU convolutions are fastest.

    `Tensor.contiguous` leaves a single plane's strides as they are, and the convolution then takes a slower path.
    """
    if x.shape[1] > 1:
        return x.contiguous(memory_format=torch.channels_last)
    return torch.empty_like(x, memory_format=torch.channels_last).copy_(x)
