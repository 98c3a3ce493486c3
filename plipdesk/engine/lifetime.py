"""How long an engine lives: as long as somebody is there for whom it works."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from plipdesk.engine.launch import OpenedBy
from plipdesk.engine.messages import Role

UNCLAIMED_S = 60.0
"""How long an engine waits for the first window or command."""


class Lifetime:
    """When the engine may end: nobody is there for whom it works.

    An engine started by a command ends when the last command leaves, ``linger_s`` later. Once a window has been there
    (or has started it), it also lives as long as a job waits or runs. One to which nobody ever comes ends, too.
    """

    def __init__(
        self,
        *,
        opened_by: OpenedBy,
        linger_s: float,
        busy: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._works_for_jobs = opened_by == "window"
        self._linger_s = linger_s
        self._busy = busy
        self._clock = clock
        self._lock = threading.Lock()
        self._people = 0
        self._alone_since = clock()
        self._claimed = False

    def came(self, role: Role) -> None:
        """A window or command has connected."""
        if role not in ("window", "command"):
            return
        with self._lock:
            self._people += 1
            self._claimed = True
            self._works_for_jobs = self._works_for_jobs or role == "window"

    def left(self, role: Role) -> None:
        """A window or command is gone."""
        if role not in ("window", "command"):
            return
        with self._lock:
            self._people -= 1
            self._alone_since = self._clock()

    def remaining_s(self) -> float | None:
        """Seconds until the engine may end, as things are; None: not while things are as they are."""
        with self._lock:
            if self._people or (self._claimed and self._works_for_jobs and self._busy()):
                return None
            patience = self._linger_s if self._claimed else max(self._linger_s, UNCLAIMED_S)
            return max(0.0, self._alone_since + patience - self._clock())
