"""Where the reader process listens: started when first asked for, started again when it has died."""

from __future__ import annotations

import threading
from collections.abc import Callable

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.engine.messages import ReaderAt, failed
from plipdesk.engine.server import Peer


class NoReader(EnvironmentProblem):
    """The process that reads slides for windows cannot be started."""

    kind = "no-reader"


class ReaderDesk:
    """Thread-safe; ``want_reader`` is called when one is asked for and none is there."""

    def __init__(self, want_reader: Callable[[], None]) -> None:
        self._want_reader = want_reader
        self._lock = threading.Lock()
        self._address: str | None = None
        self._child = 0
        self._asked: list[tuple[Peer, int]] = []

    def ask(self, peer: Peer, request_id: int) -> ReaderAt | None:
        """The address, or None: the reply is sent as soon as the reader is ready."""
        with self._lock:
            if self._address is not None:
                return ReaderAt(self._address)
            self._asked.append((peer, request_id))
        self._want_reader()
        return None

    def ready(self, child: int, address: str) -> None:
        """The reader says where it listens."""
        with self._lock:
            self._address, self._child = address, child
            asked, self._asked = self._asked, []
        for peer, request_id in asked:
            peer.reply(request_id, ReaderAt(address))

    def died(self, child: int) -> None:
        """The reader has ended; the next who asks gets a new one."""
        with self._lock:
            if child == self._child:
                self._address = None
            waiting = bool(self._asked)
        if waiting:
            self._want_reader()

    def give_up(self) -> None:
        """No reader can be started: tell those who asked."""
        with self._lock:
            asked, self._asked = self._asked, []
        problem = NoReader(
            "The process that reads slides cannot be started.", remedy="See the log folder of the workspace."
        )
        for peer, request_id in asked:
            peer.reply(request_id, failed(problem))
