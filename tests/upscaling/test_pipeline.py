"""Batches that never lose work: interrupted, killed, on a full disk, through pipes, with odd names and odd files."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making import natural, save_checkpoint, save_picture
from PIL import Image

from espcn_cli import files
from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.network.espcn import ESPCN
from espcn_cli.pictures import folders, reading, writing
from espcn_cli.pictures.document import Document
from espcn_cli.settings import ModelSettings
from espcn_cli.upscaling import pipeline
from espcn_cli.upscaling.pipeline import Options, Outcome, Task
from espcn_cli.upscaling.upscaler import Upscaler

COMMAND = [sys.executable, "-m", "espcn_cli", "upscale"]
ENVIRONMENT = os.environ | {"NO_COLOR": "1", "TERM": "dumb", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("model") / "tiny.safetensors")


@pytest.fixture
def bicubic() -> Upscaler:
    return Upscaler(TorchEngine(ESPCN(ModelSettings(widths=(4,), kernels=(3, 3)))))


def espcn(
    *arguments: object, cwd: Path, stdin: bytes = b"", before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[bytes]:
    command = [*COMMAND, *(os.fspath(a) if isinstance(a, Path) else str(a) for a in arguments)]
    return subprocess.run(
        command, input=stdin, capture_output=True, cwd=cwd, env=ENVIRONMENT, timeout=120, preexec_fn=before
    )


# --- pipes -----------------------------------------------------------------------------------------------------------


def test_a_picture_through_a_pipe(tmp_path: Path, tiny: Path) -> None:
    """Nothing but the picture on stdout; its format from -f, or PNG."""
    source = save_picture(tmp_path / "in.jpg")
    for options, kind in (((), "PNG"), (("-f", "webp"), "WEBP")):
        result = espcn("-", "-", "-m", tiny, *options, cwd=tmp_path, stdin=source.read_bytes())
        assert (result.returncode, result.stderr) == (0, b"")
        with Image.open(BytesIO(result.stdout)) as image:
            image.load()
            assert (image.format, image.size) == (kind, (48, 36))


def test_pipes_on_one_side(tmp_path: Path, tiny: Path) -> None:
    source = save_picture(tmp_path / "in.png")
    from_file = espcn("in.png", "-", "-m", tiny, cwd=tmp_path)
    to_file = espcn("-", "out.png", "-m", tiny, cwd=tmp_path, stdin=source.read_bytes())
    assert (from_file.returncode, to_file.returncode) == (0, 0)
    assert from_file.stdout == (tmp_path / "out.png").read_bytes()


def test_a_bad_picture_through_a_pipe_is_one_line(tmp_path: Path, tiny: Path) -> None:
    result = espcn("-", "-", "-m", tiny, cwd=tmp_path, stdin=b"no picture")
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr == b"espcn: standard input: not a picture in a format that Pillow knows\n"


def test_what_cannot_go_through_a_pipe_is_refused(tmp_path: Path) -> None:
    source = save_picture(tmp_path / "in.png")
    for sources, destination in (([Path("-"), source], Path("-")), ([tmp_path], Path("-")), ([Path("-")], tmp_path)):
        with pytest.raises(UsageError):
            pipeline.plan(sources, destination)


# --- stopped ---------------------------------------------------------------------------------------------------------


def many(folder: Path, count: int = 60) -> Path:
    first = save_picture(folder / "000.png", 160, 120)
    for index in range(1, count):
        (folder / f"{index:03}.png").write_bytes(first.read_bytes())
    return folder


def all_whole(folder: Path) -> int:
    outputs = [path for path in folder.iterdir() if not path.name.startswith(".")]
    for path in outputs:
        with Image.open(path) as image:
            image.load()
            assert image.size == (320, 240)
    return len(outputs)


def started(tmp_path: Path, tiny: Path, extra_wait: float) -> subprocess.Popen[str]:
    """A run on many pictures, some time after its first output appeared."""
    arguments = ["in", "out", "-m", str(tiny), "--png-level", "9"]
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob("*.png")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(extra_wait)
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_batch_says_what_is_left(tmp_path: Path, tiny: Path, number: int, code: int) -> None:
    many(tmp_path / "in", 600)
    with started(tmp_path, tiny, 0.05) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    [line] = err.splitlines()
    match = re.fullmatch(r"espcn: interrupted: (\d+) upscaled, (\d+) left; the same with --skip-existing goes on", line)
    assert match, err
    assert out == ""
    assert int(match[1]) == all_whole(tmp_path / "out")
    assert int(match[1]) + int(match[2]) == 600
    assert not list((tmp_path / "out").glob(".*"))


def test_killed_at_any_moment_leaves_whole_files_and_the_next_run_cleans_up(tmp_path: Path, tiny: Path) -> None:
    many(tmp_path / "in", 40)
    rng = random.Random(1)
    for _ in range(3):
        with started(tmp_path, tiny, rng.uniform(0, 0.2)) as process:
            process.kill()
        all_whole(tmp_path / "out")
    result = espcn("in", "out", "-m", tiny, "--skip-existing", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert all_whole(tmp_path / "out") == 40
    assert not list((tmp_path / "out").glob(".*"))


def test_a_temporary_file_in_use_is_left_alone_and_a_dead_one_removed(tmp_path: Path) -> None:
    dead = tmp_path / f".a-x{files.PART_SUFFIX}"
    dead.touch()
    with files.replacing(tmp_path / "b.png") as alive:
        alive.write_bytes(b"whole")
        assert files.clean(tmp_path) == 1
        assert alive.exists() and not dead.exists()
    assert (tmp_path / "b.png").read_bytes() == b"whole"
    assert files.clean(tmp_path / "nowhere") == 0


# --- trouble with files ----------------------------------------------------------------------------------------------


def limit_file_size() -> None:
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs a limit on the size of files")
def test_what_does_not_fit_on_the_disk_is_named_and_the_rest_goes_on(tmp_path: Path, tiny: Path) -> None:
    save_picture(tmp_path / "in" / "big.png", 300, 300)
    save_picture(tmp_path / "in" / "small.png", 20, 20)
    result = espcn("in", "out", "-m", tiny, cwd=tmp_path, before=limit_file_size)
    assert result.returncode == 1
    assert re.fullmatch(rb"espcn: cannot write out/big\.png \(File too large\): nothing was changed\n", result.stderr)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["small.png"]


def test_a_file_that_vanishes_is_named_and_the_rest_goes_on(tmp_path: Path, bicubic: Upscaler) -> None:
    for index in range(4):
        save_picture(tmp_path / "in" / f"{index}.png")
    tasks = pipeline.plan([tmp_path / "in"], tmp_path / "out")
    (tmp_path / "in" / "3.png").unlink()
    outcomes = list(pipeline.run(bicubic, tasks))
    assert [outcome.error is None for outcome in outcomes] == [True, True, True, False]
    assert str(outcomes[3].error).endswith("3.png: no such file")


def test_names_of_every_kind(tmp_path: Path, tiny: Path) -> None:
    names = [b"with space.png", "Grüße 画像.png".encode(), b"not\xff\xfeutf8.png", b"x" * 250 + b".png", b"-dash.png"]
    data = save_picture(tmp_path / "seed.png").read_bytes()
    (tmp_path / "in").mkdir()
    try:
        for name in names:
            Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/" + name)).write_bytes(data)
    except OSError:
        pytest.skip("this file system takes no such names")
    result = espcn("in", "out", "-m", tiny, "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert sorted(os.listdir(os.fsencode(tmp_path / "out"))) == sorted(names)
    odd = Path(os.fsdecode(b"in/not\xff\xfeutf8.png"))
    one = espcn(odd, Path(os.fsdecode(b"o\xff.png")), "-m", tiny, cwd=tmp_path)
    assert (one.returncode, one.stderr) == (0, b"")
    assert b"24 x 18 -> 48 x 36" in one.stdout


def test_links_that_go_round_end(tmp_path: Path, bicubic: Upscaler) -> None:
    """To the folder above, to themselves, to each other, to nowhere."""
    deep = tmp_path / "in" / "deep"
    save_picture(deep / "a.png")
    (deep / "round").symlink_to(tmp_path / "in", target_is_directory=True)
    for name, target in (("self.png", "self.png"), ("x.png", "y.png"), ("y.png", "x.png"), ("gone.png", "nowhere")):
        (deep / name).symlink_to(target)
    outcomes = list(pipeline.run(bicubic, pipeline.plan([tmp_path / "in"], tmp_path / "out", recursive=True)))
    errors = {outcome.source.name: outcome.error for outcome in outcomes}
    assert errors.pop("a.png") is None
    assert set(errors) == {"self.png", "x.png", "y.png", "gone.png"}
    assert all("no such file" in str(error) for error in errors.values())
    (tmp_path / "folder").symlink_to("folder")
    with pytest.raises(UsageError, match="is a file"):
        pipeline.plan([deep / "a.png"], tmp_path / "folder")


def test_names_longer_than_any_file_s_are_of_no_file(tmp_path: Path, bicubic: Upscaler) -> None:
    source = save_picture(tmp_path / "a.png")
    name = "x" * 300 + ".png"
    [missing] = pipeline.plan([tmp_path / name], tmp_path / "b.png")
    assert isinstance(missing, Outcome) and "no such file" in str(missing.error)
    [outcome] = pipeline.run(bicubic, pipeline.plan([source], tmp_path / name), Options(skip_existing=True))
    assert "cannot write" in str(outcome.error) and "too long" in str(outcome.error)
    with pytest.raises(EspcnError, match="no folder"):
        pipeline.plan([source], tmp_path / name / "b.png")


def refuse(*arguments: object, **options: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_what_may_not_be_read_or_written_is_named_and_the_rest_goes_on(
    tmp_path: Path, bicubic: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulated, as whoever runs the tests may be allowed everything."""
    for index in range(2):
        save_picture(tmp_path / "in" / f"{index}.png")
    open_one, open_beside = Image.open, tempfile.mkstemp

    def opening(file: Any, *arguments: Any) -> Any:
        return refuse() if str(file).endswith("0.png") else open_one(file, *arguments)

    def beside(**options: Any) -> Any:
        return refuse() if ".1-" in options["prefix"] else open_beside(**options)

    tasks = pipeline.plan([tmp_path / "in"], tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", opening)
        first, second = pipeline.run(bicubic, tasks)
    assert str(first.error).endswith("0.png: no permission to read it") and second.error is None
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "mkstemp", beside)
        first, second = pipeline.run(bicubic, tasks)
    assert first.error is None
    assert re.fullmatch(r"cannot write .*1\.png \(Permission denied\): choose another destination", str(second.error))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="to root everything is allowed")
def test_permissions_of_real_files(tmp_path: Path, bicubic: Upscaler) -> None:
    source = save_picture(tmp_path / "in" / "a.png")
    closed = save_picture(tmp_path / "in" / "b.png")
    closed.chmod(0)
    (tmp_path / "out").mkdir()
    outcomes = list(pipeline.run(bicubic, pipeline.plan([tmp_path / "in"], tmp_path / "out")))
    assert [outcome.error is None for outcome in outcomes] == [True, False]
    (tmp_path / "out").chmod(0o500)
    [outcome] = pipeline.run(bicubic, pipeline.plan([source], tmp_path / "out" / "c.png"))
    assert "Permission denied" in str(outcome.error)


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_picture(tmp_path / "in" / "a.png")
    closed = tmp_path / "in" / "closed"
    closed.mkdir()
    scan = os.scandir

    def scanning(path: Any) -> Any:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scanning)
    bad, good = pipeline.plan([tmp_path / "in"], tmp_path / "out", recursive=True)
    assert isinstance(bad, Outcome) and str(bad.error) == f"{closed}: cannot be read (Permission denied)"
    assert isinstance(good, Task)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_full_standard_output_is_said(tmp_path: Path, tiny: Path) -> None:
    save_picture(tmp_path / "in.png")
    with Path("/dev/full").open("wb") as full:
        command = [*COMMAND, "in.png", "-", "-m", str(tiny)]
        result = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, env=ENVIRONMENT, timeout=60)
    assert result.returncode == 1
    assert result.stderr == b"espcn: cannot write standard output (No space left on device)\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_read_as_a_file_and_waiting_for_one_can_be_interrupted(tmp_path: Path, tiny: Path) -> None:
    data = save_picture(tmp_path / "in.png").read_bytes()
    os.mkfifo(tmp_path / "pipe")
    process = subprocess.Popen([*COMMAND, "pipe", "out.png", "-m", str(tiny)], cwd=tmp_path, env=ENVIRONMENT)
    (tmp_path / "pipe").write_bytes(data)
    assert process.wait(60) == 0
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (48, 36)
    command = [*COMMAND, "pipe", "never.png", "-m", str(tiny)]
    waiting = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, env=ENVIRONMENT)
    with waiting, (tmp_path / "pipe").open("wb"):  # opens when the other side does
        waiting.send_signal(signal.SIGTERM)
        _, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 143
    assert err.startswith(b"espcn: interrupted: 0 upscaled, 1 left")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a device")
def test_a_device_is_no_picture() -> None:
    with pytest.raises(EspcnError, match="/dev/zero: a device, not a picture"):
        reading.read_document(Path("/dev/zero"))


def test_what_is_passed_over_is_counted(tmp_path: Path, tiny: Path) -> None:
    save_picture(tmp_path / "in" / "a.png")
    for name in ("notes.txt", ".hidden.png", "deep.d/more.txt"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).touch()
    save_picture(tmp_path / "in" / "b.png")
    result = espcn("in", "out", "-m", tiny, cwd=tmp_path)
    assert result.stdout == b"2 upscaled; 2 other files passed over\n"
    assert folders.count_others(tmp_path / "in", recursive=True) == 3


@pytest.mark.parametrize("jobs", [1, 3])
def test_jobs_change_nothing_but_the_time(tmp_path: Path, bicubic: Upscaler, jobs: int) -> None:
    for index in range(7):
        save_picture(tmp_path / "in" / f"{index}.png", 20 + index, 15, seed=index)
    tasks = pipeline.plan([tmp_path / "in"], tmp_path / "out")
    outcomes = list(pipeline.run(bicubic, tasks, Options(jobs=jobs)))
    assert [outcome.source.name for outcome in outcomes] == [f"{index}.png" for index in range(7)]
    for index in range(7):
        with Image.open(tmp_path / "out" / f"{index}.png") as image:
            expected = bicubic(Image.fromarray(natural(20 + index, 15, index)))
            assert np.array_equal(np.asarray(image), np.asarray(expected))


@pytest.mark.parametrize("jobs", [1, 3])
def test_large_pictures_are_alone_in_memory(
    tmp_path: Path, bicubic: Upscaler, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "LARGE", 1000)
    sides = [20, 40, 20, 50, 60, 20]
    for index, side in enumerate(sides):
        save_picture(tmp_path / "in" / f"{index}.png", side, side)
    open_ones: list[int] = []
    together: list[set[int]] = []
    read, write = reading.read_document, writing.write_document

    def read_and_count(path: Path, depth: int | None = None) -> Document:
        document = read(path, depth)
        open_ones.append(document.size[0])
        together.append(set(open_ones))
        return document

    def write_and_count(document: Document, *arguments: Any) -> Document:
        result = write(document, *arguments)
        open_ones.remove(document.size[0] // 2)
        return result

    monkeypatch.setattr(reading, "read_document", read_and_count)
    monkeypatch.setattr(writing, "write_document", write_and_count)
    outcomes = list(pipeline.run(bicubic, pipeline.plan([tmp_path / "in"], tmp_path / "out"), Options(jobs=jobs)))
    assert [outcome.size and outcome.size[0] for outcome in outcomes] == sides
    assert all(len(sizes) == 1 for sizes in together if max(sizes) >= 40)


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
    result = espcn("in", "out", "-m", tiny, "--dry-run", "--size", "100x", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr == b"espcn: in/bad.png: not a picture in a format that Pillow knows\n"
    lines = result.stdout.decode().splitlines()
    assert re.fullmatch(r"in/a\.png -> out/a\.png: 24 x 18 -> 100 x 75, \d+\.\d s", lines[0])
    assert re.fullmatch(r"1 to upscale, about \d+\.\d s in the network, \d+ MB at most", lines[1])
    assert not (tmp_path / "out").exists()
    records = json.loads(espcn("in", "out", "-m", tiny, "--dry-run", "--json", cwd=tmp_path).stdout)
    assert [record["error"] is None for record in records] == [True, False]
    assert records[0]["output_size"] == [48, 36] and records[0]["memory"] > 0


def test_an_output_too_large_for_its_format_is_refused_before_the_work(tmp_path: Path, bicubic: Upscaler) -> None:
    Image.new("L", (9000, 1)).save(tmp_path / "in.png")
    [outcome] = pipeline.run(bicubic, [Task(tmp_path / "in.png", tmp_path / "out.webp")])
    assert outcome.error is not None and "18000 x 2 is too large for WEBP" in outcome.error


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--size", "big"], "--size"),
        (["--quality", "0"], "quality"),
        (["--png-level", "10"], "png-level"),
        (["--depth", "16"], "depth"),
        (["-j", "0"], "jobs"),
    ],
)
def test_misuse_is_exit_code_2(tmp_path: Path, tiny: Path, arguments: list[str], word: str) -> None:
    save_picture(tmp_path / "in.png")
    result = espcn("in.png", "out.png", "-m", tiny, *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert word in result.stderr.decode()
    assert not (tmp_path / "out.png").exists()
