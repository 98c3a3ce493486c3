"""What plipdesk needs from the operating system: found by trying, installed where that is allowed, else told in words.

Runs before anything is installed, so it uses the standard library only.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

# What Qt's wheels link to and do not bring along: the name that the loader asks for, and Debian's package of it.
QT_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-glx.so.0": "libxcb-glx0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libzstd.so.1": "libzstd1",
}
FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts")
FONT_ENDINGS = (".ttf", ".otf", ".ttc", ".pfb", ".pcf.gz")


class Missing(Exception):
    """Something is missing that this script may not or cannot install; the message says what to do."""


def loads(library: str) -> bool:
    """Whether the dynamic loader finds ``library``."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def makes_environments() -> bool:
    """Whether this Python can make a virtual environment with pip in it."""
    try:
        import ensurepip
        import venv  # noqa: F401
    except ImportError:
        return False
    return bool(ensurepip.version())


def compiles_extensions() -> bool:
    """Whether a C++ extension of this Python compiles: needs a compiler, the standard library and Python's headers."""
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        return False
    source = "#include <Python.h>\n#include <vector>\n"
    command = [compiler, "-x", "c++", "-std=c++14", "-fsyntax-only", "-I", sysconfig.get_paths()["include"], "-"]
    return subprocess.run(command, input=source, text=True, capture_output=True, check=False).returncode == 0


def has_a_font() -> bool:
    """Whether any font is installed; without one the window shows boxes in place of letters."""
    for folder in FONT_FOLDERS:
        for _root, _folders, names in os.walk(Path(folder).expanduser()):
            if any(name.endswith(FONT_ENDINGS) for name in names):
                return True
    return False


def missing_packages(
    loads: Callable[[str], bool] = loads,
    makes_environments: Callable[[], bool] = makes_environments,
    compiles_extensions: Callable[[], bool] = compiles_extensions,
    has_a_font: Callable[[], bool] = has_a_font,
) -> list[str]:
    """Debian's names of what is missing here, in the order of need; the arguments are the checks."""
    return list(_missing(loads, makes_environments, compiles_extensions, has_a_font))


def _missing(
    loads: Callable[[str], bool],
    makes_environments: Callable[[], bool],
    compiles_extensions: Callable[[], bool],
    has_a_font: Callable[[], bool],
) -> Iterator[str]:
    version = f"python3.{sys.version_info.minor}"
    if not makes_environments():
        yield f"{version}-venv"
    if not compiles_extensions():
        yield "g++"
        yield f"{version}-dev"
    for library, package in QT_LIBRARIES.items():
        if not loads(library):
            yield package
    if not has_a_font():
        yield "fonts-dejavu-core"


def install_line(packages: Sequence[str]) -> str:
    """The one line that a person runs to install ``packages``."""
    return f"sudo apt-get update && sudo apt-get install -y --no-install-recommends {' '.join(packages)}"


def provide_packages() -> list[str]:
    """Install what is missing and return the names of it.

    Raises:
        Missing: it may not be installed from here, or is still missing afterwards.
    """
    if not sys.platform.startswith("linux"):
        if not makes_environments():
            raise Missing("This Python cannot make virtual environments. Install Python 3.11 or newer with pip.")
        return []
    packages = missing_packages()
    if not packages:
        return []
    if shutil.which("apt-get") is None:
        raise Missing(
            "Something is missing, and this is not Debian or Ubuntu. Install what your system calls these Debian "
            f"packages, then run the command again: {' '.join(packages)}"
        )
    prefix = _privilege()
    if prefix is None:
        raise Missing(f"Something is missing. Run this line, then the command again:\n\n  {install_line(packages)}\n")
    print("Installing from the system's packages: " + " ".join(packages), flush=True)
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    for step in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        if subprocess.run([*apt, "-q", *step], stdin=subprocess.DEVNULL, check=False).returncode != 0:
            raise Missing(
                f"apt-get {step[0]} failed. Run this line, then the command again:\n\n  {install_line(packages)}\n"
            )
    left = missing_packages()
    if left:
        raise Missing(f"These packages were installed, but {sys.executable} still does not find: {' '.join(left)}")
    return packages


def _privilege() -> list[str] | None:
    """What a command must start with to be run as root without asking; None where that is not allowed."""
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n"]
    return None
