"""Parts of a video made apart from each other give the same film as one process, bit for bit."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from making import save_pair
from making_clips import save_clip

pytest.importorskip("av", reason="needs PyAV: pip install 'espcn[video]'")

from espcn_cli.cluster import clips, kit
from espcn_cli.cluster.clips import Studio, taken_apart
from espcn_cli.cluster.head import Order
from espcn_cli.errors import EspcnError
from espcn_cli.pictures import parts as parts_module
from espcn_cli.upscaling import film, pieces
from espcn_cli.upscaling.film import FilmOptions
from espcn_cli.upscaling.outcome import Outcome, Task
from espcn_cli.upscaling.upscaler import Upscaler, load


class Acted:
    """A head whose workers make each part at once, in this process; the first try of some parts fails."""

    stopping = False

    def __init__(self, upscaler: Upscaler, stop_after: int | None = None) -> None:
        self.upscaler = upscaler
        self.made: list[int] = []
        self.stop_after = stop_after
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None
        self.settled = threading.Event()

    def submit(self, order: Order) -> None:
        if len(self.made) == self.stop_after:
            self.stopping = True
            return
        try:
            made = pieces.make(self.upscaler, order.work)
        except EspcnError as error:
            order.failed(error)
            return
        self.made.append(order.work.number)
        order.done(made)

    def settle(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.settled.set()

    def fail(self, error: BaseException) -> None:
        self.error = error
        self.settled.set()


@pytest.fixture(autouse=True)
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_module, "LONGEST", 6)
    monkeypatch.setattr(clips, "LONG", 12)


@pytest.fixture
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pair(tmp_path_factory.mktemp("model"))[1]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return save_clip(tmp_path / "clip.mp4", 27, 48, 32)


def shared_out(head: Any, task: Task, model: Path, options: FilmOptions) -> Outcome:
    sealed = kit.pack(model, None, "cpu", all_scales=False).sealed()
    studio = Studio(head, sealed, options, workers=2, alone=True)
    studio.begin([task])
    assert head.settled.wait(60)
    studio.close()
    if head.error:
        raise head.error
    outcome: Outcome = head.outcome
    return outcome


def test_a_film_of_parts_is_the_film_of_one_process(clip: Path, model: Path, tmp_path: Path) -> None:
    upscaler = load(model, device="cpu")
    tasks = [Task(clip, tmp_path / f"{name}.mp4", video="mov") for name in ("one", "many")]
    seen: list[int] = []
    alone = film.upscale(upscaler, tasks[0], FilmOptions())
    head = Acted(upscaler)
    many = shared_out(head, tasks[1], model, FilmOptions(progress=lambda state: seen.append(state.done)))
    assert alone.error is None and many.error is None
    assert head.made == [0, 1, 2, 3, 4] and seen == list(range(1, 28))
    assert tasks[0].output.read_bytes() == tasks[1].output.read_bytes()
    assert replace(many, task=tasks[0], seconds=0) == replace(alone, seconds=0)
    assert sorted(path.name for path in tmp_path.glob("*.mp4")) == ["clip.mp4", "many.mp4", "one.mp4"]
    assert not list(tmp_path.glob(".*"))


def test_parts_that_are_there_are_not_made_again(clip: Path, model: Path, tmp_path: Path) -> None:
    upscaler, task = load(model, device="cpu"), Task(clip, tmp_path / "out.mp4", video="mov")
    head = Acted(upscaler, stop_after=3)
    assert shared_out(head, task, model, FilmOptions()).error
    folder = parts_module.folder_of(task.output)
    (folder / "000001.packets").unlink()  # a gap, as where several are at it
    again = Acted(upscaler)
    assert shared_out(again, task, model, FilmOptions(resume=True)).error is None
    assert again.made == [1, 3, 4] and not folder.exists()
    whole = Task(clip, tmp_path / "whole.mp4", video="mov")
    film.upscale(upscaler, whole, FilmOptions())
    assert task.output.read_bytes() == whole.output.read_bytes()


def test_frames_that_come_out_otherwise_from_the_middle_are_decoded_from_the_beginning(
    clip: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from espcn_cli.pictures.video import Video

    tried: list[int] = []

    def nothing(self: Video, first: int, pts: Any, early: int) -> Any:
        tried.append(first)
        return iter(())

    monkeypatch.setattr(Video, "part", nothing)
    upscaler = load(model, device="cpu")
    tasks = [Task(clip, tmp_path / f"{name}.mp4", video="mov") for name in ("one", "many")]
    film.upscale(upscaler, tasks[0], FilmOptions())
    assert shared_out(Acted(upscaler), tasks[1], model, FilmOptions()).error is None
    assert tried == [6, 6, 12, 12, 18, 18, 24, 24]
    assert tasks[0].output.read_bytes() == tasks[1].output.read_bytes()


def test_a_decoder_that_gives_other_frames_is_told(
    clip: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter(range(1000))
    monkeypatch.setattr(pieces, "checksum", lambda frame: next(numbers))
    task = Task(clip, tmp_path / "out.mp4", video="mov")
    outcome = shared_out(Acted(load(model, device="cpu")), task, model, FilmOptions())
    assert outcome.error and "differ from machine to machine" in outcome.error
    assert not task.output.exists() and not list(tmp_path.glob(".*"))


def test_long_videos_are_taken_apart_unless_there_are_many(clip: Path, tmp_path: Path) -> None:
    short = save_clip(tmp_path / "short.mp4", 3, 48, 32)
    long, brief = (Task(path, tmp_path / "out" / path.name, video="mov") for path in (clip, short))
    picture, stream = Task(Path("a.png"), Path("b.png")), replace(long, output=tmp_path / "out.y4m")
    assert taken_apart([long, brief, picture, stream], workers=2) == [long]
    assert taken_apart([long, brief, stream], workers=1) == []
