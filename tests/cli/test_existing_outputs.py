"""No command replaces what exists unless it is told to: misuse, before any work, with the number and both remedies."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from command import COMMAND, PLAIN, QUICK, one_line, run
from digits import save_mnist
from making import save_picture
from making_foreign import YJN870, espcn
from typer.main import get_command

from espcn_cli.cli.app import app
from espcn_cli.network import checkpoint

WRITERS = {
    "upscale": "photos/0.png out.png -m tiny.safetensors",
    "train": f"photos -o out.safetensors --steps 4 {' '.join(QUICK)}",
    "benchmark": "photos -m tiny.safetensors --csv out.csv",
    "compare": "photos/0.png -m tiny.safetensors -o out.png",
    "report": "mine.run -o out.html",
    "import": "theirs.pth -o out.safetensors",
    "export": "tiny.safetensors out.glsl",
    "autoencoder train": "mnist -o out.safetensors --epochs 1 --code 8 --device cpu",
    "autoencoder reconstruct": "autoencoder mnist out.png --codes out.npy",
}
"""Every command that writes files, with a call of it."""

OUTPUTS = {
    "upscale": ["out.png"],
    "benchmark": ["out.csv"],
    "compare": ["out.png"],
    "report": ["out.html"],
    "export": ["out.glsl"],
    "autoencoder reconstruct": ["out.npy", "out.png"],
}


@pytest.fixture
def folder(photos: Path, tiny: Path) -> Path:
    save_mnist(photos.parent / "mnist")
    shutil.copy(tiny, photos.parent / "tiny.safetensors")
    torch.save(espcn(YJN870).tensors, photos.parent / "theirs.pth")
    (photos.parent / "mine.run").mkdir()
    (photos.parent / "mine.run" / "log.csv").write_text("step,psnr\n5,30.5\n")
    return photos.parent


def leaves(command: Any, *words: str) -> dict[str, Any]:
    """The commands that do something, by the words that call them."""
    children = getattr(command, "commands", {})
    found: dict[str, Any] = {} if children else {" ".join(words): command}
    for word, child in children.items():
        found |= leaves(child, *words, word)
    return found


def test_every_command_that_writes_has_both_options() -> None:
    for words, command in leaves(get_command(app)).items():
        options = {option for parameter in command.params for option in parameter.opts}
        assert ({"--overwrite", "--skip-existing"} <= options) == (words in WRITERS), words


@pytest.mark.parametrize("command", WRITERS)
def test_an_existing_output_is_refused_and_both_remedies_work(folder: Path, command: str) -> None:
    call = [*command.split(), *WRITERS[command].split()]
    outputs = [folder / name for name in OUTPUTS.get(command, ["out.safetensors"])]
    for output in outputs:
        output.write_text("mine")
    before = sorted(path.name for path in folder.iterdir())
    count = "1 output exists" if len(outputs) == 1 else "2 of 2 outputs exist"
    refused = run(*call, cwd=folder)
    one_line(refused, 2, f"espcn: {count} already", outputs[-1].name, "--overwrite", "--skip-existing")
    assert refused.stdout == ""
    one_line(run(*call, "--overwrite", "--skip-existing", cwd=folder), 2, "exclude each other")
    skipped = run(*call, "--skip-existing", cwd=folder)
    assert skipped.code == 0, skipped.stderr
    assert "skipped" in skipped.stdout + skipped.stderr
    assert [output.read_text() for output in outputs] == ["mine"] * len(outputs)
    assert sorted(path.name for path in folder.iterdir()) == before
    assert run(*call, "--skip-existing", "-q", cwd=folder).stderr == ""
    replaced = run(*call, "--overwrite", cwd=folder)
    assert replaced.code == 0, replaced.stderr
    assert all(output.read_bytes() != b"mine" for output in outputs)
    assert run(*call, "--overwrite", cwd=folder).code == 0  # a second time as well


def call_output(command: str) -> str:
    return OUTPUTS.get(command, ["out.safetensors"])[-1]


@pytest.mark.parametrize("command", ["train", "autoencoder train", "autoencoder reconstruct"])
def test_what_was_skipped_is_the_result_in_json(folder: Path, command: str) -> None:
    call = [*command.split(), *WRITERS[command].split(), "--skip-existing", "--json"]
    for name in OUTPUTS.get(command, ["out.safetensors"]):
        (folder / name).touch()
    assert json.loads(run(*call, cwd=folder).stdout) == {"output": call_output(command), "skipped": True}


def test_all_pictures_of_a_folder_by_a_pattern(folder: Path) -> None:
    """`espcn upscale *.png` where there are two: the second was meant as a source."""
    before = (folder / "photos" / "1.png").read_bytes()
    words = ("1 output exists already, 1.png", "--overwrite", "--skip-existing")
    one_line(run("upscale", "0.png", "1.png", cwd=folder / "photos"), 2, *words)
    assert (folder / "photos" / "1.png").read_bytes() == before
    one_line(run("upscale", "0.png", "1.png", "2.png", cwd=folder / "photos"), 2, "2.png is a file")


def test_a_batch_is_refused_whole_and_so_is_its_dry_run(folder: Path) -> None:
    save_picture(folder / "out" / "1.png")
    for option in ((), ("--dry-run",), ("--json",)):
        result = run("upscale", "photos", "out", *option, "-m", "tiny.safetensors", cwd=folder)
        one_line(result, 2, "1 of 3 outputs exists already, such as out/1.png", "--overwrite", "--skip-existing")
        assert result.stdout == ""
    assert [path.name for path in (folder / "out").iterdir()] == ["1.png"]


def test_one_of_two_outputs_may_be_there(folder: Path) -> None:
    call = ("autoencoder", "reconstruct", "autoencoder", "mnist", "out.png", "--codes", "out.csv")
    (folder / "out.csv").write_text("mine")
    one_line(run(*call, cwd=folder), 2, "1 of 2 outputs exists already, such as out.csv")
    result = run(*call, "--skip-existing", cwd=folder)
    assert (result.code, result.stderr) == (0, "out.csv: skipped, the output exists\n")
    assert "out.png: 12 of 12 pictures" in result.stdout
    (folder / "out.csv").unlink()
    result = run(*call, "--skip-existing", cwd=folder)
    assert (result.code, result.stderr) == (0, "out.png: skipped, the output exists\n")
    assert "out.csv: the codes of 12 pictures" in result.stdout and (folder / "out.csv").is_file()


# --- trainings that were interrupted ---------------------------------------------------------------------------------


def test_an_interrupted_training_is_continued_or_replaced_but_not_by_chance(folder: Path) -> None:
    options = [*QUICK, "-o", "m.safetensors"]
    with subprocess.Popen(
        [*COMMAND, "train", "photos", "--steps", "100000", *options], cwd=folder, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith("step 4:"))
        process.send_signal(signal.SIGINT)
        process.communicate()
    again = ("train", "photos", "--steps", 100000, *options)
    one_line(
        run(*again, cwd=folder), 2, "1 output exists already, m.safetensors", "continue its training with --resume"
    )
    state = folder / "m.run" / "state.safetensors"
    (folder / "m.safetensors").unlink()
    one_line(run(*again, cwd=folder), 2, "m.run holds another training", "--overwrite", "--resume")
    one_line(run(*again, "--skip-existing", cwd=folder), 2, "m.run holds another training")
    assert state.is_file()
    changed = ("train", "photos", "--steps", 4, *options)
    one_line(run(*changed, "--resume", "--skip-existing", cwd=folder), 1, "belongs to another training")  # it goes on
    assert run(*changed, "--overwrite", cwd=folder).code == 0
    assert not state.exists()
    one_line(run(*changed, "--resume", cwd=folder), 2, "1 output exists already, m.safetensors", "--overwrite")
    before = (folder / "m.safetensors").read_bytes()
    assert run(*changed, "--resume", "--skip-existing", cwd=folder).code == 0
    assert (folder / "m.safetensors").read_bytes() == before
    (folder / "m.safetensors").unlink()
    one_line(run(*changed, cwd=folder), 2, "m.run holds another training: replace it with --overwrite")


# --- links, streams and slashes --------------------------------------------------------------------------------------


def test_a_checkpoint_is_written_through_a_link(folder: Path) -> None:
    (folder / "far").mkdir()
    (folder / "out.safetensors").symlink_to(Path("far") / "m.safetensors")
    call = ["train", *WRITERS["train"].split()]
    assert run(*call, cwd=folder).code == 0
    one_line(run(*call, cwd=folder), 2, "1 output exists already, out.safetensors")
    assert run(*call, "--overwrite", cwd=folder).code == 0
    assert (folder / "out.safetensors").readlink() == Path("far") / "m.safetensors"
    assert checkpoint.read_card(folder / "far" / "m.safetensors").name == "espcn-s"


@pytest.mark.parametrize("kind", ["loop", "lost", "folder"])
@pytest.mark.parametrize("command", WRITERS)
def test_links_that_cannot_be_written_through_are_one_line(folder: Path, command: str, kind: str) -> None:
    output = call_output(command)
    target = {"loop": output, "lost": f"gone/{output}", "folder": "there"}[kind]
    (folder / "there").mkdir()
    (folder / output).symlink_to(target)
    result = run(*command.split(), *WRITERS[command].split(), cwd=folder)
    if (command, kind) == ("upscale", "folder"):
        assert result.code == 0 and (folder / "there" / "0.png").is_file()
    else:
        one_line(result, 1, output)
    assert (folder / output).is_symlink()


@pytest.mark.skipif(not Path(os.devnull).is_char_device(), reason="needs a device that takes everything")
def test_streams_are_never_refused(folder: Path) -> None:
    """`-`, /dev/null, a named pipe."""
    (folder / "-").touch()
    assert run("upscale", "photos/0.png", "-", "-m", "tiny.safetensors", cwd=folder).data.startswith(b"\x89PNG")
    for _ in range(2):
        assert run("upscale", "photos/0.png", os.devnull, "-m", "tiny.safetensors", cwd=folder).code == 0
        assert run("benchmark", "photos", "-m", "tiny.safetensors", "--csv", os.devnull, cwd=folder).code == 0
    result = run("benchmark", "photos", "-m", "tiny.safetensors", "--csv", "-", cwd=folder)
    assert result.stdout.splitlines()[0] == "dataset,scale,method,image,psnr,ssim,psnr_rgb"
    assert len(result.stdout.splitlines()) == 1 + 3 * 3
    assert (folder / "-").read_text() == ""
    one_line(run("benchmark", "photos", "--csv", "-", "--json", cwd=folder), 2, "--json and --csv -")


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="needs a name for standard output")
@pytest.mark.parametrize("through", ["file", "pipe"])
def test_another_name_of_standard_output_is_standard_output(folder: Path, through: str) -> None:
    """Nothing but the picture goes there."""
    command = [*COMMAND, "upscale", "photos/0.png", "/dev/stdout", "-f", "bmp", "-m", "tiny.safetensors"]
    if through == "pipe":
        data = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True).stdout
    else:
        with (folder / "out").open("wb") as file:
            subprocess.run(command, cwd=folder, stdout=file, check=True)
        data = (folder / "out").read_bytes()
    plain = run("upscale", "photos/0.png", "-", "-f", "bmp", "-m", "tiny.safetensors", cwd=folder)
    assert data == plain.data


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_that_nobody_reads_can_be_interrupted(folder: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    command = [*COMMAND, "upscale", "photos/0.png", "pipe.png", "-m", "tiny.safetensors"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, env=os.environ | PLAIN) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(10)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.startswith("espcn: interrupted: 0 upscaled, 1 left")


def test_a_closed_standard_output_is_one_line(folder: Path) -> None:
    command = [*COMMAND, "upscale", "photos/0.png", "-", "-m", "tiny.safetensors"]
    result = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command], cwd=folder, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    assert (result.returncode, result.stderr) == (2, "espcn: standard output is closed: name a file\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("train photos -o new/", 2, "new/ means a folder: name a file"),
        ("train photos -o new.safetensors/", 2, "new.safetensors/ means a folder"),
        ("train photos/0.png/", 1, "photos/0.png/ is no folder: to name the file, write photos/0.png"),
        ("train photos --valid photos/0.png/", 1, "photos/0.png/ is no folder"),
        ("train photos --init tiny.safetensors/", 2, "tiny.safetensors/ means a folder"),
        ("benchmark photos --csv new.csv/", 2, "new.csv/ means a folder"),
        ("benchmark photos/0.png/ -m tiny.safetensors", 1, "photos/0.png/ is no folder"),
        ("benchmark photos -m tiny.safetensors/", 2, "tiny.safetensors/ means a folder"),
        ("models tiny.safetensors/", 2, "tiny.safetensors/ means a folder"),
        ("export tiny.safetensors new.glsl/", 2, "new.glsl/ means a folder"),
        ("export tiny.safetensors/ new.glsl", 2, "tiny.safetensors/ means a folder"),
        ("autoencoder train mnist -o new.safetensors/.", 2, "new.safetensors/. means a folder"),
        ("autoencoder train photos/0.png/", 1, "photos/0.png/ is no folder"),
        ("autoencoder reconstruct autoencoder/ mnist out.png", 2, "autoencoder/ means a folder"),
        ("autoencoder reconstruct autoencoder mnist out.png/", 2, "out.png/ means a folder"),
        ("autoencoder reconstruct autoencoder mnist out.png --codes out.npy/", 2, "out.npy/ means a folder"),
    ],
)
def test_a_slash_at_the_end_means_a_folder_in_every_command(
    folder: Path, arguments: str, code: int, words: str
) -> None:
    before = sorted(path.name for path in folder.iterdir())
    one_line(run(*arguments.split(), cwd=folder), code, words)
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    "arguments",
    [
        "upscale photos/0.png ''",
        "upscale '' out.png",
        "train ''",
        "train photos -o ''",
        "train photos --valid ''",
        "train photos --init ''",
        "benchmark ''",
        "benchmark photos --lr ''",
        "benchmark photos --csv ''",
        "benchmark photos -m ''",
        "models ''",
        "export tiny.safetensors ''",
        "export '' out.glsl",
        "autoencoder train ''",
        "autoencoder train mnist -o ''",
        "autoencoder reconstruct '' mnist out.png",
        "autoencoder reconstruct autoencoder '' out.png",
        "autoencoder reconstruct autoencoder mnist ''",
        "autoencoder reconstruct autoencoder mnist out.png --codes ''",
    ],
)
def test_an_empty_name_is_misuse_in_every_command(folder: Path, arguments: str) -> None:
    """What an unset variable of a shell leaves, and `pathlib` takes for the working folder."""
    before = sorted(path.name for path in folder.iterdir())
    one_line(run(*arguments.replace("''", "").split(" "), cwd=folder), 2)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_folder_with_a_dot_in_its_name_is_made(folder: Path) -> None:
    for destination in ("2024.11/", "new.png/"):
        result = run("upscale", "photos/0.png", destination, "-m", "tiny.safetensors", cwd=folder)
        assert result.code == 0, result.stderr
        assert [path.name for path in (folder / destination).iterdir()] == ["0.png"]
