"""MATLAB's imresize: the formula in exact fractions, published weights, Pillow, and the canonical LR files.

How to make the golden values again: `keys` and `resize_line` below are the formula, one pixel at a time, in exact
fractions, and share nothing with the module. The dB figures are those of the project's issue for bicubic with 8-bit
output and unrounded luma, measured on the benchmark pictures whose LR files came from MATLAB.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from espcn_cli.maths.resize import KERNELS, contributions, crop_to_multiple, degrade, interpolate, resize

METHODS = list(KERNELS)


def keys(t: Fraction) -> Fraction:
    """Keys 1981, a = -1/2."""
    t = abs(t)
    if t <= 1:
        return Fraction(3, 2) * t**3 - Fraction(5, 2) * t**2 + 1
    if t <= 2:
        return -Fraction(1, 2) * t**3 + Fraction(5, 2) * t**2 - 4 * t + 2
    return Fraction(0)


def resize_line(line: list[int], target: int, mirrored: bool = False) -> list[Fraction]:
    """imresize of one row: centres at half-integers, the kernel widened when shrinking, weights summing to 1."""
    length = len(line)
    factor = Fraction(target, length)
    shrink = min(factor, Fraction(1))
    out = []
    for j in range(target):
        centre = (j + Fraction(1, 2)) / factor - Fraction(1, 2)
        total = norm = Fraction(0)
        for i in range(math.floor(centre - 2 / shrink), math.ceil(centre + 2 / shrink) + 1):
            weight = keys((centre - i) * shrink)
            inside = i % (2 * length) if mirrored else min(max(i, 0), length - 1)
            total += weight * line[inside if inside < length else 2 * length - 1 - inside]
            norm += weight
        out.append(total / norm)
    return out


def to_byte(value: Fraction) -> int:
    return min(max(math.floor(value + Fraction(1, 2)), 0), 255)


def row(values: list[int]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)


lines = st.lists(st.integers(0, 255), min_size=1, max_size=12)


# --- the formula -----------------------------------------------------------------------------------------------------


@given(line=lines, target=st.integers(1, 30), border=st.sampled_from(["clamp", "mirror"]))
def test_any_row_to_any_length_is_the_formula(line: list[int], target: int, border: str) -> None:
    expected = [float(v) for v in resize_line(line, target, border == "mirror")]
    result = resize(row(line), 1, target, border=border)
    assert result.flatten().tolist() == pytest.approx(expected, abs=1e-10)


@given(line=lines, target=st.integers(1, 30))
def test_columns_are_resized_as_rows_are(line: list[int], target: int) -> None:
    x = row(line)
    assert torch.equal(resize(x.mT, target, 1), resize(x, 1, target).mT)


def test_an_impulse_shows_the_published_weights_of_doubling() -> None:
    """Keys at 1/4, 3/4, 5/4, 7/4: 111, 29, -9, -3 of 128."""
    spread = resize(row([0, 0, 0, 128, 0, 0, 0]), 1, 14)
    assert spread.flatten().tolist() == [0, 0, 0, -3, -9, 29, 111, 111, 29, -9, -3, 0, 0, 0]


def test_an_impulse_shows_the_published_weights_of_halving() -> None:
    """The kernel twice as wide and half as high: -3, -9, 29, 111, 111, 29, -9, -3 of 256."""
    at = [resize(row([256 * (i == p) for i in range(12)]), 1, 6)[0, 0, 0, 2].item() for p in range(12)]
    assert at == [0, -3, -9, 29, 111, 111, 29, -9, -3, 0, 0, 0]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_ramp_stays_a_ramp_away_from_the_border(scale: int) -> None:
    """Keys' kernel reproduces straight lines: HR pixel j shows (j + 1/2)/r - 1/2, LR pixel j shows r(j + 1/2) - 1/2."""
    larger = resize(row(list(range(12))), 1, 12 * scale).flatten()
    expected = [(j + 0.5) / scale - 0.5 for j in range(12 * scale)]
    assert larger[2 * scale : -2 * scale].tolist() == pytest.approx(expected[2 * scale : -2 * scale], abs=1e-12)
    smaller = resize(row(list(range(12 * scale))), 1, 12).flatten()
    assert smaller[2:-2].tolist() == pytest.approx([scale * (j + 0.5) - 0.5 for j in range(2, 10)], abs=1e-12)


def test_without_antialiasing_halving_takes_four_pixels_only() -> None:
    """Half-way between pixels: (-1, 9, 9, -1)/16."""
    weights, _ = contributions(12, 6, antialias=False)
    assert weights[2].tolist() == [-1 / 16, 9 / 16, 9 / 16, -1 / 16]


@pytest.mark.parametrize("method", METHODS)
def test_the_same_size_is_the_same_picture(method: str, photo: Tensor) -> None:
    torch.testing.assert_close(resize(photo, 96, 120, method), photo, atol=1e-7, rtol=0)


@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    target=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    level=st.integers(0, 255),
    method=st.sampled_from(METHODS),
    border=st.sampled_from(["clamp", "mirror"]),
    levels=st.sampled_from([None, 255]),
)
def test_a_constant_survives(
    height: int, width: int, target: tuple[int, int], level: int, method: str, border: str, levels: int | None
) -> None:
    x = torch.full((1, 2, height, width), level / 255)
    assert torch.equal(
        resize(x, *target, method, border=border, levels=levels), torch.full((1, 2, *target), level / 255)
    )


@given(length=st.integers(1, 40), target=st.integers(1, 40), method=st.sampled_from(METHODS))
def test_weights_sum_to_one_and_indices_lie_in_the_picture(length: int, target: int, method: str) -> None:
    for border in ("clamp", "mirror"):
        weights, indices = contributions(length, target, method, border)
        assert weights.shape == indices.shape == (target, weights.shape[1])
        assert weights.sum(axis=1).tolist() == pytest.approx([1] * target)
        assert 0 <= indices.min() <= indices.max() < length


def test_mirror_repeats_the_edge_pixel_and_turns_round() -> None:
    """MATLAB's symmetric extension: ... 2 1 | 1 2 3 | 3 2 1 | 1 2 ..."""
    _, indices = contributions(3, 12, border="mirror")
    assert indices[0].tolist() == [1, 0, 0, 1]
    assert indices[-1].tolist() == [1, 2, 2, 1]


@pytest.mark.parametrize(
    ("method", "filter_", "reach"),
    [
        ("bicubic", Image.Resampling.BICUBIC, 2),
        ("lanczos", Image.Resampling.LANCZOS, 3),
        ("bilinear", Image.Resampling.BILINEAR, 1),
    ],
)
@pytest.mark.parametrize("width", [40, 60, 75, 160, 240, 360, 480])
def test_pillow_agrees_away_from_the_border(
    method: str, filter_: Image.Resampling, reach: int, width: int, photo: Tensor
) -> None:
    """Pillow's own antialiased resize in floating point; at the border it cuts its kernel off instead of clamping."""
    height = width * 4 // 5
    theirs = np.array(Image.fromarray(photo[0, 0].numpy()).resize((width, height), filter_))
    ours = resize(photo[:, :1], height, width, method)[0, 0].numpy()
    edge = math.ceil(reach * max(width / 120, 1)) + 1
    inner = slice(edge, -edge)
    assert np.abs(ours - theirs)[inner, inner].max() < 2e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_and_planes_are_kept(dtype: torch.dtype) -> None:
    out = resize(torch.rand(2, 3, 5, 6).to(dtype), 7, 4)
    assert (out.dtype, out.shape) == (dtype, (2, 3, 7, 4))


def test_planes_and_pictures_do_not_mix(photo: Tensor) -> None:
    batch = torch.cat([photo, photo.flip(1)])
    together = resize(batch, 31, 47)
    for n in range(2):
        for c in range(3):
            assert torch.equal(together[n : n + 1, c : c + 1], resize(batch[n : n + 1, c : c + 1], 31, 47))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_area_shrinking_is_the_mean_of_each_block(scale: int, photo: Tensor) -> None:
    blocks = torch.nn.functional.avg_pool2d(photo, scale)
    torch.testing.assert_close(resize(photo, 96 // scale, 120 // scale, "area"), blocks, atol=1e-6, rtol=0)


# --- 8 bits, and the degradation -------------------------------------------------------------------------------------


@given(size=st.tuples(st.integers(1, 4), st.integers(1, 4)), scale=st.sampled_from([2, 4]), seed=st.integers(0, 10_000))
def test_degrade_is_the_formula_rows_first_rounded_after_each_pass(
    size: tuple[int, int], scale: int, seed: int
) -> None:
    """For ×2 and ×4 all weights are binary fractions, so that even ties must come out as the formula says: up."""
    hr = np.random.default_rng(seed).integers(0, 256, (size[0] * scale, size[1] * scale))
    columns = [[to_byte(v) for v in resize_line(column.tolist(), size[0])] for column in hr.T]
    expected = [[to_byte(v) for v in resize_line(list(line), size[1])] for line in zip(*columns, strict=True)]
    lr = degrade(torch.from_numpy(hr)[None, None].float() / 255, scale)
    assert (lr[0, 0].double() * 255).round().long().tolist() == expected


def test_ties_go_up_not_to_even() -> None:
    """Halving: (111·192 + 111·192)/256 = 166.5."""
    hr = torch.zeros(1, 1, 2, 12)
    hr[..., 4:6] = 192 / 255
    assert degrade(hr, 2)[0, 0, 0, 2].item() * 255 == pytest.approx(167)


def test_rounding_after_each_pass_is_not_rounding_once(photo: Tensor) -> None:
    """The order and the rounding matter, which is why they are pinned: each changes some pixels by one level."""
    exact = degrade(photo, 2) * 255
    once = (resize(photo, 48, 60) * 255).add(0.5).floor().clamp(0, 255)
    columns_first = degrade(photo.mT, 2).mT * 255
    for other in (once, columns_first):
        difference = (exact - other).abs()
        assert 0.5 < difference.max() < 1.5
        assert (difference > 0.5).float().mean() < 0.3


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_degrade_gives_an_8_bit_picture(scale: int, photo: Tensor) -> None:
    lr = degrade(photo, scale)
    assert lr.shape == (1, 3, 96 // scale, 120 // scale)
    assert torch.equal((lr * 255).round() / 255, lr)
    assert 0 <= lr.min() <= lr.max() <= 1


def test_overshoot_is_clipped_in_8_bits_and_kept_without() -> None:
    edge = torch.zeros(1, 1, 8, 8)
    edge[..., 4:] = 1
    loose, tight = resize(edge, 16, 16), resize(edge, 16, 16, levels=255)
    assert loose.min() < -0.01 and loose.max() > 1.01
    assert tight.min() == 0 and tight.max() == 1


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_mirrored_border_differs_in_the_outer_two_lr_pixels_only(scale: int, photo: Tensor) -> None:
    """LR pixel j looks 2r HR pixels around r(j + 1/2): past the edge for j = 0 and 1 alone."""
    clamped, mirrored = degrade(photo, scale), degrade(photo, scale, border="mirror")
    assert torch.equal(clamped[..., 2:-2, 2:-2], mirrored[..., 2:-2, 2:-2])
    assert not torch.equal(clamped, mirrored)


@pytest.mark.parametrize(("height", "width", "scale"), [(8, 9, 2), (9, 8, 2), (8, 9, 3), (10, 8, 4)])
def test_degrade_refuses_a_size_that_does_not_divide(height: int, width: int, scale: int) -> None:
    with pytest.raises(ValueError, match=f"{width} x {height} does not divide by {scale}: crop first"):
        degrade(torch.zeros(1, 3, height, width), scale)


def test_crop_to_multiple_cuts_right_and_bottom() -> None:
    x = torch.arange(35).view(1, 1, 5, 7)
    assert torch.equal(crop_to_multiple(x, 3), x[..., :3, :6])
    assert torch.equal(crop_to_multiple(x, 1), x)
    assert crop_to_multiple(x, 8).numel() == 0


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_interpolate_is_a_resize_by_an_exact_factor(scale: int, photo: Tensor) -> None:
    assert torch.equal(interpolate(photo, scale, "lanczos"), resize(photo, 96 * scale, 120 * scale, "lanczos"))


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (-1, 4)])
def test_an_empty_target_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="cannot resize 3 pixels to"):
        resize(torch.zeros(1, 1, 3, 3), *size)


def test_unknown_methods_borders_and_shapes_are_refused() -> None:
    x = torch.zeros(1, 1, 3, 3)
    with pytest.raises(ValueError, match="unknown method 'cubic'"):
        resize(x, 6, 6, "cubic")
    for border in ("reflect", "beyond"):
        with pytest.raises(ValueError, match=f"border '{border}'"):
            resize(x, 6, 6, border=border)
    with pytest.raises(ValueError, match="resize needs"):
        resize(x[0], 6, 6)


def test_beyond_a_border_that_wraps_is_the_opposite_side() -> None:
    x = torch.rand(1, 2, 6, 8, dtype=torch.float64)
    for height, width in ((9, 12), (3, 4), (6, 20)):
        middle = resize(x.repeat(1, 1, 5, 5), 5 * height, 5 * width)[..., 2 * height : -2 * height, 2 * width :]
        torch.testing.assert_close(resize(x, height, width, border="wrap"), middle[..., :width])


# --- the benchmark sets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", ["Set5", "Set14"])
def test_the_canonical_lr_files_bit_for_bit(
    name: str, scale: int, shared_data: Path, read_png: Callable[[Path], Tensor]
) -> None:
    folder = shared_data / "benchmarks" / name
    pictures = sorted((folder / "HR").glob("*.png"))
    assert len(pictures) == {"Set5": 5, "Set14": 14}[name]
    for path in pictures:
        canonical = read_png(folder / "LR" / f"x{scale}" / path.name)
        assert torch.equal(degrade(crop_to_multiple(read_png(path), scale), scale), canonical), path.name


def bicubic_psnr(hr: Tensor, scale: int) -> float:
    """8-bit output, luma 16-235 unrounded, `scale` pixels of border left out; in NumPy, from the definition."""
    sr = interpolate(degrade(hr, scale), scale)
    a, b = (np.floor(np.clip(x[0].double().numpy() * 255, 0, 255) + 0.5) for x in (sr, hr))
    if len(a) == 3:
        weights = np.array([65.481, 128.553, 24.966]) / 255
        a, b = (np.tensordot(weights, x, 1)[None] for x in (a, b))
    error = (a - b)[0, scale:-scale, scale:-scale]
    return float(10 * np.log10(255**2 / np.mean(error**2)))


@pytest.mark.parametrize(
    ("name", "scale", "psnr"),
    [
        *(("Set5", scale, psnr) for scale, psnr in ((2, 33.67), (3, 30.40), (4, 28.43))),
        *(("Set14", scale, psnr) for scale, psnr in ((2, 30.23), (3, 27.54), (4, 26.00))),
        *(
            pytest.param("BSD100", scale, psnr, marks=pytest.mark.slow)  # a hundred pictures each
            for scale, psnr in ((2, 29.56), (3, 27.21), (4, 25.96))
        ),
    ],
)
def test_bicubic_scores_the_known_figures(
    name: str, scale: int, psnr: float, shared_data: Path, read_png: Callable[[Path], Tensor]
) -> None:
    pictures = sorted((shared_data / "benchmarks" / name / "HR").glob("*.png"))
    scores = [bicubic_psnr(crop_to_multiple(read_png(path), scale), scale) for path in pictures]
    assert fmean(scores) == pytest.approx(psnr, abs=0.01)


@pytest.mark.parametrize(("scale", "psnr"), [(2, 34.31), (3, 30.83), (4, 28.81)])
def test_lanczos_scores_as_pillows(
    scale: int, psnr: float, shared_data: Path, read_png: Callable[[Path], Tensor]
) -> None:
    """Pillow's Lanczos on Set5; its border rule differs from ours, and costs the hundredths allowed here."""
    from espcn_cli.scoring.evaluation import score

    scores = []
    for path in sorted((shared_data / "benchmarks" / "Set5" / "HR").glob("*.png")):
        hr = crop_to_multiple(read_png(path), scale)
        scores.append(score(interpolate(degrade(hr, scale), scale, "lanczos"), hr, scale)[0])
    assert fmean(scores) == pytest.approx(psnr, abs=0.02)
