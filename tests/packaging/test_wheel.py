"""The wheel holds the package and its resources, and they are found where it is installed without the checkout."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.packaging.scripts import REPOSITORY, tracked_files


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from the checkout without any network."""
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("wheel")
    (path,) = WheelBuilder(str(REPOSITORY)).build(directory=str(folder), versions=["standard"])
    return zipfile.ZipFile(path)


def test_every_module_and_resource_is_packed(wheel: zipfile.ZipFile) -> None:
    packed = set(wheel.namelist())
    for path in tracked_files():
        place = path.relative_to(REPOSITORY)
        if place.parts[0] == "plipdesk":
            assert place.as_posix() in packed
        if place.parts[0] == "resources":
            assert f"plipdesk/_resources/{place.relative_to('resources').as_posix()}" in packed


def test_nothing_else_is_packed(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"plipdesk"}
    assert not [name for name in wheel.namelist() if "__pycache__" in name or name.startswith("plipdesk/tests")]


def test_commands_and_licence_are_declared(wheel: zipfile.ZipFile) -> None:
    (entry_points,) = [name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt")]
    declared = wheel.read(entry_points).decode()
    assert "[console_scripts]\nplipdesk = plipdesk.cli.main:main" in declared
    assert "[gui_scripts]\nplipdesk-desktop = plipdesk.desktop.main:run" in declared
    licences = [name for name in wheel.namelist() if "/licenses/" in name]
    assert {Path(name).name for name in licences} == {"LICENSE", "NOTICE"}


def test_resources_are_found_without_the_checkout(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    program = (
        "import json, plipdesk; from plipdesk.base.resources import resource_path;"
        "print(json.dumps([plipdesk.__file__, str(resource_path('vocabulary/pathology.yaml'))]))"
    )
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {program}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    places = [Path(place) for place in json.loads(done.stdout)]
    assert all(place.is_relative_to(tmp_path) for place in places)
    assert places[1].is_file()
