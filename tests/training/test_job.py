"""What a training is asked for: refused at once where it cannot be done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from making import save_checkpoint
from trainings import QUICK, TINY

from espcn_cli.errors import EspcnError
from espcn_cli.training import loop
from espcn_cli.training.job import Job, make_job


def test_no_pictures_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(EspcnError, match="no pictures in"):
        make_job([tmp_path / "empty"], tmp_path / "o.safetensors", "tiny", TINY, QUICK)
    with pytest.raises(EspcnError, match="no such file or folder"):
        make_job([tmp_path / "nowhere"], tmp_path / "o.safetensors", "tiny", TINY, QUICK)


def test_a_patch_is_rounded_down_to_the_scale(job: Job) -> None:
    assert replace(job, model=replace(TINY, scale=3), settings=replace(QUICK, patch_size=17)).patch == 15


def test_fine_tuning_goes_on_with_the_activation_that_the_checkpoint_has(job: Job, tmp_path: Path) -> None:
    """A name may have come to stand for another one since."""
    older = replace(TINY, activation="tanh")
    start = save_checkpoint(tmp_path / "start.safetensors", older)
    again = make_job(
        job.pictures, job.output, job.name, TINY, QUICK, tmp_path / "valid", init=start, device="cpu", precision="fp32"
    )
    assert loop.train(again).settings == older
