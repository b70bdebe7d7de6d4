"""Settings: the numbers that follow from them, what they refuse, and how they travel."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from espcn_cli.settings import (
    ACTIVATIONS,
    ARCHITECTURES,
    DEFAULT_MODEL,
    DEFAULT_SCALE,
    PLANES,
    SCALES,
    SKIPS,
    ModelSettings,
    Skip,
    TrainSettings,
    architecture,
    name_of,
)

ALL = [architecture(name, scale, planes) for name in ARCHITECTURES for scale in SCALES for planes in PLANES.values()]


# --- the family ------------------------------------------------------------------------------------------------------


def test_the_family_has_four_names_and_the_default_is_one_of_them() -> None:
    assert list(ARCHITECTURES) == ["espcn", "espcn-s", "espcn-m", "espcn-l"]
    assert DEFAULT_MODEL == "espcn-m"
    assert DEFAULT_SCALE in SCALES
    assert ModelSettings() == architecture(DEFAULT_MODEL)


def test_espcn_is_the_papers_network() -> None:
    """Shi et al. 2016, Section 3.1: (f1, n1) = (5, 64), (f2, n2) = (3, 32), f3 = 3, tanh, nothing added."""
    paper = architecture("espcn", 3)
    assert (paper.widths, paper.kernels, paper.activation, paper.skip) == ((64, 32), (5, 3, 3), "tanh", "none")
    assert paper.channels == (1, 64, 32, 9)


@pytest.mark.parametrize(
    ("name", "width", "hidden", "activation"),
    [("espcn-s", 16, 5, "prelu"), ("espcn-m", 16, 11, "hardswish"), ("espcn-l", 32, 11, "hardswish")],
)
def test_ours_are_narrow_and_deep_over_a_bicubic_skip(name: str, width: int, hidden: int, activation: str) -> None:
    ours = architecture(name)
    assert ours.widths == (width,) * hidden
    assert ours.kernels == (3,) * (hidden + 1)
    assert (ours.activation, ours.skip) == (activation, "bicubic")


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown architecture 'edsr'; there are espcn, espcn-s, espcn-m, espcn-l"):
        architecture("edsr")


def test_scale_and_planes_are_applied_to_a_named_architecture() -> None:
    for name, base in ARCHITECTURES.items():
        assert architecture(name, 4, 3) == replace(base, scale=4, planes=3)


# --- numbers that follow ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "published", "tail"),
    [
        (2, 21_284, 32 * 9 * 4 + 4),
        (3, 22_729, 32 * 9 * 9 + 9),
        (4, 24_752, 32 * 9 * 16 + 16),
    ],
)
def test_parameters_of_the_papers_network(scale: int, published: int, tail: int) -> None:
    """Weights and biases of 5×5×1→64, 3×3×64→32 and 3×3×32→r²: the paper's 21.3k, 22.7k and 24.8k."""
    assert (25 * 1 * 64 + 64) + (9 * 64 * 32 + 32) + tail == published
    assert architecture("espcn", scale).parameters == published


@pytest.mark.parametrize(("scale", "tail"), [(2, 32 * 9 * 4), (3, 32 * 9 * 9), (4, 32 * 9 * 16)])
def test_multiply_adds_are_the_weights_each_used_once_per_lr_pixel(scale: int, tail: int) -> None:
    assert architecture("espcn", scale).macs == 25 * 64 + 9 * 64 * 32 + tail


def test_each_slope_counts_as_a_parameter_and_the_skip_as_none() -> None:
    plain = ModelSettings(widths=(4, 4), kernels=(3, 3, 3), activation="tanh", skip="none")
    assert replace(plain, activation="prelu").parameters == plain.parameters + 2
    assert replace(plain, activation="hardswish").parameters == plain.parameters
    assert replace(plain, skip="bicubic").parameters == plain.parameters


def test_channels_go_from_planes_to_planes_times_scale_squared() -> None:
    assert architecture("espcn-s", 3).channels == (1, 16, 16, 16, 16, 16, 9)
    assert architecture("espcn", 2, 3).channels == (3, 64, 32, 12)


def test_halo_of_the_papers_network_is_four() -> None:
    assert architecture("espcn").halo == (5 - 1) // 2 + (3 - 1) // 2 + (3 - 1) // 2 == 4


@pytest.mark.parametrize(("name", "halo"), [("espcn-s", 6), ("espcn-m", 12), ("espcn-l", 12)])
def test_each_3x3_layer_reaches_one_pixel_further(name: str, halo: int) -> None:
    assert architecture(name).halo == halo


@pytest.mark.parametrize(
    ("kernels", "skip", "halo"), [((1, 1), "none", 0), ((1, 1), "bicubic", 2), ((1, 3), "bicubic", 2)]
)
def test_the_skips_reach_counts_where_it_is_wider_than_the_stack(
    kernels: tuple[int, int], skip: Skip, halo: int
) -> None:
    assert ModelSettings(widths=(4,), kernels=kernels, skip=skip).halo == halo


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        *(({"scale": v}, "scale must be one of") for v in (0, 1, 5, -2, "2", 2.0, 2.5, True, None, [2])),
        *(({"planes": v}, "planes must be") for v in (0, 2, 4, "1", 1.0, True, None)),
        *(({"activation": v}, "activation must be one of") for v in ("relu", "", "Tanh", None, ["tanh"])),
        *(({"skip": v}, "skip must be one of") for v in ("linear", "", None, False)),
        *(({"widths": v, "kernels": (3, 3)}, "widths must be") for v in ((0,), (-4,), (4097,), (4.0,), ("4",))),
        ({"widths": (), "kernels": (3,)}, "widths must be"),
        *(({"widths": (4,), "kernels": v}, "kernels must be one more than widths") for v in ((), (3,), (3, 3, 3))),
        *(({"widths": (4,), "kernels": (3, v)}, "kernels must be odd") for v in (0, 2, -1, 33, 3.0, "3")),
    ],
)
def test_values_that_make_no_network_are_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ModelSettings(**change)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        *(
            ({name: 0}, f"{name} must be at least 1")
            for name in ("steps", "batch_size", "patch_size", "validate_every")
        ),
        *(({"learning_rate": v}, "learning_rate must be above 0") for v in (0.0, -1e-3, float("nan"), float("inf"))),
        *(({"ema_decay": v}, "ema_decay must be in") for v in (1.0, -0.1, float("nan"))),
        ({"warmup": -1}, "must not be negative"),
        ({"expansion": -1}, "must not be negative"),
        ({"loss": "l2"}, "loss must be one of l1, mse, charbonnier, not 'l2'"),
        ({"optimiser": None}, "optimiser must be one of soap, adam"),
        ({"schedule": "Cosine"}, "schedule must be one of"),
        ({"degradation": ["bicubic"]}, "degradation must be one of"),
    ],
)
def test_values_that_make_no_training_are_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        TrainSettings(**change)


def test_settings_never_change() -> None:
    with pytest.raises(FrozenInstanceError):
        ModelSettings().scale = 3  # type: ignore[misc]


# --- how they travel -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", ALL)
def test_round_trip_through_a_dict_and_through_json(settings: ModelSettings) -> None:
    assert ModelSettings.from_dict(settings.to_dict()) == settings
    assert ModelSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


def test_training_settings_come_back_from_json() -> None:
    settings = TrainSettings(steps=7, seed=3)
    assert TrainSettings(**json.loads(json.dumps(settings.to_dict()))) == settings


@pytest.mark.parametrize("name", list(ModelSettings().to_dict()))
def test_a_missing_value_is_refused(name: str) -> None:
    values = ModelSettings().to_dict()
    del values[name]
    with pytest.raises(ValueError, match="settings must have exactly"):
        ModelSettings.from_dict(values)


def test_slopes_per_channel_are_a_prelu_s() -> None:
    plain = ModelSettings(widths=(4, 5), kernels=(3, 3, 3), activation="prelu")
    assert replace(plain, slopes="channel").parameters == plain.parameters - 2 + 9
    assert replace(plain, slopes="channel", last_activation="prelu").parameters == plain.parameters - 2 + 9 + 4
    with pytest.raises(ValueError, match="slopes per channel are a prelu's"):
        ModelSettings(slopes="channel")


def test_an_unknown_value_is_refused() -> None:
    with pytest.raises(ValueError, match="settings must have exactly"):
        ModelSettings.from_dict({**ModelSettings().to_dict(), "depth": 3})


@pytest.mark.parametrize("change", [{"widths": "16"}, {"widths": 16}, {"kernels": None}, {"scale": 9}, {"skip": "x"}])
def test_an_impossible_value_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        ModelSettings.from_dict({**ModelSettings().to_dict(), **change})


def test_the_choices_are_what_help_offers() -> None:
    assert SCALES == (2, 3, 4)
    assert PLANES == {"luma": 1, "rgb": 3}
    assert ACTIVATIONS == ("tanh", "prelu", "hardswish")
    assert SKIPS == ("none", "bicubic", "nearest")


def test_settings_need_neither_torch_nor_numpy() -> None:
    code = "import sys, espcn_cli.settings; print(sorted({'torch', 'numpy', 'PIL'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_network_knows_its_name_by_its_settings(name: str) -> None:
    for scale in SCALES:
        for planes in PLANES.values():
            assert name_of(architecture(name, scale, planes)) == name
    assert name_of(replace(architecture(name), widths=(5,), kernels=(3, 3))) == "custom"
