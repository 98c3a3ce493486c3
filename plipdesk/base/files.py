"""Files that are complete or not there at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from plipdesk.base.errors import EnvironmentProblem

TEMPORARY_SUFFIX = ".partial"


class DiskFull(EnvironmentProblem):
    """There is no room left for what has to be written."""

    kind = "disk-full"


@contextlib.contextmanager
def disk_problems_in_words(path: Path) -> Iterator[None]:
    """Turn the operating system's write errors about ``path`` into errors a person can act on."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                "The disk is full.", path=path, remedy="Free some space, then retry; finished work is kept."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise EnvironmentProblem(
                "This place cannot be written to.", path=path, remedy="Choose a folder you may write to."
            ) from error
        raise


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Write a file under a temporary name, flush it to the disk and rename it: whole, or not there.

    Raises:
        DiskFull: no room left.
        EnvironmentProblem: the folder cannot be written to.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    with disk_problems_in_words(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        fsync_folder(path.parent)


def fsync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut, where the platform can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path, *, block_bytes: int = 1 << 20) -> str:
    """Return the SHA-256 of a whole file as 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(block_bytes):
            digest.update(block)
    return digest.hexdigest()
