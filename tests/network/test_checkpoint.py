"""Checkpoints come back as they were, and nothing that is damaged comes back at all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from espcn_cli.errors import EspcnError
from espcn_cli.network.checkpoint import Card, Sister, read_card
from espcn_cli.network.espcn import ESPCN, load
from espcn_cli.network.named import find
from espcn_cli.network.weights import save
from espcn_cli.settings import ARCHITECTURES, PLANES, SCALES, ModelSettings, architecture

SMALL = ModelSettings(widths=(4, 4), kernels=(3, 3, 3), activation="prelu")
CARD = Card(
    settings=SMALL,
    name="small",
    training={"steps": 7, "seed": 3, "data": {"pictures": 2}},
    metrics={"Set5": {"psnr": 33.67, "ssim": 0.93, "protocol": "x2, …"}},
    license="MIT",
)

Make = Callable[..., ESPCN]


@pytest.fixture
def path(tmp_path: Path, make_network: Make) -> Path:
    """A good checkpoint."""
    path = tmp_path / "good.safetensors"
    save(path, make_network(SMALL), CARD)
    return path


def rewrite(
    path: Path, change: Callable[[dict[str, Tensor], dict[str, str]], object] = lambda tensors, metadata: None
) -> None:
    """Write a checkpoint again with its tensors and metadata changed, past all our own checks."""
    with safe_open(path, framework="numpy") as file:
        metadata = dict(file.metadata())
    tensors = load_file(path)
    change(tensors, metadata)
    save_file(tensors, path, metadata)


def refusal(path: Path) -> str:
    """The one line that loading ends in; it names the file."""
    with pytest.raises(EspcnError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert caught.value.exit_code == 1
    return message


# --- there and back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("planes", PLANES.values())
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_round_trip(name: str, scale: int, planes: int, tmp_path: Path, make_network: Make) -> None:
    settings = architecture(name, scale, planes)
    network = make_network(settings)
    save(tmp_path / "n.safetensors", network, Card(settings, name))
    again, card = load(tmp_path / "n.safetensors")
    assert card == Card(settings, name)
    assert again.settings == settings
    assert all(torch.equal(again.state_dict()[key], value) for key, value in network.state_dict().items())
    x = torch.rand(1, planes, 6, 7, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(again(x), network(x))


def test_what_a_checkpoint_says_about_itself_comes_back(path: Path) -> None:
    assert read_card(path) == CARD
    assert load(path)[1] == CARD


def test_a_sister_comes_back_and_a_damaged_one_is_refused(path: Path, make_network: Make) -> None:
    card = replace(CARD, sister=Sister("small", "0" * 64))
    save(path, make_network(SMALL), card)
    assert read_card(path) == card
    for text in ("", "[]", "null", '{"name": "small"}', '{"name": "small", "sha256": "0", "more": 1}'):
        rewrite(path, lambda tensors, metadata, text=text: metadata.update(sister=text))  # type: ignore[misc]
        assert "damaged metadata" in refusal(path)


def test_the_metadata_is_strings_and_json_where_structured(path: Path) -> None:
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    assert (metadata["format"], metadata["format_version"]) == ("espcn", "1")
    assert (metadata["name"], metadata["license"]) == ("small", "MIT")
    assert json.loads(metadata["settings"])["widths"] == [4, 4]
    assert json.loads(metadata["training"]) == CARD.training
    assert json.loads(metadata["metrics"]) == CARD.metrics


# --- format 2 --------------------------------------------------------------------------------------------------------

NEW: list[dict[str, Any]] = [
    {"skip": "nearest"},
    {"last_activation": "tanh"},
    {"last_activation": "prelu", "slopes": "channel"},
    {"slopes": "channel"},
    {"value_range": (0, 255)},
    {"value_range": (-1.0, 1.0), "skip": "none", "last_activation": "hardswish"},
    {"last_activation": "sigmoid", "skip": "none"},
    {"border": "edge"},
]
RANGES = ((0.0, 1.0), (-0.5, 3.25), (-1e-3, 2.0))


def version_of(path: Path) -> str:
    with safe_open(path, framework="numpy") as file:
        return str(file.metadata()["format_version"])


@pytest.mark.parametrize("planes", PLANES.values())
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("change", NEW, ids=str)
def test_what_is_new_comes_back_from_format_2(
    change: dict[str, Any], scale: int, planes: int, tmp_path: Path, make_network: Make
) -> None:
    settings = replace(SMALL, scale=scale, planes=planes, **change)
    network = make_network(settings)
    card = Card(settings, "foreign", ranges=RANGES)
    save(tmp_path / "n.safetensors", network, card)
    assert version_of(tmp_path / "n.safetensors") == "2"
    again, read = load(tmp_path / "n.safetensors")
    assert read == card
    assert again.settings.parameters == sum(p.numel() for p in again.parameters())
    x = torch.rand(1, planes, 6, 7, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(again(x), network(x))


def test_format_2_is_written_only_where_it_is_needed(path: Path, tmp_path: Path, make_network: Make) -> None:
    assert version_of(path) == "1"
    save(tmp_path / "r.safetensors", make_network(SMALL), replace(CARD, ranges=RANGES))
    assert version_of(tmp_path / "r.safetensors") == "2"
    assert not {"last_activation", "slopes", "value_range", "border"} & SMALL.to_dict().keys()


@pytest.mark.parametrize(
    "change",
    [
        {"skip": "nearest"},
        {"last_activation": "tanh"},
        {"value_range": [0, 255]},
        {"slopes": "channel"},
        {"border": "edge"},
    ],
)
def test_format_1_holds_nothing_new(change: dict[str, Any], path: Path) -> None:
    values = {**SMALL.to_dict(), **change}
    rewrite(path, lambda tensors, metadata: metadata.update(settings=json.dumps(values)))
    assert "format 1 has no such settings" in refusal(path)


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ("[[0, 1]]", "3 layers need as many ranges, not 1"),
        ("[[0, 1], [1, 0], [0, 1]]", "ranges must be two numbers, the second larger"),
        ("[[0, 1], [0, NaN], [0, 1]]", "ranges must be two numbers, the second larger"),
        ("[[0, 1], [0, null], [0, 1]]", "ranges must be two numbers, the second larger"),
        ("[[0, 1], [0], [0, 1]]", "ranges must be pairs of numbers"),
        ("5", "ranges cannot be read"),
        ("{", "ranges cannot be read"),
        ("{}", "ranges cannot be read"),
        ("null", "ranges cannot be read"),
    ],
)
def test_ranges_that_are_none_are_refused(ranges: str, said: str, path: Path) -> None:
    rewrite(path, lambda tensors, metadata: metadata.update(ranges=ranges, format_version="2"))
    assert refusal(path) == f"{path} has damaged metadata ({said}): get a fresh copy"


@pytest.mark.parametrize("value", [[0], [1, 0], [0, float("inf")], ["0", "1"], [True, 2], 1, "01", [0, 1, 2]])
def test_value_ranges_that_are_none_are_refused(value: object, path: Path) -> None:
    values = {**SMALL.to_dict(), "value_range": value}
    rewrite(path, lambda tensors, metadata: metadata.update(settings=json.dumps(values), format_version="2"))
    assert "damaged metadata" in refusal(path)


def test_a_loaded_network_is_ready_for_inference(path: Path) -> None:
    network, _ = load(path)
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    assert {p.device.type for p in network.parameters()} == {"cpu"}


def test_tensors_are_stored_as_contiguous_float32(tmp_path: Path, make_network: Make) -> None:
    """Whatever the network is when it is saved: in half precision, with its channels last, ready to learn."""
    network = make_network(SMALL).to(torch.bfloat16).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    save(tmp_path / "n.safetensors", network, CARD)
    for name, tensor in load_file(tmp_path / "n.safetensors").items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, network.state_dict()[name].float())


def test_the_metadata_is_read_without_torch(path: Path) -> None:
    """`espcn models` answers at once because of this."""
    code = (
        "import sys; from pathlib import Path; from espcn_cli.network.checkpoint import read_card;"
        "print(read_card(Path(sys.argv[1])).name, 'torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code, path], text=True).split() == ["small", "False"]


def test_the_weights_are_read_without_torch(path: Path) -> None:
    """As arrays, by the shapes that the settings give."""
    code = (
        "import sys; from pathlib import Path; from espcn_cli.network.checkpoint import read_card, read_weights;"
        "path = Path(sys.argv[1]); weights = read_weights(path, read_card(path).settings.shapes);"
        "print(sorted(weights)[0], 'torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code, path], text=True).split() == ["body.0.bias", "False"]


def test_making_a_network_does_need_torch(path: Path) -> None:
    """The proof that the tests above can fail."""
    code = (
        "import sys; from pathlib import Path; from espcn_cli.network.espcn import load;"
        "load(Path(sys.argv[1])); print('torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code, path], text=True).strip() == "True"


# --- what is not a checkpoint ----------------------------------------------------------------------------------------


def test_no_file_at_all(tmp_path: Path) -> None:
    assert "no checkpoint at" in refusal(tmp_path / "none.safetensors")


def test_a_folder(tmp_path: Path) -> None:
    assert "not a readable safetensors file" in refusal(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 7, b"\x00" * 64, b"\xff" * 64, b"PK\x03\x04 not ours at all", b"{}"]
)
def test_bytes_that_are_no_safetensors_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    assert "not a readable safetensors file" in refusal(path)


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.ckpt", "pytorch_model.bin", "w.PTH", "renamed.safetensors"])
@pytest.mark.parametrize("archive", [True, False], ids=["new", "old"])
def test_a_file_of_pytorch_s_is_called_so_and_not_unpickled(name: str, archive: bool, tmp_path: Path) -> None:
    path = tmp_path / name
    torch.save({"weight": torch.zeros(3)}, path, _use_new_zipfile_serialization=archive)
    assert "PyTorch files are not read" in refusal(path)
    assert find(str(path)) == path


def test_a_name_that_ends_like_pytorch_s_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EspcnError, match=r"no checkpoint at RealESRGAN_x2plus\.pth"):
        find("RealESRGAN_x2plus.pth")
    Path("any.pth").write_bytes(b"whatever")
    assert "PyTorch files are not read" in refusal(find("any.pth"))


def test_a_file_cut_anywhere(path: Path) -> None:
    whole = path.read_bytes()
    for length in (1, 8, 9, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "is it complete?" in refusal(path)


def test_a_file_with_more_behind_it(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\x00")
    assert "not a readable safetensors file" in refusal(path)


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}, {"format": "ESPCN"}, {"format_version": "1"}])
def test_somebody_elses_safetensors_file(metadata: dict[str, str] | None, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, path, metadata)
    assert "not an espcn checkpoint" in refusal(path)


# --- what is damaged -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["3", "10", "1.5", "-1", "", "one", "9" * 5000])
def test_a_format_this_espcn_does_not_read(version: str, path: Path) -> None:
    rewrite(path, lambda tensors, metadata: metadata.update(format_version=version))
    assert "this espcn reads up to 2: upgrade" in refusal(path)


@pytest.mark.parametrize("name", ["body.0.weight", "body.0.bias", "body.1.weight", "body.4.weight"])
def test_a_missing_tensor_is_named(name: str, path: Path) -> None:
    rewrite(path, lambda tensors, metadata: tensors.pop(name))
    assert f"lacks the tensor {name}" in refusal(path)


def test_a_superfluous_tensor_is_named(path: Path) -> None:
    rewrite(path, lambda tensors, metadata: tensors.update(extra=torch.zeros(2)))
    assert "unexpected tensor extra" in refusal(path)


@pytest.mark.parametrize("shape", [(4, 1, 3), (4, 1, 5, 5), (1, 4, 3, 3), (36,), ()])
def test_a_misshapen_tensor_is_named_with_both_shapes(shape: tuple[int, ...], path: Path) -> None:
    rewrite(path, lambda tensors, metadata: tensors.update({"body.0.weight": torch.zeros(shape)}))
    assert f"tensor body.0.weight has shape {shape}, its settings say (4, 1, 3, 3)" in refusal(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["body.0.weight", "body.1.weight", "body.4.bias"])
def test_a_tensor_that_is_not_finite_is_named(name: str, value: float, path: Path) -> None:
    rewrite(path, lambda tensors, metadata: tensors[name].view(-1)[0].fill_(value))
    assert f"tensor {name} holds NaN or infinity" in refusal(path)


def test_a_tensor_that_is_not_float32_is_named(path: Path) -> None:
    for dtype, name in ((torch.float16, "F16"), (torch.float8_e4m3fn, "F8_E4M3"), (torch.int64, "I64")):
        tensor = torch.ones(4).to(dtype)
        rewrite(path, lambda tensors, metadata, t=tensor: tensors.update({"body.0.bias": t}))  # type: ignore[misc]
        assert f"tensor body.0.bias is {name}, not F32 (float32)" in refusal(path)


@pytest.mark.parametrize("key", ["settings", "name", "training", "metrics", "license"])
def test_missing_metadata(key: str, path: Path) -> None:
    rewrite(path, lambda tensors, metadata: metadata.pop(key))
    assert refusal(path) == f"{path} has damaged metadata (no {key}): get a fresh copy"


@pytest.mark.parametrize("key", ["settings", "training", "metrics", "sister"])
@pytest.mark.parametrize("text", ["", "{", "nonsense", "5", "null", '["a"]', "[]", "[" * 100_000])
def test_metadata_that_is_no_json_object(key: str, text: str, path: Path) -> None:
    rewrite(path, lambda tensors, metadata: metadata.update({key: text}))
    assert refusal(path) == f"{path} has damaged metadata ({key} cannot be read): get a fresh copy"


@pytest.mark.parametrize("text", ["{}", '{"name": "a"}', '{"name": "a", "sha256": null}'])
def test_a_sister_that_is_none(text: str, path: Path) -> None:
    rewrite(path, lambda tensors, metadata: metadata.update(sister=text))
    assert refusal(path) == f"{path} has damaged metadata (sister cannot be read): get a fresh copy"


@pytest.mark.parametrize(
    "change",
    [
        {"scale": 5},
        {"scale": 2.0},
        {"scale": "2"},
        {"planes": 1.0},
        {"planes": True},
        {"activation": "relu"},
        {"skip": None},
        {"widths": []},
        {"widths": [4.0, 4]},
        {"kernels": [3, 3]},
        {"kernels": "333"},
        {"widths": [4096] * 1000, "kernels": [31] * 1001},  # would fill any memory before it is compared
        {"depth": 3},
    ],
)
def test_settings_this_espcn_does_not_know(change: dict[str, Any], path: Path) -> None:
    values = {**SMALL.to_dict(), **change}
    rewrite(path, lambda tensors, metadata: metadata.update(settings=json.dumps(values)))
    assert "damaged metadata" in refusal(path)


@pytest.mark.parametrize("change", [{"scale": 3}, {"planes": 3}, {"widths": [4, 5]}, {"activation": "tanh"}])
def test_settings_that_do_not_describe_the_tensors(change: dict[str, Any], path: Path) -> None:
    values = {**SMALL.to_dict(), **change}
    rewrite(path, lambda tensors, metadata: metadata.update(settings=json.dumps(values)))
    assert "tensor body." in refusal(path)


def test_an_undamaged_copy_does_load(path: Path) -> None:
    """The proof that rewriting alone is not what is refused."""
    rewrite(path)
    assert load(path)[1] == CARD


# --- whole or not at all ---------------------------------------------------------------------------------------------


def test_saving_replaces_and_leaves_nothing_else(path: Path, make_network: Make) -> None:
    save(path, make_network(SMALL, seed=1), CARD)
    network, _ = load(path)
    assert torch.equal(network.state_dict()["body.0.weight"], make_network(SMALL, seed=1).state_dict()["body.0.weight"])
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_save_that_fails_leaves_the_old_file_and_no_other(
    failure: BaseException, path: Path, make_network: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def half(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise failure

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(EspcnError if isinstance(failure, OSError) else KeyboardInterrupt) as caught:
        save(path, make_network(SMALL, seed=1), CARD)
    if isinstance(failure, OSError):
        assert str(path) in str(caught.value) and "No space left" in str(caught.value)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_saving_into_a_folder_that_is_not_there(tmp_path: Path, make_network: Make) -> None:
    with pytest.raises(EspcnError, match=r"cannot write .*n\.safetensors"):
        save(tmp_path / "none" / "n.safetensors", make_network(SMALL), CARD)


def test_saving_onto_a_folder(tmp_path: Path, make_network: Make) -> None:
    (tmp_path / "n.safetensors").mkdir()
    with pytest.raises(EspcnError, match=r"cannot write .*n\.safetensors"):
        save(tmp_path / "n.safetensors", make_network(SMALL), CARD)
    assert [p.name for p in tmp_path.iterdir()] == ["n.safetensors"]
