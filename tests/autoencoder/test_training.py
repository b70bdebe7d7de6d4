"""Training the autoencoder: what it reports, what it leaves behind, what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from digits import fresh, save_idx, save_mnist, strokes
from PIL import Image
from safetensors.torch import load_file

from espcn_cli.autoencoder.mnist import read_pictures, to_unit
from espcn_cli.autoencoder.network import load, read_card
from espcn_cli.autoencoder.training import Epoch, Event, Loaded, Step, measure, train_autoencoder
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.settings import UPSAMPLERS, AutoencoderSettings, Upsampler

QUICK = AutoencoderSettings(code=4, epochs=2, batch_size=16)


def train(data: Path, output: Path, settings: AutoencoderSettings = QUICK) -> list[Event]:
    events: list[Event] = []
    train_autoencoder(data, output, settings, "cpu", "fp32", events.append)
    return events


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
    net, pixels = fresh("subpixel"), torch.from_numpy(strokes(4))[:, None]
    bias = net.draw.convolution.bias
    assert bias is not None and measure(net, pixels)[1] == 0
    with torch.no_grad():
        bias[2] = -1
        assert measure(net, pixels)[1] == 1
        bias.fill_(-1)
    with pytest.raises(EspcnError, match="died"):
        measure(net, pixels)
    assert measure(net, torch.zeros_like(pixels)) == (0, 0)


def test_a_checkpoint_that_exists_is_replaced_only_if_it_may_be(tmp_path: Path) -> None:
    """Nor is one that is made while the first epoch runs."""
    data, output = save_mnist(tmp_path / "data"), tmp_path / "net.safetensors"

    def meanwhile(event: Event) -> None:
        if isinstance(event, Step):
            output.write_text("theirs")

    with pytest.raises(EspcnError, match="was made by another meanwhile, and stays"):
        train_autoencoder(data, output, QUICK, "cpu", "fp32", meanwhile, overwrite=False)
    with pytest.raises(UsageError, match="1 output exists already"):
        train_autoencoder(data, output, QUICK, "cpu", "fp32", overwrite=False)
    assert output.read_text() == "theirs"
    with pytest.raises(UsageError, match=r"net\.png: a checkpoint's name ends in \.safetensors"):
        train(data, tmp_path / "net.png")


@pytest.mark.parametrize("make", ["folder", "nowhere", "input"])
def test_an_impossible_output_is_refused_before_training(tmp_path: Path, make: str) -> None:
    data = save_idx(tmp_path / "set", strokes(20))
    before = data.read_bytes()
    output = {"folder": tmp_path, "nowhere": tmp_path / "no" / "x.safetensors", "input": data}[make]
    with pytest.raises(EspcnError, match=r"is a folder|no folder|would be overwritten"):
        train(data, output)
    assert data.read_bytes() == before


@pytest.mark.parametrize("upsampler", UPSAMPLERS)
def test_the_last_relu_does_not_die(tmp_path: Path, upsampler: Upsampler) -> None:
    """Sparse pictures, which kill a network that starts brighter than they are."""
    data = save_mnist(tmp_path / "data")
    for seed in range(4):
        settings = replace(QUICK, upsampler=upsampler, epochs=5, learning_rate=2e-3, seed=seed)
        last = train(data, tmp_path / "out.safetensors", settings)[-1]
        assert isinstance(last, Epoch) and last.dead == 0, f"seed {seed}"


def test_what_a_trained_checkpoint_says(tmp_path: Path) -> None:
    output = tmp_path / "out.safetensors"
    epoch = train(save_mnist(tmp_path / "data"), output)[-1]
    card = read_card(output)
    assert card.settings == QUICK
    assert card.to_metadata()["format"] == "espcn-autoencoder"
    assert card.training["data"]["pictures"] == 48 and card.training["data"]["test"] == 12
    assert isinstance(epoch, Epoch) and card.metrics["test"]["mse"] == round(epoch.test_mse, 6)
    assert str(tmp_path) not in json.dumps(card.to_metadata()), "no path of the machine it was made on"
