"""How HR and LR lie in folders: what is recognised, what belongs together, and where there is no telling."""

from __future__ import annotations

from pathlib import Path

import pytest
from making import save_picture

from espcn_cli.errors import EspcnError
from espcn_cli.scoring.benchmark import Comparison, find_pictures
from espcn_cli.scoring.layouts import find_groups, find_hr

LAYOUTS = {
    "folders": {"HR/a.png": "LR/x2/a.png", "HR/b.png": "LR/x2/b.png"},
    "folders of another kind": {"HR/a.png": "LR/x2/a.bmp"},
    "DIV2K": {"DIV2K_train_HR/0801.png": "DIV2K_train_LR_bicubic/X2/0801x2.png"},
    "Flickr2K": {"Flickr2K_HR/000001.png": "Flickr2K_LR_bicubic/X2/000001x2.png"},
    "LRbicx2": {"GTmod12/a.png": "LRbicx2/a.png"},
    "scale above": {"x2/HR/a.png": "x2/LR/a.png"},
    "deep": {"HR/one/a.png": "LR/X2/one/a.png", "HR/two/a.png": "LR/X2/two/a.png"},
    "image_SRF": {"image_SRF_2/img_001_SRF_2_HR.png": "image_SRF_2/img_001_SRF_2_LR.png"},
    "bicLR": {"a.png": "a_bicLRx2.png", "b.png": "b_bicLRx2.png"},
    "EDSR": {"a_HR_x2.png": "a_LRBI_x2.png"},
    "names": {"a_HR.png": "a_LR.png"},
    "scale at the end": {"0801.png": "0801x2.png"},
    "LR beside loose HR": {"a.png": "LR/a.png"},
}


def lay(folder: Path, names: list[str]) -> Path:
    for name in names:
        save_picture(folder / name)
    return folder


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))
def test_known_layouts_give_hr_and_the_lr_of_each(layout: dict[str, str], tmp_path: Path) -> None:
    lay(tmp_path, [*layout, *layout.values()])
    comparison = Comparison({}, 2)
    found = {picture.path: comparison.lr_of(picture) for picture in find_pictures([tmp_path], 2)}
    assert found == {tmp_path / hr: tmp_path / lr for hr, lr in layout.items()}
    paths, notes = find_hr([tmp_path])
    assert paths == [tmp_path / hr for hr in layout], "what is learned from"
    assert len(notes) == 1 and f"; not used: {len(layout)} other" in notes[0]


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))
def test_pictures_are_called_without_what_only_says_hr(layout: dict[str, str], tmp_path: Path) -> None:
    lay(tmp_path, [*layout, *layout.values()])
    for picture in find_pictures([tmp_path], 2):
        assert "HR" not in picture.name and "SRF" not in picture.name


def test_each_scale_has_its_own_lr_and_one_without_is_made(tmp_path: Path) -> None:
    lay(tmp_path, ["HR/a.png", "LR/x2/a.png", "LR/x3/a.png"])
    [picture] = find_pictures([tmp_path], 2)
    given = {scale: Comparison({}, scale).lr_of(picture) for scale in (2, 3, 4)}
    assert given == {2: tmp_path / "LR/x2/a.png", 3: tmp_path / "LR/x3/a.png", 4: None}
    assert [Comparison({}, scale).describe(picture).split(";")[0] for scale in (2, 4)] == [
        "x2, given LR files",
        "x4, LR by MATLAB bicubic on 8 bits",
    ]
    assert Comparison({}, 2, degradation="area").lr_of(picture) is None, "asked for"


def test_hr_that_is_cropped_for_a_scale_is_taken_at_that_scale_alone(tmp_path: Path) -> None:
    """`image_SRF_2/`, with what other methods made of the same LR."""
    names = [f"image_SRF_{s}/img_001_SRF_{s}_{kind}.png" for s in (2, 3, 4) for kind in ("HR", "LR", "bicubic", "A+")]
    lay(tmp_path / "Set5", names)
    for scale in (2, 3, 4):
        [picture] = find_pictures([tmp_path / "Set5"], scale)
        assert picture.path.name == f"img_001_SRF_{scale}_HR.png"
        assert (picture.dataset, picture.name) == ("Set5", "img_001")


def test_a_folder_of_sets_is_several_sets(tmp_path: Path) -> None:
    lay(tmp_path / "sets", ["Set5/HR/a.png", "Set5/LR/x2/a.png", "Set14/HR/a.png", "photos/b.png"])
    found = [(picture.dataset, picture.name) for picture in find_pictures([tmp_path / "sets"], 2)]
    assert found == [("sets", "b"), ("Set14", "a"), ("Set5", "a")]


def test_a_folder_of_hr_that_is_named_outright_holds_pictures(tmp_path: Path) -> None:
    """Whatever it and they are called: marks count where both kinds are there."""
    names = ["beach_HR.png", "logo_x2.png", "street LR.png", "GT/car.png", "dog.png"]
    lay(tmp_path / "LR", names)
    assert {path.name for path in find_hr([tmp_path / "LR"])[0]} == {Path(name).name for name in names}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["HR/a.png", "LR/x2/a.png", "c.png"], ["HR, LR and other pictures", "c.png", "name the folders with HR"]),
        (["LR/x2/a.png"], ["LR pictures alone", "LR/x2/a.png"]),
        (["a.png", "LR/b.png"], ["LR/b.png", "others of other names", "a.png"]),
        (["HR/a.png", "LR/x2/b.png"], ["LR/x2/b.png", "HR/a.png"]),
    ],
    ids=["loose ones beside both", "LR alone", "LR of others", "LR of other HR"],
)
def test_where_there_is_no_telling_it_is_refused(names: list[str], words: list[str], tmp_path: Path) -> None:
    lay(tmp_path, names)
    for find in (find_groups, lambda folder: find_hr([folder])):
        with pytest.raises(EspcnError) as caught:
            find(tmp_path)
        assert all(word in str(caught.value) for word in words) and caught.value.path == tmp_path


def test_an_hr_picture_without_lr_of_its_name_is_an_error_that_names_both(tmp_path: Path) -> None:
    lay(tmp_path, ["HR/a.png", "HR/b.png", "LR/x2/a.png"])
    _, b = find_pictures([tmp_path], 2)
    with pytest.raises(EspcnError, match="no LR picture of its name in") as caught:
        Comparison({}, 2).lr_of(b)
    assert str(tmp_path / "HR/b.png") in str(caught.value)


def test_two_lr_pictures_for_one_are_an_error_that_names_both(tmp_path: Path) -> None:
    lay(tmp_path, ["A_HR/0801.png", "A_LR_bicubic/X2/0801x2.png", "A_LR_unknown/X2/0801x2.png"])
    [picture] = find_pictures([tmp_path], 2)
    with pytest.raises(EspcnError) as caught:
        Comparison({}, 2).lr_of(picture)
    assert "A_LR_bicubic" in str(caught.value) and "A_LR_unknown" in str(caught.value)
    named = Comparison({}, 2, tmp_path / "A_LR_unknown")
    assert named.lr_of(picture) == tmp_path / "A_LR_unknown/X2/0801x2.png"


@pytest.mark.parametrize("name", ["0801.png", "0801x2.png", "X2/0801x2.png", "x2/0801.bmp", "0801_LR.png"])
def test_lr_that_is_named_outright_is_matched_by_name(name: str, tmp_path: Path) -> None:
    lay(tmp_path, ["hr/0801.png", f"lr/{name}", "lr/X3/0801x3.png"])
    [picture] = find_pictures([tmp_path / "hr"], 2)
    assert Comparison({}, 2, tmp_path / "lr").lr_of(picture) == tmp_path / "lr" / name
