"""A training state: only its own training goes on from it, and no file can do harm."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from making import mutations, save_checkpoint
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from trainings import QUICK, TINY, StopAt, same, tensors

from espcn_cli.errors import EspcnError
from espcn_cli.training import loop
from espcn_cli.training.events import Afresh, Event, Saved
from espcn_cli.training.job import Job, identity
from espcn_cli.training.run import make_state
from espcn_cli.training.run_folder import RunFolder
from espcn_cli.training.state import State, check_state, restore_, save_state

CPU = torch.device("cpu")

DAMAGED = r"state\.safetensors is damaged \(.+\): start again without --resume"


def test_where_there_is_nothing_to_resume_it_starts_afresh_and_says_so(job: Job, tmp_path: Path) -> None:
    events: list[Event] = []
    loop.carry_out(job, resume=True, report=events.append)
    assert events[0] == Afresh(RunFolder.of(job.output).state)
    resumed = tensors(job.output)
    loop.carry_out(replace(job, output=tmp_path / "other.safetensors"))
    assert same(resumed, tensors(tmp_path / "other.safetensors"))


def test_afresh_from_a_start_tells_what_it_gained_over_it(job: Job, tmp_path: Path) -> None:
    start = save_checkpoint(tmp_path / "start.safetensors", TINY)
    card = loop.carry_out(replace(job, init=start), resume=True)
    assert card.training["history"][0]["step"] == 0


def test_what_can_be_resumed_is_told_as_soon_as_it_can(job: Job) -> None:
    events: list[Event] = []

    def stop(event: Event) -> None:
        events.append(event)
        StopAt(7)(event)

    with pytest.raises(KeyboardInterrupt):
        loop.carry_out(job, report=stop)
    assert [event for event in events if isinstance(event, Saved)] == [Saved(5), Saved(7)]
    events.clear()
    loop.carry_out(job, resume=True, report=events.append)
    assert events[0] == Saved(7)
    assert [event for event in events if isinstance(event, Saved)] == [Saved(7), Saved(10), Saved(12)]


def test_a_state_of_another_training_is_refused_with_the_difference(job: Job) -> None:
    with pytest.raises(KeyboardInterrupt):
        loop.carry_out(job, report=StopAt(3))
    with pytest.raises(EspcnError, match="had batch_size 4, now 2"):
        loop.carry_out(replace(job, settings=replace(QUICK, batch_size=2)), resume=True)
    with pytest.raises(EspcnError, match="had files 4, now 3"):
        loop.carry_out(replace(job, pictures=job.pictures[:3]), resume=True)
    state = RunFolder.of(job.output).state
    state.write_bytes(state.read_bytes().replace(b'"format_version":"3"', b'"format_version":"9"'))
    with pytest.raises(EspcnError, match="not a training state that this espcn can read"):
        loop.carry_out(job, resume=True)
    state.write_bytes(b"\0" * 40)
    with pytest.raises(EspcnError, match="is damaged"):
        loop.carry_out(job, resume=True)


def rewritten(path: Path, changes: dict[str, Any], tensors: dict[str, Tensor | None] | None = None) -> None:
    """Replace values inside a state's metadata, each below `identity` or `progress`, and tensors (None: left out)."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        found = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no dictionary
    for place, value in changes.items():
        part, *keys = place.split(".")
        whole = {part: json.loads(metadata[part])}
        inner = whole
        for key in [part, *keys][:-1]:
            inner = inner[key]
        inner[[part, *keys][-1]] = value
        metadata[part] = json.dumps(whole[part])
    found |= tensors or {}
    save_file({key: tensor for key, tensor in found.items() if tensor is not None}, path, metadata)


DATA = {"files": 4, "pixels": 5120, "sha256": "cafe"}


@pytest.fixture
def saved(job: Job) -> Path:
    """The state of a training at its second step."""
    path = job.output.with_name("state.safetensors")
    state = make_state(job, CPU)
    state.step, state.history = 2, [{"step": 1, "psnr": 30.5}]
    save_state(state, path, {**identity(job), "data": DATA})
    return path


def resume(job: Job, path: Path) -> State:
    check_state(path, {**identity(job), "data": DATA})
    state = make_state(job, CPU)
    restore_(state, path)
    return state


def test_a_state_comes_back_as_it_was(job: Job, saved: Path) -> None:
    other = replace(job, settings=replace(QUICK, seed=4))
    restored = make_state(other, CPU)
    restore_(restored, saved)
    expected = make_state(job, CPU)
    assert all(torch.equal(tensor, expected.tensors()[name]) for name, tensor in restored.tensors().items())
    assert torch.equal(restored.generator.get_state(), expected.generator.get_state())
    assert (restored.step, restored.history) == (2, [{"step": 1, "psnr": 30.5}])


def test_ranges_come_back_to_the_last_bit(job: Job, saved: Path) -> None:
    state, restored = make_state(job, CPU), make_state(job, CPU)
    state.quantise_([(0.0, 1.0), (-1 / 3, 2 / 3), (0.0, 1e-6 / 7)])
    save_state(state, saved, identity(job))
    restore_(restored, saved)
    assert restored.ranges == state.ranges
    lr = torch.rand(1, 1, 8, 8)
    assert torch.equal(restored.network(lr), state.network(lr))


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"identity.settings.momentum": 0.9}, "settings had momentum 0.9, now unset"),
        ({"identity.model.depth": None}, "model had depth None, now unset"),
        ({"identity.settings": {}}, "settings had steps unset, now 12"),
        ({"identity.settings": [1]}, r"settings was \[1\], now"),
        ({"identity.init": "start.safetensors"}, "init was start.safetensors, now None"),
        ({"identity.data.files": "4"}, "data had files 4, now 4"),
    ],
)
def test_whatever_else_a_state_was_made_with_is_named(
    job: Job, saved: Path, changes: dict[str, Any], difference: str
) -> None:
    rewritten(saved, changes)
    with pytest.raises(EspcnError, match=f"belongs to another training: its {difference}"):
        resume(job, saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"identity": []},
        {"identity": 3},
        {"progress": None},
        {"progress": []},
        {"progress": {}},
        {"progress.network": 0},
        {"progress.__class__": "State"},
        {"progress.share": 1.0},
        {"progress.step": -1},
        {"progress.step": 5.0},
        {"progress.step": True},
        {"progress.step": 10**400},
        {"progress.seconds": "1"},
        {"progress.seconds": float("nan")},
        {"progress.stepping": float("inf")},
        {"progress.retreats": None},
        {"progress.retreats": 6},
        {"progress.losses": [0.1, "0.1"]},
        {"progress.losses": 0.1},
        {"progress.history": {}},
        {"progress.history": [5]},
        {"progress.history": [{"step": 5}]},
        {"progress.history": [{"step": 5, "psnr": "30"}]},
        {"progress.history": [{"step": 5, "psnr": 30, "colour": 1}]},
        {"progress.precision": "fp8"},
        {"progress.precision": ["bf16"]},
        {"progress.ranges": None},
        {"progress.ranges": [[0, 1], [0, 1]]},
        {"progress.ranges": [[0, 1], [0, 1], [1, 0]]},
        {"progress.ranges": [[0, 1], [0, 1], [0, float("inf")]]},
        {"progress.ranges": [[0, 1], [0, 1], [0, 1, 2]]},
        {"progress.ranges": [0, 1, 2]},
    ],
    ids=str,
)
def test_a_state_with_impossible_values_is_damaged(job: Job, saved: Path, changes: dict[str, Any]) -> None:
    rewritten(saved, changes)
    with pytest.raises(EspcnError, match=DAMAGED) as caught:
        resume(job, saved)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "tensors",
    [
        {"generator": None},
        {"generator": torch.full((5056,), 255, dtype=torch.uint8)},
        {"generator": torch.zeros(3, dtype=torch.uint8)},
        {"average.network.body.0.weight": None},
        {"network.network.body.0.weight": torch.zeros(1)},
        {"optimiser.0.exp_avg": torch.zeros(4, 1, 3, 3, dtype=torch.float64)},
        {"optimiser.x.exp_avg": torch.zeros(1)},
        {"else": torch.zeros(1)},
    ],
    ids=lambda tensors: next(iter(tensors)),
)
def test_a_state_with_other_tensors_is_damaged(job: Job, saved: Path, tensors: dict[str, Tensor | None]) -> None:
    rewritten(saved, {}, tensors)
    with pytest.raises(EspcnError, match=DAMAGED):
        resume(job, saved)


def test_any_damage_ends_in_one_line(job: Job, saved: Path) -> None:
    """Cut, changed and shuffled bytes of the header: what is still the same training goes on, nothing else happens."""
    whole = saved.read_bytes()
    length = 8 + int.from_bytes(whole[:8], "little")
    for header in mutations(whole[:length], seed=3, rounds=300):
        saved.write_bytes(header + whole[length:])
        try:
            resume(job, saved)
        except EspcnError as error:
            assert str(saved) in str(error) and "\n" not in str(error)
