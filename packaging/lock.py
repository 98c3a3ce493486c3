"""Write the lock files from pyproject.toml, for Linux, macOS and Windows at once: `make lock`. Needs uv."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
# What every line would otherwise say: the environments of [tool.uv] in pyproject.toml.
EVERYWHERE = "(sys_platform == 'darwin' or sys_platform == 'linux' or sys_platform == 'win32')"
NOT_TOO_NEW = "python_full_version < '3.15'"


def plain(lock: str) -> str:
    """The lock without the marker that every line repeats."""
    for common in (f" and {NOT_TOO_NEW}", f"{NOT_TOO_NEW} and ", f" and {EVERYWHERE}", f"{EVERYWHERE}"):
        lock = lock.replace(common, "")
    return re.sub(r" ;\s+(?=\\\n)", " ", lock)


def compile_lock(output: str, *arguments: str) -> None:
    """Resolve with uv, from PyPI alone, and write ``output``."""
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
        *("--generate-hashes", "--no-annotate", "--custom-compile-command", "make lock"),
        *arguments,
        *("--output-file", output),
    ]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    path = REPOSITORY / output
    path.write_text(plain(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    compile_lock("requirements.lock", "pyproject.toml", "--extra", "dev", *sys.argv[1:])
    compile_lock("requirements-build.lock", "--group", "build", "--constraint", "requirements.lock", *sys.argv[1:])
