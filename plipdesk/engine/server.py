"""Answering connections: who comes in, what is asked, and one thread each for what comes and what goes."""

from __future__ import annotations

import itertools
import logging
import os
import queue
import secrets
import threading
from collections.abc import Callable
from functools import partial
from typing import Protocol

from plipdesk.base.errors import Bug, EnvironmentProblem, PlipdeskError
from plipdesk.engine.messages import (
    PROTOCOL_VERSION,
    Envelope,
    Hello,
    Message,
    NotUnderstood,
    Role,
    failed,
)
from plipdesk.engine.transport import MAX_HELLO_BYTES, Channel, ConnectionLost, FrameTooLong, Listener

_LOG = logging.getLogger(__name__)
_HELLO_TIMEOUT_S = 10.0
_MAX_WAITING = 20_000
_CLOSE_TIMEOUT_S = 2.0


class Refused(EnvironmentProblem):
    """A connection that may not come in."""

    kind = "refused"


class Peer:
    """A process at the other end of a connection that has shown the token.

    What is sent waits in a queue, so that a peer that does not read holds up nobody else; when too much waits, the
    connection is ended.
    """

    _numbers = itertools.count(1)

    def __init__(self, channel: Channel, hello: Hello) -> None:
        self.number = next(self._numbers)
        self.role: Role = hello.role
        self.pid = hello.pid
        self.child = hello.child
        self.wants_events = False
        self._channel = channel
        self._waiting: queue.Queue[Envelope | None] = queue.Queue(maxsize=_MAX_WAITING)
        self._writer = threading.Thread(target=self._write, name=f"write-{self.number}", daemon=True)
        self._writer.start()

    def reply(self, request_id: int, message: Message) -> None:
        """Answer a request; nothing happens if the peer is gone."""
        self._put(Envelope(request_id, message))

    def push(self, event: Message) -> None:
        """Send an event; nothing happens if the peer is gone."""
        self._put(Envelope(0, event))

    def _put(self, envelope: Envelope | None) -> None:
        try:
            self._waiting.put_nowait(envelope)
        except queue.Full:
            _LOG.warning("%s %d does not read what it is sent: its connection is ended", self.role, self.pid)
            self._channel.close()

    def _write(self) -> None:
        while (envelope := self._waiting.get()) is not None:
            try:
                try:
                    self._channel.send(envelope)
                except FrameTooLong as error:
                    self._channel.send(Envelope(envelope.id, failed(error)))
            except ConnectionLost:
                return

    def close(self, *, flush: bool = False) -> None:
        """End the connection; ``flush``: what still waits is sent before."""
        if flush:
            self._put(None)
            self._writer.join(timeout=1.0)
        self._channel.close()

    def ended(self) -> None:
        """Let the writing thread go; the channel is the server's to close."""
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            self._channel.close()
            self._waiting.get()
            self._waiting.put(None)


class Service(Protocol):
    """What a server serves."""

    def welcome(self, peer: Peer) -> Message:
        """The reply to a peer's Hello; raising refuses it."""

    def answer(self, peer: Peer, request_id: int, message: Message) -> Message | None:
        """The reply to a request; None if :meth:`Peer.reply` is called later."""

    def gone(self, peer: Peer) -> None:
        """A welcomed peer is gone."""


class Server:
    """Takes connections at a listener until closed."""

    def __init__(self, listener: Listener, service: Service, *, unforeseen: Callable[[BaseException], Bug]) -> None:
        self._listener = listener
        self._service = service
        self._unforeseen = unforeseen
        self._serving: dict[Channel, threading.Thread] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._accepting = threading.Thread(target=self._accept, name="accept", daemon=True)

    def start(self) -> None:
        """Begin to take connections."""
        self._accepting.start()

    def _accept(self) -> None:
        while (channel := self._listener.accept()) is not None:
            serving = threading.Thread(target=self._serve, args=(channel,), name="read", daemon=True)
            with self._lock:
                if self._closed:
                    channel.close()
                    return
                self._serving[channel] = serving
                serving.start()

    def _serve(self, channel: Channel) -> None:
        peer: Peer | None = None
        try:
            peer = self._let_in(channel)
            if peer is not None:
                self._converse(channel, peer)
        finally:
            channel.close()
            with self._lock:
                del self._serving[channel]
            if peer is not None:
                peer.ended()
                self._service.gone(peer)

    def _let_in(self, channel: Channel) -> Peer | None:
        channel.set_timeout(_HELLO_TIMEOUT_S)
        try:
            envelope = channel.receive(max_bytes=MAX_HELLO_BYTES)
        except NotUnderstood as error:
            self._refuse(channel, error.request_id, error)
            return None
        if envelope is None:
            return None
        hello = envelope.body
        try:
            if not isinstance(hello, Hello):
                raise Refused("The first message of a connection must say who it is from.")
            if not secrets.compare_digest(hello.token.encode(), self._listener.address.token.encode()):
                raise Refused("This connection does not know the secret of the workspace's engine.")
            if hello.version != PROTOCOL_VERSION:
                raise Refused(
                    f"This plipdesk speaks version {hello.version} of the engine's language, "
                    f"the engine that runs speaks version {PROTOCOL_VERSION}.",
                    remedy="Close every plipdesk window and command of this workspace, then start again.",
                )
            channel.set_timeout(None)
            peer = Peer(channel, hello)
            try:
                peer.reply(envelope.id, self._service.welcome(peer))
            except PlipdeskError:
                peer.ended()
                raise
        except PlipdeskError as error:
            self._refuse(channel, envelope.id, error)
            return None
        return peer

    def _refuse(self, channel: Channel, request_id: int, error: PlipdeskError) -> None:
        _LOG.warning("A connection was refused: %s", error.message)
        try:
            channel.send(Envelope(request_id, failed(error)))
        except ConnectionLost:
            return

    def _converse(self, channel: Channel, peer: Peer) -> None:
        while True:
            try:
                envelope = channel.receive()
            except FrameTooLong as error:
                peer.reply(0, failed(error))
                peer.close(flush=True)
                return
            except NotUnderstood as error:
                peer.reply(error.request_id, failed(error))
                continue
            if envelope is None:
                return
            number, message = envelope.id, envelope.body
            reply = in_words(partial(self._service.answer, peer, number, message), self._unforeseen)
            if reply is not None:
                peer.reply(number, reply)

    def close(self) -> None:
        """Take no more connections, end those there are, and wait a little for what is being answered."""
        with self._lock:
            self._closed = True
            serving = dict(self._serving)
        self._listener.close()
        for channel in serving:
            channel.close()
        for thread in (self._accepting, *serving.values()):
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(timeout=_CLOSE_TIMEOUT_S)


def in_words(answer: Callable[[], Message | None], unforeseen: Callable[[BaseException], Bug]) -> Message | None:
    """What ``answer`` returns, or the :class:`Failed` that says why there is none."""
    try:
        return answer()
    except PlipdeskError as error:
        return failed(error)
    except Exception as error:  # noqa: BLE001  the edge of the process: a bug must not end the connection
        return failed(unforeseen(error))


def hello_of_this_process(role: Role, token: str, *, child: int = 0) -> Hello:
    """The first message this process sends."""
    return Hello(version=PROTOCOL_VERSION, role=role, pid=os.getpid(), token=token, child=child)
