"""All that a report of a fault should tell of an installation and its machine, and what is wrong with it."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from espcn_cli.errors import EspcnError
from espcn_cli.files import cache_folder, check_folder
from espcn_cli.reports import caches, installed, machine, trial
from espcn_cli.reports.caches import Kept
from espcn_cli.reports.installed import OPTIONAL, Extra, Package
from espcn_cli.reports.machine import Memory, Processor, Threads

VARIABLES = (
    *("ESPCN_MODELS", "XDG_CACHE_HOME", "XDG_DATA_HOME", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "KMP_BLOCKTIME"),
    *("CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH", "MALLOC_ARENA_MAX"),
)
"""What in the environment changes how espcn runs."""

SLOW = ("torch", "matplotlib", "tensorboard", "ray")
"""What takes long to import, and no picture needs."""

OPENVINO = "openvino"
"""It is tried by a small network instead of a plain import, of which espcn makes a lighter one."""


@dataclass(frozen=True)
class Way:
    """What models run by here: an engine on a device in a precision, why, and the models by name and scale."""

    engine: str
    device: str
    precision: str
    reason: str
    models: tuple[str, ...]


@dataclass(frozen=True)
class Engines:
    """What there is to run networks by. `openvino_devices` and `gpus` by name; `driver`: NVIDIA's finds a GPU.

    `cuda` is what PyTorch was built for, None where that is not known or there is none.
    """

    ways: tuple[Way, ...] = ()
    openvino_devices: dict[str, str] = field(default_factory=dict)
    driver: bool = False
    cuda: str | None = None
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True)
class Health:
    """An installation and its machine; `problems` are what the user should mend, a line each."""

    version: str
    folder: str
    python: str
    executable: str
    system: str
    packages: tuple[Package, ...]
    pillow: dict[str, str | None]
    extras: tuple[Extra, ...]
    engines: Engines
    processor: Processor
    threads: Threads
    memory: Memory
    models_folder: str
    own_models: tuple[str, ...]
    cache_folder: str
    caches: tuple[Kept, ...]
    environment: dict[str, str]
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The record of `--json`; the user's home is called ~ in it."""
        record = asdict(self)
        for extra, described in zip(self.extras, record["extras"], strict=True):
            described["remedy"] = extra.remedy
        record["threads"]["reason"] = self.threads.reason
        without: dict[str, Any] = without_home(record)
        return without


def examine(thoroughly: bool = False) -> Health:
    """Look at everything. Nothing is raised for what is broken: it is among the problems.

    What takes long to import and no picture needs, PyTorch above all, is imported only `thoroughly`, or where a GPU
    makes it matter; until then it counts as working where it is installed.
    """
    packages, extras = installed.needed(), installed.extras()
    there = [each for each in [*packages, *(part for extra in extras for part in extra.packages)] if each.version]
    passed_over = (OPENVINO, *(() if thoroughly else SLOW))
    faults = trial.faults_of([each.module for each in there if each.name not in passed_over])
    engines, problems = _engines(faults, thoroughly)
    packages = [each.tried(faults.get(each.module)) for each in packages]
    extras = [replace(each, packages=tuple(p.tried(faults.get(p.module)) for p in each.packages)) for each in extras]
    folder, own, troubles = _own_models()
    wrong = [*_wrong_packages(packages), *_wrong_extras(extras), *problems, *troubles, *_wrong_cache()]
    return Health(
        version=installed.version(),
        folder=str(Path(__file__).parents[1]),
        python=platform.python_version(),
        executable=sys.executable,
        system=platform.platform(),
        packages=tuple(packages),
        pillow=dict(trial.alone(trial.pillow).told) if "PIL" not in faults else {},
        extras=tuple(extras),
        engines=engines,
        processor=machine.processor(),
        threads=machine.threads(),
        memory=machine.main_memory(),
        models_folder=folder,
        own_models=own,
        cache_folder=str(cache_folder()),
        caches=tuple(caches.kept()),
        environment={name: os.environ[name] for name in VARIABLES if name in os.environ},
        problems=tuple(dict.fromkeys(without_home(wrong))),
    )


def without_home(value: Any) -> Any:
    """The same texts, lists and dictionaries with ~ for the user's home, which may hold a name."""
    if isinstance(value, dict):
        return {key: without_home(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_home(item) for item in value]
    home = str(Path.home())
    if not isinstance(value, str) or len(home) < 2:
        return value
    return re.sub(rf"{re.escape(home)}(?![\w.-])", "~", value)


def _engines(faults: dict[str, str], thoroughly: bool) -> tuple[Engines, list[str]]:
    """What networks run by, and what is wrong with it; why OpenVINO and PyTorch do not work goes to `faults`."""
    devices: dict[str, str] = {}
    if installed.is_installed(OPENVINO):
        tried = trial.alone(trial.openvino)
        if fault := tried.error or tried.told[0]:
            faults[OPENVINO] = fault
        else:
            devices = tried.told[1]
    driver = any(trial.alone(trial.driver).told)
    cuda: str | None = None
    gpus: tuple[str, ...] = ()
    if installed.is_installed("torch") and "torch" not in faults and (driver or thoroughly):
        tried = trial.alone(trial.pytorch)
        if tried.error:
            faults["torch"] = tried.error
        else:
            cuda, gpus = tried.told[0]["cuda"], tuple(tried.told[0]["gpus"])
    ways, problems = _ways()
    if driver and not gpus and "torch" not in faults:
        problems.append(_unused_gpu(cuda))
    return Engines(ways, devices, driver, cuda, gpus), problems


def _unused_gpu(cuda: str | None) -> str:
    what = "PyTorch is not installed" if not installed.is_installed("torch") else "PyTorch does not find it"
    built = "" if cuda or not installed.is_installed("torch") else ", as it was built without CUDA"
    return f"NVIDIA's driver finds a GPU, but {what}{built}: install PyTorch for CUDA, see pytorch.org"


def _ways() -> tuple[tuple[Way, ...], list[str]]:
    tried = trial.alone(trial.choices)
    names: dict[tuple[str, str, str, str], list[str]] = {}
    errors: list[str] = []
    for name, scale, choice, error in tried.told:
        if choice is None:
            errors.append(error)
        else:
            found = (choice["engine"], choice["device"], choice["precision"], choice["reason"])
            names.setdefault(found, []).append(f"{name} x{scale}")
    if tried.error is not None:
        errors.append(f"no network can be run: {tried.error}")
    return tuple(Way(*found, tuple(models)) for found, models in names.items()), list(dict.fromkeys(errors))


def _own_models() -> tuple[str, tuple[str, ...], list[str]]:
    """Their folder, their names, and what is wrong there; nothing where they cannot be looked for."""
    tried = trial.alone(trial.models)
    return (tried.told[0], tuple(tried.told[1]), tried.told[2]) if tried.error is None else ("", (), [])


def _wrong_packages(packages: list[Package]) -> list[str]:
    missing = [each.name for each in packages if each.version is None and each.name not in OPTIONAL]
    lines = [f"not installed: {', '.join(missing)}: pip install {' '.join(missing)}"] if missing else []
    return lines + [_wrong(each) for each in packages if each.version is not None and each.error]


def _wrong_extras(extras: list[Extra]) -> list[str]:
    return [_wrong(each) for extra in extras for each in extra.packages if each.version is not None and each.error]


def _wrong(package: Package) -> str:
    return f"{package.name} {package.version} does not work ({package.error}): pip install --upgrade {package.name}"


def _wrong_cache() -> list[str]:
    try:
        check_folder(cache_folder())
    except EspcnError as error:
        return [f"nothing can be kept in the cache: {error}"]
    return []
