"""The sub-pixel autoencoder: its shapes and costs by hand, its three upsamplings, training, checkpoint and sheet."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from digits import save_idx, save_mnist, strokes
from making import save_checkpoint
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from espcn_cli.autoencoder.mnist import read_pictures, to_unit
from espcn_cli.autoencoder.network import (
    UPSAMPLINGS,
    Autoencoder,
    Card,
    DeconvolutionUpsampling,
    Epoch,
    Event,
    Loaded,
    ResizeUpsampling,
    Step,
    SubpixelUpsampling,
    contact_sheet,
    find,
    load,
    measure,
    pad_end,
    read_card,
    reconstruct,
    train_autoencoder,
)
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.network import checkpoint
from espcn_cli.network.subpixel import SubpixelConvolution
from espcn_cli.settings import UPSAMPLERS, AutoencoderSettings, Upsampler

REAL = Path(__file__).parents[3] / "shared" / "data" / "mnist"
QUICK = AutoencoderSettings(code=4, epochs=2, batch_size=16)


def train(data: Path, output: Path, settings: AutoencoderSettings = QUICK) -> list[Event]:
    events: list[Event] = []
    train_autoencoder(data, output, settings, "cpu", "fp32", events.append)
    return events


def network(upsampler: Upsampler, code: int = 64, seed: int = 0) -> Autoencoder:
    torch.manual_seed(seed)
    return Autoencoder(AutoencoderSettings(code=code, upsampler=upsampler))


# --- The network -----------------------------------------------------------------------------------------------------


def test_the_articles_shapes() -> None:
    shapes: dict[str, tuple[int, ...]] = {}
    net = network("subpixel")
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
    net = network(upsampler)
    assert PARAMETERS == {"subpixel": 224_164, "deconvolution": 224_065, "resize": 211_393} and MACS == 2_119_936
    assert net.settings.parameters == sum(p.numel() for p in net.parameters()) == PARAMETERS[upsampler]
    with FlopCounterMode(display=False) as counter:
        net(torch.rand(1, 1, 28, 28))
    assert net.settings.macs == MACS == counter.get_total_flops() // 2


@pytest.mark.parametrize("code", [1, 10, 200])
def test_the_code_is_as_wide_as_asked_for(code: int) -> None:
    net = network("subpixel", code)
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
        torch.testing.assert_close(network("subpixel", seed=3)(x), network("deconvolution", seed=3)(x))
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


@pytest.mark.parametrize("upsampler", UPSAMPLERS)
def test_the_last_relu_does_not_die(tmp_path: Path, upsampler: Upsampler) -> None:
    """Sparse pictures, which kill a network that starts brighter than they are."""
    data = save_mnist(tmp_path / "data")
    for seed in range(4):
        settings = replace(QUICK, upsampler=upsampler, epochs=5, learning_rate=2e-3, seed=seed)
        last = train(data, tmp_path / "out.safetensors", settings)[-1]
        assert isinstance(last, Epoch) and last.dead == 0, f"seed {seed}"


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


# --- Training --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upsampler", UPSAMPLERS)
def test_training_lowers_the_error_and_reports_it(tmp_path: Path, upsampler: Upsampler) -> None:
    """Trained on what it is tested by, since 48 pictures teach little about others."""
    settings = replace(QUICK, code=16, upsampler=upsampler, epochs=25, batch_size=8)
    data, events = save_mnist(tmp_path / "data"), list[Event]()
    save_idx(data / "t10k-images-idx3-ubyte", strokes(48, 1)[:12])
    result = train_autoencoder(data, tmp_path / "out.safetensors", settings, "cpu", "fp32", events.append)
    assert events[0] == Loaded(48, 12, False, [])
    steps = [event for event in events if isinstance(event, Step)]
    assert [event.step for event in steps] == list(range(1, 25 * 6 + 1)) and steps[0].steps == 150
    epochs = [event for event in events if isinstance(event, Epoch)]
    assert len(epochs) == 25
    blank = to_unit(read_pictures(data).pixels).square().mean().item()
    assert result.test_mse == epochs[-1].test_mse < 0.9 * min(blank, epochs[0].test_mse)
    assert epochs[-1].loss < 0.6 * epochs[0].loss
    assert (result.upsampler, result.code, result.epochs) == (upsampler, 16, 25)
    assert (result.parameters, result.macs) == (settings.parameters, settings.macs)
    assert result.epoch_seconds == sorted(event.seconds for event in epochs)[12]
    assert set(json.loads(json.dumps(result.to_dict()))) >= {"parameters", "macs", "epoch_seconds", "test_mse"}


def test_the_same_seed_gives_the_same_checkpoint(tmp_path: Path) -> None:
    data = save_mnist(tmp_path / "data")
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        train(data, tmp_path / f"{name}.safetensors", replace(QUICK, seed=seed))
    a, b, c = (load_file(tmp_path / f"{name}.safetensors") for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not any(torch.equal(a[name], c[name]) for name in a)
    cards = [read_card(tmp_path / f"{name}.safetensors") for name in "ab"]
    assert cards[0] == cards[1], "no times, no dates"


def test_bf16_trains_too(tmp_path: Path) -> None:
    result = train_autoencoder(save_mnist(tmp_path / "d"), tmp_path / "o.safetensors", QUICK, "cpu", "bf16")
    assert 0 < result.test_mse < 1
    card = read_card(tmp_path / "o.safetensors")
    assert card.training["precision"] == "bfloat16"


def test_a_folder_of_pictures_is_data_too(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, picture in enumerate(strokes(11, rows=40, columns=30)):
        Image.fromarray(picture).save(folder / f"{index:02}.png")
    (folder / "zz.png").write_bytes(b"nothing")
    loaded = train(folder, tmp_path / "out.safetensors")[0]
    assert isinstance(loaded, Loaded)
    assert (loaded.pictures, loaded.test, loaded.held_out) == (10, 1, True)
    assert len(loaded.skipped) == 1 and "zz.png" in loaded.skipped[0]


def test_interrupted_the_last_finished_epoch_stays_whole(tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, Step) and event.step == 3 + 3 + 1:  # three steps an epoch
            raise KeyboardInterrupt

    output = tmp_path / "out.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train_autoencoder(save_mnist(tmp_path / "data"), output, replace(QUICK, epochs=9), "cpu", "fp32", stop)
    _, card = load(output)
    assert card.training["epochs"] == 2 and len(card.training["history"]) == 2
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [output.name], "nothing half-written beside"


def test_a_training_that_diverges_says_so_and_leaves_the_checkpoint(tmp_path: Path) -> None:
    output = tmp_path / "out.safetensors"
    output.write_bytes(b"older")
    with pytest.raises(EspcnError, match=r"diverged|died"):
        train(save_mnist(tmp_path / "data"), output, replace(QUICK, learning_rate=1e30))
    assert output.read_bytes() == b"older"


def test_dead_phases_are_counted_and_a_dead_network_is_told_from_dark_pictures() -> None:
    net, pixels = network("subpixel"), torch.from_numpy(strokes(4))[:, None]
    bias = net.draw.convolution.bias
    assert bias is not None and measure(net, pixels)[1] == 0
    with torch.no_grad():
        bias[2] = -1
        assert measure(net, pixels)[1] == 1
        bias.fill_(-1)
    with pytest.raises(EspcnError, match="died"):
        measure(net, pixels)
    assert measure(net, torch.zeros_like(pixels)) == (0, 0)


@pytest.mark.parametrize("make", ["folder", "nowhere", "input"])
def test_an_impossible_output_is_refused_before_training(tmp_path: Path, make: str) -> None:
    data = save_idx(tmp_path / "set", strokes(20))
    before = data.read_bytes()
    output = {"folder": tmp_path, "nowhere": tmp_path / "no" / "x.safetensors", "input": data}[make]
    with pytest.raises(EspcnError, match=r"is a folder|no folder|would be overwritten"):
        train(data, output)
    assert data.read_bytes() == before


# --- Checkpoints -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upsampler", UPSAMPLERS)
@pytest.mark.parametrize("code", [1, 64])
def test_a_checkpoint_rebuilds_its_network(tmp_path: Path, upsampler: Upsampler, code: int) -> None:
    net, path = network(upsampler, code, seed=7), tmp_path / "a.safetensors"
    card = Card(net.settings, "net", {"epochs": 1}, {"test": {"mse": 0.5}}, "CC0")
    checkpoint.save(path, net, card)
    loaded, read = load(path)
    assert read == card
    x = torch.rand(2, 1, 28, 28)
    with torch.no_grad():
        assert torch.equal(loaded(x), net(x))
    assert not any(p.requires_grad for p in loaded.parameters()) and not loaded.training


def test_what_a_trained_checkpoint_says(tmp_path: Path) -> None:
    output = tmp_path / "out.safetensors"
    epoch = train(save_mnist(tmp_path / "data"), output)[-1]
    card = read_card(output)
    assert card.settings == QUICK
    assert card.to_metadata()["format"] == "espcn-autoencoder"
    assert card.training["data"]["pictures"] == 48 and card.training["data"]["test"] == 12
    assert isinstance(epoch, Epoch) and card.metrics["test"]["mse"] == round(epoch.test_mse, 6)
    assert str(tmp_path) not in json.dumps(card.to_metadata()), "no path of the machine it was made on"


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A network's checkpoint; fresh is enough."""
    net = network("subpixel", 4)
    checkpoint.save(tmp_path / "net.safetensors", net, Card(net.settings, "net"))
    return tmp_path / "net.safetensors"


def with_metadata(path: Path, **changes: str) -> None:
    metadata = {**read_card(path).to_metadata(), **changes}
    save_file(load_file(path), path, metadata)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": "other"}, "not an espcn checkpoint"),
        ({"format_version": "2"}, "format 2, this espcn reads 1"),
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
        checkpoint.load(trained)


def test_no_checkpoint_at_all(tmp_path: Path) -> None:
    with pytest.raises(EspcnError, match="no checkpoint at"):
        load(tmp_path / "gone.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(EspcnError, match="not a readable safetensors file"):
        load(tmp_path / "text.safetensors")


# --- Reconstruction --------------------------------------------------------------------------------------------------


def test_the_sheet_holds_originals_over_reconstructions() -> None:
    originals = to_unit(torch.from_numpy(strokes(19))[:, None])
    sheet = contact_sheet(originals, 1 - originals)
    # 16 columns of 28 pixels with 17 gaps; two pairs of rows: 1 + 28 + 1 + 28 + 1, 2 more between them; all doubled.
    assert sheet.shape == (1, 1, 2 * (2 * 59 + 2 - 1), 2 * (16 * 28 + 17))
    small = sheet[0, 0, ::2, ::2]
    assert torch.equal(small[1:29, 1:29], originals[0, 0]) and torch.equal(small[30:58, 1:29], 1 - originals[0, 0])
    assert torch.equal(small[61:89, 30:58], originals[17, 0])
    assert small[61:, 1 + 3 * 29 :].eq(1).all(), "after the last picture the ground is white"


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".safetensors"])
def test_reconstruct_writes_sheet_and_codes(tmp_path: Path, trained: Path, suffix: str) -> None:
    data = save_mnist(tmp_path / "data")
    sheet, codes = tmp_path / "sheet.png", tmp_path / f"codes{suffix}"
    result = reconstruct(trained, data, sheet, codes, count=5)
    assert (result.pictures, result.shown, result.skipped) == (12, 5, [])
    net, _ = load(trained)
    x = to_unit(read_pictures(data).pixels)
    expected, decoded = net.encode(x), net(x)
    assert result.mse == pytest.approx((decoded - x).square().mean().item(), rel=1e-5)
    with Image.open(sheet) as image:
        assert image.mode == "L" and image.size == (2 * (5 * 29 + 1), 2 * 59)
        assert np.array_equal(np.asarray(image)[2:58:2, 2:58:2], strokes(12, 2)[0])
    if suffix == ".npy":
        found = torch.from_numpy(np.load(codes))
    elif suffix == ".safetensors":
        found = load_file(codes)["codes"]
    else:
        with codes.open(newline="") as file:
            rows = list(csv.reader(file))
        assert rows[0] == ["picture", "c0", "c1", "c2", "c3"] and [row[0] for row in rows[1:]] == list(
            map(str, range(12))
        )
        found = torch.tensor([[float(value) for value in row[1:]] for row in rows[1:]])
    torch.testing.assert_close(found, expected)


def test_pictures_are_reconstructed_by_name(tmp_path: Path, trained: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.new("L", (50, 20), 90).save(folder / "a.png")
    (folder / "b.png").write_bytes(b"nothing")
    result = reconstruct(trained, folder, tmp_path / "sheet.png", tmp_path / "c.csv")
    assert (result.pictures, result.shown) == (1, 1) and "b.png" in result.skipped[0]
    assert (tmp_path / "c.csv").read_text().splitlines()[1].startswith("a.png,")
    assert reconstruct(trained, folder / "a.png", tmp_path / "one.png").pictures == 1


def test_other_code_files_and_counts_are_misuse(tmp_path: Path, trained: Path) -> None:
    data = save_mnist(tmp_path / "data")
    with pytest.raises(UsageError, match=r"codes\.txt.*\.npy"):
        reconstruct(trained, data, tmp_path / "sheet.png", tmp_path / "codes.txt")
    with pytest.raises(UsageError, match="at least one"):
        reconstruct(trained, data, tmp_path / "sheet.png", count=0)
    with pytest.raises(UsageError, match="cannot write"):
        reconstruct(trained, data, tmp_path / "sheet.xyz")
    assert not (tmp_path / "sheet.png").exists()


def test_no_input_is_overwritten(tmp_path: Path, trained: Path) -> None:
    picture = tmp_path / "in.png"
    Image.new("L", (28, 28), 50).save(picture)
    before = picture.read_bytes(), trained.read_bytes()
    with pytest.raises(EspcnError, match="would be overwritten"):
        reconstruct(trained, picture, picture)
    with pytest.raises(EspcnError, match="would be overwritten"):
        reconstruct(trained, picture, tmp_path / "sheet.png", trained)
    assert (picture.read_bytes(), trained.read_bytes()) == before


# --- What is shipped -------------------------------------------------------------------------------------------------


def test_the_shipped_checkpoint_says_what_it_reaches() -> None:
    network, card = load(find("autoencoder"))
    assert network.settings == AutoencoderSettings(), "the article's network and the default training"
    assert card.training["epochs"] == 25 and card.training["data"]["pictures"] == 60_000
    assert card.metrics["test"]["mse"] <= 0.005


@pytest.mark.skipif(not REAL.is_dir(), reason="needs MNIST in ../shared/data/mnist")
def test_the_shipped_checkpoint_reaches_it(tmp_path: Path) -> None:
    path = find("autoencoder")
    result = reconstruct(path, REAL, tmp_path / "sheet.png")
    assert result.pictures == 10_000
    assert result.mse == pytest.approx(read_card(path).metrics["test"]["mse"], abs=2e-6)
