"""A real Ray cluster of three nodes on this machine: what one process makes is what they make together."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command import COMMAND, PLAIN, one_line, run, strict_json
from making import save_pair, save_picture

from espcn_cli.cluster import kit, sharing, sight
from espcn_cli.cluster.kit import Kit, Place
from espcn_cli.errors import EspcnError
from espcn_cli.files import PART_SUFFIX
from espcn_cli.upscaling.outcome import Outcome
from espcn_cli.upscaling.pipeline import Options
from espcn_cli.upscaling.plan import plan
from espcn_cli.upscaling.upscaler import Upscaler

pytest.importorskip("ray", reason="needs Ray: pip install 'espcn[cluster]'")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
    pytest.mark.skipif(sys.platform == "win32", reason="clusters are tested on Unix"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    nodes = Cluster()
    add_node(nodes, include_dashboard=False)
    add_node(nodes)
    add_node(nodes)
    yield nodes
    nodes.shutdown()


def add_node(nodes: Any, **options: Any) -> Any:
    """Another node of one core; Ray gives up after half a minute, which a busy machine may take."""
    for _ in range(4):
        with contextlib.suppress(Exception):
            return nodes.add_node(num_cpus=1, object_store_memory=80 * 2**20, **options)
    return nodes.add_node(num_cpus=1, object_store_memory=80 * 2**20, **options)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real weights beside their clean sister: a mixture, whose strength each picture chooses."""
    return save_pair(tmp_path_factory.mktemp("model"))[1]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(60):
        save_picture(folder / f"{index:02d}.{'png' if index % 3 else 'jpg'}", 40 + 2 * index, 30 + index, index)
    return folder


@pytest.fixture(scope="module")
def alone(pictures: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process makes of the pictures."""
    out = tmp_path_factory.mktemp("alone") / "out"
    assert run("upscale", pictures, f"{out}/", "-m", model, "-q").code == 0
    return contents(out)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def work(cluster: Any, pictures: Path, out: Path, model: Path, wrap: Any = lambda kit: kit) -> Iterator[Outcome]:
    """The outcomes of the pictures on the cluster; `wrap` may change the kit that workers get."""

    def pack(place: Place) -> Kit:
        changed: Kit = wrap(kit.pack(model, None, place, all_scales=False))
        return changed

    tasks = plan([str(pictures)], f"{out}/")
    return sharing.run(sharing.Way(cluster.address), pack, tasks, Options(overwrite=False))


def test_sixty_pictures_on_three_nodes_are_those_of_one_process(
    cluster: Any, pictures: Path, model: Path, alone: dict[str, bytes], tmp_path: Path
) -> None:
    """Relative paths are the command's own; nothing of Ray's is on the screen; torch is on no worker."""
    result = run(
        "upscale", os.path.relpath(pictures, tmp_path), "out/", "-m", model, "--cluster", cluster.address, "--json",
        cwd=tmp_path,
    )  # fmt: skip
    assert result.code == 0, result.stderr
    assert contents(tmp_path / "out") == alone
    found = strict_json(result.stdout)
    assert sorted(each["output"] for each in found) == [f"out/{name}" for name in sorted(alone)]
    assert all(each["error"] is None and each["strength"] is not None for each in found)
    lines = [re.sub(r", \d+\.\d s$", "", line) for line in result.stderr.splitlines() if " -> " in line]
    assert not {"ray", "raylet", "worker.py"} & set(re.split(r"[^\w.]+", result.stderr))
    assert sorted(lines) == sorted(f"{each['source']} -> {each['output']}: {sizes(each)}" for each in found)


def sizes(each: dict[str, Any]) -> str:
    (width, height), (new_width, new_height) = each["size"], each["output_size"]
    return f"{width} x {height} -> {new_width} x {new_height}"


def test_what_is_there_is_skipped_and_what_is_broken_is_named(
    cluster: Any, pictures: Path, model: Path, tmp_path: Path
) -> None:
    for index in range(3):
        save_picture(tmp_path / "in" / f"{index}.png")
    (tmp_path / "in" / "0.png").write_bytes(b"no picture")
    save_picture(tmp_path / "out" / "1.png")
    before = (tmp_path / "out" / "1.png").read_bytes()
    command = ("upscale", "in", "out", "-m", model, "--skip-existing", "--cluster", cluster.address)
    result = run(*command, cwd=tmp_path)
    assert result.code == 1 and result.stdout == "1 upscaled, 1 skipped, 1 failed\n"
    assert "in/0.png" in result.stderr
    assert (tmp_path / "out" / "1.png").read_bytes() == before
    (tmp_path / "in" / "0.png").unlink()
    assert run(*command[:-1], "127.0.0.1:9", cwd=tmp_path).code == 0, "nothing is to be done: nobody is asked"


def test_a_picture_that_kills_its_worker_is_named_and_the_rest_is_done(
    cluster: Any, pictures: Path, model: Path, alone: dict[str, bytes], tmp_path: Path
) -> None:
    def poisoned(good: Kit) -> Any:
        class Poisoned:
            def open(self) -> Upscaler:
                from espcn_cli.pictures import reading

                read = reading.read_document

                def kill(path: Path, *rest: Any) -> Any:
                    return os._exit(9) if path.name == "07.png" else read(path, *rest)

                setattr(reading, "read_document", kill)  # noqa: B010
                return good.open()

            def sealed(self) -> Upscaler:
                return good.sealed()

        return Poisoned()

    outcomes = list(work(cluster, pictures, tmp_path / "out", model, poisoned))
    assert len(outcomes) == len({outcome.task for outcome in outcomes}) == 60
    [failed] = [outcome for outcome in outcomes if outcome.error]
    assert failed.error and failed.error.startswith(f"{pictures / '07.png'}: its worker died 3 times")
    assert contents(tmp_path / "out") == {name: data for name, data in alone.items() if name != "07.png"}


def test_a_machine_that_does_not_see_the_destination_is_named_before_anything_is_done(
    cluster: Any, pictures: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = cluster.worker_nodes and next(iter(cluster.worker_nodes)).node_id

    def question() -> Any:
        def ask(proof: dict[str, Any], machine: str) -> str | None:
            from espcn_cli.cluster import sight

            sight.PATIENCE = 0
            if machine == blind:
                proof = {**proof, "note": "/elsewhere/" + proof["note"].rpartition("/")[2]}
            return sight.trouble(sight.Proof(**proof), machine)

        return ask

    monkeypatch.setattr(sight, "question", question)
    with pytest.raises(EspcnError, match=rf"{blind[:8]} does not see the destination /elsewhere: share it"):
        list(work(cluster, pictures, tmp_path / "out", model))
    assert not list(tmp_path.iterdir())


def test_machines_with_another_espcn_are_refused_and_named(
    cluster: Any, pictures: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = sight.own_version()
    monkeypatch.setattr(sight, "own_version", lambda: "99.0")
    result = run("upscale", pictures, tmp_path / "out", "-m", model, "--cluster", cluster.address)
    one_line(result, 1, "node", f"has espcn {there}, not 99.0 as here: install the same there")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_ctrl_c_finishes_what_was_begun_and_tells_what_is_left(
    cluster: Any, pictures: Path, model: Path, alone: dict[str, bytes], tmp_path: Path
) -> None:
    command = ["upscale", str(pictures), "out/", "-m", str(model), "--cluster", cluster.address, "--skip-existing"]
    process = subprocess.Popen(
        [*COMMAND, *command], cwd=tmp_path, env=os.environ | PLAIN, stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 100
    while not list(tmp_path.glob("out/*")) and time.monotonic() < end and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    last = process.communicate(timeout=100)[1].splitlines()[-1]
    done = contents(tmp_path / "out")
    if process.returncode:  # else it was too quick for us
        assert process.returncode == 130
        assert last.startswith(f"espcn: interrupted: {len(done)} upscaled, {60 - len(done)} left"), last
    assert not [name for name in done if name.endswith(PART_SUFFIX)]
    assert done == {name: alone[name] for name in done}
    assert run(*command, cwd=tmp_path).code == 0
    assert contents(tmp_path / "out") == alone


def test_a_node_that_dies_in_the_middle_costs_nothing(
    cluster: Any, pictures: Path, model: Path, alone: dict[str, bytes], tmp_path: Path
) -> None:
    outcomes: list[Outcome] = []
    for outcome in work(cluster, pictures, tmp_path / "out", model):
        if not outcomes:
            cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        outcomes.append(outcome)
    assert len(outcomes) == len({outcome.task for outcome in outcomes}) == 60
    assert not [outcome.error for outcome in outcomes if outcome.error]
    there = contents(tmp_path / "out")  # and perhaps what the dead one had begun, if its process has not quite ended
    assert {name: data for name, data in there.items() if not name.endswith(PART_SUFFIX)} == alone
