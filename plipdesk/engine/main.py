"""The engine process: ``python -m plipdesk.engine --workspace DIR [--linger SECONDS]``; one per workspace."""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

from plipdesk.base.budget import CpuBudget
from plipdesk.base.errors import PlipdeskError
from plipdesk.base.paths import Workspace
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.upkeep import sweep
from plipdesk.encoders.vocabulary import load_vocabulary
from plipdesk.engine.events import EventHub
from plipdesk.engine.jobs import Death, JobDesk
from plipdesk.engine.kinds import KINDS
from plipdesk.engine.launch import ready_line
from plipdesk.engine.lifetime import Lifetime
from plipdesk.engine.logs import LOGGER, ProcessLog
from plipdesk.engine.messages import Message, StatusChanged
from plipdesk.engine.reader_desk import ReaderDesk
from plipdesk.engine.rendezvous import EngineNote, FileLock, WorkspaceBusy, engine_lock, note_of_this_process
from plipdesk.engine.server import Peer, Server
from plipdesk.engine.service import EngineService
from plipdesk.engine.shelves import EncoderShelf, IndexShelf, dim_of_installed
from plipdesk.engine.supervisor import ChildKind, Supervisor
from plipdesk.engine.transport import Address, ConnectionLost, Listener, remove_socket
from plipdesk.search.searcher import Searcher

_TICK_S = 5.0
_SLOW_THREADS = 4
_WAIT_FOR_LAST_S = 15.0
"""How long a new engine waits for one that is just ending."""


class Engine:
    """Everything an engine process holds. Build it on the main thread, then :meth:`run` it there."""

    def __init__(
        self, workspace: Workspace, catalogue: Catalogue, log: ProcessLog, options: argparse.Namespace
    ) -> None:
        self._workspace = workspace
        self._catalogue = catalogue
        self._log = log
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._ending = False
        self._events = EventHub(self._deliver, unforeseen=log.bug)
        self._supervisor = Supervisor(
            workspace, post=self._inbox.put, ended=self._child_ended, hopeless=self._child_hopeless
        )
        self._encoders = EncoderShelf(workspace, catalogue, threads=CpuBudget.of_machine().query_threads)
        self._indexes = IndexShelf(
            workspace,
            catalogue,
            dim_of=lambda fingerprint: dim_of_installed(workspace, fingerprint),
            changed=self._status_changed,
            query_threads=CpuBudget.of_machine().query_threads,
        )
        self._jobs = JobDesk(
            catalogue,
            self._events,
            kinds=tuple(KINDS),
            want_worker=lambda: self._supervisor.want("worker"),
            changed=self._jobs_changed,
        )
        self._readers = ReaderDesk(lambda: self._supervisor.want("reader"))
        self._lifetime = Lifetime(opened_by=options.opened_by, linger_s=options.linger, busy=self._jobs.busy)
        self._slow = ThreadPoolExecutor(_SLOW_THREADS, thread_name_prefix="slow")
        self._service = EngineService(
            workspace,
            catalogue,
            encoders=self._encoders,
            indexes=self._indexes,
            searcher=Searcher(catalogue, self._indexes.get, self._encoders.get, workspace, load_vocabulary()),
            jobs=self._jobs,
            readers=self._readers,
            supervisor=self._supervisor,
            events=self._events,
            lifetime=self._lifetime,
            slow=self._slow,
            unforeseen=log.bug,
            end=self._end,
        )
        self._peers = Peers(self._service, changed=self._wake)
        self._listener = Listener()
        self._server = Server(self._listener, self._peers, unforeseen=log.bug)

    def run(self, ready: Callable[[], None]) -> None:
        """Serve until nobody needs the engine any more; ``ready`` is called once it listens."""
        for ending in (signal.SIGTERM, signal.SIGINT):
            signal.signal(ending, lambda *_: self._end())
        note_of_this_process(self._listener.address).write(self._workspace)
        self._server.start()
        ready()
        threading.Thread(target=self._service.warm, name="warm", daemon=True).start()
        self._jobs.recover()
        ticked_s = time.monotonic()
        while not self._ending:
            remaining_s = self._lifetime.remaining_s()
            if remaining_s == 0.0:
                break
            with contextlib.suppress(queue.Empty):
                task = self._inbox.get(timeout=min(_TICK_S, remaining_s if remaining_s is not None else _TICK_S))
                self._survive(task)
            if time.monotonic() - ticked_s >= _TICK_S:
                ticked_s = time.monotonic()
                self._survive(self._tick)
        self._close()

    def _survive(self, task: Callable[[], None]) -> None:
        try:
            task()
        except Exception as error:  # noqa: BLE001  the edge of the process: one bug must not end every window's work
            self._log.bug(error)

    def _tick(self) -> None:
        for child in self._jobs.silent_workers():
            self._supervisor.kill(child)
        self._jobs.tidy()

    def _close(self) -> None:
        # First nobody can find this engine any more, then its children end, and what they had in work is put back.
        note = EngineNote.read(self._workspace)
        if note is not None and note.pid == os.getpid():  # in a folder made anew lies the note of a newer engine
            EngineNote.remove(self._workspace)
        self._events.close()
        self._server.close()
        self._supervisor.end_all()
        self._catalogue.jobs.recover()
        self._indexes.close()
        self._catalogue.close()

    # --- callbacks ----------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        self._ending = True
        self._wake()

    def _wake(self) -> None:
        self._inbox.put(lambda: None)

    def _deliver(self, event: Message) -> None:
        self._peers.deliver(event)

    def _status_changed(self) -> None:
        self._events.post_late("status", lambda: StatusChanged(self._service.status()))

    def _jobs_changed(self) -> None:
        self._status_changed()
        # Perhaps the last job that kept this engine alive has ended.
        self._wake()

    def _child_ended(self, kind: ChildKind, number: int, death: Death) -> None:
        if kind == "worker":
            self._jobs.died(number, death)
        else:
            self._readers.died(number)
        self._wake()

    def _child_hopeless(self, kind: ChildKind) -> None:
        if kind == "worker":
            self._jobs.give_up("The process that does the work cannot be started. See the log folder of the workspace.")
        else:
            self._readers.give_up()


class Peers:
    """Knows who is connected; hands everything else to the service, and events to those who want them."""

    def __init__(self, service: EngineService, *, changed: Callable[[], None]) -> None:
        self._service = service
        self._changed = changed
        self._lock = threading.Lock()
        self._peers: dict[int, Peer] = {}

    def welcome(self, peer: Peer) -> Message:
        """Let a peer in."""
        reply = self._service.welcome(peer)
        with self._lock:
            self._peers[peer.number] = peer
        self._changed()
        return reply

    def answer(self, peer: Peer, request_id: int, message: Message) -> Message | None:
        """The service's reply."""
        return self._service.answer(peer, request_id, message)

    def gone(self, peer: Peer) -> None:
        """Forget a peer."""
        with self._lock:
            del self._peers[peer.number]
        self._service.gone(peer)
        self._changed()

    def deliver(self, event: Message) -> None:
        """Send an event to everybody who subscribed."""
        with self._lock:
            peers = [peer for peer in self._peers.values() if peer.wants_events]
        for peer in peers:
            peer.push(event)


def _take_over(workspace: Workspace, lock: FileLock) -> bool:
    """Hold the engine's lock; False where a living engine answers, so that this one is not needed.

    Raises:
        WorkspaceBusy: another process holds the lock but answers nobody.
    """
    deadline = time.monotonic() + _WAIT_FOR_LAST_S
    while not lock.take(wait_s=0.2):
        note = EngineNote.read(workspace)
        if note is not None:
            with contextlib.suppress(ConnectionLost):
                Address.parse(note.address).dial().close()
                return False
        if time.monotonic() > deadline:
            raise WorkspaceBusy(
                "Another plipdesk process holds this workspace and does not answer.",
                path=workspace.root,
                remedy="Close plipdesk, end what is left of it, then try again.",
            )
    return True


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="plipdesk engine process", description="Started by windows and commands.")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--opened-by", choices=("window", "command"), default="command")
    parser.add_argument("--linger", type=float, default=0.0, help="seconds to wait for the next command")
    return parser.parse_args(arguments)


def _say(line: str) -> None:
    """Tell whoever started this process, then let go of its pipe."""
    with contextlib.suppress(OSError):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.close(silent)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry of the engine process; returns its exit status."""
    multiprocessing.freeze_support()
    options = _arguments(arguments)
    workspace = Workspace(options.workspace.absolute())
    try:
        log = ProcessLog(workspace, "engine")
        with engine_lock(workspace) as lock:
            if not _take_over(workspace, lock):
                _say(ready_line())
                return 0
            _serve(workspace, log, options)
    except PlipdeskError as problem:
        LOGGER.warning("the engine cannot start: %s", problem.message)
        _say(ready_line(problem))
        return problem.exit_code
    except Exception as error:  # noqa: BLE001  the edge of the process
        _say(ready_line(log.bug(error)))
        return 3


def _serve(workspace: Workspace, log: ProcessLog, options: argparse.Namespace) -> NoReturn:
    last = EngineNote.read(workspace)
    if last is not None:
        # The last engine was killed; nobody but it could have removed its socket.
        with contextlib.suppress(ConnectionLost):
            remove_socket(Address.parse(last.address))
        EngineNote.remove(workspace)
    EngineNote.sweep(workspace)
    catalogue = Catalogue.open(workspace)
    swept = sweep(workspace, catalogue)
    LOGGER.info("engine starts; %d leftovers swept", len(swept))
    Engine(workspace, catalogue, log, options).run(lambda: _say(ready_line()))
    LOGGER.info("engine ends")
    # Native libraries must not hold up the end, nor crash in it: everything is on the disk.
    os._exit(0)
