"""Engines that start, are shared, linger, die, and end."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from plipdesk.base.errors import PlipdeskError
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.engine import messages as m
from plipdesk.engine.client import EngineClient, NoEngine
from plipdesk.engine.rendezvous import EngineNote
from plipdesk.engine.server import hello_of_this_process
from plipdesk.engine.transport import Address, Channel, ConnectionLost
from tests.processes.harness import WAIT_S, Site

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


def _note(site: Site) -> EngineNote:
    note = EngineNote.read(site.workspace)
    assert note is not None
    return note


def _wait_until_gone(pid: int) -> None:
    try:
        psutil.Process(pid).wait(timeout=WAIT_S)
    except psutil.NoSuchProcess:
        return


def test_a_second_client_attaches_and_the_last_one_ends_the_engine(site: Site) -> None:
    first = site.connect()
    pid = _note(site).pid
    second = site.connect()
    assert _note(site).pid == pid
    assert len(site.processes("engine")) == 1
    first.client.close()
    second.ask(m.GetStatus(), m.Status)
    second.client.close()
    _wait_until_gone(pid)
    assert EngineNote.read(site.workspace) is None


def test_clients_that_come_at_once_share_one_engine(site: Site) -> None:
    pids: list[int] = []

    def come() -> None:
        watcher = site.connect(linger_s=60)
        pids.append(_note(site).pid)
        watcher.ask(m.GetStatus(), m.Status)

    threads = [threading.Thread(target=come) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(pids)) == 1
    assert len(pids) == 4
    site.connect().ask(m.Shutdown(), m.Done)


def test_without_an_engine_one_can_ask_not_to_start_it(site: Site) -> None:
    with pytest.raises(NoEngine, match="No engine runs"):
        site.connect(start=False)
    assert site.processes() == []


def test_what_a_killed_engine_left_behind_holds_nobody_up(site: Site) -> None:
    watcher = site.connect()
    old = _note(site)
    socket_folder = Path(Address.parse(old.address).place).parent
    site.kill("engine")
    while watcher.next_event() is not None:
        pass  # what it told before it was killed
    assert EngineNote.read(site.workspace) == old
    site.connect().ask(m.GetStatus(), m.Status)
    assert _note(site).pid != old.pid
    if sys.platform != "win32":
        assert not socket_folder.exists()


def test_an_engine_lingers_for_the_next_command(site: Site) -> None:
    site.connect(linger_s=600).client.close()
    pid = _note(site).pid
    again = site.connect()
    assert _note(site).pid == pid
    again.ask(m.Shutdown(), m.Done)
    _wait_until_gone(pid)


@posix_only
def test_requests_are_answered_in_words_when_the_engine_dies_amid_them(site: Site) -> None:
    watcher = site.connect()
    lost = threading.Event()
    watcher.client.on_lost(lost.set)
    (engine,) = site.processes("engine")
    engine.suspend()
    replies: list[m.Message] = []
    answered = threading.Event()

    def keep(reply: m.Message) -> None:
        replies.append(reply)
        answered.set()

    watcher.client.send(m.GetStatus(), keep)
    engine.kill()
    assert answered.wait(WAIT_S)
    assert lost.wait(WAIT_S)
    assert isinstance(replies[0], m.Failed)
    assert replies[0].remedy is not None
    with pytest.raises(ConnectionLost, match="has ended"):
        watcher.client.request(m.GetStatus())
    assert watcher.client.closed


def test_a_window_keeps_the_engine_for_its_job_then_the_engine_ends(site: Site, drawn: list[Path]) -> None:
    window = site.connect(role="window")
    job = window.submit(*drawn[:8])
    window.wait_for_item(job)
    pid = _note(site).pid
    window.client.close()
    _wait_until_gone(pid)
    with Catalogue.open(site.workspace, readonly=True) as catalogue:
        assert catalogue.jobs.get(job).state == "done"
        assert len(catalogue.slides.select()) == 8


def test_an_engine_started_by_a_command_ends_amid_a_job_which_goes_on_by_itself(site: Site, drawn: list[Path]) -> None:
    command = site.connect()
    job = command.submit(*drawn)
    command.wait_for_item(job)
    pid = _note(site).pid
    command.client.close()
    _wait_until_gone(pid)
    with Catalogue.open(site.workspace, readonly=True) as catalogue:
        assert catalogue.jobs.get(job).state == "queued"
        done = len(catalogue.slides.select())
    assert 1 <= done < len(drawn)
    reply = site.connect().wait_for_end(job)
    assert reply.job.state == "done"
    assert {item.status for item in reply.items} == {"indexed"}
    assert len(reply.items) == len(drawn)


@posix_only
def test_a_polite_request_to_end_puts_the_work_back(site: Site, drawn: list[Path]) -> None:
    watcher = site.connect()
    job = watcher.submit(*drawn)
    watcher.wait_for_item(job)
    (engine,) = site.processes("engine")
    everybody = site.processes()
    engine.terminate()
    psutil.wait_procs(everybody, timeout=WAIT_S)
    assert site.processes() == []
    with Catalogue.open(site.workspace, readonly=True) as catalogue:
        assert catalogue.jobs.get(job).state == "queued"


_COMMAND = """
import sys
from pathlib import Path
from plipdesk.base.paths import Workspace
from plipdesk.engine.client import EngineClient
from plipdesk.engine import messages as m
client = EngineClient.connect(Workspace(Path(sys.argv[1])), role="command", linger_s=600)
print("connected", flush=True)
try:
    sys.stdin.read()
except KeyboardInterrupt:
    client.request(m.GetStatus())
    print("still answered", flush=True)
"""


@posix_only
def test_ctrl_c_in_a_command_reaches_the_command_only(site: Site) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _COMMAND, str(site.workspace.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "connected\n"
        os.killpg(command.pid, signal.SIGINT)
        assert command.stdout.readline() == "still answered\n"
        assert command.wait(WAIT_S) == 0
    site.connect().ask(m.Shutdown(), m.Done)


def test_only_who_can_read_the_note_may_come_in(site: Site) -> None:
    site.connect()
    note = _note(site)
    if sys.platform != "win32":
        assert stat.S_IMODE((site.workspace.run / "engine.json").stat().st_mode) == 0o600
    channel = Channel.dial(Address.parse(note.address))
    with pytest.raises(PlipdeskError, match="secret") as refused:
        EngineClient(channel, hello_of_this_process("window", "0" * 32))
    assert refused.value.kind == "refused"


def test_nobody_can_pose_as_a_worker(site: Site) -> None:
    site.connect()
    with pytest.raises(PlipdeskError, match="not started that worker"):
        EngineClient.attach(site.workspace, "worker", child=7)


def test_a_damaged_workspace_is_said_in_words(site: Site) -> None:
    site.workspace.root.mkdir(parents=True)
    site.workspace.catalogue.write_bytes(b"this is no database" * 1000)
    with pytest.raises(PlipdeskError) as caught:
        site.connect()
    assert caught.value.kind == "workspace-damaged"
    assert caught.value.exit_code == 3
    assert caught.value.path == str(site.workspace.catalogue)
    assert site.workspace.catalogue.read_bytes() == b"this is no database" * 1000


def test_errors_of_requests_keep_their_kind(site: Site) -> None:
    watcher = site.connect()
    for message, kind, code in (
        (m.GetJob(99), "not-found", 3),
        (m.SubmitJob("dream", {}), "usage", 2),
        (m.SetSlide("nothing", case="P1"), "not-found", 3),
        (m.UseEncoder("none-such"), "not-found", 3),
    ):
        with pytest.raises(PlipdeskError) as caught:
            watcher.client.request(message)
        assert (caught.value.kind, caught.value.exit_code) == (kind, code)
