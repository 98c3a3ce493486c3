"""How processes of one workspace find each other: the engine's lock, and the note that says where it listens."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Self

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.base.files import disk_problems_in_words
from plipdesk.base.paths import Workspace
from plipdesk.engine.messages import PROTOCOL_VERSION

_ENGINE_LOCK = "engine.lock"
_START_LOCK = "start.lock"
_NOTE = "engine.json"
_POLL_S = 0.05
_MAX_NOTE_BYTES = 4096

if sys.platform == "win32":
    import msvcrt

    def _try_lock(stream: IO[bytes]) -> bool:
        stream.seek(0)
        try:
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(stream: IO[bytes]) -> bool:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


class WorkspaceBusy(EnvironmentProblem):
    """Another process holds what this one needs for longer than it can wait."""

    kind = "workspace-busy"


class FileLock:
    """A lock that the system lets go when its owner dies, however it dies; the file itself says nothing."""

    def __init__(self, path: Path) -> None:
        with disk_problems_in_words(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("ab")
        self.held = False

    def take(self, *, wait_s: float = 0.0) -> bool:
        """Take the lock, waiting up to ``wait_s`` for whoever holds it; returns whether it is held now."""
        deadline = time.monotonic() + wait_s
        while not self.held:
            self.held = _try_lock(self._stream)
            if not self.held:
                if time.monotonic() >= deadline:
                    break
                time.sleep(_POLL_S)
        return self.held

    def release(self) -> None:
        """Let the lock go."""
        self._stream.close()
        self.held = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def engine_lock(workspace: Workspace) -> FileLock:
    """The lock that the engine of a workspace holds for its whole life."""
    return FileLock(workspace.run / _ENGINE_LOCK)


@contextlib.contextmanager
def starting(workspace: Workspace, *, wait_s: float) -> Iterator[None]:
    """Held by whoever starts an engine, so that two windows opened at once start only one.

    Raises:
        WorkspaceBusy: another has been starting one for longer than ``wait_s``.
    """
    with FileLock(workspace.run / _START_LOCK) as lock:
        if not lock.take(wait_s=wait_s):
            raise WorkspaceBusy(
                "Another plipdesk has been starting the engine of this workspace for too long.",
                path=workspace.root,
                remedy="Close the other plipdesk windows and commands, then try again.",
            )
        yield


@dataclass(frozen=True)
class EngineNote:
    """Where the living engine listens; ``address`` holds the token, so only the person may read the file."""

    version: int
    pid: int
    address: str

    def write(self, workspace: Workspace) -> None:
        """Leave the note in the workspace, whole or not at all, readable by this person only."""
        path = workspace.run / _NOTE
        temporary = path.with_suffix(f".{os.getpid()}.partial")
        with disk_problems_in_words(path):
            temporary.unlink(missing_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(json.dumps(asdict(self)).encode())
            temporary.replace(path)

    @classmethod
    def read(cls, workspace: Workspace) -> EngineNote | None:
        """The note of this workspace; None where there is none, or it cannot be read."""
        try:
            with (workspace.run / _NOTE).open("rb") as stream:
                document = json.loads(stream.read(_MAX_NOTE_BYTES))
            return cls(int(document["version"]), int(document["pid"]), str(document["address"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @staticmethod
    def remove(workspace: Workspace) -> None:
        """Take the note away: nobody listens any more."""
        (workspace.run / _NOTE).unlink(missing_ok=True)

    @staticmethod
    def sweep(workspace: Workspace) -> None:
        """Delete notes that a killed engine was just writing; called by the engine that holds the lock."""
        for path in workspace.run.glob(f"{Path(_NOTE).stem}.*.partial"):
            path.unlink(missing_ok=True)


def note_of_this_process(address: object) -> EngineNote:
    """The note that an engine leaves."""
    return EngineNote(version=PROTOCOL_VERSION, pid=os.getpid(), address=str(address))
