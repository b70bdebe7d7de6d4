"""espcn: super-resolution with sub-pixel convolutions.

The public names below are imported when they are first used, so that `import espcn_cli` costs nothing. Functions that
share their module's name are found there: `from espcn_cli.train import train`, likewise `benchmark` and `resize`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from espcn_cli.errors import EspcnError as EspcnError
    from espcn_cli.metrics import psnr as psnr
    from espcn_cli.metrics import ssim as ssim
    from espcn_cli.models import ESPCN as ESPCN
    from espcn_cli.resize import degrade as degrade
    from espcn_cli.settings import ModelSettings as ModelSettings
    from espcn_cli.settings import TrainSettings as TrainSettings
    from espcn_cli.subpixel import phase_shift as phase_shift
    from espcn_cli.upscale import Upscaler as Upscaler
    from espcn_cli.upscale import load as load

_HOMES = {
    "EspcnError": "errors",
    "psnr": "metrics",
    "ssim": "metrics",
    "ESPCN": "models",
    "degrade": "resize",
    "ModelSettings": "settings",
    "TrainSettings": "settings",
    "phase_shift": "subpixel",
    "Upscaler": "upscale",
    "load": "upscale",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"espcn_cli.{_HOMES[name]}"), name)
