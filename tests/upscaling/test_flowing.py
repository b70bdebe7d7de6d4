"""Pictures encoded while they are made, small ones in company: the files are those of pictures done whole and alone."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import torch
from making import natural, save_checkpoint, save_pair, save_picture
from PIL import Image

from espcn_cli.engines.engine import NotFiniteError
from espcn_cli.engines.torch_engine import CPU, TorchEngine
from espcn_cli.maths.levels import Levels
from espcn_cli.network.espcn import ESPCN
from espcn_cli.pictures import png, writing
from espcn_cli.pictures.raster import Raster
from espcn_cli.settings import Alpha, ModelSettings
from espcn_cli.upscaling import pipeline
from espcn_cli.upscaling.outcome import Outcome, Task
from espcn_cli.upscaling.pipeline import GROUP, Options, run
from espcn_cli.upscaling.plan import plan
from espcn_cli.upscaling.sizes import Size
from espcn_cli.upscaling.strips import no_memory
from espcn_cli.upscaling.upscaler import Upscaler, load

TINY = ModelSettings(widths=(4,), kernels=(3, 3))


@pytest.fixture
def upscaler(tmp_path: Path) -> Upscaler:
    return load(str(save_checkpoint(tmp_path / "tiny.safetensors")))


@pytest.fixture
def flowing(monkeypatch: pytest.MonkeyPatch) -> list[png.Shape]:
    """Every PNG is encoded while it is made, strip by strip of a few rows; the shapes of those that were."""
    shapes: list[png.Shape] = []
    encode = writing.encode_rows

    def counted(shape: png.Shape, *arguments: Any) -> tuple[str, ...]:
        shapes.append(shape)
        return encode(shape, *arguments)

    monkeypatch.setattr(pipeline, "STRIP_PIXELS", 0)
    monkeypatch.setattr("espcn_cli.engines.torch_engine.STRIP_PIXELS", 900)
    monkeypatch.setattr(writing, "encode_rows", counted)
    return shapes


def one(upscaler: Upscaler, source: Path, output: Path, **options: Any) -> Outcome:
    [outcome] = run(upscaler, [Task(source, output)], Options(**options))
    return outcome


@pytest.mark.parametrize("size", [None, Size(width=61), Size(width=20)])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_what_flows_is_the_same_file(
    tmp_path: Path, upscaler: Upscaler, flowing: list[png.Shape], mode: str, size: Size | None
) -> None:
    source = save_picture(tmp_path / "in.png", 41, 60, mode=mode)
    outcome = one(upscaler, source, tmp_path / "a.png", size=size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "STRIP_PIXELS", 10**9)
        whole = one(upscaler, source, tmp_path / "b.png", size=size)
    assert len(flowing) == 1 and outcome.error is None
    assert (outcome.size, outcome.output_size, outcome.warnings) == (whole.size, whole.output_size, whole.warnings)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_16_bits_flow(tmp_path: Path, upscaler: Upscaler, flowing: list[png.Shape]) -> None:
    levels = natural(30, 20)[..., 0].astype(np.uint16) * 257
    Image.fromarray(levels).save(tmp_path / "in.png")
    one(upscaler, tmp_path / "in.png", tmp_path / "a.png")
    assert flowing == [png.Shape(60, 40, 1, 16)]
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(np.asarray(image), np.asarray(upscaler(Image.fromarray(levels))))


def test_what_is_no_single_png_is_written_whole(tmp_path: Path, upscaler: Upscaler, flowing: list[png.Shape]) -> None:
    source = save_picture(tmp_path / "in.png")
    frames = [Image.fromarray(natural(24, 18, seed)) for seed in (0, 1)]
    frames[0].save(tmp_path / "moving.png", save_all=True, append_images=frames[1:], duration=50)
    assert one(upscaler, source, tmp_path / "a.jpg").error is None
    assert one(upscaler, tmp_path / "moving.png", tmp_path / "b.png").error is None
    assert flowing == []


def test_what_overflows_on_its_way_begins_again_in_fp32(tmp_path: Path, flowing: list[png.Shape]) -> None:
    class Late(TorchEngine):
        """Overflows at its third strip, in half precision."""

        calls = 0

        def upscale(self, windows: Sequence[Levels], black: int, white: int) -> list[Levels]:
            Late.calls += 1
            if self.precision != torch.float32 and Late.calls % 3 == 0:
                raise NotFiniteError("bf16 overflows on this picture")
            return super().upscale(windows, black, white)

    network = ESPCN(TINY)
    source = save_picture(tmp_path / "in.png", 40, 60)
    outcome = one(Upscaler(Late(network, CPU, torch.bfloat16)), source, tmp_path / "a.png")
    assert outcome.warnings == ("bf16 overflows on this picture: done in fp32",)
    one(Upscaler(TorchEngine(network)), source, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "in.png"]


def test_a_network_that_fails_on_its_way_leaves_nothing(tmp_path: Path, flowing: list[png.Shape]) -> None:
    class Failing(TorchEngine):
        def upscale(self, windows: Sequence[Levels], black: int, white: int) -> list[Levels]:
            raise MemoryError

    source = save_picture(tmp_path / "in.png", 40, 60)
    outcome = one(Upscaler(Failing(ESPCN(TINY))), source, tmp_path / "a.png")
    assert outcome.error == f"{source}: {no_memory(Raster(Image.new('L', (40, 60))), 2)}"
    assert [path.name for path in tmp_path.iterdir()] == ["in.png"]


def test_a_disk_that_is_full_on_the_way_is_said_and_the_rest_goes_on(
    tmp_path: Path, upscaler: Upscaler, flowing: list[png.Shape], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network waits for nobody who has given up."""
    for name in ("a", "b"):
        save_picture(tmp_path / "in" / f"{name}.png", 40, 400)
    write = png.write
    calls: list[int] = []

    def full(file: IO[bytes], *arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(file, *arguments)

    monkeypatch.setattr(png, "write", full)
    first, second = run(upscaler, plan([tmp_path / "in"], tmp_path / "out"))
    assert first.error == f"cannot write {tmp_path / 'out' / 'a.png'} (No space left on device): nothing was changed"
    assert second.error is None
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]


def test_an_interruption_on_the_way_leaves_nothing(tmp_path: Path, flowing: list[png.Shape]) -> None:
    class Interrupted(TorchEngine):
        calls = 0

        def upscale(self, windows: Sequence[Levels], black: int, white: int) -> list[Levels]:
            Interrupted.calls += 1
            if Interrupted.calls == 3:
                raise KeyboardInterrupt
            return super().upscale(windows, black, white)

    source = save_picture(tmp_path / "in.png", 40, 60)
    with pytest.raises(KeyboardInterrupt):
        one(Upscaler(Interrupted(ESPCN(TINY))), source, tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["in.png"]


# --- small ones together ---------------------------------------------------------------------------------------------


class Counting(TorchEngine):
    """Knows how many windows each call had."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.calls: list[int] = []

    def upscale(self, windows: Sequence[Levels], black: int, white: int) -> list[Levels]:
        self.calls.append(len(windows))
        return super().upscale(windows, black, white)


def test_small_pictures_share_calls_of_the_engine(tmp_path: Path) -> None:
    engine = Counting(ESPCN(TINY))
    for index in range(2 * GROUP + 3):
        save_picture(tmp_path / "in" / f"{index:02}.png", 20 + index, 15, index)
    outcomes = list(run(Upscaler(engine), plan([tmp_path / "in"], tmp_path / "out")))
    assert [outcome.task.source.name for outcome in outcomes] == [f"{index:02}.png" for index in range(2 * GROUP + 3)]
    assert sum(engine.calls) == 2 * GROUP + 3 and len(engine.calls) <= 4


@pytest.mark.parametrize("size", [None, Size(width=61), Size(width=9)])
def test_company_changes_nothing(tmp_path: Path, size: Size | None) -> None:
    """Of any kind, size and depth, broken ones and large ones between them."""
    upscaler = load(str(save_pair(tmp_path)[1]))
    for index, mode in enumerate(("RGB", "L", "RGBA", "LA", "RGB", "L", "P")):
        save_picture(tmp_path / "in" / f"{index}.png", 20 + index, 15, index, mode)
    (tmp_path / "in" / "3a.png").write_bytes(b"broken")
    save_picture(tmp_path / "in" / "4a.png", 200, 150)
    Image.fromarray(natural(20, 9)[..., 0].astype(np.uint16) * 257).save(tmp_path / "in" / "5a.png")
    frames = [Image.fromarray(natural(24, 18, seed)) for seed in (0, 1)]
    frames[0].save(tmp_path / "in" / "6a.png", save_all=True, append_images=frames[1:], duration=50)
    tasks = [task for task in plan([tmp_path / "in"], tmp_path / "out") if isinstance(task, Task)]
    together = list(run(upscaler, tasks, Options(size=size)))
    for task, outcome in zip(tasks, together, strict=True):
        alone = one(upscaler, task.source, tmp_path / "alone.png", size=size)
        assert (outcome.task, outcome.strength, outcome.warnings) == (task, alone.strength, alone.warnings)
        assert outcome.error == alone.error
        if alone.error is None:
            assert task.output.read_bytes() == (tmp_path / "alone.png").read_bytes()


def test_one_that_overflows_changes_nothing_for_its_company(tmp_path: Path) -> None:
    class Picky(TorchEngine):
        def upscale(self, windows: Sequence[Levels], black: int, white: int) -> list[Levels]:
            if self.precision != torch.float32 and any(levels.shape[1] == 22 for levels in windows):
                raise NotFiniteError("bf16 overflows on this picture")
            return super().upscale(windows, black, white)

    for index in range(5):
        save_picture(tmp_path / "in" / f"{index}.png", 20 + index, 15, index)
    upscaler = Upscaler(Picky(ESPCN(TINY), CPU, torch.bfloat16))
    outcomes = list(run(upscaler, plan([tmp_path / "in"], tmp_path / "out")))
    note = ("bf16 overflows on this picture: done in fp32",)
    assert [outcome.warnings for outcome in outcomes] == [(), (), note, (), ()]


# --- chroma at half the resolution -----------------------------------------------------------------------------------


@pytest.mark.parametrize("saved", [{"suffix": ".jpg", "subsampling": "4:2:0"}, {"suffix": ".webp", "lossless": False}])
def test_files_that_halve_chroma_go_through_the_engine_for_that(
    upscaler: Upscaler, flowing: list[png.Shape], tmp_path: Path, saved: dict[str, Any]
) -> None:
    """Alone, in company, flowing, and as a library call: one picture; its twin in a PNG gets other colours."""
    sources = [tmp_path / f"{seed}{saved['suffix']}" for seed in range(3)]
    for seed, source in enumerate(sources):
        Image.fromarray(natural(40, 32, seed)).save(
            source, quality=90, **{k: v for k, v in saved.items() if k != "suffix"}
        )
        Image.open(source).convert("RGB").save(source.with_suffix(".twin.png"))
    tasks = [Task(source, source.with_suffix(".out.png")) for source in sources]
    assert all(outcome.error is None for outcome in run(upscaler, tasks))
    assert not flowing, "they are small, and done together"
    one(upscaler, sources[0].with_suffix(".twin.png"), tmp_path / "twin.png")
    levels = np.asarray(Image.open(sources[0]).convert("RGB"))
    [expected], [plain] = (each.upscale([levels], 0, 255) for each in (upscaler.engine.halved(), upscaler.engine))
    assert not np.array_equal(expected, plain)
    assert np.array_equal(np.asarray(Image.open(tasks[0].output)), expected)
    assert np.array_equal(np.asarray(upscaler(Image.open(sources[0]))), expected)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "twin.png")), plain)
    one(upscaler, sources[0], tmp_path / "alone.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "alone.png")), expected) and flowing


@pytest.mark.parametrize("alpha", ["blend", "separate"])
def test_small_pictures_with_transparency_go_together_too(tmp_path: Path, alpha: Alpha, monkeypatch: Any) -> None:
    """With soft and hard edges, in grey and in colour, beside opaque ones: the files are those of each alone."""
    upscaler = load(str(save_checkpoint(tmp_path / "tiny.safetensors")), alpha=alpha, engine="torch")
    calls: list[int] = []
    upscale = TorchEngine.upscale

    def spied(engine: TorchEngine, windows: Sequence[Levels], black: int, white: int) -> list[Levels]:
        calls.append(len(windows))
        return upscale(engine, windows, black, white)

    monkeypatch.setattr(TorchEngine, "upscale", spied)
    ramp = np.linspace(0, 255, 24).astype(np.uint8)[None, :].repeat(20, axis=0)
    for index, (mode, cover) in enumerate([("RGBA", ramp), ("LA", ramp), ("RGBA", ramp // 128 * 255), ("RGB", None)]):
        image = Image.fromarray(natural(24, 20, index)).convert(mode)
        if cover is not None:
            image.putalpha(Image.fromarray(cover))
        image.save(tmp_path / f"{index}.png")
    tasks = [Task(tmp_path / f"{index}.png", tmp_path / f"out{index}.png") for index in range(4)]
    assert all(outcome.error is None for outcome in run(upscaler, tasks))
    assert max(calls) == (7 if alpha == "separate" else 4)
    for index, task in enumerate(tasks):
        alone = one(upscaler, task.source, tmp_path / f"alone{index}.png").task.output
        assert np.array_equal(np.asarray(Image.open(alone)), np.asarray(Image.open(task.output)))
