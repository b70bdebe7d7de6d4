"""The real command in a real process: exit codes, what is said where, and what is left on the disk."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from digits import save_mnist
from making import save_checkpoint, save_picture
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.main import get_command

from espcn_cli.cli.app import app

ROOT = Path(__file__).parents[2]
COMMANDS = ("upscale", "train", "benchmark", "models", "autoencoder train", "autoencoder reconstruct")


def espcn(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "espcn_cli", *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=120)


def one_line(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """A failure as it should be: the exit code, one line on stderr with these words, no traceback, no result."""
    assert result.returncode == code, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word in lines[0]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("model") / "tiny.safetensors")


# --- start-up and help ---------------------------------------------------------------------------------------------


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from typer.testing import CliRunner; from espcn_cli.cli.app import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "print([name for name in ('torch', 'numpy', 'PIL', 'safetensors') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
    heavy = subprocess.run(
        [sys.executable, "-c", program.replace("from espcn_cli.cli", "import numpy; from espcn_cli.cli")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert heavy.stdout.strip() == "['numpy']"  # the check can fail


def test_the_package_alone_imports_nothing_heavy() -> None:
    program = "import sys, espcn_cli; print(sorted(m for m in sys.modules if m in ('torch', 'numpy', 'PIL', 'typer')))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@cache
def help_of(command: str) -> str:
    result = espcn(*command.split(), "--help")
    assert result.returncode == 0
    return result.stdout


def test_every_option_has_help() -> None:
    for command in COMMANDS:
        shown = help_of(command)
        options = re.findall(r"--[a-z-]+", shown)
        assert "--help" in options
        for line in shown.splitlines():
            if match := re.match(r"^│ +\*? +(--[a-z-]+)", line):
                assert len(line.replace("│", "").strip()) > len(match[1]) + 20, line


def spoken(text: str) -> str:
    """Its words alone."""
    return " ".join(re.findall(r"\w+", text))


def test_help_shows_every_word() -> None:
    """Help is Markdown, which swallows what looks like a tag."""
    for words in COMMANDS:
        command: Any = get_command(app)
        for word in words.split():
            command = command.commands[word]
        shown = spoken(help_of(words))
        for parameter in command.params:
            assert spoken(parameter.help or "") in shown, parameter.name


def test_version_and_module_entry() -> None:
    assert re.fullmatch(r"espcn \d+\.\d+\.\d+\n", espcn("--version").stdout)


# --- upscale -------------------------------------------------------------------------------------------------------


def test_upscale_one_picture(tmp_path: Path, tiny: Path) -> None:
    save_picture(tmp_path / "in.png")
    result = espcn("upscale", "in.png", "out.png", "-m", tiny, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(r"out\.png: 24 x 18 -> 48 x 36, \d+\.\d s\n", result.stdout)
    with Image.open(tmp_path / "out.png") as image:
        assert (image.size, image.mode) == ((48, 36), "RGB")


def test_upscale_a_batch_with_a_bad_file(tmp_path: Path, tiny: Path) -> None:
    save_picture(tmp_path / "in" / "a.png")
    save_picture(tmp_path / "in" / "deep" / "b.jpg", mode="L")
    (tmp_path / "in" / "bad.png").write_text("no picture")
    result = espcn("upscale", "-r", "in", "out", "-m", tiny, "--json", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr == f"espcn: {Path('in/bad.png')}: not a picture in a format that Pillow knows\n"
    records = json.loads(result.stdout)
    assert [(r["source"], r["error"] is None) for r in records] == [
        ("in/a.png", True),
        ("in/bad.png", False),
        ("in/deep/b.jpg", True),
    ]
    assert records[0]["output_size"] == [48, 36]
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")) == [
        "a.png",
        "deep/b.jpg",
    ]


def test_tiles_do_not_show(tmp_path: Path, tiny: Path) -> None:
    save_picture(tmp_path / "in.png", 70, 50)
    for tile in ("off", "16", "auto"):
        assert espcn("upscale", "in.png", f"{tile}.png", "-m", tiny, "--tile", tile, cwd=tmp_path).returncode == 0
    assert (tmp_path / "off.png").read_bytes() == (tmp_path / "16.png").read_bytes()
    assert (tmp_path / "off.png").read_bytes() == (tmp_path / "auto.png").read_bytes()


def test_quiet_says_nothing(tmp_path: Path, tiny: Path) -> None:
    save_picture(tmp_path / "in.png")
    result = espcn("upscale", "-q", "in.png", "out.png", "-m", tiny, cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing.png", "out.png"], 1, ["missing.png", "no such file"]),
        (["empty.png", "out.png"], 1, ["empty.png", "is empty"]),
        (["text.png", "out.png"], 1, ["text.png", "not a picture"]),
        (["cut.png", "out.png"], 1, ["cut.png", "cannot be decoded"]),
        (["in.png", "nowhere/out.png"], 1, ["no folder nowhere"]),
        (["in.png", "out.xyz"], 2, ["cannot write .xyz"]),
        (["in.png", "in.png"], 2, ["in.png is an input"]),
        (["in.png", "cut.png", "out.png"], 2, ["out.png", "need a folder"]),
        (["hollow", "out"], 1, ["no pictures in hollow"]),
        (["in.png", "out.png", "-m", "espcn-xxl"], 1, ["unknown model 'espcn-xxl'"]),
        (["in.png", "out.png", "-m", "gone.safetensors"], 1, ["gone.safetensors", "no checkpoint"]),
        (["in.png", "out.png", "-s", "5"], 1, ["espcn-m", "no scale 5"]),
        (["in.png", "out.png", "--tile", "big"], 2, ["--tile"]),
        (["in.png", "out.png", "--device", "tpu"], 2, ["unknown device"]),
        (["in.png", "out.png", "--device", "cuda:63"], 1, ["not available"]),
        (["in.png", "out.png", "--precision", "fp8"], 2, ["unknown precision"]),
        (["in.png", "out.png", "-m", "foreign.safetensors"], 1, ["not an espcn checkpoint"]),
        (["in.png", "out.png", "-m", "short.safetensors"], 1, ["not a readable safetensors file"]),
        (["in.png", "out.png", "-m", "misshapen.safetensors"], 1, ["has shape"]),
        (["in.png", "out.png", "-m", "nan.safetensors"], 1, ["holds NaN"]),
        (["in.png", "text.png/out.png"], 1, ["no folder text.png"]),
        (["in.png", "/proc/out.png"], 1, ["cannot write /proc/out.png"]),
        (["hollow", "text.png"], 2, ["text.png is a file"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and len(value) > 1 else "",
)
def test_bad_input_gets_one_line(tmp_path: Path, tiny: Path, arguments: list[str], code: int, words: list[str]) -> None:
    whole = save_picture(tmp_path / "in.png", 64, 64)
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("text")
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:2000])
    (tmp_path / "hollow").mkdir()
    if arguments[1].startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("needs a folder that nobody can write to, not even root")
    with (tmp_path / "short.safetensors").open("wb") as file:
        file.write(tiny.read_bytes()[:-100])
    tensors = load_file(tiny)
    first = sorted(tensors)[0]
    save_file(tensors, tmp_path / "foreign.safetensors")
    metadata = metadata_of(tiny)
    save_file({**tensors, first: tensors[first][:1].clone()}, tmp_path / "misshapen.safetensors", metadata)
    save_file({**tensors, first: tensors[first] * float("nan")}, tmp_path / "nan.safetensors", metadata)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    model = [] if "-m" in arguments or "-s" in arguments else ["-m", tiny]
    one_line(espcn("upscale", *arguments, *model, cwd=tmp_path), code, *words)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def metadata_of(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


def test_misuse_of_the_command_line_is_exit_code_2() -> None:
    for arguments in (["upscale"], ["upscale", "a.png"], ["nonsense"], ["upscale", "a", "b", "--scale", "two"]):
        assert espcn(*arguments).returncode == 2


# --- train ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for index in range(3):
        save_picture(tmp_path / "photos" / f"{index}.png", 48, 40, index)
    return tmp_path / "photos"


SMALL = ("-m", "espcn-s", "--batch-size", 2, "--patch-size", 16, "--validate-every", 4, "--expansion", 4)
QUICK = (*SMALL, "--precision", "fp32")  # each process measures `auto` anew, and trainings here are compared by the bit


def test_train_then_upscale_with_what_it_made(photos: Path) -> None:
    folder = photos.parent
    (photos / "bad.png").write_text("no picture")
    result = espcn("train", "photos", "--steps", 5, *QUICK, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "skipped photos/bad.png: not a picture" in result.stderr
    assert "training on 2 pictures, measured by 1; 1 files skipped" in result.stderr
    line = r"^step 4: \d+\.\d+ dB, SSIM 0\.\d+ \([+-]\d+\.\d+ dB over bicubic\); "
    assert re.search(line + r"\d+\.\d steps/s, \d+\.\d% of it waiting for data$", result.stderr, re.M)
    assert re.search(r"^espcn-s_x2\.safetensors: .* dB on 1 validation pictures", result.stdout)
    assert sorted(p.name for p in folder.iterdir()) == ["espcn-s_x2.run", "espcn-s_x2.safetensors", "photos"]
    upscaled = espcn("upscale", "photos/0.png", "out.png", "-m", "espcn-s_x2.safetensors", cwd=folder)
    assert upscaled.returncode == 0, upscaled.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals are tested on Unix")
def test_killed_and_resumed_is_bit_for_bit_training_straight_through(photos: Path) -> None:
    """kill -9 between two saves: what was done since the last one is done again, with the same bits."""
    folder = photos.parent
    options = ["train", "photos", "--steps", "60", *map(str, QUICK)]
    assert espcn(*options, "-o", "whole.safetensors", cwd=folder).returncode == 0
    command = [sys.executable, "-m", "espcn_cli", *options, "-o", "m.safetensors"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("step 8:"):
                break
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert espcn(*options, "-o", "m.safetensors", "--resume", cwd=folder).returncode == 0
    whole, resumed = (load_file(folder / f"{name}.safetensors") for name in ("whole", "m"))
    assert all(whole[name].equal(resumed[name]) for name in whole)


def test_ctrl_c_saves_the_state_and_resume_goes_on(photos: Path) -> None:
    folder = photos.parent
    command = [sys.executable, "-m", "espcn_cli", "train", "photos", "-o", "m.safetensors", "--steps", "100000"]
    with subprocess.Popen([*command, *map(str, QUICK)], cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("step 4:"):
                break
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert "stopped; m.run/state.safetensors is saved" in rest
    assert rest.splitlines()[-1] == "  " + shlex.join(["espcn", *command[3:], *map(str, QUICK), "--resume"])
    assert sorted(p.name for p in folder.iterdir()) == ["m.run", "m.safetensors", "photos"]
    changed = espcn("train", "photos", "-o", "m.safetensors", "--steps", 200, *QUICK, "--resume", cwd=folder)
    one_line(changed, 1, "m.run/state.safetensors belongs to another training", "steps 100000, now 200")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere"], 1, ["nowhere", "no such file or folder"]),
        (["too-long-a-name" * 20], 1, ["no such file or folder"]),
        (["hollow"], 1, ["no pictures in hollow"]),
        (["small"], 1, ["no usable picture", "smaller than a patch"]),
        (["photos", "--resume"], 1, ["nothing to resume"]),
        (["photos", "--steps", "0"], 2, ["steps must be at least 1"]),
        (["photos", "-m", "espcn-xxl"], 2, ["unknown architecture"]),
        (["photos", "-s", "7"], 2, ["scale must be one of"]),
        (["photos", "--planes", "cmyk"], 2, ["--planes"]),
        (["photos", "--valid", "hollow"], 1, ["hollow", "--valid"]),
        (["photos", "-o", "nowhere/m.safetensors"], 1, ["no folder nowhere"]),
        (["photos", "-o", "m.png"], 2, ["m.png", ".safetensors"]),
    ],
    ids=lambda value: " ".join(value[1:]) or value[0] if isinstance(value, list) else "",
)
def test_bad_training_input_gets_one_line(photos: Path, arguments: list[str], code: int, words: list[str]) -> None:
    folder = photos.parent
    (folder / "hollow").mkdir()
    for index in range(3):
        save_picture(folder / "small" / f"{index}.png", 9, 9)
    one_line(espcn("train", *arguments, "-q", cwd=folder), code, *words)
    assert not list(folder.glob("*.safetensors"))


# --- benchmark and models ------------------------------------------------------------------------------------------


def test_benchmark_as_a_table_json_and_csv(photos: Path, tiny: Path) -> None:
    folder = photos.parent
    result = espcn("benchmark", "photos", "-m", tiny, "--csv", "scores.csv", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert re.search(r"^photos +bicubic +lanczos +tiny$", result.stdout, re.M)
    assert re.search(r"^mean( +\d+\.\d\d/0\.\d{4}){3}$", result.stdout, re.M)
    assert "2 px border left out" in result.stdout
    as_json = json.loads(espcn("benchmark", "photos", "-m", tiny, "--json", cwd=folder).stdout)
    assert set(as_json) == {"protocol", "rows", "errors"}
    assert [row["method"] for row in as_json["rows"]] == ["bicubic", "lanczos", str(tiny)]
    assert set(as_json["rows"][0]) == {"dataset", "scale", "method", "psnr", "ssim", "images"}
    assert [image["name"] for image in as_json["rows"][0]["images"]] == ["0", "1", "2"]
    with (folder / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    assert float(rows[0]["psnr"]) == as_json["rows"][0]["images"][0]["psnr"]


def test_benchmark_measures_the_ensemble(photos: Path, tiny: Path) -> None:
    def psnr(*options: str) -> list[float]:
        result = espcn("benchmark", "photos", "-m", tiny, "--json", *options, cwd=photos.parent)
        return [row["psnr"] for row in json.loads(result.stdout)["rows"]]

    alone, together = psnr(), psnr("--ensemble")
    assert alone[:2] == together[:2]  # bicubic and Lanczos
    assert alone[2] != together[2]


def test_benchmark_names_a_bad_picture_and_scores_the_rest(photos: Path, tiny: Path) -> None:
    (photos / "bad.png").write_text("no picture")
    result = espcn("benchmark", "photos", "-m", tiny, cwd=photos.parent)
    one_line(result, 1, "photos/bad.png")
    assert "mean" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere"], 1, ["no such file or folder"]),
        (["too-long-a-name" * 20], 1, ["no such file or folder"]),
        (["hollow"], 1, ["no pictures in hollow"]),
        (["photos", "--protocol", "best"], 2, ["--protocol"]),
        (["photos", "-s", "7"], 2, ["--scale 7"]),
        (["photos", "--degradation", "fog"], 2, ["--degradation 'fog'"]),
        (["photos", "--lr", "nowhere"], 2, ["--lr nowhere"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_benchmark_input_gets_one_line(
    photos: Path, tiny: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    (photos.parent / "hollow").mkdir()
    one_line(espcn("benchmark", *arguments, "-m", tiny, cwd=photos.parent), code, *words)


def test_models_describes_a_checkpoint(tiny: Path) -> None:
    [card] = json.loads(espcn("models", tiny, "--json").stdout)
    assert (card["name"], card["scale"], card["parameters"]) == ("tiny", 2, 40 + 148)
    one_line(espcn("models", ROOT / "pyproject.toml"), 1, "not a readable safetensors file")


def test_models_names_the_command_that_makes_a_checkpoint_again(photos: Path) -> None:
    folder = photos.parent
    options = [*QUICK, "--steps", 4, "--planes", "rgb", "--loss", "mse", "-s", 3, "--precision", "bf16"]
    assert espcn("train", "photos", "-o", "m.safetensors", *options, cwd=folder).returncode == 0
    [card] = json.loads(espcn("models", "m.safetensors", cwd=folder).stdout)
    assert card["command"] == (
        "espcn train photos --valid VALID -m espcn-s -s 3 --planes rgb --precision bf16 --steps 4 --batch-size 2"
        " --patch-size 16 --loss mse --expansion 4 --validate-every 4"
    )


def test_the_command_of_an_older_checkpoint_does_as_was_done_then() -> None:
    from espcn_cli.cli.models import training_command
    from espcn_cli.network.checkpoint import Card
    from espcn_cli.settings import TrainSettings, architecture

    settings = TrainSettings(steps=7).to_dict()
    del settings["candidates"], settings["clip"]  # which came later: any patch was taken, any gradient followed
    card = Card(architecture("espcn-s"), "espcn-s", {"settings": settings}, {}, "")
    command = "espcn train DATA --valid VALID -m espcn-s -s 2 --candidates 1 --clip 0.0 --steps 7"
    assert training_command(card) == command


def test_models_with_nothing_shipped_is_an_empty_table() -> None:
    from espcn_cli.cli.models import format_models

    assert format_models([]).splitlines()[0].startswith("name")


def test_models_lists_what_is_shipped() -> None:
    result = espcn("models")
    assert result.returncode == 0
    for name in ("espcn", "espcn-s", "espcn-m", "espcn-l"):
        for scale in (2, 3, 4):
            assert re.search(rf"^{name} +x{scale} +[\d,]+ +[\d,]+ +\d+ +\d+\.\d\d +\d+\.\d\d$", result.stdout, re.M)


# --- autoencoder ---------------------------------------------------------------------------------------------------


def test_autoencoder_trains_and_reconstructs(tmp_path: Path) -> None:
    data, out = save_mnist(tmp_path / "data"), tmp_path / "net.safetensors"
    result = espcn("autoencoder", "train", data, "-o", out, "--epochs", 2, "--code", 8, "--device", "cpu", "--json")
    assert result.returncode == 0, result.stderr
    shown = json.loads(result.stdout)
    assert shown["code"] == 8 and shown["macs"] == 2_119_936 - 2 * 56 * 1568
    assert "epoch 2/2" in result.stderr
    sheet, codes = tmp_path / "sheet.png", tmp_path / "codes.npy"
    result = espcn("autoencoder", "reconstruct", out, data, sheet, "--codes", codes)
    assert result.returncode == 0 and "12 of 12 pictures" in result.stdout
    assert np.load(codes).shape == (12, 8) and sheet.is_file()


def test_the_two_kinds_of_checkpoint_are_told_apart(tmp_path: Path, tiny: Path) -> None:
    data, out = save_mnist(tmp_path / "data"), tmp_path / "net.safetensors"
    assert espcn("autoencoder", "train", data, "-o", out, "--epochs", 1, "-q").returncode == 0
    picture = save_picture(tmp_path / "in.png")
    one_line(espcn("upscale", picture, tmp_path / "big.png", "-m", out), 1, str(out), "autoencoder")
    one_line(espcn("autoencoder", "reconstruct", tiny, data, tmp_path / "s.png"), 1, str(tiny), "espcn upscale")


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (("--upsampler", "bilinear"), 2, "upsampler"),
        (("--code", "0"), 2, "code"),
        (("-o", "no/x.safetensors"), 1, "no folder"),
    ],
)
def test_autoencoder_misuse_is_one_line(tmp_path: Path, options: tuple[str, ...], code: int, reason: str) -> None:
    one_line(espcn("autoencoder", "train", save_mnist(tmp_path / "data"), *options, cwd=tmp_path), code, reason)


# --- documentation -------------------------------------------------------------------------------------------------


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"espcn {command}" in readme
