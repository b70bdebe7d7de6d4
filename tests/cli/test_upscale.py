"""`espcn upscale`: what is said where, what is left on the disk, and each misuse in one line."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from command import one_line, run
from making import natural, save_picture
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file


def test_upscale_one_picture(tmp_path: Path, tiny: Path) -> None:
    save_picture(tmp_path / "in.png")
    result = run("upscale", "in.png", "out.png", "-m", tiny, cwd=tmp_path)
    assert (result.code, result.stderr) == (0, "")
    assert re.fullmatch(r"out\.png: 24 x 18 -> 48 x 36, \d+\.\d s\n", result.stdout)
    with Image.open(tmp_path / "out.png") as image:
        assert (image.size, image.mode) == ((48, 36), "RGB")


def test_upscale_a_batch_with_a_bad_file(tmp_path: Path, tiny: Path) -> None:
    save_picture(tmp_path / "in" / "a.png")
    save_picture(tmp_path / "in" / "deep" / "b.jpg", mode="L")
    (tmp_path / "in" / "bad.png").write_text("no picture")
    result = run("upscale", "-r", "in", "out", "-m", tiny, "--json", "-q", cwd=tmp_path)
    assert result.code == 1
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
        assert run("upscale", "in.png", f"{tile}.png", "-m", tiny, "--tile", tile, cwd=tmp_path).code == 0
    assert (tmp_path / "off.png").read_bytes() == (tmp_path / "16.png").read_bytes()
    assert (tmp_path / "off.png").read_bytes() == (tmp_path / "auto.png").read_bytes()


def test_alpha_that_is_no_transparency_leaves_the_colours_alone(tmp_path: Path, tiny: Path) -> None:
    with Image.open(save_picture(tmp_path / "in.png")) as image:
        image.putalpha(Image.new("L", image.size))
        image.save(tmp_path / "gloss.png")
    for source in ("in", "gloss"):
        run("upscale", f"{source}.png", f"{source}_x2.png", "-m", tiny, "--alpha", "separate", cwd=tmp_path)
    with Image.open(tmp_path / "in_x2.png") as plain, Image.open(tmp_path / "gloss_x2.png") as gloss:
        assert gloss.mode == "RGBA"
        assert gloss.convert("RGB").tobytes() == plain.tobytes()


def test_quiet_says_nothing(tmp_path: Path, tiny: Path) -> None:
    save_picture(tmp_path / "in.png")
    result = run("upscale", "-q", "in.png", "out.png", "-m", tiny, cwd=tmp_path)
    assert (result.code, result.stdout, result.stderr) == (0, "", "")


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
        (["in.png", "out.png", "-m", "espcn-xxl"], 2, ["unknown model 'espcn-xxl'"]),
        (["in.png", "out.png", "-m", ""], 2, ["unknown model ''"]),
        (["in.png", "out.png", "-m", "gone.safetensors"], 1, ["gone.safetensors", "no checkpoint"]),
        (["in.png", "out.png", "-m", "short.safetensors/"], 2, ["short.safetensors/ means a folder"]),
        (
            ["in.png", "out.png", "-s", "5"],
            2,
            ["--scale", "'5' is not one of '2', '3', '4', '6', '8', '9',", "--size 500%"],
        ),
        (["in.png", "out.png", "-s", "1.5"], 2, ["--scale", "'1.5' is not one of", "use --size 150%;"]),
        (["in.png", "out.png", "-s", "150%"], 2, ["--scale", "'150%' is not one of", "use --size 150%;"]),
        (
            ["in.png", "out.png", "-s", "x2"],
            2,
            ["--scale", "'x2' is not one of '2', '3', '4',", "'12', '16'; see"],
        ),
        (["in.png", "out.png", "--size", ""], 2, ["--size ''"]),
        (["in.png", "out", "-f", ""], 2, ["cannot write"]),
        (["in.png", "out.png", "--tile", "big"], 2, ["--tile"]),
        (["in.png", "out.png", "--alpha", "off"], 2, ["--alpha", "'off' is not one of 'blend', 'separate'"]),
        (["in.png", "out.png", "--device", "tpu"], 2, ["unknown device"]),
        (["in.png", "out.png", "--device", "cuda:63"], 1, ["not available"]),
        (["in.png", "out.png", "--precision", "fp8"], 2, ["unknown precision"]),
        (["in.png", "out.png", "-m", "foreign.safetensors"], 1, ["foreign.safetensors", "metadata"]),
        (["in.png", "out.png", "-m", "short.safetensors"], 1, ["not a readable safetensors file"]),
        (["in.png", "out.png", "-m", "misshapen.safetensors"], 1, ["has shape"]),
        (["in.png", "out.png", "-m", "nan.safetensors"], 1, ["holds NaN"]),
        (["in.png", "text.png/out.png"], 1, ["no folder text.png"]),
        (["in.png", "/proc/out.png"], 1, ["cannot write /proc/out.png"]),
        (["hollow", "text.png"], 2, ["text.png is a file"]),
        (["in.png", "text.png/"], 2, ["text.png is a file"]),
        (["in.png", "text.png/."], 2, ["text.png is a file"]),
        (["in.png/", "out.png"], 1, ["in.png/ is no folder: to name the file, write in.png"]),
        (["in.png", ""], 2, ["is empty"]),
        (["", "out.png"], 2, ["is empty"]),
        (["-", "new/"], 2, ["new is a folder"]),
        (["in.png", "2024.11"], 2, ["cannot write .11", "2024.11/ for a folder"]),
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
    one_line(run("upscale", *arguments, *model, cwd=tmp_path), code, *words)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


def test_a_texture_goes_on_at_its_opposite_side(tmp_path: Path, tiny: Path) -> None:
    levels = natural(30, 20)
    Image.fromarray(levels).save(tmp_path / "a.png")
    Image.fromarray(np.roll(levels, (4, 7), (0, 1))).save(tmp_path / "b.png")
    assert run("upscale", "a.png", "b.png", "large/", "--wrap", "-m", tiny, cwd=tmp_path).code == 0
    with Image.open(tmp_path / "large" / "a.png") as a, Image.open(tmp_path / "large" / "b.png") as b:
        assert np.array_equal(np.roll(np.asarray(a), (8, 14), (0, 1)), np.asarray(b))


def test_what_is_cut_short_is_taken_if_asked_for(tmp_path: Path, tiny: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(natural(120, 96)).save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "in" / "cut.jpg").write_bytes(data[: len(data) // 2])
    one_line(run("upscale", "in", "out", "-m", tiny, "-q", cwd=tmp_path), 1, "in/cut.jpg: cannot be decoded")
    result = run("upscale", "in", "out", "-m", tiny, "--lenient", cwd=tmp_path)
    assert (result.code, result.stdout.split(":")[0]) == (0, "out/cut.jpg")
    assert re.search(
        r"^in/cut\.jpg: the file is cut short: \d\d % of the picture is missing, and grey$", result.stderr, re.M
    )
    with Image.open(tmp_path / "out" / "cut.jpg") as image:
        assert image.size == (240, 192)
        assert abs(np.asarray(image)[-20:].mean() - 128) < 10


def test_outputs_are_as_old_as_their_sources_and_bare_and_have_a_resolution(tmp_path: Path, tiny: Path) -> None:
    Image.fromarray(natural(24, 18)).save(tmp_path / "a.jpg", comment=b"hello", dpi=(72, 72))
    save_picture(tmp_path / "large.png", 700, 500)  # is encoded while it is made
    for name in ("a.jpg", "large.png"):
        os.utime(tmp_path / name, ns=(10**18, 10**18 + 5))
    options = ("--keep-time", "--strip", "--dpi", "300", "-m", tiny)
    result = run("upscale", "a.jpg", "large.png", "out/", *options, cwd=tmp_path)
    assert (result.code, [line for line in result.stderr.splitlines() if "->" not in line]) == (0, [])
    for name in ("a.jpg", "large.png"):
        assert (tmp_path / "out" / name).stat().st_mtime_ns == 10**18 + 5
        with Image.open(tmp_path / "out" / name) as image:
            assert [round(value) for value in image.info["dpi"]] == [300, 300]
            assert "comment" not in image.info
    piped = run("upscale", "-", "b.png", *options, cwd=tmp_path, stdin=(tmp_path / "a.jpg").read_bytes())
    assert piped.stderr == "-: no modification time was kept: the source or the output is no file\n"
    gif = run("upscale", "a.jpg", "c.gif", "--dpi", "72", "-m", tiny, cwd=tmp_path)
    assert "a.jpg: GIF has no place for the resolution in dpi" in gif.stderr
