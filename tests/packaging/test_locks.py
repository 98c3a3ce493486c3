"""The lock files pin everything that pyproject.toml asks for, for every system, with hashes, and name no place."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.packaging.scripts import REPOSITORY, script

bootstrap = script("bootstrap")
LOCKS = ("requirements.lock", "requirements-build.lock")
SYSTEMS = {
    "linux": {"sys_platform": "linux", "platform_machine": "x86_64"},
    "macos": {"sys_platform": "darwin", "platform_machine": "arm64"},
    "windows": {"sys_platform": "win32", "platform_machine": "AMD64"},
}


def project() -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))


def lines(lock: str) -> list[str]:
    found: list[str] = bootstrap.requirements_of((REPOSITORY / lock).read_text(encoding="utf-8"))
    return found


def pins(lock: str, system: str = "linux", python: str = "3.11") -> dict[str, Version]:
    """What the lock installs on a system."""
    environment = {
        **SYSTEMS[system],
        "python_version": python,
        "python_full_version": f"{python}.4",
        "platform_python_implementation": "CPython",
    }
    found = {}
    for line in lines(lock):
        requirement = Requirement(line.partition(" --hash")[0])
        if requirement.marker is None or Marker(str(requirement.marker)).evaluate(environment):
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{name} is pinned twice for {system} and Python {python}"
            (specifier,) = requirement.specifier
            assert specifier.operator == "=="
            found[name] = Version(specifier.version)
    return found


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_everything_the_project_asks_for_is_pinned(system: str, python: str) -> None:
    document = project()
    asked = document["project"]["dependencies"] + document["project"]["optional-dependencies"]["dev"]
    for locked, wanted in (
        (pins("requirements.lock", system, python), asked),
        (pins("requirements-build.lock", system, python), document["dependency-groups"]["build"]),
    ):
        for text in wanted:
            requirement = Requirement(text)
            name = canonicalize_name(requirement.name)
            assert name in locked, f"{name} is in pyproject.toml but not in the lock: run make lock"
            assert requirement.specifier.contains(locked[name]), f"{name} {locked[name]} is too old: run make lock"


@pytest.mark.parametrize("lock", LOCKS)
def test_pins_have_hashes_and_come_from_no_place_of_ours(lock: str) -> None:
    for line in lines(lock):
        assert " --hash=sha256:" in line
        assert "@" not in line
        assert "/" not in line
        assert "+" not in line.partition(" ")[0], "a local version, such as +cpu, is not on the package index"
    assert not any(line.startswith("-") for line in lines(lock))


def test_both_locks_agree() -> None:
    everything, building = pins("requirements.lock"), pins("requirements-build.lock")
    shared = set(everything) & set(building)
    assert {"numpy", "hatchling", "setuptools"} <= shared
    assert {name: everything[name] for name in shared} == {name: building[name] for name in shared}


@pytest.mark.parametrize("system", ["macos", "windows"])
def test_cuda_is_for_linux_alone(system: str) -> None:
    assert any(name.startswith("nvidia-") for name in pins("requirements.lock"))
    elsewhere = pins("requirements.lock", system)
    assert not any(name.startswith(("nvidia-", "cuda-", "triton")) for name in elsewhere)
    assert "torch" in elsewhere
