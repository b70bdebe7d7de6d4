"""The shipped weights: every network at every scale, scoring what its metadata says on the bundled photograph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from espcn_cli.engines.torch_engine import CPU, Engine, upscale
from espcn_cli.maths.colour import quantise
from espcn_cli.network import checkpoint
from espcn_cli.network.espcn import ripple
from espcn_cli.pictures import reading
from espcn_cli.scoring import evaluation
from espcn_cli.settings import ARCHITECTURES, SCALES

CAT = Path(__file__).parents[2] / "examples" / "cat.png"
SHIPPED = [(name, scale) for name in ARCHITECTURES for scale in SCALES]


@pytest.fixture(scope="module", params=SHIPPED, ids=lambda pair: f"{pair[0]}_x{pair[1]}")
def shipped(request: pytest.FixtureRequest) -> tuple[Engine, checkpoint.ModelCard]:
    name, scale = request.param
    network, card = checkpoint.load(checkpoint.find(name, scale))
    assert (card.name, card.settings) == (name, replace(ARCHITECTURES[name], scale=scale))
    return Engine(network), card


def test_scores_as_recorded_and_beats_bicubic(shipped: tuple[Engine, checkpoint.ModelCard]) -> None:
    engine, card = shipped
    pairs = [evaluation.make_pair(CAT, engine.scale)]
    psnr, ssim = evaluation.mean(evaluation.evaluate(evaluation.network(engine), pairs, engine.scale))
    assert psnr == pytest.approx(card.metrics["example"]["psnr"], abs=0.005)
    assert ssim == pytest.approx(card.metrics["example"]["ssim"], abs=0.0005)
    bicubic = evaluation.interpolation("bicubic", engine.scale)
    assert psnr > evaluation.mean(evaluation.evaluate(bicubic, pairs, engine.scale))[0]


def test_tiled_equals_whole(shipped: tuple[Engine, checkpoint.ModelCard]) -> None:
    engine, _ = shipped
    lr = reading.read(CAT).pixels[..., :61, :83]
    whole = quantise(upscale(engine, lr, 0))
    assert torch.equal(quantise(upscale(engine, lr, 16)), whole)
    assert torch.equal(quantise(upscale(engine, lr, 29)), whole)


def test_half_precision_costs_at_most_a_fiftieth_of_a_decibel(shipped: tuple[Engine, checkpoint.ModelCard]) -> None:
    engine, _ = shipped
    half = Engine(engine.network, CPU, torch.bfloat16)
    pairs = [evaluation.make_pair(CAT, engine.scale)]
    full, reduced = (
        evaluation.mean(evaluation.evaluate(evaluation.network(e), pairs, e.scale))[0] for e in (engine, half)
    )
    assert reduced > full - 0.02


def test_flat_areas_stay_flat(shipped: tuple[Engine, checkpoint.ModelCard]) -> None:
    engine, _ = shipped
    assert 255 * ripple(engine.network) < 1


def test_the_card_says_how_it_was_made(shipped: tuple[Engine, checkpoint.ModelCard]) -> None:
    _, card = shipped
    assert card.license
    assert card.training["data"]["files"] > 0
    settings = card.training["settings"]
    minutes = settings.get("minutes", 0)
    within = card.training["seconds"] <= 60 * minutes if minutes else card.training["step"] <= settings["steps"]
    assert card.training["step"] > 0 and within
    assert {"validation", "example", "Set5", "Set14", "BSD100"} <= card.metrics.keys()
