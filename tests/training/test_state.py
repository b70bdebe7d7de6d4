"""A training state: only its own training goes on from it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from trainings import QUICK, StopAt

from espcn_cli.errors import EspcnError
from espcn_cli.training import loop
from espcn_cli.training.job import Job
from espcn_cli.training.run_folder import RunFolder


def test_nothing_to_resume(job: Job) -> None:
    with pytest.raises(EspcnError, match="nothing to resume"):
        loop.train(job, resume=True)


def test_a_state_of_another_training_is_refused_with_the_difference(job: Job) -> None:
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
