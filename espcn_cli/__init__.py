"""espcn: super-resolution with sub-pixel convolutions.

The public names below are imported when they are first used, so that `import espcn_cli` costs nothing. Functions that
share their module's name are found there: `from espcn_cli.training.loop import train`, likewise `benchmark`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from espcn_cli.errors import EspcnError as EspcnError
    from espcn_cli.maths.resize import degrade as degrade
    from espcn_cli.network.espcn import ESPCN as ESPCN
    from espcn_cli.network.subpixel import phase_shift as phase_shift
    from espcn_cli.scoring.metrics import psnr as psnr
    from espcn_cli.scoring.metrics import ssim as ssim
    from espcn_cli.settings import ModelSettings as ModelSettings
    from espcn_cli.settings import TrainSettings as TrainSettings
    from espcn_cli.upscaling.upscaler import Upscaler as Upscaler
    from espcn_cli.upscaling.upscaler import load as load

_HOMES = {
    "EspcnError": "errors",
    "psnr": "scoring.metrics",
    "ssim": "scoring.metrics",
    "ESPCN": "network.espcn",
    "degrade": "maths.resize",
    "ModelSettings": "settings",
    "TrainSettings": "settings",
    "phase_shift": "network.subpixel",
    "Upscaler": "upscaling.upscaler",
    "load": "upscaling.upscaler",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"espcn_cli.{_HOMES[name]}"), name)
