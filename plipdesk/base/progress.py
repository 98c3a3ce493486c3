"""Progress of long work, and the one object through which work meets whoever started it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

# A value that JSON can hold. Spelt Any, since the message library cannot read recursive types.
Json = Any


@dataclass(frozen=True)
class Progress:
    """How far work has come: ``done`` of ``total`` (0: not known yet) items called ``unit``, and how long it takes."""

    done: int
    total: int
    unit: str
    note: str = ""
    rate_per_s: float | None = None
    remaining_s: float | None = None


class JobContext(Protocol):
    """What work is given to report with; it knows no queue and no window."""

    def report(self, done: int, total: int, *, unit: str, note: str = "") -> None:
        """Tell how far the work has come; cheap, throttled by the receiver."""

    def check_cancel(self) -> None:
        """Raise :class:`~plipdesk.base.errors.Cancelled` or :class:`~plipdesk.base.errors.Paused` if asked to stop."""

    def checkpoint(self, state: Mapping[str, Json]) -> None:
        """Keep a small state from which the work can go on after a kill."""


class QuietContext:
    """A context for work that nobody watches."""

    def report(self, done: int, total: int, *, unit: str, note: str = "") -> None:
        """Nobody listens."""

    def check_cancel(self) -> None:
        """Never cancelled."""

    def checkpoint(self, state: Mapping[str, Json]) -> None:
        """Nothing is kept."""


class RateMeter:
    """Items per second over a sliding window of time, and the time that remains."""

    def __init__(self, *, window_s: float = 30.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._window_s = window_s
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def progress(self, done: int, total: int, *, unit: str, note: str = "") -> Progress:
        """Note that ``done`` items are finished now; the rate is None until two moments are known."""
        now = self._clock()
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > self._window_s:
            self._seen.popleft()
        first_s, first_done = self._seen[0]
        rate = (done - first_done) / (now - first_s) if now > first_s and done > first_done else None
        remaining = (total - done) / rate if rate and total >= done else None
        return Progress(done=done, total=total, unit=unit, note=note, rate_per_s=rate, remaining_s=remaining)
