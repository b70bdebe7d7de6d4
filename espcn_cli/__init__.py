"""espcn: super-resolution with sub-pixel convolutions.

The names in `__all__` are the library. Each is imported when it is first used: `import espcn_cli` itself costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from espcn_cli.errors import EspcnError
    from espcn_cli.maths.resize import degrade, resize
    from espcn_cli.network.espcn import ESPCN
    from espcn_cli.network.subpixel import phase_shift
    from espcn_cli.scoring.benchmark import benchmark
    from espcn_cli.scoring.metrics import psnr, ssim
    from espcn_cli.settings import ModelSettings, TrainSettings
    from espcn_cli.training.loop import train
    from espcn_cli.upscaling.upscaler import Upscaler, load

    __version__: str

__all__ = [
    "ESPCN",
    "EspcnError",
    "ModelSettings",
    "TrainSettings",
    "Upscaler",
    "__version__",
    "benchmark",
    "degrade",
    "load",
    "phase_shift",
    "psnr",
    "resize",
    "ssim",
    "train",
]

_HOMES = {
    "ESPCN": "network.espcn",
    "EspcnError": "errors",
    "ModelSettings": "settings",
    "TrainSettings": "settings",
    "Upscaler": "upscaling.upscaler",
    "benchmark": "scoring.benchmark",
    "degrade": "maths.resize",
    "load": "upscaling.upscaler",
    "phase_shift": "network.subpixel",
    "psnr": "scoring.metrics",
    "resize": "maths.resize",
    "ssim": "scoring.metrics",
    "train": "training.loop",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("espcn")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"espcn_cli.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
