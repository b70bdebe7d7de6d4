"""--cluster on the command line: what does not go together, and what is not there, in one line each."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import one_line, run

from espcn_cli.cluster import connection


@pytest.fixture(autouse=True)
def ray_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of this needs Ray itself."""
    monkeypatch.delenv(connection.VARIABLE, raising=False)
    monkeypatch.setattr(connection, "find_spec", lambda name: object())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cores-per-worker", "2"], "is for the workers of a cluster: add --cluster"),
        (["--cluster", "10.0.0.1:6379", "--threads", "2"], "use --cores-per-worker"),
        (["--cluster", "auto"], "RAY_ADDRESS is not set"),
        (["--cluster", ""], "name an address"),
        (["--cluster", "here"], "use auto, local, HOST:PORT or ray://HOST:PORT"),
        (["--cluster", "http://here:80"], "use auto, local, HOST:PORT or ray://HOST:PORT"),
        (["--cluster", "local", "--device", "cuda:1"], "use auto, cpu or cuda: Ray chooses which GPU"),
        (["--cluster", "local", "--device", "mps"], "use auto, cpu or cuda"),
    ],
)
def test_what_does_not_go_together(photos: Path, tiny: Path, tmp_path: Path, options: list[str], words: str) -> None:
    one_line(run("upscale", photos, tmp_path / "out", "-m", tiny, *options), 2, words)
    assert not (tmp_path / "out").exists()


def test_pipes_stay_on_this_machine(photos: Path, tiny: Path, tmp_path: Path) -> None:
    words = "standard input, standard output and pipes stay on this machine"
    one_line(run("upscale", "-", tmp_path / "out.png", "-m", tiny, "--cluster", "local"), 2, words)
    one_line(run("upscale", photos / "0.png", "-", "-m", tiny, "--cluster", "local"), 2, words)


def test_an_address_where_nothing_answers(photos: Path, tiny: Path, tmp_path: Path) -> None:
    result = run("upscale", photos, tmp_path / "out", "-m", tiny, "--cluster", "127.0.0.1:9")
    one_line(result, 1, "--cluster 127.0.0.1:9: nothing answers there")
    assert not (tmp_path / "out").exists()


def test_without_ray_a_line_says_how_to_get_it(
    photos: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda name: None)
    one_line(
        run("upscale", photos, tmp_path / "out", "-m", tiny, "--cluster", "local"), 1, "pip install 'espcn[cluster]'"
    )


def test_a_dry_run_asks_no_cluster(photos: Path, tiny: Path, tmp_path: Path) -> None:
    result = run("upscale", photos, tmp_path / "out", "-m", tiny, "--cluster", "127.0.0.1:9", "--dry-run")
    assert result.code == 0 and "3 to upscale" in result.stdout
    assert result.stderr == "espcn: a dry run does not ask the cluster: its times are those of this machine alone\n"
