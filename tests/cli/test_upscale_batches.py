"""Batches that never lose work: interrupted, killed, on a full disk, through pipes, with odd names; and dry runs."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
from io import BytesIO
from pathlib import Path

import pytest
from command import COMMAND, PLAIN, run, run_process
from making import save_checkpoint, save_picture
from making_phones import heic, jxl, saved
from PIL import Image

from espcn_cli.pictures import folders

ENVIRONMENT = os.environ | PLAIN | {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("model") / "tiny.safetensors")


def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    command = [*COMMAND, "upscale", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )


def feed(process: subprocess.Popen[str], pipe: Path, data: bytes) -> None:
    """Write to a named pipe as soon as the process reads it. BrokenPipeError if it ends without."""

    def unblock() -> None:
        process.wait()
        with contextlib.suppress(OSError):
            os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))

    threading.Thread(target=unblock, daemon=True).start()
    pipe.write_bytes(data)


needs_named_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


# --- pipes -----------------------------------------------------------------------------------------------------------


def test_a_picture_through_a_pipe(tmp_path: Path, tiny: Path) -> None:
    """Nothing but the picture on stdout; its format from -f, or PNG."""
    source = save_picture(tmp_path / "in.jpg")
    for call, options, kind in ((run_process, (), "PNG"), (run, (), "PNG"), (run, ("-f", "webp"), "WEBP")):
        result = call("upscale", "-", "-", "-m", tiny, *options, cwd=tmp_path, stdin=source.read_bytes())
        assert (result.code, result.stderr) == (0, "")
        with Image.open(BytesIO(result.data)) as image:
            image.load()
            assert (image.format, image.size) == (kind, (48, 36))


def test_pipes_on_one_side(tmp_path: Path, tiny: Path) -> None:
    source = save_picture(tmp_path / "in.png")
    from_file = run("upscale", "in.png", "-", "-m", tiny, cwd=tmp_path)
    to_file = run("upscale", "-", "out.png", "-m", tiny, cwd=tmp_path, stdin=source.read_bytes())
    assert (from_file.code, to_file.code) == (0, 0)
    assert from_file.data == (tmp_path / "out.png").read_bytes()


def test_a_bad_picture_through_a_pipe_is_one_line(tmp_path: Path, tiny: Path) -> None:
    result = run("upscale", "-", "-", "-m", tiny, cwd=tmp_path, stdin=b"no picture")
    assert (result.code, result.data) == (1, b"")
    assert result.stderr == "espcn: standard input: not a picture in a format that Pillow knows\n"


def test_a_picture_too_large_for_the_format_of_a_pipe_is_refused(tmp_path: Path, tiny: Path) -> None:
    Image.new("L", (9000, 1)).save(tmp_path / "in.png")
    result = run("upscale", "in.png", "-", "-m", tiny, "-f", "webp", cwd=tmp_path)
    assert (result.code, result.data) == (1, b"")
    assert result.stderr.startswith("espcn: standard output: 18000 x 2 is too large for WEBP")


def test_skipping_asks_for_no_file_of_standard_output_s_name(tmp_path: Path, tiny: Path) -> None:
    save_picture(tmp_path / "in.png")
    (tmp_path / "-").touch()
    result = run("upscale", "in.png", "-", "-m", tiny, "--skip-existing", cwd=tmp_path)
    assert result.code == 0
    assert result.data.startswith(b"\x89PNG")


@needs_named_pipes
def test_a_named_pipe_is_read_as_a_file_and_waiting_for_one_can_be_interrupted(tmp_path: Path, tiny: Path) -> None:
    data = save_picture(tmp_path / "in.png").read_bytes()
    os.mkfifo(tmp_path / "pipe")
    with start("pipe", "out.png", "-m", tiny, cwd=tmp_path) as process:
        feed(process, tmp_path / "pipe", data)
        process.communicate(timeout=60)
    assert process.returncode == 0
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (48, 36)
    os.mkfifo(tmp_path / "other")  # the first one's reader may be about to end
    with start("other", "never.png", "-m", tiny, cwd=tmp_path) as waiting, (tmp_path / "other").open("wb"):
        waiting.send_signal(signal.SIGTERM)  # the pipe opened when the other side did
        _, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 143
    assert err.startswith("espcn: interrupted: 0 upscaled, 1 left")


# --- stopped ---------------------------------------------------------------------------------------------------------


def many(folder: Path, count: int, pipe: int) -> tuple[list[Path], Path, bytes]:
    """Equal pictures, one of which is a named pipe: whoever writes to that knows how far a run has come."""
    data = save_picture(folder / "000.png", 160, 120).read_bytes()
    for index in range(1, count):
        (folder / f"{index:03}.png").write_bytes(data)
    path = folder / f"{pipe:03}.png"
    path.unlink()
    os.mkfifo(path)
    return sorted(folder.iterdir()), path, data


def all_whole(folder: Path) -> int:
    outputs = [path for path in folder.iterdir() if not path.name.startswith(".")]
    for path in outputs:
        with Image.open(path) as image:
            image.load()
            assert image.size == (320, 240)
    return len(outputs)


@needs_named_pipes
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_batch_says_what_is_left(tmp_path: Path, tiny: Path, number: int, code: int) -> None:
    sources, pipe, data = many(tmp_path / "in", 100, pipe=20)
    with start(*sources, "out", "-m", tiny, "--png-level", "9", cwd=tmp_path) as process:
        feed(process, pipe, data)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    *done, line = err.splitlines()
    match = re.fullmatch(
        r"espcn: interrupted: (\d+) upscaled, (\d+) left; the same command with --skip-existing continues", line
    )
    assert match, err
    assert out == ""
    assert 0 < int(match[1]) == all_whole(tmp_path / "out") == len(done)
    assert 0 < int(match[2]) == 100 - int(match[1])
    assert not list((tmp_path / "out").glob(".*"))


@needs_named_pipes
def test_what_replaces_its_outputs_starts_again_when_interrupted(tmp_path: Path, tiny: Path) -> None:
    """Skipping what exists would leave the old outputs of pictures that it had not come to."""
    sources, pipe, data = many(tmp_path / "in", 20, pipe=10)
    with start(*sources, "out", "-m", tiny, "--overwrite", "-q", "--png-level", "9", cwd=tmp_path) as process:
        feed(process, pipe, data)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert re.fullmatch(r"espcn: interrupted: \d+ upscaled, \d+ left; the same command starts again\n", err)


@needs_named_pipes
def test_killed_at_any_moment_leaves_whole_files_and_the_next_run_cleans_up(tmp_path: Path, tiny: Path) -> None:
    rng = random.Random(1)
    for _ in range(3):
        sources, pipe, data = many(tmp_path / "in", 40, pipe=rng.randrange(2, 30))
        with start(*sources, "out", "-m", tiny, "--overwrite", "--png-level", "9", cwd=tmp_path) as process:
            feed(process, pipe, data)
            process.kill()
        assert all_whole(tmp_path / "out") < 40
        pipe.unlink()
        pipe.write_bytes(data)
    result = run("upscale", "in", "out", "-m", tiny, "--skip-existing", cwd=tmp_path)
    assert result.code == 0, result.stderr
    assert all_whole(tmp_path / "out") == 40
    assert not list((tmp_path / "out").glob(".*"))


# --- trouble with files ----------------------------------------------------------------------------------------------


def limit_file_size() -> None:
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs a limit on the size of files")
def test_what_does_not_fit_on_the_disk_is_named_and_the_rest_goes_on(tmp_path: Path, tiny: Path) -> None:
    save_picture(tmp_path / "in" / "big.png", 300, 300)
    save_picture(tmp_path / "in" / "small.png", 20, 20)
    options = ("-m", tiny, "--precision", "fp32", "-q")  # OpenVINO itself writes files for bf16
    result = run_process("upscale", "in", "out", *options, cwd=tmp_path, before=limit_file_size)
    assert result.code == 1
    assert result.stderr == "espcn: cannot write out/big.png (File too large): nothing was changed\n"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["small.png"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_full_standard_output_is_said(tmp_path: Path, tiny: Path) -> None:
    save_picture(tmp_path / "in.png")
    with Path("/dev/full").open("wb") as full:
        command = [*COMMAND, "upscale", "in.png", "-", "-m", str(tiny)]
        result = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, env=ENVIRONMENT, timeout=60)
    assert result.returncode == 1
    assert result.stderr == b"espcn: cannot write standard output (No space left on device)\n"


def test_names_of_every_kind(tmp_path: Path, tiny: Path) -> None:
    names = [b"with space.png", "Grüße 画像.png".encode(), b"not\xff\xfeutf8.png", b"x" * 250 + b".png", b"-dash.png"]
    data = save_picture(tmp_path / "seed.png").read_bytes()
    (tmp_path / "in").mkdir()
    try:
        for name in names:
            Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/" + name)).write_bytes(data)
    except OSError:
        pytest.skip("this file system takes no such names")
    result = run("upscale", "in", "out", "-m", tiny, "--json", cwd=tmp_path)
    assert result.code == 0, result.stderr
    assert sorted(os.listdir(os.fsencode(tmp_path / "out"))) == sorted(names)
    odd = Path(os.fsdecode(b"in/not\xff\xfeutf8.png"))
    one = run_process("upscale", odd, Path(os.fsdecode(b"o\xff.png")), "-m", tiny, cwd=tmp_path)
    assert (one.code, one.stderr) == (0, "")
    assert "24 x 18 -> 48 x 36" in one.stdout


def test_a_log_gets_a_line_for_each_picture_in_the_words_of_a_dry_run(tmp_path: Path, tiny: Path) -> None:
    """Where standard error is no terminal, which shows a bar instead."""
    for name in ("a.png", "b.png", "c.png"):
        save_picture(tmp_path / "in" / name)
    save_picture(tmp_path / "in" / "clear.webp", mode="RGBA")
    (tmp_path / "in" / "bad.png").write_text("no picture")
    save_picture(tmp_path / "out" / "b.jpg")
    command = ("upscale", "in", "out", "-f", "jpg", "-m", tiny, "--skip-existing")
    dry = run(*command, "--dry-run", cwd=tmp_path).stdout.splitlines()
    log = [re.sub(r"\d+\.\d s", "0.0 s", line) for line in run(*command, cwd=tmp_path).stderr.splitlines()]
    assert sorted(log) == [
        "espcn: in/bad.png: not a picture in a format that Pillow knows",
        "in/a.png -> out/a.jpg: 24 x 18 -> 48 x 36, 0.0 s",
        "in/b.png -> out/b.jpg: skipped, the output exists",
        "in/c.png -> out/c.jpg: 24 x 18 -> 48 x 36, 0.0 s",
        "in/clear.webp -> out/clear.jpg: 24 x 18 -> 48 x 36, 0.0 s",
    ]
    assert [re.sub(r"\d+\.\d s", "0.0 s", line) for line in dry[:-1]] == sorted(log)[1:]
    quiet = run("upscale", "in", "again", "-m", tiny, "-q", cwd=tmp_path)
    assert quiet.stderr == "espcn: in/bad.png: not a picture in a format that Pillow knows\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of its own")
def test_a_terminal_shows_a_bar_and_no_lines(tmp_path: Path, tiny: Path) -> None:
    import pty
    import termios

    for name in ("a.png", "b.png"):
        save_picture(tmp_path / "in" / name)
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    command = [*COMMAND, "upscale", "in", "out", "-m", str(tiny)]
    subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=theirs, env=ENVIRONMENT, check=True)
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "2/2" in shown and "->" not in shown


def test_what_is_passed_over_is_counted(tmp_path: Path, tiny: Path) -> None:
    save_picture(tmp_path / "in" / "a.png")
    for name in ("notes.txt", ".hidden.png", "deep.d/more.txt"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).touch()
    save_picture(tmp_path / "in" / "b.png")
    result = run("upscale", "in", "out", "-m", tiny, cwd=tmp_path)
    assert result.stdout == "2 upscaled; 2 other files passed over\n"
    assert folders.count_others(tmp_path / "in", recursive=True) == 3


def test_sources_of_one_output_are_reported_once_and_skipped_the_second_time(tmp_path: Path, tiny: Path) -> None:
    for name in ("a.jpg", "a.png", "b.jpg", "b.png", "c.png"):
        save_picture(tmp_path / "in" / name)
    first = run("upscale", "in", "out", "-m", tiny, "-f", "webp", cwd=tmp_path)
    assert first.code == 0
    line = (
        "4 of 5 outputs named by their source's whole name, such as out/a.jpg.webp: "
        "by their stems alone, several would be one file"
    )
    assert first.stderr.splitlines()[0] == line and first.stderr.count(line) == 1
    names = ["a.jpg.webp", "a.png.webp", "b.jpg.webp", "b.png.webp", "c.webp"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    again = run("upscale", "in", "out", "-m", tiny, "-f", "webp", "--skip-existing", cwd=tmp_path)
    assert (again.code, again.stdout) == (0, "0 upscaled, 5 skipped\n")
    assert run("upscale", "in", "out", "-m", tiny, "-f", "webp", "-q", "--overwrite", cwd=tmp_path).stderr == ""
    for option in ([], ["--dry-run"]):
        result = run("upscale", "in", "out", "-m", tiny, "-f", "webp", "--json", "--overwrite", *option, cwd=tmp_path)
        assert result.stderr.splitlines()[0] == line
        records = json.loads(result.stdout)
        assert [Path(record["output"]).name for record in records] == names
        assert [record["renamed"] for record in records] == [True, True, True, True, False]


PEAK = """
import resource, sys
from typer.main import get_command
from espcn_cli.cli.app import app
try:
    get_command(app)(sys.argv[1:], standalone_mode=False)
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is counted in kB on Linux")
def test_memory_is_bounded_by_the_picture_and_its_output(tmp_path: Path, tiny: Path) -> None:
    """Beyond what the program takes for a tiny picture, and the pixels before and after, little is added."""

    def peak(side: int) -> int:
        Image.new("RGB", (side, side), (90, 120, 200)).save(tmp_path / f"{side}.ppm")
        command = [sys.executable, "-c", PEAK, "upscale", f"{side}.ppm", f"out{side}.ppm", "-m", str(tiny)]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, env=ENVIRONMENT)
        assert result.returncode == 0, result.stderr
        return int(result.stdout.splitlines()[-1]) * 1024

    pixels = 4 * 1800**2 * (1 + 2**2)
    assert peak(1800) - peak(16) < pixels + 130e6


# --- looking first ---------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_be_done_and_does_nothing(tmp_path: Path, tiny: Path) -> None:
    save_picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "bad.png").write_text("no picture")
    result = run("upscale", "in", "out", "-m", tiny, "--dry-run", "--size", "100x", cwd=tmp_path)
    assert result.code == 1
    assert result.stderr == "espcn: in/bad.png: not a picture in a format that Pillow knows\n"
    lines = result.stdout.splitlines()
    assert re.fullmatch(r"in/a\.png -> out/a\.png: 24 x 18 -> 100 x 75, \d+\.\d s", lines[0])
    assert re.fullmatch(r"1 to upscale, about \d+\.\d s in the network, \d+ MB at most", lines[1])
    assert not (tmp_path / "out").exists()
    records = json.loads(run("upscale", "in", "out", "-m", tiny, "--dry-run", "--json", cwd=tmp_path).stdout)
    assert [record["error"] is None for record in records] == [True, False]
    assert records[0]["output_size"] == [48, 36] and records[0]["memory"] > 0


def test_records_are_alike_and_what_failed_was_not_skipped(tmp_path: Path, tiny: Path) -> None:
    """In a dry run and in a run: the same keys, and each record in one state."""
    for name in ("a.png", "b.png"):
        save_picture(tmp_path / "in" / name)
    (tmp_path / "in" / "bad.png").write_text("no picture")
    save_picture(tmp_path / "out" / "b.png")
    arguments = ("in", "gone", "out", "-m", tiny, "--skip-existing")
    dry = run("upscale", *arguments, "--dry-run", cwd=tmp_path).stdout.splitlines()
    assert dry[1] == "in/b.png -> out/b.png: skipped, the output exists"
    assert dry[2].startswith("1 to upscale, ")
    found = {}
    for option in ("--dry-run", "-q"):
        result = run("upscale", *arguments, option, "--json", cwd=tmp_path)
        assert result.code == 1
        found[option] = {record["source"]: record for record in json.loads(result.stdout)}
        states = {name: (record["skipped"], record["error"] is not None) for name, record in found[option].items()}
        assert states == {
            "in/a.png": (False, False),
            "in/b.png": (True, False),
            "in/bad.png": (False, True),
            "gone": (False, True),
        }
    expected, done = found.values()
    assert {name: record.keys() for name, record in expected.items()} == {name: r.keys() for name, r in done.items()}
    assert done["in/b.png"]["warnings"] == []
    assert run("upscale", *arguments, cwd=tmp_path).stdout == "0 upscaled, 2 skipped, 2 failed\n"


@pytest.mark.parametrize("option", ["--dry-run", "--quiet"])
def test_an_output_of_too_many_pixels_is_refused_in_one_line(tmp_path: Path, tiny: Path, option: str) -> None:
    save_picture(tmp_path / "in.png", 10, 1000)
    result = run("upscale", "in.png", "out.png", "-m", tiny, option, "--size", "1000000x", cwd=tmp_path)
    assert result.code == 1
    assert result.stderr == (
        "espcn: in.png: 1,000,000 x 100,000,000 pixels would be more than 4,294,967,296: "
        "choose a smaller --scale or --size, or allow it with --max-pixels 6250000000000\n"
    )
    small = ("upscale", "in.png", "out.png", "-m", tiny, option, "--overwrite", "--max-pixels", "10000", "--size")
    assert run(*small, "400x400", cwd=tmp_path).code == 0
    assert "--max-pixels 10025" in run(*small, "400x401", cwd=tmp_path).stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--size", "big"], "--size"),
        (["--size", "100000000%"], "--size"),
        (["--quality", "0"], "quality"),
        (["--png-level", "10"], "png-level"),
        (["--depth", "16"], "depth"),
        (["-j", "0"], "jobs"),
        (["--threads", "0"], "threads"),
    ],
)
def test_misuse_is_exit_code_2(tmp_path: Path, tiny: Path, arguments: list[str], word: str) -> None:
    save_picture(tmp_path / "in.png")
    result = run("upscale", "in.png", "out.png", "-m", tiny, *arguments, cwd=tmp_path)
    assert result.code == 2
    assert word in result.stderr
    assert not (tmp_path / "out.png").exists()


def test_what_an_extra_reads_is_named_with_the_extra_and_the_rest_is_done(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, data in {"a.heic": heic(), "b.jxl": jxl(), "c.png": heic()}.items():
        saved(tmp_path / "in" / name, data)
    save_picture(tmp_path / "in" / "d.png")
    assert run("upscale", "in", "all", "-m", tiny, cwd=tmp_path).code == 0
    assert sorted(os.listdir(tmp_path / "all")) == ["a.heic", "b.jxl", "c.png", "d.png"]
    for package in ("pillow_heif", "pillow_jxl"):
        monkeypatch.setitem(sys.modules, package, None)
    result = run("upscale", "in", "some", "-m", tiny, cwd=tmp_path)
    assert (result.code, result.stdout) == (1, "1 upscaled, 3 failed\n")
    assert [line for line in result.stderr.splitlines() if line.startswith("espcn: ")] == [
        "espcn: in/a.heic: HEIC needs pillow-heif: pip install 'espcn[formats]'",
        "espcn: in/b.jxl: JPEG XL needs pillow-jxl-plugin: pip install 'espcn[formats]'",
        "espcn: in/c.png: HEIC needs pillow-heif: pip install 'espcn[formats]'",
    ]
    assert os.listdir(tmp_path / "some") == ["d.png"]
