"""Training: it learns, it stops and goes on with the same bits, and what it saves says how it was made."""

from __future__ import annotations

import csv
import signal
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from making import save_checkpoint, save_picture
from PIL import Image
from torch import Tensor

from espcn_cli.engines import device
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.network import checkpoint, espcn
from espcn_cli.scoring.degradation import DESCRIPTIONS
from espcn_cli.settings import LOSSES, SCHEDULES, ModelSettings, TrainSettings
from espcn_cli.training import loop, objective
from espcn_cli.training.run_folder import RunFolder

TINY = ModelSettings(widths=(4, 4), kernels=(3, 3, 3), activation="prelu")
QUICK = TrainSettings(steps=12, batch_size=4, patch_size=16, warmup=2, expansion=8, validate_every=5)


@pytest.fixture
def job(tmp_path: Path) -> loop.Job:
    for index in range(4):
        save_picture(tmp_path / "data" / f"{index}.png", 40, 32, index)
    save_picture(tmp_path / "valid" / "v.png", 36, 32, 9)
    return loop.make_job(
        [tmp_path / "data"],
        tmp_path / "out.safetensors",
        "tiny",
        TINY,
        QUICK,
        tmp_path / "valid",
        device="cpu",
        precision="fp32",
    )


def tensors(path: Path) -> dict[str, torch.Tensor]:
    network, _ = espcn.load(path)
    return dict(network.state_dict())


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


class StopAt:
    """A report that interrupts the training after a step, as Ctrl-C would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, event: loop.Event) -> None:
        if isinstance(event, loop.Step) and event.step == self.step:
            signal.raise_signal(signal.SIGINT)


def test_training_beats_bicubic_on_what_it_was_made_for(job: loop.Job) -> None:
    """Fine waves, which bicubic flattens and a network soon learns to draw."""
    y, x = np.mgrid[0:96, 0:120]
    for seed, path in enumerate([*job.pictures, *job.validation]):
        periods = np.random.default_rng(seed).uniform(3.5, 5, 2)
        waves = sum(60 * np.sin(2 * np.pi * t / period) for t, period in zip((x, y), periods, strict=True))
        Image.fromarray((128 + waves).astype(np.uint8)).save(path)
    settings = replace(QUICK, steps=150, validate_every=150, learning_rate=1e-2, ema_decay=0.9)
    card = loop.train(replace(job, settings=settings))
    scores = card.metrics["validation"]
    assert scores["psnr"] > scores["bicubic"] + 0.8


def test_events_come_in_order(job: loop.Job) -> None:
    events: list[loop.Event] = []
    loop.train(job, report=events.append)
    assert [e for e in events if isinstance(e, loop.Loading)] == [loop.Loading(n, 4) for n in range(1, 5)]
    assert loop.Loaded(4, 1, [], [], "0 MB of pictures kept in memory") in events
    assert [e.step for e in events if isinstance(e, loop.Step)] == list(range(1, 13))
    assert [e.step for e in events if isinstance(e, loop.Validation)] == [5, 10, 12]


def test_same_seed_same_weights(job: loop.Job, tmp_path: Path) -> None:
    other = replace(job, output=tmp_path / "other.safetensors")
    third = replace(job, output=tmp_path / "third.safetensors", settings=replace(QUICK, seed=1))
    for each in (job, other, third):
        loop.train(each)
    assert same(tensors(job.output), tensors(other.output))
    assert not same(tensors(job.output), tensors(third.output))


@pytest.mark.parametrize("stop", [1, 5, 7, 11])
def test_stopped_and_resumed_is_bit_for_bit_training_straight_through(job: loop.Job, tmp_path: Path, stop: int) -> None:
    straight = replace(job, output=tmp_path / "straight.safetensors")
    loop.train(straight)
    with pytest.raises(KeyboardInterrupt):
        loop.train(job, report=StopAt(stop))
    assert RunFolder.of(job.output).state.is_file()
    loop.train(job, resume=True)
    assert same(tensors(job.output), tensors(straight.output))
    assert not RunFolder.of(job.output).state.exists()


def test_auto_goes_on_in_the_precision_it_began_with(job: loop.Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is measured, and on a busy machine another day's measurement may say otherwise."""
    job = replace(job, precision="auto")
    monkeypatch.setattr(device, "has_native_bf16", lambda: True)
    monkeypatch.setattr(device, "bf16_trains_faster", lambda: True)
    with pytest.raises(KeyboardInterrupt):
        loop.train(job, report=StopAt(1))
    monkeypatch.setattr(device, "bf16_trains_faster", lambda: False)
    assert loop.train(job, resume=True).training["precision"] == "bf16"
    assert loop.train(job).training["precision"] == "fp32"


def test_the_checkpoint_says_how_it_was_made(job: loop.Job) -> None:
    loop.train(job)
    card = checkpoint.read_card(job.output)
    assert card.settings == TINY
    assert card.name == "tiny"
    assert TrainSettings(**card.training["settings"]) == QUICK
    assert card.training["data"]["files"] == 4
    assert card.training["step"] in (5, 10, 12)
    assert set(card.training["versions"]) == {"espcn", "torch", "python"}
    assert card.metrics["validation"]["images"] == 1
    assert "MATLAB bicubic" in card.metrics["validation"]["protocol"]


def test_the_best_weights_and_the_last_are_kept_with_a_log_and_a_sample(job: loop.Job) -> None:
    card = loop.train(replace(job, settings=replace(QUICK, steps=30, validate_every=3, learning_rate=3e-2)))
    folder = RunFolder.of(job.output)
    assert sorted(path.name for path in folder.path.iterdir()) == [
        *(["curves.png"] if find_spec("matplotlib") else []),
        "last.safetensors",
        "log.csv",
        "sample.png",
    ]
    history = checkpoint.read_card(folder.last).training["history"]
    assert [entry["step"] for entry in history] == list(range(3, 31, 3))
    assert card.metrics["validation"]["psnr"] == pytest.approx(max(entry["psnr"] for entry in history), abs=1e-4)
    with (folder.path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["step", "seconds", "loss", "learning_rate", "psnr", "ssim", "steps_per_second", "waiting"]
    assert [float(row["psnr"]) for row in rows] == [entry["psnr"] for entry in history]
    with Image.open(folder.path / "sample.png") as sample:
        assert sample.size == (3 * 2 * 32, 2 * 32)  # three views, twice as large, of a picture 36 × 32


def test_nothing_to_resume(job: loop.Job) -> None:
    with pytest.raises(EspcnError, match="nothing to resume"):
        loop.train(job, resume=True)


def test_a_state_of_another_training_is_refused_with_the_difference(job: loop.Job) -> None:
    with pytest.raises(KeyboardInterrupt):
        loop.train(job, report=StopAt(3))
    with pytest.raises(EspcnError, match="had batch_size 4, now 2"):
        loop.train(replace(job, settings=replace(QUICK, batch_size=2)), resume=True)
    with pytest.raises(EspcnError, match="had files 4, now 3"):
        loop.train(replace(job, pictures=job.pictures[:3]), resume=True)
    state = RunFolder.of(job.output).state
    state.write_bytes(state.read_bytes().replace(b'"format_version":"2"', b'"format_version":"9"'))
    with pytest.raises(EspcnError, match="not a training state that this espcn can read"):
        loop.train(job, resume=True)
    state.write_bytes(b"\0" * 40)
    with pytest.raises(EspcnError, match="is damaged"):
        loop.train(job, resume=True)


def test_sigterm_saves_the_state_too(job: loop.Job) -> None:
    def terminate(event: loop.Event) -> None:
        if isinstance(event, loop.Step) and event.step == 3:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(SystemExit) as caught:
        loop.train(job, report=terminate)
    assert caught.value.code == 143
    assert RunFolder.of(job.output).state.is_file()


@pytest.mark.parametrize("error", [RuntimeError("can't allocate memory: 9 bytes"), torch.OutOfMemoryError("no")])
def test_a_batch_that_does_not_fit_is_one_clear_line(
    job: loop.Job, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(run: loop.Run) -> float:
        raise error

    monkeypatch.setattr(loop, "take_step", full)
    with pytest.raises(EspcnError, match="4 patches of 16 x 16 do not fit in memory: try --batch-size 2"):
        loop.train(job)


def test_another_error_of_a_step_is_no_matter_of_memory(job: loop.Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(run: loop.Run) -> float:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(loop, "take_step", wrong)
    with pytest.raises(RuntimeError, match="shapes"):
        loop.train(job)


def test_no_space_left_while_saving_loses_nothing(job: loop.Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first validation is saved, the second finds the disk full; with space again, --resume goes on."""
    save, calls = loop.save, []

    def full_at_the_second(run: loop.Run, result: loop.Validation) -> None:
        calls.append(result.step)
        if len(calls) == 2:
            raise EspcnError(f"cannot write {run.job.output} (No space left on device): nothing was changed")
        save(run, result)

    monkeypatch.setattr(loop, "save", full_at_the_second)
    with pytest.raises(EspcnError, match=r"No space left.*with --resume, the same command goes on"):
        loop.train(job)
    assert checkpoint.read_card(job.output).training["step"] == 5
    loop.train(job, resume=True)
    assert calls == [5, 10, 10, 12]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device without space")
def test_a_full_disk_is_named_by_the_file_that_does_not_fit(job: loop.Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real error, from a device that has no space: what replaces the checkpoint is written there."""

    def write_where_there_is_no_space(path: Path, data: bytes) -> int:
        with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123
            return full.write(data)

    monkeypatch.setattr(Path, "write_bytes", write_where_there_is_no_space)
    with pytest.raises(EspcnError, match=r"cannot write .*No space left on device"):
        loop.train(job)
    assert not job.output.exists()


def test_photographs_of_every_kind_are_trained_on(job: loop.Job, tmp_path: Path) -> None:
    """CMYK, palette, 16 bits, an animation's first frame, grey with alpha; what is broken or tiny is named."""
    data = tmp_path / "odd"
    for mode, name in (("CMYK", "cmyk.jpg"), ("P", "palette.gif"), ("LA", "grey.png"), ("1", "mask.png")):
        save_picture(data / name, 40, 32, mode=mode)
    Image.fromarray(np.linspace(0, 65535, 40 * 32, dtype=np.uint16).reshape(32, 40)).save(data / "deep.png")
    frames = [Image.fromarray(np.full((32, 40, 3), 80 * i, np.uint8)) for i in range(3)]
    frames[0].save(data / "moving.gif", save_all=True, append_images=frames[1:])
    save_picture(data / "tiny.png", 5, 3)
    save_picture(data / "one.png", 1, 1)
    (data / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    (data / "empty.png").write_bytes(b"")
    events: list[loop.Event] = []
    loop.train(replace(job, pictures=sorted(data.iterdir())), report=events.append)
    (loaded,) = (event for event in events if isinstance(event, loop.Loaded))
    assert loaded.pictures == 6
    assert [Path(line.split(":")[0]).name for line in loaded.skipped] == [
        "broken.jpg",
        "empty.png",
        "one.png",
        "tiny.png",
    ]


def test_a_patch_larger_than_every_picture_is_refused_with_the_remedy(job: loop.Job) -> None:
    with pytest.raises(EspcnError, match=r"40 x 32 is smaller than a patch of 64 x 64: use a smaller --patch-size"):
        loop.train(replace(job, settings=replace(QUICK, patch_size=64)))


def test_tensorboard_gets_the_log(job: loop.Job) -> None:
    pytest.importorskip("tensorboard")
    loop.train(replace(job, tensorboard=True))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(RunFolder.of(job.output).path / "tensorboard"))
    events.Reload()
    history = checkpoint.read_card(RunFolder.of(job.output).last).training["history"]
    assert [event.step for event in events.Scalars("psnr")] == [5, 10, 12]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx([entry["loss"] for entry in history])


def test_without_tensorboard_its_option_names_the_remedy(job: loop.Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install"):
        loop.train(replace(job, tensorboard=True))


def test_the_schedules_end_at_nothing_except_the_constant_one() -> None:
    settings = {name: TrainSettings(learning_rate=1.0, warmup=0, schedule=name) for name in SCHEDULES}
    at = {name: [objective.learning_rate(each, 0, done) for done in (0, 0.25, 1)] for name, each in settings.items()}
    assert at["cosine"] == pytest.approx([1, 0.5 + 0.5 * 0.5**0.5, 0])
    assert at["linear"] == [1, 0.75, 0]
    assert at["constant"] == [1, 1, 1]


def test_the_learning_rate_rises_then_falls_on_a_cosine() -> None:
    settings = TrainSettings(steps=1000, learning_rate=1.0, warmup=99)
    rates = [objective.learning_rate(settings, step, step / 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[500] == pytest.approx(0.5)
    assert rates[999] == pytest.approx(0, abs=1e-5)
    peak = rates.index(max(rates))
    assert 90 <= peak <= 110
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


def test_a_training_by_the_clock_ends_in_time(job: loop.Job) -> None:
    events: list[loop.Event] = []
    loop.train(replace(job, settings=replace(QUICK, steps=10**9, minutes=1 / 60)), report=events.append)
    card = checkpoint.read_card(RunFolder.of(job.output).last)
    assert 1 <= card.training["seconds"] < 20
    last = [event for event in events if isinstance(event, loop.Step)][-1]
    assert last.step == card.training["step"]
    assert last.steps <= last.step


@pytest.mark.parametrize(
    ("loss", "expected"), [("l1", 0.02), ("mse", 0.0008), ("charbonnier", (0.001601**0.5 + 0.001) / 2)]
)
def test_losses_by_hand(loss: str, expected: float) -> None:
    """Of two pixels, off by 0.04 and by 0."""
    result = objective.LOSSES[loss](torch.tensor([0.5, 0.5]), torch.tensor([0.54, 0.5]))
    assert float(result) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains(job: loop.Job, loss: str) -> None:
    card = loop.train(replace(job, settings=replace(QUICK, loss=loss, clip=0.1)))
    assert card.training["settings"]["loss"] == loss


def test_a_finish_takes_mse_and_larger_patches(job: loop.Job, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[str, int]] = []

    def spy(name: str, loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        def noted(sr: Tensor, hr: Tensor) -> Tensor:
            sizes.append((name, hr.shape[-1]))
            return loss(sr, hr)

        return noted

    for name, loss in list(objective.LOSSES.items()):
        monkeypatch.setitem(objective.LOSSES, name, spy(name, loss))
    loop.train(replace(job, settings=replace(QUICK, finish=0.25)))
    assert sizes == [("l1", 16)] * 9 + [("mse", 32)] * 3


def test_patience_ends_a_training_that_gets_no_better(job: loop.Job) -> None:
    hopeless = replace(QUICK, steps=1000, validate_every=2, patience=3, learning_rate=1e-12)
    card = loop.train(replace(job, settings=hopeless))
    last = checkpoint.read_card(RunFolder.of(job.output).last)
    assert last.training["step"] < 1000
    assert last.training["step"] == card.training["step"] + 3 * 2


@pytest.mark.parametrize("degradation", ["aliased", "camera"])
def test_other_degradations_are_trained_on_and_measured_by(job: loop.Job, tmp_path: Path, degradation: str) -> None:
    other = replace(job, settings=replace(QUICK, degradation=degradation))
    card = loop.train(other)
    assert DESCRIPTIONS[degradation] in card.metrics["validation"]["protocol"]
    straight = tensors(job.output)
    with pytest.raises(KeyboardInterrupt):
        loop.train(other, report=StopAt(7))
    loop.train(other, resume=True)
    assert same(tensors(job.output), straight)


BOLD = replace(QUICK, learning_rate=0.3, clip=0, warmup=15, steps=40)
"""Diverges at this rate, and at half of it."""


def test_divergence_leads_back_and_on_at_half_the_learning_rate(job: loop.Job) -> None:
    events: list[loop.Event] = []
    card = loop.train(replace(job, settings=BOLD), report=events.append)
    retreats = [event for event in events if isinstance(event, loop.Retreat)]
    assert [(event.step, event.share) for event in retreats] == [(5, 0.5), (5, 0.25)]
    assert all(event.step < event.diverged and not event.loss < loop.DIVERGED for event in retreats)
    history = card.training["history"]
    assert [entry["step"] for entry in history] == list(range(5, card.training["step"] + 1, 5))
    assert isinstance(events[-1], loop.Validation) and events[-1].step == 40
    assert not RunFolder.of(job.output).state.exists()


def test_a_training_that_went_back_resumes_with_the_same_bits(job: loop.Job) -> None:
    bold = replace(job, settings=BOLD)
    loop.train(bold)
    straight = tensors(job.output)
    with pytest.raises(KeyboardInterrupt):
        loop.train(bold, report=StopAt(23))
    loop.train(bold, resume=True)
    assert same(tensors(job.output), straight)


def test_divergence_again_and_again_keeps_the_last_good_weights_and_names_a_remedy(job: loop.Job) -> None:
    wild = replace(job, settings=replace(QUICK, learning_rate=1e4, warmup=4, validate_every=1, steps=100))
    events: list[loop.Event] = []
    with pytest.raises(EspcnError, match=r"diverged at step \d+ .*last good weights: try --learning-rate 8e\+01"):
        loop.train(wild, report=events.append)
    assert sum(isinstance(event, loop.Retreat) for event in events) == loop.MOST_RETREATS
    assert all(tensor.isfinite().all() for tensor in tensors(job.output).values())


def test_divergence_before_anything_was_saved_says_so(job: loop.Job, tmp_path: Path) -> None:
    start = save_checkpoint(tmp_path / "start.safetensors", TINY)
    wild = replace(job, init=start, settings=replace(QUICK, learning_rate=1e6, warmup=0, validate_every=100, steps=200))
    with pytest.raises(EspcnError, match=r"diverged at step \d+ .*; nothing was saved yet"):
        loop.train(wild)
    assert not job.output.exists()


def test_fine_tuning_goes_on_with_the_activation_that_the_checkpoint_has(job: loop.Job, tmp_path: Path) -> None:
    """A name may have come to stand for another one since."""
    older = replace(TINY, activation="tanh")
    start = save_checkpoint(tmp_path / "start.safetensors", older)
    again = loop.make_job(
        job.pictures, job.output, job.name, TINY, QUICK, tmp_path / "valid", init=start, device="cpu", precision="fp32"
    )
    assert loop.train(again).settings == older


def test_fine_tuning_starts_where_the_checkpoint_is(job: loop.Job, tmp_path: Path) -> None:
    start = save_checkpoint(tmp_path / "start.safetensors", TINY)
    tuned = loop.train(replace(job, init=start, settings=replace(QUICK, learning_rate=1e-9)))
    last = checkpoint.read_card(RunFolder.of(job.output).last)
    assert [entry["step"] for entry in last.training["history"]] == [0, 5, 10, 12]
    assert tuned.training["init"] == "start.safetensors"
    assert tuned.training["history"][0]["psnr"] == pytest.approx(tuned.metrics["validation"]["psnr"], abs=0.01)
    for name, tensor in tensors(start).items():
        assert (tensors(job.output)[name] - tensor).abs().max() < 1e-6


def test_a_warm_start_takes_the_body_to_another_scale(job: loop.Job, tmp_path: Path) -> None:
    start = save_checkpoint(tmp_path / "start.safetensors", TINY)
    other = replace(job, init=start, model=replace(TINY, scale=3), settings=replace(QUICK, learning_rate=1e-9))
    card = loop.train(other)
    assert card.training["history"][0]["psnr"] == pytest.approx(card.metrics["validation"]["bicubic"], abs=0.01)
    before, after = tensors(start), tensors(job.output)
    assert (after["body.0.weight"] - before["body.0.weight"]).abs().max() < 1e-6
    assert after["body.4.weight"].shape == (9, 4, 3, 3)


def test_a_start_of_another_kind_is_refused(job: loop.Job, tmp_path: Path) -> None:
    start = save_checkpoint(tmp_path / "start.safetensors")
    with pytest.raises(EspcnError, match="is another kind of network"):
        loop.train(replace(job, init=start))


def test_a_patch_is_rounded_down_to_the_scale(job: loop.Job) -> None:
    assert replace(job, model=replace(TINY, scale=3), settings=replace(QUICK, patch_size=17)).patch == 15


def test_unusable_files_are_reported(job: loop.Job, tmp_path: Path) -> None:
    (tmp_path / "data" / "bad.png").write_bytes(b"bad")
    (tmp_path / "valid" / "bad.png").write_bytes(b"bad")
    again = loop.make_job(
        [tmp_path / "data"], job.output, "tiny", TINY, QUICK, tmp_path / "valid", device="cpu", precision="fp32"
    )
    events: list[loop.Event] = []
    loop.train(again, report=events.append)
    [loaded] = [event for event in events if isinstance(event, loop.Loaded)]
    assert loaded.pictures == 4
    assert len(loaded.skipped) == 2
    assert all("bad.png" in line for line in loaded.skipped)


def test_without_validation_pictures_usable_ones_are_held_out(job: loop.Job, tmp_path: Path) -> None:
    (tmp_path / "data" / "zz.png").write_bytes(b"bad")
    again = loop.make_job([tmp_path / "data"], job.output, "tiny", TINY, QUICK, device="cpu", precision="fp32")
    events: list[loop.Event] = []
    loop.train(again, report=events.append)
    [loaded] = [event for event in events if isinstance(event, loop.Loaded)]
    assert (loaded.pictures, loaded.validation, len(loaded.skipped)) == (3, 1, 1)


def test_overlap_with_the_validation_and_repetition_are_found_by_content(job: loop.Job, tmp_path: Path) -> None:
    with Image.open(job.pictures[0]) as image:
        image.save(tmp_path / "valid" / "copy.bmp")
        image.save(tmp_path / "data" / "zz.bmp")
    for planes in (1, 3):
        again = replace(
            job,
            model=replace(TINY, planes=planes),
            pictures=sorted((tmp_path / "data").iterdir()),
            validation=sorted((tmp_path / "valid").iterdir()),
        )
        events: list[loop.Event] = []
        loop.train(again, report=events.append)
        [loaded] = [event for event in events if isinstance(event, loop.Loaded)]
        assert "1 validation pictures are trained on too (copy)" in loaded.warnings[0]
        assert "1 training pictures are there twice" in loaded.warnings[1]
        assert "zz.bmp" in loaded.warnings[1]


def test_no_pictures_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(EspcnError, match="no pictures in"):
        loop.make_job([tmp_path / "empty"], tmp_path / "o.safetensors", "tiny", TINY, QUICK)
    with pytest.raises(EspcnError, match="no such file or folder"):
        loop.make_job([tmp_path / "nowhere"], tmp_path / "o.safetensors", "tiny", TINY, QUICK)


def test_three_planes_train_too(job: loop.Job) -> None:
    card = loop.train(replace(job, model=replace(TINY, planes=3)))
    assert card.settings.planes == 3
