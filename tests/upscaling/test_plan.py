"""One picture or many: what becomes what, and what becomes of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from making import natural, save_checkpoint, save_picture
from PIL import Image

from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.maths.resize import interpolate
from espcn_cli.network.espcn import ESPCN
from espcn_cli.settings import ModelSettings
from espcn_cli.upscaling import pipeline
from espcn_cli.upscaling.alpha import bleed
from espcn_cli.upscaling.pipeline import Options, Outcome, Task, plan
from espcn_cli.upscaling.upscaler import Upscaler, load

TINY = ModelSettings(widths=(4,), kernels=(3, 3))


@pytest.fixture
def bicubic() -> Upscaler:
    """An untrained network with the bicubic skip is bicubic upsampling."""
    return Upscaler(TorchEngine(ESPCN(TINY)))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_mode_in_is_mode_out(bicubic: Upscaler, mode: str) -> None:
    image = Image.fromarray(natural(13, 9)).convert(mode)
    result = bicubic(image)
    assert result.mode == mode
    assert result.size == (26, 18)


def test_16_bit_grey_stays_so(bicubic: Upscaler) -> None:
    values = natural(13, 9)[..., 0].astype(np.uint16) * 257 + 5
    result = bicubic(Image.fromarray(values))
    assert result.mode == "I;16"
    assert len(np.unique(np.asarray(result))) > 256


def test_the_library_call_warns_of_what_it_does_not_keep(tmp_path: Path, bicubic: Upscaler) -> None:
    frames = [Image.fromarray(natural(8, 8, seed)) for seed in (0, 1)]
    frames[0].save(tmp_path / "in.gif", save_all=True, append_images=frames[1:])
    with (
        Image.open(tmp_path / "in.gif") as image,
        pytest.warns(UserWarning, match="only the first of 2 frames is used"),
    ):
        assert bicubic(image).size == (16, 16)


def test_a_single_pixel_becomes_a_flat_square(bicubic: Upscaler) -> None:
    result = bicubic(Image.new("RGB", (1, 1), (200, 100, 7)))
    assert list(result.get_flattened_data()) == [(200, 100, 7)] * 4


def test_grey_in_rgb_stays_grey() -> None:
    torch.manual_seed(1)
    network = ESPCN(TINY)
    with torch.no_grad():
        list(network.parameters())[-2].normal_(0, 0.05)
    grey = Image.fromarray(natural(20, 20)).convert("L")
    upscaler = Upscaler(TorchEngine(network))
    as_grey, as_rgb = np.asarray(upscaler(grey)), np.asarray(upscaler(grey.convert("RGB")))
    assert np.ptp(as_rgb, axis=2).max() == 0
    assert np.abs(as_rgb[..., 0].astype(int) - as_grey).max() <= 1


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_fully_opaque_alpha_stays_opaque(width: int, height: int, seed: int) -> None:
    torch.manual_seed(seed)
    network = ESPCN(TINY)
    with torch.no_grad():
        list(network.parameters())[-2].normal_(0, 0.5)
    image = Image.fromarray(natural(width, height, seed)).convert("RGBA")
    assert Upscaler(TorchEngine(network))(image).getchannel("A").getextrema() == (255, 255)


def test_colours_under_transparency_do_not_fringe(bicubic: Upscaler) -> None:
    """A white disc whose transparent surroundings are black: what is visible of the result is white."""
    y, x = np.mgrid[0:24, 0:24]
    disc = ((x - 12) ** 2 + (y - 12) ** 2 < 64)[..., None]
    image = Image.fromarray(np.where(disc, [255, 255, 255, 255], [0, 0, 0, 0]).astype(np.uint8))
    result = np.asarray(bicubic(image))
    visible = result[..., 3] > 0
    assert visible.sum() > disc.sum()
    assert result[visible][:, :3].min() == 255


def test_bleed_reaches_as_far_as_asked() -> None:
    alpha = np.array([255, 0, 0, 0, 0, 0, 0], np.uint8).reshape(1, 7, 1)
    assert bleed(alpha.repeat(3, axis=2), alpha, 3)[0, :, 0].tolist() == [255, 255, 255, 255, 0, 0, 0]


def test_tensors_in_tensors_out(bicubic: Upscaler) -> None:
    x = torch.rand(2, 3, 7, 5)
    assert (bicubic.upscale(x) - interpolate(x, 2).clamp(0, 1)).abs().max() < 1e-6


def test_load_checks_the_scale(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "tiny.safetensors")
    assert load(str(path)).scale == 2
    with pytest.raises(EspcnError, match="upscales by 2, not by 3"):
        load(str(path), 3)


# --- what becomes what ---------------------------------------------------------------------------------------------


def test_file_to_file(tmp_path: Path) -> None:
    source = save_picture(tmp_path / "a.png")
    assert plan([source], tmp_path / "b.webp") == [Task(source, tmp_path / "b.webp")]


def test_files_and_folders_to_a_folder_keep_names_and_tree(tmp_path: Path) -> None:
    one = save_picture(tmp_path / "one.jpg")
    two = save_picture(tmp_path / "in" / "two.png")
    three = save_picture(tmp_path / "in" / "deep" / "three.png")
    out = tmp_path / "out"
    flat = plan([one, tmp_path / "in"], out)
    assert flat == [Task(one, out / "one.jpg"), Task(two, out / "two.png")]
    deep = plan([tmp_path / "in"], out, recursive=True)
    assert {task.output for task in deep} == {out / "two.png", out / "deep" / "three.png"}
    assert three in {task.source for task in deep}


def test_a_format_without_a_writer_becomes_png_and_f_decides_otherwise(tmp_path: Path) -> None:
    source = save_picture(tmp_path / "a.b.png")
    assert plan([source], tmp_path / "out", suffix=".webp") == [Task(source, tmp_path / "out" / "a.b.webp")]
    odd = tmp_path / "scan.psd"
    odd.touch()
    (tmp_path / "out").mkdir()
    assert plan([odd], tmp_path / "out") == [Task(odd, tmp_path / "out" / "scan.png")]


def test_a_format_that_cannot_be_written_or_is_not_the_file_s_is_refused_before_the_work(tmp_path: Path) -> None:
    source = save_picture(tmp_path / "a.png")
    with pytest.raises(UsageError, match=r"-f \.xyz: cannot write \.xyz"):
        plan([source], tmp_path / "out", suffix=".xyz")
    with pytest.raises(UsageError, match=r"b\.png and -f \.webp name different formats"):
        plan([source], tmp_path / "b.png", suffix=".webp")
    assert plan([source], tmp_path / "b.jpeg", suffix=".jpg") == [Task(source, tmp_path / "b.jpeg")]


def test_a_missing_source_is_an_outcome_and_the_others_go_on(tmp_path: Path) -> None:
    source = save_picture(tmp_path / "a.png")
    gone, task = plan([tmp_path / "nope.png", source], tmp_path / "out")
    assert isinstance(gone, Outcome)
    assert gone.error is not None
    assert "nope.png: no such file" in gone.error
    assert isinstance(task, Task)


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    source = save_picture(tmp_path / "a.png")
    (tmp_path / "link.png").symlink_to(source)
    for destination in (source, tmp_path / "link.png", tmp_path):
        with pytest.raises(UsageError, match="is an input and would be overwritten"):
            plan([source], destination)


def test_two_pictures_never_become_one_file(tmp_path: Path) -> None:
    first, second = save_picture(tmp_path / "x" / "a.png"), save_picture(tmp_path / "y" / "a.png")
    with pytest.raises(UsageError, match="would both become"):
        plan([first, second], tmp_path / "out")
    save_picture(tmp_path / "x" / "a.jpg")
    with pytest.raises(UsageError, match="would both become"):
        plan([tmp_path / "x"], tmp_path / "out", suffix=".png")


def test_destinations_that_do_not_suit_are_refused(tmp_path: Path) -> None:
    first, second = save_picture(tmp_path / "x" / "a.png"), save_picture(tmp_path / "x" / "b.png")
    for destination in (save_picture(tmp_path / "exists.png"), tmp_path / "new.png"):
        with pytest.raises(UsageError, match="need a folder"):
            plan([first, second], destination)
        with pytest.raises(UsageError, match="need a folder"):
            plan([tmp_path / "x"], destination)
    with pytest.raises(UsageError, match="lies inside"):
        plan([tmp_path / "x"], tmp_path / "x" / "out", recursive=True)
    with pytest.raises(EspcnError, match="no folder"):
        plan([first], tmp_path / "nowhere" / "a.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EspcnError, match="no pictures in"):
        plan([tmp_path / "empty"], tmp_path / "out")


# --- what becomes of each ------------------------------------------------------------------------------------------


def test_a_batch_goes_on_past_a_bad_file_in_order(tmp_path: Path, bicubic: Upscaler) -> None:
    for index in range(5):
        save_picture(tmp_path / "in" / f"{index}.png", seed=index)
    (tmp_path / "in" / "2.png").write_bytes(b"broken")
    outcomes = list(pipeline.run(bicubic, plan([tmp_path / "in"], tmp_path / "out")))
    assert [outcome.source.name for outcome in outcomes] == [f"{index}.png" for index in range(5)]
    assert [outcome.error is None for outcome in outcomes] == [True, True, False, True, True]
    assert outcomes[0].size == (24, 18)
    assert outcomes[0].output_size == (48, 36)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png", "3.png", "4.png"]


def test_existing_outputs_are_skipped_without_being_read(tmp_path: Path, bicubic: Upscaler) -> None:
    save_picture(tmp_path / "in" / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"mine")
    [outcome] = pipeline.run(bicubic, plan([tmp_path / "in"], tmp_path / "out"), Options(skip_existing=True))
    assert outcome.error is None
    assert outcome.output_size is None
    assert (tmp_path / "out" / "a.png").read_bytes() == b"mine"


def test_batch_equals_one_by_one(tmp_path: Path) -> None:
    upscaler = load(str(save_checkpoint(tmp_path / "tiny.safetensors")))
    for index in range(3):
        save_picture(tmp_path / "in" / f"{index}.png", 20 + index, 15, seed=index)
    list(pipeline.run(upscaler, plan([tmp_path / "in"], tmp_path / "out")))
    for index in range(3):
        with (
            Image.open(tmp_path / "in" / f"{index}.png") as image,
            Image.open(tmp_path / "out" / f"{index}.png") as out,
        ):
            assert np.array_equal(np.asarray(upscaler(image)), np.asarray(out))
