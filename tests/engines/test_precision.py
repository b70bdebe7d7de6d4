"""The rule of `--precision auto` in OpenVINO; the processor that answers is a stand-in."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from math import inf
from pathlib import Path
from types import SimpleNamespace

import pytest

from espcn_cli.engines import precision
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.settings import ModelSettings, architecture

runtime = pytest.importorskip("espcn_cli.engines.openvino_runtime")

Processor = Callable[..., None]

SKIP, NO_SKIP = architecture("espcn-s"), architecture("espcn")


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Processor:
    """Sets what the processor has and how long arithmetics take on it; nothing is remembered from before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def answer(*has: str, bf16: float = 0.5, int8: float = inf, name: str = "a processor") -> None:
        precision.bf16_ratio.cache_clear()
        monkeypatch.setattr(precision, "int8_ratio", lambda: int8)
        monkeypatch.setattr(runtime, "has", lambda device, kind: kind in ("fp32", *has))
        monkeypatch.setattr(runtime, "name_of", lambda device: name)
        monkeypatch.setattr(precision, "measure", {"bf16": bf16}.__getitem__)

    return answer


def auto(settings: ModelSettings = SKIP, device: str = "CPU") -> str:
    return precision.choose_for_openvino("auto", device, settings)[0]


@pytest.mark.parametrize(("bf16", "chosen"), [(0.5, "bf16"), (0.95, "fp32"), (1.5, "fp32")])
def test_bf16_where_the_processor_has_it_and_gains_by_it(processor: Processor, bf16: float, chosen: str) -> None:
    processor("bf16", bf16=bf16)
    assert auto() == chosen


def test_fp32_where_openvino_fails_in_bf16(processor: Processor) -> None:
    processor("bf16", bf16=inf)
    kind, reason = precision.choose_for_openvino("auto", "CPU", SKIP)
    assert kind == "fp32"
    assert reason.endswith("fails in bf16 here")


def test_a_graph_that_cannot_be_made_is_infinitely_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("Exception from a file\nobject is not initialized\n\n")

    monkeypatch.setattr(runtime, "core", lambda: SimpleNamespace(compile_model=fails))
    assert precision.measure("int8") == inf


def test_fp32_where_the_processor_has_no_bf16(processor: Processor) -> None:
    processor()
    assert precision.choose_for_openvino("auto", "CPU", SKIP) == ("fp32", "the processor has no bf16")


def test_a_network_without_a_skip_stays_in_fp32(processor: Processor) -> None:
    """By `benchmarks/precision.py` one sample in two hundred would be off by more than a level."""
    processor("bf16")
    assert auto(NO_SKIP) == "fp32"
    assert precision.choose_for_openvino("bf16", "CPU", NO_SKIP) == ("bf16", "asked for")


@pytest.mark.parametrize(
    ("name", "scale", "chosen"), [("espcn-m", 4, "bf16"), ("espcn-l", 3, "bf16"), ("espcn-l", 4, "fp32")]
)
def test_a_wide_network_stays_in_fp32_at_x4(processor: Processor, name: str, scale: int, chosen: str) -> None:
    processor("bf16")
    assert auto(architecture(name, scale)) == chosen


def test_int8_where_there_is_no_bf16_and_the_network_has_ranges(processor: Processor) -> None:
    processor(int8=0.5)
    assert precision.choose_for_openvino("auto", "CPU", SKIP, in_bytes=True)[0] == "int8"
    assert precision.choose_for_openvino("auto", "CPU", SKIP, in_bytes=False)[0] == "fp32"
    assert precision.choose_for_openvino("auto", "GPU", SKIP, in_bytes=True)[0] == "fp32"
    processor("bf16", int8=0.4)
    assert precision.choose_for_openvino("auto", "CPU", SKIP, in_bytes=True)[0] == "bf16"
    assert precision.choose_for_openvino("int8", "CPU", SKIP, in_bytes=True) == ("int8", "asked for")


@pytest.mark.parametrize("ratio", [0.95, inf])
def test_int8_has_to_be_faster(processor: Processor, ratio: float) -> None:
    processor(int8=ratio)
    assert precision.choose_for_openvino("auto", "CPU", SKIP, in_bytes=True)[0] == "fp32"


def test_int8_is_refused_where_it_overflows(processor: Processor) -> None:
    processor(name="An old one")
    with pytest.raises(
        UsageError, match="An old one overflows in int8, as it has no VNNI: use --precision auto or fp32"
    ):
        precision.choose_for_openvino("int8", "CPU", SKIP, in_bytes=True)


def test_gpus_take_fp16(processor: Processor) -> None:
    processor("fp16")
    assert auto(device="GPU") == "fp16"
    assert auto(NO_SKIP, "GPU") == "fp32"


def test_it_is_measured_once_and_remembered_for_each_processor(processor: Processor, tmp_path: Path) -> None:
    """Or the same picture would come out differently where it is a close thing."""
    processor("bf16", bf16=0.5)
    assert auto() == "bf16"
    processor("bf16", bf16=2.0)  # a busy moment
    assert auto() == "bf16"
    processor("bf16", bf16=2.0, name="another")
    assert auto() == "fp32"
    assert sorted(json.loads((tmp_path / "espcn" / "bf16-rgb.json").read_text()).values()) == [0.5, 2.0]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a processor": "fast"}', "[" * 100_000])
def test_what_is_remembered_badly_is_measured_again(processor: Processor, tmp_path: Path, text: str) -> None:
    (tmp_path / "espcn").mkdir()
    (tmp_path / "espcn" / "bf16-rgb.json").write_text(text)
    processor("bf16")
    assert auto() == "bf16"


def test_a_folder_that_takes_no_file_is_no_error(processor: Processor, tmp_path: Path) -> None:
    (tmp_path / "espcn").write_text("a file where the folder should be")
    processor("bf16")
    assert auto() == "bf16"


def test_what_is_asked_for_and_is_not_there_is_misuse(processor: Processor) -> None:
    processor()
    with pytest.raises(UsageError, match="a processor has no bf16: use --precision auto or fp32, or --engine torch"):
        precision.choose_for_openvino("bf16", "CPU", SKIP)
    with pytest.raises(UsageError, match="fp16 needs a GPU"):
        precision.choose_for_openvino("fp16", "CPU", SKIP)


def test_measuring_takes_time() -> None:
    assert precision.measure("fp32") > 0


def test_only_hidden_layers_are_marked_as_rough() -> None:
    """All but the hidden convolutions and activations bear OpenVINO's mark for what stays in fp32."""
    import numpy as np

    from espcn_cli.engines.openvino_graph import HIDDEN, Blueprint, Form, build

    weights = {name: np.ones(shape, np.float32) for name, shape in SKIP.shapes.items()}
    model = runtime.keep_in_fp32(build(Blueprint(SKIP, weights), Form(3), (1, 8, 8, 3)), HIDDEN)
    kinds = ("Convolution", "PRelu", "Add", "Multiply", "Pad")
    nodes = [node for node in model.get_ordered_ops() if node.get_type_name() in kinds]
    rough = [node for node in nodes if not list(node.get_rt_info().keys())]
    names = [node.get_type_name() for node in rough]
    assert all(node.get_friendly_name().startswith(HIDDEN) for node in rough)
    assert (names.count("Convolution"), names.count("PRelu")) == (5, 5)
    assert len(nodes) > len(rough) + 5


@pytest.mark.parametrize("memory", [True, False])
def test_half_precision_needs_no_disk_where_files_may_lie_in_memory(
    memory: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "memory").mkdir()
    monkeypatch.setattr(runtime, "IN_MEMORY", str(tmp_path / ("memory" if memory else "none")))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "full"))
    model = runtime.ov.Model([runtime.op.relu(x := runtime.op.parameter([1], runtime.ov.Type.f32))], [x])
    if memory:
        assert len(runtime.keep_in_fp32(model, "hidden").get_ops()) == len(model.get_ops())
    else:
        with pytest.raises(EspcnError, match="full, which half precision needs: make room, or use --precision fp32"):
            runtime.keep_in_fp32(model, "hidden")
