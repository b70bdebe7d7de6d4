"""Real weights know their clean sister, and what lies between the two is a network of the same form."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from making import save_checkpoint, save_pair

from espcn_cli.errors import EspcnError
from espcn_cli.network import checkpoint, named
from espcn_cli.network.checkpoint import Sister
from espcn_cli.network.mixing import find_sister, read_pair, sister_of
from espcn_cli.settings import ModelSettings, architecture

TINY = ModelSettings(widths=(4,), kernels=(3, 3))
OTHER_FORMS = [
    replace(TINY, scale=3),
    replace(TINY, widths=(5,)),
    replace(TINY, kernels=(5, 3)),
    replace(TINY, activation="tanh"),
    replace(TINY, skip="none"),
    replace(TINY, planes=3),
]


def test_a_mixture_lies_between_and_its_ends_are_the_weights_themselves(tmp_path: Path) -> None:
    clean, real = save_pair(tmp_path)
    pair = read_pair(clean, real)
    (_, before), (_, after) = checkpoint.read(clean), checkpoint.read(real)
    for name, array in pair.at(0.25).items():
        assert array.dtype == np.float32
        assert np.allclose(array, 0.75 * before[name] + 0.25 * after[name], atol=1e-7)
        assert np.array_equal(pair.at(0)[name], before[name])
        assert np.array_equal(pair.at(1)[name], after[name])


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_nothing_lies_beyond_the_ends(tmp_path: Path, strength: float) -> None:
    with pytest.raises(ValueError, match="strength must be in"):
        read_pair(*save_pair(tmp_path)).at(strength)


@pytest.mark.parametrize("settings", OTHER_FORMS)
def test_another_form_is_not_mixed(tmp_path: Path, settings: ModelSettings) -> None:
    clean = save_checkpoint(tmp_path / "a.safetensors", TINY)
    other = save_checkpoint(tmp_path / "b.safetensors", settings)
    with pytest.raises(EspcnError, match=r"b\.safetensors is another form of network than .*a\.safetensors"):
        read_pair(clean, other)
    assert sister_of(clean, settings) is None


def test_a_sister_is_known_by_her_weights_alone(tmp_path: Path) -> None:
    """What is recorded beside them, scores for one, may change, and so may the file's name."""
    clean, real = save_pair(tmp_path)
    card, weights = checkpoint.read(clean)
    assert sister_of(clean, card.settings) == Sister("tiny", checkpoint.fingerprint(weights))
    moved = tmp_path / "moved.safetensors"
    checkpoint.write(moved, weights, replace(card, metrics={"example": {"psnr": 1.0}}))
    clean.unlink()
    assert find_sister(real) == moved
    changed = weights | {"body.0.bias": weights["body.0.bias"] + np.float32(1e-6)}
    checkpoint.write(moved, changed, card)
    assert find_sister(real) is None


def test_real_weights_trained_on_keep_their_first_sister(tmp_path: Path) -> None:
    clean, real = save_pair(tmp_path)
    assert sister_of(real, TINY) == sister_of(clean, TINY)


def test_clean_weights_have_no_sister(tmp_path: Path) -> None:
    clean, _ = save_pair(tmp_path)
    assert find_sister(clean) is None


def test_a_shipped_sister_is_found_from_anywhere(tmp_path: Path) -> None:
    shipped = named.find("espcn-s", 2)
    card, weights = checkpoint.read(shipped)
    mine = tmp_path / "mine.safetensors"
    checkpoint.write(mine, weights, replace(card, name="mine", sister=sister_of(shipped, architecture("espcn-s"))))
    assert find_sister(mine) == shipped


def test_what_lies_beside_and_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    clean, real = save_pair(tmp_path)
    (tmp_path / "a.safetensors").write_bytes(b"damaged")
    (tmp_path / "b.safetensors").mkdir()
    cut = clean.read_bytes()
    (tmp_path / "c.safetensors").write_bytes(cut[: len(cut) // 2])
    assert find_sister(real) == clean


def test_weights_are_mixed_without_torch(tmp_path: Path) -> None:
    clean, real = save_pair(tmp_path)
    code = (
        "import sys; from pathlib import Path; from espcn_cli.network.mixing import find_sister, read_pair;"
        "real = Path(sys.argv[1]); read_pair(find_sister(real), real).at(0.5); print('torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code, real], text=True).strip() == "False"
    assert clean.is_file()


def test_ranges_are_mixed_as_weights_are(tmp_path: Path) -> None:
    clean, real = save_pair(tmp_path)
    assert read_pair(clean, real).ranges_at(0.5) == ()
    for path, greatest in ((clean, 2.0), (real, 4.0)):
        card, weights = checkpoint.read(path)
        checkpoint.write(path, weights, replace(card, ranges=((0.0, 1.0), (-1.0, greatest))))
    pair = read_pair(clean, real)
    assert [pair.ranges_at(strength)[1] for strength in (0, 0.25, 1)] == [(-1, 2), (-1, 2.5), (-1, 4)]


def test_ranges_of_one_alone_are_none_of_the_mixture(tmp_path: Path) -> None:
    clean, real = save_pair(tmp_path)
    card, weights = checkpoint.read(real)
    checkpoint.write(real, weights, replace(card, ranges=((0.0, 1.0), (-1.0, 4.0))))
    assert read_pair(clean, real).ranges_at(1) == ()
