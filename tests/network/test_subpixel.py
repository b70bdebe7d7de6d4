"""The sub-pixel layer as a specification: Shi et al. 2016 (arXiv 1609.05158) and 2016b (arXiv 1609.07009)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from exact import close, random
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

from espcn_cli.maths.resize import interpolate
from espcn_cli.network.checkerboard import checkerboard, icnr_, remove_checkerboard
from espcn_cli.network.subpixel import (
    ORDERS,
    Deconvolution,
    FractionalConvolution,
    PhaseShift,
    SubpixelConvolution,
    bicubic_kernel,
    bilinear_kernel,
    inverse_phase_shift,
    nearest_kernel,
    phase_shift,
    reorder,
    stuff_zeros,
)

SCALES = (2, 3, 4)
Form = Callable[[Tensor], Tensor]


# --- the phase shift -------------------------------------------------------------------------------------------------


def shift_by_hand(x: Tensor, scale: int, channel: Callable[[int, int, int, int, int], int]) -> Tensor:
    """Each order's own formula, one pixel at a time; `channel` maps (c, a, b, planes, r) to a channel."""
    n, channels, h, w = x.shape
    planes = channels // scale**2
    out = torch.full((n, planes, h * scale, w * scale), torch.nan, dtype=x.dtype)
    for c, row, column in product(range(planes), range(h * scale), range(w * scale)):
        a, b = row % scale, column % scale
        out[:, c, row, column] = x[:, channel(c, a, b, planes, scale), row // scale, column // scale]
    return out


FORMULAS: dict[str, Callable[[int, int, int, int, int], int]] = {
    "pytorch": lambda c, a, b, planes, r: c * r**2 + a * r + b,
    "tensorflow": lambda c, a, b, planes, r: (a * r + b) * planes + c,
    "paper": lambda c, a, b, planes, r: planes * r * b + planes * a + c,
    "keras": lambda c, a, b, planes, r: c * r**2 + b * r + a,
}


def test_phase_shift_puts_channels_in_reading_order() -> None:
    x = torch.arange(9).reshape(1, 9, 1, 1)
    assert phase_shift(x, 3)[0, 0].tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
def test_phase_shift_is_the_formula_and_inverts(scale: int, planes: int, height: int, width: int) -> None:
    x = random(2, planes * scale**2, height, width)
    shifted = phase_shift(x, scale)
    assert shifted.equal(shift_by_hand(x, scale, FORMULAS["pytorch"]))
    assert shifted.equal(PhaseShift(scale)(x))
    assert inverse_phase_shift(shifted, scale).equal(x)


@pytest.mark.parametrize("shape", [(1, 6, 4, 4), (4, 4, 4)])
def test_phase_shift_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"phase shift by 2 needs \(N, C·4, H, W\)"):
        phase_shift(torch.zeros(shape), 2)


def test_inverse_phase_shift_refuses_a_remainder() -> None:
    with pytest.raises(ValueError, match="inverse phase shift by 2"):
        inverse_phase_shift(torch.zeros(1, 1, 4, 5), 2)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("order", ORDERS)
def test_reordered_layer_gives_the_same_image_with_the_other_phase_shift(order: str, scale: int) -> None:
    weight, bias, x = random(3 * scale**2, 2, 3, 3, seed=1), random(3 * scale**2, seed=2), random(1, 2, 4, 3, seed=3)
    expected = phase_shift(F.conv2d(x, weight, bias, padding=1), scale)
    theirs = F.conv2d(
        x, reorder(weight, scale, target=order), reorder(bias, scale, target=order), padding=1
    )  # what a network of that framework would hold
    assert close(shift_by_hand(theirs, scale, FORMULAS[order]), expected)


@pytest.mark.parametrize(("order", "mode"), [("pytorch", "CRD"), ("tensorflow", "DCR")])
@pytest.mark.parametrize("scale", SCALES)
def test_orders_agree_with_onnx(order: str, mode: str, scale: int) -> None:
    """Independent source: the reference implementation of DepthToSpace in the onnx package."""
    x = random(3 * scale**2, 2, 5)
    node = onnx.helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=scale, mode=mode)
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node], "shift", [value("x", onnx.TensorProto.DOUBLE, None)], [value("y", onnx.TensorProto.DOUBLE, None)]
    )
    model = ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)]))
    (theirs,) = model.run(None, {"x": reorder(x, scale, target=order)[None].numpy()})
    np.testing.assert_array_equal(theirs, phase_shift(x[None], scale).numpy())


@given(st.sampled_from(list(ORDERS)), st.sampled_from(list(ORDERS)), st.integers(1, 4), st.integers(1, 4))
def test_reorder_goes_there_and_back(source: str, target: str, scale: int, planes: int) -> None:
    x = torch.arange(planes * scale**2)
    there = reorder(x, scale, source=source, target=target)
    assert reorder(there, scale, source=target, target=source).equal(x)
    assert reorder(x, scale, source=source, target=source).equal(x)
    through = reorder(reorder(x, scale, source=source, target="paper"), scale, source="paper", target=target)
    assert through.equal(there)


def test_reorder_by_example() -> None:
    """Two planes at r = 2. Entries 10·c + 2·a + b: what each channel of the other order must hold, from its formula."""
    pytorch = torch.tensor([0, 1, 2, 3, 10, 11, 12, 13])
    assert reorder(pytorch, 2, target="tensorflow").tolist() == [0, 10, 1, 11, 2, 12, 3, 13]
    assert reorder(pytorch, 2, target="paper").tolist() == [0, 10, 2, 12, 1, 11, 3, 13]
    assert reorder(pytorch, 2, target="keras").tolist() == [0, 2, 1, 3, 10, 12, 11, 13]


def test_reorder_refuses_unknown_orders_and_shapes() -> None:
    with pytest.raises(
        ValueError, match="channel orders are pytorch, tensorflow, paper, keras, not 'pytorch' and 'tf'"
    ):
        reorder(torch.zeros(4), 2, target="tf")
    with pytest.raises(ValueError, match="multiple of 9 channels"):
        reorder(torch.zeros(4, 1, 3, 3), 3, target="paper")


# --- one linear map, three forms -------------------------------------------------------------------------------------


def test_the_papers_example() -> None:
    """(1, 1, 4, 4) ⇄ (4, 1, 2, 2) at r = 2: every second tap belongs to the same phase (Shi et al. 2016b, Section 2).

    Worked out by hand: phase (0, 0) takes the even rows and columns of the kernel, turned by 180°, and so on.
    """
    kernel = torch.arange(16.0).reshape(1, 1, 4, 4)
    subpixel = Deconvolution(kernel, None, scale=2, padding=2).to_subpixel()
    assert subpixel.weight.shape == (4, 1, 2, 2)
    assert subpixel.weight[:, 0].tolist() == [
        [[10, 8], [2, 0]],
        [[11, 9], [3, 1]],
        [[14, 12], [6, 4]],
        [[15, 13], [7, 5]],
    ]
    assert subpixel.pads == (0, 1)

    # One bright pixel at (1, 1) of 3 × 3 prints the kernel, from row and column 2·1 - 2 on.
    x = torch.zeros(1, 1, 3, 3)
    x[0, 0, 1, 1] = 1
    assert subpixel(x)[0, 0].equal(F.pad(kernel[0, 0], (0, 2, 0, 2)))

    # Overlapping prints add up: output (2, 2) sees four pixels through the taps of phase (0, 0).
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 1, 2, 2)
    assert subpixel(x)[0, 0, 0, 0] == 1 * 10 + 2 * 8 + 3 * 2 + 4 * 0

    back = subpixel.to_deconvolution()
    assert back.weight.equal(kernel)
    assert back.padding == 2


def test_stuffed_zeros_by_example() -> None:
    x = torch.tensor([[1, 2], [3, 4]]).reshape(1, 1, 2, 2)
    assert stuff_zeros(x, 2)[0, 0].tolist() == [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]


@st.composite
def deconvolutions(draw: st.DrawFn) -> tuple[Deconvolution, Tensor]:
    """Any kernel, stride, padding and channels, with or without bias, and a small input of any shape."""
    scale, size = draw(st.integers(1, 4)), draw(st.integers(1, 13))
    padding = draw(st.integers(0, size - 1))
    inputs, outputs, batch = (draw(st.integers(1, 3)) for _ in range(3))
    height, width = (draw(st.integers(1, 6)) for _ in range(2))
    seed = draw(st.integers(0, 2**16))
    bias = random(outputs, seed=seed + 1) if draw(st.booleans()) else None
    layer = Deconvolution(random(inputs, outputs, size, size, seed=seed), bias, scale, padding)
    return layer, random(batch, inputs, height, width, seed=seed + 2)


def by_definition(layer: Deconvolution, x: Tensor) -> Tensor:
    """Each input pixel adds its multiple of the kernel: x[h]·weight[j] lands in h·scale + j - padding."""
    n, _, h, w = x.shape
    r, size, p = layer.scale, layer.weight.shape[-1], layer.padding
    prints = torch.zeros(n, layer.weight.shape[1], h * r + size + p, w * r + size + p, dtype=x.dtype)
    for row, column in product(range(h), range(w)):
        print_ = torch.einsum("ni,iokl->nokl", x[:, :, row, column], layer.weight)
        prints[:, :, row * r : row * r + size, column * r : column * r + size] += print_
    out = prints[:, :, p : p + h * r, p : p + w * r]
    return out if layer.bias is None else out + layer.bias[:, None, None]


@given(deconvolutions())
@settings(deadline=None)
def test_the_three_forms_are_one_map(case: tuple[Deconvolution, Tensor]) -> None:
    layer, x = case
    expected = by_definition(layer, x)
    assert expected.shape[-2:] == (x.shape[2] * layer.scale, x.shape[3] * layer.scale)
    subpixel, fractional = layer.to_subpixel(), layer.to_fractional()
    forms: list[Form] = [layer, subpixel, fractional, subpixel.to_deconvolution(), fractional.to_deconvolution()]
    for form in forms:
        assert close(form(x), expected)


@given(deconvolutions())
@settings(deadline=None, max_examples=50)
def test_the_three_forms_have_the_same_gradients(case: tuple[Deconvolution, Tensor]) -> None:
    """Through the conversion: the gradient arrives at the one kernel that all three forms were made from."""
    layer, x = case
    weight, x = layer.weight.requires_grad_(), x.requires_grad_()
    leaves = [x, weight] if layer.bias is None else [x, weight, layer.bias.requires_grad_()]
    out = layer(x)
    towards = random(*out.shape, seed=9)
    expected = torch.autograd.grad(out, leaves, towards)
    forms: list[Form] = [layer.to_subpixel(), layer.to_fractional(), layer.to_subpixel().to_deconvolution()]
    for form in forms:
        gradients = torch.autograd.grad(form(x), leaves, towards)
        assert all(close(gradient, e) for gradient, e in zip(gradients, expected, strict=True))


@given(st.integers(1, 5), st.integers(2, 4), st.data())
@settings(deadline=None)
def test_kernels_of_k_times_scale_convert_exactly_both_ways(k: int, scale: int, data: st.DataObject) -> None:
    """The special case, entry by entry from its formula, and back to the same bits."""
    before = data.draw(st.integers(0, k - 1), label="pad before")
    weight = random(2, 3, k * scale, k * scale)
    deconvolution = Deconvolution(weight, random(3), scale, padding=scale * (k - 1 - before))
    subpixel = deconvolution.to_subpixel()
    assert subpixel.pads == (before, k - 1 - before)
    for o, i, a, b in product(range(3), range(2), range(scale), range(scale)):
        for u, v in product(range(k), range(k)):
            theirs = weight[i, o, a + scale * (k - 1 - u), b + scale * (k - 1 - v)]
            assert subpixel.weight[o * scale**2 + a * scale + b, i, u, v] == theirs
    back = subpixel.to_deconvolution()
    assert back.weight.equal(weight)
    assert back.padding == deconvolution.padding
    assert back.bias is not None
    assert back.bias.equal(random(3))


@given(st.integers(1, 5), st.integers(2, 4), st.booleans(), st.integers(1, 5), st.integers(1, 5))
@settings(deadline=None)
def test_any_subpixel_convolution_has_its_deconvolution(k: int, scale: int, biased: bool, height: int, w: int) -> None:
    bias = random(2, seed=1).repeat_interleave(scale**2) if biased else None
    layer = SubpixelConvolution(random(2 * scale**2, 3, k, k), bias, scale, ((k - 1) // 2, k // 2))
    x = random(2, 3, height, w, seed=2)
    deconvolution = layer.to_deconvolution()
    assert deconvolution.weight.shape == (3, 2, k * scale, k * scale)
    assert close(deconvolution(x), layer(x))
    assert close(by_definition(deconvolution, x), layer(x))
    assert deconvolution.to_subpixel().weight.equal(layer.weight)


@pytest.mark.parametrize(("scale", "k", "pads"), [(2, 5, (2, 2)), (3, 4, (1, 2)), (4, 3, (1, 1))])
def test_fsrcnns_head(scale: int, k: int, pads: tuple[int, int]) -> None:
    """FSRCNN(56, 12, 4) ends in a 9×9 deconvolution (Dong et al. 2016, arXiv 1608.00367), whatever the scale.

    k and pads by hand from dmin = ceil((4 - 9 + 1)/r), dmax = floor((r - 1 + 4)/r): -2..2, -1..2 and -1..1.
    """
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(56, 1, 9, stride=scale, padding=4, output_padding=scale - 1).double()
    x = random(1, 56, 7, 5)
    subpixel = Deconvolution.of(layer).to_subpixel()
    assert subpixel.weight.shape == (scale**2, 56, k, k)
    assert subpixel.pads == pads
    assert close(Deconvolution.of(layer)(x), layer(x))
    assert close(subpixel(x), layer(x))
    assert close(subpixel.to_deconvolution()(x), layer(x))


def test_a_kernel_smaller_than_the_scale_leaves_phases_dark() -> None:
    subpixel = Deconvolution(torch.ones(1, 1, 1, 1), None, scale=2, padding=0).to_subpixel()
    assert subpixel(torch.full((1, 1, 1, 1), 7.0))[0, 0].tolist() == [[7, 0], [0, 0]]


def test_a_periodic_bias_has_no_deconvolution() -> None:
    bias = torch.tensor([1.0, 1, 1, 1, 1, 1, 2, 1])
    layer = SubpixelConvolution(torch.zeros(8, 1, 3, 3), bias, 2, (1, 1))
    with pytest.raises(ValueError, match="output plane 1 has different biases in its 4 phases, a periodic map"):
        layer.to_deconvolution()
    weight, flat = remove_checkerboard(layer.weight, bias, 2)
    back = SubpixelConvolution(weight, flat, 2, (1, 1)).to_deconvolution()
    assert back.bias is not None
    assert back.bias.tolist() == [1, 1.25]


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.ConvTranspose2d(2, 2, 4, stride=2, padding=1, groups=2), "2 groups"),
        (nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1, dilation=2), r"dilation \(2, 2\)"),
        (nn.ConvTranspose2d(1, 1, 9, stride=2, padding=4), r"an output other than 2 times .* \(0, 0\), not 1\)"),
        (nn.ConvTranspose2d(1, 1, 4, stride=2), "an output other than 2 times its input"),
        (nn.ConvTranspose2d(1, 1, (4, 6), stride=2, padding=(1, 2)), "rows and columns treated differently"),
        (nn.ConvTranspose2d(1, 1, 4, stride=(2, 4), padding=(1, 0)), "rows and columns treated differently"),
    ],
)
def test_other_transposed_convolutions_are_refused(layer: nn.ConvTranspose2d, reason: str) -> None:
    with pytest.raises(ValueError, match=f"no sub-pixel form for a transposed convolution with .*{reason}") as error:
        Deconvolution.of(layer)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: SubpixelConvolution(torch.zeros(6, 1, 3, 3), None, 2, (1, 1)), "multiple of 4 channels"),
        (lambda: SubpixelConvolution(torch.zeros(4, 1, 3, 5), None, 2, (1, 1)), "a kernel is"),
        (lambda: SubpixelConvolution(torch.zeros(4, 1, 3, 3), None, 2, (1, 2)), "must add up to 2"),
        (lambda: SubpixelConvolution(torch.zeros(4, 1, 3, 3), None, 2, (-1, 3)), "must add up to 2"),
        (lambda: SubpixelConvolution(torch.zeros(4, 1, 3, 3), torch.zeros(1), 2, (1, 1)), r"bias of \(4,\)"),
        (lambda: SubpixelConvolution(torch.zeros(4, 1, 3, 3), None, 0, (1, 1)), "scale 0"),
        (lambda: Deconvolution(torch.zeros(1, 2, 4, 4), torch.zeros(3), 2, 1), r"bias of \(2,\)"),
        (lambda: Deconvolution(torch.zeros(1, 2, 4), None, 2, 1), "a kernel is"),
        (lambda: Deconvolution(torch.zeros(1, 2, 4, 4), None, 2, 4), r"padding in \[0, 4\)"),
        (lambda: Deconvolution(torch.zeros(1, 2, 4, 4), None, 0, 1), "scale must be at least 1"),
        (lambda: FractionalConvolution(torch.zeros(1, 1, 4, 4), None, 2, (2, 2)), "must add up to 3"),
        (lambda: icnr_(torch.zeros(6, 1, 3, 3), 2), "multiple of 4 channels"),
        (lambda: checkerboard(torch.zeros(4, 1, 3, 3), torch.zeros(1), 2), r"bias of \(4,\)"),
        (lambda: checkerboard(torch.zeros(4, 1, 3, 3), None, 3), "multiple of 9 channels"),
        (lambda: remove_checkerboard(torch.zeros(4, 3), None, 2), "a kernel is"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(make: Callable[[], object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        make()


# --- interpolation as fixed kernels ----------------------------------------------------------------------------------

KERNELS = {"bicubic": bicubic_kernel, "bilinear": bilinear_kernel, "area": nearest_kernel}


@pytest.mark.parametrize("method", KERNELS)
@given(st.integers(1, 5), st.integers(1, 7), st.integers(1, 7))
@settings(deadline=None, max_examples=30)
def test_fixed_kernels_are_the_resize(method: str, scale: int, height: int, width: int) -> None:
    """Borders included, since the input goes on with its edge pixel; 'area' upsampling is nearest neighbour."""
    x, kernel = random(2, 1, height, width), KERNELS[method](scale)
    padded = F.pad(x, [kernel.shape[-1] // 2] * 4, mode="replicate")
    assert close(phase_shift(F.conv2d(padded, kernel), scale), interpolate(x, scale, method))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("method", KERNELS)
def test_fixed_kernels_print_no_checkerboard(method: str, scale: int) -> None:
    kernel = KERNELS[method](scale)
    assert close(kernel.sum(dim=(2, 3)), torch.ones(scale**2, 1, dtype=torch.float64))
    assert checkerboard(kernel, None, scale) < 1e-14


def test_bicubic_taps_at_two() -> None:
    """Keys 1981, a = -1/2, at distances 1.75, 0.75, 0.25, 1.25: exact in binary, worked out by hand."""
    taps = torch.tensor([-0.0234375, 0.2265625, 0.8671875, -0.0703125, 0], dtype=torch.float64)
    assert bicubic_kernel(2)[0, 0].equal(torch.outer(taps, taps))
    assert bicubic_kernel(2)[3, 0].equal(torch.outer(taps.flip(0), taps.flip(0)))


def test_bilinear_taps_at_two() -> None:
    assert (16 * bilinear_kernel(2)[:, 0]).tolist() == [
        [[1, 3, 0], [3, 9, 0], [0, 0, 0]],
        [[0, 3, 1], [0, 9, 3], [0, 0, 0]],
        [[0, 0, 0], [3, 9, 0], [1, 3, 0]],
        [[0, 0, 0], [0, 9, 3], [0, 3, 1]],
    ]


def test_bicubic_upsampling_is_a_deconvolution_too() -> None:
    """Away from the border, where the zeros outside do not matter."""
    x = random(1, 1, 9, 8)
    sr = SubpixelConvolution(bicubic_kernel(3), None, 3, (2, 2)).to_deconvolution()(x)
    assert close(sr[..., 6:-6, 6:-6], interpolate(x, 3)[..., 6:-6, 6:-6])
