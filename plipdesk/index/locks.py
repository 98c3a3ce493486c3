"""A lock that lets a person's query pass before background work."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class ReadersFirst:
    """Many readers at once, or one writer; a writer begins only when nobody reads or waits to read."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers = 0
        self._waiting = 0
        self._writing = False

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Hold off writers."""
        with self._changed:
            self._waiting += 1
            while self._writing:
                self._changed.wait()
            self._waiting -= 1
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Be alone; short, since readers wait."""
        with self._changed:
            while self._writing or self._readers or self._waiting:
                self._changed.wait()
            self._writing = True
        try:
            yield
        finally:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
