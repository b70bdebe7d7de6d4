"""The scoring protocol against an independent short computation, and what cannot be scored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import structural_similarity
from torch import Tensor

from espcn_cli.engines.engine import NotFiniteError
from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.errors import EspcnError
from espcn_cli.maths.resize import crop_to_multiple, degrade, interpolate
from espcn_cli.network.espcn import ESPCN
from espcn_cli.scoring import evaluation
from espcn_cli.scoring.evaluation import PROTOCOLS, Pair, describe, evaluate, interpolation, make_pair, score
from espcn_cli.scoring.metrics import HIGHEST_PSNR
from espcn_cli.scoring.table import Score
from espcn_cli.settings import SCALES, ModelSettings

Array = NDArray[Any]


def save_png(path: Path, x: Tensor) -> Path:
    array = (x[0] * 255).round().byte().permute(1, 2, 0).numpy()
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array).save(path)
    return path


def luma_of(picture: Array) -> Array:
    """Y of an (H, W, 3) picture in 0..255: 16 + (65.481 R + 128.553 G + 24.966 B)/255."""
    result: Array = 16 + picture @ np.array([65.481, 128.553, 24.966]) / 255
    return result


def independent_score(sr: Tensor, hr: Tensor, border: int, protocol: str) -> tuple[float, float]:
    """The protocol in NumPy and scikit-image, straight from its description, in 0..255."""

    def eight_bit(x: Array) -> Array:
        return np.clip(np.floor(x + 0.5), 0, 255)

    a: Array
    b: Array
    a, b = (x[0].permute(1, 2, 0).numpy() * np.float32(255) for x in (sr, hr))
    if protocol != "plane":
        a, b = eight_bit(a), eight_bit(b)
    if protocol != "rgb":
        full = np.array([0.299, 0.587, 0.114])
        of_colours = (lambda x: x @ full) if protocol == "full-range" else luma_of
        a, b = (of_colours(x)[..., None] if x.shape[-1] == 3 else x.astype(np.float64) for x in (a, b))
    if protocol == "plane":
        a, b = eight_bit(a), eight_bit(b)
    a, b = a[border:-border, border:-border].astype(float), b[border:-border, border:-border].astype(float)
    _, similarity = structural_similarity(  # type: ignore[no-untyped-call]
        a,
        b,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
        channel_axis=2,
    )
    return float(10 * np.log10(255**2 / np.mean((a - b) ** 2))), float(similarity[5:-5, 5:-5].mean())


# --- scores ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("planes", [1, 3])
def test_a_score_is_the_independent_computations(planes: int, scale: int, protocol: str, photo: Tensor) -> None:
    hr = photo[:, :planes]
    sr = interpolate(degrade(hr, scale), scale)
    assert score(sr, hr, scale, protocol) == pytest.approx(independent_score(sr, hr, scale, protocol), abs=2e-5)


def test_one_level_off_by_hand() -> None:
    """A grey picture one level too bright everywhere: 48.13 dB, its own luma in every protocol."""
    hr = torch.full((1, 1, 20, 20), 100 / 255)
    for protocol in PROTOCOLS:
        assert score(hr + 1 / 255, hr, 2, protocol)[0] == pytest.approx(48.1308, abs=1e-3)


def test_one_level_off_in_rgb_counts_as_219_of_255() -> None:
    """The weights sum to 219/255 in studio range: 48.1308 + 20 log10(255/219) = 49.453 dB."""
    hr = torch.full((1, 3, 20, 20), 100 / 255)
    assert score(hr + 1 / 255, hr, 2)[0] == pytest.approx(48.1308 + 20 * np.log10(255 / 219), abs=1e-3)


def test_the_output_is_rounded_to_8_bits_before_it_is_scored(photo: Tensor) -> None:
    assert score(photo + 0.4 / 255, photo, 2) == pytest.approx((HIGHEST_PSNR, 1))


def test_what_lies_outside_the_range_is_clipped_before_it_is_scored() -> None:
    hr = torch.ones(1, 3, 20, 20)
    assert score(hr + 0.5, hr, 2)[0] == HIGHEST_PSNR


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("grey", [0.0, 1.0, 100 / 255])
def test_equal_flat_pictures_score_what_8_bits_can_tell(grey: float, protocol: str) -> None:
    flat = torch.full((1, 3, 20, 20), grey)
    assert score(flat, flat, 2, protocol) == pytest.approx((58.9226, 1), abs=1e-4)


def test_one_pixel_of_a_thousand_counts_no_more_than_8_bits_can_tell() -> None:
    """48.13 + 30.10 dB are more than 58.92; one pixel of five is 48.13 + 6.99 and stays as it is."""
    hr = torch.full((1, 1, 36, 36), 100 / 255)
    few, many = hr.clone(), hr.clone()
    few[..., 2, 2] = many[..., ::5] = 101 / 255
    assert score(few, hr, 2)[0] == HIGHEST_PSNR
    assert score(many, hr, 3)[0] == pytest.approx(48.1308 + 10 * np.log10(5), abs=1e-3)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_picture_that_holds_nan_has_no_score(photo: Tensor, protocol: str) -> None:
    """A comparison that NaN loses would make it perfect."""
    broken = photo.clone()
    broken[..., 40, 40] = torch.nan
    with pytest.raises(NotFiniteError, match="holds NaN"):
        score(broken, photo, 2, protocol)
    with pytest.raises(NotFiniteError):
        evaluate(lambda lr: broken, [Pair("photo", degrade(photo, 2), photo)], 2)


def test_the_border_is_left_out(photo: Tensor) -> None:
    sr = photo.clone()
    sr[..., :3, :] = sr[..., -3:, :] = sr[..., :3] = sr[..., -3:] = 0
    assert score(sr, photo, 3)[0] == HIGHEST_PSNR
    assert score(sr, photo, 2)[0] < 40


@pytest.mark.parametrize("scale", SCALES)
def test_the_two_protocols_differ_by_a_few_hundredths_of_a_db(scale: int, photo: Tensor) -> None:
    sr = interpolate(degrade(photo, scale), scale)
    picture, plane = (score(sr, photo, scale, protocol)[0] for protocol in ("picture", "plane"))
    assert picture != plane
    assert picture == pytest.approx(plane, abs=0.03)


@pytest.mark.parametrize("scale", SCALES)
def test_the_two_protocols_differ_by_at_most_0_03_db_on_set5(
    scale: int, shared_data: Path, read_png: Callable[[Path], Tensor]
) -> None:
    hrs = [crop_to_multiple(read_png(p), scale) for p in sorted((shared_data / "benchmarks/Set5/HR").glob("*.png"))]
    pairs = [Pair("", degrade(hr, scale), hr) for hr in hrs]
    means = [
        fmean(s.psnr for s in evaluate(interpolation("bicubic", scale), pairs, scale, protocol))
        for protocol in ("picture", "plane")
    ]
    assert means[0] == pytest.approx(means[1], abs=0.03)


def test_what_each_protocol_changes_alone(photo: Tensor) -> None:
    """RGB counts all colours, luma of full range is 255/219 times the studio's, and without a border more counts."""
    sr = photo.clone()
    sr[..., 0, :, :] += 9 / 255
    sr = sr.clamp(0, 1)
    of = {protocol: evaluation.score_picture("a", sr, photo, 2, protocol) for protocol in PROTOCOLS}
    assert of["rgb"].psnr == of["picture"].psnr_rgb != of["picture"].psnr
    assert of["rgb"].psnr < of["picture"].psnr
    assert of["rgb"].psnr_rgb is None
    assert of["picture"].psnr - of["full-range"].psnr == pytest.approx(20 * np.log10(0.299 * 255 / 65.481), abs=1e-3)
    assert of["no-shave"].psnr == score(sr, photo, 0)[0] != of["picture"].psnr
    assert "no px border" in describe("no-shave", 2) and "2 px border" in describe("rgb", 2)
    assert evaluation.score_picture("a", sr[:, :1], photo[:, :1], 2).psnr_rgb is None, "grey has no colours"


def test_an_unknown_protocol_is_refused(photo: Tensor) -> None:
    with pytest.raises(ValueError, match="unknown protocol 'best'; there are picture, plane"):
        score(photo, photo, 2, "best")


# --- methods over pictures -------------------------------------------------------------------------------------------


def test_evaluate_scores_every_pair_in_order_under_its_name(photo: Tensor) -> None:
    pairs = [Pair(name, degrade(hr, 2), hr) for name, hr in (("b", photo), ("a", photo[:, :1]))]
    scores = evaluate(interpolation("bicubic", 2), pairs, 2)
    assert [s.name for s in scores] == ["b", "a"]
    expected = score(interpolate(pairs[0].lr, 2), photo, 2)
    assert (scores[0].psnr, scores[0].ssim) == expected


def test_the_mean_is_over_pictures() -> None:
    assert evaluation.mean([Score("a", 30.0, 0.9), Score("b", 40.0, 0.7)]) == pytest.approx((35.0, 0.8))


@pytest.mark.parametrize("scale", SCALES)
def test_an_untrained_network_scores_as_bicubic(scale: int, photo: Tensor) -> None:
    """One level more or less where a rounding tie falls: the same to a thousandth of a dB."""
    pairs = [Pair("photo", degrade(photo, scale), photo)]
    engine = TorchEngine(ESPCN(ModelSettings(scale=scale, widths=(4,), kernels=(3, 3))))
    ours, bicubic = (
        evaluate(method, pairs, scale)[0] for method in (evaluation.network(engine), interpolation("bicubic", scale))
    )
    assert (ours.psnr, ours.ssim) == pytest.approx((bicubic.psnr, bicubic.ssim), abs=1e-3)


def test_the_protocol_line_says_all_that_moves_the_numbers() -> None:
    line = describe("picture", 3)
    for fact in (
        "x3",
        "MATLAB bicubic",
        "8-bit output picture",
        "BT.601",
        "16-235",
        "3 px border",
        "peak 255",
        "at most 58.92 dB",
        "11x11",
    ):
        assert fact in line
    assert "given LR files" in describe("plane", 3, lr_given=True)
    assert "\n" not in line


# --- pairs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
def test_a_pair_is_the_cropped_picture_and_its_degradation(scale: int, tmp_path: Path, photo: Tensor) -> None:
    hr = photo[..., :95, :119]
    pair = make_pair(save_png(tmp_path / "some.photo.png", hr), scale)
    assert pair.name == "some.photo"
    assert torch.equal(pair.hr, crop_to_multiple(hr, scale))
    assert torch.equal(pair.lr, degrade(pair.hr, scale))


def test_grey_files_stay_one_plane_and_are_their_own_luma(tmp_path: Path, photo: Tensor) -> None:
    """Forced through RGB they would score 1.32 dB more: 20 log10(255/219)."""
    grey = photo[:, 1:2]
    pair = make_pair(save_png(tmp_path / "grey.png", grey), 2)
    assert pair.hr.shape[1] == pair.lr.shape[1] == 1
    own = evaluate(interpolation("bicubic", 2), [pair], 2)[0].psnr
    forced = Pair("", pair.lr.expand(-1, 3, -1, -1), pair.hr.expand(-1, 3, -1, -1))
    as_rgb = evaluate(interpolation("bicubic", 2), [forced], 2)[0].psnr
    assert as_rgb - own == pytest.approx(20 * np.log10(255 / 219), abs=1e-3)


def test_given_lr_files_are_used_as_they_are(tmp_path: Path, photo: Tensor) -> None:
    lr = torch.zeros(1, 3, 48, 60)
    save_png(tmp_path / "lr" / "a.png", lr)
    pair = make_pair(save_png(tmp_path / "a.png", photo), 2, tmp_path / "lr" / "a.png")
    assert torch.equal(pair.lr, lr)
    assert torch.equal(pair.hr, photo)


@pytest.mark.parametrize(
    "lr_shape",
    [(1, 3, 47, 60), (1, 3, 48, 61), (1, 3, 96, 120), (1, 3, 32, 40), (1, 1, 48, 60)],
)
def test_an_lr_file_that_does_not_fit_is_named(lr_shape: tuple[int, ...], tmp_path: Path, photo: Tensor) -> None:
    lr = save_png(tmp_path / "lr" / "a.png", torch.zeros(lr_shape))
    with pytest.raises(EspcnError) as caught:
        make_pair(save_png(tmp_path / "a.png", photo), 2, lr)
    message = str(caught.value)
    assert str(lr) in message and "a.png (120 x 96, 3 planes) at 1/2" in message
    assert f"{lr_shape[3]} x {lr_shape[2]}" in message
    assert "\n" not in message


@pytest.mark.parametrize("scale", SCALES)
def test_a_picture_must_hold_one_ssim_window_inside_the_border(scale: int, tmp_path: Path, photo: Tensor) -> None:
    least = -(-(11 + 2 * scale) // scale) * scale  # the next multiple of the scale
    pair = make_pair(save_png(tmp_path / "enough.png", photo[..., :least, :least]), scale)
    assert evaluate(interpolation("bicubic", scale), [pair], scale)[0].psnr > 10
    for height, width in ((least - 1, 60), (60, least - 1), (1, 1)):
        path = save_png(tmp_path / "small.png", photo[..., :height, :width])
        with pytest.raises(EspcnError, match=f"too few to score at x{scale}"):
            make_pair(path, scale)


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "text.png"
    path.write_text("not a picture")
    with pytest.raises(EspcnError, match=r"text\.png: not a picture"):
        make_pair(path, 2)
