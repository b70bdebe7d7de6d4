"""The shipped weights: every network at every scale, scoring what its metadata says on the bundled photograph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from espcn_cli.engines.torch_engine import CPU, TorchEngine, upscale_planes
from espcn_cli.network import checkpoint, espcn, named
from espcn_cli.network.espcn import ripple
from espcn_cli.scoring import evaluation, tensors
from espcn_cli.scoring.tensors import quantise
from espcn_cli.settings import ARCHITECTURES, SCALES

CAT = Path(__file__).parents[2] / "examples" / "cat.png"
SHIPPED = [(name, scale) for name in ARCHITECTURES for scale in SCALES]


@pytest.fixture(scope="module", params=SHIPPED, ids=lambda pair: f"{pair[0]}_x{pair[1]}")
def shipped(request: pytest.FixtureRequest) -> tuple[TorchEngine, checkpoint.ModelCard]:
    name, scale = request.param
    network, card = espcn.load(named.find(name, scale))
    assert (card.name, card.settings) == (name, replace(ARCHITECTURES[name], scale=scale))
    return TorchEngine(network), card


def test_scores_as_recorded_and_beats_bicubic(shipped: tuple[TorchEngine, checkpoint.ModelCard]) -> None:
    engine, card = shipped
    pairs = [evaluation.make_pair(CAT, engine.settings.scale)]
    psnr, ssim = evaluation.mean(evaluation.evaluate(evaluation.network(engine), pairs, engine.settings.scale))
    assert psnr == pytest.approx(card.metrics["example"]["psnr"], abs=0.005)
    assert ssim == pytest.approx(card.metrics["example"]["ssim"], abs=0.0005)
    bicubic = evaluation.interpolation("bicubic", engine.settings.scale)
    assert psnr > evaluation.mean(evaluation.evaluate(bicubic, pairs, engine.settings.scale))[0]


def test_tiled_equals_whole(shipped: tuple[TorchEngine, checkpoint.ModelCard]) -> None:
    engine, _ = shipped
    lr = tensors.read(CAT).pixels[..., :61, :83]
    whole = quantise(upscale_planes(engine, lr, 0))
    assert torch.equal(quantise(upscale_planes(engine, lr, 16)), whole)
    assert torch.equal(quantise(upscale_planes(engine, lr, 29)), whole)


def test_half_precision_costs_at_most_a_fiftieth_of_a_decibel(
    shipped: tuple[TorchEngine, checkpoint.ModelCard],
) -> None:
    engine, _ = shipped
    half = TorchEngine(engine.network, CPU, torch.bfloat16)
    pairs = [evaluation.make_pair(CAT, engine.settings.scale)]
    full, reduced = (
        evaluation.mean(evaluation.evaluate(evaluation.network(e), pairs, e.settings.scale))[0] for e in (engine, half)
    )
    assert reduced > full - 0.02


def test_flat_areas_stay_flat(shipped: tuple[TorchEngine, checkpoint.ModelCard]) -> None:
    engine, _ = shipped
    assert 255 * ripple(engine.network) < 1


def test_the_card_says_how_it_was_made(shipped: tuple[TorchEngine, checkpoint.ModelCard]) -> None:
    _, card = shipped
    assert card.license
    assert card.training["data"]["files"] > 0
    settings = card.training["settings"]
    minutes = settings.get("minutes", 0)
    within = card.training["seconds"] <= 60 * minutes if minutes else card.training["step"] <= settings["steps"]
    assert card.training["step"] > 0 and within
    assert {"validation", "example", "Set5", "Set14", "BSD100"} <= card.metrics.keys()
