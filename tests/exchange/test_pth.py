"""PyTorch's files are pickles: nothing in them is run, and whatever is no tensor is refused in one line."""

from __future__ import annotations

import argparse
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from making import mutations
from making_foreign import YJN870, espcn

from espcn_cli.errors import EspcnError
from espcn_cli.exchange import importing, pth


class Bomb:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.place),)


def refusal(path: Path) -> str:
    with pytest.raises(EspcnError) as error:
        importing.read(path)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_is_not_run(zipped: bool, tmp_path: Path) -> None:
    data = {**espcn(YJN870).tensors, "bomb": Bomb(tmp_path / "bang")}
    torch.save(data, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    assert "holds more than tensors (posix.mkdir)" in refusal(tmp_path / "x.pth")
    (tmp_path / "y.pth").write_bytes(pickle.dumps(Bomb(tmp_path / "bang")))
    refusal(tmp_path / "y.pth")
    assert not (tmp_path / "bang").exists()


@pytest.mark.parametrize("other", [argparse.Namespace(lr=1), np.float64(3.0), np.ones(3)], ids=str)
def test_numpy_and_namespaces_are_refused_with_the_remedy(other: object, tmp_path: Path) -> None:
    torch.save({"state_dict": espcn(YJN870).tensors, "args": other}, tmp_path / "x.pth")
    said = refusal(tmp_path / "x.pth")
    assert "torch.save(model.state_dict(), ...)" in said


@pytest.mark.parametrize("value", [[1, 2], 5, {}, {"epoch": 3}, {"a": [torch.zeros(1)]}, {3: torch.zeros(1)}], ids=str)
def test_a_file_without_weights_by_name_is_refused(value: object, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "x.pth")
    assert "holds no weights by name" in refusal(tmp_path / "x.pth")


def test_torchscript_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x02}.")
        archive.writestr("x/constants.pkl", b"\x80\x02).")
        archive.writestr("x/code/a.py", "raise SystemExit")
        archive.writestr("x/version", "3\n")
    refusal(tmp_path / "x.pth")


def test_what_would_fill_the_memory_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"first_part.0.weight": torch.zeros(1).expand(60_000_000)}, tmp_path / "x.pth")
    assert "larger than any network" in refusal(tmp_path / "x.pth")
    with zipfile.ZipFile(tmp_path / "z.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("z/data.pkl", bytes(100_000))
    monkeypatch.setattr(pth, "LARGEST", 50_000)
    assert "larger than any network" in refusal(tmp_path / "z.pth")


def test_damaged_files_are_refused_in_a_line(tmp_path: Path) -> None:
    torch.save(espcn(YJN870).tensors, tmp_path / "x.pth")
    data = (tmp_path / "x.pth").read_bytes()
    for number, changed in enumerate(mutations(data, 1, 60)):
        path = tmp_path / f"{number}.pth"
        path.write_bytes(changed)
        try:
            importing.read(path)
        except EspcnError as error:
            assert "\n" not in str(error), error
