"""Locks and the note that says where the engine listens."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from plipdesk.base.paths import Workspace
from plipdesk.engine.rendezvous import EngineNote, FileLock, WorkspaceBusy, engine_lock, starting

_HOLD = """
import sys
from pathlib import Path
from plipdesk.engine.rendezvous import FileLock
lock = FileLock(Path(sys.argv[1]))
print("held" if lock.take() else "not held", flush=True)
sys.stdin.read()
"""


def _holder(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_a_lock_is_held_by_one_process_and_goes_with_it(tmp_path: Path) -> None:
    path = tmp_path / "engine.lock"
    with _holder(path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with FileLock(path) as lock:
            assert not lock.take()
            holder.kill()
            holder.wait()
            assert lock.take(wait_s=10)


def test_a_lock_file_left_behind_holds_nobody_up(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.run.mkdir()
    (workspace.run / "engine.lock").write_bytes(b"4711")
    with engine_lock(workspace) as lock:
        assert lock.take()


def test_only_one_starts_an_engine_at_a_time(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with starting(workspace, wait_s=0), pytest.raises(WorkspaceBusy, match="starting"), starting(workspace, wait_s=0):
        pass
    with starting(workspace, wait_s=0):
        pass


def test_the_note_is_this_persons_only(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.run.mkdir()
    note = EngineNote(version=1, pid=os.getpid(), address="unix:/tmp/s#f00")
    note.write(workspace)
    assert EngineNote.read(workspace) == note
    path = workspace.run / "engine.json"
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in workspace.run.iterdir()] == ["engine.json"]
    EngineNote.remove(workspace)
    EngineNote.remove(workspace)
    assert EngineNote.read(workspace) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 1}', b'{"version":"x","pid":1,"address":"a"}'])
def test_a_note_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    workspace = Workspace(tmp_path)
    workspace.run.mkdir()
    (workspace.run / "engine.json").write_bytes(content)
    assert EngineNote.read(workspace) is None
