"""Six times as large and more: what `load` opens, what comes of it, and what it says where there is no way."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making import natural, save_checkpoint, save_pair
from PIL import Image

from espcn_cli.cluster.kit import pack
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.network import checkpoint
from espcn_cli.pictures.document import Document
from espcn_cli.pictures.raster import Raster
from espcn_cli.settings import Alpha, ModelSettings
from espcn_cli.upscaling.sizes import parse
from espcn_cli.upscaling.upscaler import Strength, Upscaler, load

PHOTO = natural(40, 30)


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Shipped: `espcn-m` and real weights of it at x2 and x3; `espcn-s` at x2."""
    for scale in (2, 3):
        save_pair(tmp_path, ModelSettings(scale=scale, widths=(4,), kernels=(3, 3)), "espcn-m")
    save_checkpoint(tmp_path / "espcn-s_x2.safetensors", name="espcn-s")
    monkeypatch.setattr(checkpoint, "weights_folder", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize("strength", [0, 0.5, 1, "auto"])
def test_x6_is_x2_and_x3_of_that_at_the_same_strength(strength: Strength) -> None:
    upscaler = load(scale=6, strength=strength)
    assert (upscaler.scale, upscaler.name, upscaler.output_size((4, 3))) == (6, "espcn-m-real", (24, 18))
    taken = upscaler.strength_of(Document((Raster(Image.fromarray(PHOTO)),)))
    assert taken is not None
    by_hand = load(scale=3, strength=taken)(load(scale=2, strength=taken)(PHOTO))
    assert np.array_equal(upscaler(PHOTO), by_hand)


def test_of_clean_weights_too() -> None:
    assert np.array_equal(load("espcn-m", 9)(PHOTO), load("espcn-m", 3)(load("espcn-m", 3)(PHOTO)))


@pytest.mark.parametrize(
    ("mode", "alpha", "wrap"),
    [
        ("L", "blend", False),
        ("LA", "blend", False),
        ("RGB", "blend", True),
        ("RGBA", "blend", False),
        ("RGBA", "separate", True),
        ("I;16", "blend", False),
    ],
)
def test_tiles_do_not_show(mode: str, alpha: Alpha, wrap: bool) -> None:
    if mode == "I;16":
        picture = PHOTO[..., 0].astype(np.uint16) * 257
    else:
        shape = Image.fromarray(natural(40, 30, 1)[..., 0]).point(lambda level: 255 if level > 200 else level // 2)
        image = Image.fromarray(PHOTO).convert(mode)
        if mode.endswith("A"):
            image.putalpha(shape)
        picture = np.asarray(image)
    how: dict[str, Any] = {"alpha": alpha, "wrap": wrap, "strength": 0.5, "engine": "torch"}
    results = [load(scale=6, tile=tile, **how)(picture) for tile in (None, 0, 8, 17)]
    assert results[0].shape == (180, 240, *picture.shape[2:])
    assert results[0].dtype == picture.dtype
    for other in results[1:]:
        assert np.array_equal(results[0], other)


def test_a_copy_in_another_process_gives_the_same() -> None:
    upscaler = load(scale=6, strength=0.5)
    assert np.array_equal(pickle.loads(pickle.dumps(upscaler))(PHOTO), upscaler(PHOTO))


def test_a_size_takes_two_passes_where_one_is_not_enough() -> None:
    upscaler, document = load(strength=0), Document((Raster(Image.fromarray(PHOTO)),))
    used = [upscaler.reaching((40, 30), parse(size)) for size in ("300%", "320%", "700%", "1000%")]
    assert [each.scale for each in used if each] == [3, 6, 9, 9]
    assert (
        upscaler.document(document, parse("600%")).frames[0].array().tolist()
        == load(scale=6, strength=0)(PHOTO).tolist()
    )
    assert upscaler.document(document, parse("500%")).warnings == ()
    beyond = upscaler.document(document, parse("1000%"))
    assert beyond.warnings == ("the network reaches x9: the rest of the way is interpolated",)


def test_no_way_to_a_scale_is_told_in_one_line(shelf: Path) -> None:
    with pytest.raises(UsageError, match=r"^model espcn-s cannot go x6, which takes x2 and then x3: it has 2$"):
        load("espcn-s", 6)
    with pytest.raises(UsageError, match="unknown model 'nope'"):
        load("nope", 6)
    with pytest.raises(UsageError, match="upscales by 2, not by 6: name another model or scale"):
        load(shelf / "espcn-s_x2.safetensors", 6)
    with pytest.raises(EspcnError, match="upscales by 2, not by 6"):
        load("espcn-s").at(6)
    with pytest.raises(UsageError, match="has no scale 5: it has 2, 3"):
        load("espcn-m", 5)
    with pytest.raises(UsageError, match=r"strength 0.5: espcn-m has no clean sister"):
        load("espcn-m", 6, strength=0.5)


@pytest.mark.parametrize("model", ["espcn-m", "espcn-m-real"])
def test_workers_open_both_networks(model: str) -> None:
    kit = pickle.loads(pickle.dumps(pack(model, 6, "cpu", all_scales=False, alpha="separate")))
    sealed, opened = kit.sealed(), kit.open()
    assert (sealed.scale, sealed.output_size((4, 3)), sealed.alpha) == (6, (24, 18), "separate")
    assert np.array_equal(opened(PHOTO), load(model, 6)(PHOTO))
    sized: Upscaler = pack(model, None, "cpu", all_scales=True).open()
    assert sized.at(6).scale == 6
