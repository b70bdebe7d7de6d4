"""A model sent to other machines: the same weights in the same arithmetic, wherever it is opened."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from making import natural, save_checkpoint, save_pair

from espcn_cli.cluster.kit import Kit, pack, place_of
from espcn_cli.errors import UsageError
from espcn_cli.upscaling.sizes import parse
from espcn_cli.upscaling.upscaler import load


def sent(kit: Kit) -> Kit:
    again: Kit = pickle.loads(pickle.dumps(kit))
    return again


def test_a_model_opens_from_its_kit_where_its_file_is_not(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "tiny.safetensors")
    picture = natural(40, 30)
    expected = load(path)(picture)
    kit = sent(pack(path, None, "cpu", all_scales=False))
    path.unlink()
    opened = kit.open()
    assert np.array_equal(opened(picture), expected)
    assert (opened.name, opened.scale, opened.scales) == ("tiny", 2, (2,))


@pytest.mark.parametrize("strength", ["auto", 0.0, 0.5, 1.0])
def test_weights_that_are_mixed_come_with_their_sister(tmp_path: Path, strength: float) -> None:
    clean, real = save_pair(tmp_path)
    picture = natural(40, 30)
    expected = load(real, strength=strength)(picture)
    kit = sent(pack(real, None, "cpu", all_scales=False, strength=strength))
    clean.unlink()
    assert np.array_equal(kit.open()(picture), expected)


def test_a_name_brings_all_scales_where_a_size_is_asked_for() -> None:
    kit = sent(pack("espcn-s", None, "cpu", all_scales=True))
    opened, size = kit.open(), parse("300%")
    assert opened.scales == (2, 3, 4)
    used = opened.reaching((10, 10), size)
    assert used and used.scale == 3 and np.array_equal(used(natural(20, 14)), load("espcn-s", 3)(natural(20, 14)))
    assert list(pack("espcn-s", None, "cpu", all_scales=False).networks) == [2]


def test_engine_and_precision_are_those_of_the_head() -> None:
    [network] = pack("espcn-s", 2, "cpu", all_scales=False, engine="torch", precision="fp32").networks.values()
    assert (network.engine, network.precision) == ("torch", "fp32")
    [network] = pack("espcn-s", 2, "cpu", all_scales=False).networks.values()
    assert network.engine in ("openvino", "torch") and network.precision in ("fp32", "bf16")
    [network] = pack("espcn-s", 2, "cuda", all_scales=False).networks.values()  # a GPU that need not be here
    assert (network.engine, network.precision) == ("torch", "fp16")
    with pytest.raises(UsageError, match="OpenVINO does not run on 'cuda'"):
        pack("espcn-s", 2, "cuda", all_scales=False, engine="openvino")


@pytest.mark.parametrize(
    ("device", "gpus", "place"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_workers_compute_on_gpus_where_there_are_any(device: str, gpus: bool, place: str) -> None:
    assert place_of(device, gpus) == place


def test_a_gpu_that_no_machine_has() -> None:
    with pytest.raises(UsageError, match="no machine of the cluster has a GPU"):
        place_of("cuda", False)


def test_a_sealed_model_knows_sizes_and_computes_nothing() -> None:
    sealed = pack("espcn-s", None, "cpu", all_scales=True, precision="int8", ensemble=True).sealed()
    assert sealed.output_size((10, 20)) == (20, 40) and sealed.at(4).scale == 4 and sealed.name == "espcn-s"
    assert sealed.engine.arithmetic == "int8, ensemble"
    with pytest.raises(TypeError):
        sealed(natural(20, 14))


WORKER = """
import os, pickle, sys
from pathlib import Path
from espcn_cli.cluster.worker import Share, Worker
from espcn_cli.upscaling.outcome import Task

worker = Worker(pickle.loads(Path(sys.argv[1]).read_bytes()), 1)
assert worker.open() is None
[outcome] = worker.pictures(Share((Task(Path("in.png"), Path("out.png")),))).outcomes
assert outcome.error is None and Path("out.png").exists()
assert "torch" not in sys.modules and "ray" not in sys.modules
"""


def test_a_worker_with_openvino_never_imports_torch(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="needs OpenVINO: pip install 'espcn[fast]'")
    from making import save_picture

    from espcn_cli.cluster.worker import Order
    from espcn_cli.upscaling.pipeline import Options

    save_picture(tmp_path / "in.png")
    kit = pack("espcn-s", 2, "cpu", all_scales=False, engine="openvino", precision="fp32")
    (tmp_path / "order").write_bytes(pickle.dumps(Order(kit, Options(), str(tmp_path), 10**6)))
    done = subprocess.run(
        [sys.executable, "-c", WORKER, "order"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
