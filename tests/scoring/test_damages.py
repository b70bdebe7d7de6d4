"""What happens to pictures before people have them."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from espcn_cli.maths.resize import degrade
from espcn_cli.scoring.damages import KERNELS, Damage, Jpeg, Kernel, as_gif, shrink, through

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
    "256 colours": Damage(colours=256),
    "printed and scanned": Damage(halftone=2.5),
    "WebP": Damage(webp=60),
    "JPEG": Damage(jpegs=(Jpeg(75),)),
    "JPEG without halved chroma": Damage(jpegs=(Jpeg(75, "4:4:4"),)),
    "JPEG twice": Damage(jpegs=(Jpeg(75), Jpeg(60))),
    "JPEG, cropped": Damage(jpegs=(Jpeg(75, cropped=3),)),
    "JPEG, cropped, JPEG": Damage(jpegs=(Jpeg(75, cropped=3), Jpeg(60))),
    "WebP, then JPEG": Damage(webp=60, jpegs=(Jpeg(60),)),
    "dithered, then JPEG": Damage(colours=16, jpegs=(Jpeg(60),)),
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
        (Damage(jpegs=(Jpeg(75, cropped=3),)), "PNG"),
        (Damage(colours=16, webp=60), "WEBP"),
        (Damage(webp=60, jpegs=(Jpeg(75),)), "JPEG"),
    ],
)
def test_a_file_is_of_the_kind_that_people_have(damage: Damage, kind: str) -> None:
    with Image.open(io.BytesIO(damage.file(shrink(HR, 2), rng()))) as image:
        assert image.format == kind


def test_sharpening_is_pillows_unsharp_mask() -> None:
    """That of the figures which the networks are held against: radius 1, 80 %, no threshold."""
    image = Image.fromarray(HR)
    mask = np.asarray(image.filter(ImageFilter.UnsharpMask(1, 80, 0)))
    assert (Damage(sharpen=80).after(HR, rng()) == mask).all()


def blockiness(levels: np.ndarray, first: int) -> float:
    """Steps between columns at each eighth one, over those elsewhere."""
    steps = np.abs(np.diff(levels[..., 0].astype(float), axis=1)).mean(axis=0)
    at = np.arange(1, levels.shape[1]) % 8 == first
    return float(steps[at].mean() / steps[~at].mean())


def test_the_blocks_of_a_cropped_jpeg_start_elsewhere() -> None:
    y, x = np.mgrid[:64, :64]
    smooth = np.repeat((100 + x + y / 2 + 9 * np.sin(x * y / 200))[..., None], 3, axis=2).astype(np.uint8)
    whole, cropped = (through(smooth, Jpeg(20, cropped=cut)) for cut in (0, 3))
    assert blockiness(whole, 0) > 2 > 1.5 > blockiness(whole, 5)
    assert blockiness(cropped, 5) > 2 > 1.5 > blockiness(cropped, 0)


@pytest.mark.parametrize("planes", [1, 3])
def test_a_print_keeps_each_tone_in_the_mean_and_has_dots(planes: int) -> None:
    for level in (20, 100, 160, 235):
        flat = np.full((60, 60, planes), level, np.uint8)
        scan = Damage(halftone=3).after(flat, rng())
        assert scan.mean(axis=(0, 1)) == pytest.approx(level, abs=2.5)  # dots are of whole pixels of the printer
        assert scan.std() > 10


@pytest.mark.parametrize("level", [0, 255])
def test_black_and_white_are_printed_without_dots(level: int) -> None:
    flat = np.full((30, 30, 3), level, np.uint8)
    assert np.abs(Damage(halftone=3).after(flat, rng()).astype(int) - level).max() <= 2


def test_a_gif_of_more_colours_than_it_holds_is_refused() -> None:
    with pytest.raises(ValueError, match="256 colours, not"):
        as_gif(HR)
