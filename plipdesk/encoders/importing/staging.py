"""A folder in which a model is put together, out of sight until it is whole."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from plipdesk.base.files import disk_problems_in_words, fsync_folder
from plipdesk.encoders.card import EncoderProblem

_PREFIX = ".import-"


@contextlib.contextmanager
def staging(models_folder: Path) -> Iterator[Path]:
    """A new folder inside ``models_folder`` that is gone afterwards, unless :func:`commit` gave it its name.

    What imports that were killed have left behind is swept first.
    """
    with disk_problems_in_words(models_folder):
        models_folder.mkdir(parents=True, exist_ok=True)
        _sweep(models_folder)
        folder = models_folder / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def commit(folder: Path, target: Path) -> None:
    """Give the finished ``folder`` its name, so that it is there wholly or not at all.

    Raises:
        EncoderProblem: the name was taken meanwhile.
    """
    for path in folder.iterdir():
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())
    fsync_folder(folder)
    try:
        folder.rename(target)
    except OSError as error:
        if target.exists():
            raise EncoderProblem(
                f"There is an encoder called {target.name} already.", path=target, remedy="Give another one with --id."
            ) from error
        raise
    fsync_folder(target.parent)


def _sweep(models_folder: Path) -> None:
    import psutil

    for left in models_folder.glob(f"{_PREFIX}*"):
        owner = left.name.removeprefix(_PREFIX).split("-")[0]
        if not owner.isdigit() or not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
