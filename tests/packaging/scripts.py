"""Loads the scripts of the folder packaging/, which is no package, so that tests can call their functions."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def script(name: str) -> ModuleType:
    """The module packaging/<name>.py."""
    path = REPOSITORY / "packaging" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"plipdesk_packaging_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def tracked_files() -> list[Path]:
    """All files that git knows, that still lie there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    files = [REPOSITORY / name for name in listed.stdout.split("\0") if name]
    return [path for path in files if path.is_file()]
