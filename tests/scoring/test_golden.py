"""Figures that others published or compute, and one by hand: what every table of ours stands on.

Bicubic of Set5, Set14 and BSD100 at x2, x3 and x4 as papers print it (Dong et al. 2016, Shi et al. 2016, Kim et al.
2016), by MATLAB and not rounded: 8 bits move it by 0.01 dB, given LR of Set14 by 0.01 more.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from making import natural
from skimage.metrics import structural_similarity

from espcn_cli.scoring import evaluation
from espcn_cli.scoring.benchmark import benchmark
from espcn_cli.scoring.metrics import psnr, ssim
from espcn_cli.scoring.tensors import from_levels

PUBLISHED = {
    ("Set5", 2): 33.66,
    ("Set5", 3): 30.39,
    ("Set5", 4): 28.42,
    ("Set14", 2): 30.24,
    ("Set14", 3): 27.55,
    ("Set14", 4): 26.00,
    ("BSD100", 2): 29.56,
    ("BSD100", 3): 27.21,
    ("BSD100", 4): 25.96,
}

slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("dataset", "scale"),
    [pytest.param(*key, marks=[] if key == ("Set5", 3) else slow, id=f"{key[0]} x{key[1]}") for key in PUBLISHED],
)
def test_bicubic_scores_what_papers_print(dataset: str, scale: int, shared_data: Path) -> None:
    row = benchmark([shared_data / "benchmarks" / dataset], {}, scale).rows[0]
    assert row.method == "bicubic"
    assert row.mean.psnr == pytest.approx(PUBLISHED[dataset, scale], abs=0.021)


def test_grey_pictures_are_their_own_luma(shared_data: Path) -> None:
    """Forced through RGB -> Y, the one that Set14 has would gain 1.32 dB, and its mean at x2 be 30.31, not 30.23."""
    bridge = shared_data / "benchmarks" / "Set14" / "HR" / "bridge.png"
    own = benchmark([bridge], {}, 2).rows[0].images[0]
    pair = evaluation.make_pair(bridge, 2)
    forced = evaluation.Pair("", pair.lr.expand(-1, 3, -1, -1), pair.hr.expand(-1, 3, -1, -1))
    [as_colours] = evaluation.evaluate(evaluation.interpolation("bicubic", 2), [forced], 2)
    assert own.psnr_rgb is None and as_colours.psnr - own.psnr == pytest.approx(1.32, abs=0.005)


def test_psnr_of_four_by_four_pixels_by_hand() -> None:
    """Errors of 1, 2, 3 and 4 levels once each and 0 twelve times: MSE 30/16, 10 log10(255²·16/30) = 45.4008 dB."""
    a = np.full((4, 4, 1), 100, np.uint8)
    b = a.copy()
    b[0, :, 0] += np.array([1, 2, 3, 4], np.uint8)
    assert psnr(from_levels(a), from_levels(b)) == pytest.approx(45.4008, abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_ssim_is_scikit_image_s_to_a_millionth(seed: int) -> None:
    a = natural(61, 47, seed)[..., :1]
    b = np.clip(a + np.random.default_rng(seed).normal(0, 3 * seed + 1, a.shape), 0, 255).astype(np.uint8)
    _, expected = structural_similarity(  # type: ignore[no-untyped-call]
        *(x[..., 0].astype(np.float64) for x in (a, b)),
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    found = ssim(*(torch.from_numpy(x[..., 0]).double()[None, None] / 255 for x in (a, b)))
    assert found == pytest.approx(float(expected[5:-5, 5:-5].mean()), abs=1e-6)
