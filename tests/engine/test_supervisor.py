"""What the ends of child processes mean, and when a kind of child is given up."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from plipdesk.base.paths import Workspace
from plipdesk.engine import supervisor as supervisor_module
from plipdesk.engine.child import ENGINE_GONE
from plipdesk.engine.launch import Child
from plipdesk.engine.supervisor import Supervisor, death_of


def test_what_exit_statuses_say() -> None:
    assert death_of(0) == "ended"
    assert death_of(ENGINE_GONE) == "ended"
    assert death_of(1) == "crashed"
    assert death_of(-signal.SIGSEGV) == "crashed"
    assert death_of(-signal.SIGABRT) == "crashed"
    assert death_of(-signal.SIGTERM) == "killed"
    if sys.platform != "win32":
        assert death_of(-signal.SIGKILL) == "killed"


class Nursery:
    """A supervisor whose children do what a test says, run by the test itself."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
        self.inbox: queue.Queue[Callable[[], None]] = queue.Queue()
        self.ends: list[str] = []
        self.given_up = 0
        self.started = 0
        monkeypatch.setattr(supervisor_module, "spawn_child", self._spawn)
        self._program = program
        self.supervisor = Supervisor(Workspace(folder), post=self.inbox.put, ended=self._ended, hopeless=self._hopeless)

    def _spawn(self, kind: str, workspace: Workspace, number: int, engine_pid: int) -> Child:
        self.started += 1
        return Child("worker", number, subprocess.Popen([sys.executable, "-c", self._program]))

    def _ended(self, kind: str, number: int, death: str) -> None:
        self.ends.append(death)

    def _hopeless(self, kind: str) -> None:
        self.given_up += 1

    def live_and_die(self, *, useful: bool) -> None:
        """Start a child if there is none, and wait for its end."""
        self.supervisor.want("worker")
        self.inbox.get(timeout=30)()
        self.supervisor.check_in(self.started)
        if useful:
            self.supervisor.useful(self.started)
        self.inbox.get(timeout=30)()


def test_a_child_that_crashes_before_it_is_of_use_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nursery = Nursery(tmp_path, monkeypatch, "raise SystemExit(1)")
    for _ in range(2):
        nursery.live_and_die(useful=False)
    assert nursery.given_up == 0
    nursery.live_and_die(useful=True)
    nursery.live_and_die(useful=False)
    nursery.live_and_die(useful=False)
    assert nursery.given_up == 0
    nursery.live_and_die(useful=False)
    assert nursery.given_up == 1
    assert nursery.ends == ["crashed"] * 6


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_kills_from_outside_are_borne_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nursery = Nursery(tmp_path, monkeypatch, "import os; os.kill(os.getpid(), 9)")
    for _ in range(5):
        nursery.live_and_die(useful=False)
    assert nursery.ends == ["killed"] * 5
    assert nursery.given_up == 0


def test_there_is_one_child_of_a_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nursery = Nursery(tmp_path, monkeypatch, "import threading; threading.Event().wait()")
    nursery.supervisor.want("worker")
    nursery.supervisor.want("worker")
    nursery.inbox.get(timeout=30)()
    nursery.inbox.get(timeout=30)()
    assert nursery.started == 1
    assert nursery.supervisor.check_in(1)
    assert not nursery.supervisor.check_in(2)
    nursery.supervisor.kill(1)
    nursery.inbox.get(timeout=30)()
    # Ended because it hung: what it had in work is blamed as for a crash.
    assert nursery.ends == ["crashed"]
