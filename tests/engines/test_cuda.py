"""A card's memory, streams and recordings: on a card where there is one, and on a stand-in that does all at once."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from making import natural
from PIL import Image
from torch import Tensor

from espcn_cli.engines import cuda
from espcn_cli.engines.engine import NotFiniteError
from espcn_cli.engines.scheduler import through
from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.maths.levels import Levels, is_padded
from espcn_cli.network.espcn import ESPCN
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.raster import Raster
from espcn_cli.settings import ModelSettings
from espcn_cli.upscaling import film
from espcn_cli.upscaling.handover import Handover
from espcn_cli.upscaling.pipeline import run
from espcn_cli.upscaling.plan import plan
from espcn_cli.upscaling.upscaler import Upscaler

SMALL = ModelSettings(widths=(4, 4), kernels=(3, 3, 3))

needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")

Make = Callable[..., ESPCN]


class Stream:
    def record_event(self) -> Stream:
        return self

    def wait_event(self, event: object) -> None:
        pass

    def synchronize(self) -> None:
        pass


class Recording:
    """Does its work anew each time, and counts."""

    made = 0
    played = 0
    fails = False

    def __init__(self, work: cuda.Work, values: Tensor, stream: Stream, pool: object) -> None:
        if Recording.fails:
            raise RuntimeError("operation failed due to a previous error during capture")
        Recording.made += 1
        self.work = work

    def __call__(self, values: Tensor) -> tuple[Tensor, Tensor]:
        Recording.played += 1
        return self.work(values)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Recording]]:
    """The CPU stands in for a card; what is recorded on it is counted."""
    empty = torch.empty
    for name, stand_in in {
        "Stream": Stream,
        "stream": lambda stream: nullcontext(),
        "device": lambda device: nullcontext(),
        "graph_pool_handle": lambda: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    monkeypatch.setattr(torch, "empty", lambda *size, pin_memory=False, **options: empty(*size, **options))
    monkeypatch.setattr(Tensor, "record_stream", lambda self, stream: None, raising=False)
    monkeypatch.setattr(cuda, "_Graph", Recording)
    monkeypatch.setattr(Recording, "made", 0)
    monkeypatch.setattr(Recording, "played", 0)
    cuda.card_of.cache_clear()
    yield Recording
    cuda.card_of.cache_clear()


class OnCard(TorchEngine):
    """Goes the way of a card with a network that is prepared for one."""

    def __init__(self, network: ESPCN, *rest: Any) -> None:
        super().__init__(network, *rest)
        self._network = self.network.lowered(torch.float32)

    takes_padded = True

    def upscale(self, windows: Any, black: int, white: int) -> list[Levels]:
        return self._on_card(windows, self._enlarged, black, white)

    def interpolate(self, levels: Levels, black: int, white: int) -> Levels:
        return self._on_card([levels], self._interpolated, black, white)[0]


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("ensemble", [False, True])
def test_pictures_are_those_of_the_cpu(card: type[Recording], make_network: Make, mode: str, ensemble: bool) -> None:
    """The first time as the work comes, then recorded, and then played back."""
    network, levels = make_network(SMALL), natural(31, 22)
    rgba = Image.fromarray(np.concatenate([levels, levels[..., :1] // 2 + 90], axis=2))
    deep = Image.fromarray(levels[..., 0].astype(np.uint16) * 257)
    image = deep if mode == "I;16" else rgba.convert(mode)
    rest = (torch.device("cpu"), torch.float32, ensemble)
    upscaler, expected = Upscaler(OnCard(network, *rest)), Upscaler(TorchEngine(network, *rest))(image)
    for _ in range(3):
        large = upscaler(image)
        assert large.mode == expected.mode and np.array_equal(np.asarray(large), np.asarray(expected))


def test_frames_of_an_animation_go_together(card: type[Recording], make_network: Make) -> None:
    network = make_network(SMALL)
    frames = tuple(Raster(Image.fromarray(natural(20, 16, seed))) for seed in range(5))
    document = Document(frames, durations=(40.0,) * 5)
    large, expected = (Upscaler(kind(network)).document(document) for kind in (OnCard, TorchEngine))
    for one, other in zip(large.frames, expected.frames, strict=True):
        assert np.array_equal(one.array(), other.array())


def test_frames_of_a_video_go_together(
    card: type[Recording], make_network: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As planes of one byte a sample, several in a call, and no more than may wait; the same as on the CPU."""
    handovers: list[Handover[Any]] = []

    def noted(room: int) -> Handover[Any]:
        handovers.append(Handover(room))
        return handovers[-1]

    monkeypatch.setattr(film, "Handover", noted)

    class Counting(OnCard):
        together = 8
        calls: ClassVar[list[tuple[int, tuple[int, ...]]]] = []

        def upscale(self, windows: Any, black: int, white: int) -> list[Levels]:
            ahead = handovers[0]
            with ahead._changed:  # a card that is slower than the decoder
                ahead._changed.wait_for(lambda: len(ahead._waiting) == ahead._room or ahead._ended)
            self.calls.append((len(windows), windows[0].shape))
            return super().upscale(windows, black, white)

    frames = [natural(20, 16, seed) for seed in range(40)]
    data = b"".join(b"FRAME\n" + frame[..., 0].tobytes() + bytes(160) for frame in frames)
    (tmp_path / "a.y4m").write_bytes(b"YUV4MPEG2 W20 H16 F25:1 C420mpeg2\n" + data)
    network, made = make_network(SMALL), []
    for kind in (Counting, TorchEngine):
        path = tmp_path / f"{kind.__name__}.y4m"
        [outcome] = run(Upscaler(kind(network)), plan([tmp_path / "a.y4m"], path))
        assert (outcome.error, outcome.frames) == (None, 40)
        made.append(path.read_bytes())
    assert made[0] == made[1]
    counts = [count for count, _ in Counting.calls]
    assert sum(counts) == 40
    assert 1 < max(counts) <= film.MOST
    assert {shape for _, shape in Counting.calls} == {(16, 20, 1)}


def test_what_comes_again_is_recorded_once(card: type[Recording], make_network: Make) -> None:
    engine = OnCard(make_network(SMALL))
    for counts in ((0, 0), (1, 1), (1, 2)):
        engine.upscale([natural(20, 16)], 0, 255)
        assert (card.made, card.played) == counts
    engine.upscale([natural(16, 20)], 0, 255)
    engine.upscale([natural(20, 16)[..., :1]], 0, 255)
    engine.upscale([natural(20, 16)], 16, 235)
    engine.interpolate(natural(20, 16), 0, 255)
    assert (card.made, card.played) == (1, 2)


def test_recordings_are_of_one_engine_and_go_with_it(card: type[Recording], make_network: Make) -> None:
    engines = [OnCard(make_network(SMALL, seed)) for seed in range(2)]
    levels = natural(20, 16)
    for _ in range(3):
        for engine in engines:
            [large] = engine.upscale([levels], 0, 255)
            assert np.array_equal(large, TorchEngine(engine.network).upscale([levels], 0, 255)[0])
    shared = cuda.card_of(engines[0].device)
    assert card.made == len(shared._graphs) == 2
    copy = pickle.loads(pickle.dumps(engines[0]))
    copy.upscale([levels], 0, 255)
    assert card.made == 2
    recordings: list[Any] = list(shared._graphs.values())
    while recordings:
        del recordings.pop().work  # a real one holds nothing but kernels
    del engines, engine, copy
    gc.collect()
    assert len(shared._graphs) == len(shared._seen) == 0


def test_no_more_shapes_are_recorded_than_there_is_room_for(card: type[Recording], make_network: Make) -> None:
    engine = OnCard(make_network(SMALL))
    for width in range(1, cuda.GRAPHS + 6):
        for _ in range(2):
            engine.upscale([natural(width, 3)], 0, 255)
    assert len(cuda.card_of(engine.device)._graphs) == cuda.GRAPHS


def test_where_recording_fails_the_work_is_done_all_the_same(
    card: type[Recording], make_network: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card, "fails", True)
    engine, levels = OnCard(make_network(SMALL)), natural(20, 16)
    results = [engine.upscale([levels], 0, 255)[0] for _ in range(4)]
    assert all(np.array_equal(results[0], large) for large in results)
    assert card.made == 0


def test_memory_that_runs_out_is_freed_of_recordings(card: type[Recording]) -> None:
    shared, full = cuda.card_of(torch.device("cpu")), False

    def work(values: Tensor) -> tuple[Tensor, Tensor]:
        if full:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return values, values.sum()

    def once(levels: Levels) -> Levels:
        return next(through(shared, [cuda.Window(levels, ("owner",), work)]))

    once(natural(4, 3)), once(natural(4, 3))
    assert len(shared._graphs) == 1
    full = True
    with pytest.raises(torch.cuda.OutOfMemoryError):
        once(natural(5, 3))
    assert not shared._graphs


def test_results_are_the_card_s_memory_until_that_gets_scarce(card: type[Recording], make_network: Make) -> None:
    engine, levels = OnCard(make_network(SMALL)), natural(20, 16)
    shared = cuda.card_of(engine.device)
    shared._room = 2 * (32 * 40 * 3)
    kept = [engine.upscale([levels], 0, 255)[0] for _ in range(4)]
    assert [isinstance(large.base, Tensor) for large in kept] == [True, True, False, False]
    del kept[0]
    assert isinstance(engine.upscale([levels], 0, 255)[0].base, Tensor)


def test_padded_windows_give_padded_results(card: type[Recording], make_network: Make) -> None:
    engine, image = OnCard(make_network(SMALL)), Image.fromarray(natural(20, 16))
    lent = Raster(image).lent()
    assert is_padded(lent)
    padded, plain = engine.upscale([lent, natural(20, 16)], 0, 255)
    assert is_padded(padded) and not is_padded(plain) and np.array_equal(padded, plain)


def test_nan_is_never_a_picture(card: type[Recording], make_network: Make) -> None:
    network = make_network(SMALL)
    torch.nn.init.constant_(network.tail.weight, float("nan"))
    engine = OnCard(network)
    for _ in range(3):
        with pytest.raises(NotFiniteError):
            engine.upscale([natural(20, 16)] * 5, 0, 255)


def test_a_window_suits_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """4K fits in one on 40 GB and more, 1080p on 8."""
    sizes = {4: 2**20, 8: 2**21, 40: 10 * 2**20, 80: 2**24, 192: 2**24}
    for gigabytes, window in sizes.items():
        found = type("Properties", (), {"total_memory": gigabytes * 2**30})
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device, found=found: found)
        assert cuda.window_on(torch.device("cuda")) == window


# --- on a real one ---------------------------------------------------------------------------------------------------


@needs_card
@pytest.mark.parametrize("precision", [torch.float32, torch.float16, torch.bfloat16])
def test_a_card_s_pictures_are_within_a_level_of_the_cpu_s(make_network: Make, precision: torch.dtype) -> None:
    network, image = make_network(SMALL, tail=0.02), Image.fromarray(natural(131, 97))
    expected = np.asarray(Upscaler(TorchEngine(network))(image)).astype(int)
    upscaler = Upscaler(TorchEngine(make_network(SMALL, tail=0.02), torch.device("cuda"), precision))
    results = [np.asarray(upscaler(image)) for _ in range(4)]
    assert all(np.array_equal(results[0], large) for large in results)
    assert np.abs(results[0] - expected).max() <= (1 if precision == torch.float32 else 2)


@needs_card
def test_many_windows_overlap_and_stay_apart(make_network: Make) -> None:
    engine = TorchEngine(make_network(SMALL), torch.device("cuda"))
    windows = [natural(40, 30, seed) for seed in range(9)]
    alone = [engine.upscale([levels], 0, 255)[0].copy() for levels in windows]
    for _ in range(3):
        together = engine.upscale(windows, 0, 255)
        assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))
