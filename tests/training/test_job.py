"""What a training is asked for: refused at once where it cannot be done."""

from __future__ import annotations

import os
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
from espcn_cli.training.job import Job, make_job, refuse_existing


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


def test_a_folder_that_cannot_be_written_is_refused_before_the_pictures_are_read(tmp_path: Path) -> None:
    """The training's own, beside its checkpoint."""
    save_picture(tmp_path / "data" / "a.png")
    output = tmp_path / "m.safetensors"
    (tmp_path / "m.run").touch()
    with pytest.raises(EspcnError, match=r"cannot write .*m\.run .Not a directory."):
        make_job([tmp_path / "data"], output, "tiny", TINY, QUICK)
    (tmp_path / "m.run").unlink()
    for name in ("last.safetensors", "state.safetensors", "log.csv", "sample.png", "curves.png"):
        (tmp_path / "m.run" / name).mkdir(parents=True)
        with pytest.raises(EspcnError, match=f"{name} is a folder: name a file"):
            make_job([tmp_path / "data"], output, "tiny", TINY, QUICK)
        (tmp_path / "m.run" / name).rmdir()
    make_job([tmp_path / "data"], output, "tiny", TINY, QUICK)


def test_a_checkpoint_does_not_go_into_a_pipe(tmp_path: Path) -> None:
    """It is written again and again, and read at the end."""
    save_picture(tmp_path / "data" / "a.png")
    (tmp_path / "m.safetensors").symlink_to(os.devnull)
    with pytest.raises(EspcnError, match="is a device or a pipe: name a file"):
        make_job([tmp_path / "data"], tmp_path / "m.safetensors", "tiny", TINY, QUICK)


@pytest.mark.parametrize(
    ("there", "resume", "refused"),
    [
        ("", False, ""),
        ("sample.png", False, ""),
        ("m", False, "1 output exists already, .*m.safetensors: .* --overwrite, .* --skip-existing$"),
        ("m last", True, "1 output exists already"),
        ("m last state", False, "--skip-existing, or continue its training with --resume$"),
        ("m last state", True, ""),
        ("state", False, "m.run holds another training: replace it with --overwrite, or continue .* with --resume"),
        ("state", True, ""),
        ("last", False, "m.run holds another training: replace it with --overwrite$"),
        ("last", True, "m.run holds another training: replace it with --overwrite$"),
    ],
)
def test_what_another_training_left_is_not_replaced(tmp_path: Path, there: str, resume: bool, refused: str) -> None:
    """`resume` replaces what it continues."""
    (tmp_path / "m.run").mkdir()
    for name in there.split():
        path = tmp_path if name == "m" else tmp_path / "m.run"
        (path / (name if "." in name else f"{name}.safetensors")).touch()
    if refused:
        with pytest.raises(UsageError, match=refused):
            refuse_existing(tmp_path / "m.safetensors", resume)
    else:
        refuse_existing(tmp_path / "m.safetensors", resume)


def test_mixtures_need_clean_weights_of_the_same_form_and_real_damage(tmp_path: Path) -> None:
    save_picture(tmp_path / "data" / "a.png")
    same = save_checkpoint(tmp_path / "same.safetensors", TINY)
    wider = save_checkpoint(tmp_path / "wider.safetensors", replace(TINY, widths=(9, *TINY.widths[1:])))
    real = replace(QUICK, degradation="real", mixtures=True)

    def make(settings: TrainSettings, init: Path | None) -> Job:
        return make_job([tmp_path / "data"], tmp_path / "o.safetensors", "tiny", TINY, settings, init=init)

    assert make(real, same).settings.mixtures
    for settings, init, message in (
        (replace(real, degradation="camera"), same, "--mixtures is for --degradation real"),
        (real, None, "--mixtures needs clean weights to mix with: name them with --init"),
        (real, wider, r"--mixtures: .*wider.safetensors is another form of network"),
    ):
        with pytest.raises(UsageError, match=message):
            make(settings, init)


def test_eight_bits_need_trained_weights_of_the_same_form(tmp_path: Path) -> None:
    save_picture(tmp_path / "data" / "a.png")
    same = save_checkpoint(tmp_path / "same.safetensors", TINY)
    wider = save_checkpoint(tmp_path / "wider.safetensors", replace(TINY, widths=(9, *TINY.widths[1:])))
    tripled = save_checkpoint(tmp_path / "tripled.safetensors", replace(TINY, scale=3))
    quantised = replace(QUICK, quantise=True)

    def make(settings: TrainSettings, init: Path | None) -> Job:
        return make_job([tmp_path / "data"], tmp_path / "o.safetensors", "tiny", TINY, settings, init=init)

    assert make(quantised, same).settings.quantise
    for settings, init, message in (
        (quantised, None, "--quantise needs trained weights to start from: name them with --init"),
        (quantised, wider, r"--quantise: .*wider.safetensors is another form of network"),
        (quantised, tripled, r"--quantise: .*tripled.safetensors is another form of network"),
        (replace(quantised, degradation="real", mixtures=True), same, "--quantise is for one network, --mixtures"),
    ):
        with pytest.raises(UsageError, match=message):
            make(settings, init)
