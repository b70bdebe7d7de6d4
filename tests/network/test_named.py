"""Which models have names: those that are shipped, and the user's own in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from making import save_checkpoint, save_pair

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.network import checkpoint
from espcn_cli.network.checkpoint import Card
from espcn_cli.network.espcn import ESPCN
from espcn_cli.network.mixing import find_sister
from espcn_cli.network.named import find, form, list_own, list_shipped, models_folder, scales
from espcn_cli.network.weights import save
from espcn_cli.settings import ModelSettings, architecture

# --- shipped -------------------------------------------------------------------------------------------------------


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of shipped weights: `espcn-s` at ×2 and ×3, `espcn` at ×4."""
    for name, scale in (("espcn-s", 3), ("espcn-s", 2), ("espcn", 4)):
        settings = architecture(name, scale)
        save(tmp_path / f"{name}_x{scale}.safetensors", ESPCN(settings), Card(settings, name))
    monkeypatch.setattr(checkpoint, "weights_folder", lambda: tmp_path)
    return tmp_path


def test_a_name_and_a_scale_find_the_shipped_file(shelf: Path) -> None:
    assert find("espcn-s", 3) == shelf / "espcn-s_x3.safetensors"
    assert find("espcn", 4) == shelf / "espcn_x4.safetensors"


def test_the_metadata_is_the_truth_and_the_file_name_a_label(shelf: Path) -> None:
    (shelf / "espcn-s_x3.safetensors").rename(shelf / "espcn-odd.safetensors")
    assert find("espcn-s", 3) == shelf / "espcn-odd.safetensors"


def test_without_a_scale_the_smallest_is_taken(shelf: Path) -> None:
    assert find("espcn-s") == shelf / "espcn-s_x2.safetensors"
    assert find("espcn") == shelf / "espcn_x4.safetensors"


@pytest.mark.usefixtures("shelf")
def test_a_scale_that_is_not_shipped_names_those_that_are() -> None:
    with pytest.raises(UsageError, match="model espcn-s has no scale 4: it has 2, 3"):
        find("espcn-s", 4)


@pytest.mark.usefixtures("shelf")
def test_an_unknown_model_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown model 'edsr': there are espcn, espcn-s, or give a"):
        find("edsr")


def test_the_default_for_pictures_is_real_where_that_is_shipped_and_clean_elsewhere(shelf: Path) -> None:
    for name, scale in (("espcn-m", 2), ("espcn-m", 3), ("espcn-m-real", 2)):
        settings = architecture("espcn-m", scale)
        save(shelf / f"{name}_x{scale}.safetensors", ESPCN(settings), Card(settings, name))
    assert find(None) == find(None, 2) == shelf / "espcn-m-real_x2.safetensors"
    assert find(None, 3) == shelf / "espcn-m_x3.safetensors"
    assert scales(None) == [2, 3]
    assert scales("espcn-m-real") == [2]
    with pytest.raises(EspcnError, match="model espcn-m has no scale 4: it has 2, 3"):
        find(None, 4)
    with pytest.raises(EspcnError, match="model espcn-m-real has no scale 3: it has 2"):
        find("espcn-m-real", 3)


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "any.safetensors")
    assert find(str(path)) == path


def test_a_path_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(EspcnError, match=r"no checkpoint at .*none\.safetensors: check the path"):
        find(str(tmp_path / "none.safetensors"))
    with pytest.raises(EspcnError, match="no checkpoint at"):
        find(f"{tmp_path}/{300 * 'long'}.safetensors")


@pytest.mark.usefixtures("shelf")
def test_the_shipped_are_listed_from_small_to_large() -> None:
    cards = [card for _, card in list_shipped()]
    assert [(c.name, c.settings.scale) for c in cards] == [("espcn-s", 2), ("espcn-s", 3), ("espcn", 4)]


# --- one's own -----------------------------------------------------------------------------------------------------


TWICE = ModelSettings(widths=(4,), kernels=(3, 3))
THRICE = ModelSettings(scale=3, widths=(4,), kernels=(3, 3))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of own models: `mine` at x2 and x3, `other`."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("ESPCN_MODELS", str(folder))
    save_checkpoint(folder / "mine_x2.safetensors", TWICE, "as it was called once")
    save_checkpoint(folder / "mine-x3.safetensors", THRICE)
    save_checkpoint(folder / "other.safetensors", THRICE)
    return folder


def test_own_models_are_named_by_their_files(own: Path) -> None:
    assert [(each.name, each.card.settings.scale) for each in list_own().models] == [
        ("mine", 2),
        ("mine", 3),
        ("other", 3),
    ]
    assert list_own().troubles == ()
    assert find("mine") == find("mine", 2) == own / "mine_x2.safetensors"
    assert find("mine", 3) == own / "mine-x3.safetensors"
    assert find("mine-x3") == own / "mine-x3.safetensors" and scales("mine-x3") == [3]
    assert find("other") == own / "other.safetensors"
    assert (scales("mine"), scales("other"), scales("none")) == ([2, 3], [3], [])


def test_a_suffix_that_is_not_the_scale_belongs_to_the_name(own: Path) -> None:
    save_checkpoint(own / "big_x4.safetensors", TWICE)
    assert find("big_x4") == own / "big_x4.safetensors"
    with pytest.raises(UsageError, match="unknown model 'big'"):
        find("big")


@pytest.mark.usefixtures("own")
def test_a_name_or_scale_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(UsageError, match=r"unknown model 'edsr': there are espcn, .*, mine, other, or give a"):
        find("edsr")
    with pytest.raises(UsageError, match="model other has no scale 2: it has 3"):
        find("other", 2)


def test_a_shipped_model_keeps_its_name(own: Path) -> None:
    clash = save_checkpoint(own / "espcn-s_x2.safetensors", TWICE)
    assert find("espcn-s", 2) == checkpoint.weights_folder() / "espcn-s_x2.safetensors"
    [trouble] = list_own().troubles
    assert str(trouble).startswith(f"{clash}: espcn-s is a shipped model, which keeps its name: rename the file")
    assert find(str(clash)) == clash


def test_of_two_files_of_one_name_the_first_has_it(own: Path) -> None:
    save_checkpoint(own / "mine.safetensors", TWICE)
    assert find("mine", 2) == own / "mine.safetensors"
    [trouble] = list_own().troubles
    assert str(trouble) == f"{own}/mine_x2.safetensors: mine.safetensors is mine at x2 already: rename one of them"


def test_what_is_broken_stops_nothing_but_itself(own: Path) -> None:
    (own / "cut_x2.safetensors").write_bytes((own / "mine_x2.safetensors").read_bytes()[:100])
    (own / "theirs.pth").write_bytes(b"")
    (own / "folder.safetensors").mkdir()
    (own / "notes.txt").touch()
    (own / ".hidden.safetensors").touch()
    assert find("mine") == own / "mine_x2.safetensors"
    cut, theirs = list_own().troubles
    assert "cut_x2.safetensors is not a readable safetensors file" in str(cut)
    assert "theirs.pth: a network of others" in str(theirs) and "espcn import" in str(theirs)
    for name in ("cut", "cut_x2"):
        with pytest.raises(EspcnError, match=r"cut_x2\.safetensors is not a readable"):
            find(name)
    with pytest.raises(EspcnError, match="espcn import"):
        find("theirs")


def test_a_folder_that_is_named_and_not_there_is_a_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPCN_MODELS", str(tmp_path / "none"))
    [trouble] = list_own().troubles
    assert str(trouble) == f"ESPCN_MODELS: {tmp_path}/none cannot be read (No such file or directory): " + (
        "own models are not found"
    )
    assert find("espcn-s").name == "espcn-s_x2.safetensors"
    with pytest.raises(UsageError, match=r"unknown model 'mine': .*; ESPCN_MODELS: .*none cannot be read"):
        find("mine")


def test_the_usual_folder_is_in_the_user_s_data_and_may_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ESPCN_MODELS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert models_folder() == tmp_path / "data" / "espcn" / "models"
    assert (list_own().models, list_own().troubles) == ((), ())
    models_folder().mkdir(parents=True)
    save_checkpoint(models_folder() / "mine.safetensors", TWICE)
    assert find("mine") == models_folder() / "mine.safetensors"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert models_folder().is_relative_to(tmp_path)


def test_sisters_may_both_be_one_s_own(own: Path, tmp_path: Path) -> None:
    clean, real = save_pair(own, TWICE)
    assert find_sister(find("tiny-real")) == clean
    elsewhere = tmp_path / "elsewhere.safetensors"
    real.rename(elsewhere)
    assert find_sister(elsewhere) == clean


def test_a_form_is_the_file_s_at_any_scale(own: Path) -> None:
    assert form("mine", 2) == TWICE
    assert form("other", 2) == TWICE
    assert form("mine", 4, planes=3) == ModelSettings(scale=4, widths=(4,), kernels=(3, 3), planes=3)
    assert form("nothing", 2) is None
    (own / "cut.safetensors").write_bytes(b"")
    with pytest.raises(EspcnError, match="cut"):
        form("cut", 2)
