"""Which packages are installed, by their metadata: nothing is imported, so what is broken can be told apart."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import metadata

DISTRIBUTION = "espcn"

PURPOSES = {
    "fast": "the light engine, quick PNGs",
    "deep": "more than 8 bits of colour",
    "formats": "HEIC and JPEG XL",
    "plots": "curves of trainings as pictures",
    "tensorboard": "trainings in TensorBoard",
    "video": "videos",
    "watch": "pictures as they arrive in a folder",
    "cluster": "pictures shared by several machines",
}
"""What people install an extra for. Extras that are not here are for developers, or several together."""

NEEDED = {"numpy": "1.26", "pillow": "11", "safetensors": "0.4.5", "torch": "2.13", "tqdm": "4.66", "typer": "0.29"}
"""What a copy without metadata is taken to need."""

OPTIONAL = ("torch",)
"""Needed, but not by everything: pictures are upscaled without it."""

MODULES = {"pillow": "PIL", "pillow-heif": "pillow_heif", "pillow-jxl-plugin": "pillow_jxl"}
"""How packages are imported that are called otherwise."""


@dataclass(frozen=True)
class Package:
    """A package that espcn needs, at all or for an extra.

    `version` is None where it is not installed; `least` is the version that is needed; `error` tells why it is of no
    use although it is there.
    """

    name: str
    least: str = ""
    version: str | None = None
    error: str | None = None

    @property
    def module(self) -> str:
        """What it is imported as."""
        return MODULES.get(self.name, self.name.replace("-", "_"))

    @property
    def works(self) -> bool:
        return self.version is not None and self.error is None

    def tried(self, error: str | None) -> Package:
        """The same after an attempt to import it, which ended in an error or in none."""
        return replace(self, error=self.error or error)


@dataclass(frozen=True)
class Extra:
    """An extra of espcn's: `pip install 'espcn[name]'`.

    No `packages` are known where espcn was installed when it had no such extra, or never was.
    """

    name: str
    purpose: str
    packages: tuple[Package, ...]

    @property
    def works(self) -> bool:
        return bool(self.packages) and all(package.works for package in self.packages)

    @property
    def remedy(self) -> str | None:
        """What to type for what is missing or broken; None where nothing is."""
        return None if self.works else f"pip install --upgrade '{DISTRIBUTION}[{self.name}]'"


def is_installed(name: str) -> bool:
    return _version(name) is not None


def version() -> str:
    """The version of espcn; `unknown` for a copy that was never installed."""
    return _version(DISTRIBUTION) or "unknown"


def needed() -> list[Package]:
    """What espcn needs at all, as far as it is installed."""
    found = {name: least for name, least, extra in _requirements() if extra is None}
    return [_package(name, least) for name, least in (found or NEEDED).items()]


def extras() -> list[Extra]:
    """The extras that people install, in the order of PURPOSES."""
    by_name: dict[str, list[Package]] = {name: [] for name in PURPOSES}
    for name, least, extra in _requirements():
        if extra in by_name:
            by_name[extra].append(_package(name, least))
    return [Extra(name, PURPOSES[name], tuple(packages)) for name, packages in by_name.items()]


def _package(name: str, least: str) -> Package:
    found = _version(name)
    old = found is not None and _numbers(found) < _numbers(least)
    return Package(name, least, found, f"{least} or newer is needed" if old else None)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
    except Exception as error:  # metadata that is damaged
        return f"? ({type(error).__name__})"


def _requirements() -> Iterable[tuple[str, str, str | None]]:
    """Name, least version and extra of everything in espcn's metadata."""
    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return
    for line in lines:
        requirement, _, marker = line.partition(";")
        parts = re.match(r"\s*([\w.-]+)", requirement)
        least = re.search(r">=\s*([\w.]+)", requirement)
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", marker)
        if parts:
            name = re.sub(r"[-_.]+", "-", parts[1]).lower()
            yield name, least[1] if least else "", extra[1] if extra else None


def _numbers(text: str) -> tuple[int, ...]:
    """The numbers that a version begins with, to be compared: 2.13.0+cpu -> 2, 13, 0."""
    start = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, start[0].split("."))) if start else ()
