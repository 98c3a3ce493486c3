"""Noticing that the catalogue has changed, without reading it."""

from __future__ import annotations

import sqlite3
import threading

from plipdesk.catalogue.connection import Database


class ChangeWatch:
    """Tells, in microseconds, whether anything was committed since; by whichever connection or process. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._lock = threading.Lock()
        # A connection of its own that never writes: SQLite's data_version counts the commits of all others.
        self._connection: sqlite3.Connection | None = sqlite3.connect(
            f"{database.path.as_uri()}?mode=ro", uri=True, check_same_thread=False, isolation_level=None
        )

    def stamp(self) -> int:
        """A number that differs from the last one if, and only if, something was committed in between."""
        with self._lock:
            if self._connection is None:
                return -1
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close the connection; the stamp stays −1 from then on."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
