"""What a bare machine is told and given before anything is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.scripts import REPOSITORY, script

system = script("system")
bootstrap = script("bootstrap")


def missing(
    *, libraries: tuple[str, ...] = (), environments: bool = True, compiler: bool = True, font: bool = True
) -> list[str]:
    found: list[str] = system.missing_packages(
        loads=lambda library: library not in libraries,
        makes_environments=lambda: environments,
        compiles_extensions=lambda: compiler,
        has_a_font=lambda: font,
    )
    return found


def test_a_complete_machine_needs_nothing() -> None:
    assert missing() == []


def test_only_what_is_missing_is_asked_for() -> None:
    version = f"python3.{sys.version_info.minor}"
    assert missing(libraries=("libEGL.so.1", "libxcb-cursor.so.0")) == ["libegl1", "libxcb-cursor0"]
    assert missing(environments=False) == [f"{version}-venv"]
    assert missing(compiler=False) == ["g++", f"{version}-dev"]
    assert missing(font=False) == ["fonts-dejavu-core"]


def test_a_bare_machine_needs_all_of_it() -> None:
    packages = missing(libraries=tuple(system.QT_LIBRARIES), environments=False, compiler=False, font=False)
    for package in ("g++", "libegl1", "libgl1", "libxkbcommon-x11-0", "libxcb-cursor0", "libdbus-1-3"):
        assert package in packages
    assert len(packages) == len(set(packages))


def test_the_line_to_run_is_one_line_that_names_the_packages() -> None:
    line = system.install_line(["g++", "libegl1"])
    assert "\n" not in line
    assert line.startswith("sudo apt-get update && ")
    assert line.endswith(" g++ libegl1")


def test_the_checks_try_for_real() -> None:
    assert system.loads("libc.so.6") or not sys.platform.startswith("linux")
    assert not system.loads("libno-such-library.so.1")


def test_lines_of_a_lock_keep_their_hashes_and_lose_comments() -> None:
    lock = (
        "# made by uv\na==1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "\nb==2 ; sys_platform == 'win32' \\\n    --hash=sha256:cc\n"
    )
    assert bootstrap.requirements_of(lock) == [
        "a==1.0 --hash=sha256:aa --hash=sha256:bb",
        "b==2 ; sys_platform == 'win32' --hash=sha256:cc",
    ]


def test_another_torch_brings_no_cuda_libraries() -> None:
    requirements = bootstrap.requirements_of(bootstrap.LOCK.read_text(encoding="utf-8"))
    left = {bootstrap.requirement_name(requirement) for requirement in bootstrap.without_cuda(requirements)}
    assert not any(name.startswith(("nvidia", "cuda", "triton")) for name in left)
    assert left.isdisjoint({"torch", "torchvision"})
    assert {"numpy", "timm", "open-clip-torch", "onnxruntime", "sympy"} <= left
    pins = bootstrap.torch_pins(requirements)
    assert [pin.partition("==")[0] for pin in pins] == ["torch", "torchvision"]
    assert not any("hash" in pin for pin in pins)


def test_where_torch_came_from_is_remembered(tmp_path: Path) -> None:
    assert bootstrap.recorded_torch_index(tmp_path) is None
    record = tmp_path / bootstrap.RECORD
    record.write_text("{", encoding="utf-8")
    assert bootstrap.recorded_torch_index(tmp_path) is None
    record.write_text('{"torch_index": "somewhere"}', encoding="utf-8")
    assert bootstrap.recorded_torch_index(tmp_path) == "somewhere"


@pytest.mark.skipif(sys.platform == "win32", reason="the make targets are for POSIX shells")
def test_a_python_that_is_too_old_is_refused_in_words() -> None:
    program = (
        "import sys; sys.version_info = (3, 10, 2); sys.path.insert(0, 'packaging'); sys.argv = ['bootstrap'];"
        "import bootstrap; sys.exit(bootstrap.main())"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "needs Python 3.11" in done.stderr
