"""`--quantise`: every step and every score is of the network in eight bits, and the checkpoint has what that needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from making import save_checkpoint
from torch import Tensor
from torch.func import functional_call
from trainings import QUICK, TINY, StopAt, same, tensors

from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.errors import EspcnError
from espcn_cli.network import checkpoint, espcn, weights
from espcn_cli.network.espcn import ESPCN
from espcn_cli.network.layers import rounded
from espcn_cli.scoring import evaluation
from espcn_cli.settings import Degradation
from espcn_cli.training import loop, run
from espcn_cli.training.cuda_graph import Recorded, Work
from espcn_cli.training.events import Event, Step, Validation
from espcn_cli.training.job import Job
from espcn_cli.training.linear_blocks import TrainingForm
from espcn_cli.training.objective import make_loss
from espcn_cli.training.parallel import CPU, Threads
from espcn_cli.training.run import load_validation
from espcn_cli.training.run_folder import RunFolder

Make = Callable[..., ESPCN]

RANGES = ((0.0, 1.0), (-0.5, 1.0), (-0.5, 1.0))


@pytest.fixture
def quantised(job: Job, tmp_path: Path) -> Job:
    """A training in eight bits that takes a moment."""
    start = save_checkpoint(tmp_path / "start.safetensors", TINY, tail=0.1)
    return replace(job, settings=replace(QUICK, quantise=True), init=start)


def score(job: Job, network: ESPCN) -> float:
    pairs, _ = load_validation(job.validation, job.model.scale, "bicubic")
    found = evaluation.evaluate(evaluation.network(TorchEngine(network)), pairs, job.model.scale)
    return evaluation.mean(found)[0]


def test_scores_are_those_of_the_checkpoint_in_eight_bits(quantised: Job) -> None:
    assert quantised.init is not None
    events: list[Event] = []
    loop.carry_out(quantised, report=events.append)
    scores = [event.psnr for event in events if isinstance(event, Validation)]
    network, card = espcn.load(RunFolder.of(quantised.output).last)
    assert scores[-1] == pytest.approx(score(quantised, network.quantise_(card.ranges)), abs=1e-6)
    assert abs(scores[-1] - score(quantised, network.quantise_(()))) > 1e-4
    start, _ = espcn.load(quantised.init)
    assert scores[0] == pytest.approx(score(quantised, start.quantise_(card.ranges)), abs=1e-6)


def test_the_checkpoint_says_so(quantised: Job) -> None:
    card = loop.carry_out(quantised)
    assert card.training["settings"]["quantise"] is True
    assert len(card.ranges) == 3 and card.ranges[0] == (0.0, 1.0)
    plain = loop.carry_out(replace(quantised, settings=QUICK))
    assert plain.ranges == () and plain.training["settings"]["quantise"] is False


def test_it_learns(quantised: Job) -> None:
    """Away from a start that has come to be wrong: with less in its last layer, it would be bicubic."""
    losses: list[float] = []

    def note(event: Event) -> None:
        if isinstance(event, Step):
            losses.append(event.loss)

    settings = replace(quantised.settings, steps=60, learning_rate=1e-2, ema_decay=0.9, validate_every=60)
    card = loop.carry_out(replace(quantised, settings=settings), report=note)
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
    assert card.metrics["validation"]["psnr"] > card.training["history"][0]["psnr"] + 1


@pytest.mark.parametrize("degradation", ["bicubic", "real"])
def test_resumed_with_the_same_bits(quantised: Job, degradation: Degradation, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ranges are not looked for again: they would be of the start."""
    job = replace(quantised, settings=replace(quantised.settings, degradation=degradation))
    straight = loop.carry_out(job)
    kept = tensors(job.output)
    again = replace(job, output=job.output.with_name("again.safetensors"))
    with pytest.raises(KeyboardInterrupt):
        loop.carry_out(again, report=StopAt(7))
    with monkeypatch.context() as patch:
        patch.setattr(run, "calibrate", None)
        resumed = loop.carry_out(again, resume=True)
    assert same(tensors(again.output), kept)
    assert resumed.ranges == straight.ranges


def test_without_the_option_it_does_not_go_on(quantised: Job) -> None:
    with pytest.raises(KeyboardInterrupt):
        loop.carry_out(quantised, report=StopAt(2))
    with pytest.raises(EspcnError, match="had quantise True, now False"):
        loop.carry_out(replace(quantised, settings=QUICK), resume=True)


def test_calibration_changes_nothing_of_what_is_drawn(quantised: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    loop.carry_out(quantised)
    ranges = checkpoint.read_card(quantised.output).ranges
    monkeypatch.setattr(run, "calibrated", lambda *arguments: ranges)
    other = replace(quantised, output=quantised.output.with_name("other.safetensors"))
    loop.carry_out(other)
    assert same(tensors(other.output), tensors(quantised.output))


def test_a_start_that_gives_nan_is_refused(quantised: Job) -> None:
    assert quantised.init is not None
    network = ESPCN(TINY)
    for parameter in network.parameters():
        parameter.data.normal_(0, 1e30)
    weights.save(quantised.init, network, checkpoint.Card(TINY, "tiny"))
    with pytest.raises(EspcnError, match=r"start\.safetensors gives NaN on the training pictures: choose another"):
        loop.carry_out(quantised)


# --- steps -----------------------------------------------------------------------------------------------------------


def test_merged_weights_are_what_is_rounded() -> None:
    """A kernel and its linear block together have one grid; gradients reach both."""
    torch.manual_seed(0)
    form = TrainingForm(ESPCN(TINY).quantise_(RANGES), 8)
    plain = ESPCN(TINY)
    plain.load_state_dict(form.merged())
    for parameter in plain.parameters():
        if parameter.dim() == 4:
            parameter.data = rounded(parameter.data)
    lr = torch.rand(2, 1, 8, 8)
    plain.quantise_(RANGES)
    torch.testing.assert_close(form(lr), plain(lr))  # what is rounded already stays
    form(lr).square().sum().backward()
    assert all(parameter.grad is not None for parameter in form.parameters())


def replayed(work: Work) -> Work:
    return work


@pytest.mark.parametrize("make", [lambda n: Threads(n, 4, CPU), lambda n: Recorded(n, replayed)])
def test_whoever_shares_a_step_rounds_too(make: Callable[[ESPCN], Threads | Recorded]) -> None:
    torch.manual_seed(0)
    network = ESPCN(TINY).quantise_(RANGES)
    network.tail.weight.data.normal_(0, 0.1)
    parameters: dict[str, Tensor] = dict(network.named_parameters())
    lr, hr = torch.rand(4, 1, 8, 8), torch.rand(4, 1, 16, 16)
    mean, gradients = make(network).gradients(make_loss("mse", "cpu", torch.float32), parameters, lr, hr)
    expected = (network(lr) - hr).square().mean()
    torch.testing.assert_close(mean, expected.detach())
    torch.testing.assert_close(gradients, list(torch.autograd.grad(expected, list(parameters.values()))))
    assert float(mean) != float((network.quantise_(())(lr) - hr).square().mean().detach())


def test_in_bf16_what_is_rounded_is_nearly_the_same() -> None:
    torch.manual_seed(0)
    network = ESPCN(TINY).quantise_(RANGES)
    network.tail.weight.data.normal_(0, 0.1)
    lr = torch.rand(2, 1, 16, 16)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        low = functional_call(network, dict(network.named_parameters()), (lr,))
    torch.testing.assert_close(low, network(lr), atol=2e-2, rtol=0)
    low.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
