"""A dry run: what it expects is what a run does, and its memory counts all that a file holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from making import natural, save_picture
from PIL import Image

from espcn_cli.upscaling import sizes
from espcn_cli.upscaling.outcome import Outcome, Task
from espcn_cli.upscaling.pipeline import Options, run
from espcn_cli.upscaling.plan import plan
from espcn_cli.upscaling.preview import WORKING_MEMORY, preview
from espcn_cli.upscaling.upscaler import Upscaler


def pixels_held(upscaler: Upscaler, source: Path, options: Options | None = None) -> int:
    """Bytes of the pixels before and after."""
    [outcome] = preview(upscaler, [Task(source, source.with_suffix(".tif"))], options or Options())
    assert outcome.memory is not None
    return outcome.memory - WORKING_MEMORY


def test_memory_is_of_the_pixels_before_and_after(tmp_path: Path, bicubic: Upscaler) -> None:
    source = save_picture(tmp_path / "a.png", 24, 18)
    assert pixels_held(bicubic, source) == 4 * 24 * 18 * (1 + 4)
    assert pixels_held(bicubic, source, Options(size=sizes.parse("240x"))) == 4 * 24 * 18 * (1 + 100)
    assert pixels_held(bicubic, save_picture(tmp_path / "grey.png", 24, 18, mode="L")) == 24 * 18 * (1 + 4)


def test_memory_is_of_every_frame_and_page(tmp_path: Path, bicubic: Upscaler) -> None:
    frames = [Image.fromarray(natural(24, 18, seed)) for seed in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    assert pixels_held(bicubic, tmp_path / "a.gif") == 3 * 4 * 24 * 18 * (1 + 4)
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=[Image.new("RGB", (240, 18))])
    assert pixels_held(bicubic, tmp_path / "a.tif") == 11 * 4 * 24 * 18 * (1 + 4)


def test_memory_is_of_16_bits_where_they_are_kept(tmp_path: Path, bicubic: Upscaler) -> None:
    Image.fromarray(natural(24, 18)[..., 0].astype(np.uint16) * 257).save(tmp_path / "a.png")
    assert pixels_held(bicubic, tmp_path / "a.png") == 2 * 24 * 18 * (1 + 4)
    assert pixels_held(bicubic, tmp_path / "a.png", Options(depth=8)) == 24 * 18 * (1 + 4)


def test_seconds_are_of_every_frame(tmp_path: Path, bicubic: Upscaler) -> None:
    frames = [Image.fromarray(natural(24, 18, seed)) for seed in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    frames[0].save(tmp_path / "b.gif")
    first, second = preview(bicubic, plan([tmp_path], tmp_path / "out"), Options())
    assert first.seconds == pytest.approx(3 * second.seconds)
    assert second.seconds > 0


@pytest.mark.parametrize("options", [Options(), Options(size=sizes.parse("60x")), Options(skip_existing=True)])
def test_a_run_does_what_was_expected(tmp_path: Path, bicubic: Upscaler, options: Options) -> None:
    for name in ("a.png", "b.jpg", "c.webp"):
        save_picture(tmp_path / "in" / name)
    (tmp_path / "in" / "bad.png").write_text("no picture")
    Image.new("L", (9000, 1)).save(tmp_path / "in" / "wide.webp")
    save_picture(tmp_path / "out" / "b.jpg")
    tasks = plan([tmp_path / "in", tmp_path / "gone"], tmp_path / "out")
    options = replace(options, max_output=40_000)

    def essence(outcome: Outcome) -> Outcome:
        return replace(outcome, seconds=0.0, memory=None, warnings=())

    expected = {outcome.task.source.name: essence(outcome) for outcome in preview(bicubic, tasks, options)}
    done = {outcome.task.source.name: essence(outcome) for outcome in run(bicubic, tasks, options)}
    assert expected == done
    assert {name for name, outcome in done.items() if outcome.error} >= {"gone", "bad.png"}
    assert (done["wide.webp"].error is None) == (options.size is not None)
