"""Which arithmetic OpenVINO's hidden layers are done in, and why: `auto` takes the fastest that nobody sees."""

from __future__ import annotations

from espcn_cli.engines import openvino_runtime as runtime
from espcn_cli.errors import UsageError
from espcn_cli.settings import ModelSettings


def choose_for_openvino(name: str, device: str, settings: ModelSettings) -> tuple[str, str]:
    """fp32, bf16 or fp16, and the reason. `device` is OpenVINO's name of one.

    Raises UsageError for what the device does not multiply by its own hardware: it would be done in fp32 in silence.
    """
    if name == "auto":
        return "fp32", "keeps the bits"
    if name == "fp16" and device == "CPU":
        raise UsageError("fp16 needs a GPU: use --precision bf16 or fp32 on a CPU")
    if not runtime.has(device, name):
        raise UsageError(f"{runtime.name_of(device)} has no {name}: use --precision auto or fp32, or --engine torch")
    return name, "asked for"
