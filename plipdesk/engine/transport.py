"""Frames over a socket that only this person's processes can open.

One frame is a 4-byte big-endian length and a message. On POSIX the socket lies in a folder of mode 0700; where there
are no such sockets it listens on the loopback address, and the token in the address keeps other people out.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
import struct
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.engine.messages import MAX_FRAME_BYTES, Envelope, NotUnderstood, decode, encode

_LENGTH = struct.Struct(">I")
_FOLDER_PREFIX = "plipdesk-"
MAX_HELLO_BYTES = 64 * 1024
"""A peer that has not shown the token yet may send no more than this."""


class ConnectionLost(EnvironmentProblem):
    """The process at the other end is gone, or cannot be reached."""

    kind = "connection-lost"


@dataclass(frozen=True)
class Address:
    """Where a process listens, and the secret that its first message needs. Written ``unix:PLACE#TOKEN``."""

    family: Literal["unix", "tcp"]
    place: str
    """Path of the socket, or ``host:port``."""
    token: str

    def __str__(self) -> str:
        return f"{self.family}:{self.place}#{self.token}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read what ``str(address)`` wrote.

        Raises:
            ConnectionLost: not an address.
        """
        family, _, rest = text.partition(":")
        place, _, token = rest.rpartition("#")
        if not place or not token:
            raise ConnectionLost("The address of the engine cannot be read.")
        if family == "unix":
            return cls("unix", place, token)
        host, _, port = place.rpartition(":")
        if family == "tcp" and host == "127.0.0.1" and port.isdigit():
            return cls("tcp", place, token)
        raise ConnectionLost("The address of the engine cannot be read.")

    @property
    def _tcp(self) -> tuple[str, int]:
        host, _, port = self.place.rpartition(":")
        return host, int(port)

    def dial(self) -> socket.socket:
        """A socket connected to this address; whoever gets it closes it.

        Raises:
            ConnectionLost: nobody listens there.
        """
        try:
            if self.family == "tcp":
                connected = socket.create_connection(self._tcp)
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connected
            return _dial_unix(self.place)
        except OSError as error:
            raise ConnectionLost("The engine of this workspace does not answer.") from error


if sys.platform == "win32":

    def _dial_unix(place: str) -> socket.socket:
        raise OSError(f"no such sockets here: {place}")

    def _listen(token: str, _beside: Address | None) -> tuple[socket.socket, Address]:
        listening = socket.create_server(("127.0.0.1", 0), backlog=32)
        host, port = listening.getsockname()[:2]
        return listening, Address("tcp", f"{host}:{port}", token)

else:

    def _dial_unix(place: str) -> socket.socket:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.connect(place)
        except BaseException:
            connected.close()
            raise
        return connected

    def _listen(token: str, beside: Address | None) -> tuple[socket.socket, Address]:
        # mkdtemp makes the folder with mode 0700; a short path, since the kernel takes no more than 107 bytes.
        folder = tempfile.mkdtemp(prefix=_FOLDER_PREFIX) if beside is None else Path(beside.place).parent
        place = Path(folder, secrets.token_hex(4))
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(str(place))
            listening.listen(32)
        except BaseException:
            listening.close()
            raise
        return listening, Address("unix", str(place), token)


def remove_socket(address: Address) -> None:
    """Delete the socket and its folder, also those that a killed process left behind."""
    folder = Path(address.place).parent
    if address.family == "unix" and folder.name.startswith(_FOLDER_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


class Channel:
    """One connection. Sending is safe from any thread; one thread receives."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._sending = threading.Lock()

    @classmethod
    def dial(cls, address: Address) -> Channel:
        """A channel to whoever listens at ``address``.

        Raises:
            ConnectionLost: nobody does.
        """
        return cls(address.dial())

    def set_timeout(self, seconds: float | None) -> None:
        """How long one receive or send may take; None: for ever."""
        with contextlib.suppress(OSError):
            self._socket.settimeout(seconds)

    def send(self, envelope: Envelope) -> None:
        """Send a whole message.

        Raises:
            ConnectionLost: the other end is gone.
            FrameTooLong: the message is longer than a frame may be.
        """
        body = encode(envelope)
        if len(body) > MAX_FRAME_BYTES:
            raise FrameTooLong(len(body))
        with self._sending:
            try:
                self._socket.sendall(_LENGTH.pack(len(body)) + body)
            except OSError as error:
                raise ConnectionLost("The connection to the engine is lost.") from error

    def receive(self, *, max_bytes: int = MAX_FRAME_BYTES) -> Envelope | None:
        """The next message; None when the other end is gone.

        Raises:
            FrameTooLong: the frame's length is beyond ``max_bytes``; no memory was taken; the channel must be closed.
            NotUnderstood: not a message; the channel can go on being used.
        """
        header = self._read(_LENGTH.size)
        if header is None:
            return None
        (length,) = _LENGTH.unpack(header)
        if length > max_bytes:
            raise FrameTooLong(length)
        body = self._read(length)
        return None if body is None else decode(body)

    def _read(self, size: int) -> bytearray | None:
        content = bytearray(size)
        view = memoryview(content)
        while view:
            try:
                count = self._socket.recv_into(view)
            except OSError:
                return None
            if count == 0:
                return None
            view = view[count:]
        return content

    def close(self) -> None:
        """End the connection; a thread that waits in :meth:`receive` gets None."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class FrameTooLong(NotUnderstood):
    """A frame that says it is longer than any message may be."""

    def __init__(self, length: int) -> None:
        super().__init__(0)
        self.message = f"A message of {length:,} bytes was refused: it is longer than any may be."


class Listener:
    """A socket that waits for connections, at an address with a fresh token."""

    def __init__(self, *, beside: Address | None = None) -> None:
        """Listen at a new place; ``beside``: in the same private folder, whose owner removes it."""
        self._socket, self.address = _listen(secrets.token_hex(16), beside)
        self._owns_folder = beside is None
        self._closed = threading.Event()

    def accept(self) -> Channel | None:
        """The next connection; None once the listener is closed."""
        while not self._closed.is_set():
            try:
                connected, _ = self._socket.accept()
            except ConnectionError:
                continue
            except OSError:
                return None
            if self._closed.is_set():
                connected.close()
                return None
            connected.setblocking(True)
            return Channel(connected)
        return None

    def close(self) -> None:
        """Take no more connections, and wake the thread that waits in :meth:`accept`."""
        if self._closed.is_set():
            return
        self._closed.set()
        with contextlib.suppress(ConnectionLost):
            self.address.dial().close()
        self._socket.close()
        if self._owns_folder:
            remove_socket(self.address)
