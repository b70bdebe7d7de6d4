"""Own LR beside HR: which belong together, and whether they show the same place."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from making import natural
from PIL import Image

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.maths.resize import degrade
from espcn_cli.scoring.layouts import find_hr_files
from espcn_cli.settings import TrainSettings, architecture
from espcn_cli.training import given_lr
from espcn_cli.training.given_lr import shift
from espcn_cli.training.job import make_job
from espcn_cli.training.patches import load_data
from espcn_cli.training.samples import Cache, Recipe, Reread, key

SIZE = (96, 120)
"""HR rows and columns of a test picture."""


def scene(seed: int = 1) -> torch.Tensor:
    """A picture with some room around what is cut out of it, (1, 160, 200) uint8."""
    return torch.from_numpy(natural(200, 160, seed)[..., :1].copy()).permute(2, 0, 1)


def cut(whole: torch.Tensor, down: int = 0, right: int = 0) -> torch.Tensor:
    return whole[:, 24 + down : 24 + down + SIZE[0], 24 + right : 24 + right + SIZE[1]]


def small(hr: torch.Tensor, scale: int) -> torch.Tensor:
    return (255 * degrade(hr[None].float() / 255, scale)[0]).round().clamp(0, 255).byte()


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("moved", [(0, 0), (1, 0), (0, -2), (-3, 4), (7, -6)])
def test_a_shift_is_found_to_a_tenth_of_a_pixel(scale: int, moved: tuple[int, int]) -> None:
    found = shift(cut(scene()), small(cut(scene(), *moved), scale), scale)
    assert found is not None
    assert found[:2] == pytest.approx([-side / scale for side in moved], abs=0.1)
    assert found[2] > 0.9


def test_contrast_brightness_and_noise_move_nothing() -> None:
    lr = small(cut(scene()), 2).float()
    noise = torch.randn(lr.shape, generator=torch.Generator().manual_seed(0))
    found = shift(cut(scene()), (0.6 * lr + 40 + 4 * noise).clamp(0, 255).byte(), 2)
    assert found is not None
    assert found[:2] == pytest.approx((0, 0), abs=0.1)


def test_flat_pictures_tell_nothing() -> None:
    assert (
        shift(torch.full((1, 40, 40), 9, dtype=torch.uint8), torch.full((1, 20, 20), 9, dtype=torch.uint8), 2) is None
    )


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_nth_pixel_is_taken_as_it_is(scale: int) -> None:
    hr = cut(scene())
    given_lr.check(hr, hr[:, ::scale, ::scale], scale, Path("a"), Path("b"))


def test_a_pair_that_does_not_lie_together_is_named() -> None:
    with pytest.raises(
        EspcnError, match=r"^lr\.png lies 0\.5 pixels to the left and 0\.0 (up|down) of hr\.png at 1/2: al"
    ):
        given_lr.check(cut(scene()), small(cut(scene(), 0, 1), 2), 2, Path("hr.png"), Path("lr.png"))


def test_a_pair_of_two_scenes_is_named() -> None:
    grain = torch.randint(256, (1, 48, 60), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with pytest.raises(EspcnError, match=r"^lr\.png does not show what hr\.png shows"):
        given_lr.check(cut(scene()), grain, 2, Path("hr.png"), Path("lr.png"))


# --- in folders ------------------------------------------------------------------------------------------------------


def save(path: Path, picture: torch.Tensor) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture[0].numpy()).save(path)
    return path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """hr/0.png to 3.png with small/0x2.png to 3x2.png."""
    for number in range(4):
        save(tmp_path / "hr" / f"{number}.png", cut(scene(number)))
        save(tmp_path / "small" / f"{number}x2.png", small(cut(scene(number)), 2))
    return tmp_path / "hr", tmp_path / "small"


def test_pairs_are_found_by_name(folders: tuple[Path, Path]) -> None:
    hr, lr = folders
    (lr / "2x2.png").unlink()
    pairs, alone = given_lr.match(find_hr_files([hr])[0], lr, 2)
    assert {a.name: b.name for a, b in pairs.items()} == {"0.png": "0x2.png", "1.png": "1x2.png", "3.png": "3x2.png"}
    assert [file.line for file in alone] == [f"{hr / '2.png'}: no LR picture of its name in {lr}"]
    assert given_lr.unused(pairs, lr) == []
    save(lr / "else.png", scene())
    assert given_lr.unused(pairs, lr) == [f"{lr} holds 1 LR picture without HR, such as {lr / 'else.png'}"]


def test_a_folder_without_partners_is_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    save(tmp_path / "other" / "9.png", scene())
    with pytest.raises(UsageError, match=r"no LR picture of its name in .*, nor of any other picture"):
        given_lr.match(find_hr_files([folders[0]])[0], tmp_path / "other", 2)


def test_what_is_read_is_what_was_given(folders: tuple[Path, Path]) -> None:
    hr, lr = folders
    dark = small(cut(scene(0)), 2) // 2
    save(lr / "0x2.png", dark)
    recipe = Recipe(2, 1, given={hr / f"{n}.png": lr / f"{n}x2.png" for n in range(4)})
    data = load_data(sorted(hr.iterdir()), recipe, 24)
    assert torch.equal(data.samples[0].pair[1], dark)
    made = load_data(sorted(hr.iterdir()), Recipe(2, 1), 24)
    assert data.fingerprint.items() > made.fingerprint.items()
    assert data.fingerprint["lr_sha256"]


def test_another_lr_is_another_key_and_another_training(folders: tuple[Path, Path]) -> None:
    hr, lr = folders
    given = Recipe(2, 1, given={hr / "0.png": lr / "0x2.png"})
    before, first = key(hr / "0.png", given), load_data([hr / "0.png"], given, 24).fingerprint
    assert before != key(hr / "0.png", Recipe(2, 1))
    assert key(hr / "1.png", given) == key(hr / "1.png", Recipe(2, 1))
    save(lr / "0x2.png", 9 + small(cut(scene(0)), 2) // 2)
    assert key(hr / "0.png", given) != before
    assert load_data([hr / "0.png"], given, 24).fingerprint != first


@pytest.mark.parametrize("kind", ["memory", "disk", "none"])
def test_pairs_of_other_places_and_sizes_are_left_out(folders: tuple[Path, Path], kind: str, tmp_path: Path) -> None:
    hr, lr = folders
    save(lr / "1x2.png", small(cut(scene(1), 3, 0), 2))
    save(lr / "2x2.png", small(cut(scene(2)), 2)[:, :-1])
    recipe = Recipe(2, 1, given={hr / f"{n}.png": lr / f"{n}x2.png" for n in range(4)})
    data = load_data(sorted(hr.iterdir()), recipe, 24, kept=Cache(kind, tmp_path / "cache"))
    assert [sample.path.name for sample in data.samples] == ["0.png", "3.png"]
    assert isinstance(data.samples[0], Reread) == (kind == "none")
    shifted, other = (file.line for file in data.skipped)
    assert "and 1.5 up of" in shifted
    assert "2x2.png: 60 x 47 is not" in other


def test_a_job_knows_its_pairs_and_keeps_lr_out_of_hr(folders: tuple[Path, Path], tmp_path: Path) -> None:
    hr, lr = folders
    (lr / "3x2.png").unlink()
    model = architecture("espcn-s", 2)
    job = make_job([tmp_path], tmp_path / "x.safetensors", "espcn-s", model, TrainSettings(), lr=lr)
    assert [path.name for path in job.pictures] == ["0.png", "1.png", "2.png"]
    assert [file.path.name for file in job.alone] == ["3.png"]
    with pytest.raises(UsageError, match="--lr gives LR, and --degradation says how to make it"):
        make_job([hr], tmp_path / "x.safetensors", "espcn-s", model, TrainSettings(degradation="area"), lr=lr)
    with pytest.raises(UsageError, match="is no folder"):
        make_job([hr], tmp_path / "x.safetensors", "espcn-s", model, TrainSettings(), lr=hr / "0.png")
