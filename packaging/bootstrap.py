"""From a bare machine to a working environment: system packages, ``.venv``, the locked dependencies, plipdesk itself.

Run by the make targets; quick where there is nothing to do. Uses the standard library only.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from system import Missing, provide_packages

REPOSITORY = Path(__file__).resolve().parent.parent
LOCK = REPOSITORY / "requirements.lock"
# What builds plipdesk and hnswlib. Installed first, so that pip need not fetch build tools of its own choice.
BUILD_LOCK = REPOSITORY / "requirements-build.lock"
RECORD = "plipdesk-installed.json"
OLDEST, NEWEST = (3, 11), (3, 14)  # onnxruntime has no wheels beyond
# Other builds of torch do not use these; the names are the beginnings of the packages' names.
CUDA_PACKAGES = ("nvidia-", "cuda-", "triton")
TORCH_PACKAGES = ("torch", "torchvision")


def requirement_name(requirement: str) -> str:
    """The package that a line of a lock file pins."""
    return re.split(r"[=<>!~;\[ ]", requirement, maxsplit=1)[0].lower()


def requirements_of(lock: str) -> list[str]:
    """The requirements in a lock file, each with its hashes, without comments."""
    joined = re.sub(r"\\\n\s*", "", lock)
    lines = (line.split(" #")[0].strip() for line in joined.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def without_cuda(requirements: Iterable[str]) -> list[str]:
    """What is left to install where torch comes from elsewhere: no torch, and none of the CUDA libraries."""
    return [
        requirement
        for requirement in requirements
        if not requirement_name(requirement).startswith(CUDA_PACKAGES)
        and requirement_name(requirement) not in TORCH_PACKAGES
    ]


def torch_pins(requirements: Iterable[str]) -> list[str]:
    """The locked versions of torch and torchvision, without hashes: another index has other files."""
    return [
        requirement.split(" ")[0] for requirement in requirements if requirement_name(requirement) in TORCH_PACKAGES
    ]


def environment_python(venv: Path) -> Path:
    """The Python of the environment."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def works(python: Path) -> bool:
    """Whether the environment's Python starts and has pip."""
    try:
        return subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below ``folder``."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def recorded_torch_index(venv: Path) -> str | None:
    """Where torch came from when this environment was made, so that a later update does not bring CUDA along."""
    try:
        record = json.loads((venv / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record.get("torch_index") if isinstance(record, dict) else None


def install(venv: Path, torch_index: str | None) -> None:
    """Make the environment and install the locked packages and plipdesk into it.

    Raises:
        Missing: a step failed; pip's own words stand above the message.
    """
    python = environment_python(venv)
    if not works(python):
        _run([sys.executable, "-m", "venv", "--clear", str(venv)], "The virtual environment could not be made.")
    # The lock names every dependency, so pip need not look for any.
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--timeout", "60", "--no-deps"]
    failed = "pip could not install the packages; its message stands above. Run the command again: it goes on."
    _run([*pip, "-r", str(BUILD_LOCK)], failed)
    lock = LOCK
    if torch_index:
        requirements = requirements_of(LOCK.read_text(encoding="utf-8"))
        _run([*pip, "--index-url", torch_index, *torch_pins(requirements)], failed)
        lock = venv / "requirements-without-cuda.txt"
        lock.write_text("\n".join(without_cuda(requirements)) + "\n", encoding="utf-8")
    _run([*pip, "--no-build-isolation", "-r", str(lock)], failed)
    _run([*pip, "--no-build-isolation", "--editable", str(REPOSITORY)], failed)


def _run(command: Sequence[str], failed: str) -> None:
    if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode != 0:
        raise Missing(failed)


def main() -> int:
    """Provide what is missing; 0 when all is there, 3 when a person must do something first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", type=Path, default=REPOSITORY / ".venv", help="where the environment lies")
    parser.add_argument("--torch-index", default=None, help="package index to take torch from, such as CPU builds")
    options = parser.parse_args()
    start_s = time.monotonic()
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        print(
            f"plipdesk needs Python 3.11 to 3.14; {sys.executable} is {sys.version.split()[0]}. "
            "Name another one, as in: make demo PYTHON=python3.12",
            file=sys.stderr,
        )
        return 3
    try:
        provide_packages()
        system_s = time.monotonic() - start_s
        print(f"[system packages: {system_s:.1f} s]", flush=True)
        torch_index = options.torch_index or recorded_torch_index(options.venv)
        install(options.venv, torch_index)
    except Missing as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 3
    packages_s = time.monotonic() - start_s - system_s
    size_gb = folder_bytes(options.venv) / 1e9
    record = {
        "torch_index": torch_index,
        "system_s": round(system_s, 1),
        "packages_s": round(packages_s, 1),
        "size_gb": round(size_gb, 2),
    }
    (options.venv / RECORD).write_text(json.dumps(record) + "\n", encoding="utf-8")
    print(f"[Python packages: {packages_s:.1f} s, {size_gb:.1f} GB in {options.venv}]", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
