"""Networks run by other people's programs: what ours is compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray


def by_ncnn(path: Path, x: NDArray[np.floating]) -> NDArray[np.float32]:
    """What ncnn itself makes of (C, H, W), in fp32."""
    ncnn = pytest.importorskip("ncnn")
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.num_threads = 1
    for name in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(net.opt, f"use_{name}", False)
    assert net.load_param(str(path)) == 0
    assert net.load_model(str(path.with_suffix(".bin"))) == 0
    extractor = net.create_extractor()
    source = np.ascontiguousarray(x)
    extractor.input(net.input_names()[0], ncnn.Mat(source).clone())
    code, out = extractor.extract(net.output_names()[0])
    assert code == 0
    result: NDArray[np.float32] = np.array(out).copy()
    del out, extractor  # before the network whose memory they have
    return result


def levels(x: NDArray[np.floating]) -> NDArray[np.int64]:
    result: NDArray[np.int64] = np.floor(255 * x + 0.5).clip(0, 255).transpose(1, 2, 0).astype(int)
    return result
