"""What happens to pictures before people have them."""

import io

import numpy as np
import pytest
from PIL import Image

from espcn_cli.maths.resize import degrade
from espcn_cli.scoring.damages import KERNELS, Damage, Jpeg, Kernel, shrink

HR = np.random.default_rng(0).integers(0, 256, (24, 36, 3), dtype=np.uint8)


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("planes", [1, 3])
def test_every_kernel_shrinks_by_the_scale_and_keeps_flat_pictures(scale: int, kernel: Kernel, planes: int) -> None:
    assert shrink(HR[..., :planes], scale, kernel).shape == (24 // scale, 36 // scale, planes)
    assert (shrink(np.full_like(HR, 77), scale, kernel, blur=0.5) == 77).all()


def test_bicubic_is_the_benchmarks_own() -> None:
    assert (shrink(HR, 2) == degrade(HR.transpose(2, 0, 1)[None], 2)[0].transpose(1, 2, 0)).all()


def test_area_is_the_mean_of_each_square() -> None:
    means = HR.reshape(12, 2, 18, 2, 3).mean(axis=(1, 3))
    assert np.abs(shrink(HR, 2, "area") - means).max() <= 1  # Pillow rounds after each axis


def test_a_scale_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="does not divide"):
        shrink(HR[:-1], 2)


DAMAGES = {
    "sharpened": Damage("lanczos", sharpen=80),
    "noisy": Damage("lanczos", noise=3),
    "few electrons": Damage(shot=200),
    "16 colours": Damage(colours=16),
    "WebP": Damage(webp=60),
    "JPEG": Damage(jpegs=(Jpeg(75),)),
    "JPEG without halved chroma": Damage(jpegs=(Jpeg(75, "4:4:4"),)),
    "JPEG twice": Damage(jpegs=(Jpeg(75), Jpeg(60))),
    "WebP, then JPEG": Damage(webp=60, jpegs=(Jpeg(60),)),
}


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("planes", [1, 3])
def test_a_seed_says_all_and_the_file_holds_the_same_levels(name: str, planes: int) -> None:
    damage, lr = DAMAGES[name], shrink(HR[..., :planes], 2)
    damaged = damage.after(lr, rng())
    assert (damaged == damage.after(lr, rng())).all()
    assert damaged.shape == lr.shape and damaged.dtype == np.uint8
    assert (damaged != lr).any()
    with Image.open(io.BytesIO(damage.file(lr, rng()))) as image:
        assert (np.atleast_3d(np.asarray(image.convert("L" if planes == 1 else "RGB"))) == damaged).all()


def test_a_palette_has_no_more_colours_than_asked_for() -> None:
    assert len(np.unique(Damage(colours=16).levels(HR, 2, rng()).reshape(-1, 3), axis=0)) <= 16


def test_noise_has_the_strength_that_it_names() -> None:
    grey = np.full((200, 200, 1), 128, np.uint8)
    assert np.std(Damage(noise=5).after(grey, rng())) == pytest.approx(5, abs=0.1)
    assert np.std(Damage(shot=500).after(grey, rng())) == pytest.approx(np.sqrt(128 * 255 / 500), rel=0.02)


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (Damage(), "PNG"),
        (Damage(colours=16), "GIF"),
        (Damage(webp=60), "WEBP"),
        (Damage(jpegs=(Jpeg(75),)), "JPEG"),
        (Damage(jpegs=(Jpeg(75),), resaved=True), "PNG"),
    ],
)
def test_a_file_is_of_the_kind_that_people_have(damage: Damage, kind: str) -> None:
    with Image.open(io.BytesIO(damage.file(shrink(HR, 2), rng()))) as image:
        assert image.format == kind
