"""Opening files for reading, with the system's refusals in words."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from plipdesk.slides.errors import SlideMissing, SlideProblem, SlideUnreachable, UnknownFormat


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file, open for reading.

    Raises:
        SlideProblem: it is not there, not a file, or may not be read.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UnknownFormat("This is a folder, not a slide.", path=path, remedy="Name the slides in it.")
        if not stat.S_ISREG(mode):
            # Opening a pipe would wait for whoever writes into it.
            raise UnknownFormat("This is no ordinary file.", path=path, remedy="Name a file on a disk.")
        stream = path.open("rb")
    except (OSError, ValueError) as error:
        raise reading_problem(path, error) from error
    with stream:
        yield stream


def check_still_there(path: Path) -> None:
    """Tell a file that went away while it was open, or its drive, from one that is damaged.

    Raises:
        SlideProblem: the file cannot be read at the moment.
    """
    with opened(path) as stream:
        try:
            stream.read(1)
        except OSError as error:
            raise reading_problem(path, error) from error


def reading_problem(path: Path, error: OSError | ValueError) -> SlideProblem:
    """What the system's refusal to read ``path`` means."""
    if isinstance(error, FileNotFoundError | NotADirectoryError | ValueError):
        return SlideMissing(
            "There is no such file.", path=path, remedy="Check the name, or connect the drive that it lies on."
        )
    if isinstance(error, PermissionError):
        return SlideUnreachable(
            "You are not allowed to read this file or folder.",
            path=path,
            remedy="Ask its owner for the right to read it.",
        )
    return SlideUnreachable(
        f"The system cannot read this file or folder ({error.strerror}).",
        path=path,
        remedy="Check that its drive or share is connected and sound.",
    )
