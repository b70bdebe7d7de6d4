"""What asks a training to stop is heard, and heeded when the step is done."""

from __future__ import annotations

import signal

import pytest

from espcn_cli.training import loop
from espcn_cli.training.events import Event, Step
from espcn_cli.training.job import Job
from espcn_cli.training.run_folder import RunFolder


def test_sigterm_saves_the_state_too(job: Job) -> None:
    def terminate(event: Event) -> None:
        if isinstance(event, Step) and event.step == 3:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(SystemExit) as caught:
        loop.carry_out(job, report=terminate)
    assert caught.value.code == 143
    assert RunFolder.of(job.output).state.is_file()
