"""What a training is asked for: refused at once where it cannot be done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from making import save_checkpoint, save_picture
from trainings import QUICK, TINY
from typer.testing import CliRunner

from espcn_cli.cli.app import app
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.network import checkpoint
from espcn_cli.settings import TrainSettings, architecture
from espcn_cli.training import loop
from espcn_cli.training.job import Job, make_job


def test_no_pictures_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(EspcnError, match="no pictures in"):
        make_job([tmp_path / "empty"], tmp_path / "o.safetensors", "tiny", TINY, QUICK)
    with pytest.raises(EspcnError, match="no such file or folder"):
        make_job([tmp_path / "nowhere"], tmp_path / "o.safetensors", "tiny", TINY, QUICK)


def test_a_training_does_not_learn_from_its_own_curves_and_sample(tmp_path: Path) -> None:
    """`espcn train . -o m.safetensors` twice: the second time the folder m.run is among the pictures."""
    pictures = [save_picture(tmp_path / "a.png"), save_picture(tmp_path / "m.run.png")]
    save_picture(tmp_path / "m.run" / "sample.png")
    other = save_picture(tmp_path / "other.run" / "sample.png")
    job = make_job([tmp_path], tmp_path / "m.safetensors", "tiny", TINY, QUICK)
    assert job.pictures == [*pictures, other]


def test_a_patch_is_rounded_down_to_the_scale(job: Job) -> None:
    assert replace(job, model=replace(TINY, scale=3), settings=replace(QUICK, patch_size=17)).patch == 15


def test_fine_tuning_goes_on_with_the_activation_that_the_checkpoint_has(job: Job, tmp_path: Path) -> None:
    """A name may have come to stand for another one since."""
    older = replace(TINY, activation="tanh")
    start = save_checkpoint(tmp_path / "start.safetensors", older)
    again = make_job(
        job.pictures, job.output, job.name, TINY, QUICK, tmp_path / "valid", init=start, device="cpu", precision="fp32"
    )
    assert loop.carry_out(again).settings == older


@pytest.mark.parametrize(
    ("init", "output"),
    [
        ("m.safetensors", "m.safetensors"),
        ("m.safetensors", "deep/../m.safetensors"),
        ("link.safetensors", "m.safetensors"),
        ("m.safetensors", "link.safetensors"),
        ("m.run/last.safetensors", "m.safetensors"),
    ],
)
def test_a_training_does_not_overwrite_its_own_start(tmp_path: Path, init: str, output: str) -> None:
    """However its path is written: what comes out may score worse, and the start would be lost."""
    save_picture(tmp_path / "data" / "a.png")
    (tmp_path / "deep").mkdir()
    (tmp_path / "m.run").mkdir()
    for name in ("m.safetensors", "m.run/last.safetensors"):
        save_checkpoint(tmp_path / name, TINY)
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "m.safetensors")
    with pytest.raises(UsageError, match=r"would overwrite .*, which it starts from: choose another --output"):
        make_job([tmp_path / "data"], tmp_path / output, "tiny", TINY, QUICK, init=tmp_path / init)
    other = make_job([tmp_path / "data"], tmp_path / "other.safetensors", "tiny", TINY, QUICK, init=tmp_path / init)
    assert other.init == tmp_path / init


def test_a_shipped_network_is_not_overwritten_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_picture(tmp_path / "data" / "a.png")
    shipped = save_checkpoint(tmp_path / "espcn-s_x2.safetensors", architecture("espcn-s"), "espcn-s")
    monkeypatch.setattr(checkpoint, "weights_folder", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)
    before = shipped.read_bytes()
    arguments = ["train", "data", "-m", "espcn-s", "--init", "espcn-s", "--steps", "1"]  # the default --output
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"espcn: the training would overwrite {shipped}") and result.stderr.count("\n") == 1
    assert shipped.read_bytes() == before


def test_drawings_belong_to_the_degradation_real(tmp_path: Path) -> None:
    save_picture(tmp_path / "photos" / "a.png")
    drawing = save_picture(tmp_path / "drawings" / "d.png")
    (tmp_path / "empty").mkdir()
    real = replace(QUICK, degradation="real")

    def make(settings: TrainSettings, drawings: str) -> Job:
        folder = tmp_path / drawings
        return make_job([tmp_path / "photos"], tmp_path / "o.safetensors", "tiny", TINY, settings, drawings=folder)

    assert make(real, "drawings").drawings == [drawing]
    with pytest.raises(UsageError, match="--drawings is for --degradation real"):
        make(QUICK, "drawings")
    with pytest.raises(EspcnError, match=r"no pictures in .*empty: name a folder with images for --drawings"):
        make(real, "empty")


def test_a_patch_larger_than_a_scene_is_refused(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png")
    with pytest.raises(UsageError, match="at most 288: use a smaller --patch-size"):
        make_job(
            [tmp_path], tmp_path / "o.safetensors", "tiny", TINY, replace(QUICK, degradation="real", patch_size=290)
        )
