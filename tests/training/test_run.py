"""Before the first step: which pictures are used, where the network starts, in which precision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from making import save_checkpoint, save_picture
from PIL import Image
from trainings import QUICK, TINY, StopAt, tensors

from espcn_cli.engines import device
from espcn_cli.errors import EspcnError
from espcn_cli.network import checkpoint
from espcn_cli.training import loop
from espcn_cli.training.events import Event, Loaded
from espcn_cli.training.job import Job, make_job
from espcn_cli.training.run_folder import RunFolder


def test_auto_goes_on_in_the_precision_it_began_with(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is measured, and on a busy machine another day's measurement may say otherwise."""
    job = replace(job, precision="auto")
    monkeypatch.setattr(device, "has_native_bf16", lambda: True)
    monkeypatch.setattr(device, "bf16_trains_faster", lambda: True)
    with pytest.raises(KeyboardInterrupt):
        loop.carry_out(job, report=StopAt(1))
    monkeypatch.setattr(device, "bf16_trains_faster", lambda: False)
    assert loop.carry_out(job, resume=True).training["precision"] == "bf16"
    assert loop.carry_out(job).training["precision"] == "fp32"


def test_photographs_of_every_kind_are_trained_on(job: Job, tmp_path: Path) -> None:
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
    events: list[Event] = []
    loop.carry_out(replace(job, pictures=sorted(data.iterdir())), report=events.append)
    (loaded,) = (event for event in events if isinstance(event, Loaded))
    assert loaded.pictures == 6
    assert [file.path.name for file in loaded.skipped] == [
        "broken.jpg",
        "empty.png",
        "one.png",
        "tiny.png",
    ]


def test_a_patch_larger_than_every_picture_is_refused_with_the_remedy(job: Job) -> None:
    with pytest.raises(EspcnError, match=r"40 x 32 is smaller than a patch of 64 x 64: use a smaller --patch-size"):
        loop.carry_out(replace(job, settings=replace(QUICK, patch_size=64)))


def test_unusable_files_are_reported(job: Job, tmp_path: Path) -> None:
    (tmp_path / "data" / "bad.png").write_bytes(b"bad")
    (tmp_path / "valid" / "bad.png").write_bytes(b"bad")
    again = make_job(
        [tmp_path / "data"], job.output, "tiny", TINY, QUICK, tmp_path / "valid", device="cpu", precision="fp32"
    )
    events: list[Event] = []
    loop.carry_out(again, report=events.append)
    [loaded] = [event for event in events if isinstance(event, Loaded)]
    assert loaded.pictures == 4
    assert len(loaded.skipped) == 2
    assert all(file.path.name == "bad.png" and "bad.png" in file.line for file in loaded.skipped)


def test_without_validation_pictures_usable_ones_are_held_out(job: Job, tmp_path: Path) -> None:
    (tmp_path / "data" / "zz.png").write_bytes(b"bad")
    again = make_job([tmp_path / "data"], job.output, "tiny", TINY, QUICK, device="cpu", precision="fp32")
    events: list[Event] = []
    loop.carry_out(again, report=events.append)
    [loaded] = [event for event in events if isinstance(event, Loaded)]
    assert (loaded.pictures, loaded.validation, len(loaded.skipped)) == (3, 1, 1)


def test_overlap_with_the_validation_and_repetition_are_found_by_content(job: Job, tmp_path: Path) -> None:
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
        events: list[Event] = []
        loop.carry_out(again, report=events.append)
        [loaded] = [event for event in events if isinstance(event, Loaded)]
        assert "trained on too: 1 validation picture (copy), whose" in loaded.warnings[0]
        assert "there twice: 1 training picture, such as" in loaded.warnings[1]
        assert "zz.bmp" in loaded.warnings[1]


def test_fine_tuning_starts_where_the_checkpoint_is(job: Job, tmp_path: Path) -> None:
    start = save_checkpoint(tmp_path / "start.safetensors", TINY)
    tuned = loop.carry_out(replace(job, init=start, settings=replace(QUICK, learning_rate=1e-9)))
    last = checkpoint.read_card(RunFolder.of(job.output).last)
    assert [entry["step"] for entry in last.training["history"]] == [0, 5, 10, 12]
    assert tuned.training["init"] == "start.safetensors"
    assert tuned.training["history"][0]["psnr"] == pytest.approx(tuned.metrics["validation"]["psnr"], abs=0.01)
    for name, tensor in tensors(start).items():
        assert (tensors(job.output)[name] - tensor).abs().max() < 1e-6


def test_a_warm_start_takes_the_body_to_another_scale(job: Job, tmp_path: Path) -> None:
    start = save_checkpoint(tmp_path / "start.safetensors", TINY)
    other = replace(job, init=start, model=replace(TINY, scale=3), settings=replace(QUICK, learning_rate=1e-9))
    card = loop.carry_out(other)
    assert card.training["history"][0]["psnr"] == pytest.approx(card.metrics["validation"]["bicubic"], abs=0.01)
    before, after = tensors(start), tensors(job.output)
    assert (after["body.0.weight"] - before["body.0.weight"]).abs().max() < 1e-6
    assert after["body.4.weight"].shape == (9, 4, 3, 3)


def test_a_start_of_another_kind_is_refused(job: Job, tmp_path: Path) -> None:
    start = save_checkpoint(tmp_path / "start.safetensors")
    with pytest.raises(EspcnError, match="is another kind of network"):
        loop.carry_out(replace(job, init=start))
