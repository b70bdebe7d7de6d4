"""What asks a process to stop is heard, and heeded when what must not be cut in two is done."""

from __future__ import annotations

import signal
import threading

import pytest

from espcn_cli.interruption import SIGNALS, Interruption
from espcn_cli.training import loop
from espcn_cli.training.events import Event, Saved, Step
from espcn_cli.training.job import Job
from espcn_cli.training.run_folder import RunFolder


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_waits_for_the_end_of_the_block(number: int, kind: type[BaseException]) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    done: list[str] = []
    with pytest.raises(kind) as caught, Interruption() as interruption:
        signal.raise_signal(number)
        done.append("whole")
        assert interruption.signal == number
    assert done == ["whole"]
    assert getattr(caught.value, "code", 143) == 143
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_a_second_one_does_not_wait() -> None:
    done: list[str] = []
    with pytest.raises(SystemExit), Interruption():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        done.append("never")
    assert not done


def test_what_fails_meanwhile_is_told_first() -> None:
    with pytest.raises(ValueError, match="full"), Interruption():
        signal.raise_signal(signal.SIGINT)
        raise ValueError("full")


def test_without_a_signal_nothing_happens_and_in_other_threads_neither() -> None:
    entered: list[int] = []

    def work() -> None:
        with Interruption() as interruption:
            entered.append(interruption.signal)

    work()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [0, 0]


def test_sigterm_saves_a_training_s_state_too(job: Job) -> None:
    events: list[Event] = []

    def terminate(event: Event) -> None:
        events.append(event)
        if isinstance(event, Step) and event.step == 3:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(SystemExit) as caught:
        loop.carry_out(job, report=terminate)
    assert caught.value.code == 143
    assert RunFolder.of(job.output).state.is_file()
    assert events[-1] == Saved(3)
