"""A hub on this machine: it answers what the real client asks of the real one, well or badly as a test wants."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REVISION = "0123456789abcdef0123456789abcdef01234567"
LARGE_BYTES = 10_000
"""From this size on a file has a SHA-256 at the hub; smaller ones have git's SHA-1 of a blob."""


@dataclass
class Hub:
    """What the hub holds, and how it misbehaves."""

    repository: str = "somebody/model"
    files: dict[str, bytes] = field(default_factory=dict)
    revision: str = REVISION
    licence: str | None = "mit"
    token: str | None = None
    """The only token that is let in; None: everybody."""
    cut_after: int | None = None
    """Close the connection after so many bytes of each answer."""
    damaged: bool = False
    """Change a byte of every large file on the way."""
    stall_after: int | None = None
    """Send so many bytes, then nothing until :attr:`go_on` is set."""
    status: int | None = None
    """Answer everything with this status."""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path and Range of every request."""
    agents: set[str] = field(default_factory=set)
    go_on: threading.Event = field(default_factory=threading.Event)
    address: str = ""

    def ranges(self, name: str) -> list[str | None]:
        """The ranges that were asked of a file, in order."""
        return [asked for method, path, asked in self.asked if method == "GET" and path.endswith(f"/{name}")]


@contextlib.contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Let ``hub`` answer on a port of this machine."""

    class Handler(_Handler):
        of = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    hub.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        hub.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    of: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def _answer(self, *, body: bool) -> None:
        hub = self.of
        path = self.path.partition("?")[0]
        hub.asked.append((self.command, path, self.headers.get("Range")))
        hub.agents.add(self.headers.get("User-Agent", ""))
        if hub.status is not None:
            self._short(hub.status, {})
        elif hub.token is not None and self.headers.get("Authorization") != f"Bearer {hub.token}":
            # As the real one does: a gated repository says so, with 401 to strangers and 403 to people not let in.
            self._short(401 if "Authorization" not in self.headers else 403, {"X-Error-Code": "GatedRepo"})
        elif path.startswith(f"/api/models/{hub.repository}"):
            if "/revision/" in path and not path.endswith(hub.revision):
                self._short(404, {"X-Error-Code": "RevisionNotFound"})
            else:
                self._document(self._listing())
        elif path.startswith(f"/{hub.repository}/resolve/{hub.revision}/"):
            name = path.rpartition("/")[2]
            if name in hub.files:
                self._file(hub.files[name], body=body)
            else:
                self._short(404, {"X-Error-Code": "EntryNotFound"})
        else:
            self._short(404, {"X-Error-Code": "RepoNotFound"})

    def _listing(self) -> dict[str, Any]:
        siblings = []
        for name, content in self.of.files.items():
            sibling: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": _blob_id(content)}
            if len(content) >= LARGE_BYTES:
                digest = hashlib.sha256(content).hexdigest()
                sibling["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
            siblings.append(sibling)
        card = {} if self.of.licence is None else {"license": self.of.licence}
        return {"id": self.of.repository, "sha": self.of.revision, "siblings": siblings, "cardData": card, "tags": []}

    def _document(self, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _short(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _file(self, content: bytes, *, body: bool) -> None:
        hub = self.of
        large = len(content) >= LARGE_BYTES
        etag = hashlib.sha256(content).hexdigest() if large else _blob_id(content)
        if hub.damaged and large:
            content = content[:-1] + bytes([content[-1] ^ 1])
        first = 0
        asked = self.headers.get("Range")
        if asked is not None:
            first = int(asked.removeprefix("bytes=").partition("-")[0])
        rest = content[first:]
        self.send_response(206 if asked is not None else 200)
        if asked is not None:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(rest)))
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", hub.revision)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if not body:
            return
        with contextlib.suppress(OSError):
            if large and hub.stall_after is not None:
                self._send(rest[: hub.stall_after])
                hub.go_on.wait()
                rest = rest[hub.stall_after :]
            elif large and hub.cut_after is not None:
                self._send(rest[: hub.cut_after])
                self.close_connection = True
                return
            self._send(rest)

    def _send(self, content: bytes) -> None:
        self.wfile.write(content)
        self.wfile.flush()
