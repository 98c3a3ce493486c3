"""Files and slides as a person names them."""

from __future__ import annotations

import os
from pathlib import Path

from plipdesk.base.errors import EnvironmentProblem, NotFound


def absolute(path: Path) -> Path:
    """``path`` as an absolute one without ``..`` and with the home folder written out."""
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - Path.absolute() keeps "..", resolve() follows links


def slide_place(slide: str) -> str:
    """A path made absolute, since the engine works in another folder; ids and names as they are."""
    path = Path(slide).expanduser()
    return str(absolute(path)) if path.exists() else slide


def existing_file(file: Path) -> Path:
    """The absolute path of a file that is there.

    Raises:
        NotFound: it is not.
        EnvironmentProblem: it is a folder.
    """
    path = absolute(file)
    if not path.exists():
        raise NotFound("This file does not exist.", path=path, remedy="Check the path.")
    if path.is_dir():
        raise EnvironmentProblem("This is a folder, not a file.", path=path, remedy="Name one file.")
    return path
