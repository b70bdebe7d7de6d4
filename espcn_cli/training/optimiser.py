"""How weights follow their gradients: Adam in the eigenbasis of Shampoo's preconditioner, or Adam alone.

Vyas et al. 2024, "SOAP: Improving and Stabilizing Shampoo using Adam" (arXiv 2409.11321).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
VARIANCE = 0.95
CURVATURE = 0.95
"""How much of their past the three running means keep at each step: gradient, its square, and its Gram matrices."""

REFRESH = 10
"""Steps between two looks at the eigenvectors, which turn slowly."""

LONGEST = 128
"""Axes longer than this keep their basis: eigenvectors of larger matrices cost more than they give."""

TINY = 1e-8


@dataclass
class Stack:
    """Parameters of one shape, worked on together: (n, *axes), a kernel's axes being (outputs, inputs, k·k)."""

    parameters: list[nn.Parameter]
    momentum: Tensor
    variance: Tensor
    grams: dict[int, Tensor] = field(default_factory=dict)
    """Of an axis of length d, the running mean of (n, d, d): products of the gradient's slices along it."""
    bases: dict[int, Tensor] = field(default_factory=dict)
    """Of an axis, (n, d, d) with the Gram matrix's eigenvectors as columns."""

    @classmethod
    def of(cls, parameters: list[nn.Parameter]) -> Stack:
        zeros = torch.stack([torch.zeros_like(p).view(_axes(p)) for p in parameters])
        stack = cls(parameters, zeros, zeros.clone())
        for axis, length in enumerate(zeros.shape[1:], 1):
            if zeros.dim() > 2 and 1 < length <= LONGEST:
                stack.grams[axis] = zeros.new_zeros(len(parameters), length, length)
                stack.bases[axis] = stack.grams[axis].clone()
        return stack

    @property
    def gradient(self) -> Tensor:
        return torch.stack([_gradient(p).view(_axes(p)) for p in self.parameters])

    def rotate(self, x: Tensor, back: bool = False) -> Tensor:
        """(n, *axes) into the eigenbases, or back."""
        for axis, basis in self.bases.items():
            x = _along(axis, x, basis.mT if back else basis)
        return x

    def tensors(self) -> dict[str, Tensor]:
        axes = {f"{name}.{axis}": t for name in ("grams", "bases") for axis, t in getattr(self, name).items()}
        return {"momentum": self.momentum, "variance": self.variance, **axes}


class Soap:
    """Adam, rotated: each axis of a kernel's gradient is turned into the eigenvectors of its own running Gram matrix.

    Its step is in three parts: the first and the last can be recorded as a CUDA graph, the one between cannot.
    There, Adam's one rate per coordinate fits the directions that matter. Biases and slopes get plain Adam. Weights
    without a gradient are taken to have none: their gradient is zero.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        by_shape: dict[torch.Size, list[nn.Parameter]] = {}
        for parameter in parameters:
            by_shape.setdefault(parameter.shape, []).append(parameter)
        self.stacks = [Stack.of(alike) for alike in by_shape.values()]
        self.steps = self.stacks[0].momentum.new_zeros(())

    def step(self, learning_rate: float) -> None:
        """Move the parameters against their gradients."""
        before = int(self.steps)
        self.observe()
        self.turn(before)
        self.move(learning_rate)

    @torch.no_grad()
    def observe(self) -> None:
        """Take notice of the gradients."""
        self.steps += 1
        new = torch.where(self.steps > 1, 1 - CURVATURE, 1.0)
        for stack in self.stacks:
            gradient = stack.gradient
            for axis, gram in stack.grams.items():
                gram.lerp_(_gram(axis, gradient), new)

    @torch.no_grad()
    def turn(self, step: int) -> None:
        """Look at the eigenvectors again, if that is due at this step (from 0)."""
        if step % REFRESH == 0:
            for stack in self.stacks:
                _turn_(stack, first=step == 0)

    @torch.no_grad()
    def move(self, learning_rate: float | Tensor) -> None:
        """Move the parameters against the gradients that were observed."""
        for stack in self.stacks:
            gradient = stack.gradient
            stack.momentum.lerp_(gradient, 1 - MOMENTUM)
            stack.variance.lerp_(stack.rotate(gradient).square_(), 1 - VARIANCE)
            mean = stack.rotate(stack.momentum) / (1 - MOMENTUM**self.steps)
            deviation = (stack.variance / (1 - VARIANCE**self.steps)).sqrt_().add_(TINY)
            changes = stack.rotate(mean / deviation, back=True) * learning_rate
            for parameter, change in zip(stack.parameters, changes, strict=True):
                parameter.sub_(change.view_as(parameter))

    def tensors(self) -> dict[str, Tensor]:
        """What the next steps depend on, by name; whoever writes these tensors into another one makes it go on here."""
        stacks = {f"{i}.{name}": t for i, stack in enumerate(self.stacks) for name, t in stack.tensors().items()}
        return {"steps": self.steps, **stacks}


class Adam:
    """PyTorch's Adam behind the same methods."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        given = list(parameters)
        self.adam = torch.optim.Adam(given, fused=True, capturable=given[0].device.type == "cuda")
        for parameter in self.adam.param_groups[0]["params"]:  # what it makes itself at its first step
            steps = torch.zeros((), device=parameter.device)
            moments = {name: torch.zeros_like(parameter.detach()) for name in ("exp_avg", "exp_avg_sq")}
            self.adam.state[parameter] = {"step": steps, **moments}

    def step(self, learning_rate: float) -> None:
        self.move(learning_rate)

    def observe(self) -> None:
        """Nothing: Adam looks at the gradients as it moves."""

    def turn(self, step: int) -> None:
        """Nothing: Adam has no bases."""

    def move(self, learning_rate: float | Tensor) -> None:
        for group in self.adam.param_groups:
            group["lr"] = learning_rate
        self.adam.step()

    def tensors(self) -> dict[str, Tensor]:
        state = self.adam.state_dict()["state"]
        return {f"{index}.{name}": tensor for index, values in state.items() for name, tensor in values.items()}


Optimiser = Soap | Adam

OPTIMISERS: dict[str, type[Soap] | type[Adam]] = {"soap": Soap, "adam": Adam}


def _axes(parameter: Tensor) -> tuple[int, ...]:
    """The shape that a parameter is worked on in: a kernel's two sides are one axis."""
    return tuple(parameter.flatten(2).shape) if parameter.dim() > 2 else tuple(parameter.shape)


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _along(axis: int, x: Tensor, matrix: Tensor) -> Tensor:
    """Multiply an axis of x (n, ..., d, ...) by (n, d, e)."""
    x = x.movedim(axis, -1)
    rows = x.reshape(x.shape[0], -1, x.shape[-1])
    return (rows @ matrix).view(*x.shape[:-1], matrix.shape[-1]).movedim(-1, axis)


def _gram(axis: int, x: Tensor) -> Tensor:
    """(n, ..., d, ...) -> (n, d, d): products of the slices along an axis with each other."""
    rows = x.movedim(axis, -1).reshape(x.shape[0], -1, x.shape[axis])
    return rows.mT @ rows


def _turn_(stack: Stack, first: bool) -> None:
    """Bring the bases up to date: at first by a decomposition, later by one step of orthogonal iteration."""
    for axis, gram in stack.grams.items():
        basis = stack.bases[axis]
        if first:
            basis.copy_(torch.linalg.eigh(gram)[1].flip(-1))
            continue
        strength = torch.diagonal(basis.mT @ gram @ basis, dim1=-2, dim2=-1)
        order = strength.argsort(dim=-1, descending=True)  # orthogonal iteration keeps the strongest first
        turned = gram @ basis.gather(-1, order[:, None].expand_as(basis))
        basis.copy_(torch.linalg.qr(turned.cpu())[0])  # a GPU takes five times as long for matrices as small as these
        shape = [len(order), *(-1 if other == axis else 1 for other in range(1, stack.variance.dim()))]
        stack.variance.copy_(stack.variance.gather(axis, order.view(shape).expand_as(stack.variance)))
