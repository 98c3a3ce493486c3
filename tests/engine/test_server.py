"""A server and its clients: requests, replies out of order, events, and those who may not come in."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from plipdesk.base.errors import Bug, NotFound, PlipdeskError, UsageProblem
from plipdesk.engine.client import Connection, NoAnswer
from plipdesk.engine.messages import (
    MAX_FRAME_BYTES,
    PROTOCOL_VERSION,
    Done,
    Envelope,
    Failed,
    GetJob,
    GetStatus,
    Hello,
    ListCollections,
    ListJobs,
    Message,
    SlidesChanged,
    Subscribe,
    Welcome,
)
from plipdesk.engine.server import Peer, Server, hello_of_this_process
from plipdesk.engine.transport import Channel, ConnectionLost, Listener


class Desk:
    """Answers some messages, each in another way."""

    def __init__(self) -> None:
        self.held: list[tuple[Peer, int]] = []
        self.peers: list[Peer] = []
        self.left = threading.Semaphore(0)

    def welcome(self, peer: Peer) -> Message:
        self.peers.append(peer)
        return Welcome(PROTOCOL_VERSION, 1, "/w")

    def gone(self, peer: Peer) -> None:
        self.left.release()

    def answer(self, peer: Peer, request_id: int, message: Message) -> Message | None:
        match message:
            case GetStatus():
                self.held.append((peer, request_id))
                return None
            case ListJobs():
                for waiting, number in self.held:
                    waiting.reply(number, Failed("late", "answered late", None, None, 3))
                return Done()
            case GetJob():
                raise NotFound("There is no job 5.", remedy="Look elsewhere.")
            case ListCollections():
                raise ZeroDivisionError("secret")
            case Subscribe():
                for number in range(3):
                    peer.push(SlidesChanged((str(number),)))
        return Done()


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def listener(desk: Desk) -> Iterator[Listener]:
    listener = Listener()
    server = Server(listener, desk, unforeseen=lambda error: Bug("A bug.", path="engine.log"))
    server.start()
    yield listener
    server.close()


def _connect(listener: Listener) -> Connection:
    return Connection(Channel.dial(listener.address), hello_of_this_process("window", listener.address.token))


def test_replies_may_come_out_of_order(listener: Listener) -> None:
    with _connect(listener) as client:
        late: list[Message] = []
        arrived = threading.Event()

        def keep(reply: Message) -> None:
            late.append(reply)
            arrived.set()

        client.send(GetStatus(), keep)
        assert client.request(ListJobs()) == Done()
        assert arrived.wait(10)
        assert late == [Failed("late", "answered late", None, None, 3)]


def test_errors_come_back_as_they_were_raised(listener: Listener) -> None:
    with _connect(listener) as client:
        with pytest.raises(NotFound, match="There is no job 5") as missing:
            client.request(GetJob(5))
        assert missing.value.remedy == "Look elsewhere."
        with pytest.raises(Bug, match="A bug") as bug:
            client.request(ListCollections())
        assert bug.value.path == "engine.log"
        client.send(GetStatus(), lambda _: None)


def test_an_error_of_any_room_keeps_its_kind_and_exit_code(listener: Listener) -> None:
    with _connect(listener) as client:
        caught: list[PlipdeskError] = []

        def ask() -> None:
            try:
                client.request(GetStatus())
            except PlipdeskError as error:
                caught.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        while asking.is_alive():
            client.request(ListJobs())
        assert [(error.kind, error.exit_code) for error in caught] == [("late", 3)]


def test_events_come_in_their_order(listener: Listener) -> None:
    with _connect(listener) as client:
        seen: list[Message] = []
        done = threading.Event()

        def see(event: Message) -> None:
            seen.append(event)
            if len(seen) == 3:
                done.set()

        client.on_event(see)
        client.request(Subscribe())
        assert done.wait(10)
        assert seen == [SlidesChanged(("0",)), SlidesChanged(("1",)), SlidesChanged(("2",))]


def test_a_request_that_takes_too_long_is_given_up(listener: Listener) -> None:
    with _connect(listener) as client:
        with pytest.raises(NoAnswer):
            client.request(GetStatus(), timeout_s=0.01)
        assert client.request(ListJobs()) == Done()


def test_a_client_that_leaves_is_noticed(listener: Listener, desk: Desk) -> None:
    client = _connect(listener)
    client.close()
    assert desk.left.acquire(timeout=10)
    with pytest.raises(ConnectionLost):
        client.request(Subscribe())


def test_a_server_that_ends_answers_every_pending_request(desk: Desk) -> None:
    listener = Listener()
    server = Server(listener, desk, unforeseen=lambda error: Bug("A bug."))
    server.start()
    client = _connect(listener)
    lost = threading.Event()
    client.on_lost(lost.set)
    replies: list[Message] = []
    answered = threading.Event()

    def keep(reply: Message) -> None:
        replies.append(reply)
        answered.set()

    client.send(GetStatus(), keep)
    client.request(Subscribe())
    server.close()
    assert answered.wait(10)
    assert lost.wait(10)
    assert isinstance(replies[0], Failed)
    assert replies[0].kind == "connection-lost"
    with pytest.raises(ConnectionLost, match="ended"):
        client.request(Subscribe())
    client.close()


# --- those who may not come in ----------------------------------------------------------------------------------------


def _first_reply(listener: Listener, first: Envelope) -> Envelope | None:
    channel = Channel.dial(listener.address)
    try:
        channel.send(first)
        return channel.receive()
    finally:
        channel.close()


def test_a_wrong_token_is_refused(listener: Listener, desk: Desk) -> None:
    reply = _first_reply(listener, Envelope(1, hello_of_this_process("window", "0" * 32)))
    assert reply is not None
    assert isinstance(reply.body, Failed)
    assert (reply.id, reply.body.kind) == (1, "refused")
    assert desk.peers == []
    with pytest.raises(PlipdeskError, match="secret"):
        Connection(Channel.dial(listener.address), hello_of_this_process("window", "no"))


def test_another_version_is_refused_in_words(listener: Listener, desk: Desk) -> None:
    hello = Hello(version=PROTOCOL_VERSION + 1, role="window", pid=1, token=listener.address.token)
    with pytest.raises(PlipdeskError, match=f"speaks version {PROTOCOL_VERSION + 1}") as caught:
        Connection(Channel.dial(listener.address), hello)
    assert caught.value.remedy is not None
    assert "Close every plipdesk window" in caught.value.remedy
    assert desk.peers == []


def test_who_does_not_say_hello_is_refused(listener: Listener, desk: Desk) -> None:
    reply = _first_reply(listener, Envelope(9, Subscribe()))
    assert reply is not None
    assert isinstance(reply.body, Failed)
    assert desk.peers == []


def _raw(listener: Listener) -> socket.socket:
    return listener.address.dial()


def test_a_stranger_may_not_send_a_long_hello(listener: Listener, desk: Desk) -> None:
    with _raw(listener) as raw:
        raw.sendall(struct.pack(">I", 1_000_000))
        reply = Channel(raw).receive()
    assert reply is not None
    assert isinstance(reply.body, Failed)
    assert "1,000,000 bytes" in reply.body.message
    assert desk.peers == []


@pytest.mark.parametrize("garbage", [b"", b"\x00\x00\x00\x00", b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00\x00\x04\xff\xff"])
def test_garbage_ends_only_its_own_connection(listener: Listener, garbage: bytes) -> None:
    with _raw(listener) as raw:
        raw.sendall(garbage)
        raw.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while raw.recv(4096):
                pass
    with _connect(listener) as client:
        assert client.request(Subscribe()) == Done()


def test_a_known_peers_oversized_frame_ends_its_connection_in_words(listener: Listener) -> None:
    with _raw(listener) as raw:
        channel = Channel(raw)
        channel.send(Envelope(1, hello_of_this_process("window", listener.address.token)))
        assert isinstance(channel.receive().body, Welcome)  # type: ignore[union-attr]
        raw.sendall(struct.pack(">I", MAX_FRAME_BYTES + 1))
        reply = channel.receive()
        assert reply is not None
        assert isinstance(reply.body, Failed)
        assert reply.body.kind == "protocol"
        assert channel.receive() is None


def test_a_known_peers_garbage_is_answered_and_the_conversation_goes_on(listener: Listener) -> None:
    with _raw(listener) as raw:
        channel = Channel(raw)
        channel.send(Envelope(1, hello_of_this_process("window", listener.address.token)))
        channel.receive()
        raw.sendall(struct.pack(">I", 2) + b"\xc1\xc1")
        reply = channel.receive()
        assert reply is not None
        assert isinstance(reply.body, Failed)
        channel.send(Envelope(2, ListJobs()))
        assert channel.receive() == Envelope(2, Done())


def test_a_service_can_refuse(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(Desk):
        def welcome(self, peer: Peer) -> Message:
            raise UsageProblem("Not today.")

    listener = Listener()
    server = Server(listener, Closed(), unforeseen=lambda error: Bug("A bug."))
    server.start()
    with pytest.raises(UsageProblem, match="Not today"):
        _connect(listener)
    server.close()
