"""The way to the engine and to the reader for windows and commands; also what a worker speaks through."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Self

from plipdesk.base.errors import EnvironmentProblem, PlipdeskError
from plipdesk.base.paths import Workspace
from plipdesk.engine.child import end_now
from plipdesk.engine.launch import OpenedBy, start_engine
from plipdesk.engine.messages import (
    Envelope,
    Failed,
    Hello,
    Message,
    NotUnderstood,
    Role,
    failed,
    rebuilt,
)
from plipdesk.engine.rendezvous import EngineNote, starting
from plipdesk.engine.server import hello_of_this_process
from plipdesk.engine.transport import Address, Channel, ConnectionLost

_HELLO_TIMEOUT_S = 20.0
_START_TIMEOUT_S = 120.0


class NoEngine(EnvironmentProblem):
    """No engine runs for this workspace."""

    kind = "no-engine"


class NoAnswer(EnvironmentProblem):
    """The engine lives but has not answered in time."""

    kind = "no-answer"


class Connection:
    """Requests and replies over one channel; replies may come out of order.

    Callbacks run on the connection's own thread and must return quickly.
    """

    def __init__(self, channel: Channel, hello: Hello) -> None:
        """Say hello and wait for the welcome.

        Raises:
            ConnectionLost: the other end is gone.
            PlipdeskError: it refuses, in its words.
        """
        self._channel = channel
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._pending: dict[int, Callable[[Message], None]] = {}
        self._on_event: list[Callable[[Message], None]] = []
        self._on_lost: list[Callable[[], None]] = []
        self._closing = False
        self._lost = False
        self._greet(hello)
        self._thread = threading.Thread(target=self._receive, name="engine-replies", daemon=True)
        self._thread.start()

    def _greet(self, hello: Hello) -> None:
        self._channel.set_timeout(_HELLO_TIMEOUT_S)
        try:
            self._channel.send(Envelope(next(self._numbers), hello))
            envelope = self._channel.receive()
            if envelope is None:
                raise ConnectionLost("The engine of this workspace does not answer.")
            if isinstance(envelope.body, Failed):
                raise rebuilt(envelope.body)
        except PlipdeskError:
            self._channel.close()
            raise
        self._channel.set_timeout(None)

    @property
    def closed(self) -> bool:
        """Whether no request can be sent any more."""
        return self._lost or self._closing

    def send(self, message: Message, on_reply: Callable[[Message], None]) -> None:
        """Ask; ``on_reply`` is called once with the reply, which may be :class:`Failed`, also when the engine dies."""
        number = next(self._numbers)
        with self._lock:
            gone = self._lost
            if not gone:
                self._pending[number] = on_reply
        if gone:
            on_reply(failed(_lost()))
            return
        try:
            self._channel.send(Envelope(number, message))
        except PlipdeskError as error:
            with self._lock:
                waiting = self._pending.pop(number, None)
            if waiting is not None:
                waiting(failed(error))

    def request(self, message: Message, timeout_s: float | None = None) -> Message:
        """Ask and wait for the reply.

        Raises:
            PlipdeskError: the error that the reply carries, of the same kind and exit code.
            ConnectionLost: the engine died before it answered.
            NoAnswer: nothing came in ``timeout_s``; a reply that comes later is dropped.
        """
        arrived = threading.Event()
        replies: list[Message] = []

        def keep(reply: Message) -> None:
            replies.append(reply)
            arrived.set()

        self.send(message, keep)
        if not arrived.wait(timeout_s):
            raise NoAnswer("The engine has not answered in time.", remedy="Wait a moment, then try again.")
        reply = replies[0]
        if isinstance(reply, Failed):
            raise ConnectionLost(reply.message, remedy=reply.remedy) if reply.kind == _LOST else rebuilt(reply)
        return reply

    def on_event(self, callback: Callable[[Message], None]) -> None:
        """Call back for each event; the engine sends them after a :class:`Subscribe`."""
        self._on_event.append(callback)

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call back once if the other end goes before :meth:`close` is called."""
        self._on_lost.append(callback)
        if self._lost and not self._closing:
            callback()

    def close(self) -> None:
        """End the connection; requests that wait are answered with an error."""
        self._closing = True
        self._channel.close()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5.0)

    def _receive(self) -> None:
        try:
            while (envelope := self._next()) is not None:
                self._hand_out(envelope)
        finally:
            self._channel.close()
            with self._lock:
                self._lost = True
                left = list(self._pending.values())
                self._pending.clear()
            if not self._closing:
                for callback in self._on_lost:
                    callback()
            for waiting in left:
                waiting(failed(_lost()))

    def _next(self) -> Envelope | None:
        try:
            return self._channel.receive()
        except NotUnderstood as error:
            return Envelope(error.request_id, failed(error)) if error.request_id else None

    def _hand_out(self, envelope: Envelope) -> None:
        if envelope.id == 0:
            for heard in self._on_event:
                heard(envelope.body)
            return
        with self._lock:
            waiting = self._pending.pop(envelope.id, None)
        if waiting is not None:
            waiting(envelope.body)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_LOST = ConnectionLost.kind


def _lost() -> ConnectionLost:
    return ConnectionLost(
        "The process that should answer has ended.", remedy="Try again: it is started anew, and finished work is kept."
    )


class EngineClient(Connection):
    """A window's, command's or worker's connection to the engine of a workspace."""

    @classmethod
    def connect(
        cls,
        workspace: Workspace,
        *,
        role: Role = "window",
        start: bool = True,
        linger_s: float | None = None,
        report: Callable[[str], None] | None = None,
    ) -> Self:
        """Attach to the engine that runs, or start one and wait until it is ready.

        Args:
            role: ``window`` keeps the engine alive for its jobs, too; ``command`` only for itself.
            start: start an engine where none runs.
            linger_s: how long an engine started by a command waits for the next one.
            report: told in one sentence what takes long.

        Raises:
            NoEngine: none runs and ``start`` is False.
            PlipdeskError: why the engine cannot start, such as a damaged workspace.
        """
        try:
            return cls.attach(workspace, role)
        except (NoEngine, ConnectionLost):
            if not start:
                raise NoEngine("No engine runs for this workspace.", path=workspace.root) from None
        opened_by: OpenedBy = "window" if role == "window" else "command"
        with starting(workspace, wait_s=_START_TIMEOUT_S):
            try:
                return cls.attach(workspace, role)
            except (NoEngine, ConnectionLost):
                if report is not None:
                    report("Starting the engine …")
            start_engine(workspace, opened_by=opened_by, linger_s=linger_s)
            return cls.attach(workspace, role)

    @classmethod
    def attach(cls, workspace: Workspace, role: Role, *, child: int = 0, engine_pid: int | None = None) -> Self:
        """Connect to the engine that runs; a worker or reader says which child of which engine it is.

        Raises:
            NoEngine: none runs, or (with ``engine_pid``) another one.
            ConnectionLost: it is just ending.
        """
        note = EngineNote.read(workspace)
        if note is None or (engine_pid is not None and note.pid != engine_pid):
            raise NoEngine("No engine runs for this workspace.", path=workspace.root)
        address = Address.parse(note.address)
        return cls(Channel.dial(address), hello_of_this_process(role, address.token, child=child))


def attach_child(kind: Role, workspace: Workspace, child: int, engine_pid: int) -> EngineClient | None:
    """The connection of a child process to its engine, the loss of which ends this process; None if it is lost yet."""
    try:
        engine = EngineClient.attach(workspace, kind, child=child, engine_pid=engine_pid)
    except (NoEngine, ConnectionLost):
        return None
    engine.on_lost(end_now)
    return engine


class ReaderClient(Connection):
    """A window's connection to the reader process: :class:`OpenSlide`, :class:`ReadRegion`, :class:`ReadThumbnail`."""

    @classmethod
    def connect(cls, address: str) -> Self:
        """Connect to the address that :class:`GetReader` was answered with.

        Raises:
            ConnectionLost: that reader is gone; ask :class:`GetReader` again.
        """
        place = Address.parse(address)
        return cls(Channel.dial(place), hello_of_this_process("window", place.token))
