"""Starting the processes of a workspace. All are spawned with their own command line, never forked.

Every command line carries ``--workspace DIR``, so that a person (or ``plipdesk doctor``) can tell whose they are.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from plipdesk.base.budget import CpuBudget
from plipdesk.base.errors import Bug, PlipdeskError
from plipdesk.base.files import disk_problems_in_words
from plipdesk.base.paths import Workspace
from plipdesk.engine.messages import Failed, rebuilt

ProcessKind = Literal["engine", "worker", "reader"]
OpenedBy = Literal["window", "command"]

_MODULES: dict[ProcessKind, str] = {
    "engine": "plipdesk.engine",
    "worker": "plipdesk.engine.worker",
    "reader": "plipdesk.engine.reader",
}
_START_LOG = "start.log"


def command_line(kind: ProcessKind, workspace: Workspace, options: Sequence[str]) -> list[str]:
    """How a process of this kind is started; the one place that knows.

    ``-P`` keeps the folder one happens to be in off the module path.
    """
    return [sys.executable, "-P", "-m", _MODULES[kind], "--workspace", str(workspace.root), *options]


def spawn_child(kind: Literal["worker", "reader"], workspace: Workspace, child: int, engine_pid: int) -> Child:
    """Start a worker or reader for the engine that calls this."""
    options = ["--child", str(child), "--engine-pid", str(engine_pid)]
    return Child(kind, child, _spawn(kind, command_line(kind, workspace, options), _start_log(workspace, kind)))


class Child:
    """A process that the engine started."""

    def __init__(self, kind: Literal["worker", "reader"], number: int, process: subprocess.Popen[bytes]) -> None:
        self.kind = kind
        self.number = number
        self._process = process

    def wait(self) -> int:
        """Wait for its end; returns its exit status, negative for a signal."""
        return self._process.wait()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()


def start_engine(workspace: Workspace, *, opened_by: OpenedBy, linger_s: float | None) -> None:
    """Start the engine of a workspace and wait until it listens, or another engine of the workspace does.

    Raises:
        PlipdeskError: what the engine says is in the way.
        Bug: it died without a word.
    """
    options = ["--opened-by", opened_by]
    if linger_s is not None:
        options += ["--linger", str(linger_s)]
    log = _start_log(workspace, "engine")
    process = _spawn("engine", command_line("engine", workspace, options), log, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as stream:
        line = stream.readline()
    # Somebody has to take note of its end, whenever that is.
    threading.Thread(target=process.wait, name="engine-end", daemon=True).start()
    _read_ready_line(line, log)


def ready_line(problem: PlipdeskError | None = None) -> str:
    """What an engine writes on its standard output when it listens, or why it cannot."""
    if problem is None:
        return json.dumps({"ready": True})
    return json.dumps({"ready": False, "exit_code": problem.exit_code, "error": problem.document()})


def _read_ready_line(line: bytes, log: Path) -> None:
    try:
        document: Any = json.loads(line)
        if document["ready"]:
            return
        error = document["error"]
        failure = Failed(error["kind"], error["message"], error["path"], error["remedy"], document["exit_code"])
    except (ValueError, KeyError, TypeError) as unread:
        raise Bug(
            "The engine of this workspace ended before it was ready.",
            path=log,
            remedy="Please report it, with this log file.",
        ) from unread
    raise rebuilt(failure)


def _start_log(workspace: Workspace, kind: ProcessKind) -> Path:
    return workspace.logs / f"{kind}.{_START_LOG}"


def _environment(kind: ProcessKind) -> dict[str, str]:
    """The environment of a process: this one's, and how many threads its matrix products may take.

    numpy's threads spin while they wait for each other: beside a job that keeps the cores busy the product of one query
    takes fifty times as long with two as with one. The engine shares a query out itself, by segments of the index.
    """
    threads = str(CpuBudget.of_machine().encoder_threads if kind == "worker" else 1)
    return {**os.environ, "OPENBLAS_NUM_THREADS": threads, "VECLIB_MAXIMUM_THREADS": threads}


def _spawn(
    kind: ProcessKind, command: list[str], log: Path, *, stdout: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C in a terminal is for the command, which tells the engine what to do.
    options: dict[str, Any] = {"env": _environment(kind)}
    if sys.platform == "win32":
        options["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    else:
        options["start_new_session"] = True
    with disk_problems_in_words(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as errors:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=errors, **options)
