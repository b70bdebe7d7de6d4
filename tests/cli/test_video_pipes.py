"""Videos through pipes: named ones, standard input and standard output, containers and Y4M, whole or broken off."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from command import COMMAND, one_line, run, texts

from espcn_cli.pictures.planes import layout_of

av = pytest.importorskip("av")

from making_films import Film, moving_planes, packets_of, read_film  # noqa: E402

needs_named_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")

Upscale = Callable[..., Any]


@pytest.fixture
def upscale(tiny: Path, tmp_path: Path) -> Upscale:
    """The command with a tiny network, in the test's folder."""

    def do(*arguments: object, **options: Any) -> Any:
        return run("upscale", "-m", tiny, *arguments, **{"cwd": tmp_path, **options})

    return do


def film(path: Path, count: int = 12, codec: str = "libx264", **more: Any) -> Path:
    layout = layout_of("yuv420p")
    assert layout is not None
    return Film(moving_planes(count, 32, 24, layout), codec=codec, **more).save(path)


def y4m(count: int) -> bytes:
    layout = layout_of("yuv420p")
    assert layout is not None
    frames = moving_planes(count, 16, 12, layout)
    data = b"".join(b"FRAME\n" + b"".join(plane.tobytes() for plane in planes) for planes in frames)
    return b"YUV4MPEG2 W16 H12 F25:1 C420mpeg2\n" + data


@contextmanager
def fed(path: Path, data: bytes, open_for: threading.Event | None = None) -> Iterator[None]:
    """A named pipe into which somebody writes, in small pieces; it stays open until `open_for` is set."""
    os.mkfifo(path)

    def write() -> None:
        with suppress(BrokenPipeError), path.open("wb", buffering=0) as pipe:
            for start in range(0, len(data), 1000):
                pipe.write(data[start : start + 1000])
            if open_for is not None:
                open_for.wait(60)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        if open_for is not None:
            open_for.set()
        thread.join(60)


def same_frames(one: Path, other: Path) -> None:
    first, second = read_film(one)[0], read_film(other)[0]
    assert len(first) == len(second) > 0
    for planes, others in zip(first, second, strict=True):
        assert all(np.array_equal(plane, same) for plane, same in zip(planes, others, strict=True))


# --- into it ---------------------------------------------------------------------------------------------------------


@needs_named_pipes
@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".mp4"])
def test_a_named_pipe_gives_what_the_file_gives(tmp_path: Path, upscale: Upscale, suffix: str) -> None:
    """Even MP4, whose end has to come first: then it waits for that."""
    source = film(tmp_path / f"a{suffix}", sound=True)
    assert upscale(source, "file.mkv", "--codec", "ffv1").code == 0
    with fed(tmp_path / "pipe", source.read_bytes()):
        result = upscale("pipe", "b.mkv", "--codec", "ffv1")
    assert (result.code, result.stderr) == (0, "")
    same_frames(tmp_path / "file.mkv", tmp_path / "b.mkv")
    assert packets_of(tmp_path / "file.mkv", "audio") == packets_of(tmp_path / "b.mkv", "audio")


@needs_named_pipes
def test_y4m_through_named_pipes_on_both_sides(tmp_path: Path, upscale: Upscale) -> None:
    expected = upscale("-", "-", "-f", "y4m", stdin=y4m(3)).data
    os.mkfifo(tmp_path / "out")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append((tmp_path / "out").read_bytes()))
    reader.start()
    with fed(tmp_path / "in", y4m(3)):
        assert upscale("in", "out").code == 0
    reader.join(60)
    assert found == [expected]


@needs_named_pipes
@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_frames_are_done_while_it_comes(tmp_path: Path, upscale: Upscale, suffix: str) -> None:
    """As from a camera: the pipe stays open, and nothing more comes."""
    data = film(tmp_path / f"a{suffix}", count=200, sound=True, options={"g": "10", "tune": "zerolatency"}).read_bytes()
    ended = threading.Event()
    with fed(tmp_path / "pipe", data[: len(data) * 3 // 4], ended):
        result = upscale("pipe", "b.mkv", "--frames", "3")
        assert not ended.is_set()
    assert result.code == 0, result.stderr
    assert len(read_film(tmp_path / "b.mkv")[0]) == 3


@needs_named_pipes
def test_a_pipe_that_holds_no_video_is_one_line(tmp_path: Path, upscale: Upscale) -> None:
    with fed(tmp_path / "pipe", b"neither picture nor video" * 40):
        one_line(upscale("pipe", "b.mkv"), 2, "pipe", "no video")
    with fed(tmp_path / "other", film(tmp_path / "a.mkv").read_bytes()):
        one_line(upscale("other", "b.mkv", "--resume"), 2, "--resume", "pipe")
    with fed(tmp_path / "third", y4m(2)):
        one_line(upscale("third", "b.mkv", "--dry-run"), 1, "third", "dry run")


def test_what_came_before_a_pipe_broke_off_is_done(tmp_path: Path, upscale: Upscale) -> None:
    result = upscale("-", "b.mkv", stdin=y4m(4)[:-100])
    assert result.code == 0
    assert "breaks off in frame 3: what came before is done" in result.stderr
    assert len(read_film(tmp_path / "b.mkv")[0]) == 3
    whole = film(tmp_path / "a.ts", count=60, options={"g": "5"}).read_bytes()
    result = upscale("-", "c.mkv", stdin=whole[: len(whole) // 2])
    assert result.code == 0, result.stderr
    assert 10 < len(read_film(tmp_path / "c.mkv")[0]) < 60


# --- out of it -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["mkv", "ts", "mp4", "webm"])
def test_a_container_in_a_pipe_holds_what_the_file_holds(tmp_path: Path, upscale: Upscale, format: str) -> None:
    source = film(tmp_path / "a.mkv", count=20, sound=True, chapters=True, rotation=90, metadata={"title": "A film"})
    piped, filed = upscale(source, "-", "-f", format), upscale(source, f"file.{format}")
    assert (piped.code, filed.code) == (0, 0), piped.stderr
    assert sorted(piped.stderr.splitlines()) == sorted(filed.stderr.splitlines())
    result = tmp_path / f"pipe.{format}"
    result.write_bytes(piped.data)
    same_frames(tmp_path / f"file.{format}", result)
    moments = [read_film(path)[1] for path in (result, tmp_path / f"file.{format}")]
    sound = [packets_of(path, "audio") for path in (result, tmp_path / f"file.{format}")]
    later = moments[0][0] - moments[1][0]
    assert later == 0 or format == "ts"  # which has no moments before 0: all moves together
    assert [moment - later for moment in moments[0]] == moments[1]
    assert [data for _, data in sound[0]] == [data for _, data in sound[1]]
    assert [moment - float(later) for moment, _ in sound[0]] == pytest.approx([moment for moment, _ in sound[1]])
    with av.open(str(result)) as container:
        words = {key.lower(): value for key, value in container.metadata.items()}
        assert (words.get("title") == "A film") == (format != "ts")
        assert len(container.chapters()) == (0 if format == "ts" else 2)


def test_a_part_of_it_with_its_sound(tmp_path: Path, upscale: Upscale) -> None:
    film(tmp_path / "a.mkv", count=50, sound=True)
    (tmp_path / "b.mkv").write_bytes(upscale("a.mkv", "-", "-f", "mkv", "--start", "0.4", "--end", "1").data)
    moments = read_film(tmp_path / "b.mkv")[1]
    assert (len(moments), moments[0]) == (15, Fraction(0))
    sound = packets_of(tmp_path / "b.mkv", "audio")
    assert 0 <= sound[0][0] < 0.03
    assert 0.5 < sound[-1][0] < 0.6
    variable = film(tmp_path / "c.mkv", 5, pts=[0, 40, 41, 333, 1000], time_base=Fraction(1, 1000))
    (tmp_path / "d.mkv").write_bytes(upscale(variable, "-", "-f", "mkv").data)
    assert read_film(tmp_path / "d.mkv")[1] == [Fraction(moment, 1000) for moment in (0, 40, 41, 333, 1000)]


@needs_named_pipes
def test_from_pipe_to_pipe_while_it_comes(tmp_path: Path, tiny: Path) -> None:
    """Sound and few subtitles beside the frames: neither is waited for."""
    data = film(tmp_path / "a.mkv", count=300, sound=True, subtitles=True, options={"g": "10"}).read_bytes()
    os.mkfifo(tmp_path / "out")
    command = [*COMMAND, *texts(("upscale", "-", tmp_path / "out", "-f", "ts", "-m", tiny, "--codec", "h264"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stderr is not None
        pipe: IO[bytes] = process.stdin
        pipe.write(data[: len(data) * 3 // 4])
        pipe.flush()
        with (tmp_path / "out").open("rb") as out:
            first = out.read(188 * 40)
            assert first[0] == 0x47
            pipe.write(data[len(data) * 3 // 4 :])
            pipe.close()
            rest = out.read()
        assert process.wait(60) == 0, process.stderr.read()
    (tmp_path / "b.ts").write_bytes(first + rest)
    assert len(read_film(tmp_path / "b.ts")[0]) == 300


def test_a_reader_that_leaves_ends_it_without_a_word(tmp_path: Path, tiny: Path) -> None:
    film(tmp_path / "a.mkv", count=600, sound=True)
    command = [*COMMAND, *texts(("upscale", tmp_path / "a.mkv", "-", "-f", "mkv", "-m", tiny, "-q"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.read(4) == b"\x1a\x45\xdf\xa3"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) in (0, 1, 141)


@needs_named_pipes
def test_nothing_is_kept_of_what_cannot_be_gone_on_with(
    tmp_path: Path, upscale: Upscale, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came through a pipe is gone: --resume refuses it, and is not offered."""

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("espcn_cli.upscaling.film.join", interrupted)
    data = film(tmp_path / "a.mkv").read_bytes()
    with fed(tmp_path / "in", data):
        result = upscale("in", "b.mkv")
    assert result.code == 130
    assert "--resume" not in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "in"]
    assert "--resume" in upscale("a.mkv", "b.mkv").stderr  # a file is there to go on with


def test_what_cannot_go_into_a_pipe_is_one_line(tmp_path: Path, upscale: Upscale) -> None:
    film(tmp_path / "a.mkv")
    one_line(upscale("a.mkv", "-", "-f", "avi"), 2, "AVI", "-f mkv")
    one_line(upscale("a.mkv", "-", "-f", "mkv", "--resume"), 2, "--resume")
