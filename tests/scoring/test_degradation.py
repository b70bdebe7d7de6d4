"""Ways from HR to LR: clean ones by their kernels, and the camera's by what it does to a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from espcn_cli.maths.resize import crop_to_multiple, degrade
from espcn_cli.scoring import degradation
from espcn_cli.scoring.degradation import DESCRIPTIONS, gaussian, jpeg, make_lr
from espcn_cli.scoring.metrics import psnr
from espcn_cli.settings import DEGRADATIONS


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_settings_name_what_there_is() -> None:
    assert tuple(DESCRIPTIONS) == DEGRADATIONS


@pytest.mark.parametrize("name", DEGRADATIONS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_one_gives_an_8_bit_picture_of_the_right_size(photo: Tensor, name: str, scale: int) -> None:
    hr = crop_to_multiple(photo[..., :50, :63], scale)
    lr = make_lr(hr, scale, name, seeded(1))
    assert lr.shape == (1, 3, hr.shape[2] // scale, hr.shape[3] // scale)
    assert torch.equal((lr * 255).round() / 255, lr)
    assert psnr(lr, degrade(hr, scale)) > 15


def test_area_is_the_mean_of_each_block() -> None:
    block = torch.tensor([[0.0, 100.0], [50.0, 51.0]]).view(1, 1, 2, 2) / 255
    assert float(make_lr(block, 2, "area") * 255) == pytest.approx(
        51
    )  # columns 25 and 75.5 -> 76, their mean 50.5 -> 51


def test_aliased_takes_no_account_of_fine_stripes() -> None:
    """Stripes of one pixel: their mean is grey, but every second sample of them is not."""
    stripes = torch.tensor([0.0, 1.0, 1.0]).repeat(20).expand(1, 1, 12, 60).contiguous()
    clean, aliased = make_lr(stripes, 3), make_lr(stripes, 3, "aliased")
    assert (clean[..., 3:-3] - 2 / 3).abs().max() < 0.08
    assert (aliased[..., 3:-3] - 1).abs().max() < 0.08


def test_the_camera_is_drawn_from_its_generator(photo: Tensor) -> None:
    one, same, other = (make_lr(photo, 2, "camera", seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_cameras_strengths_stay_in_their_ranges(photo: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    sigmas: list[float] = []
    qualities: list[float] = []

    def spy(seen: list[float]) -> Callable[[Tensor, Any], Tensor]:
        def noted(x: Tensor, strength: Any) -> Tensor:
            seen.extend(torch.as_tensor(strength).flatten().tolist())
            return x

        return noted

    monkeypatch.setattr(degradation, "gaussian", spy(sigmas))
    monkeypatch.setattr(degradation, "jpeg", spy(qualities))
    assert degradation.camera(photo.expand(30, -1, -1, -1), 2, seeded(0)).shape == (30, 3, 48, 60)
    assert len(sigmas) == len(qualities) == 30  # each picture has its own
    assert 2 * degradation.BLUR[0] <= min(sigmas) < max(sigmas) <= 2 * degradation.BLUR[1]
    assert degradation.JPEG_QUALITY[0] <= min(qualities) < max(qualities) <= degradation.JPEG_QUALITY[1]


def test_the_blur_keeps_a_constant_and_spreads_an_impulse() -> None:
    assert torch.allclose(gaussian(torch.full((2, 3, 9, 9), 0.3), torch.tensor([1.5, 0.1])), torch.tensor(0.3))
    impulses = torch.zeros(2, 1, 41, 41)
    impulses[..., 20, 20] = 1
    t = torch.arange(41.0) - 20
    for row, sigma in zip(gaussian(impulses, torch.tensor([2.0, 3.0])).sum(dim=2)[:, 0], (2, 3), strict=True):
        assert float((row * t**2).sum()) == pytest.approx(sigma**2, rel=0.01)  # the variance


def test_jpeg_keeps_planes_and_gets_worse_with_less_quality(photo: Tensor) -> None:
    for x in (photo, photo[:, :1]):
        good, bad = jpeg(x, 95), jpeg(x, 30)
        assert good.shape == bad.shape == x.shape
        assert psnr(good, x) > psnr(bad, x) > 20


def test_an_unknown_name_is_refused(photo: Tensor) -> None:
    with pytest.raises(ValueError, match="unknown degradation 'fog'"):
        make_lr(photo, 2, "fog")
