"""`espcn doctor`: what is there, what is broken, and what to do, whatever is broken."""

from __future__ import annotations

import json
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from command import run, strict_json

from espcn_cli.cli.doctor import size
from espcn_cli.reports import caches, installed, machine, trial

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home-of-somebody"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "ESPCN_MODELS"):
        monkeypatch.delenv(name, raising=False)
    return folder


def break_package(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    """Have processes find a package of that name which does this when it is imported."""
    (folder / "broken" / name).mkdir(parents=True)
    (folder / "broken" / name / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(folder / "broken")


def pretend(monkeypatch: pytest.MonkeyPatch, name: str, version: str | None) -> None:
    """Have a package's version be another one, or none at all."""
    real = metadata.version

    def found(asked: str) -> str:
        if asked != name:
            return real(asked)
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(metadata, "version", found)


def problems(text: str) -> list[str]:
    """The lines of the last part."""
    lines = text.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("Problems"))
    return [line[13:] for line in lines[start:]]


def test_all_that_a_report_needs_is_in_a_block_of_text() -> None:
    pytest.importorskip("openvino")
    result = run("doctor")
    titles = [line.split("  ")[0] for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert titles[:8] == ["espcn", "Python", "System", "Packages", "Pillow has", "Extras", "Engines", "Processor"]
    assert titles[8:] == ["Threads", "Memory", "Own models", "Caches", "Environment", "Problems"]
    assert f"numpy {metadata.version('numpy')}" in result.stdout
    assert "openvino on CPU in " in result.stdout
    assert (problems(result.stdout), result.code, result.stderr) == (["none found"], 0, "")


def test_the_home_folder_is_not_in_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{home}/lib:{home}-2/lib")
    for options in ((), ("--json",)):
        text = run("doctor", *options).stdout
        assert "~/.cache/espcn" in text and f"~/lib:{home}-2/lib" in text
        assert f"{home}/" not in text


def test_json_holds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    record = strict_json(run("doctor", "--json").stdout)
    assert record["threads"] == {
        **record["threads"],
        "used": 1,
        "asked": 1,  # by tests/conftest.py
        "reason": "by OMP_NUM_THREADS",
    }
    assert {"numpy", "pillow", "safetensors"} <= {each["name"] for each in record["packages"]}
    assert record["processor"]["name"] and record["memory"]["free"]
    assert [way["models"] for way in record["engines"]["ways"]]
    assert record["problems"] == []


def test_a_package_that_cannot_be_imported_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("isal")
    break_package(tmp_path, monkeypatch, "isal", "raise ImportError('libisal.so.2: cannot open\\nshared object file')")
    result = run("doctor")
    version = metadata.version("isal")
    assert problems(result.stdout) == [
        f"isal {version} does not work (libisal.so.2: cannot open shared object file): pip install --upgrade isal"
    ]
    assert f"fast: isal {version}, does not work" in result.stdout and "pip install --upgrade 'espcn[fast]'" in (
        result.stdout
    )
    assert result.code == 1


def test_a_package_that_ends_its_process_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("safetensors", "tqdm"):
        break_package(tmp_path, monkeypatch, name, "import os; os.kill(os.getpid(), 9)")
    break_package(tmp_path, monkeypatch, "typer", "raise RuntimeError")
    assert trial.faults_of(["json", "safetensors", "tqdm", "csv", "typer"]) == {
        "safetensors": "it ended its process (SIGKILL)",
        "tqdm": "it ended its process (SIGKILL)",
        "typer": "RuntimeError",
    }


def test_what_does_not_come_back_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    break_package(tmp_path, monkeypatch, "tqdm", "import time; print('noise'); time.sleep(600)")
    tried = trial.alone(trial.imports, ["json", "tqdm"], seconds=5)
    assert tried.told == ("json", None, "tqdm")
    assert tried.error == "it did not come back within 5 s"


def test_a_broken_openvino_is_reported_and_pytorch_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    break_package(tmp_path, monkeypatch, "openvino", "raise OSError('libopenvino.so: wrong ELF class')")
    result = run("doctor", "--json")
    record = json.loads(result.stdout)
    [way] = record["engines"]["ways"]
    assert (way["engine"], way["device"]) == ("torch", "cpu")
    [problem] = record["problems"]
    assert "openvino" in problem and "libopenvino.so: wrong ELF class" in problem
    assert result.code == 1


def test_an_extra_that_is_not_there_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "av", None)
    result = run("doctor")
    assert "video: av not installed (videos: pip install --upgrade 'espcn[video]')" in result.stdout
    assert result.code == 0


def test_an_extra_that_came_after_the_installation_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A working copy has new extras at once, its metadata only when it is installed again."""
    known = [line for line in metadata.requires("espcn") or [] if "video" not in line]
    monkeypatch.setattr(metadata, "requires", lambda _: known)
    result = run("doctor")
    assert "video: newer than this installation (videos: pip install --upgrade 'espcn[video]')" in result.stdout
    assert "fast: isal" in result.stdout and result.code == 0


def test_what_is_too_old_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "pillow", "9.5.0")
    result = run("doctor")
    assert problems(result.stdout) == [
        "pillow 9.5.0 does not work (11 or newer is needed): pip install --upgrade pillow"
    ]
    assert result.code == 1


def test_what_is_needed_and_not_there_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "safetensors", None)
    assert problems(run("doctor").stdout) == ["not installed: safetensors: pip install safetensors"]
    pretend(monkeypatch, "safetensors", metadata.version("tqdm"))
    pretend(monkeypatch, "torch", None)
    result = run("doctor")
    assert "torch not installed" in result.stdout and result.code == 0  # pictures need none


def test_a_cache_that_cannot_be_written_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    result = run("doctor")
    [problem] = problems(result.stdout)
    assert problem.startswith("nothing can be kept in the cache: ") and result.code == 1


# --- caches ----------------------------------------------------------------------------------------------------------


def test_caches_are_counted_and_cleaned_and_nothing_else_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "espcn"
    folder.mkdir()
    (folder / f"{'a1' * 32}.safetensors").write_bytes(bytes(3000))
    (folder / f"{'b2' * 32}.safetensors").write_bytes(bytes(500))
    (folder / "bf16.json").write_text("{}")
    (folder / ".killed.espcn-part").touch()
    for name in ("package.json", "mine.safetensors", "notes.txt"):  # a folder of that name may be somebody's own
        (folder / name).touch()
    assert [(each.files, each.bytes) for each in caches.kept()] == [(2, 3500), (1, 2), (1, 0)]
    result = run("doctor", "--clean")
    assert result.stdout.splitlines() == [
        "2 files, 3.5 kB: pictures decoded for trainings",
        "1 file, 2 bytes: what was found out about this machine",
        "1 file, 0 bytes: files that are being written, or were when a run was killed",
    ]
    assert sorted(path.name for path in folder.iterdir()) == ["mine.safetensors", "notes.txt", "package.json"]
    assert run("doctor", "--clean").stdout == "nothing is kept\n"
    assert json.loads(run("doctor", "--clean", "--json").stdout) == []


def test_sizes_are_for_people() -> None:
    assert [size(count) for count in (None, 999, 1500, 2_000_000, 3_400_000_000)] == [
        "?",
        "999 bytes",
        "1.5 kB",
        "2.0 MB",
        "3.4 GB",
    ]


# --- the parts -------------------------------------------------------------------------------------------------------


def test_every_extra_for_users_is_described() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(installed.PURPOSES) == set(project["optional-dependencies"]) - {"all", "test", "lint"}
    needed = dict(requirement.split(">=") for requirement in project["dependencies"])
    assert needed == installed.NEEDED


def test_a_processor_by_linux_s_page(tmp_path: Path) -> None:
    page = tmp_path / "cpuinfo"
    page.write_text("model name\t: A 9\nflags\t\t: fpu avx2 sse4_2 amx_bf16\n\nmodel name\t: A 9\nflags\t\t: avx2\n")
    assert machine.processor(page).name == "A 9"
    page.write_text("model name\t: A 9\nflags\t\t: fpu avx2 sse4_2 amx_bf16\n")
    assert machine.processor(page) == machine.Processor("A 9", ("sse4_2", "avx2", "amx_bf16"))
    page.write_text("processor\t: 0\nFeatures\t: fp asimd bf16\n")
    assert machine.processor(page).features == ("asimd", "bf16")
    assert machine.processor(tmp_path / "none").features is None


def test_threads_tell_what_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr("espcn_cli.cores.available", lambda: 8)
    monkeypatch.setattr("espcn_cli.cores.quota", lambda: 2.5)
    threads = machine.threads()
    assert threads.used == 3 and threads.reason.endswith("cores may be used, a container grants 2.5")
