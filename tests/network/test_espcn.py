"""The networks: what they are before training, how far they see, and that size does not change a pixel."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from espcn_cli.maths.resize import interpolate
from espcn_cli.network.espcn import ESPCN
from espcn_cli.network.layers import HAS_ONEDNN, BicubicSkip, Convolution, Hardswish, ScalarPReLU, channels_last, prelu
from espcn_cli.network.subpixel import phase_shift
from espcn_cli.settings import ACTIVATIONS, ARCHITECTURES, PLANES, SCALES, Activation, ModelSettings, architecture

OURS = [name for name, settings in ARCHITECTURES.items() if settings.skip == "bicubic"]
SMALL = ModelSettings(widths=(4, 4), kernels=(3, 3, 3), activation="prelu")
SHAPES = [
    SMALL,
    replace(SMALL, activation="tanh", skip="none"),
    ModelSettings(widths=(6,), kernels=(5, 3), planes=3),
    ModelSettings(widths=(4,) * 4, kernels=(1, 3, 5, 3, 1), scale=3),
    ModelSettings(widths=(5,), kernels=(7, 1), scale=4, skip="none"),
]

Make = Callable[..., ESPCN]


def noise(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# --- before training -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("planes", PLANES.values())
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", OURS)
def test_an_untrained_network_is_bicubic_upsampling(name: str, scale: int, planes: int, photo: Tensor) -> None:
    """To the border: the skip continues the picture with its edge pixel, as the clamped resize does."""
    x = photo[:, :planes, :24, :30]
    with torch.no_grad():
        torch.testing.assert_close(
            ESPCN(architecture(name, scale, planes))(x), interpolate(x, scale), atol=1e-6, rtol=0
        )


@given(size=st.tuples(st.integers(1, 6), st.integers(1, 6)), scale=st.sampled_from(SCALES), seed=st.integers(0, 100))
def test_the_skip_is_bicubic_at_any_size(size: tuple[int, int], scale: int, seed: int) -> None:
    x = noise(seed, 2, 3, *size)
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            sr = phase_shift(BicubicSkip(scale)(x), scale)
        torch.testing.assert_close(sr, interpolate(x, scale), atol=1e-6, rtol=0)


def test_the_papers_network_starts_without_a_skip_and_not_at_zero(photo: Tensor) -> None:
    network = ESPCN(architecture("espcn", 3))
    assert network.skip is None
    assert network(photo[:, :1]).std() > 0.01


@pytest.mark.parametrize("name", ["espcn-s", "espcn-m", "espcn-l"])
def test_hidden_activations_keep_their_scale_through_the_stack(name: str) -> None:
    """The variance that the activation asks for: no layer is far from the first. It lets a deep narrow stack start."""
    torch.manual_seed(0)
    scales = hidden_scales(ESPCN(architecture(name)))
    assert all(0.4 < scale / scales[0] < 2.5 for scale in scales)


def test_pytorchs_own_start_would_fade() -> None:
    """The proof that the test above can fail; NUMBERS has this network staying at bicubic."""
    torch.manual_seed(0)
    network = ESPCN(architecture("espcn-m"))
    for layer in network.body:
        if isinstance(layer, nn.Conv2d):
            layer.reset_parameters()
    scales = hidden_scales(network)
    assert scales[-1] / scales[0] < 0.2


def hidden_scales(network: ESPCN) -> list[float]:
    x = torch.randn(1, network.settings.planes, 64, 64, generator=torch.Generator().manual_seed(0))
    scales = []
    with torch.no_grad():
        for layer in network.body:
            x = layer(x)
            if isinstance(layer, nn.Conv2d):
                scales.append(x.std().item())
    return scales[:-1]


def test_the_same_seed_makes_the_same_network() -> None:
    def made() -> Tensor:
        torch.manual_seed(5)
        return torch.cat([p.detach().flatten() for p in ESPCN(SMALL).parameters()])

    assert torch.equal(made(), made())


# --- shapes and numbers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("planes", PLANES.values())
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_shapes_and_parameters(name: str, scale: int, planes: int) -> None:
    settings = architecture(name, scale, planes)
    network = ESPCN(settings)
    assert sum(p.numel() for p in network.parameters()) == settings.parameters
    with torch.no_grad():
        assert network(noise(0, 2, planes, 5, 7)).shape == (2, planes, 5 * scale, 7 * scale)


def test_only_what_is_learned_is_stored() -> None:
    network = ESPCN(SMALL)
    assert set(network.state_dict()) == {name for name, _ in network.named_parameters()}
    assert set(network.state_dict()) == {
        *(f"body.{i}.{kind}" for i in (0, 2, 4) for kind in ("weight", "bias")),
        *(f"body.{i}.weight" for i in (1, 3)),
    }


def test_an_activation_follows_every_layer_but_the_last() -> None:
    layers = list(ESPCN(SMALL).body)
    assert [type(layer) for layer in layers] == [Convolution, ScalarPReLU] * 2 + [Convolution]
    assert [p.numel() for layer in layers if isinstance(layer, ScalarPReLU) for p in layer.parameters()] == [1, 1]
    others: dict[Activation, type[nn.Module]] = {"tanh": nn.Tanh, "hardswish": Hardswish}
    for activation, kind in others.items():
        body = ESPCN(replace(SMALL, activation=activation)).body
        assert [type(layer) for layer in body] == [Convolution, kind] * 2 + [Convolution]


# --- how far they see ------------------------------------------------------------------------------------------------


def changed_box(network: ESPCN, size: int) -> tuple[int, int, int, int]:
    """First and last HR row and column that change with the LR pixel in the middle of a picture."""
    x = noise(3, 1, network.settings.planes, size, size)
    other = x.clone()
    other[..., size // 2, size // 2] = 1 - other[..., size // 2, size // 2]
    with torch.no_grad():
        rows, columns = (network(x) != network(other)).any(dim=1)[0].nonzero().unbind(1)
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


@pytest.mark.parametrize("settings", SHAPES)
def test_one_lr_pixel_reaches_exactly_as_far_as_the_halo(settings: ModelSettings, make_network: Make) -> None:
    size, r = 2 * settings.halo + 9, settings.scale
    first, last = (size // 2 - settings.halo) * r, (size // 2 + settings.halo + 1) * r - 1
    assert changed_box(make_network(settings), size) == (first, last, first, last)


@pytest.mark.parametrize("scale", SCALES)
def test_bicubic_alone_stays_within_its_reach(scale: int) -> None:
    settings = ModelSettings(scale=scale, widths=(4,), kernels=(1, 1))
    assert settings.halo == 2
    top, bottom, left, right = changed_box(ESPCN(settings), 13)
    assert top == left >= 4 * scale
    assert bottom == right <= 9 * scale - 1


# --- one pixel, whatever lies around ---------------------------------------------------------------------------------


@pytest.mark.skipif(not HAS_ONEDNN, reason="the bits are kept by oneDNN")
@pytest.mark.parametrize(
    "settings", [s for s in SHAPES if s.halo >= 2] + [architecture("espcn"), architecture("espcn-s")]
)
def test_a_small_input_gives_the_same_bits_as_a_part_of_a_large_one(
    settings: ModelSettings, make_network: Make
) -> None:
    """Cut away the halo and nothing tells the sizes apart. Without this a tile could differ from the whole."""
    network, halo, r = make_network(settings), settings.halo, settings.scale
    large = noise(4, 1, settings.planes, 40, 43)
    with torch.no_grad():
        whole = network(large)
        for height, width in ((1, 1), (1, 4), (3, 2), (7, 5), (12, 9), (20, 17)):
            top, left = 5, 6
            part = network(large[..., top : top + height + 2 * halo, left : left + width + 2 * halo])
            inner = part[..., halo * r : (halo + height) * r, halo * r : (halo + width) * r]
            rows = slice((top + halo) * r, (top + halo + height) * r)
            columns = slice((left + halo) * r, (left + halo + width) * r)
            if rows.stop <= 40 * r and columns.stop <= 43 * r:
                assert torch.equal(inner, whole[..., rows, columns])


@pytest.mark.parametrize("settings", SHAPES)
def test_training_and_inference_compute_the_same(settings: ModelSettings, make_network: Make) -> None:
    network = make_network(settings)
    x = noise(5, 2, settings.planes, 11, 13)
    training = network(x)
    assert training.requires_grad
    with torch.no_grad():
        inference = network(x)
    torch.testing.assert_close(training.detach(), inference, atol=2e-6, rtol=1e-5)
    with torch.inference_mode():
        assert torch.equal(network(x), inference)


@pytest.mark.parametrize("settings", SHAPES)
def test_every_parameter_learns(settings: ModelSettings, make_network: Make) -> None:
    network = make_network(settings)
    network(noise(6, 1, settings.planes, 12, 12)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("settings", SHAPES)
def test_the_input_is_left_alone(settings: ModelSettings, grad: bool, make_network: Make) -> None:
    x = noise(7, 1, settings.planes, 9, 9) - 0.5
    for memory in (x.clone(), x.to(memory_format=torch.channels_last)):
        with torch.set_grad_enabled(grad):
            make_network(settings)(memory)
        assert torch.equal(memory, x)


def test_prelu_is_a_leaky_relu_with_its_learned_slope() -> None:
    layer = ScalarPReLU()
    x = torch.tensor([-2.0, -1.0, 0.0, 3.0])
    assert layer(x.clone()).tolist() == [-0.5, -0.25, 0, 3]
    nn.init.constant_(layer.weight, 0.5)
    with torch.no_grad():
        assert layer(x.clone()).tolist() == [-1, -0.5, 0, 3]


def test_hardswish_is_a_relu_with_a_knee_from_minus_3_to_3() -> None:
    """Howard et al. 2019 (arXiv 1905.02244), Section 5.2: x·ReLU6(x + 3)/6."""
    x = torch.tensor([-4.0, -3.0, -1.5, 0.0, 1.5, 3.0, 4.0])
    expected = [0, 0, -0.375, 0, 1.125, 3, 4]
    assert Hardswish()(x).tolist() == expected
    with torch.no_grad():
        assert Hardswish()(x) is x  # in place
    assert x.tolist() == expected


@pytest.mark.parametrize("slope", [0.25, 1.5, -0.5])
def test_the_fast_leaky_relu_has_the_gradients_of_prelu(slope: float) -> None:
    x = (noise(11, 2, 3, 5, 4).double() - 0.5).requires_grad_()
    learned = torch.tensor([slope], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(prelu, (x, learned))
    assert torch.equal(prelu(x, learned), F.prelu(x, learned))


def test_the_fast_leaky_relu_adds_up_bf16_in_fp32() -> None:
    """Half of 2^16 ones: bf16 has 8 significant bits, and would stop counting at 256."""
    x = torch.full((1, 1, 256, 256), -0.5, dtype=torch.bfloat16, requires_grad=True)
    slope = torch.tensor([0.25], requires_grad=True)
    torch.autograd.backward(prelu(x, slope).sum())
    assert slope.grad is not None and slope.grad.tolist() == [-(2**15)]


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1, 4, 5), (2, 1, 4, 5), (1, 3, 4, 5), (2, 16, 1, 1), (1, 1, 1, 1)])
def test_channels_last_keeps_the_values_and_puts_channels_innermost(shape: tuple[int, ...]) -> None:
    x = noise(8, *shape)
    out = channels_last(x)
    assert torch.equal(out, x)
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_a_single_planes_strides_say_channels_last_too() -> None:
    """Where `contiguous` would leave them: by them PyTorch chooses the convolution."""
    x = noise(9, 1, 1, 4, 5)
    assert x.contiguous(memory_format=torch.channels_last).stride() == (20, 20, 5, 1)
    assert channels_last(x).stride() == (20, 1, 5, 1)


def test_strides_grow_outwards_for_many_channels() -> None:
    strides = channels_last(noise(9, 2, 3, 4, 5)).stride()
    assert strides == (60, 1, 15, 3)
    assert all(a > b for a, b in pairwise((strides[0], strides[2], strides[3], strides[1])))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("planes", PLANES.values())
def test_the_settings_know_the_shapes_of_the_weights(activation: Activation, planes: int) -> None:
    model = ModelSettings(scale=3, widths=(5, 4), kernels=(5, 3, 1), activation=activation, planes=planes)
    shapes = {name: tuple(tensor.shape) for name, tensor in ESPCN(model).state_dict().items()}
    assert model.shapes == shapes
    assert sum(math.prod(shape) for shape in shapes.values()) == model.parameters


# --- forms that others have trained ----------------------------------------------------------------------------------


def only(settings: ModelSettings, **values: float) -> ESPCN:
    """A network of 1×1 kernels whose parameters are one value each, by `LAYER_KIND`; the others are zero."""
    network = ESPCN(settings).eval()
    for name, parameter in network.named_parameters():
        torch.nn.init.constant_(parameter, values.get(name.removeprefix("body.").replace(".", "_"), 0.0))
    return network


def at(network: ESPCN, value: float) -> Tensor:
    with torch.no_grad():
        sr: Tensor = network(torch.full((1, network.settings.planes, 3, 3), value))
    return sr


PIXELWISE = ModelSettings(widths=(1,), kernels=(1, 1), activation="prelu", skip="none")


def test_the_nearest_skip_repeats_pixels() -> None:
    network = ESPCN(replace(PIXELWISE, skip="nearest", planes=3, scale=3)).eval()
    x = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(network(x), x.repeat_interleave(3, 2).repeat_interleave(3, 3))
    assert network.settings.halo == 0


def test_a_last_activation_comes_before_the_skip() -> None:
    """tanh(0.5·x) + x at x = 0.8: tanh(0.4) = 0.379949 (from any table)."""
    settings = replace(PIXELWISE, last_activation="tanh", skip="nearest")
    sr = at(only(settings, **{"0_weight": 1.0, "2_weight": 0.5}), 0.8)
    torch.testing.assert_close(sr, torch.full_like(sr, 0.379949 + 0.8))


def test_slopes_per_channel() -> None:
    """-x through two channels of slopes 0.5 and 0.25, added up: -0.75·x."""
    network = only(replace(PIXELWISE, widths=(2,), slopes="channel"), **{"0_weight": -1.0, "2_weight": 1.0})
    with torch.no_grad():
        network.get_parameter("body.1.weight").copy_(torch.tensor([0.5, 0.25]))
    torch.testing.assert_close(at(network, 0.4), torch.full((1, 1, 6, 6), -0.3))


def test_a_sigmoid_after_the_last_layer() -> None:
    """1/(1 + exp(-2)) = 0.880797."""
    sr = at(only(replace(PIXELWISE, last_activation="sigmoid"), **{"0_weight": 1.0, "2_weight": 4.0}), 0.5)
    torch.testing.assert_close(sr, torch.full_like(sr, 0.880797))


def test_beyond_an_edge_border_the_picture_goes_on_with_its_edge_pixels() -> None:
    """Layers that add nine pixels and five: on a flat picture each result is the same, at the corners too."""
    settings = replace(PIXELWISE, kernels=(3, 5), border="edge")
    for skip, expected in (("none", 9 * 25 * 0.1), ("bicubic", 9 * 25 * 0.1 + 0.1)):
        changed = replace(settings, skip=skip)  # type: ignore[arg-type]
        network = only(changed, **{"0_weight": 1.0, "2_weight": 1.0})
        torch.testing.assert_close(at(network, 0.1), torch.full((1, 1, 6, 6), expected))
    with_zeros = at(only(replace(settings, border="zeros"), **{"0_weight": 1.0, "2_weight": 1.0}), 0.1)
    assert with_zeros.min() < 9 * 25 * 0.1 - 1
    assert settings.halo == settings.reach == 3


@pytest.mark.parametrize("skip", ["none", "nearest", "bicubic"])
def test_a_network_on_another_range_of_values(skip: str) -> None:
    """On [-1, 3], 0.25 is 0. The last layer gives 1 there: 0.5 as a picture, and a quarter as a change of one."""
    settings = replace(PIXELWISE, skip=skip, value_range=(-1, 3))  # type: ignore[arg-type]
    network = only(settings, **{"0_weight": 7.0, "2_weight": 5.0, "2_bias": 1.0})
    expected = 0.5 if skip == "none" else 0.25 + 0.25
    torch.testing.assert_close(at(network, 0.25), torch.full((1, 1, 6, 6), expected))
