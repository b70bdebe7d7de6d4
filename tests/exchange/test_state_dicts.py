"""Other people's state dicts: recognised by keys and shapes, and run as their makers run them."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from making import natural
from making_foreign import LEFTTHOMAS, LORNATANG, YJN870, Made, compact, espcn, fsrcnn, upconv_7
from safetensors.torch import load_file, save_file

import espcn_cli
from espcn_cli.errors import EspcnError
from espcn_cli.exchange import importing
from espcn_cli.exchange.importing import Hints
from espcn_cli.network import named
from espcn_cli.network.espcn import build

STUDIO = 16 / 255, 235 / 255

FORMS: dict[str, tuple[Made, tuple[float, float], int]] = {
    "ESPCN of yjn870": (espcn(YJN870, 3), STUDIO, 1),
    "ESPCN of Lornatang": (espcn(LORNATANG, 2), STUDIO, 1),
    "ESPCN of Lornatang, sigmoid": (espcn(LORNATANG, 4, last="sigmoid"), STUDIO, 1),
    "ESPCN of Lornatang, tanh": (espcn(LORNATANG, 2, last="tanh"), STUDIO, 1),
    "ESPCN of leftthomas or of PyTorch's examples": (espcn(LEFTTHOMAS, 3, hidden="relu"), (0.0, 1.0), 1),
    "ESPCN of leftthomas or of PyTorch's examples, x4": (espcn(LEFTTHOMAS, 4, hidden="relu"), (0.0, 1.0), 1),
    "ESPCN of Lornatang, RGB": (espcn(LORNATANG, 3, planes=3), (0.0, 1.0), 3),
    "FSRCNN of yjn870, x2": (fsrcnn(2), STUDIO, 1),
    "FSRCNN of yjn870, x3": (fsrcnn(3), STUDIO, 1),
    "FSRCNN of yjn870, x4": (fsrcnn(4), STUDIO, 1),
    "Compact (SRVGGNetCompact)": (compact(2), (0.0, 1.0), 3),
    "Compact (SRVGGNetCompact), x4": (compact(4, 5, 1), (0.0, 1.0), 3),
    "waifu2x upconv_7": (upconv_7(), (0.0, 1.0), 3),
}


def as_run_by_its_makers(made: Made, range_: tuple[float, float], x: torch.Tensor) -> torch.Tensor:
    black, white = range_
    return (made.run(x * (white - black) + black) - black) / (white - black)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_an_imported_network_does_what_the_original_does(name: str, suffix: str, tmp_path: Path) -> None:
    made, range_, planes = FORMS[name]
    path = tmp_path / f"theirs{suffix}"
    torch.save(made.tensors, path) if suffix == ".pth" else save_file(made.tensors, path)
    x = torch.from_numpy(natural(23, 19)).permute(2, 0, 1)[None, :planes].float() / 255
    expected = as_run_by_its_makers(made, range_, x).clamp(0, 1)
    found = espcn_cli.load(path, engine="torch").upscale(x)
    torch.testing.assert_close(found, expected, atol=3e-5, rtol=0)
    card, _ = importing.read(path)
    assert card.training["imported"]["form"] == name.split(", ")[0]
    assert card.settings.value_range == range_


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tensors: OrderedDict(tensors),
        lambda tensors: {"params_ema": tensors, "params": {"body.0.weight": torch.zeros(1)}},
        lambda tensors: {"epoch": 3, "state_dict": tensors, "optimizer": {"state": {}, "lr": 1e-3}},
        lambda tensors: {"state_dict": {f"module.{name}": tensor for name, tensor in tensors.items()}},
        lambda tensors: {"ema_state_dict": {"n_averaged": torch.tensor(7), **tensors}},
        lambda tensors: {"model": {"state_dict": tensors}},
        lambda tensors: {name: tensor.half() for name, tensor in tensors.items()},
        lambda tensors: {name: torch.nn.Parameter(tensor) for name, tensor in tensors.items()},
    ],
    ids=["ordered", "averaged", "checkpoint", "parallel", "swa", "twice", "half", "parameters"],
)
def test_weights_are_found_in_what_a_training_writes(wrap: Any, tmp_path: Path) -> None:
    made = espcn(YJN870, 2)
    torch.save(wrap(made.tensors), tmp_path / "e.pth")
    _, weights = importing.read(tmp_path / "e.pth")
    np.testing.assert_allclose(weights["body.0.weight"], made.tensors["first_part.0.weight"], rtol=1e-3, atol=1e-4)


def test_bf16_is_read(tmp_path: Path) -> None:
    tensors = {name: tensor.bfloat16() for name, tensor in compact().tensors.items()}
    save_file(tensors, tmp_path / "c.safetensors")
    _, weights = importing.read(tmp_path / "c.safetensors")
    assert np.array_equal(weights["body.2.weight"], tensors["body.2.weight"].float())


def test_the_old_format_of_pytorch_is_read(tmp_path: Path) -> None:
    torch.save(espcn(YJN870).tensors, tmp_path / "e.pth", _use_new_zipfile_serialization=False)
    assert importing.read(tmp_path / "e.pth")[0].settings.scale == 2


def test_slopes_that_are_fixed_are_found_by_flat_greys(tmp_path: Path) -> None:
    """Trained ones give flat grey back with their own slope; here with none, by a path that is negative inside."""
    made = compact(2, 6, 1, slope=0.1)
    for index in (0, 2):
        made.tensors[f"body.{index}.bias"].sub_(1.0)
    x = torch.full((1, 3, 8, 8), 0.5)
    made.tensors["body.4.bias"].sub_((made.run(x) - 0.5)[0, :, 4:6, 4:6].reshape(-1))
    torch.save(made.tensors, tmp_path / "c.pth")
    _, weights = importing.read(tmp_path / "c.pth")
    assert weights["body.1.weight"].tolist() == pytest.approx([0.1])


# --- hints -----------------------------------------------------------------------------------------------------------


def test_what_a_user_knows_comes_first(tmp_path: Path) -> None:
    torch.save(espcn(LORNATANG, 2).tensors, tmp_path / "e.pth")
    plain = importing.read(tmp_path / "e.pth")[0].settings
    assert (plain.last_activation, plain.value_range) == ("none", STUDIO)
    other = importing.read_foreign(tmp_path / "e.pth", Hints(range="full", last="sigmoid"))[0].settings
    assert (other.last_activation, other.value_range) == ("sigmoid", (0, 1))


def test_an_untrained_network_needs_a_hint(tmp_path: Path) -> None:
    """Of random weights nothing gives flat grey back."""
    tensors = {name: torch.randn(tensor.shape) for name, tensor in fsrcnn(2).tensors.items()}
    torch.save(tensors, tmp_path / "f.pth")
    with pytest.raises(EspcnError, match=r"f\.pth cannot be imported: the file does not tell .*with --scale$"):
        importing.read(tmp_path / "f.pth")
    assert importing.read_foreign(tmp_path / "f.pth", Hints(scale=3))[0].settings.scale == 3


def test_what_two_readings_explain_is_not_guessed(tmp_path: Path) -> None:
    """Where a tanh hardly bends, a ReLU that lets all through gives flat greys back as well."""
    made = espcn(LEFTTHOMAS, 2, last="sigmoid")
    torch.save(made.tensors, tmp_path / "e.pth")
    with pytest.raises(EspcnError, match=r"with --activation and --last$"):
        importing.read(tmp_path / "e.pth")
    card, weights = importing.read_foreign(tmp_path / "e.pth", Hints(hidden="tanh"))
    x = torch.from_numpy(natural(23, 19)).permute(2, 0, 1)[None, :1].float() / 255
    with torch.no_grad():
        torch.testing.assert_close(build(card.settings, weights)(x), made.run(x), atol=1e-5, rtol=0)


def test_a_hint_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    torch.save(espcn(YJN870, 2).tensors, tmp_path / "e.pth")
    for hints in (Hints(scale=3), Hints(hidden="relu")):
        with pytest.raises(EspcnError, match="it is not what --scale, --activation and --last say"):
            importing.read_foreign(tmp_path / "e.pth", hints)


# --- what is refused -------------------------------------------------------------------------------------------------


def change(tensors: dict[str, torch.Tensor], **values: torch.Tensor | None) -> dict[str, torch.Tensor]:
    changed = {**tensors, **{name.replace("__", "."): value for name, value in values.items()}}
    return {name: value for name, value in changed.items() if value is not None}


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (
            change(espcn(YJN870).tensors, extra__weight=torch.zeros(3)),
            "looks like ESPCN of yjn870, but has a tensor extra",
        ),
        (
            change(fsrcnn().tensors, mid_part__1__weight=None),
            "looks like FSRCNN of yjn870, but lacks the tensor mid_part.1",
        ),
        (change(espcn(YJN870).tensors, first_part__2__bias=torch.zeros(9)), "first_part.2 has 9 biases"),
        (change(espcn(YJN870).tensors, first_part__2__weight=torch.zeros(6, 7, 3, 3)), "gives 8 planes and the next"),
        (
            change(espcn(YJN870).tensors, last_part__0__weight=torch.zeros(7, 6, 3, 3), last_part__0__bias=None),
            "has 7 channels",
        ),
        (change(espcn(YJN870).tensors, first_part__0__weight=torch.full((8, 1, 5, 5), torch.nan)), "NaN"),
        (compact(1).tensors, "does not make pictures larger"),
        (espcn(YJN870, 5).tensors, "upscales by 5: only 2, 3, 4"),
        ({"encoder.layer.0.attention.weight": torch.zeros(4, 4), "wte": torch.zeros(2)}, "these are ESPCN .*FSRCNN"),
        ({"conv1.weight": torch.zeros(3)}, "no network that is known here"),
        ({"first_part.0.weight": torch.zeros(3, dtype=torch.int32)}, "is torch.int32, not float"),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, str) else "",
)
def test_what_is_only_half_known_is_refused_with_a_reason(
    tensors: dict[str, torch.Tensor], said: str, tmp_path: Path
) -> None:
    torch.save(tensors, tmp_path / "x.pth")
    with pytest.raises(EspcnError, match=rf"x\.pth cannot be imported: .*{said}") as error:
        importing.read(tmp_path / "x.pth")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["espcn", "espcn-s", "espcn-l"])
def test_our_own_networks_without_their_metadata_are_not_taken_for_others(tmp_path: Path, name: str) -> None:
    """Their tensors have a Compact's names, but other activations and another skip."""
    shipped = load_file(named.find(name, 2))
    save_file(shipped, tmp_path / "bare.safetensors")
    with pytest.raises(EspcnError, match="has the tensors of a checkpoint of espcn, but not its metadata"):
        importing.read(tmp_path / "bare.safetensors")
