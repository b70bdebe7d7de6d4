"""The training form: more weights, the same network, and nothing of it left when it is merged."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from espcn_cli.maths.resize import interpolate
from espcn_cli.network.espcn import ESPCN
from espcn_cli.settings import ARCHITECTURES, SCALES, Activation, ModelSettings, architecture
from espcn_cli.training.linear_blocks import SOFT_GAIN, LinearBlock, TrainingForm

SMALL = ModelSettings(widths=(4, 4, 6), kernels=(3, 3, 3, 3))
SHAPES = [
    SMALL,
    replace(SMALL, planes=3, scale=3),
    ModelSettings(widths=(6, 5), kernels=(5, 3, 3), activation="tanh", skip="none"),
    ModelSettings(widths=(4, 4), kernels=(1, 3, 1), scale=4),
]


def noise(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def training_form(settings: ModelSettings, width: int = 8, seed: int = 0) -> TrainingForm:
    torch.manual_seed(seed)
    return TrainingForm(ESPCN(settings), width)


def plain(form: TrainingForm, settings: ModelSettings) -> ESPCN:
    """What a checkpoint stores: the network alone, with the merged parameters."""
    network = ESPCN(settings)
    network.load_state_dict(form.merged())
    return network.requires_grad_(False)


def train_(form: TrainingForm, settings: ModelSettings, steps: int = 3) -> None:
    optimiser = torch.optim.Adam(form.parameters(), lr=1e-2)
    for step in range(steps):
        x = noise(step, 2, settings.planes, 8, 8)
        target = noise(step + 100, 2, settings.planes, 8 * settings.scale, 8 * settings.scale)
        optimiser.zero_grad()
        (form(x) - target).abs().mean().backward()
        optimiser.step()


# --- merging ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("width", [0, 1, 8])
@pytest.mark.parametrize("settings", SHAPES)
def test_the_merged_plain_network_gives_the_same_outputs(settings: ModelSettings, width: int, steps: int) -> None:
    form = training_form(settings, width)
    train_(form, settings, steps)
    x = noise(9, 2, settings.planes, 11, 13)
    with torch.no_grad():
        torch.testing.assert_close(plain(form, settings)(x), form(x), atol=1e-5, rtol=1e-5)


def test_merged_has_the_plain_networks_parameters_and_no_others() -> None:
    form = training_form(SMALL)
    assert {k: v.shape for k, v in form.merged().items()} == {k: v.shape for k, v in ESPCN(SMALL).state_dict().items()}


def test_a_block_is_its_two_layers_one_after_the_other() -> None:
    """k×k to `width` channels, then 1×1 back, without bias: one k×k kernel."""
    torch.manual_seed(0)
    block = LinearBlock(torch.Size((4, 3, 3, 3)), 10, 1.0)
    x = noise(0, 1, 3, 9, 9)
    expanded = nn.functional.conv2d(x, block.expand.view(10, 3, 3, 3), padding=1)
    squeezed = nn.functional.conv2d(expanded, block.squeeze.view(4, 10, 1, 1))
    torch.testing.assert_close(nn.functional.conv2d(x, block(), padding=1), squeezed, atol=1e-5, rtol=1e-5)


# --- the start -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", [n for n, s in ARCHITECTURES.items() if s.skip == "bicubic"])
def test_untrained_with_the_skip_it_is_bicubic(name: str, scale: int, photo: Tensor) -> None:
    form = training_form(architecture(name, scale), 32)
    lr = photo[:, :1, :16, :18]
    torch.testing.assert_close(form(lr).detach(), interpolate(lr, scale), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("activation", "gain"), [("prelu", 1), ("tanh", 1), ("hardswish", SOFT_GAIN)])
def test_square_layers_start_as_the_identity_plus_their_block(activation: Activation, gain: float) -> None:
    form = training_form(replace(SMALL, activation=activation))
    kernels = dict(form.network.named_parameters())
    identity = torch.zeros(4, 4, 3, 3)
    identity[range(4), range(4), 1, 1] = gain
    assert torch.equal(kernels["body.2.weight"], identity)  # 4 -> 4
    assert not kernels["body.0.weight"].any()  # 1 -> 4: the block alone
    assert not torch.equal(form.merged()["body.2.weight"], identity)


def test_a_last_layer_of_zeros_stays_zero_even_where_it_is_square() -> None:
    """espcn-s and espcn-m at ×4: 16 channels in, 16 phases out. An identity there would start far from bicubic."""
    form = training_form(ModelSettings(scale=2, widths=(4,), kernels=(3, 3)))
    assert not form.merged()["body.2.weight"].any()


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", ["espcn-s", "espcn-m", "espcn-l"])
def test_a_photograph_neither_fades_nor_explodes_on_its_way(name: str, seed: int, photo: Tensor) -> None:
    """From the first hidden layer to the last it gets at most 20 times smaller or 80 times larger. Without the gain, it
    gets 60 times smaller in m with seed 2."""
    settings = architecture(name)
    network = plain(training_form(settings, 128, seed), settings)
    hidden = [photo[:, :1]]
    with torch.no_grad():
        for layer in list(network.body)[:-1]:
            hidden.append(layer(hidden[-1].clone()))
    assert 0.05 < hidden[-1].std() / hidden[2].std() < 80


# --- training --------------------------------------------------------------------------------------------------------


def test_width_0_adds_nothing() -> None:
    torch.manual_seed(0)
    network = ESPCN(SMALL)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    form = TrainingForm(network, 0)
    assert len(form.blocks) == 0
    assert sum(p.numel() for p in form.parameters()) == SMALL.parameters
    assert all(torch.equal(value, before[name]) for name, value in form.merged().items())
    x = noise(1, 1, 1, 7, 7)
    assert torch.equal(form(x), network(x))


def test_every_convolution_has_a_block_of_the_given_width() -> None:
    form = training_form(SMALL, 8)
    assert form.names == ["body.0.weight", "body.2.weight", "body.4.weight", "body.6.weight"]
    added = sum(8 * (o + i * 9) for i, o in ((1, 4), (4, 4), (4, 6), (6, 4)))
    assert sum(p.numel() for p in form.parameters()) == SMALL.parameters + added


@pytest.mark.parametrize("settings", SHAPES)
def test_gradients_reach_every_block_and_every_kernel(settings: ModelSettings) -> None:
    """The first step only moves the last layer, which starts at zero and hides the others; then all learn."""
    form = training_form(settings)
    train_(form, settings, steps=2)
    form(noise(2, 1, settings.planes, 9, 9)).square().mean().backward()
    for name, parameter in form.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


def test_the_very_first_step_leaves_bicubic() -> None:
    form = training_form(SMALL)
    x = noise(3, 1, 1, 8, 8)
    before = form(x).detach()
    train_(form, SMALL, steps=1)
    assert (form(x) - before).abs().max() > 1e-3


def test_a_deep_copy_stands_by_itself() -> None:
    """What averaging weights over training relies on."""
    form = training_form(SMALL)
    train_(form, SMALL)
    x = noise(4, 1, 1, 8, 8)
    twin = copy.deepcopy(form)
    before = form(x).detach()
    assert torch.equal(twin(x), before)
    with torch.no_grad():
        for parameter in form.parameters():
            parameter.add_(0.1)
    assert torch.equal(twin(x), before)
    assert not torch.equal(form(x), before)
    assert {p.data_ptr() for p in form.parameters()}.isdisjoint(p.data_ptr() for p in twin.parameters())


def test_the_state_comes_back() -> None:
    form = training_form(SMALL, seed=1)
    train_(form, SMALL)
    other = training_form(SMALL, seed=2)
    other.load_state_dict(form.state_dict())
    x = noise(5, 1, 1, 8, 8)
    assert torch.equal(other(x), form(x))
