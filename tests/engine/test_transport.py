"""Frames and addresses."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plipdesk.engine.messages import Done, Envelope, GetJob, NotUnderstood, Pixels, decode, encode
from plipdesk.engine.transport import Address, Channel, ConnectionLost, FrameTooLong, Listener, remove_socket


@pytest.fixture
def pair() -> tuple[Channel, Channel, socket.socket]:
    near, far = socket.socketpair()
    return Channel(near), Channel(far), far


def test_a_message_arrives_whole(pair: tuple[Channel, Channel, socket.socket]) -> None:
    near, far, _ = pair
    sent = Envelope(7, Pixels(2, 1, b"\x00\x01\x02\x03\x04\x05"))
    near.send(sent)
    assert far.receive() == sent
    near.close()
    assert far.receive() is None
    far.close()


def test_a_length_beyond_the_limit_is_refused_before_memory_is_taken(
    pair: tuple[Channel, Channel, socket.socket],
) -> None:
    near, far, raw = pair
    raw.sendall(struct.pack(">I", 0xFFFFFFFF))
    with pytest.raises(FrameTooLong, match="4,294,967,295 bytes"):
        near.receive()
    near.close()
    far.close()


def test_a_message_longer_than_a_frame_is_not_sent(pair: tuple[Channel, Channel, socket.socket]) -> None:
    near, far, _ = pair
    with pytest.raises(FrameTooLong):
        near.send(Envelope(1, Pixels(1, 1, bytes(65 * 1024 * 1024))))
    near.send(Envelope(2, Done()))
    assert far.receive() == Envelope(2, Done())
    near.close()
    far.close()


def test_after_a_frame_of_garbage_the_next_is_understood(pair: tuple[Channel, Channel, socket.socket]) -> None:
    near, far, raw = pair
    raw.sendall(struct.pack(">I", 3) + b"\xc1\xc1\xc1")
    far.send(Envelope(3, Done()))
    with pytest.raises(NotUnderstood):
        near.receive()
    assert near.receive() == Envelope(3, Done())
    near.close()
    far.close()


def test_a_frame_that_breaks_off_is_the_end(pair: tuple[Channel, Channel, socket.socket]) -> None:
    near, far, raw = pair
    raw.sendall(struct.pack(">I", 100) + b"half")
    far.close()
    assert near.receive() is None
    near.close()


def test_a_message_of_a_later_version_is_refused_under_its_number() -> None:
    unknown = encode(Envelope(41, GetJob(1))).replace(b"GetJob", b"GetJab")
    with pytest.raises(NotUnderstood, match="another version") as caught:
        decode(unknown)
    assert caught.value.request_id == 41


@given(st.binary(max_size=300))
def test_no_bytes_are_ever_anything_but_a_message_or_not_understood(content: bytes) -> None:
    with contextlib.suppress(NotUnderstood):
        envelope = decode(content)
        assert decode(encode(envelope)) == envelope


@pytest.mark.skipif(sys.platform == "win32", reason="sockets in folders are POSIX")
def test_only_this_person_can_reach_the_socket() -> None:
    listener = Listener()
    place = Path(listener.address.place)
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert place.parent.stat().st_uid == os.getuid()
    assert len(str(place).encode()) < 100
    listener.close()
    assert not place.parent.exists()


def test_closing_a_listener_wakes_who_accepts() -> None:
    listener = Listener()
    accepted: list[Channel | None] = []
    thread = threading.Thread(target=lambda: accepted.append(listener.accept()))
    thread.start()
    listener.close()
    thread.join(timeout=10)
    assert accepted == [None]
    with pytest.raises(ConnectionLost, match="does not answer"):
        Channel.dial(listener.address)


@pytest.mark.skipif(sys.platform == "win32", reason="sockets in folders are POSIX")
def test_a_listener_beside_another_shares_its_folder() -> None:
    first = Listener()
    second = Listener(beside=first.address)
    folder = Path(first.address.place).parent
    assert Path(second.address.place).parent == folder
    assert second.address.token != first.address.token
    second.close()
    assert folder.exists()
    first.close()
    assert not folder.exists()


def test_addresses_survive_being_written_down() -> None:
    for address in (Address("unix", "/tmp/a#b/s", "f00"), Address("tcp", "127.0.0.1:4711", "f00")):
        assert Address.parse(str(address)) == address


@pytest.mark.parametrize("text", ["", "unix:", "unix:/tmp/x", "tcp:10.0.0.1:80#f00", "tcp:127.0.0.1:x#f00", "ftp:a#b"])
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(ConnectionLost, match="cannot be read"):
        Address.parse(text)


def test_removing_a_socket_touches_no_other_folder(tmp_path: Path) -> None:
    keep = tmp_path / "keep"
    keep.touch()
    remove_socket(Address("unix", str(tmp_path / "s"), "f00"))
    assert keep.exists()
