"""What the project promises about the versions that it runs with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LINES = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
PINS = {
    canonicalize_name(name): Version(version)
    for name, version in (line.split("==") for line in LINES if line and not line.startswith("#"))
}
"""The versions that the tests run with."""

EVERY = [
    Requirement(text)
    for group in (
        PROJECT["build-system"]["requires"],
        PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"].values(),
    )
    for text in group
    if not text.startswith("espcn[")  # the extra `all`, which is the others
]


@pytest.mark.parametrize("requirement", EVERY, ids=str)
def test_what_is_required_is_pinned_to_a_version_that_it_allows(requirement: Requirement) -> None:
    assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)])


def test_the_extra_all_brings_every_extra_for_users_of_one_machine() -> None:
    """Ray is heavy, and for clusters alone."""
    extras = PROJECT["project"]["optional-dependencies"]
    [every] = [Requirement(text) for text in extras["all"]]
    assert every.name == "espcn" and every.extras == extras.keys() - {"all", "cluster", "test", "lint"}


def test_the_oldest_torch_is_the_one_that_is_tested() -> None:
    """Its older versions lack what we call (`torch.cpu.get_capabilities`), and nobody runs the tests with them."""
    [torch] = [requirement for requirement in EVERY if requirement.name == "torch"]
    pinned = PINS[canonicalize_name("torch")]
    assert str(torch.specifier) == f">={pinned.major}.{pinned.minor}"


def test_the_architecture_page_names_every_module() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", page))
    modules = {path.stem for path in (ROOT / "espcn_cli").rglob("*.py")} - {"__init__", "__main__"}
    assert not modules - named


def test_the_makefile_s_targets_can_be_made_again() -> None:
    """Each of its commands that write says what becomes of an existing output."""
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", "").splitlines()
    writing = [line for line in lines if re.search(r"\(BIN\)/espcn (upscale|train|autoencoder train)\b", line)]
    assert len(writing) == 4
    assert all("overwrite" in line for line in writing)
