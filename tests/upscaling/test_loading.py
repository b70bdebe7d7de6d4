"""What `load` opens: the default for pictures, each strength of weights that can be mixed, and what it refuses."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from making import Bytes, natural, save_checkpoint, save_pair
from PIL import Image

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.network import checkpoint
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.raster import Raster
from espcn_cli.settings import ModelSettings, architecture
from espcn_cli.upscaling.sizes import parse
from espcn_cli.upscaling.upscaler import Strength, Upscaler, load

PHOTO = Image.fromarray(natural(24, 18))
DOCUMENT = Document((Raster(PHOTO),))


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Shipped: `espcn-m` at x2 and x3, real weights at x2 alone; `espcn-s` without any."""
    save_pair(tmp_path, architecture("espcn-m"), "espcn-m")
    save_checkpoint(tmp_path / "espcn-m_x3.safetensors", architecture("espcn-m", 3), "espcn-m")
    save_checkpoint(tmp_path / "espcn-s_x2.safetensors", architecture("espcn-s"), "espcn-s")
    monkeypatch.setattr(checkpoint, "weights_folder", lambda: tmp_path)
    return tmp_path


def pixels(upscaler: Upscaler, image: Image.Image = PHOTO) -> Bytes:
    return np.asarray(upscaler(image))


def test_load_checks_the_scale(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "tiny.safetensors")
    assert load(str(path)).scale == 2
    with pytest.raises(EspcnError, match="upscales by 2, not by 3"):
        load(str(path), 3)


@pytest.mark.usefixtures("shelf")
def test_the_default_is_real_where_that_is_shipped_and_clean_elsewhere() -> None:
    assert (load().name, load().scales) == ("espcn-m-real", (2, 3))
    assert [load(scale=scale).name for scale in (2, 3)] == ["espcn-m-real", "espcn-m"]
    assert load().at(3).name == "espcn-m"
    assert load("espcn-m", 2).strength_of(DOCUMENT) is None


@pytest.mark.usefixtures("shelf")
def test_a_strength_of_0_is_the_clean_weights_and_1_the_real_ones() -> None:
    clean, real = load("espcn-m", 2, device="cpu"), load("espcn-m-real", 2, strength=1, device="cpu")
    assert np.array_equal(pixels(load(strength=0, device="cpu")), pixels(clean))
    half = pixels(load(strength=0.5, device="cpu"))
    assert not np.array_equal(half, pixels(clean))
    assert not np.array_equal(half, pixels(real))


@pytest.mark.usefixtures("shelf")
@pytest.mark.parametrize(("asked", "got"), [(0, 0.0), (0.3, 0.25), (0.32, 0.375), (1, 1.0)])
def test_strengths_are_made_in_eighths(asked: float, got: float) -> None:
    upscaler = load(strength=asked, device="cpu")
    assert upscaler.strength_of(DOCUMENT) == got
    assert np.array_equal(pixels(upscaler), pixels(load(strength=got, device="cpu")))


@pytest.mark.usefixtures("shelf")
def test_with_a_strength_only_scales_that_have_it_are_used() -> None:
    upscaler = load(strength=1, device="cpu")
    assert upscaler.scales == (2,)
    large = upscaler.document(DOCUMENT, parse("300%"))
    assert large.size == (72, 54)
    assert large.warnings == ("the network reaches x2: the rest of the way is interpolated",)


def test_real_weights_of_ones_own_are_mixed_with_the_sister_beside_them(tmp_path: Path) -> None:
    clean, real = save_pair(tmp_path)
    upscaler = load(str(real), strength=0, device="cpu")
    assert np.array_equal(pixels(upscaler), pixels(load(str(clean), device="cpu")))
    assert load(str(real)).strength_of(DOCUMENT) is not None
    clean.unlink()
    assert load(str(real)).strength_of(DOCUMENT) is None  # it runs as it is
    with pytest.raises(UsageError, match=r"strength 0.5: .* was trained from tiny, whose weights are not there"):
        load(str(real), strength=0.5)


@pytest.mark.parametrize("strength", [-0.125, 1.01, float("nan"), float("inf"), "strong", "", None])
def test_what_is_no_strength_is_misuse(strength: object) -> None:
    with pytest.raises(UsageError, match="use auto, or a number from 0 to 1"):
        load(strength=strength)  # type: ignore[arg-type]


@pytest.mark.usefixtures("shelf")
@pytest.mark.parametrize(("model", "scale"), [("espcn-m", 2), ("espcn-s", None), (None, 3)])
def test_a_strength_for_what_has_no_sister_is_misuse(model: str | None, scale: int | None) -> None:
    with pytest.raises(UsageError, match=r"strength 0.5: espcn-. has no clean sister to be mixed with") as caught:
        load(model, scale, strength=0.5)
    assert caught.value.exit_code == 2


@pytest.mark.usefixtures("shelf")
@pytest.mark.parametrize(("strength", "scales"), [(0.5, (2,)), ("auto", (2, 3))])
def test_it_goes_to_another_process(strength: Strength, scales: tuple[int, ...]) -> None:
    upscaler = load(strength=strength, device="cpu")
    copy = pickle.loads(pickle.dumps(upscaler))
    assert np.array_equal(pixels(copy), pixels(upscaler))
    assert tuple(copy.at(scale).scale for scale in copy.scales) == scales


@pytest.mark.usefixtures("shelf")
def test_threads_share_it() -> None:
    upscaler = load(device="cpu")
    images = [Image.fromarray(natural(24, 18, seed)) for seed in range(8)]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda image: pixels(upscaler, image), images))
    alone = [pixels(load(device="cpu"), image) for image in images]
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


@pytest.mark.usefixtures("shelf")
def test_tensors_get_the_strength_of_their_picture() -> None:
    upscaler = load(device="cpu")
    x = torch.from_numpy(np.stack([natural(24, 18, seed) for seed in (0, 1)])).permute(0, 3, 1, 2) / 255
    both = upscaler.upscale(x)
    for planes, large in zip(x, both, strict=True):
        levels = (planes * 255).round().byte().permute(1, 2, 0).numpy()
        taken = upscaler.strength_of(Document((Raster(Image.fromarray(levels)),)))
        assert taken is not None
        expected = load(strength=taken, device="cpu").upscale(planes[None])[0]
        assert torch.equal(large, expected)


def test_a_network_of_the_smallest_form_has_strengths_too(tmp_path: Path) -> None:
    _, real = save_pair(tmp_path, ModelSettings(scale=4, widths=(1,), kernels=(1, 1), planes=3))
    assert load(str(real), strength=0.125, device="cpu")(PHOTO).size == (96, 72)
