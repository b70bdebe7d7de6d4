"""The autoencoder's network: shapes and costs by hand, its three upsamplings, its checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from digits import fresh, strokes
from making import save_checkpoint
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from espcn_cli.autoencoder.mnist import to_unit
from espcn_cli.autoencoder.network import (
    UPSAMPLINGS,
    Autoencoder,
    Card,
    DeconvolutionUpsampling,
    ResizeUpsampling,
    SubpixelUpsampling,
    find,
    load,
    pad_end,
    read_card,
)
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.network import espcn, weights
from espcn_cli.network.subpixel import SubpixelConvolution
from espcn_cli.settings import UPSAMPLERS, AutoencoderSettings, Upsampler


def test_the_articles_shapes() -> None:
    shapes: dict[str, tuple[int, ...]] = {}
    net = fresh("subpixel")
    for name, layer in net.named_modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)) or name in ("grow", "draw"):
            layer.register_forward_hook(lambda _, inputs, output, name=name: shapes.update({name: tuple(output.shape)}))
    assert net(torch.rand(2, 1, 28, 28)).shape == (2, 1, 28, 28)
    assert shapes == {
        "first": (2, 16, 28, 28),
        "second": (2, 32, 14, 14),
        "code": (2, 64),
        "spread": (2, 7 * 7 * 32),
        "grow.convolution": (2, 128, 7, 7),
        "grow": (2, 32, 14, 14),
        "draw.convolution": (2, 4, 14, 14),
        "draw": (2, 1, 28, 28),
    }


SHARED = (9 * 16 + 16) + (9 * 16 * 32 + 32) + (1568 * 64 + 64) + (64 * 1568 + 1568)
"""Parameters up to the 7×7×32 planes: 160 + 4 640 + 100 416 + 101 920 = 207 136."""

PARAMETERS = {
    "subpixel": SHARED + (2 * 2 * 32 * 128 + 128) + (2 * 2 * 32 * 4 + 4),  # + 16 512 + 516
    "deconvolution": SHARED + (4 * 4 * 32 * 32 + 32) + (4 * 4 * 32 * 1 + 1),  # + 16 416 + 513
    "resize": SHARED + (2 * 2 * 32 * 32 + 32) + (2 * 2 * 32 * 1 + 1),  # + 4 128 + 129
}

MACS = 112_896 + 903_168 + 100_352 + 100_352 + 802_816 + 100_352
"""28²·9·16, 14²·9·16·32, 1568·64, 64·1568, 7²·4·32·128, 14²·4·32·4."""


@pytest.mark.parametrize("upsampler", UPSAMPLERS)
def test_parameters_and_multiply_adds_by_hand(upsampler: Upsampler) -> None:
    net = fresh(upsampler)
    assert PARAMETERS == {"subpixel": 224_164, "deconvolution": 224_065, "resize": 211_393} and MACS == 2_119_936
    assert net.settings.parameters == sum(p.numel() for p in net.parameters()) == PARAMETERS[upsampler]
    with FlopCounterMode(display=False) as counter:
        net(torch.rand(1, 1, 28, 28))
    assert net.settings.macs == MACS == counter.get_total_flops() // 2


@pytest.mark.parametrize("code", [1, 10, 200])
def test_the_code_is_as_wide_as_asked_for(code: int) -> None:
    net = fresh("subpixel", code)
    assert net.encode(torch.rand(3, 1, 28, 28)).shape == (3, code)
    assert net.settings.parameters == sum(p.numel() for p in net.parameters())
    assert net.settings.macs == MACS + (code - 64) * 2 * 1568


def impulse(size: int, row: int, column: int) -> torch.Tensor:
    x = torch.zeros(1, 1, size, size)
    x[0, 0, row, column] = 1
    return x


@pytest.mark.parametrize("upsampler", UPSAMPLERS)
def test_2x2_kernels_are_padded_at_the_end(upsampler: Upsampler) -> None:
    """An impulse at (2, 3) reaches the output of pixels 1 and 2, 2 and 3, never of a later one: they look ahead."""
    step = UPSAMPLINGS[upsampler](1, 1)
    with torch.no_grad():
        for parameter in step.parameters():
            parameter.fill_(1 if parameter.ndim == 4 else 0)
        seen = step(impulse(5, 2, 3))[0, 0]
        corner = step(impulse(5, 0, 0))[0, 0]
    first = 3 if upsampler == "resize" else 2  # its first phase of a pixel looks at that pixel alone
    assert seen.shape == (10, 10)
    assert seen.nonzero()[0].tolist() == [first, first + 2] and seen.nonzero()[-1].tolist() == [5, 7]
    assert corner.nonzero()[0].tolist() == [0, 0] and corner.nonzero()[-1].tolist() == [1, 1]


def test_padding_as_the_original_frameworks() -> None:
    """'same' with an even kernel: the odd row and column of zeros come last. Worked example: ones, a kernel of ones."""
    padded = nn.functional.conv2d(pad_end(torch.ones(1, 1, 3, 3)), torch.ones(1, 1, 2, 2))
    assert padded[0, 0].tolist() == [[4, 4, 2], [4, 4, 2], [2, 2, 1]]


def test_deconvolution_is_the_same_map_as_subpixel() -> None:
    """Fresh networks of one seed; and any sub-pixel step whose biases agree over the phases, borders included."""
    x = torch.rand(4, 1, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(fresh("subpixel", seed=3)(x), fresh("deconvolution", seed=3)(x))
    torch.manual_seed(1)
    direct = SubpixelUpsampling(3, 2).double()
    equal = DeconvolutionUpsampling(3, 2).double()
    layer = direct.convolution
    assert layer.bias is not None and equal.convolution.bias is not None
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([0.2, -0.1]).repeat_interleave(4))
        converted = SubpixelConvolution(layer.weight, layer.bias, 2, (0, 1)).to_deconvolution()
        assert converted.padding == 2 and converted.bias is not None
        equal.convolution.weight.copy_(converted.weight)
        equal.convolution.bias.copy_(converted.bias)
        x = torch.randn(2, 3, 5, 7, dtype=torch.float64)
        torch.testing.assert_close(direct(x), equal(x), rtol=0, atol=1e-12)


def test_resizing_is_the_subpixel_step_with_shared_weights() -> None:
    """Along an axis (p, q) becomes (p + q, 0) in phase 0 and (p, q) in phase 1: a quarter of the freedom."""
    torch.manual_seed(2)
    resizing = ResizeUpsampling(3, 2).double()
    direct = SubpixelUpsampling(3, 2).double()
    spread = torch.tensor([[[1.0, 1.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]], dtype=torch.float64)  # phase, to, from
    with torch.no_grad():
        shared = torch.einsum("aup,bvq,oipq->oabiuv", spread, spread, resizing.convolution.weight)
        direct.convolution.weight.copy_(shared.reshape(8, 3, 2, 2))
        assert resizing.convolution.bias is not None and direct.convolution.bias is not None
        direct.convolution.bias.copy_(resizing.convolution.bias.repeat_interleave(4))
        x = torch.randn(2, 3, 5, 4, dtype=torch.float64)
        torch.testing.assert_close(direct(x), resizing(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("upsampler", UPSAMPLERS)
def test_a_fresh_network_draws_almost_flat_grey(upsampler: Upsampler) -> None:
    """So that hardly an output pixel starts behind a closed ReLU, nor has to move by the pictures' mean first."""
    x = to_unit(torch.from_numpy(strokes(8))[:, None])
    for seed in range(8):
        torch.manual_seed(seed)
        y = Autoencoder(AutoencoderSettings(upsampler=upsampler), brightness=0.13)(x)
        assert (y > 0).float().mean() > 0.8 and y.mean().item() == pytest.approx(0.13, abs=0.1), f"seed {seed}"


@pytest.mark.parametrize(
    "wrong",
    [
        {"code": 0},
        {"code": 6.5},
        {"upsampler": "bilinear"},
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"seed": -1},
    ],
)
def test_settings_that_make_no_network_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AutoencoderSettings.from_dict({**AutoencoderSettings().to_dict(), **wrong})


# --- checkpoints -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upsampler", UPSAMPLERS)
@pytest.mark.parametrize("code", [1, 64])
def test_a_checkpoint_rebuilds_its_network(tmp_path: Path, upsampler: Upsampler, code: int) -> None:
    net, path = fresh(upsampler, code, seed=7), tmp_path / "a.safetensors"
    card = Card(net.settings, "net", {"epochs": 1}, {"test": {"mse": 0.5}}, "CC0")
    weights.save(path, net, card)
    loaded, read = load(path)
    assert read == card
    x = torch.rand(2, 1, 28, 28)
    with torch.no_grad():
        assert torch.equal(loaded(x), net(x))
    assert not any(p.requires_grad for p in loaded.parameters()) and not loaded.training


def with_metadata(path: Path, **changes: str) -> None:
    metadata = {**read_card(path).to_metadata(), **changes}
    save_file(load_file(path), path, metadata)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": "other"}, "not an espcn checkpoint"),
        ({"format_version": "2"}, "format 2, this espcn reads up to 1"),
        ({"format_version": ""}, r"format \?"),
        ({"settings": "{}"}, "damaged metadata"),
        ({"settings": "["}, "damaged metadata"),
        ({"settings": json.dumps(AutoencoderSettings(code=5).to_dict())}, "shape"),
        ({"settings": json.dumps(AutoencoderSettings(code=4, upsampler="resize").to_dict())}, "shape"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(trained: Path, change: dict[str, str], reason: str) -> None:
    with_metadata(trained, **change)
    with pytest.raises(EspcnError, match=reason) as caught:
        load(trained)
    assert str(trained) in str(caught.value)


def test_nan_is_refused(trained: Path) -> None:
    tensors, metadata = load_file(trained), read_card(trained).to_metadata()
    tensors["code.weight"][0, 0] = float("nan")
    save_file(tensors, trained, metadata)
    with pytest.raises(EspcnError, match=r"code\.weight holds NaN"):
        load(trained)


def test_the_two_kinds_of_checkpoint_are_not_mixed_up(tmp_path: Path, trained: Path) -> None:
    other = save_checkpoint(tmp_path / "sr.safetensors")
    with pytest.raises(EspcnError, match=r"super-resolution checkpoint.*espcn upscale"):
        load(other)
    with pytest.raises(EspcnError, match=r"not an espcn checkpoint|autoencoder"):
        espcn.load(trained)


def test_no_checkpoint_at_all(tmp_path: Path) -> None:
    with pytest.raises(EspcnError, match="no checkpoint at"):
        load(tmp_path / "gone.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(EspcnError, match="not a readable safetensors file"):
        load(tmp_path / "text.safetensors")


def test_a_name_that_is_not_the_shipped_one_s_is_misuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, said in (("nosuch", "unknown checkpoint 'nosuch': there is autoencoder"), ("autoencoder/", "a folder")):
        with pytest.raises(UsageError, match=said):
            find(name)
    assert find("./nosuch") == Path("nosuch") and find("nosuch.safetensors") == Path("nosuch.safetensors")
    Path("autoencoder").touch()
    assert find("autoencoder") == Path("autoencoder")


def test_the_shipped_checkpoint_says_what_it_reaches() -> None:
    network, card = load(find("autoencoder"))
    assert network.settings == AutoencoderSettings(), "the article's network and the default training"
    assert card.training["epochs"] == 25 and card.training["data"]["pictures"] == 60_000
    assert card.metrics["test"]["mse"] <= 0.005
