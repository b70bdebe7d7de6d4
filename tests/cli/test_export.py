"""`espcn export`: which file holds what, and one line for what cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from command import one_line, run
from making import save_checkpoint, save_pair
from making_foreign import compact, save_ncnn_compact

from espcn_cli.network import checkpoint
from espcn_cli.settings import ModelSettings


def test_a_shader_is_written_and_named(tmp_path: Path) -> None:
    result = run("export", "espcn-s", "out.GLSL", "-s", 3, cwd=tmp_path)
    assert result.code == 0 and result.stdout.startswith("out.GLSL: espcn-s x3, ")
    assert "// name: espcn-s x3" in (tmp_path / "out.GLSL").read_text()


def test_real_weights_are_mixed_at_three_quarters_or_as_asked(tmp_path: Path) -> None:
    _, real = save_pair(tmp_path)
    for options, strength in (((), "0.75"), (("--strength", 1), "1"), (("--strength", "0"), "0")):
        result = run("export", real, "out.glsl", "--overwrite", *options, cwd=tmp_path)
        assert f"tiny-real x2, strength {strength}," in result.stdout, result.stderr
    assert "strength" not in run("export", "espcn-s", "s.glsl", cwd=tmp_path).stdout


def test_two_files_that_belong_together_replace_nothing(tmp_path: Path) -> None:
    """Neither of them: not what is there by chance, and never what is read."""
    save_checkpoint(tmp_path / "tiny.safetensors")
    (tmp_path / "m.bin").write_text("mine")
    one_line(run("export", "tiny.safetensors", "m.param", cwd=tmp_path), 2, "m.bin", "--overwrite")
    assert not (tmp_path / "m.param").exists()
    assert run("export", "tiny.safetensors", "m.param", "--overwrite", cwd=tmp_path).code == 0
    save_ncnn_compact(tmp_path / "c.param", compact(2), 2)
    theirs = (tmp_path / "c.bin").read_bytes()
    one_line(run("export", "c.param", "c.xml", "--overwrite", cwd=tmp_path), 2, "c.bin")
    assert (tmp_path / "c.bin").read_bytes() == theirs


def test_a_graph_takes_pictures_or_planes_and_nothing_else_has_a_choice(tmp_path: Path) -> None:
    for form in ("rgb", "plane"):
        done = run("export", "espcn-s", f"{form}.onnx", "--input", form, cwd=tmp_path)
        assert done.code == 0, done.stderr
    assert (tmp_path / "rgb.onnx").stat().st_size > (tmp_path / "plane.onnx").stat().st_size
    one_line(run("export", "espcn-s", "a.param", "--input", "rgb", cwd=tmp_path), 2, "--input is for .onnx and .xml")


def with_ranges(path: Path) -> Path:
    """As if it had been trained for int8."""
    card, arrays = checkpoint.read(path)
    checkpoint.write(path, arrays, replace(card, ranges=((0, 1), (-0.5, 2))))
    return path


def test_int8_is_what_was_trained_for_it_and_asked_for(tmp_path: Path) -> None:
    with_ranges(save_checkpoint(tmp_path / "tiny.safetensors"))
    for precision, said in (("fp32", "tiny x2,"), ("int8", "tiny x2, int8,")):
        result = run("export", "tiny.safetensors", f"{precision}.onnx", "--precision", precision, cwd=tmp_path)
        assert result.code == 0 and said in result.stdout, result.stderr
        assert (b"QuantizeLinear" in (tmp_path / f"{precision}.onnx").read_bytes()) == (precision == "int8")
    assert run("export", "tiny.safetensors", "plain.onnx", cwd=tmp_path).code == 0
    assert (tmp_path / "plain.onnx").read_bytes() == (tmp_path / "fp32.onnx").read_bytes()


def test_int8_has_the_strengths_that_have_ranges(tmp_path: Path) -> None:
    clean, real = save_pair(tmp_path)
    with_ranges(real)
    words = ("export", "tiny-real_x2.safetensors", "out.onnx", "--precision", "int8", "--overwrite")
    for options in ((), ("--strength", 1)):
        assert "tiny-real x2, strength 1, int8," in run(*words, *options, cwd=tmp_path).stdout
    one_line(run(*words, "--strength", 0.5, cwd=tmp_path), 2, "strength 0.5", "has no ranges for int8")
    with_ranges(clean)
    assert "tiny-real x2, strength 0.75, int8," in run(*words, cwd=tmp_path).stdout
    assert "tiny-real x2, strength 0.5, int8," in run(*words, "--strength", 0.5, cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("espcn-s out.txt", 2, ".txt is no format of export: use ."),
        ("espcn-s out", 2, "a name without a suffix is no format"),
        ("espcn-s espcn-m out.glsl", 2, "2 models: only a page"),
        ("nobody out.glsl", 2, "unknown model 'nobody'"),
        ("tiny.safetensors out.glsl -s 3", 2, "tiny.safetensors upscales by 2, not by 3"),
        ("tiny.safetensors out.glsl --strength 0.5", 2, "no clean sister"),
        ("espcn-s-real out.glsl --strength 2", 2, "from 0 to 1"),
        ("espcn-s-real out.glsl --strength nan", 2, "from 0 to 1"),
        ("espcn-s-real out.glsl --strength much", 2, "from 0 to 1"),
        ("espcn-s-real out.glsl --strength auto", 2, "only a page (.html) can choose"),
        ("tiny.safetensors out.onnx --precision int8", 2, "train --init tiny.safetensors --quantise"),
        ("tiny.safetensors out.param --precision int8", 2, "--precision int8 is for .onnx and .xml: leave it out"),
        ("tiny.safetensors out.html --precision int8", 2, "--precision int8 is for .onnx and .xml: leave it out"),
        ("wide.safetensors out.glsl", 1, "too wide for a player"),
        ("espcn-s nowhere/out.glsl", 1, "no folder nowhere"),
    ],
)
def test_what_cannot_be_exported_is_one_line(tmp_path: Path, words: str, code: int, said: str) -> None:
    save_checkpoint(tmp_path / "tiny.safetensors")
    save_checkpoint(tmp_path / "wide.safetensors", ModelSettings(widths=(99,), kernels=(3, 3)))
    before = sorted(tmp_path.iterdir())
    one_line(run("export", *words.split(), cwd=tmp_path), code, said)
    assert sorted(tmp_path.iterdir()) == before
