"""ncnn's files: read by ourselves, run by ncnn, and both give the same picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from making import mutations, natural
from making_foreign import compact, save_ncnn, save_ncnn_compact, save_ncnn_upconv_7, upconv_7
from numpy.typing import NDArray
from running import by_ncnn, levels

import espcn_cli
from espcn_cli.errors import EspcnError
from espcn_cli.exchange import importing


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("half", [False, True])
def test_a_compact_does_what_ncnn_does(scale: int, half: bool, tmp_path: Path) -> None:
    path = save_ncnn_compact(tmp_path / "c.param", compact(scale), scale, half)
    picture = natural(23, 19)
    [large] = espcn_cli.load(path, engine="torch").engine.upscale([picture], 0, 255)
    theirs = by_ncnn(path, picture.astype(np.float32).transpose(2, 0, 1) / 255)
    assert np.abs(large.astype(int) - levels(theirs)).max() <= 1
    settings = importing.read(path)[0].settings
    assert (settings.scale, settings.skip, settings.slopes, settings.planes) == (scale, "nearest", "channel", 3)


def test_waifu2x_does_what_ncnn_does_beyond_whose_border_the_edge_goes_on(tmp_path: Path) -> None:
    path = save_ncnn_upconv_7(tmp_path / "u.param", upconv_7())
    picture = natural(23, 19)
    for name in ("u.param", "u.bin"):
        [large] = espcn_cli.load(tmp_path / name, engine="torch").engine.upscale([picture], 0, 255)
    padded = np.pad(picture, ((7, 7), (7, 7), (0, 0)), mode="edge")
    theirs = by_ncnn(path, padded.astype(np.float32).transpose(2, 0, 1) / 255)
    assert np.abs(large.astype(int) - levels(theirs)).max() <= 1
    made = upconv_7().run(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255)
    assert np.abs(large.astype(int) - levels(made[0].numpy())).max() <= 1


def refusal(path: Path) -> str:
    with pytest.raises(EspcnError) as error:
        importing.read(path)
    assert "\n" not in str(error.value)
    assert path.name in str(error.value)
    return str(error.value)


def test_a_resize_behind_the_network_is_refused(tmp_path: Path) -> None:
    path = save_ncnn_compact(tmp_path / "c.param", compact(4), 4, reduced=True)
    assert "resizes its result once more" in refusal(path)


KERNEL = bytes(4) + np.ones(4 * 9 * 4, "<f4").tobytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("7767517", "7767516"), "does not begin with 7767517"),
        (lambda text: text.replace("PixelShuffle", "Sigmoid2"), "is none that this family has"),
        (lambda text: text.replace("large repeated output 0=0", "large repeated output 0=2"), "is none that"),
        (lambda text: text.replace("0=1 1=2.0 2=2.0", "0=2 1=2.0 2=2.0"), "not nearest-neighbour"),
        (lambda text: text.replace("0=1 1=2.0 2=2.0", "0=1 1=3.0 2=3.0"), "adds its input at another size"),
        (lambda text: text.replace("1=3 4=1", "1=3 2=2 4=1"), "has dilation"),
        (lambda text: text.replace("1=3 4=1", "1=3 3=2 4=1"), "has a stride"),
        (lambda text: text.replace("1=3 4=1", "1=3 4=0", 1), "padded in a way"),
        (lambda text: text.replace("6=162", "6=163"), "do not fit its size"),
        (lambda text: text.replace("6=162", "6=999999999999"), "larger than any network"),
        (lambda text: text.replace("0=6 1=3", "0=six 1=3"), "damaged"),
        (lambda text: text + "PixelShuffle more 1 1 output end 0=2\n", "phase shift by 2 does not fit"),
    ],
)  # fmt: skip
def test_other_architectures_are_refused_with_the_reason(
    change: Callable[[str], str], said: str, tmp_path: Path
) -> None:
    path = save_ncnn_compact(tmp_path / "c.param", compact(2), 2)
    changed = change(path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    assert said in refusal(path)


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    path = save_ncnn_compact(tmp_path / "c.param", compact(2), 2)
    whole = path.with_suffix(".bin").read_bytes()
    for data, said in ((whole[:-4], "too short"), (whole + bytes(4), "too long"), (b"", "too short")):
        path.with_suffix(".bin").write_bytes(data)
        assert said in refusal(path)
    path.with_suffix(".bin").unlink()
    assert "c.bin is not there" in refusal(path)


def test_damaged_text_is_refused_in_a_line(tmp_path: Path) -> None:
    path = save_ncnn_compact(tmp_path / "c.param", compact(2), 2)
    data = path.read_bytes()
    for changed in mutations(data, 4, 150):
        path.write_bytes(changed)
        try:
            importing.read(path)
        except EspcnError as error:
            assert "\n" not in str(error), error


def test_relu_and_others_of_ncnn_s_layers(tmp_path: Path) -> None:
    """A ReLU is a prelu of slope 0; tanh at the end comes before the shift as well as after it."""
    kernel = np.zeros((4, 1, 3, 3), np.float32)
    kernel[:, 0, 1, 1] = [-2, 1, 1, 1]
    lines = [
        "Input in 0 1 data",
        "Convolution a 1 1 data b 0=4 1=3 4=1 5=0 6=36",
        "ReLU r 1 1 b c 0=0.0",
        "Convolution d 1 1 c e 0=4 1=1 5=0 6=16",
        "PixelShuffle s 1 1 e f 0=2",
        "TanH t 1 1 f g",
    ]
    parts: list[NDArray[np.float32] | bytes] = [bytes(4), kernel, bytes(4), np.eye(4, dtype=np.float32)]
    path = save_ncnn(tmp_path / "x.param", lines, parts)
    card, weights = importing.read(path)
    assert weights["body.1.weight"].tolist() == [0.0]
    assert card.settings.last_activation == "tanh"
    x = natural(9, 8)[..., :1]
    [large] = espcn_cli.load(path, engine="torch").engine.upscale([x], 0, 255)
    theirs = by_ncnn(path, x.astype(np.float32).transpose(2, 0, 1) / 255)
    assert np.abs(large.astype(int) - levels(theirs)).max() <= 1
