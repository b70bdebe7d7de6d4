"""Ctrl-C and SIGTERM at any moment: what is said is true, the printed command works, a second signal ends at once."""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from command import COMMAND, PLAIN, QUICK, Result, run
from digits import save_mnist
from PIL import Image

from espcn_cli.cli import stopping
from espcn_cli.files import PART_SUFFIX
from espcn_cli.network import checkpoint
from espcn_cli.training import loop
from espcn_cli.training.events import Saved
from espcn_cli.training.run import Run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are tested on Unix")

TRAIN = ("train", "photos", "-o", "m.safetensors", *QUICK)

LONG = """
import ctypes, pathlib, signal, sys, time
from espcn_cli.training import loop, validation


def stay(seconds):
    '''As in a long operation of a library: signals arrive, but Python is not there to heed them.'''
    print("here", file=sys.stderr, flush=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
    ctypes.CDLL(None).usleep(int(1e6 * seconds))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, signal.SIGTERM])


def patched(holder, name, number, seconds):
    '''At its `number`th call a function takes as long before it begins.'''
    function, calls = getattr(holder, name), []

    def longer(*arguments):
        calls.append(arguments)
        if len(calls) == number:
            stay(seconds)
        return function(*arguments)

    setattr(holder, name, longer)


def half(path, data, write=pathlib.Path.write_bytes):
    '''The second state is half written for a long time.'''
    if b"espcn-training-state" not in data[:4000] or not pathlib.Path("m.run/state.safetensors").exists():
        return write(path, data)
    write(path, data[: len(data) // 2])
    stay(60)


{patch}
from espcn_cli.__main__ import main

main()
"""
"""The command with something that takes long."""


@contextmanager
def started(folder: Path, *arguments: object, patch: str = "", until: str = "here") -> Iterator[subprocess.Popen[str]]:
    """A process that has come to a line of standard error that begins so."""
    program = [sys.executable, "-c", LONG.format(patch=patch)] if patch else COMMAND
    command = [*program, *map(str, arguments)]
    with subprocess.Popen(
        command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | PLAIN
    ) as process:
        assert process.stderr is not None
        if until:
            assert any(line.startswith(until) for line in process.stderr)
        yield process
        process.kill()


def ended(process: subprocess.Popen[str], *numbers: int) -> list[str]:
    """Send signals one after the other; the lines that come then. A process that does not end soon is an error."""
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.3)
    return process.communicate(timeout=20)[1].splitlines()


def stopped_at(step: int, number: int, *options: object, folder: Path) -> Result:
    """A training, in this process, that gets a signal within a step."""
    steps = []

    def signalled(run: Run) -> torch.Tensor:
        steps.append(run.state.step)
        if len(steps) == step:
            signal.raise_signal(number)
        return take_step(run)

    take_step = loop.take_step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "take_step", signalled)
        return run(*TRAIN, *options, cwd=folder)


def parts(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(f".*{PART_SUFFIX}") if path.is_file()]


# --- before the first step -------------------------------------------------------------------------------------------


@contextmanager
def reading(folder: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A training that reads pictures, one of them from a pipe in which nothing comes."""
    os.mkfifo(folder / "pipe.png")
    command = (*TRAIN, "pipe.png", *arguments, "--cache", "memory")
    with (
        started(folder, *command, until="") as process,
        (folder / "pipe.png").open("wb"),  # waits until the other side is open too
    ):
        time.sleep(0.2)
        yield process


@pytest.mark.parametrize(("numbers", "code"), [([signal.SIGINT], 130), ([signal.SIGTERM, signal.SIGTERM], 143)])
def test_while_pictures_are_read_it_ends_at_once_and_nothing_is_promised(
    photos: Path, numbers: list[int], code: int
) -> None:
    with reading(photos.parent) as process:
        assert ended(process, *numbers) == ["espcn: stopped; nothing was saved yet"]
    assert process.returncode == code
    assert sorted(path.name for path in photos.parent.iterdir()) == ["photos", "pipe.png"]


def test_the_state_of_an_earlier_training_is_not_what_this_one_saved(photos: Path) -> None:
    state = photos.parent / "m.run" / "state.safetensors"
    state.parent.mkdir()
    state.write_bytes(b"older")
    with reading(photos.parent, "--overwrite") as process:
        assert ended(process, signal.SIGINT) == ["espcn: stopped; nothing was saved yet"]
    assert state.read_bytes() == b"older"


def test_a_resumed_training_that_has_not_begun_goes_on_from_where_it_was(photos: Path) -> None:
    folder, steps = photos.parent, ("--steps", "16")
    first = stopped_at(6, signal.SIGINT, *steps, folder=folder).stderr.splitlines()[-2:]
    assert first[0] == "espcn: stopped; m.run/state.safetensors is saved; this command continues:"
    patch = "from espcn_cli.training import run; patched(run, 'load_data', 1, 60)"
    with started(folder, *TRAIN, *steps, "--resume", patch=patch) as process:
        again = ended(process, signal.SIGTERM, signal.SIGTERM)
    assert (process.returncode, again) == (143, first)
    result = run(*shlex.split(again[1])[1:], cwd=folder)
    assert result.code == 0, result.stderr
    assert "step 4:" not in result.stderr and "step 16:" in result.stderr


# --- within a step, a validation, a save -----------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("step", [1, 4, 6])
def test_a_step_is_finished_and_saved(photos: Path, step: int, number: int, code: int) -> None:
    """The very first one, one with a validation after it, and another."""
    folder = photos.parent
    stopped = stopped_at(step, number, "--steps", 7, folder=folder)
    assert stopped.code == code
    *_, line, command = stopped.stderr.splitlines()
    assert line == "espcn: stopped; m.run/state.safetensors is saved; this command continues:"
    result = run(*shlex.split(command)[1:], cwd=folder)
    assert result.code == 0, result.stderr
    assert checkpoint.read_card(folder / "m.run" / "last.safetensors").training["step"] == 7


def test_a_second_signal_does_not_wait_for_the_step(photos: Path) -> None:
    folder = photos.parent
    began = time.monotonic()
    with started(folder, *TRAIN, patch="patched(loop, 'take_step', 1, 60)") as process:
        assert ended(process, signal.SIGINT, signal.SIGINT) == ["espcn: stopped; nothing was saved yet"]
    assert process.returncode == 130 and time.monotonic() - began < 60
    assert not (folder / "m.safetensors").exists() and not parts(folder)


def test_a_second_signal_tells_what_is_lost(photos: Path) -> None:
    folder = photos.parent
    with started(folder, *TRAIN, "--steps", 8, patch="patched(loop, 'take_step', 7, 60)") as process:
        lines = ended(process, signal.SIGINT, signal.SIGTERM)
    assert lines[0] == (
        "espcn: stopped; the last 2 steps are lost; m.run/state.safetensors is saved; this command continues:"
    )
    assert run(*shlex.split(lines[1])[1:], cwd=folder).code == 0


def test_a_validation_is_finished_and_counts(photos: Path) -> None:
    folder = photos.parent
    with started(folder, *TRAIN, patch="patched(validation, 'score', 1, 0.5)") as process:
        said = ended(process, signal.SIGINT)
    lines = [line for line in said if not line.startswith("espcn: stopping")]  # which is said where it takes long
    assert lines[0].startswith("step 4: ")
    assert lines[1] == "espcn: stopped; m.run/state.safetensors is saved; this command continues:"
    assert checkpoint.read_card(folder / "m.safetensors").training["step"] == 4


def test_twice_while_saving_leaves_what_was_saved_before_and_nothing_half_written(photos: Path) -> None:
    folder = photos.parent
    with started(folder, *TRAIN, "--steps", 12, patch="pathlib.Path.write_bytes = half") as process:
        lines = ended(process, signal.SIGINT, signal.SIGINT)
    assert process.returncode == 130
    assert "the last 4 steps are lost; m.run/state.safetensors is saved" in lines[0]
    assert not parts(folder)
    assert run(*shlex.split(lines[1])[1:], cwd=folder).code == 0


def test_what_takes_long_names_the_quicker_way(photos: Path) -> None:
    with started(photos.parent, *TRAIN, patch="patched(loop, 'take_step', 1, 4)") as process:
        lines = ended(process, signal.SIGINT)
    assert lines[0] == "espcn: stopping; Ctrl-C again ends at once"
    assert "is saved; this command continues" in lines[1]


def test_standard_error_that_nobody_reads_holds_nobody_up(photos: Path) -> None:
    reader, writer = os.pipe()
    program = [sys.executable, "-c", LONG.format(patch="patched(loop, 'take_step', 1, 60)")]
    with subprocess.Popen([*program, *map(str, TRAIN)], cwd=photos.parent, stderr=writer) as process:
        heard = b""
        while b"here\n" not in heard:
            heard += os.read(reader, 1000)
        os.set_blocking(writer, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(writer, b"x" * 1000)
        os.set_blocking(writer, True)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
        assert process.wait(timeout=20) == 130
    os.close(reader)
    os.close(writer)


def test_a_training_that_was_finished_when_the_signal_came_says_so(tmp_path: Path) -> None:
    from espcn_cli.cli.train import TrainingScreen

    screen = TrainingScreen(None, None, True)
    screen(Saved(12))
    assert screen.describe_rest(tmp_path / "m.safetensors", False) == [
        f"espcn: stopped; the training is finished: {tmp_path / 'm.safetensors'} is written"
    ]


# --- other commands --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [0, 2])
def test_an_autoencoder_s_training_tells_what_it_leaves(tmp_path: Path, epochs: int) -> None:
    save_mnist(tmp_path / "data")
    """One step is an epoch here."""
    patch = f"from espcn_cli.autoencoder import training; patched(training, 'take_step', {epochs} + 1, 60)"
    arguments = ("autoencoder", "train", "data", "-o", "m.safetensors", "--batch-size", 1000, "--code", 4)
    with started(tmp_path, *arguments, patch=patch) as process:
        lines = ended(process, signal.SIGINT, signal.SIGINT)
    said = "m.safetensors holds epoch 2" if epochs else "nothing was saved yet"
    assert (process.returncode, lines) == (130, [f"espcn: stopped; {said}"])
    assert (tmp_path / "m.safetensors").exists() is bool(epochs) and not parts(tmp_path)


def test_twice_while_a_picture_is_written_leaves_nothing_of_it(tmp_path: Path, tiny: Path) -> None:
    """Once, it would be finished."""
    noise = np.random.default_rng(0).integers(0, 256, (2500, 3000, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png", compress_level=1)
    with started(tmp_path, "upscale", "a.png", "out.png", "-m", tiny, "--png-level", 9, until="") as process:
        while not parts(tmp_path):
            assert process.poll() is None
            time.sleep(0.01)
        lines = ended(process, signal.SIGINT, signal.SIGINT)
    assert process.returncode == 130
    assert lines == ["espcn: interrupted: 0 upscaled, 1 left; the same command with --skip-existing continues"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png"]


def test_a_command_that_is_still_being_imported_can_be_stopped(tmp_path: Path) -> None:
    patch = "import espcn_cli.network.named as n; patched(n, 'find', 1, 0.5)"
    with started(tmp_path, "benchmark", ".", "-m", "espcn-s", patch=patch) as process:
        assert ended(process, signal.SIGTERM) == ["espcn: interrupted"]
    assert process.returncode == 143


# --- where Python drops exceptions -----------------------------------------------------------------------------------


def within_a_destructor(signalled: Callable[[], None]) -> None:
    class Left:
        def __del__(self) -> None:
            signalled()

    Left()


def within_a_callback_of_a_weak_reference(signalled: Callable[[], None]) -> None:
    class Left:
        pass

    left = Left()
    reference = weakref.ref(left, lambda _: signalled())
    del left
    assert reference() is None


def within_a_callback_of_a_library(signalled: Callable[[], None]) -> None:
    ctypes.CFUNCTYPE(None)(signalled)()


@pytest.mark.parametrize(
    "place", [within_a_destructor, within_a_callback_of_a_weak_reference, within_a_callback_of_a_library]
)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_heeded_that_comes_where_exceptions_are_dropped(
    place: Callable[[Callable[[], None]], None], number: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = sys.unraisablehook
    began = time.monotonic()
    with pytest.raises(SystemExit) as stop, stopping.watching():
        place(lambda: signal.raise_signal(number))
        time.sleep(20)
    assert stop.value.code == code and time.monotonic() - began < 10
    assert capsys.readouterr().err == "espcn: interrupted\n"
    assert sys.unraisablehook is hook


def test_what_else_is_dropped_is_told_as_ever(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", lambda what: told.append(what.exc_value))
        with stopping.watching():
            within_a_destructor(lambda: exec("raise KeyboardInterrupt"))
    assert [type(error) for error in told] == [KeyboardInterrupt]


def test_a_second_signal_ends_at_once_where_the_first_was_dropped(photos: Path) -> None:
    """The destructor of something takes long, in which two signals come."""
    patch = """
from espcn_cli.training import loop

class Left:
    def __del__(self):
        try:
            stay(0.1)
            time.sleep(60)
        finally:
            time.sleep(60)

def step(*arguments):
    Left()

loop.take_step = step
"""
    with started(photos.parent, *TRAIN, patch=patch) as process:
        assert ended(process, signal.SIGINT, signal.SIGINT) == ["espcn: stopped; nothing was saved yet"]
    assert process.returncode == 130
