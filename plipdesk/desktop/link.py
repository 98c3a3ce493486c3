"""The window's line to the engine and the reader process: asks without waiting, survives their death.

Everything that can block (starting the engine, connecting, writing to a socket) happens on one courier thread. Answers
and events arrive on the clients' threads and cross to the window's thread as queued signals. What was asked and not
yet answered when a process died is asked again of its successor, so nothing is lost.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

from plipdesk.base.errors import PlipdeskError
from plipdesk.engine import messages as m

Channel = Literal["engine", "viewer", "pictures"]
READER_CHANNELS: tuple[Channel, ...] = ("viewer", "pictures")
"""Two connections to the reader: what the viewer drops as stale must not drop the grid's pictures."""

RESTARTS_ALLOWED, RESTARTS_WITHIN_S = 4, 60.0
LOST_KIND = "connection-lost"
"""The kind of failure with which a client answers what was open when its line died."""
READER_TRIES = 2
"""How often a picture is asked for when the reader dies meanwhile: once more, and then it is taken as the cause."""


class Line(Protocol):
    """What the clients of engine and reader offer; callbacks come on a thread of theirs."""

    @property
    def closed(self) -> bool:
        """Whether the other side is gone."""

    def send(self, message: m.Message, on_reply: Callable[[m.Message], None]) -> None:
        """Send a request; a refusal arrives as :class:`~plipdesk.engine.messages.Failed`."""

    def on_event(self, callback: Callable[[m.Message], None]) -> None:
        """Call this for every event."""

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call this once when the other side is gone."""

    def close(self) -> None:
        """End the connection."""


@dataclass
class _Waiting:
    """A request without an answer yet."""

    channel: Channel
    message: m.Message
    done: Callable[[m.Message], None]
    failed: Callable[[m.Failed], None] | None
    sent: int = 0


class _Courier(threading.Thread):
    """Does, one after another, what may block."""

    def __init__(self) -> None:
        super().__init__(name="engine-courier", daemon=True)
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def do(self, work: Callable[[], None]) -> None:
        self._work.put(work)

    def finish(self) -> None:
        self._work.put(None)

    def run(self) -> None:
        while (work := self._work.get()) is not None:
            work()


class Link(QObject):
    """Requests, answers and events, all on the window's thread."""

    connected = Signal()
    lost = Signal()
    """The engine is gone; it is started again by itself."""
    start_failed = Signal(object)
    """The engine could not be started (a Failed with the reason); :meth:`start` tries again."""
    event_arrived = Signal(object)
    problem = Signal(object)
    """A request failed that had no handler of its own (a Failed)."""

    _answer_arrived = Signal(int, object)
    _event_came = Signal(object)
    _line_ready = Signal(str, object)
    _line_failed = Signal(str, object)
    _line_lost = Signal(str, object)
    _reader_searched = Signal()

    def __init__(
        self, open_engine: Callable[[], Line], open_reader: Callable[[str], Line], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._open_engine = open_engine
        self._open_reader = open_reader
        self._courier: _Courier | None = None
        self._lines: dict[Channel, Line] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._ticket = 0
        self._connecting = False
        self._finding_reader = False
        self._closed = False
        self._losses: deque[float] = deque(maxlen=RESTARTS_ALLOWED)
        self._restart = QTimer(self)
        self._restart.setSingleShot(True)
        self._restart.setInterval(200)
        self._restart.timeout.connect(self.start)
        self._reader_wanted = QTimer(self)
        self._reader_wanted.setSingleShot(True)
        self._reader_wanted.setInterval(200)
        self._reader_wanted.timeout.connect(self._ask_reader)
        queued = Qt.ConnectionType.QueuedConnection
        self._answer_arrived.connect(self._on_answer, queued)
        self._event_came.connect(self._on_event, queued)
        self._line_ready.connect(self._on_ready, queued)
        self._line_failed.connect(self._on_failed, queued)
        self._line_lost.connect(self._on_lost, queued)
        self._reader_searched.connect(self._on_reader_searched, queued)

    @property
    def is_connected(self) -> bool:
        """Whether the engine answers."""
        return "engine" in self._lines

    @Slot()
    def start(self) -> None:
        """Connect in the background; the engine is started if none runs. Signals tell how it went."""
        if self._connecting or self._closed or self.is_connected:
            return
        self._connecting = True
        self._work(lambda: self._open("engine", self._open_engine))

    def ask(
        self,
        message: m.Message,
        done: Callable[[m.Message], None],
        failed: Callable[[m.Failed], None] | None = None,
        *,
        channel: Channel = "engine",
    ) -> int:
        """Send a request now, or as soon as there is a connection; the number returned can be forgotten.

        ``done`` gets the reply and ``failed`` a refusal; without ``failed`` it goes to :attr:`problem`.
        """
        self._ticket += 1
        self._waiting[self._ticket] = _Waiting(channel, message, done, failed)
        self._dispatch(self._ticket)
        return self._ticket

    def forget(self, ticket: int) -> None:
        """The answer to this request no longer matters."""
        self._waiting.pop(ticket, None)

    def close(self) -> None:
        """End the connections; nothing arrives afterwards. Waits two seconds at most for what is being written."""
        self._closed = True
        self._restart.stop()
        self._reader_wanted.stop()
        self._waiting.clear()
        for line in self._lines.values():
            self._work(line.close)
        self._lines.clear()
        if self._courier is not None:
            self._courier.finish()
            self._courier.join(timeout=2.0)
            self._courier = None

    # --- on the courier's and the clients' threads: nothing but signals leave here ---

    def _open(self, channel: Channel, connect: Callable[[], Line]) -> None:
        try:
            line = connect()
        except PlipdeskError as error:
            self._line_failed.emit(channel, m.failed(error))
            return
        except OSError as error:
            self._line_failed.emit(channel, m.Failed("environment", str(error), None, None, 3))
            return
        line.on_event(self._event_came.emit)
        line.on_lost(lambda: self._line_lost.emit(channel, line))
        self._line_ready.emit(channel, line)

    def _send(self, line: Line, ticket: int, message: m.Message) -> None:
        try:
            line.send(message, lambda reply: self._answer_arrived.emit(ticket, reply))
        except PlipdeskError as error:
            self._answer_arrived.emit(ticket, m.failed(error))
        except OSError:
            pass  # the line is lost: on_lost tells, and the request is sent again

    # --- on the window's thread ---

    def _work(self, work: Callable[[], None]) -> None:
        if self._courier is None:
            self._courier = _Courier()
            self._courier.start()
        self._courier.do(work)

    def _dispatch(self, ticket: int) -> None:
        request = self._waiting[ticket]
        line = self._lines.get(request.channel)
        if line is None:
            if request.channel != "engine" and not self._reader_wanted.isActive():
                self._ask_reader()
            return
        request.sent += 1
        message = request.message
        self._work(lambda: self._send(line, ticket, message))

    def _on_answer(self, ticket: int, reply: m.Message) -> None:
        request = self._waiting.get(ticket)
        if request is None:
            return
        if isinstance(reply, m.Failed) and reply.kind == LOST_KIND:
            return  # the line died under the request: it is sent again
        del self._waiting[ticket]
        if not isinstance(reply, m.Failed):
            request.done(reply)
        elif request.failed is not None:
            request.failed(reply)
        else:
            self.problem.emit(reply)

    def _on_event(self, event: m.Message) -> None:
        if not self._closed:
            self.event_arrived.emit(event)

    def _on_ready(self, channel: Channel, line: Line) -> None:
        if self._closed:
            line.close()
            return
        self._lines[channel] = line
        if channel == "engine":
            self._connecting = False
        if line.closed:  # it died before anybody listened for that
            self._on_lost(channel, line)
            return
        if channel == "engine":
            self.ask(m.Subscribe(), lambda _: None)
            self._ask_reader()
            self.connected.emit()
        for ticket, request in list(self._waiting.items()):
            if request.channel == channel and not isinstance(request.message, m.Subscribe | m.GetReader):
                self._dispatch(ticket)

    def _on_failed(self, channel: Channel, failure: m.Failed) -> None:
        if self._closed:
            return
        if channel == "engine":
            self._connecting = False
            self.start_failed.emit(failure)
        elif self.is_connected:
            self._reader_wanted.start()

    def _on_lost(self, channel: Channel, line: Line) -> None:
        if self._closed or self._lines.get(channel) is not line:
            return
        del self._lines[channel]
        if channel == "engine":
            self._finding_reader = False
            for other in READER_CHANNELS:
                reader = self._lines.pop(other, None)
                if reader is not None:
                    self._work(reader.close)
            for ticket, request in list(self._waiting.items()):
                if isinstance(request.message, m.Subscribe | m.GetReader):
                    del self._waiting[ticket]
            self._start_again()
        else:
            self._blame(channel)
            if self.is_connected:
                self._reader_wanted.start()

    def _start_again(self) -> None:
        now = time.monotonic()
        self._losses.append(now)
        self.lost.emit()
        if len(self._losses) == RESTARTS_ALLOWED and now - self._losses[0] < RESTARTS_WITHIN_S:
            self._losses.clear()
            self.start_failed.emit(
                m.Failed(
                    "engine",
                    self.tr("The engine stopped several times in a minute."),
                    None,
                    self.tr("Start it again, or look into the workspace's log folder."),
                    3,
                )
            )
            return
        self._restart.start()

    def _blame(self, channel: Channel) -> None:
        """The reader died: requests it has died of twice are not asked a third time."""
        for ticket, request in list(self._waiting.items()):
            if request.channel == channel and request.sent >= READER_TRIES:
                self._on_answer(
                    ticket,
                    m.Failed(
                        "slide",
                        self.tr("Reading this slide made the reader stop."),
                        getattr(request.message, "path", None),
                        self.tr("The file is probably damaged: copy it again from its source."),
                        3,
                    ),
                )

    @Slot()
    def _ask_reader(self) -> None:
        missing = [channel for channel in READER_CHANNELS if channel not in self._lines]
        if not missing or not self.is_connected or self._finding_reader:
            return
        self._finding_reader = True

        def connect(reply: m.Message) -> None:
            if isinstance(reply, m.ReaderAt):
                address = reply.address
                for channel in missing:
                    self._work(partial(self._open, channel, partial(self._open_reader, address)))
                self._work(self._reader_searched.emit)

        def refused(failure: m.Failed) -> None:
            self._finding_reader = False
            for ticket, request in list(self._waiting.items()):
                if request.channel in READER_CHANNELS:
                    self._on_answer(ticket, failure)

        self.ask(m.GetReader(), connect, refused)

    def _on_reader_searched(self) -> None:
        self._finding_reader = False
